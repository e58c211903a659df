//! PyTorch's ZIP layout: `torch.save` since 1.6, and TorchScript archives.
//!
//! `caffe2/serialize/inline_container.cc` takes the archive's folder from its first entry and
//! looks records up below it; `torch/serialization.py` reads `data.pkl` there, and
//! `byteorder`, `version` and `data/<key>` beside it. An archive that has `constants.pkl` is
//! handed to TorchScript (`_is_torchscript_zip`).
//!
//! This module says which member plays which part. It does not judge what is in it.

use super::zip::Archive;

/// How an archive is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout<'a> {
    /// The folder of the first entry, where PyTorch looks for records.
    pub root: &'a [u8],
    /// Whether `constants.pkl` is there, which makes `torch.load` take it for TorchScript.
    pub torchscript: bool,
    /// Whether `code/` holds anything, or `bytecode.pkl` is there, which is the same code for the
    /// mobile interpreter.
    pub code: bool,
    /// Whether every loader takes the archive for TorchScript and finds its code, so that names
    /// under `__torch__` are the archive's own.
    pub own_names: bool,
}

/// The part that a member plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `data.pkl`, `constants.pkl` and the other pickles that PyTorch unpickles.
    Pickle,
    /// `data/<key>`, `constants/<key>`: a storage's raw bytes.
    Storage,
    /// `code/…`: TorchScript source or debug data.
    Code,
    /// `version`, `byteorder` and their kin: a few characters.
    Mark,
    /// Nothing that PyTorch asks for.
    Other,
}

/// Small members that say how the archive was written.
const MARKS: [&[u8]; 7] = [
    b"version",
    b"byteorder",
    b".data/serialization_id",
    b".data/version",
    b".format_version",
    b".storage_alignment",
    b"model.json",
];

/// Pickles that PyTorch's loaders read by name. The third and fourth are of the mobile
/// interpreter (`torch/csrc/jit/mobile/import.cpp`).
const PICKLES: [&[u8]; 5] = [
    b"data.pkl",
    b"constants.pkl",
    b"bytecode.pkl",
    b"mobile_debug_handles.pkl",
    b"attributes.pkl",
];

/// The layout of an archive, if it is PyTorch's.
///
/// An archive counts as PyTorch's when a `data.pkl` or `constants.pkl` lies in the folder of its
/// first entry, or in any folder at all: a reader that ignores case, or another folder, would
/// find it too.
#[must_use]
pub fn layout<'a>(archive: &Archive<'a>) -> Option<Layout<'a>> {
    let root = archive.root().unwrap_or_default();
    let mut found = Layout { root, torchscript: false, code: false, own_names: false };
    let mut any = false;
    let (mut exact_constants, mut exact_code) = (false, false);
    for entry in archive.entries().map_while(Result::ok) {
        let name = entry.name();
        let inside = relative(root, name).unwrap_or(name);
        let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        any |=
            last.eq_ignore_ascii_case(b"data.pkl") || last.eq_ignore_ascii_case(b"constants.pkl");
        // `_is_torchscript_zip` wants exactly this record; `torch.jit.load` ignores case.
        found.torchscript |= inside.eq_ignore_ascii_case(b"constants.pkl");
        exact_constants |= inside == b"constants.pkl";
        exact_code |= inside.starts_with(b"code/") && !entry.is_folder();
        found.code |= is_below(inside, b"code/") && !entry.is_folder();
        found.code |= inside.eq_ignore_ascii_case(b"bytecode.pkl");
    }
    found.own_names = exact_constants && exact_code;
    any.then_some(found)
}

/// A member's path below the archive's folder.
#[must_use]
pub fn relative<'n>(root: &[u8], name: &'n [u8]) -> Option<&'n [u8]> {
    if root.is_empty() {
        return Some(name);
    }
    name.strip_prefix(root)?.strip_prefix(b"/")
}

/// Whether a path lies below a folder, as miniz looks names up: ignoring ASCII case.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.get(..folder.len()).is_some_and(|start| start.eq_ignore_ascii_case(folder))
}

impl Layout<'_> {
    /// The part that a member plays.
    #[must_use]
    pub fn role(&self, name: &[u8]) -> Role {
        let Some(inside) = relative(self.root, name) else {
            return Role::Other;
        };
        if PICKLES.contains(&inside) {
            return Role::Pickle;
        }
        if MARKS.contains(&inside) {
            return Role::Mark;
        }
        if is_below(inside, b"code/") {
            return Role::Code;
        }
        if self.storage_key(name).is_some() { Role::Storage } else { Role::Other }
    }

    /// Whether a member is source that TorchScript compiles: it looks for
    /// `code/<module>.py` (`torch/csrc/jit/serialization/import_source.cpp`).
    #[must_use]
    pub fn is_script(&self, name: &[u8]) -> bool {
        self.torchscript
            && self.role(name) == Role::Code
            && name.last_chunk().is_some_and(|end: &[u8; 3]| end.eq_ignore_ascii_case(b".py"))
    }

    /// Whether a member is `bytecode.pkl`, which the mobile interpreter runs.
    #[must_use]
    pub fn is_bytecode(&self, name: &[u8]) -> bool {
        relative(self.root, name).is_some_and(|inside| inside.eq_ignore_ascii_case(b"bytecode.pkl"))
    }

    /// Whether a member is `data.pkl`, the pickle of the saved object.
    #[must_use]
    pub fn is_object(&self, name: &[u8]) -> bool {
        relative(self.root, name) == Some(b"data.pkl")
    }

    /// The key of a storage's record: what stands behind `data/` or `constants/`.
    #[must_use]
    pub fn storage_key<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let inside = relative(self.root, name)?;
        inside
            .strip_prefix(b"data/")
            .or_else(|| inside.strip_prefix(b"constants/"))
            .filter(|key| !key.is_empty() && key.iter().all(u8::is_ascii_digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_play_their_part() {
        let layout = Layout { root: b"archive", torchscript: false, code: false, own_names: false };
        assert_eq!(layout.role(b"archive/data.pkl"), Role::Pickle);
        assert_eq!(layout.role(b"archive/data/12"), Role::Storage);
        assert_eq!(layout.role(b"archive/data/12a"), Role::Other);
        assert_eq!(layout.role(b"archive/data/"), Role::Other);
        assert_eq!(layout.role(b"archive/version"), Role::Mark);
        assert_eq!(layout.role(b"archive/code/__torch__.py"), Role::Code);
        assert_eq!(layout.role(b"other/data.pkl"), Role::Other);
        assert_eq!(layout.role(b"archive/sub/data.pkl"), Role::Other);
        assert_eq!(Layout { root: b"", ..layout }.role(b"data.pkl"), Role::Pickle);
    }
}
