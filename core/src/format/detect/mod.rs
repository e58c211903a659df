//! What a file is, by its structure: never by its extension, never by one magic byte.
//!
//! A loader is chosen by whoever opens the file, so the question is not "which format is this"
//! but "which loaders would accept it". Whoever judges a file tries each reader and reports
//! every one that accepts; this module names the formats, the signatures of formats that are
//! recognised but not judged, and what a file name promises. The names come from
//! `spec/detection.toml`.
//!
//! It reads no more of a file than the answer needs, and it never decides.

mod generated;

pub use generated::{Format, PROMISES, SIGNATURES};

use crate::limits;

/// How much is looked at before all of a text is: most bytes that are no text show it here.
const HEAD: usize = 4096;

impl Format {
    /// Whether a file name with this ending promises something else.
    ///
    /// Endings that the PyTorch world uses for everything (`.pt`, `.pth`, `.bin`, `.ckpt`,
    /// `.pkl` …) promise nothing; those of another format do. `.tar` is no promise either,
    /// because `model.pth.tar` has named PyTorch checkpoints of every layout for years.
    #[must_use]
    pub fn contradicts(self, name: &str) -> bool {
        let promised = promised(name);
        !promised.is_empty() && !matches!(self, Self::Unknown) && !promised.contains(&self.id())
    }
}

/// Whether a file name with this ending promises the format of this id.
#[must_use]
pub fn promises(name: &str, id: &str) -> bool {
    promised(name).contains(&id)
}

fn promised(name: &str) -> &'static [&'static str] {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let row = PROMISES.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known));
    row.map_or(&[], |(_, formats)| formats)
}

/// The first bytes of a format that is recognised but not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature {
    /// The stable id, as reports carry it.
    pub id: &'static str,
    /// The format's name for people.
    pub title: &'static str,
    /// Whether the bytes are a program for the machine itself.
    pub native: bool,
    /// Whether the bytes are a picture, which no loader of models takes.
    pub image: bool,
    start: usize,
    magic: &'static [u8],
}

/// The signature that the bytes carry, if any.
#[must_use]
pub fn signature(bytes: &[u8]) -> Option<Signature> {
    let carried = |signature: &&Signature| {
        let rest = bytes.get(signature.start..);
        // Most end at the first byte, which takes no call to compare.
        let first = rest.and_then(<[u8]>::first) == signature.magic.first();
        first
            && rest.is_some_and(|rest| rest.starts_with(signature.magic))
            && is_whole(signature.id, bytes)
    };
    SIGNATURES.iter().find(carried).copied()
}

/// Whether what follows a magic is what the format's loaders want there: four bytes of a tensor
/// may be any magic.
fn is_whole(id: &str, bytes: &[u8]) -> bool {
    match id {
        // `EI_CLASS`, `EI_DATA`, `EI_VERSION` (System V ABI, "ELF Identification").
        "elf" => matches!(bytes.get(4..7), Some([1 | 2, 1 | 2, 1])),
        // `filetype` of `mach_header` (mach-o/loader.h), in either byte order.
        "mach-o" => matches!(bytes.get(12..16), Some([0, 0, 0, 1..=12] | [1..=12, 0, 0, 0])),
        // `nfat_arch` (mach-o/fat.h) stands where a Java class has its version, from 45 on.
        "mach-o-fat" => matches!(bytes.get(4..8), Some([0, 0, 0, 1..=44] | [1..=44, 0, 0, 0])),
        "java-class" => matches!(bytes.get(6..8), Some([0, 45..=99])),
        "pe" => is_portable_executable(bytes),
        _ => true,
    }
}

/// At the offset that the DOS header names, `PE\0\0` (Microsoft's PE format, "MS-DOS Stub").
/// `MZ` alone is two letters.
fn is_portable_executable(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(0x3c..0x40).and_then(|field| field.try_into().ok()) else {
        return false;
    };
    let start = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    bytes.get(start..).is_some_and(|rest| rest.starts_with(b"PE\0\0"))
}

/// Whether bytes are text: UTF-8 without control characters other than white space, and no
/// longer than the limit `file.text_bytes` is by default.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    is_text_within(bytes, limits::FILE_TEXT_BYTES)
}

