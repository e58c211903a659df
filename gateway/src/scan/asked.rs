//! The storages that a pickle asks for: each key once, with the bytes that it takes.
//!
//! `torch.save` counts keys from 0 in an archive, and takes addresses for them in a legacy file, so
//! nearly all are numbers: those are kept as such, and in a row where they come in order.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// Keys with the bytes of their storages.
#[derive(Default)]
pub(super) struct Asked {
    /// The bytes of the storages 0, 1, 2 and so on, as far as they came in that order.
    numbered: Vec<u64>,
    /// Of all others.
    others: HashMap<Key, u64>,
}

/// A key, by the text that spells it.
#[derive(Clone, PartialEq, Eq)]
enum Key {
    /// A number as it is usually spelled: without a sign or zeros before it.
    Number(u64),
    /// Any other text.
    Text(Box<str>),
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Number(number) => state.write_u64(*number),
            Self::Text(text) => text.hash(state),
        }
    }
}

impl Key {
    fn of(text: &str) -> Self {
        Self::number(text.as_bytes()).map_or_else(|| Self::Text(text.into()), Self::Number)
    }

    fn number(text: &[u8]) -> Option<u64> {
        match text {
            [b'0'] => Some(0),
            // Nineteen digits always fit.
            [b'1'..=b'9', rest @ ..] if rest.len() < 19 => {
                text.iter().try_fold(0_u64, |number, &byte| {
                    let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
                    Some(number * 10 + digit)
                })
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

impl Asked {
    pub(super) fn is_empty(&self) -> bool {
        self.numbered.is_empty() && self.others.is_empty()
    }

    /// Adds a storage; the bytes that its key has had from the first time on.
    pub(super) fn add(&mut self, key: &str, bytes: u64) -> u64 {
        *self.slot(Key::of(key), bytes)
    }

    /// Adds what another pickle asks for, which decides where both ask for the same.
    pub(super) fn extend(&mut self, later: Self) {
        if self.is_empty() {
            *self = later;
            return;
        }
        for (number, bytes) in (0_u64..).zip(later.numbered) {
            *self.slot(Key::Number(number), bytes) = bytes;
        }
        for (key, bytes) in later.others {
            *self.slot(key, bytes) = bytes;
        }
    }

    /// Where the bytes of a key are kept, put there first if it is new.
    fn slot(&mut self, key: Key, bytes: u64) -> &mut u64 {
        if let Key::Number(number) = key
            && let Ok(at) = usize::try_from(number)
        {
            let next = at == self.numbered.len() && !self.others.contains_key(&key);
            if next {
                self.numbered.push(bytes);
            }
            if at < self.numbered.len() {
                return &mut self.numbered[at];
            }
        }
        self.others.entry(key).or_insert(bytes)
    }

    /// The bytes of each storage.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u64> {
        self.numbered.iter().chain(self.others.values()).copied()
    }

    /// Tells which storages of those asked for are not among `records`, or smaller there: the
    /// key, the bytes asked for, and those that are there. Of records of one key the last counts.
    pub(super) fn missing<'r>(
        &self,
        records: impl Iterator<Item = (&'r [u8], u64)>,
        tell: &mut dyn FnMut(&str, u64, Option<u64>),
    ) {
        let mut numbered = vec![None; self.numbered.len()];
        let mut others = HashMap::new();
        for (key, bytes) in records {
            let number = Key::number(key);
            let at = number.and_then(|number| usize::try_from(number).ok());
            if let Some(slot) = at.and_then(|at| numbered.get_mut(at)) {
                *slot = Some(bytes);
            } else if !self.others.is_empty()
                && let Ok(key) = std::str::from_utf8(key)
            {
                others.insert(number.map_or_else(|| Key::Text(key.into()), Key::Number), bytes);
            }
        }
        let short = |there: Option<u64>, asked| there.is_none_or(|there| there < asked);
        for (number, (&asked, &there)) in self.numbered.iter().zip(&numbered).enumerate() {
            if short(there, asked) {
                tell(&number.to_string(), asked, there);
            }
        }
        for (key, &asked) in &self.others {
            let there = others.get(key).copied();
            if short(there, asked) {
                tell(&key.text(), asked, there);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It is a map from text to numbers, whatever the keys and their order.
        #[test]
        fn it_is_a_map(
            asked in proptest::collection::vec(("0?[0-3]|[a-b]|-1|9{20}", 0_u64..3), 0..12),
            records in proptest::collection::vec(("0?[0-4]|9{20}", 0_u64..3), 0..12),
        ) {
            let mut map = BTreeMap::new();
            let mut ours = Asked::default();
            for (key, bytes) in &asked {
                let first = *map.entry(key.clone()).or_insert(*bytes);
                prop_assert_eq!(ours.add(key, *bytes), first);
            }
            let mut bytes: Vec<u64> = ours.bytes().collect();
            let mut all: Vec<u64> = map.values().copied().collect();
            bytes.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(bytes, all);

            let there: BTreeMap<&str, u64> =
                records.iter().map(|(key, bytes)| (key.as_str(), *bytes)).collect();
            let mut seen = BTreeMap::new();
            let records = records.iter().map(|(key, bytes)| (key.as_bytes(), *bytes));
            ours.missing(records, &mut |key, asked, there| {
                seen.insert(key.to_owned(), (asked, there));
            });
            let expected: BTreeMap<String, (u64, Option<u64>)> = map
                .iter()
                .map(|(key, &asked)| (key.clone(), (asked, there.get(key.as_str()).copied())))
                .filter(|(_, (asked, there))| there.is_none_or(|there| there < *asked))
                .collect();
            prop_assert_eq!(seen, expected);
        }

        /// What is added later decides.
        #[test]
        fn later_ones_decide(
            first in proptest::collection::vec(("[0-4]|a", 0_u64..3), 0..8),
            later in proptest::collection::vec(("[0-4]|a", 0_u64..3), 0..8),
        ) {
            let all = |keys: &[(String, u64)]| {
                let mut asked = Asked::default();
                let mut map = BTreeMap::new();
                for (key, bytes) in keys {
                    asked.add(key, *bytes);
                    map.entry(key.clone()).or_insert(*bytes);
                }
                (asked, map)
            };
            let ((mut ours, mut map), (more, after)) = (all(&first), all(&later));
            ours.extend(more);
            map.extend(after);
            let mut seen = BTreeMap::new();
            ours.missing(std::iter::empty(), &mut |key, asked, _| {
                seen.insert(key.to_owned(), asked);
            });
            prop_assert_eq!(seen, map);
        }
    }
}
