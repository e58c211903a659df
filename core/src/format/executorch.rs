//! ExecuTorch programs (`.pte`): a FlatBuffer, and segments of data behind it.
//!
//! Every table that the schema reaches is checked, inside the program's size if the extended header
//! gives one, since that is all that the runtime loads of it. Segments lie inside the file and
//! behind the program. Operators are judged by the system `torchscript` of
//! `spec/rules/names.toml`. Delegates, constants and named data that start like a program for the
//! machine are handed out as files: the delegate of AOTInductor writes its blob to a file and opens
//! it as a library.
//!
//! What it refuses to do: look into what a delegate is given, which is its backend's own code.
//!
//! Follows pytorch/executorch, `schema/program.fbs`, `schema/extended_header.cpp` and
//! `runtime/executor/program.cpp`. Laxer than the runtime of any one release: it takes every
//! identifier from `ET00` to `ET99`, of which each runtime knows one.

use super::detect::signature;
use super::event::{Anomaly, Event, Sink};
use super::flatbuffer::{Kind, Shape, Table, is_flatbuffer, root, walk};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What an ExecuTorch program may hold that an honest one does not.
    pub enum ExecuTorchKind;
    Identifier, FormatStructure, "executorch-identifier",
        "the identifier `ET` with two digits is not there, and the runtime refuses the file";
    Header, FormatStructure, "executorch-header",
        "the extended header is cut, or gives the program a size past the file's";
    Segment, FormatStructure, "executorch-segment",
        "a segment lies outside the file, over the program, or nowhere";
    Delegate, FormatStructure, "executorch-delegate",
        "a delegate refers to data that the program does not have";
    Operator, TorchscriptOperator, "executorch-operator",
        "the program calls an operator that touches files, processes, other modules or the interpreter";
    Partial, FormatPartial, "executorch-partial",
        "what the operators and the delegates' backends compute was not judged";
}

static ALLOCATION: Shape = Shape { fields: &[Kind::Inline(4), Kind::Inline(4), Kind::Inline(4)] };
static EXTRA: Shape = Shape {
    fields: &[Kind::Inline(8), Kind::Text, Kind::Inline(1), Kind::Inline(1), Kind::Inline(1)],
};
static TENSOR: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Inline(4),
        Kind::Vector(4),
        Kind::Vector(1),
        Kind::Inline(1),
        Kind::Inline(4),
        Kind::Table(&ALLOCATION),
        Kind::Inline(1),
        Kind::Inline(1),
        Kind::Table(&EXTRA),
    ],
};
static VALUE: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Union(&[
            Kind::Any,                                          // nothing
            Kind::Table(&Shape { fields: &[Kind::Inline(8)] }), // integer
            Kind::Table(&Shape { fields: &[Kind::Inline(1)] }), // boolean
            Kind::Table(&Shape { fields: &[Kind::Inline(8)] }), // float
            Kind::Table(&TENSOR),
            Kind::Table(&Shape { fields: &[Kind::Text] }), // text
            Kind::Table(&Shape { fields: &[Kind::Vector(8)] }), // integers
            Kind::Table(&Shape { fields: &[Kind::Vector(8)] }), // floats
            Kind::Table(&Shape { fields: &[Kind::Vector(1)] }), // booleans
            Kind::Table(&Shape { fields: &[Kind::Vector(4)] }), // tensors
            Kind::Table(&Shape { fields: &[Kind::Vector(4)] }), // tensors or nothing
        ]),
    ],
};
static CALL: Shape = Shape { fields: &[Kind::Inline(4), Kind::Vector(4)] };
static PAIR: Shape = Shape { fields: &[Kind::Inline(4), Kind::Inline(4)] };
static INSTRUCTION: Shape = Shape {
    fields: &[
        Kind::Inline(1),
        Kind::Union(&[
            Kind::Table(&CALL),                                 // of an operator
            Kind::Table(&CALL),                                 // of a delegate
            Kind::Table(&PAIR),                                 // move
            Kind::Table(&PAIR),                                 // jump
            Kind::Table(&Shape { fields: &[Kind::Inline(4)] }), // free
        ]),
    ],
};
static FRAME: Shape = Shape { fields: &[Kind::Text, Kind::Inline(4), Kind::Text, Kind::Text] };
static FRAMES: Shape = Shape { fields: &[Kind::Tables(&FRAME)] };
static CHAIN: Shape = Shape {
    fields: &[Kind::Vector(4), Kind::Vector(4), Kind::Tables(&INSTRUCTION), Kind::Tables(&FRAMES)],
};
static OPERATOR: Shape = Shape { fields: &[Kind::Text, Kind::Text] };
static REFERENCE: Shape = Shape { fields: &[Kind::Inline(1), Kind::Inline(4)] };
static SPEC: Shape = Shape { fields: &[Kind::Text, Kind::Vector(1)] };
static DELEGATE: Shape =
    Shape { fields: &[Kind::Text, Kind::Table(&REFERENCE), Kind::Tables(&SPEC)] };
