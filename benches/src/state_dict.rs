//! The `data.pkl` that `torch.save` writes for the `state_dict` of a module with many tensors.

use crate::pickler::{Pickler, Protocol};

/// How many elements each tensor has.
pub const ELEMENTS: u64 = 16;

/// The pickle of a `state_dict` of `count` tensors of 4 × 4 floats, each with its own storage,
/// and with the `_metadata` that modules keep.
#[must_use]
pub fn pickle(count: usize) -> Vec<u8> {
    pickle_of(&vec![ELEMENTS; count])
}

/// The same for tensors with these numbers of elements, each a multiple of four.
#[must_use]
pub fn pickle_of(elements: &[u64]) -> Vec<u8> {
    let mut pickler = Pickler::new(Protocol::Two);
    let mut shared = Shared::default();
    ordered_dict(&mut pickler, &mut shared.ordered_dict);
    pickler.set_items(elements.len(), |pickler, index| {
        pickler.text(&tensor_name(index));
        tensor(pickler, &mut shared, index, elements[index]);
    });
    // `BUILD` gives the dict its attribute `_metadata`.
    pickler.dict(1, |pickler, _| {
        pickler.text("_metadata");
        ordered_dict(pickler, &mut shared.ordered_dict);
        pickler.set_items(elements.len().div_ceil(2), |pickler, module| {
            pickler.text(&module_name(module));
            pickler.dict(1, |pickler, _| {
                shared_text(pickler, &mut shared.version, "version");
                pickler.int(1);
            });
        });
    });
    pickler.build();
    pickler.finish()
}

/// The memo's numbers of what every tensor uses.
#[derive(Default)]
struct Shared {
    ordered_dict: Option<u32>,
    rebuild: Option<u32>,
    storage: Option<u32>,
    kind: Option<u32>,
    location: Option<u32>,
    version: Option<u32>,
}

fn module_name(module: usize) -> String {
    format!("encoder.layer.{}.block.{}", module / 6, module % 6)
}

fn tensor_name(index: usize) -> String {
    let last = if index.is_multiple_of(2) { "weight" } else { "bias" };
    format!("{}.{last}", module_name(index / 2))
}

fn tensor(pickler: &mut Pickler, shared: &mut Shared, index: usize, elements: u64) {
    shared_global(pickler, &mut shared.rebuild, "torch._utils", "_rebuild_tensor_v2");
    pickler.tuple(6, |pickler, argument| match argument {
        0 => {
            pickler.tuple(5, |pickler, item| match item {
                0 => shared_text(pickler, &mut shared.kind, "storage"),
                1 => shared_global(pickler, &mut shared.storage, "torch", "FloatStorage"),
                2 => drop(pickler.text(&index.to_string())),
                3 => shared_text(pickler, &mut shared.location, "cpu"),
                _ => pickler.int(elements as i64),
            });
            pickler.persistent();
        }
        1 => pickler.int(0),
        2 => drop(pickler.tuple(2, |pickler, axis| {
            pickler.int(if axis == 0 { 4 } else { elements as i64 / 4 });
        })),
        3 => drop(pickler.tuple(2, |pickler, axis| {
            pickler.int(if axis == 0 { elements as i64 / 4 } else { 1 });
        })),
        4 => pickler.bool(false),
        // The hooks.
        _ => ordered_dict(pickler, &mut shared.ordered_dict),
    });
    pickler.reduce();
}

fn ordered_dict(pickler: &mut Pickler, slot: &mut Option<u32>) {
    shared_global(pickler, slot, "collections", "OrderedDict");
    pickler.tuple(0, |_, _| {});
    pickler.reduce();
}

fn shared_global(pickler: &mut Pickler, slot: &mut Option<u32>, module: &str, name: &str) {
    match *slot {
        Some(index) => pickler.get(index),
        None => *slot = Some(pickler.global(module, name)),
    }
}

fn shared_text(pickler: &mut Pickler, slot: &mut Option<u32>, text: &str) {
    match *slot {
        Some(index) => pickler.get(index),
        None => *slot = Some(pickler.text(text)),
    }
}
