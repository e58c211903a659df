//! Small GGUF files, whole and broken in one place each.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::format::event::Event;
use crate::score::Rule;

/// A file under construction, in one byte order.
#[derive(Clone)]
struct File {
    big: bool,
    bytes: Vec<u8>,
}

impl File {
    fn new(big: bool, version: u32, tensors: u64, pairs: u64) -> Self {
        Self { big, bytes: MAGIC.to_vec() }.u32(version).u64(tensors).u64(pairs)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn u32(self, number: u32) -> Self {
        let bytes = if self.big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.raw(&bytes)
    }

    fn u64(self, number: u64) -> Self {
        let bytes = if self.big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.raw(&bytes)
    }

    fn string(self, text: &str) -> Self {
        self.u64(text.len() as u64).raw(text.as_bytes())
    }

    fn text(self, key: &str, text: &str) -> Self {
        self.string(key).u32(8).string(text)
    }

    fn tensor(self, name: &str, shape: &[u64], element: u32, offset: u64) -> Self {
        let file = self.string(name).u32(u32::try_from(shape.len()).unwrap());
        shape.iter().fold(file, |file, &extent| file.u64(extent)).u32(element).u64(offset)
    }

    fn padded(mut self, alignment: usize) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self
    }

    fn zeros(mut self, count: usize) -> Self {
        self.bytes.resize(self.bytes.len() + count, 0);
        self
    }
}

fn honest(big: bool) -> File {
    File::new(big, 3, 2, 6)
        .text("general.architecture", "llama")
        .text("tokenizer.chat_template", "{{ messages[0]['role'] }}")
        .string("general.alignment")
        .u32(4)
        .u32(64)
        .string("x.flag")
        .u32(7)
        .raw(&[1])
        .string("tokenizer.ggml.tokens")
        .u32(9)
        .u32(8)
        .u64(3)
        .string("a")
        .string("<script>")
        .string("__class__")
        .string("x.numbers")
        .u32(9)
        .u32(6)
        .u64(2)
        .u32(0)
        .u32(0)
        .tensor("a", &[32, 2], 2, 0)
        .tensor("b", &[], 0, 64)
        .padded(64)
        .zeros(36)
        .padded(64)
        .zeros(4)
}

fn seen(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    read(bytes, &Limits::default(), &mut |event| {
        let at = match event {
            Event::Anomaly(anomaly) => {
                seen.push((anomaly.id, String::from_utf8_lossy(anomaly.subject).to_string()));
                anomaly.offset
            }
            Event::Read(length) => length,
            Event::Unjudged(_) => 0,
            event => panic!("{event:?}"),
        };
        assert!(at <= bytes.len() as u64);
    });
    seen
}

#[track_caller]
fn only(file: &File, kind: Kind, subject: &str) {
    assert_eq!(seen(&file.bytes), [(kind.id(), subject.into())]);
}

#[test]
fn honest_files_are_silent_in_either_byte_order() {
    for big in [false, true] {
        let file = honest(big);
        assert!(accepts(&file.bytes));
        assert_eq!(seen(&file.bytes), []);
        // The last tensor's padding may be there.
        assert_eq!(seen(&file.clone().padded(64).bytes), []);
        assert_eq!(seen(&File::new(big, 2, 0, 0).bytes), []);
    }
}

#[test]
fn every_file_cut_short_is_broken() {
    let file = honest(false).bytes;
    for end in 0..file.len() {
        assert!(!seen(&file[..end]).is_empty(), "{end}");
    }
}

#[test]
fn headers_are_held_to_the_format() {
    let one = || File::new(false, 3, 0, 1);
    only(&File::new(false, 1, 0, 0), Kind::Version, "");
    only(&File::new(false, 4, 0, 0), Kind::Version, "");
    only(&File::new(false, 3, 0, u64::MAX), Kind::Count, "");
    only(&File::new(false, 3, 1 << 60, 0), Kind::Count, "");
    only(&one().text("", "x").padded(32), Kind::Key, "");
    only(&File::new(false, 3, 0, 2).text("k", "x").text("k", "y"), Kind::RepeatedKey, "k");
    only(&one().string("k").u32(13).u64(0), Kind::Type, "k");
    only(&one().string("k").u32(9).u32(9).u64(0).u64(0), Kind::Nested, "k");
    only(&one().string("k").u32(9).u32(8).u64(u64::MAX), Kind::Count, "");
    only(&one().string("k").u32(9).u32(12).u64(1 << 61), Kind::Count, "");
    only(&one().string("k").u32(8).u64(u64::MAX).raw(b"x"), Kind::Count, "");
    only(&one().string("k").u32(7).raw(&[2]).padded(32), Kind::Bool, "k");
    for alignment in [0, 1, 4, 33] {
        let file = one().string("general.alignment").u32(4).u32(alignment);
        only(&file, Kind::Alignment, "general.alignment");
    }
    only(&one().string("general.alignment").u32(10).u64(32), Kind::Alignment, "general.alignment");
    only(&one().text("k", "x").padded(32).zeros(1), Kind::Trailing, "");
    assert_eq!(seen(b"GGML")[0].0, Kind::Magic.id());
}

