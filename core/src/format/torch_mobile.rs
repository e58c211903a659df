//! Mobile TorchScript modules as FlatBuffers (`.ptl`): programs for PyTorch's mobile interpreter.
//!
//! Every table that the schema reaches is checked. The module is a program that runs when the
//! model runs, so it is `torchscript.code` like any TorchScript; the operators that it calls are
//! judged by the system `torchscript` of `spec/rules/names.toml`. A tensor must lie inside its
//! storage, because the loader sets sizes and strides without looking. TorchScript source and
//! extra files that are carried along are handed out as files.
//!
//! What it refuses to do: run or follow the instructions.
//!
//! Follows pytorch/pytorch, `torch/csrc/jit/serialization/mobile_bytecode.fbs` and
//! `torch/csrc/jit/mobile/flatbuffer_loader.cpp`. Stricter than the loader: the number of storages
//! that is written beside them must be theirs, and a tensor's last element inside its storage.

use super::detect::signature;
use super::event::{Anomaly, Event, Sink};
use super::flatbuffer::{Kind, Run, Shape, Table, is_flatbuffer, root, walk};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What a mobile module may hold.
    pub enum TorchMobileKind;
    Identifier, FormatStructure, "torch-mobile-identifier",
        "the identifier `PTMF` is not there, and the loader refuses the file";
    Code, TorchscriptCode, "torch-mobile-code",
        "the module is a program that runs when the model runs";
    Operator, TorchscriptOperator, "torch-mobile-operator",
        "the program calls an operator that touches files, processes, other modules or the interpreter";
    Type, ReferenceUnknown, "torch-mobile-type",
        "an object is of a class that the module does not bring along";
    Storages, FormatStructure, "torch-mobile-storages",
        "more storages are announced than there are, and the loader reads past them";
    Tensor, FormatStructure, "torch-mobile-tensor",
        "a tensor reaches outside its storage";
    Partial, FormatPartial, "torch-mobile-partial",
        "what the instructions compute was not judged";
}

static FILE: Shape = Shape { fields: &[Kind::Text, Kind::Text] };
static STORAGE: Shape = Shape { fields: &[Kind::Vector(1)] };
static OBJECT_TYPE: Shape = Shape { fields: &[Kind::Text, Kind::Inline(1), Kind::Texts] };
static QUANTIZED: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Inline(8),
        Kind::Inline(4),
        Kind::Table(&TENSOR),
        Kind::Table(&TENSOR),
        Kind::Inline(4),
    ],
};
static TENSOR: Shape = Shape {
    fields: &[
        Kind::Inline(4), // storage
        Kind::Inline(1), // type
        Kind::Inline(4), // offset
        Kind::Vector(4), // sizes
        Kind::Vector(4), // strides
        Kind::Inline(1),
        Kind::Table(&QUANTIZED),
    ],
};
static ARGUMENT: Shape = Shape { fields: &[Kind::Text, Kind::Text, Kind::Inline(4)] };
static SCHEMA: Shape = Shape { fields: &[Kind::Tables(&ARGUMENT), Kind::Tables(&ARGUMENT)] };
static OPERATOR: Shape = Shape { fields: &[Kind::Text, Kind::Text, Kind::Inline(4)] };
static FUNCTION: Shape = Shape {
    fields: &[
        Kind::Text,
        Kind::Vector(8), // instructions
        Kind::Tables(&OPERATOR),
        Kind::Vector(4),
        Kind::Texts,
        Kind::Inline(4),
        Kind::Table(&SCHEMA),
        Kind::Table(&Shape { fields: &[Kind::Vector(8)] }),
        Kind::Inline(4),
    ],
};
static VALUE: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Union(&[
            Kind::Structure(8),  // integer
            Kind::Structure(1),  // boolean
            Kind::Structure(8),  // float
            Kind::Structure(16), // complex
            Kind::Table(&TENSOR),
            Kind::Table(&Shape { fields: &[Kind::Text] }), // text
            Kind::Table(&Shape { fields: &[Kind::Vector(4), Kind::Text] }), // list
            Kind::Table(&Shape { fields: &[Kind::Vector(4)] }), // tuple
            Kind::Table(&Shape { fields: &[Kind::Vector(4), Kind::Vector(4), Kind::Text] }),
            Kind::Table(&Shape {
                fields: &[Kind::Inline(4), Kind::Inline(4), Kind::Vector(4), Kind::Inline(4)],
            }), // object
            Kind::Table(&Shape { fields: &[Kind::Vector(8)] }), // integers
            Kind::Table(&Shape { fields: &[Kind::Vector(8)] }), // floats
            Kind::Table(&Shape { fields: &[Kind::Vector(1)] }), // booleans
            Kind::Table(&Shape { fields: &[Kind::Text] }),      // device
            Kind::Table(&Shape { fields: &[Kind::Text, Kind::Inline(4)] }), // enumeration
            Kind::Table(&FUNCTION),
        ]),
    ],
};
static MODULE: Shape = Shape {
    fields: &[
        Kind::Inline(4),
        Kind::Tables(&FILE), // extra files
        Kind::Vector(4),
        Kind::Inline(4),
        Kind::Tables(&VALUE), // 4
        Kind::Inline(4),      // how many storages
        Kind::Tables(&STORAGE),
        Kind::Tables(&OBJECT_TYPE),
        Kind::Tables(&FILE), // 8: TorchScript source
        Kind::Vector(4),
        Kind::Inline(4),
    ],
};

