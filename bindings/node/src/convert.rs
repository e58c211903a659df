//! `convert`: a model file becomes a safetensors file.

use std::path::{Path, PathBuf};

use napi::bindgen_prelude::{AsyncTask, BigInt, Either};
use napi_derive::napi;
use secure_torch::{ConvertOptions, LoadOptions};

use crate::failure::Failure;
use crate::input::{Given, Input};
use crate::judgement::Judgement;
use crate::load::opened;
use crate::policy::Policy;
use crate::work::{Interest, Work};

/// How a checkpoint is converted.
#[napi(object, object_to_js = false)]
#[derive(Clone)]
pub struct Conversion {
    /// The part to convert.
    pub key: Option<String>,
    /// Leave out what is no tensor.
    pub drop_rest: bool,
    /// Write a tensor that has several names once for each of them.
    pub duplicate_shared: bool,
    /// Replace the file if it exists.
    pub force: bool,
}

/// What was converted.
#[napi(object, object_from_js = false)]
pub struct Converted {
    /// How many tensors were written.
    pub tensors: BigInt,
    /// The length of the file.
    pub bytes: BigInt,
    /// Names that were not written because another name has the same tensor, each with that name.
    pub tied: Vec<Vec<String>>,
    /// How many leaves were left out because they are no tensors.
    pub dropped: BigInt,
    /// The names of the first of them.
    pub dropped_first: Vec<String>,
    /// The judgement of the source.
    pub judgement: Judgement,
}

fn converted(
    given: Given,
    out: &Path,
    policy: &secure_torch::Policy,
    how: Conversion,
) -> Result<Converted, Failure> {
    let Conversion { key, drop_rest, duplicate_shared, force } = how;
    let options = ConvertOptions { key, drop_rest, duplicate_shared, force };
    let (made, judgement) = opened(given, policy, &LoadOptions::default())?;
    match secure_torch::convert(&made, out, policy, &options, &()) {
        Ok(told) => Ok(Converted {
            tensors: told.tensors.into(),
            bytes: told.bytes.into(),
            tied: told.tied.into_iter().map(|(name, of)| vec![name, of]).collect(),
            dropped: told.dropped.into(),
            dropped_first: told.dropped_first,
            judgement,
        }),
        Err(error) => Err(Failure::new(&error, Some(judgement))),
    }
}

/// Judges a file and writes its tensors to a safetensors file.
#[napi(catch_unwind)]
pub fn convert_sync(
    input: &mut Input,
    out: String,
    policy: &Policy,
    how: Conversion,
) -> napi::Result<Either<Converted, Failure>> {
    let converted = converted(input.take()?, Path::new(&out), &policy.inner, how);
    Ok(converted.map_or_else(Either::B, Either::A))
}

/// Judges a file and writes its tensors to a safetensors file, on the thread pool.
#[napi(ts_return_type = "Promise<Converted | Failure | null>", catch_unwind)]
pub fn convert(
    input: &mut Input,
    out: String,
    policy: &Policy,
    how: Conversion,
    interest: &Interest,
) -> napi::Result<AsyncTask<Work<Converted>>> {
    let (given, policy, out) = (input.take()?, policy.inner.clone(), PathBuf::from(out));
    Ok(Work::begin(interest, move || converted(given, &out, &policy, how)))
}