#[test]
fn tensors_are_held_to_the_format() {
    let one = || File::new(false, 3, 1, 0);
    let two = || File::new(false, 3, 2, 0);
    only(
        &one().tensor(&"n".repeat(64), &[1], 0, 0).padded(32).zeros(4),
        Kind::Name,
        &"n".repeat(64),
    );
    only(&one().tensor("a\0b", &[1], 0, 0).padded(32).zeros(4), Kind::Name, "a\0b");
    only(
        &two().tensor("a", &[8], 0, 0).tensor("a", &[8], 0, 32).padded(32).zeros(64),
        Kind::RepeatedName,
        "a",
    );
    only(&one().tensor("a", &[1; 5], 0, 0), Kind::Dimensions, "a");
    only(&one().tensor("a", &[1 << 63], 0, 0), Kind::Elements, "a");
    only(&one().tensor("a", &[1 << 32, 1 << 31], 0, 0), Kind::Elements, "a");
    only(&one().tensor("a", &[1 << 62], 0, 0), Kind::Elements, "a");
    for removed in [4, 5, 31, 36, 43, u32::MAX] {
        only(&one().tensor("a", &[32], removed, 0), Kind::Element, "a");
    }
    only(&one().tensor("a", &[33], 2, 0), Kind::Row, "a");
    only(&one().tensor("a", &[1], 0, 32).padded(32).zeros(64), Kind::Offset, "a");
    only(
        &two().tensor("a", &[16], 0, 0).tensor("b", &[16], 0, 32).padded(32).zeros(128),
        Kind::Offset,
        "b",
    );
    only(&one().tensor("a", &[16], 0, 0).padded(32).zeros(60), Kind::Data, "a");
    only(&one().tensor("a", &[16], 0, 0).padded(32).zeros(65), Kind::Trailing, "");
    assert_eq!(seen(&one().tensor("a", &[0, 1 << 40, 1 << 40], 0, 0).padded(32).bytes), []);
}

#[test]
fn texts_are_judged_by_their_keys() {
    let one = |key: &str, text: &str| File::new(false, 3, 0, 1).text(key, text);
    let escape = "{{ ''.__class__.__base__ }}";
    for key in ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "general.prompt"] {
        only(&one(key, escape), Kind::Template, key);
    }
    only(&one("general.description", "os.system('id')"), Kind::Code, "general.description");
    for (key, text) in [
        ("tokenizer.huggingface.json", "{\"eval(\": 1, \"__class__\": 2}"),
        ("tokenizer.chat_template", "{{ 'You may call os.system(x)' }}"),
        ("general.description", "a description with {{ braces }}"),
    ] {
        assert_eq!(seen(&one(key, text).bytes), [], "{key}");
    }
    let tags = File::new(false, 3, 0, 1).string("general.tags").u32(9).u32(8).u64(2);
    only(&tags.string("chat").string("<script>x</script>"), Kind::Code, "general.tags");
}

#[test]
fn more_keys_than_the_limit_are_a_finding() {
    let file = File::new(false, 3, 0, 3).text("a", "x").text("b", "x").text("c", "x");
    let mut limits = Limits::default();
    limits.format.objects = 2;
    let mut rules = Vec::new();
    read(&file.bytes, &limits, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            rules.push((anomaly.rule, anomaly.id));
        }
    });
    assert_eq!(rules, [(Rule::FormatStructure, Kind::Limit.id())]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_never_stop_the_reader(
        big in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut file = honest(big).bytes;
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        seen(&file);
    }
}
