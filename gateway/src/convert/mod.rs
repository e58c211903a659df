//! From a checkpoint to a safetensors file.
//!
//! [`convert`] flattens what a [`Checkpoint`] holds to names and tensors (`plan`), writes them in the
//! order and alignment of the reference writer (`layout`), element by element where they do not
//! follow each other (`elements`), into a new file beside the wanted one (`target`). That file is
//! then judged and loaded like any other and compared with the source, byte for byte, before it
//! takes its name (`check`).
//!
//! What it refuses: to change a number, to leave out a tensor, to leave out anything else unless it
//! is told to, and to give a name to a file that is not whole. Memory stays bounded: a tensor passes
//! through a buffer, and a compressed storage is held for as long as its tensor is written.

mod check;
mod elements;
mod layout;
mod part;
mod plan;
mod target;
#[cfg(test)]
mod tests;
mod walk;

use std::io::Write;
use std::path::Path;

use crate::error::{Code, Error};
use crate::load::{Checkpoint, LoadError, LoadOptions, load};
use crate::policy::Policy;
use crate::report::Report;
use crate::source::Source;

use plan::Plan;
use target::Target;

/// How a checkpoint is converted.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// The part to convert: the keys that lead to it, joined by dots. All of it without one.
    pub key: Option<String>,
    /// Leave out what is no tensor, and count it. It is an error otherwise.
    pub drop_rest: bool,
    /// Write a tensor that has several names once for each of them. Otherwise it is written once,
    /// and the metadata says which name stands for which.
    pub duplicate_shared: bool,
    /// Replace the file if it exists.
    pub force: bool,
}

/// What was converted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// How many tensors were written.
    pub tensors: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Names that were not written because another name has the same tensor, each with that name.
    pub tied: Vec<(String, String)>,
    /// How many leaves were left out because they are no tensors.
    pub dropped: u64,
    /// The names of the first of them. Not safe to print.
    pub dropped_first: Vec<String>,
}

/// Hears how far a conversion has come.
pub trait Progress {
    /// So many bytes are going to be written, and then as many compared.
    fn started(&self, bytes: u64) {
        let _ = bytes;
    }

    /// So many more bytes were written.
    fn wrote(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Everything is written; what is there is now read back.
    fn comparing(&self) {}

    /// So many more bytes were compared.
    fn compared(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// Hears nothing.
impl Progress for () {}

/// Judges a file, loads it and writes its tensors to a safetensors file.
///
/// # Errors
/// Those of [`load`] and of [`convert`].
pub fn convert_path(
    input: &Path,
    out: &Path,
    policy: &Policy,
    loading: &LoadOptions,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<(Converted, Report), LoadError> {
    let source = Source::open(input).map_err(|error| LoadError { error, report: None })?;
    convert_source(source, out, policy, loading, options, progress)
}

/// [`convert_path`] of a source that is open.
///
/// # Errors
/// Those of [`load`] and of [`convert`].
pub fn convert_source(
    source: Source,
    out: &Path,
    policy: &Policy,
    loading: &LoadOptions,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<(Converted, Report), LoadError> {
    // A mistyped name is told before the work is done; it is looked at again at the end.
    let fail = |error| LoadError { error, report: None };
    Target::at(out, options.force).map_err(fail)?;
    let (checkpoint, report) = load(source, policy, loading)?;
    match convert(&checkpoint, out, policy, options, progress) {
        Ok(converted) => Ok((converted, report)),
        Err(error) => Err(LoadError { error, report: Some(Box::new(report)) }),
    }
}

/// Writes the tensors of a checkpoint to a safetensors file, whole or not at all.
///
/// The policy gives the limits, and judges the file that was written before it takes its name.
///
/// # Errors
/// [`Code::Inconvertible`] where the checkpoint holds what the format cannot, [`Code::TooLarge`]
/// past a limit, [`Code::Exists`], [`Code::Write`], [`Code::Changed`] where the source changed
/// meanwhile, and what reading it gives.
pub fn convert(
    checkpoint: &Checkpoint,
    out: &Path,
    policy: &Policy,
    options: &ConvertOptions,
    progress: &dyn Progress,
) -> Result<Converted, Error> {
    let target = Target::at(out, options.force)?;
    let plan = Plan::new(checkpoint, options, &policy.limits)?;
    let header = layout::header(checkpoint, &plan)?;
    progress.started(plan.bytes());
    let fresh = target.create()?;
    {
        let failed =
            |error: &std::io::Error| Error::new(Code::Write, target.name(), error.to_string());
        let mut file = fresh.file();
        write(checkpoint, &plan, &header, &mut file, &failed, progress)?;
        file.sync_all().map_err(|error| failed(&error))?;
    }
    progress.comparing();
    check::written(checkpoint, &plan, &fresh, policy, progress)?;
    for file in checkpoint.files() {
        file.verify_unchanged()?;
    }
    fresh.commit()?;
    let header_bytes = u64::try_from(header.len()).unwrap_or(u64::MAX);
    Ok(Converted {
        tensors: plan.tensors.len() as u64,
        bytes: header_bytes.saturating_add(plan.bytes()),
        tied: plan.tied,
        dropped: plan.dropped,
        dropped_first: plan.dropped_first,
    })
}

/// Writes the whole file to a writer.
fn write(
    checkpoint: &Checkpoint,
    plan: &Plan<'_>,
    header: &[u8],
    out: &mut dyn Write,
    failed: &dyn Fn(&std::io::Error) -> Error,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut put = |bytes: &[u8]| {
        out.write_all(bytes).map_err(|error| failed(&error))?;
        progress.wrote(bytes.len() as u64);
        Ok(())
    };
    put(header)?;
    for tensor in &plan.tensors {
        elements::each(checkpoint, &tensor.view, &mut put)?;
    }
    Ok(())
}
