//! Which format a ZIP is, by the members that its loader asks for.
//!
//! | format | its loader asks for | reader |
//! |---|---|---|
//! | torch.package | `.data/extern_modules` below the first entry's folder | `torch/package/package_importer.py` |
//! | torch.export | `archive_format` there, or `serialized_exported_program.json` | `torch/export/pt2_archive/_package.py`, `torch/export/__init__.py` |
//! | TorchServe | `MAR-INF/MANIFEST.json`, for a workflow `WAR-INF/MANIFEST.json` | `frontend/archive/.../ModelArchive.java` |
//! | Keras | `config.json` with `metadata.json` or weights | `keras/src/saving/saving_lib.py` |
//! | skops | `schema.json` | `skops/io/_persist.py` |
//! | npz | nothing but `.npy` members | `numpy/lib/_npyio_impl.py` |
//!
//! Names are compared as the loader does: PyTorch's reader (miniz) ignores ASCII case, Python's
//! `zipfile` and Java do not. An archive with `data.pkl` in that folder is PyTorch's, whatever
//! else it holds, and is not asked about here; that more than one row fits is no finding by
//! itself, since every member is judged in any case. The first row that fits wins, those first
//! that run more code.
//!
//! It also knows which members hold raw numbers ([`is_raw`]), and which hold the code of a
//! package's own modules ([`module`]).

use super::detect::Format;
use super::torch_zip::relative;
use super::zip::Archive;

/// The format of an archive; nothing for a ZIP of no kind that is known.
#[must_use]
pub fn kind(archive: &Archive<'_>) -> Option<Format> {
    let root = archive.root().unwrap_or_default();
    let mut seen = Seen::default();
    let mut members = 0_usize;
    let mut arrays = 0_usize;
    for entry in archive.entries().map_while(Result::ok).filter(|entry| !entry.is_folder()) {
        let name = entry.name();
        members = members.saturating_add(1);
        arrays = arrays.saturating_add(usize::from(name.ends_with(b".npy")));
        let inside = relative(root, name).unwrap_or_default();
        let is = |record: &[u8]| inside.eq_ignore_ascii_case(record);
        seen.package |= is(b".data/extern_modules");
        seen.python |= module(root, name).is_some();
        seen.data |= is(b".data/python_version") || is(b".data/version");
        seen.export |= is(b"archive_format") || name == b"serialized_exported_program.json";
        seen.served |= matches!(name, b"MAR-INF/MANIFEST.json" | b"WAR-INF/MANIFEST.json");
        seen.keras |= name == b"config.json";
        seen.weights |=
            matches!(name, b"metadata.json" | b"model.weights.h5" | b"model.weights.npz");
        seen.schema |= name == b"schema.json";
    }
    if seen.package || seen.python && seen.data && !seen.export {
        Some(Format::TorchPackage)
    } else if seen.export {
        Some(Format::TorchExport)
    } else if seen.served {
        Some(Format::TorchServe)
    } else if seen.keras && seen.weights {
        Some(Format::Keras)
    } else if seen.schema {
        Some(Format::SkopsZip)
    } else {
        (members > 0 && arrays == members).then_some(Format::Npz)
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is the sight of one member")]
struct Seen {
    package: bool,
    python: bool,
    data: bool,
    export: bool,
    served: bool,
    keras: bool,
    weights: bool,
    schema: bool,
}

/// Whether PyTorch's own loaders find their pickle in the folder of the archive's first entry.
#[must_use]
pub fn has_object(archive: &Archive<'_>) -> bool {
    let root = archive.root().unwrap_or_default();
    archive.entries().map_while(Result::ok).any(|entry| {
        relative(root, entry.name()).is_some_and(|inside| {
            inside.eq_ignore_ascii_case(b"data.pkl")
                || inside.eq_ignore_ascii_case(b"constants.pkl")
        })
    })
}

/// Whether a member holds the raw bytes of a tensor, and no loader of the format unpickles it.
///
/// `pickled` says that a configuration of a torch.export archive asks to unpickle weights.
#[must_use]
pub fn is_raw(kind: Format, root: &[u8], name: &[u8], pickled: bool) -> bool {
    let Some(inside) = relative(root, name) else { return false };
    let numbered = |head: &[u8], end: &[u8]| {
        let digits = inside.strip_prefix(head).and_then(|rest| rest.strip_suffix(end));
        digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
    };
    match kind {
        Format::TorchPackage => numbered(b".data/", b".storage"),
        Format::TorchExport => {
            !pickled
                && (numbered(b"data/weights/weight_", b"")
                    || numbered(b"data/constants/tensor_", b""))
        }
        _ => false,
    }
}

/// Whether a member of a torch.export archive says which weights and constants are pickled.
#[must_use]
pub fn is_payload_config(root: &[u8], name: &[u8]) -> bool {
    relative(root, name).is_some_and(|inside| {
        (has_head(inside, b"data/weights/") || has_head(inside, b"data/constants/"))
            && has_end(inside, b".json")
    })
}

/// Whether a member belongs to AOTInductor, whose loader unpickles every weight
/// (`load_pt2`, `load_weights_from_disk`).
#[must_use]
pub fn is_compiled_data(root: &[u8], name: &[u8]) -> bool {
    relative(root, name).is_some_and(|inside| has_head(inside, b"data/aotinductor/"))
}

/// Whether a member is the graph of a torch.export archive.
#[must_use]
pub fn is_graph(root: &[u8], name: &[u8]) -> bool {
    name == b"serialized_exported_program.json"
        || relative(root, name)
            .is_some_and(|inside| has_head(inside, b"models/") && has_end(inside, b".json"))
}

/// Whether a member is code that AOTInductor's loader compiles or maps, by its name
/// (`torch/csrc/inductor/aoti_package/model_package_loader.cpp`).
#[must_use]
pub fn is_compiled(root: &[u8], name: &[u8]) -> bool {
    const CODE: [&[u8]; 10] =
        [b".so", b".o", b".cpp", b".cu", b".cubin", b".hsaco", b".ptx", b".spv", b".pyd", b".dll"];
    relative(root, name).is_some_and(|inside| {
        has_head(inside, b"data/aotinductor/") && CODE.iter().any(|end| has_end(inside, end))
    })
}

/// Whether a member lists the modules that a package takes from outside.
#[must_use]
pub fn is_extern_list(root: &[u8], name: &[u8]) -> bool {
    relative(root, name).is_some_and(|inside| inside.eq_ignore_ascii_case(b".data/extern_modules"))
}

/// The path of the module that a member of a package holds, with slashes: `a/b` of `a/b.py` and
/// of `a/b/__init__.py` (`PackageImporter._add_file`).
#[must_use]
pub fn module<'n>(root: &[u8], name: &'n [u8]) -> Option<&'n [u8]> {
    let inside = relative(root, name)?;
    let path = inside.strip_suffix(b".py").filter(|_| !inside.starts_with(b".data/"))?;
    Some(path.strip_suffix(b"/__init__").unwrap_or(path))
}

