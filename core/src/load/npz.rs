//! Loads an archive as `numpy.savez` writes it: a dict of arrays, by the names of its members
//! without `.npy`, in the order of the archive's directory.
//!
//! An array that is stored lies in the file. One that is deflated lies in what its member unpacks
//! to, and only the header at its start is unpacked here, by the caller.
//!
//! It refuses members that are no arrays, which numpy hands out as bytes, other compressions than
//! deflate, and names that mean the same.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Options;
use super::npy::{Header, header};
use crate::checkpoint::{
    Builder, Checkpoint, Dict, DictKind, Dtype, LoadError, Object, Place, Problem, Storage, Value,
};
use crate::format::npy::MAGIC;
use crate::format::zip::{Archive, Entry, METHOD_DEFLATED, METHOD_STORED};

/// The bit of a member that is encrypted (APPNOTE 4.4.4).
const ENCRYPTED: u16 = 1;

/// Unpacks the start of deflated bytes: as much as there is, but no more bytes than are said.
/// Nothing where they do not unpack.
pub type Start<'s> = &'s mut dyn FnMut(&[u8], usize) -> Option<Vec<u8>>;

/// Loads a file; `start` unpacks.
///
/// # Errors
/// Those of [`super::npy::load`], about the member, with the place counted from its start; and
/// [`Problem::Format`] and [`Problem::Unbuilt`] for what the archive itself says.
pub fn load(bytes: &[u8], options: &Options, start: Start<'_>) -> Result<Checkpoint, LoadError> {
    let at = |problem| LoadError::at(problem, 0);
    let archive = Archive::open(bytes)
        .map_err(|error| LoadError::at(Problem::Format(error.kind.message()), error.offset))?;
    let mut builder = Builder::new();
    let location = builder.text("cpu").map_err(at)?;
    let (mut items, mut names) = (Vec::new(), BTreeSet::new());
    for entry in archive.entries() {
        let entry = entry
            .map_err(|error| LoadError::at(Problem::Format(error.kind.message()), error.offset))?;
        let name = core::str::from_utf8(entry.name())
            .map_err(|_| LoadError::at(Problem::Encoding, entry.central.offset))?;
        let name = name.strip_suffix(".npy").unwrap_or(name);
        let about = |error: LoadError| LoadError::about(error.problem, error.offset, name);
        let wrong = |message| LoadError::about(Problem::Format(message), entry.header_offset, name);
        if !names.insert(name) {
            return Err(wrong("two members of the archive have the same name"));
        }
        let (header, place) = member(&mut builder, &entry, options, start).map_err(about)?;
        let place = match place {
            Content::At(data) => {
                let offset = data.saturating_add(header.start);
                Place::File { file: options.file, offset }
            }
            Content::Packed => {
                let place = Place::Member { file: options.file, header: entry.central.offset };
                let bytes = entry.central.uncompressed_size;
                let dtype = Dtype::Uint8;
                let of = builder
                    .storage(Storage { bytes, dtype, location, place, swapped: false })
                    .map_err(at)?;
                Place::View { of, offset: header.start }
            }
        };
        let array = header.array(&mut builder, location, place).map_err(at)?;
        let name = builder.text(name).map_err(at)?;
        items.push((Value::Text(name), array));
    }
    let dict = Object::Dict(Dict { kind: DictKind::Plain, items, state: None });
    let root = builder.object(dict).map_err(at)?;
    builder.finish(Value::Object(root), &options.limits.pickle).map_err(at)
}

/// Where a member's content is.
enum Content {
    /// In the file, from this byte on.
    At(u64),
    /// It has to be unpacked.
    Packed,
}

/// The header of the array that is a member, and where the member is.
fn member(
    builder: &mut Builder,
    entry: &Entry<'_>,
    options: &Options,
    start: Start<'_>,
) -> Result<(Header, Content), LoadError> {
    let wrong = |message| LoadError::at(Problem::Format(message), entry.header_offset);
    let zip = |error: crate::format::zip::ZipError| {
        LoadError::at(Problem::Format(error.kind.message()), error.offset)
    };
    let central = &entry.central;
    if central.flags & ENCRYPTED != 0 {
        return Err(LoadError::at(
            Problem::Unbuilt("a member of the archive is encrypted"),
            entry.header_offset,
        ));
    }
    let data = entry.data().map_err(zip)?;
    let unpacked;
    let (content, place) = match central.method {
        METHOD_STORED if central.compressed_size == central.uncompressed_size => {
            (data, Content::At(entry.data_range().map_err(zip)?.start))
        }
        METHOD_STORED => return Err(wrong("a stored member says that it unpacks to another size")),
        METHOD_DEFLATED => {
            let most = crate::format::npy::HEADER_BYTES;
            unpacked = start(data, most).ok_or_else(|| wrong("a member does not unpack"))?;
            (unpacked.as_slice(), Content::Packed)
        }
        _ => {
            return Err(LoadError::at(
                Problem::Unbuilt(
                    "a member of the archive is compressed in a way that numpy does not write",
                ),
                entry.header_offset,
            ));
        }
    };
    if !content.starts_with(MAGIC) {
        return Err(LoadError::at(
            Problem::Unbuilt("a member of the archive is no array"),
            entry.header_offset,
        ));
    }
    let header = header(builder, content, options)?;
    header.fits(central.uncompressed_size)?;
    Ok((header, place))
}
