//! From a judged file to its tensors, without running anything of it.
//!
//! [`load`] judges a [`Source`] and then reads the same opened bytes into a [`Checkpoint`]. What the
//! policy blocks is not read any further; what it lets through is rebuilt by our own readers
//! (`secure_torch_core::load`), and whatever those have no rule for is an error with its place, never
//! left out.
//!
//! Tensor bytes are not read here. A [`Checkpoint`] keeps the file open and gives them out, storage
//! by storage, when they are asked for.

mod beside;
mod block;
mod checkpoint;
mod named;
mod shards;
mod tensors;
mod torch;

use std::fmt;
use std::sync::Arc;

use secure_torch_core::checkpoint as core;
use secure_torch_core::checkpoint::Problem;
use secure_torch_core::format::detect::Format;
use secure_torch_core::load::{Options, Python2Text};

use crate::error::{Code, Error};
use crate::policy::Policy;
use crate::report::Report;
use crate::scan;
use crate::source::Source;

pub use checkpoint::{Checkpoint, Memory};
pub use named::NamedTensor;
pub use shards::load_path;

/// How a file is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Work on a copy of the file that nobody can change, instead of a mapping of the file itself.
    ///
    /// A mapping shows what others write to the file after it was judged. What the pickles and
    /// headers say cannot get past the checks that way, but the numbers in tensors can change.
    pub sealed: bool,
    /// How the strings of Python 2 in a pickle are decoded.
    pub text: Python2Text,
    /// Load what the policy blocks as well, for a caller that only listens to the report. The
    /// readers run nothing either way; what they have no rule for stays an error.
    pub audit_only: bool,
}

/// Why a file was not loaded, and what its judgement said where there is one.
#[derive(Debug)]
pub struct LoadError {
    /// What went wrong.
    pub error: Error,
    /// The judgement, unless the file could not even be read.
    pub report: Option<Box<Report>>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Judges a source and loads what it holds.
///
/// # Errors
/// [`Code::Blocked`] where the policy does not let it through, [`Code::Malformed`] where it is
/// broken, [`Code::Unsupported`] where it holds something that is not rebuilt without running it,
/// [`Code::Changed`] where the file changed meanwhile, and what reading files it refers to gives.
pub fn load(
    source: Source,
    policy: &Policy,
    options: &LoadOptions,
) -> Result<(Checkpoint, Report), LoadError> {
    let source = if options.sealed { source.seal() } else { Ok(source) };
    let source = Arc::new(source.map_err(|error| LoadError { error, report: None })?);
    load_shared(&source, policy, options)
}

/// Judges a source that the caller keeps, and loads what it holds. It is read as it is:
/// [`LoadOptions::sealed`] does nothing here.
///
/// # Errors
/// As [`load`].
pub fn load_shared(
    source: &Arc<Source>,
    policy: &Policy,
    options: &LoadOptions,
) -> Result<(Checkpoint, Report), LoadError> {
    let (report, _, formats) = scan::judge(source, policy, None);
    let checkpoint = allowed(source, &report, options)
        .and_then(|()| read(source, &formats, policy, options))
        .and_then(|checkpoint| {
            let unchanged = checkpoint.files().iter().try_for_each(|file| file.verify_unchanged());
            unchanged.map(|()| checkpoint)
        });
    match checkpoint {
        Ok(checkpoint) => Ok((checkpoint, report)),
        Err(error) => Err(LoadError { error, report: Some(Box::new(report)) }),
    }
}

/// Loads a source that was judged already.
fn read(
    source: &Arc<Source>,
    formats: &[Format],
    policy: &Policy,
    options: &LoadOptions,
) -> Result<Checkpoint, Error> {
    let &[format] = formats else {
        let cause = "loaders of more than one format accept it, and would load different things";
        return Err(Error::new(Code::Unsupported, source.name(), cause));
    };
    let limits = policy.limits;
    let inner = Options { file: 0, text: options.text, limits };
    match format {
        Format::PytorchZip | Format::TorchScript => torch::zip(source, &inner),
        Format::PytorchLegacy => torch::legacy(source, &inner),
        Format::PytorchTar => torch::tar(source, &inner),
        Format::Pickle => torch::pickle(source, &inner),
        Format::Safetensors => tensors::safetensors(source, &inner),
        Format::Npy => tensors::npy(source, &inner),
        Format::Npz => tensors::npz(source, &inner),
        Format::Onnx => tensors::onnx(source, &inner, options.sealed),
        Format::ShardIndex => shards::index(source, policy, options),
        other => {
            let cause = format!("files of the format {} are judged, not loaded", other.id());
            Err(Error::new(Code::Unsupported, source.name(), cause))
        }
    }
}

fn allowed(source: &Source, report: &Report, options: &LoadOptions) -> Result<(), Error> {
    if report.load_allowed() || options.audit_only {
        return Ok(());
    }
    Err(Error::new(Code::Blocked, source.name(), report.reasons.join("; ")))
}

/// What a reader of the core says, about the part of a source that it read.
fn failed(name: &str, part: &str, error: &core::LoadError) -> Error {
    let code = match error.problem {
        Problem::Global
        | Problem::Unsupported
        | Problem::Unbuilt(_)
        | Problem::Extension
        | Problem::Buffer => Code::Unsupported,
        Problem::Full | Problem::Depth | Problem::Expansion => Code::TooLarge,
        _ => Code::Malformed,
    };
    let place = if part.is_empty() { String::new() } else { format!(" of {part}") };
    let about = match error.subject.as_str() {
        "" => String::new(),
        subject => format!(" `{}`:", crate::text::printable(subject)),
    };
    let message = error.problem.message();
    let cause = format!("{about} {message} (at byte {}{place})", error.offset);
    Error::new(code, name, cause.trim_start())
}