fn has_head(path: &[u8], head: &[u8]) -> bool {
    path.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head))
}

fn has_end(path: &[u8], end: &[u8]) -> bool {
    let start = path.len().checked_sub(end.len());
    start.and_then(|start| path.get(start..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::io::{Cursor, Write};
    use std::vec::Vec;

    fn kind_of(names: &[&str]) -> Option<Format> {
        let mut bytes = Vec::new();
        let mut writer = zip::ZipWriter::new(Cursor::new(&mut bytes));
        for name in names {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(b"x").unwrap();
        }
        writer.finish().unwrap();
        kind(&Archive::open(&bytes).unwrap())
    }

    #[test]
    fn archives_are_told_by_what_their_loader_asks_for() {
        for (names, format) in [
            (&["a.npy", "b/c.npy"][..], Some(Format::Npz)),
            (&["a.npy", "b.txt"], None),
            (&["config.json", "metadata.json", "model.weights.h5"], Some(Format::Keras)),
            (&["metadata.json", "notes.json"], None),
            (&["schema.json", "1.npy"], Some(Format::SkopsZip)),
            (&["p/a.py", "p/.data/extern_modules", "p/.data/version"], Some(Format::TorchPackage)),
            (&["p/a.py", "p/.DATA/EXTERN_MODULES"], Some(Format::TorchPackage)),
            (
                &["m/models/model.json", "m/archive_format", "m/.data/version"],
                Some(Format::TorchExport),
            ),
            (&["serialized_exported_program.json", "version"], Some(Format::TorchExport)),
            (&["MAR-INF/MANIFEST.json", "handler.py"], Some(Format::TorchServe)),
            (&["mar-inf/manifest.json", "handler.py"], None),
            (&["readme.txt"], None),
            (&[], None),
        ] {
            assert_eq!(kind_of(names), format, "{names:?}");
        }
    }

    #[test]
    fn members_play_their_part() {
        assert!(is_raw(Format::TorchExport, b"m", b"m/data/weights/weight_0", false));
        assert!(!is_raw(Format::TorchExport, b"m", b"m/data/weights/weight_0", true));
        assert!(!is_raw(Format::TorchExport, b"m", b"m/data/constants/opaque_obj_0", false));
        assert!(is_raw(Format::TorchPackage, b"p", b"p/.data/12.storage", false));
        assert!(!is_raw(Format::TorchPackage, b"p", b"p/model/0.storage", false));
        assert!(is_compiled(b"m", b"m/data/aotinductor/model/a.wrapper.cpp"));
        assert!(!is_compiled(b"m", b"m/extra/a.cpp"));
        assert_eq!(module(b"p", b"p/a/b.py"), Some(&b"a/b"[..]));
        assert_eq!(module(b"p", b"p/a/__init__.py"), Some(&b"a"[..]));
        assert_eq!(module(b"p", b"q/a.py"), None);
    }
}
