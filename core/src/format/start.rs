//! What the start of a file tells of a reader's `accepts`, where the file is longer.
//!
//! Each question is answered for every file that starts so and has that length, or it is not
//! answered: then it takes more of the file to tell. What `accepts` says of the whole file decides
//! in any case, and a property test holds every answer to it.
//!
//! It refuses to guess: a likely answer is none.

use super::protobuf::{Message, WireErrorKind};
use super::ranges::Ranges;
use super::{graph_text, hdf5, msgpack, objects, openvino};
use crate::limits::FILE_TEXT_BYTES;

/// The start of a file, and the file, of which pieces can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The first bytes: at least [`Start::LEAST`], unless the file ends before.
    pub head: &'a [u8],
    /// The file.
    pub file: &'a dyn Ranges,
}

/// What `accepts` says of a file: nothing where its start does not tell.
pub type Answer = Option<bool>;

impl Start<'_> {
    /// The least that a start is good for.
    pub const LEAST: usize = 512;

    /// Whether nothing is left out.
    pub(super) fn is_whole(&self) -> bool {
        u64::try_from(self.head.len()).unwrap_or(u64::MAX) >= self.file.length()
    }

    /// `accepts` looks at so many bytes and not at the length.
    pub(super) fn fixed(&self, most: usize, accepts: fn(&[u8]) -> bool) -> Answer {
        (self.head.len() >= most).then(|| accepts(self.head))
    }

    /// `accepts` walks the fields of a message. Where that ends in the start, at what no further
    /// byte could mend, it ends there in the whole file too, and has seen the same.
    pub(super) fn message(&self, accepts: fn(&[u8]) -> bool) -> Answer {
        let broken = Message::new(self.head, 0).fields().find_map(Result::err)?;
        let cut = matches!(broken.kind, WireErrorKind::Truncated | WireErrorKind::Overrun);
        (!cut).then(|| accepts(self.head))
    }

    /// Files of parameters start with version zero; others are messages.
    pub(super) fn parameters(&self, accepts: fn(&[u8]) -> bool) -> Answer {
        if self.head.starts_with(&[0; 4]) { None } else { self.message(accepts) }
    }

    /// `accepts` wants text that opens an object or an array.
    pub(super) fn json(&self) -> Answer {
        not(objects::opens(self.head)?)
    }

    /// The same, as the readers of configurations look for it, which take no long text.
    pub(super) fn configuration(&self) -> Answer {
        let text = self.head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.head);
        let opening = text.iter().find(|byte| !byte.is_ascii_whitespace());
        let opens = opening.is_none_or(|byte| matches!(byte, b'{' | b'['));
        not(opens && !self.is_long())
    }

    /// `accepts` wants a graph as text, and no long one.
    pub(super) fn graph(&self) -> Answer {
        not(!self.is_long() && graph_text::may_start(self.head))
    }

    /// `accepts` wants an identifier behind the offset of the root.
    pub(super) fn flatbuffer(&self, identifier: fn(&[u8; 4]) -> bool) -> Answer {
        not(identifier(self.head.get(4..)?.first_chunk()?))
    }

    /// `accepts` wants an element.
    pub(super) fn xml(&self, accepts: fn(&[u8]) -> bool) -> Answer {
        let text = self.head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.head);
        let other = text.first().is_some_and(|&byte| byte != b'<' && !byte.is_ascii_whitespace());
        if other { Some(false) } else { self.fixed(openvino::PROLOGUE, accepts) }
    }

    /// `accepts` wants a map with a name for its first key.
    pub(super) fn msgpack(&self) -> Answer {
        not(msgpack::opens(self.head)?)
    }

    /// `accepts` wants a superblock in one of a few places.
    pub(super) fn hdf5(&self) -> Answer {
        let length = u64::try_from(hdf5::SIGNATURE.len()).ok()?;
        let mut places = hdf5::places().take_while(|&at| at < self.file.length());
        not(places
            .any(|at| self.file.piece(at, length).is_some_and(|found| found == hdf5::SIGNATURE)))
    }

    fn is_long(&self) -> bool {
        self.file.length() > FILE_TEXT_BYTES
    }
}

