//! Core ML models: the `.mlmodel` message, alone or inside an `.mlpackage`.
//!
//! Every model of a pipeline, every layer of a network with its branches and loops, and every
//! operation of an ML program is looked at. A custom model or layer is a class of the application
//! that Core ML looks up by the name that the file gives, and nobody has judged it. Weights in
//! other files are named, and lie beneath the model's folder.
//!
//! What it refuses to do: compute, or read the models that Apple's own frameworks serialise in
//! forms of their own.
//!
//! Follows apple/coremltools, `mlmodel/format/{Model,NeuralNetwork,CustomModel,LinkedModel,MIL}.proto`.
//! Stricter than protobuf, which drops the rest of a field that does not parse into its schema:
//! bytes that are no message where one belongs are a finding.

use super::event::{Event, External, Sink};
use super::protobuf::{Field, Message, Value, WireError};
use crate::limits::{FORMAT_MESSAGE_DEPTH, Limits};

anomaly_kinds! {
    /// What a Core ML model may hold that an honest one does not.
    pub enum CoreMlKind;
    Custom, ReferenceUnknown, "coreml-custom",
        "a model or a layer is a class of the application that the file names, and nobody has judged it";
    Wire, FormatStructure, "coreml-wire",
        "bytes are no message where the schema has one, so that Core ML refuses the model";
    NoModel, FormatStructure, "coreml-no-model",
        "there is no model in it";
    Escape, FormatStructure, "coreml-escape",
        "another file of the model lies outside its folder";
    Depth, FormatStructure, "coreml-depth",
        "messages nest deeper than readers go; the rest could not be judged";
    Objects, FormatStructure, "coreml-objects",
        "the model has more layers than the limit; the rest could not be judged";
    Partial, FormatPartial, "coreml-partial",
        "what the model computes was not judged";
}

/// The fields of `Model` that say what it is: `oneof Type`.
const TYPES: [core::ops::RangeInclusive<u32>; 3] = [200..=610, 900..=900, 2000..=3000];
/// How weights beside a model are spelled.
const MODEL_PATH: &[u8] = b"@model_path/";

