//! Judging compressed streams: gzip, zlib, bzip2, xz, LZMA, Zstandard, LZ4.
//!
//! Loaders unpack by the first bytes and hand on what comes out: joblib does
//! (`joblib/numpy_pickle_utils.py`, `_detect_compressor`), pandas does by the name, and so does
//! everybody who downloads. So a stream counts as one where its header is sound *and* its first
//! bytes unpack, and what comes out is judged as if it were the file: under its name without the
//! ending, one level deeper, within the limits.
//!
//! What it refuses to do: look things up in dictionaries that the file does not hold, grant a
//! stream more memory than `archive.window_bytes`, or believe a size before it has seen the
//! bytes. What comes out before a broken place is judged, because a loader acts on it.
//!
//! Several streams in a row are one content, as every tool and Python's `gzip`, `bz2` and
//! `lzma` read them; who stops after the first sees a beginning of what is judged here.
//!
//! References: RFC 1950, RFC 1951, RFC 1952, RFC 8878; The .xz File Format 1.2.1; XZ Utils
//! `doc/lzma-file-format.txt`; LZ4 Frame Format 1.6.2.

mod lz4;
mod stream;

use std::io::{ErrorKind, Read};

use secure_torch_core::format::detect::Format;
use secure_torch_core::score::Rule;

use super::probe::Names;
use super::{Context, Judge, Unknown, member_path};
use stream::{Remark, Stream};

/// How much must unpack for a format that has no more than a few bits of a signature: text and
/// numbers pass a check of two bytes, and hardly ever go on as sound compressed data.
const PROOF: usize = 64;

/// The endings that name a compressed stream, and what is left of the name without them.
const ENDINGS: [(&str, &str); 16] = [
    ("gz", ""),
    ("gzip", ""),
    ("z", ""),
    ("zlib", ""),
    ("bz2", ""),
    ("xz", ""),
    ("lzma", ""),
    ("zst", ""),
    ("zstd", ""),
    ("lz4", ""),
    ("tgz", "tar"),
    ("tbz", "tar"),
    ("tbz2", "tar"),
    ("txz", "tar"),
    ("tzst", "tar"),
    ("tlz", "tar"),
];

/// A kind of compressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zlib,
    Bzip2,
    Xz,
    Lzma,
    Zstd,
    Lz4,
}

impl Kind {
    /// The kind that the first bytes announce.
    fn announced(bytes: &[u8]) -> Option<Self> {
        let frame = stream::behind_skippable(bytes);
        match bytes {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ if frame.starts_with(&stream::ZSTD) => Some(Self::Zstd),
            _ if lz4::is_frame(frame) => Some(Self::Lz4),
            // RFC 1950, section 2.2: method 8, a window of up to 32 KiB, and a check of both
            // bytes. A preset dictionary is none that the file holds.
            [method, flags, ..]
                if method & 0x0f == 8
                    && method >> 4 <= 7
                    && flags & 0x20 == 0
                    && u16::from_be_bytes([*method, *flags]) % 31 == 0 =>
            {
                Some(Self::Zlib)
            }
            _ if is_lzma_header(bytes) => Some(Self::Lzma),
            _ => None,
        }
    }

    /// How many bytes must come out, unless the stream ends before, for it to be one.
    const fn proof(self) -> usize {
        match self {
            Self::Zlib | Self::Lzma => PROOF,
            _ => 1,
        }
    }

    const fn format(self) -> Format {
        match self {
            Self::Gzip => Format::Gzip,
            Self::Zlib => Format::Zlib,
            Self::Bzip2 => Format::Bzip2,
            Self::Xz => Format::Xz,
            Self::Lzma => Format::Lzma,
            Self::Zstd => Format::Zstd,
            Self::Lz4 => Format::Lz4,
        }
    }
}