/// What is not met is not accepted; what is met takes more to tell.
fn not(met: bool) -> Answer {
    if met { None } else { Some(false) }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::READERS;
    use super::*;
    use crate::limits::Limits;

    fn check(bytes: &[u8], at: usize) -> Result<(), TestCaseError> {
        let head = bytes.get(..at.max(Start::LEAST)).unwrap_or(bytes);
        let start = Start { head, file: &bytes };
        for reader in READERS {
            if let Some(answer) = reader.answer(&start) {
                prop_assert_eq!(answer, (reader.accepts)(bytes), "{:?} at {}", reader, at);
            }
            if let Some(read) = reader.read_start {
                let (mut some, mut all) = (Vec::new(), Vec::new());
                let length = bytes.len() as u64;
                let enough = read(head, length, &Limits::DEFAULT, &mut |event| {
                    some.push(std::format!("{event:?}"));
                });
                (reader.read)(bytes, &Limits::DEFAULT, &mut |event| {
                    all.push(std::format!("{event:?}"));
                });
                prop_assert!(!enough || some == all, "{:?} at {}", reader, at);
            }
        }
        Ok(())
    }

    /// The first bytes of files of every format, which random bytes hardly ever have.
    const SEEDS: [&[u8]; 22] = [
        b"",
        b"PK\x03\x04\x14\0",
        b"\x93NUMPY\x01\0",
        b"\x10\0\x01\0\0\0\0\0{\"a\":{\"dtype\":\"F32\"",
        b"GGUF\x03\0\0\0",
        b"\x08\x07\x12\x07pytorch\x3a\xff\x0f\x0a\x10",
        b"\x08\x04\x12\x00\xba\x08\x01a",
        b"\x0a\xff\x07\x0a\x04name\x12\x02op",
        b"node { name: \"a\" op: \"Const\" }\n",
        b"# comment\n",
        b"{\"class_name\": \"A\", \"config\": {}",
        b"{\"pir\": 1, \"__module__\": \"os\", \"__loader__\": \"x\"",
        b"  [\n",
        b"{\0\"\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0",
        b"\x10\0\0\0TFL3\0\0\0\0\x04\0\x04\0\x04\0\0\0",
        b"\x10\0\0\0ET12\0\0\0\0\x04\0\x04\0\x04\0\0\0",
        b"\x10\0\0\0PTMF\0\0\0\0\x04\0\x04\0\x04\0\0\0",
        b"<?xml version=\"1.0\"?><net name=\"a\">",
        b"\x89HDF\r\n\x1a\n",
        b"\x81\xa1a\x01",
        b"\xde\x00\x01\xd9\x05words\xc4\x04",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Every answer is what `accepts` says of the whole, wherever the start ends, and whatever
        /// stands in a superblock's places.
        #[test]
        fn answers_hold(
            seed in 0..SEEDS.len(),
            again in 1_usize..400,
            tail: Vec<u8>,
            filler in 0_usize..4,
            length in 0_usize..6_000,
            superblock in proptest::option::weighted(0.2, 0_u32..4),
            at: usize,
        ) {
            let mut bytes = SEEDS[seed].to_vec();
            // Some that repeat are whole files of their format.
            if filler == 0 {
                bytes = bytes.repeat(again % 9);
            }
            bytes.extend(tail);
            let fill = [0, b' ', b'x', b'\n'][filler];
            bytes.resize(bytes.len() + length, fill);
            if let Some(place) = superblock
                && let Some(room) = bytes.get_mut(512 << place..)
                && let Some(room) = room.get_mut(..8)
            {
                room.copy_from_slice(b"\x89HDF\r\n\x1a\n");
            }
            let at = at % (bytes.len() + 1);
            check(&bytes, at)?;
        }
    }
}