/// [`is_text`] under another limit.
///
/// The first bytes are looked at by themselves, so that data is told from text without reading
/// it all; what is longer than `most` is not text and is not read further.
#[must_use]
pub fn is_text_within(bytes: &[u8], most: u64) -> bool {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return false;
    }
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    starts_as_text(head) && core::str::from_utf8(bytes).is_ok_and(is_plain)
}

/// Whether bytes are text up to a character that their end cuts.
fn starts_as_text(bytes: &[u8]) -> bool {
    match core::str::from_utf8(bytes) {
        Ok(text) => is_plain(text),
        Err(error) => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            error.error_len().is_none() && core::str::from_utf8(whole).is_ok_and(is_plain)
        }
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec;

    #[test]
    fn signatures_are_found_at_their_place() {
        let id = |bytes| signature(bytes).map(|signature| signature.id);
        assert_eq!(id(b"Rar!\x1a\x07\x01"), Some("rar"));
        assert_eq!(id(b"\x7fELF\x02\x01\x01"), Some("elf"));
        assert_eq!(id(b"\x7fELF\x02"), None);
        assert_eq!(id(b"\x7fELF\0\0\x01\0"), None);
        let mach = b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x06\0\0\0";
        assert_eq!(id(mach), Some("mach-o"));
        assert_eq!(id(&mach[..12]), None);
        assert_eq!(id(b"\xca\xfe\xba\xbe\0\0\0\x02"), Some("mach-o-fat"));
        assert_eq!(id(b"\xca\xfe\xba\xbe\0\0\0\x34"), Some("java-class"));
        assert_eq!(id(b"\xca\xfe\xba\xbe\x12\x34\x56\x78"), None);
        assert_eq!(id(b"\0asm\x01\0\0\0"), Some("wasm"));
        assert_eq!(id(b"\x18\0\0\0\0\0\0\0{\"a\":{}}"), Some("safetensors"));
        assert_eq!(id(b"MZ but no program"), None);
        let mut program = [0; 0x50];
        program[..2].copy_from_slice(b"MZ");
        program[0x3c] = 0x40;
        program[0x40..0x44].copy_from_slice(b"PE\0\0");
        assert_eq!(id(&program), Some("pe"));
        assert_eq!(id(b""), None);
    }

    #[test]
    fn every_signature_is_found() {
        for row in SIGNATURES.iter().filter(|row| is_whole(row.id, row.magic)) {
            let mut bytes = vec![0; row.start];
            bytes.extend_from_slice(row.magic);
            assert_eq!(signature(&bytes).map(|found| found.id), Some(row.id));
            bytes.pop();
            assert_eq!(signature(&bytes).map(|found| found.id), None, "half of {}", row.id);
        }
    }

    #[test]
    fn names_of_other_formats_are_contradicted() {
        assert!(Format::Pickle.contradicts("model.safetensors"));
        assert!(Format::PytorchZip.contradicts("photo.PNG"));
        assert!(Format::Pickle.contradicts("config.json"));
        for name in ["model.pt", "model.pth.tar", "model.bin", "model", "a.safetensors/model"] {
            assert!(!Format::PytorchZip.contradicts(name), "{name}");
        }
        assert!(!Format::PytorchZip.contradicts("model.zip"));
    }

    #[test]
    fn text_has_no_control_characters() {
        assert!(is_text(b"1.0\r\n\tutf-8: \xc3\xa4"));
        assert!(!is_text(b"\0"));
        assert!(!is_text(b"\xff"));
        assert!(!is_text(b"cut \xc3"));
    }

    #[test]
    fn a_head_may_cut_a_character() {
        for pad in HEAD - 4..=HEAD {
            let mut text = vec![b' '; pad];
            text.extend_from_slice("模型".as_bytes());
            assert!(is_text(&text), "{pad}");
            text.push(b'\0');
            assert!(!is_text(&text), "{pad}");
        }
    }

    #[test]
    fn long_bytes_are_no_text() {
        assert!(is_text_within(b"four", 4) && !is_text_within(b"fives", 4));
        let most = usize::try_from(limits::FILE_TEXT_BYTES).unwrap();
        let text = vec![b' '; most + 1];
        assert!(is_text(&text[..most]) && !is_text(&text));
    }
}
