//! PaddlePaddle: programs (`.pdmodel`, `__model__`) and their parameters (`.pdiparams`).
//!
//! Every operator of every block of a program is judged by the system `paddle` of
//! `spec/rules/names.toml`. Parameters are tensors in a row; each must be as long as its
//! description says, and the last one must end with the file.
//!
//! What it refuses to do: compute. Programs as JSON are read by [`super::paddle_json`].
//! `.pdparams` and `.pdopt` are pickles, and judged as such.
//!
//! Follows PaddlePaddle/Paddle, `paddle/fluid/framework/framework.proto`,
//! `paddle/fluid/framework/lod_tensor.cc` (`SerializeToStream`) and `tensor_util.cc`
//! (`TensorToStream`). Stricter than the reader of parameters, which leaves bytes behind the last
//! tensor that it was asked for unread.

use super::detect::signature;
use super::event::{Anomaly, Event, Sink};
use super::objects::Encoding;
use super::protobuf::{Field, Message, Value, WireError, int64};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What a program or its parameters may hold that honest ones do not.
    pub enum PaddleKind;
    Operator, CodeDangerous, "paddle-operator",
        "an operator reads or writes files, runs other code or reaches the network";
    Wire, FormatStructure, "paddle-wire",
        "bytes are no message where the schema has one, so that the program is refused";
    NoProgram, FormatStructure, "paddle-no-program",
        "the bytes are neither a program nor parameters";
    Objects, FormatStructure, "paddle-objects",
        "the program has more operators than the limit; the rest could not be judged";
    Tensor, FormatStructure, "paddle-tensor",
        "a tensor of the parameters is cut, or is described by numbers that no tensor has";
    Partial, FormatPartial, "paddle-partial",
        "what the program computes was not judged";
}

/// Whether PaddlePaddle would take the bytes for a program or for parameters.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    is_program(Message::new(bytes, 0))
        || Parameters::new(bytes).next().is_some_and(|item| item.is_ok())
}

/// Walks every operator, or every tensor.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let message = Message::new(bytes, 0);
    if is_program(message) {
        let mut walk = Walk { objects: limits.format.objects, sink };
        // What ended it has been reported.
        let _ = walk.messages(message, 1, |walk, block| walk.messages(block, 4, Walk::operator));
        (walk.sink)(PaddleKind::Partial.at(0, &[]));
        (walk.sink)(Event::Unjudged(
            "what a PaddlePaddle program computes was not judged; operators of other libraries \
             were not told from its own",
        ));
    } else if bytes.starts_with(&[0; 4]) {
        for tensor in Parameters::new(bytes) {
            match tensor {
                Ok(Message { bytes, offset }) => {
                    if signature(bytes).is_some_and(|signature| signature.native) {
                        sink(Event::Member { name: b"tensor", offset, bytes });
                    }
                }
                Err(offset) => sink(PaddleKind::Tensor.at(offset, &[])),
            }
        }
    } else if !matches!(Encoding::of(bytes), Encoding::Utf8(_)) {
        // JSON is another reader's, and mere text where that one does not take it.
        let failed = message.fields().find_map(Result::err);
        sink(PaddleKind::NoProgram.at(failed.map_or(0, |error| error.offset), &[]));
    }
}

/// Whether the whole is a message with blocks: each has its own number and its parent's, and
/// operators that have a type.
fn is_program(message: Message<'_>) -> bool {
    let mut found = false;
    for field in message {
        match field {
            Ok(Field { number: 1, value: Value::Bytes(block), .. }) => {
                found = found || is_block(block);
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    found
}

fn is_block(block: Message<'_>) -> bool {
    let (mut own, mut parent, mut operators) = (false, false, false);
    for field in block {
        match field {
            Ok(Field { number: 1, value: Value::Varint(_), .. }) => own = true,
            Ok(Field { number: 2, value: Value::Varint(_), .. }) => parent = true,
            Ok(Field { number: 4, value: Value::Bytes(operator), .. }) => {
                let mut fields = operator.fields();
                operators |= fields.any(|field| {
                    field.is_ok_and(|field| {
                        field.number == 3 && matches!(field.value, Value::Bytes(_))
                    })
                });
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    own && parent && operators
}

/// Nothing more is read.
struct Ended;

struct Walk<'w> {
    /// How many more operators are read.
    objects: u32,
    sink: Sink<'w>,
}

impl Walk<'_> {
    /// Hands each message of this field on.
    fn messages(
        &mut self,
        message: Message<'_>,
        number: u32,
        mut each: impl FnMut(&mut Self, Message<'_>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        for inner in message.messages(number) {
            let inner = self.checked(inner)?;
            each(self, inner)?;
        }
        Ok(())
    }

    fn checked<T>(&mut self, read: Result<T, WireError>) -> Result<T, Ended> {
        read.map_err(|error| {
            (self.sink)(PaddleKind::Wire.at(error.offset, error.kind.message().as_bytes()));
            Ended
        })
    }

    fn operator(&mut self, message: Message<'_>) -> Result<(), Ended> {
        let Some(rest) = self.objects.checked_sub(1) else {
            (self.sink)(PaddleKind::Objects.at(message.offset, &[]));
            return Err(Ended);
        };
        self.objects = rest;
        self.messages(message, 3, |walk, kind| {
            if let Some(Named::Dangerous(why)) = named(System::Paddle, kind.bytes) {
                (walk.sink)(Event::Anomaly(Anomaly {
                    rule: PaddleKind::Operator.rule(),
                    id: PaddleKind::Operator.id(),
                    message: why,
                    offset: kind.offset,
                    subject: kind.bytes,
                }));
            }
            Ok(())
        })
    }
}

/// Tensors in a row: the numbers of each, or where one is broken.
struct Parameters<'a> {
    bytes: &'a [u8],
    at: usize,
    failed: bool,
}

impl<'a> Parameters<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, failed: false }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn word<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Version zero, the levels of detail with their lengths, version zero again, the length of a
    /// description, the description, the numbers.
    fn tensor(&mut self) -> Option<Message<'a>> {
        (self.word::<4>()? == [0; 4]).then_some(())?;
        let levels = u64::from_le_bytes(self.word()?);
        for _ in 0..levels {
            let length = u64::from_le_bytes(self.word()?);
            self.take(usize::try_from(length).ok()?)?;
        }
        (self.word::<4>()? == [0; 4]).then_some(())?;
        let length = i32::from_le_bytes(self.word()?);
        let description = self.take(usize::try_from(length).ok()?)?;
        let size = size(Message::new(description, 0))?;
        let offset = u64::try_from(self.at).ok()?;
        Some(Message::new(self.take(usize::try_from(size).ok()?)?, offset))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Message<'a>, u64>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.at >= self.bytes.len() {
            return None;
        }
        let start = u64::try_from(self.at).unwrap_or(u64::MAX);
        let tensor = self.tensor().ok_or(start);
        self.failed = tensor.is_err();
        Some(tensor)
    }
}