/// Whether PyTorch would take the bytes for a mobile module: it looks for the identifier
/// (`torch/csrc/jit/mobile/file_format.h`).
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    is_flatbuffer(bytes, |identifier| identifier == b"PTMF")
}

/// Walks every table.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    if bytes.get(4..8) != Some(b"PTMF") {
        sink(TorchMobileKind::Identifier.at(0, &[]));
        return;
    }
    sink(TorchMobileKind::Code.at(0, &[]));
    let module = root(bytes);
    walk(bytes, &MODULE, limits, sink, &mut |shape, table, sink| {
        let Some(module) = module else { return };
        if core::ptr::eq(shape, &raw const OPERATOR) {
            if let Some(Named::Dangerous(why)) = named(System::Torchscript, table.text(0)) {
                sink(Event::Anomaly(Anomaly {
                    rule: TorchMobileKind::Operator.rule(),
                    id: TorchMobileKind::Operator.id(),
                    message: why,
                    offset: table.offset(),
                    subject: table.text(0),
                }));
            }
        } else if core::ptr::eq(shape, &raw const OBJECT_TYPE) {
            let name = table.text(0);
            if !name.starts_with(b"__torch__.") {
                sink(TorchMobileKind::Type.at(table.offset(), name));
            }
        } else if core::ptr::eq(shape, &raw const FILE) {
            if let Some(content) = table.run(1) {
                let Run { bytes, .. } = content;
                sink(Event::Member { name: table.text(0), offset: content.offset(), bytes });
            }
        } else if core::ptr::eq(shape, &raw const STORAGE) {
            if let Some(data) = table.run(0)
                && signature(data.bytes).is_some_and(|signature| signature.native)
            {
                let Run { bytes, .. } = data;
                sink(Event::Member { name: b"storage", offset: data.offset(), bytes });
            }
        } else if core::ptr::eq(shape, &raw const TENSOR) && !fits(module, table) {
            sink(TorchMobileKind::Tensor.at(table.offset(), &[]));
        } else if core::ptr::eq(shape, &raw const MODULE) && table.u32(5) > table.count(6) {
            sink(TorchMobileKind::Storages.at(table.offset(), &[]));
        }
    });
    sink(TorchMobileKind::Partial.at(0, &[]));
    sink(Event::Unjudged("what the instructions of a mobile module compute was not judged"));
}

/// Whether a tensor's last element lies inside its storage.
fn fits(module: Table<'_>, tensor: Table<'_>) -> bool {
    let storage = module.item(6, tensor.u32(0)).and_then(|storage| storage.run(0));
    let stored = storage.map_or(0, |storage| u64::try_from(storage.bytes.len()).unwrap_or(0));
    last_byte(tensor).is_some_and(|needed| needed <= stored)
}

/// Where a tensor ends in its storage: nothing where a number is negative or too large.
fn last_byte(tensor: Table<'_>) -> Option<u64> {
    // In elements, from the offset on.
    let mut last = u64::try_from(tensor.u32(2).cast_signed()).ok()?;
    let (sizes, strides) = (numbers(tensor, 3), numbers(tensor, 4));
    if sizes.len() != strides.len() {
        return None;
    }
    let mut empty = false;
    for (size, stride) in sizes.zip(strides) {
        let (size, stride) = (u64::try_from(size).ok()?, u64::try_from(stride).ok()?);
        match size.checked_sub(1) {
            Some(steps) => last = last.checked_add(steps.checked_mul(stride)?)?,
            None => empty = true,
        }
    }
    if empty {
        return Some(0);
    }
    let elements = last.checked_add(1)?;
    // `c10/core/ScalarType.h`; types that are not listed take a byte or more.
    let bits: u64 = match tensor.u8(1) {
        // quint2x4
        17 => 2,
        // quint4x2
        16 => 4,
        // short, half, bfloat16
        2 | 5 | 15 => 16,
        // int, float, complex half, qint32
        3 | 6 | 8 | 14 => 32,
        // long, double, complex float
        4 | 7 | 9 => 64,
        // complex double
        10 => 128,
        _ => 8,
    };
    elements.checked_mul(bits).map(|bits| bits.div_ceil(8))
}

/// The signed numbers of a vector.
fn numbers<'a>(table: Table<'a>, slot: usize) -> impl ExactSizeIterator<Item = i32> + use<'a> {
    let (words, _) = table.items(slot, 4).as_chunks();
    words.iter().map(|&word| i32::from_le_bytes(word))
}
