//! The file that was written, opened anew and compared with its source.
//!
//! It is judged and loaded as any file is: what no gate would let through, or no reader reads as it
//! was meant, gets no name. Its bytes are compared with those of the source, which is read a second
//! time for it.

use std::collections::HashMap;

use secure_torch_core::checkpoint::{Object, Tensor, Value};

use super::plan::Plan;
use super::target::Fresh;
use super::{Progress, elements};
use crate::error::{Code, Error};
use crate::load::{Checkpoint, LoadOptions, load};
use crate::policy::Policy;
use crate::source::Source;

pub(super) fn written(
    checkpoint: &Checkpoint,
    plan: &Plan<'_>,
    fresh: &Fresh<'_>,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let target = fresh.target();
    let source = Source::open(fresh.path())?.called(target.path());
    let (made, _) = load(source, policy, &LoadOptions::default()).map_err(|error| error.error)?;
    let differs = |name: &str| {
        let name = crate::text::printable(name);
        let cause = format!("`{name}` reads back otherwise than it was read; nothing was kept");
        Error::new(Code::Write, target.name(), cause)
    };
    let found = tensors(&made);
    if found.len() != plan.tensors.len() {
        return Err(differs(super::plan::METADATA));
    }
    for tensor in &plan.tensors {
        let differs = || differs(&tensor.name);
        let back = found.get(tensor.name.as_str()).ok_or_else(differs)?;
        if back.dtype() != tensor.view.dtype || made.shape(back) != tensor.view.shape {
            return Err(differs());
        }
        let storage = back.storage().ok_or_else(differs)?;
        let mut rest = made.storage_bytes(storage)?;
        elements::each(checkpoint, &tensor.view, &mut |bytes| {
            let (now, later) = rest.split_at_checked(bytes.len()).ok_or_else(differs)?;
            if now != bytes {
                return Err(differs());
            }
            rest = later;
            progress.compared(bytes.len() as u64);
            Ok(())
        })?;
        if !rest.is_empty() {
            return Err(differs());
        }
    }
    Ok(())
}

/// The tensors of a safetensors file.
fn tensors(made: &Checkpoint) -> HashMap<&str, &Tensor> {
    let items = made.root_dict().map_or(&[][..], |dict| &dict.items);
    let tensor = |&(key, value): &(Value, Value)| match (key, value) {
        (Value::Text(key), Value::Object(id)) => match made.object(id) {
            Object::Tensor(tensor) => Some((made.text(key), tensor)),
            _ => None,
        },
        _ => None,
    };
    items.iter().filter_map(tensor).collect()
}
