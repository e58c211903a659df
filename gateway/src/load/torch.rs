//! PyTorch's own layouts: ZIP, legacy, tar, and bare pickles.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use flate2::bufread::DeflateDecoder;
use secure_torch_core::checkpoint::{self as core, Builder};
use secure_torch_core::format::zip::{Archive, Entry, METHOD_DEFLATED, METHOD_STORED};
use secure_torch_core::limits::Limits;
use secure_torch_core::load::pickle::{NoStorages, Surroundings, build};
use secure_torch_core::load::{Options, torch_legacy, torch_tar, torch_zip};
use secure_torch_core::pickle::audit::PersistentIds;

use super::{Checkpoint, failed};
use crate::error::{Code, Error};
use crate::source::Source;
use crate::text::printable_bytes;

type Made = Result<core::Checkpoint, core::LoadError>;

pub(super) fn zip(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    let archive = Archive::open(source.bytes()).map_err(|error| broken(source, &error))?;
    let members =
        torch_zip::members(&archive).map_err(|error| failed(source.name(), "", &error))?;
    let limits = &options.limits;
    let pickle = content(source, &members.pickle, limits)?;
    let byteorder = match &members.byteorder {
        Some(entry) => Some(content(source, entry, limits)?),
        None => None,
    };
    let made = torch_zip::load(&archive, &members, &pickle, byteorder.as_deref(), options);
    let name = printable_bytes(members.pickle.name());
    finish(source, &format!("`{name}`"), options, made)
}

pub(super) fn legacy(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    finish(source, "", options, torch_legacy::load(source.bytes(), options))
}

pub(super) fn tar(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    finish(source, "", options, torch_tar::load(source.bytes(), options))
}

pub(super) fn pickle(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    let mut builder = Builder::new();
    let surroundings = Surroundings { ids: PersistentIds::None, torchscript: false };
    let bytes = source.bytes();
    let made = build(bytes, options, surroundings, &mut builder, &mut NoStorages);
    let made = made.and_then(|(root, end)| {
        let finished = builder.finish(root, &options.limits.pickle);
        finished.map_err(|problem| core::LoadError::at(problem, end as u64))
    });
    finish(source, "", options, made)
}

fn finish(
    source: &Arc<Source>,
    part: &str,
    options: &Options,
    made: Made,
) -> Result<Checkpoint, Error> {
    let made = made.map_err(|error| failed(source.name(), part, &error))?;
    Checkpoint::new(made, vec![Arc::clone(source)], options.limits)
}

fn broken(source: &Source, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Malformed, source.name(), error.to_string())
}

/// The content of a member, which the directory says the length of.
pub(super) fn content<'s>(
    source: &'s Source,
    entry: &Entry<'s>,
    limits: &Limits,
) -> Result<Cow<'s, [u8]>, Error> {
    let length = entry.central.uncompressed_size;
    match entry.central.method {
        METHOD_STORED => entry.data().map(Cow::Borrowed).map_err(|error| broken(source, &error)),
        METHOD_DEFLATED => inflate(source, entry, length, limits).map(Cow::Owned),
        _ => {
            let name = printable_bytes(entry.name());
            Err(broken(
                source,
                &format!("the member `{name}` is packed in another way than by deflate"),
            ))
        }
    }
}

/// The content of the deflated member whose header stands at `header` in the directory, which must be of
/// `length` bytes.
pub(super) fn unpack(
    source: &Source,
    header: u64,
    length: usize,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let archive = Archive::open(source.bytes()).map_err(|error| broken(source, &error))?;
    let entry = archive.entry(header).map_err(|error| broken(source, &error))?;
    inflate(source, &entry, length as u64, limits)
}

fn inflate(
    source: &Source,
    entry: &Entry<'_>,
    length: u64,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let name = printable_bytes(entry.name());
    if length > limits.archive.member_bytes {
        let cause =
            format!("the member `{name}` takes more than {} bytes", limits.archive.member_bytes);
        return Err(Error::new(Code::TooLarge, source.name(), cause));
    }
    let data = entry.data().map_err(|error| broken(source, &error))?;
    let mut content = Vec::new();
    let mut decoder = DeflateDecoder::new(data);
    let read = (&mut decoder).take(length.saturating_add(1)).read_to_end(&mut content);
    let fail = |cause: String| Err(broken(source, &format!("the member `{name}` {cause}")));
    match read {
        Err(error) => fail(format!("cannot be unpacked: {error}")),
        Ok(_) if content.len() as u64 != length => {
            fail(format!("does not unpack to the {length} bytes that it declares"))
        }
        Ok(_) if decoder.total_in() != data.len() as u64 => {
            fail("has bytes behind its compressed data".to_owned())
        }
        Ok(_) => Ok(content),
    }
}
