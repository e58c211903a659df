//! What a file is, by its structure: never by its extension, never by one magic byte.
//!
//! A loader is chosen by whoever opens the file, so the question is not "which format is this"
//! but "which loaders would accept it". Whoever judges a file tries each reader and reports
//! every one that accepts; this module names the formats, the signatures of formats that are
//! recognised but not judged, and what a file name promises.

/// A format that is judged, or recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since PyTorch 1.6: a ZIP archive with `data.pkl` and storages.
    PytorchZip,
    /// `torch.jit.save`: a ZIP archive with `constants.pkl`, `code/` and storages.
    TorchScript,
    /// `torch.save` before 1.6: five pickles, then storages.
    PytorchLegacy,
    /// PyTorch before 0.1.10: a tar of `sys_info`, `pickle`, `storages` and `tensors`.
    PytorchTar,
    /// One pickle, or several in a row.
    Pickle,
    /// A joblib dump: a pickle with the bytes of arrays between its opcodes.
    Joblib,
    /// A ZIP archive that no PyTorch loader opens.
    Zip,
    /// A tar archive that no PyTorch loader opens.
    Tar,
    /// Raw storage bytes of a PyTorch archive.
    Storage,
    /// Text of some kind, inside an archive.
    Text,
    /// Recognised by its signature; this version has no reader for it.
    Recognised(Signature),
    /// Nothing that we know.
    Unknown,
}

impl Format {
    /// The stable id, as reports carry it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::PytorchZip => "pytorch-zip",
            Self::TorchScript => "torchscript",
            Self::PytorchLegacy => "pytorch-legacy",
            Self::PytorchTar => "pytorch-tar",
            Self::Pickle => "pickle",
            Self::Joblib => "joblib",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Storage => "storage",
            Self::Text => "text",
            Self::Recognised(signature) => signature.id,
            Self::Unknown => "unknown",
        }
    }

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

/// Endings that promise a format, and the formats that keep the promise.
pub static PROMISES: [(&str, &[&str]); 36] = [
    ("safetensors", &["safetensors"]),
    ("onnx", &["onnx"]),
    ("gguf", &["gguf"]),
    ("npy", &["npy"]),
    ("npz", &["zip"]),
    ("h5", &["hdf5"]),
    ("hdf5", &["hdf5"]),
    ("keras", &["zip", "hdf5"]),
    ("zip", &["zip", "pytorch-zip", "torchscript"]),
    ("json", &["text"]),
    ("txt", &["text"]),
    ("md", &["text"]),
    ("yaml", &["text"]),
    ("yml", &["text"]),
    ("toml", &["text"]),
    ("csv", &["text"]),
    ("py", &["text"]),
    ("cfg", &["text"]),
    ("ini", &["text"]),
    ("rst", &["text"]),
    ("sh", &["text"]),
    ("xml", &["text"]),
    ("html", &["text"]),
    ("png", &["png"]),
    ("jpg", &["jpeg"]),
    ("jpeg", &["jpeg"]),
    ("gif", &["gif"]),
    ("pdf", &["pdf"]),
    ("gz", &["gzip"]),
    ("bz2", &["bzip2"]),
    ("xz", &["xz"]),
    ("zst", &["zstd"]),
    ("7z", &["7z"]),
    ("so", &["elf"]),
    ("dll", &["pe"]),
    ("exe", &["pe"]),
];

/// The first bytes of a format that is recognised but not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signature {
    /// The stable id, as reports carry it.
    pub id: &'static str,
    /// The format's name for people.
    pub title: &'static str,
    /// Whether the bytes are a program for the machine itself.
    pub native: bool,
    start: usize,
    magic: &'static [u8],
}

const fn at_start(id: &'static str, title: &'static str, magic: &'static [u8]) -> Signature {
    Signature { id, title, native: false, start: 0, magic }
}

const fn native(title: &'static str, id: &'static str, magic: &'static [u8]) -> Signature {
    Signature { id, title, native: true, start: 0, magic }
}

