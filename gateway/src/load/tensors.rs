//! Formats of tensors alone: safetensors, numpy's, and the initialisers of ONNX.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::DeflateDecoder;
use secure_torch_core::checkpoint as core;
use secure_torch_core::load::{self, Options};

use super::beside::Beside;
use super::{Checkpoint, failed};
use crate::error::Error;
use crate::source::Source;

/// A reader of the core.
type Reader = fn(&[u8], &Options) -> Result<core::Checkpoint, core::LoadError>;

/// What a reader finds in one file.
fn one(source: &Arc<Source>, options: &Options, reader: Reader) -> Result<Checkpoint, Error> {
    let made = reader(source.bytes(), options);
    let made = made.map_err(|error| failed(source.name(), "", &error))?;
    Checkpoint::new(made, vec![Arc::clone(source)], options.limits)
}

pub(super) fn safetensors(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    one(source, options, load::safetensors::load)
}

pub(super) fn npy(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    one(source, options, load::npy::load)
}

pub(super) fn npz(source: &Arc<Source>, options: &Options) -> Result<Checkpoint, Error> {
    one(source, options, |bytes, options| load::npz::load(bytes, options, &mut start))
}

/// The first bytes that deflated ones unpack to.
fn start(packed: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    DeflateDecoder::new(packed).take(most as u64).read_to_end(&mut content).ok()?;
    Some(content)
}

pub(super) fn onnx(
    source: &Arc<Source>,
    options: &Options,
    sealed: bool,
) -> Result<Checkpoint, Error> {
    let mut beside = Beside::new(source, options.file.saturating_add(1), sealed);
    let made = load::onnx::load(source.bytes(), options, &mut beside);
    let made = match (beside.error.take(), made) {
        (Some(error), Err(_)) => return Err(error),
        (_, made) => made.map_err(|error| failed(source.name(), "", &error))?,
    };
    let files = [Arc::clone(source)].into_iter().chain(beside.files).collect();
    Checkpoint::new(made, files, options.limits)
}
