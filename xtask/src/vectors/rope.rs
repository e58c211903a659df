//! Bytes of which long runs stay formulas.
//!
//! A bomb of megabytes is a few words in its description and stays a few in the JSON: see
//! [`Rope::recipe`].

use serde::Serialize;

/// One step of a recipe, as the JSON spells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Step {
    /// `["hex", bytes]`.
    Hex(&'static str, String),
    /// `["repeat", bytes, count]`.
    Repeat(&'static str, String, usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Bytes(Vec<u8>),
    Repeat(Vec<u8>, usize),
}

/// Bytes, partly by formula.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rope {
    parts: Vec<Part>,
}

impl Rope {
    pub(super) fn len(&self) -> usize {
        let length = |part: &Part| match part {
            Part::Bytes(bytes) => bytes.len(),
            Part::Repeat(bytes, count) => bytes.len() * count,
        };
        self.parts.iter().map(length).sum()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(Part::Bytes(last)) = self.parts.last_mut() {
            last.extend_from_slice(bytes);
        } else if !bytes.is_empty() {
            self.parts.push(Part::Bytes(bytes.to_vec()));
        }
    }

    pub(super) fn repeat(&mut self, bytes: &[u8], count: usize) {
        if bytes.len() * count <= 256 {
            self.push(&bytes.repeat(count));
        } else if count > 0 && !bytes.is_empty() {
            self.parts.push(Part::Repeat(bytes.to_vec(), count));
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        for part in &other.parts {
            match part {
                Part::Bytes(bytes) => self.push(bytes),
                Part::Repeat(bytes, count) => self.repeat(bytes, *count),
            }
        }
    }

    pub(super) fn flatten(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => all.extend_from_slice(bytes),
                Part::Repeat(bytes, count) => all.extend_from_slice(&bytes.repeat(*count)),
            }
        }
        all
    }

    /// The bytes as steps that any language expands in ten lines.
    pub(super) fn recipe(&self) -> Vec<Step> {
        let step = |part: &Part| match part {
            Part::Bytes(bytes) => Step::Hex("hex", hex(bytes)),
            Part::Repeat(bytes, count) => Step::Repeat("repeat", hex(bytes), *count),
        };
        self.parts.iter().map(step).collect()
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        let mut rope = Self::default();
        rope.push(&bytes);
        rope
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_expands_to_the_same_bytes() {
        let mut rope = Rope::from(b"ab".to_vec());
        rope.repeat(b"\0\x01", 500);
        rope.push(b"c");
        let flat = rope.flatten();
        assert_eq!(flat.len(), rope.len());
        let steps = rope.recipe();
        assert_eq!(steps[0], Step::Hex("hex", "6162".into()));
        assert_eq!(steps[1], Step::Repeat("repeat", "0001".into(), 500));
        assert_eq!(serde_json::to_string(&steps[1]).unwrap(), r#"["repeat","0001",500]"#);
    }
}