/// Every signature that is recognised, the longer ones first where one starts like another.
pub static SIGNATURES: [Signature; 29] = [
    native("an ELF program or library", "elf", b"\x7fELF"),
    native("a Mach-O program or library", "mach-o", b"\xfe\xed\xfa\xce"),
    native("a Mach-O program or library", "mach-o", b"\xfe\xed\xfa\xcf"),
    native("a Mach-O program or library", "mach-o", b"\xce\xfa\xed\xfe"),
    native("a Mach-O program or library", "mach-o", b"\xcf\xfa\xed\xfe"),
    at_start("7z", "a 7z archive", b"7z\xbc\xaf\x27\x1c"),
    at_start("rar", "a RAR archive", b"Rar!\x1a\x07"),
    at_start("xz", "an xz stream", b"\xfd7zXZ\0"),
    at_start("gzip", "a gzip stream", b"\x1f\x8b"),
    at_start("bzip2", "a bzip2 stream", b"BZh"),
    at_start("zstd", "a Zstandard stream", b"\x28\xb5\x2f\xfd"),
    at_start("lz4", "an LZ4 stream", b"\x04\x22\x4d\x18"),
    at_start("lzma", "an LZMA stream", b"\x5d\0\0"),
    at_start("zlib", "a zlib stream", b"\x78\x01"),
    at_start("zlib", "a zlib stream", b"\x78\x5e"),
    at_start("zlib", "a zlib stream", b"\x78\x9c"),
    at_start("zlib", "a zlib stream", b"\x78\xda"),
    at_start("hdf5", "an HDF5 file", b"\x89HDF\r\n\x1a\n"),
    at_start("npy", "a numpy array", b"\x93NUMPY"),
    at_start("gguf", "a GGUF model", b"GGUF"),
    at_start("png", "a PNG image", b"\x89PNG\r\n\x1a\n"),
    at_start("jpeg", "a JPEG image", b"\xff\xd8\xff"),
    at_start("gif", "a GIF image", b"GIF8"),
    at_start("pdf", "a PDF document", b"%PDF-"),
    at_start("zip", "a ZIP archive", b"PK\x03\x04"),
    at_start("zip", "a ZIP archive", b"PK\x05\x06"),
    Signature {
        id: "tflite",
        title: "a TensorFlow Lite model",
        native: false,
        start: 4,
        magic: b"TFL3",
    },
    Signature {
        id: "executorch",
        title: "an ExecuTorch program",
        native: false,
        start: 4,
        magic: b"ET12",
    },
    Signature {
        id: "safetensors",
        title: "a safetensors file",
        native: false,
        start: 8,
        magic: b"{\"",
    },
];

/// The signature that the bytes carry, if any.
#[must_use]
pub fn signature(bytes: &[u8]) -> Option<Signature> {
    if is_portable_executable(bytes) {
        return Some(native("a Windows program or library", "pe", b"MZ"));
    }
    SIGNATURES
        .iter()
        .find(|signature| {
            bytes.get(signature.start..).is_some_and(|rest| rest.starts_with(signature.magic))
        })
        .copied()
}

/// `MZ`, and at the offset that the DOS header names, `PE\0\0` (Microsoft's PE format,
/// "MS-DOS Stub").
fn is_portable_executable(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(0x3c..0x40).and_then(|field| field.try_into().ok()) else {
        return false;
    };
    let start = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    bytes.starts_with(b"MZ") && bytes.get(start..).is_some_and(|rest| rest.starts_with(b"PE\0\0"))
}

/// Whether bytes are text: UTF-8 without control characters other than white space.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_found_at_their_place() {
        let id = |bytes| signature(bytes).map(|signature| signature.id);
        assert_eq!(id(b"\x7fELF\x02"), Some("elf"));
        assert_eq!(id(b"\x1f\x8b\x08"), Some("gzip"));
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
    }
}