/// How many bytes a tensor of this description takes: its type and its dimensions, which writers
/// give one by one and readers take packed as well.
fn size(description: Message<'_>) -> Option<u64> {
    let (mut width, mut elements) = (None, 1_u64);
    let mut dimension = |value: u64| -> Option<()> {
        elements = elements.checked_mul(u64::try_from(int64(value)).ok()?)?;
        Some(())
    };
    for field in description {
        let field = field.ok()?;
        match (field.number, field.value) {
            (1, Value::Varint(kind)) => width = Some(element(kind)?),
            (2, Value::Varint(value)) => dimension(value)?,
            (2, Value::Bytes(packed)) => {
                for value in packed.varints() {
                    dimension(value.ok()?)?;
                }
            }
            _ => {}
        }
    }
    elements.checked_mul(width?)
}

/// How many bytes a number of a type takes: `VarType.Type` of `framework.proto`, and the complex
/// and eight-bit types that came later.
const fn element(kind: u64) -> Option<u64> {
    match kind {
        // Booleans and integers of eight bits, floats of eight.
        0 | 20 | 21 | 32 | 33 => Some(1),
        // Integers and floats of sixteen bits, bfloat16.
        1 | 4 | 22 => Some(2),
        2 | 5 => Some(4),
        // … of 64 bits, sizes, complex numbers of 64.
        3 | 6 | 19 | 23 => Some(8),
        24 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::testing;
    use std::vec;
    use std::vec::Vec;

    fn ids(bytes: &[u8]) -> Vec<&'static str> {
        testing::ids(read, bytes)
    }

    fn tensor(description: &[u8], numbers: usize) -> Vec<u8> {
        let length = u32::try_from(description.len()).unwrap();
        [&[0; 16][..], &length.to_le_bytes(), description, &vec![0; numbers]].concat()
    }

    #[test]
    fn parameters_are_as_long_as_they_say() {
        // Two by two floats, one by one and packed.
        for description in [&b"\x08\x05\x10\x02\x10\x02"[..], b"\x08\x05\x12\x02\x02\x02"] {
            let whole = tensor(description, 16);
            assert!(accepts(&whole));
            assert!(ids(&whole).is_empty() && ids(&whole.repeat(3)).is_empty());
            assert!(!accepts(&whole[..whole.len() - 1]));
            assert_eq!(ids(&[&whole[..], b"x"].concat()), ["paddle-tensor"]);
        }
        // A type that there is not, a dimension below zero, none at all: a number alone.
        assert!(!accepts(&tensor(b"\x08\x63\x10\x02", 16)));
        let negative = b"\x08\x05\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert!(!accepts(&tensor(negative, 16)));
        assert!(accepts(&tensor(b"\x08\x05", 4)));
        assert!(!accepts(&[0; 64]));
    }

    #[test]
    fn programs_have_blocks_with_operators() {
        let program = b"\x0a\x0e\x08\x00\x10\x00\x22\x08\x1a\x06\x66\x65\x74\x63\x68\x32";
        assert!(accepts(program));
        assert_eq!(ids(program), ["paddle-partial"]);
        assert!(!accepts(b"\x0a\x04\x08\x00\x10\x00"));
        assert!(!accepts(b"\x0a\x06\x08\x00\x22\x02\x1a\x00"));
        assert_eq!(ids(b"\x0a\x04\x08\x00\x10\x00"), ["paddle-no-program"]);
    }
}