/// The header of the old LZMA format, which has no signature: properties, a dictionary's size,
/// a size, and a range coder that starts with a zero. liblzma's `auto` decoder wants a
/// dictionary of 2^n or 2^n + 2^(n-1) and less than 256 GiB; its `alone` decoder does not, and
/// joblib calls that one for whatever starts with `5d 00`.
fn is_lzma_header(bytes: &[u8]) -> bool {
    let [properties, d0, d1, d2, d3, rest @ ..] = bytes else { return false };
    let Some((size, [0, ..])) = rest.split_first_chunk::<8>() else { return false };
    let (dictionary, size) = (u32::from_le_bytes([*d0, *d1, *d2, *d3]), u64::from_le_bytes(*size));
    let usual = dictionary == u32::MAX
        || dictionary.is_power_of_two()
        || dictionary % 3 == 0 && (dictionary / 3).is_power_of_two();
    // `lzma_lzma_lclppb_decode`: literals look at four bits of context and position in all.
    let (context, position) = (*properties % 9, *properties / 9 % 5);
    let sound = *properties < 225 && context + position <= 4;
    let auto = sound && usual && (size == u64::MAX || size < 1 << 38);
    size != 0 && (auto || bytes.starts_with(&[0x5d, 0]))
}

/// The start of an LZMA stream with the least dictionary that the format has: for its first bytes
/// that is enough, however large the one is that the header asks for. Small numbers in a row make
/// sound headers that ask for much.
fn frugal(bytes: &[u8]) -> Vec<u8> {
    let mut start = bytes[..bytes.len().min(4096)].to_vec();
    if let Some(dictionary) = start.get_mut(1..5) {
        dictionary.copy_from_slice(&4096_u32.to_le_bytes());
    }
    start
}

/// The first bytes that come out, and whether they are proof enough of a stream.
fn first_bytes(kind: Kind, bytes: &[u8], window: u64) -> (Vec<u8>, bool) {
    let start = if kind == Kind::Lzma { frugal(bytes) } else { Vec::new() };
    let bytes = if start.is_empty() { bytes } else { &start };
    let mut proof = Vec::new();
    let mut stream = Stream::new(kind, bytes, window, 1);
    let read = (&mut stream).take(kind.proof() as u64).read_to_end(&mut proof);
    let sound = match read {
        // A signature of two bytes and a wrong checksum are no proof.
        Ok(count) => {
            let wrong = |remark: &Remark| remark.rule == Rule::ArchiveCorrupt;
            count >= kind.proof() || kind.proof() == 1 || !stream.remarks().iter().any(wrong)
        }
        // Who asks for more memory than is granted has a sound header, and so has who asks for a
        // dictionary behind a signature.
        Err(error) => match error.kind() {
            ErrorKind::OutOfMemory => true,
            ErrorKind::Unsupported => kind.proof() == 1,
            _ => false,
        },
    };
    (proof, sound)
}

/// What comes out of a file that starts so and is sure to be no compressed stream, before it shows:
/// nothing, mostly. `None` where it is one, or where it takes more to tell.
pub(super) fn other(head: &[u8]) -> Option<Vec<u8>> {
    let mut proof = Vec::new();
    match Kind::announced(head) {
        None => {
            let magic = head.first_chunk().map(|magic| u32::from_le_bytes(*magic));
            let skipped = magic.is_some_and(|magic| stream::SKIPPABLE.contains(&magic));
            (!skipped).then_some(proof)
        }
        // One of 256 lengths in front of a safetensors header announces it, and its data breaks
        // off at once. Where bytes are broken, those that follow mend nothing.
        Some(Kind::Zlib) => {
            let stream = Stream::new(Kind::Zlib, head, 0, 1);
            let error = stream.take(PROOF as u64).read_to_end(&mut proof).err()?;
            let broken = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData);
            broken.then_some(proof)
        }
        Some(_) => None,
    }
}

