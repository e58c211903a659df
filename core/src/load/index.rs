//! Reads an index of shards, as `transformers` and `diffusers` write it beside the files that a
//! checkpoint is split into: which shard each tensor is in (`weight_map`), and metadata.
//!
//! The text is read as Python's `json` reads it, but for keys that stand twice, of which Python
//! keeps the last and others the first: they are an error. Numbers and other values of the metadata
//! are kept as the text that they are.
//!
//! It opens no shard, and refuses `weightsManifest` of TensorFlow.js, whose files are raw numbers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::checkpoint::{LoadError, Problem};
use crate::json::{JsonError, Reader, Str, Token};

/// What an index says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The shards, in the order in which they are first named.
    pub shards: Vec<String>,
    /// The tensors in the index's order, each with the place of its shard among [`Self::shards`].
    pub tensors: Vec<(String, usize)>,
    /// The metadata.
    pub metadata: Vec<(String, String)>,
}

/// Reads an index.
///
/// # Errors
/// [`Problem::Format`] where it is no JSON, or no index; [`Problem::Unbuilt`] for an index of raw
/// numbers.
pub fn read(bytes: &[u8]) -> Result<Index, LoadError> {
    let mut walk = Walk { bytes, reader: Reader::lenient(bytes), index: Index::default() };
    walk.object()?;
    Ok(walk.index)
}

struct Walk<'a> {
    bytes: &'a [u8],
    reader: Reader<'a>,
    index: Index,
}

fn json(error: JsonError) -> LoadError {
    LoadError::at(Problem::Format(error.kind.message()), error.offset)
}

fn wrong(message: &'static str, offset: u64, about: &str) -> LoadError {
    LoadError::about(Problem::Format(message), offset, about)
}

impl<'a> Walk<'a> {
    /// The next token, of which there has to be one.
    fn token(&mut self) -> Result<Token<'a>, LoadError> {
        let token = self.reader.token().map_err(json)?;
        token.ok_or_else(|| wrong("the index ends too soon", self.reader.end(), ""))
    }

    fn key(&mut self) -> Result<Option<Str<'a>>, LoadError> {
        self.reader.key().map_err(json)
    }

    fn object(&mut self) -> Result<(), LoadError> {
        if self.token()? != Token::ObjectStart {
            return Err(wrong("the index is no object", self.reader.start(), ""));
        }
        let mut seen = BTreeSet::new();
        while let Some(key) = self.key()? {
            let name = meaning(&key);
            if name == "weight_map" {
                self.weight_map()?;
            } else if name == "metadata" {
                self.metadata()?;
            } else if name == "weightsManifest" {
                let why = "the index is of weights that are raw numbers";
                return Err(LoadError::about(Problem::Unbuilt(why), key.offset(), name));
            } else {
                // Loaders read over other keys.
                self.reader.skip_value().map_err(json)?;
            }
            if let Some(again) = seen.replace(name) {
                return Err(wrong("a key of the index stands twice", key.offset(), &again));
            }
        }
        self.reader.finish().map_err(json)?;
        if seen.contains("weight_map") {
            return Ok(());
        }
        Err(wrong("the index has no `weight_map`", self.reader.end(), ""))
    }

    fn weight_map(&mut self) -> Result<(), LoadError> {
        if self.token()? != Token::ObjectStart {
            return Err(wrong("`weight_map` is no object", self.reader.start(), ""));
        }
        let mut seen = BTreeSet::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(key) = self.key()? {
            let name = meaning(&key);
            let Token::String(shard) = self.token()? else {
                let why = "a tensor's shard is no file name";
                return Err(wrong(why, self.reader.start(), &name));
            };
            if !seen.insert(name.clone()) {
                return Err(wrong("a tensor stands twice in the index", key.offset(), &name));
            }
            let shard = meaning(&shard);
            let next = self.index.shards.len();
            let place = match places.get(&shard) {
                Some(&place) => place,
                None => {
                    self.index.shards.push(shard.clone());
                    places.insert(shard, next);
                    next
                }
            };
            self.index.tensors.push((name, place));
        }
        Ok(())
    }

    fn metadata(&mut self) -> Result<(), LoadError> {
        match self.token()? {
            Token::ObjectStart => {}
            Token::Null => return Ok(()),
            _ => return Err(wrong("`metadata` is no object", self.reader.start(), "")),
        }
        let mut seen = BTreeSet::new();
        while let Some(key) = self.key()? {
            let name = meaning(&key);
            if !seen.insert(name.clone()) {
                return Err(wrong("a key of the metadata stands twice", key.offset(), &name));
            }
            let value = self.reader.clone().token().map_err(json)?;
            let place = self.reader.skip_value().map_err(json)?;
            let value = match value {
                Some(Token::String(text)) => meaning(&text),
                _ => self.raw(place),
            };
            self.index.metadata.push((name, value));
        }
        Ok(())
    }

    /// The text of a value.
    fn raw(&self, place: core::ops::Range<u64>) -> String {
        let bound = |at| usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(bound(place.start)..bound(place.end));
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    }
}

fn meaning(text: &Str<'_>) -> String {
    text.chars().collect()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::borrow::ToOwned;

    use super::*;

    #[test]
    fn an_index_is_read_in_its_order() {
        let text =
            br#"{"metadata": {"total_size": 12, "by": "\u0061", "more": [1, {}]}, "weight_map":
            {"b": "2.bin", "a": "1.bin", "c": "2.bin"}, "else": [1]}"#;
        let index = read(text).unwrap();
        assert_eq!(index.shards, ["2.bin", "1.bin"]);
        let tensors: Vec<(&str, usize)> =
            index.tensors.iter().map(|(name, shard)| (name.as_str(), *shard)).collect();
        assert_eq!(tensors, [("b", 0), ("a", 1), ("c", 0)]);
        let metadata = [("total_size", "12"), ("by", "a"), ("more", "[1, {}]")];
        assert_eq!(index.metadata, metadata.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn what_readers_part_over_is_an_error() {
        for (text, about) in [
            (r#"{"weight_map": {"a": "1", "\u0061": "2"}}"#, "a"),
            (r#"{"weight_map": {}, "weight_map": {}}"#, "weight_map"),
            (r#"{"metadata": {"x": 1, "x": 2}, "weight_map": {}}"#, "x"),
            (r#"{"weight_map": {"a": 1}}"#, "a"),
            (r#"{"weight_map": {"a": {"b": "c"}}}"#, "a"),
            (r#"{"weight_map": ["a"]}"#, ""),
            (r#"{"metadata": 1, "weight_map": {}}"#, ""),
            (r#"{"metadata": {}}"#, ""),
            (r#"["weight_map"]"#, ""),
            (r#"{"weightsManifest": []}"#, "weightsManifest"),
            ("", ""),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().subject, about, "{text}");
        }
    }
}