static DEVICE: Shape = Shape { fields: &[Kind::Inline(4), Kind::Inline(1), Kind::Inline(1)] };
static PLAN: Shape = Shape {
    fields: &[
        Kind::Text,
        Kind::Table(&Shape { fields: &[Kind::Text, Kind::Text] }),
        Kind::Tables(&VALUE),
        Kind::Vector(4),
        Kind::Vector(4),
        Kind::Tables(&CHAIN),
        Kind::Tables(&OPERATOR),
        Kind::Tables(&DELEGATE),
        Kind::Vector(8),
        Kind::Tables(&DEVICE),
    ],
};
static BLOB: Shape = Shape { fields: &[Kind::Vector(1)] };
static SEGMENT: Shape = Shape { fields: &[Kind::Inline(8), Kind::Inline(8)] };
static SUBSEGMENTS: Shape = Shape { fields: &[Kind::Inline(4), Kind::Vector(8)] };
static NAMED: Shape = Shape { fields: &[Kind::Text, Kind::Inline(4)] };
static PROGRAM: Shape = Shape {
    fields: &[
        Kind::Inline(4),
        Kind::Tables(&PLAN),
        Kind::Tables(&BLOB),    // 2: constants
        Kind::Tables(&BLOB),    // 3: delegates
        Kind::Tables(&SEGMENT), // 4
        Kind::Table(&SUBSEGMENTS),
        Kind::Tables(&SUBSEGMENTS),
        Kind::Tables(&NAMED),
    ],
};

/// Whether a runtime would take the bytes.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    is_flatbuffer(bytes, is_identifier)
}

pub(super) fn is_identifier(identifier: &[u8; 4]) -> bool {
    matches!(identifier, [b'E', b'T', b'0'..=b'9', b'0'..=b'9'])
}

/// Walks every table, and looks at the start of every segment.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let identifier = bytes.get(4..8).and_then(|found| <&[u8; 4]>::try_from(found).ok());
    if !identifier.is_some_and(is_identifier) {
        sink(ExecuTorchKind::Identifier.at(0, &[]));
        return;
    }
    let header = match Header::of(bytes) {
        Ok(header) => header,
        Err(()) => {
            sink(ExecuTorchKind::Header.at(8, &[]));
            Header { program: bytes, segments: None }
        }
    };
    let program = root(header.program);
    walk(header.program, &PROGRAM, limits, sink, &mut |shape, table, sink| {
        let Some(program) = program else { return };
        if core::ptr::eq(shape, &raw const OPERATOR) {
            operator(table, sink);
        } else if core::ptr::eq(shape, &raw const DELEGATE) {
            delegate(program, table, sink);
        } else if core::ptr::eq(shape, &raw const BLOB) {
            if let Some(run) = table.run(0) {
                blob(b"blob", run.bytes, run.offset(), sink);
            }
        } else if core::ptr::eq(shape, &raw const SPEC) {
            if let Some(run) = table.run(1) {
                blob(b"specification", run.bytes, run.offset(), sink);
            }
        } else if core::ptr::eq(shape, &raw const SEGMENT) {
            match header.segment(bytes, table) {
                Some((offset, segment)) => blob(b"segment", segment, offset, sink),
                None => sink(ExecuTorchKind::Segment.at(table.offset(), &[])),
            }
        } else if core::ptr::eq(shape, &raw const NAMED) && table.u32(1) >= program.count(4) {
            sink(ExecuTorchKind::Segment.at(table.offset(), table.text(0)));
        }
    });
    sink(ExecuTorchKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "what the operators of an ExecuTorch program compute, and what its delegates' backends \
         make of their data, was not judged",
    ));
}

/// What the extended header says.
struct Header<'a> {
    /// The part of the file that is the FlatBuffer.
    program: &'a [u8],
    /// Where segments are counted from, if the header is there.
    segments: Option<u64>,
}

impl<'a> Header<'a> {
    /// `eh00`, the header's length, the program's size, the segments' base.
    fn of(bytes: &'a [u8]) -> Result<Self, ()> {
        if bytes.get(8..12) != Some(b"eh00") {
            return Ok(Self { program: bytes, segments: None });
        }
        let length = bytes.get(12..16).and_then(|word| word.try_into().ok()).ok_or(())?;
        if u32::from_le_bytes(length) < 24 {
            return Err(());
        }
        let word = |at: core::ops::Range<usize>| {
            let word = bytes.get(at).and_then(|word| word.try_into().ok());
            word.map(u64::from_le_bytes).ok_or(())
        };
        let (size, base) = (word(16..24)?, word(24..32)?);
        let size = usize::try_from(size).map_err(|_| ())?;
        Ok(Self { program: bytes.get(..size).ok_or(())?, segments: Some(base) })
    }

    fn segment<'b>(&self, bytes: &'b [u8], segment: Table<'_>) -> Option<(u64, &'b [u8])> {
        let base = usize::try_from(self.segments?).ok()?;
        // Zero says that there are no segments (`runtime/executor/program.cpp`).
        (base >= self.program.len()).then_some(())?;
        let start = base.checked_add(usize::try_from(segment.u64(0)).ok()?)?;
        let end = start.checked_add(usize::try_from(segment.u64(1)).ok()?)?;
        Some((u64::try_from(start).ok()?, bytes.get(start..end)?))
    }
}

fn operator(operator: Table<'_>, sink: Sink<'_>) {
    if let Some(Named::Dangerous(why)) = named(System::Torchscript, operator.text(0)) {
        sink(Event::Anomaly(Anomaly {
            rule: ExecuTorchKind::Operator.rule(),
            id: ExecuTorchKind::Operator.id(),
            message: why,
            offset: operator.offset(),
            subject: operator.text(0),
        }));
    }
}

fn delegate(program: Table<'_>, delegate: Table<'_>, sink: Sink<'_>) {
    let Some(data) = delegate.table(1) else { return };
    let (list, index) = (if data.u8(0) == 0 { 3 } else { 4 }, data.u32(1));
    if index >= program.count(list) {
        sink(ExecuTorchKind::Delegate.at(delegate.offset(), delegate.text(0)));
    }
}

fn blob(name: &[u8], bytes: &[u8], offset: u64, sink: Sink<'_>) {
    if signature(bytes).is_some_and(|signature| signature.native) {
        sink(Event::Member { name, offset, bytes });
    }
}