/// Whether Core ML would take the bytes for a model: a version of its specification, and what
/// kind of model it is.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let (mut version, mut kind) = (false, false);
    for field in Message::new(bytes, 0) {
        match field {
            Ok(Field { number: 1, value: Value::Varint(found), .. }) => version = found > 0,
            Ok(Field { number, value: Value::Bytes(_), .. }) => {
                kind |= TYPES.iter().any(|types| types.contains(&number));
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    version && kind
}

/// Walks every model, layer and operation.
pub fn read(bytes: &[u8], limits: &Limits, sink: Sink<'_>) {
    let message = Message::new(bytes, 0);
    if accepts(bytes) {
        let mut walk = Walk { objects: limits.format.objects, sink };
        // What ended it has been reported.
        let _ = walk.model(message, 0);
    } else {
        let failed = message.fields().find_map(Result::err);
        let kind = if failed.is_some() { CoreMlKind::Wire } else { CoreMlKind::NoModel };
        sink(kind.at(failed.map_or(0, |error| error.offset), &[]));
    }
    sink(CoreMlKind::Partial.at(0, &[]));
    sink(Event::Unjudged(
        "what a Core ML model computes, and models that Apple's own frameworks serialise, was not \
         judged",
    ));
}

/// Nothing more is read.
struct Ended;

struct Walk<'w> {
    /// How many more models, layers and operations are read.
    objects: u32,
    sink: Sink<'w>,
}

/// What a message is read as.
type Reading<'w> = fn(&mut Walk<'w>, Message<'_>, u32) -> Result<(), Ended>;

impl<'w> Walk<'w> {
    /// Reads the messages of the fields that have a row, each as its row says.
    fn fields(
        &mut self,
        message: Message<'_>,
        depth: u32,
        rows: &[(u32, Reading<'w>)],
    ) -> Result<(), Ended> {
        if depth >= FORMAT_MESSAGE_DEPTH {
            (self.sink)(CoreMlKind::Depth.at(message.offset, &[]));
            return Err(Ended);
        }
        for field in message {
            let field = self.checked(field)?;
            let row = rows.iter().find(|(number, _)| *number == field.number);
            if let (Some((_, reading)), Value::Bytes(inner)) = (row, field.value) {
                reading(self, inner, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    fn checked<'a>(&mut self, field: Result<Field<'a>, WireError>) -> Result<Field<'a>, Ended> {
        field.map_err(|error| {
            (self.sink)(CoreMlKind::Wire.at(error.offset, error.kind.message().as_bytes()));
            Ended
        })
    }

    fn count(&mut self, offset: u64) -> Result<(), Ended> {
        if let Some(rest) = self.objects.checked_sub(1) {
            self.objects = rest;
            return Ok(());
        }
        (self.sink)(CoreMlKind::Objects.at(offset, &[]));
        Err(Ended)
    }

    fn model(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.count(message.offset)?;
        self.fields(
            message,
            depth,
            &[
                // Pipelines that classify and regress hold a pipeline.
                (200, |walk, inner, depth| walk.fields(inner, depth, &[(1, Self::pipeline)])),
                (201, |walk, inner, depth| walk.fields(inner, depth, &[(1, Self::pipeline)])),
                (202, Self::pipeline),
                (303, Self::network),
                (403, Self::network),
                (500, Self::network),
                (502, Self::program),
                (555, Self::custom),
                (556, |walk, inner, depth| walk.fields(inner, depth, &[(1, Self::linked)])),
            ],
        )
    }

    fn pipeline(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(message, depth, &[(1, Self::model)])
    }

    fn network(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(message, depth, &[(1, Self::layer)])
    }

    fn layer(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.count(message.offset)?;
        self.fields(
            message,
            depth,
            &[
                (500, Self::custom),
                // Branches hold a network for each side, loops one for the condition and the body.
                (605, |walk, inner, depth| {
                    walk.fields(inner, depth, &[(1, Self::network), (2, Self::network)])
                }),
                (615, |walk, inner, depth| {
                    walk.fields(inner, depth, &[(3, Self::network), (4, Self::network)])
                }),
            ],
        )
    }

    /// A custom model or layer. Without a name of its class it is one all the same.
    fn custom(&mut self, message: Message<'_>, _: u32) -> Result<(), Ended> {
        let mut class = Message::new(&[], message.offset);
        for field in message {
            let field = self.checked(field)?;
            if let (10, Value::Bytes(name)) = (field.number, field.value) {
                class = name;
            }
        }
        (self.sink)(CoreMlKind::Custom.at(class.offset, class.bytes));
        Ok(())
    }

    /// Another model by its file's name and the folder to look in, each a parameter with a
    /// default.
    fn linked(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        let name: Reading<'w> = |walk, parameter, depth| {
            walk.fields(
                parameter,
                depth,
                &[(1, |walk, name, _| {
                    walk.external(name, name.bytes, 0);
                    Ok(())
                })],
            )
        };
        self.fields(message, depth, &[(1, name), (2, name)])
    }

    fn external(&mut self, name: Message<'_>, location: &[u8], offset: u64) {
        let climbs = location.split(|byte| b"/\\".contains(byte)).any(|part| part == b"..");
        if climbs || location.starts_with(b"/") || location.contains(&b':') {
            (self.sink)(CoreMlKind::Escape.at(name.offset, name.bytes));
        } else {
            (self.sink)(Event::External(External { location, offset, length: None }));
        }
    }

    /// An ML program: functions, their blocks, their operations.
    fn program(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(
            message,
            depth,
            &[
                (2, |walk, entry, depth| walk.fields(entry, depth, &[(2, Self::function)])),
                (4, Self::attribute),
            ],
        )
    }

    fn function(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(
            message,
            depth,
            &[
                (3, |walk, entry, depth| walk.fields(entry, depth, &[(2, Self::block)])),
                (4, Self::attribute),
            ],
        )
    }

    fn block(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(message, depth, &[(3, Self::operation), (4, Self::attribute)])
    }

    fn operation(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.count(message.offset)?;
        self.fields(
            message,
            depth,
            &[
                (1, |walk, kind, _| {
                    // `coremltools/converters/mil/mil/ops/defs/iOS15/`: every other kind is built in.
                    if kind.bytes == b"custom_layer" {
                        (walk.sink)(CoreMlKind::Custom.at(kind.offset, kind.bytes));
                    }
                    Ok(())
                }),
                (2, |walk, entry, depth| walk.fields(entry, depth, &[(2, Self::argument)])),
                (4, Self::block),
                (5, Self::attribute),
            ],
        )
    }

    /// What an input is bound to: a name, or a value.
    fn argument(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(
            message,
            depth,
            &[(1, |walk, binding, depth| walk.fields(binding, depth, &[(2, Self::value)]))],
        )
    }

    /// An entry of a map from names to values.
    fn attribute(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(message, depth, &[(2, Self::value)])
    }

    /// A value; weights that lie in another file are named by it and by an offset there.
    fn value(&mut self, message: Message<'_>, depth: u32) -> Result<(), Ended> {
        self.fields(
            message,
            depth,
            &[(5, |walk, blob, _| {
                let (mut name, mut offset) = (None, 0);
                for field in blob {
                    let field = walk.checked(field)?;
                    match (field.number, field.value) {
                        (1, Value::Bytes(found)) => name = Some(found),
                        (2, Value::Varint(found)) => offset = found,
                        _ => {}
                    }
                }
                let Some(name) = name else { return Ok(()) };
                match name.bytes.strip_prefix(MODEL_PATH) {
                    Some(location) => walk.external(name, location, offset),
                    None => (walk.sink)(CoreMlKind::Escape.at(name.offset, name.bytes)),
                }
                Ok(())
            })],
        )
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

    /// A field of bytes, of any number.
    fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
        let (mut out, key) = (vec![], u64::from(number) << 3 | 2);
        for mut value in [key, u64::try_from(bytes.len()).unwrap()] {
            while value > 0x7f {
                out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
                value >>= 7;
            }
            out.push(u8::try_from(value).unwrap());
        }
        [out, bytes.to_vec()].concat()
    }

    fn model(number: u32, content: &[u8]) -> Vec<u8> {
        [&b"\x08\x07"[..], &field(number, content)].concat()
    }

    #[test]
    fn a_model_has_a_version_and_a_type() {
        assert!(accepts(&model(500, b"")) && accepts(&model(3000, b"")));
        assert!(!accepts(&field(500, b"")));
        assert!(!accepts(b"\x08\x07"));
        assert!(!accepts(&model(7, b"")));
        assert_eq!(ids(b"\x08\x07"), ["coreml-no-model", "coreml-partial"]);
        assert_eq!(ids(b"\x08"), ["coreml-wire", "coreml-partial"]);
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        // Each pipeline is a model, a pipeline and a message of models.
        let pipelines = |count: usize| {
            (0..count).fold(model(500, b""), |inner, _| model(202, &field(1, &inner)))
        };
        assert_eq!(ids(&pipelines(40)), ["coreml-partial"]);
        assert_eq!(ids(&pipelines(60)), ["coreml-depth", "coreml-partial"]);
    }
}