impl Judge<'_> {
    /// Judges a compressed stream; its format, if the bytes are one.
    pub(super) fn packed(&mut self, bytes: &[u8], context: &Context<'_>) -> Option<Format> {
        let kind = Kind::announced(bytes)?;
        let limits = self.policy.limits.archive;
        let left = limits.entries.saturating_sub(u32::try_from(self.members).unwrap_or(u32::MAX));
        let (proof, sound) = first_bytes(kind, bytes, limits.window_bytes);
        let claimed = context.unknown == Unknown::Claimed;
        // Small integers are a header of LZMA and a range coder near zero, which gives zeros:
        // nothing that a loader acts on starts so.
        let zero = kind == Kind::Lzma && proof.first() == Some(&0);
        let sound = sound && !(claimed && zero);
        // Loaders act on what comes out before a broken place. A claim of raw numbers does not
        // take away a whole signature, and nothing takes away a pickle.
        let acted =
            claimed && kind.proof() == 1 || !sound && self.would_import(&proof, Names::Paths);
        if !sound && !acted {
            return None;
        }
        let mut stream = Stream::new(kind, bytes, limits.window_bytes, left);
        self.tally.examine(bytes.len() as u64);
        let unpacked = self.unpack(&mut stream, self.allowance(bytes.len()), context.path, 0);
        let at = stream.offset();
        self.members = self.members.saturating_add(u64::from(stream.members()));
        for remark in stream.remarks() {
            self.tally.find(remark.rule, context.path, Some(remark.offset), "", remark.message);
        }
        let Some((content, error)) = unpacked else { return Some(kind.format()) };
        if let Some(error) = error {
            self.cannot_unpack(&error, context.path, at);
        }
        if content.is_empty() && context.unknown == Unknown::Blocks {
            let why = "the stream unpacks to nothing";
            self.tally.find(Rule::FormatUnknown, context.path, None, "", why);
        } else if !content.is_empty() {
            let name = inner_name(context.name);
            let path = member_path(context.path, &name);
            let inner = Context { path: &path, name: &name, depth: context.depth + 1, ..*context };
            if self.part(&content, &inner) == [Format::Text] && context.path.is_empty() {
                let what = "the content is text and no model; what else may read it was not judged";
                self.tally.note(what);
            }
        }
        Some(kind.format())
    }
}

/// The name of what is inside: without the ending that names the compressor, if there is one.
fn inner_name(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return name.to_owned();
    };
    match ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)) {
        Some((_, "")) => stem.to_owned(),
        Some((_, more)) => format!("{stem}.{more}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn names_lose_the_compressor() {
        assert_eq!(inner_name("models/model.pkl.gz"), "model.pkl");
        assert_eq!(inner_name("models.TGZ"), "models.tar");
        assert_eq!(inner_name("model.joblib"), "model.joblib");
        assert_eq!(inner_name(".gz"), ".gz");
        assert_eq!(inner_name(""), "");
    }

    #[test]
    fn zeros_and_text_announce_nothing() {
        for bytes in [&[0; 64][..], b"vocabulary of words", b"]\0", b"", b"BZ", b"\x1f\x8b"] {
            assert_eq!(Kind::announced(bytes), None, "{bytes:?}");
        }
        assert_eq!(Kind::announced(b"\x78\x9c"), Some(Kind::Zlib));
    }

    #[test]
    fn a_stream_may_unpack_to_itself() {
        // The vector `gzip-quine`; here, that it is what it says.
        let text = include_str!("../../../spec/vectors/containers.json");
        let document: serde_json::Value = serde_json::from_str(text).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        let quine = vectors.iter().find(|vector| vector["id"] == "gzip-quine").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(quine["input"].as_str().unwrap())
            .unwrap();
        let mut content = Vec::new();
        let mut stream = Stream::new(Kind::Gzip, &bytes, 0, 1);
        stream.read_to_end(&mut content).unwrap();
        assert_eq!(content, bytes);
        assert!(stream.remarks().is_empty());
    }

    #[test]
    fn no_bytes_stop_the_reader() {
        let seeds: [&[u8]; 7] = [
            b"\x1f\x8b\x08\x1e",
            b"\x78\x9c",
            b"BZh91AY&SY",
            b"\xfd7zXZ\0\0\x01",
            b"\x5d\0\0\x01\0",
            b"\x28\xb5\x2f\xfd\x04",
            b"\x04\x22\x4d\x18\x60\x40\x82",
        ];
        proptest::proptest!(|(seed in 0..7_usize, rest: Vec<u8>)| {
            let bytes = [seeds[seed], &rest].concat();
            if let Some(kind) = Kind::announced(&bytes) {
                let mut content = Vec::new();
                let stream = Stream::new(kind, &bytes, 1 << 20, 9);
                let _ = stream.take(1 << 20).read_to_end(&mut content);
            }
        });
    }
}
