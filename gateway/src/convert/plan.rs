//! Which tensors are written, under which names, and in which order.
//!
//! One tensor under several names is written once, unless it is wanted otherwise. The bytes to write
//! are counted against the storages that they come from: a tensor can repeat a single number without
//! end, and hostile files do.

use std::collections::HashMap;

use secure_torch_core::checkpoint::{Place, StorageId};
use secure_torch_core::limits::Limits;

use super::part::{part, pure_part};
use super::walk::Walk;
use super::{ConvertOptions, layout};
use crate::error::{Code, Error};
use crate::load::Checkpoint;
use crate::text::printable;
use crate::view::{Identity, View};

/// The one key of a header that names no tensor.
pub(super) const METADATA: &str = "__metadata__";
/// The name of a tensor that is all there is.
const ALONE: &str = "tensor";

/// A tensor that is written.
#[derive(Debug)]
pub(super) struct Named<'c> {
    pub(super) name: String,
    pub(super) view: View<'c>,
    pub(super) bytes: u64,
}

/// What is going to be written.
#[derive(Debug, Default)]
pub(super) struct Plan<'c> {
    /// In the order in which they are written.
    pub(super) tensors: Vec<Named<'c>>,
    /// Names of tensors that another name has.
    pub(super) tied: Vec<(String, String)>,
    pub(super) dropped: u64,
    pub(super) dropped_first: Vec<String>,
}

impl<'c> Plan<'c> {
    pub(super) fn new(
        checkpoint: &'c Checkpoint,
        options: &ConvertOptions,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let (root, alone) = match &options.key {
            None => (checkpoint.root(), ALONE),
            Some(key) => {
                let last = key.rsplit('.').next().unwrap_or(key);
                (part(checkpoint, key)?, last)
            }
        };
        let mut walk = Walk::new(checkpoint, limits);
        walk.run(root, alone)?;
        let mut plan = walk.plan;
        if plan.dropped > 0 && !options.drop_rest {
            return Err(rest(checkpoint, &plan, options));
        }
        if plan.dropped > 0 && plan.tensors.is_empty() {
            return Err(cannot(checkpoint, "it holds no tensor".to_owned()));
        }
        unique(checkpoint, &mut plan.tensors)?;
        plan.measure(checkpoint, limits, options)?;
        plan.tensors.sort_by_key(|tensor| layout::rank(tensor.view.dtype));
        Ok(plan)
    }

    /// How many bytes the tensors take.
    pub(super) fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add)
    }

    /// Finds tensors with several names, and counts what is written against what is there. The
    /// tensors are sorted by name: of several names the first is kept, as the reference does
    /// (`_remove_duplicate_names` in `safetensors/torch.py`).
    fn measure(
        &mut self,
        checkpoint: &Checkpoint,
        limits: &Limits,
        options: &ConvertOptions,
    ) -> Result<(), Error> {
        let mut known: HashMap<Identity, usize> = HashMap::new();
        let mut users: HashMap<StorageId, u32> = HashMap::new();
        let mut kept: Vec<Named<'c>> = Vec::with_capacity(self.tensors.len());
        for tensor in std::mem::take(&mut self.tensors) {
            let identity = Identity::of(checkpoint, &tensor.view);
            let storage = identity.storage;
            if tensor.bytes > 0 && !options.duplicate_shared {
                if let Some(first) = known.get(&identity).and_then(|&first| kept.get(first)) {
                    self.tied.push((tensor.name, first.name.clone()));
                    continue;
                }
                known.insert(identity, kept.len());
            }
            for id in [storage, tensor.view.storage] {
                let count = users.entry(id).or_default();
                *count = count.saturating_add(1);
            }
            kept.push(tensor);
        }
        let (mut there, mut packed) = (0_u64, 0_u64);
        for storage in users.keys().filter_map(|&id| checkpoint.storage(id)) {
            match storage.place {
                // It is part of the storage below it, which is counted itself.
                Place::View { .. } => continue,
                Place::Member { .. } => packed = packed.saturating_add(storage.bytes),
                _ => {}
            }
            there = there.saturating_add(storage.bytes);
        }
        if packed > limits.archive.total_bytes {
            let most = limits.archive.total_bytes;
            let cause = format!(
                "its compressed storages take {packed} bytes together, more than the {most} of \
                 archive.total_bytes"
            );
            return Err(too_much(checkpoint, cause));
        }
        for tensor in &mut kept {
            // Counted once as itself and once as what lies below it.
            tensor.view.passing = users.get(&tensor.view.storage) == Some(&2);
        }
        self.tensors = kept;
        let bytes = self.bytes();
        let most = there.saturating_mul(limits.convert.ratio.into());
        if bytes > most.max(limits.convert.ratio_floor_bytes) {
            let cause = format!(
                "the tensors would take {bytes} bytes, and the storages that they look at have {there}: \
                 more than convert.ratio and convert.ratio_floor_bytes allow"
            );
            return Err(too_much(checkpoint, cause));
        }
        Ok(())
    }
}

/// Sorts the tensors by name, and sees that no name is there twice.
fn unique(checkpoint: &Checkpoint, tensors: &mut [Named<'_>]) -> Result<(), Error> {
    tensors.sort_by(|one, other| one.name.cmp(&other.name));
    let twice = tensors.windows(2).find_map(|pair| match pair {
        [one, other] if one.name == other.name => Some(&one.name),
        _ => None,
    });
    if let Some(name) = twice {
        let name = printable(name);
        let cause =
            format!("two tensors would be named `{name}` once their keys are joined by dots");
        return Err(cannot(checkpoint, cause));
    }
    match tensors.iter().find(|tensor| tensor.name == METADATA) {
        Some(_) => Err(cannot(checkpoint, format!("no tensor may be named `{METADATA}`"))),
        None => Ok(()),
    }
}

/// What is there besides tensors, with what may help.
fn rest(checkpoint: &Checkpoint, plan: &Plan<'_>, options: &ConvertOptions) -> Error {
    let first: Vec<String> =
        plan.dropped_first.iter().map(|name| format!("`{}`", printable(name))).collect();
    let more = plan.dropped.saturating_sub(plan.dropped_first.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let mut cause = format!(
        "the format holds tensors and nothing else, and these are none: {}{more}; `--drop-rest` \
         leaves them out",
        first.join(", ")
    );
    if options.key.is_none()
        && let Some(key) = pure_part(checkpoint)
    {
        cause.push_str(&format!(", and `--key {}` converts a part without any", printable(key)));
    }
    cannot(checkpoint, cause)
}

pub(super) fn cannot(checkpoint: &Checkpoint, cause: String) -> Error {
    Error::new(Code::Inconvertible, checkpoint.name(), cause)
}

pub(super) fn too_much(checkpoint: &Checkpoint, cause: String) -> Error {
    Error::new(Code::TooLarge, checkpoint.name(), cause)
}
