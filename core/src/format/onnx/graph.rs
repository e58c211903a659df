//! The second walk: the graph, and everything in it that holds operators or tensors.

use crate::format::event::Sink;
use crate::format::protobuf::{Field, Message, Value, int32, int64};
use crate::limits::{FORMAT_MESSAGE_DEPTH, Limits};

use super::domains::{self, Imports};
use super::functions::{Functions, Name};
use super::{IR_VERSION, Violation, tensor};

/// The most attributes of a node, and keys of the metadata, that are told apart.
const NAMES: usize = 64;

/// The walk of a model.
pub(super) struct Walk<'a, 's> {
    limits: &'s Limits,
    sink: Sink<'s>,
    version: i64,
    functions: Option<Functions<'a>>,
    /// Where the data of the last tensor lies that lies in another file.
    location: &'a [u8],
}

/// Which graph is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The model's own: whoever runs it fills its inputs, so that they have types.
    Main,
    /// Part of something else.
    Inner,
}

impl<'a, 's> Walk<'a, 's> {
    pub(super) fn new(limits: &'s Limits, sink: Sink<'s>) -> Self {
        Self { limits, sink, version: 0, functions: None, location: &[] }
    }

    pub(super) fn model(&mut self, model: Message<'a>) {
        let mut graph = false;
        for field in known(model) {
            match (field.number, field.value) {
                (1, Value::Varint(version)) => self.version = int64(version),
                (7, Value::Bytes(_)) => graph = true,
                _ => {}
            }
        }
        if !(1..=IR_VERSION).contains(&self.version) {
            (self.sink)(Violation::Version.at(model.offset, &[]));
        }
        if !graph {
            (self.sink)(Violation::GraphMissing.at(model.offset, &[]));
        }
        let mut imports = Imports::of(model, 8, self.sink);
        if (self.version < 3) != imports.is_empty() {
            (self.sink)(Violation::Imports.at(model.offset, &[]));
        }
        if self.version < 3 && imports.is_empty() {
            imports.add_default();
        }
        let mut functions = Functions::of(model, self.limits, self.sink);
        functions.check(model, self.limits, self.sink);
        self.functions = Some(functions);
        let mut keys = Names::default();
        for field in known(model) {
            let Value::Bytes(message) = field.value else { continue };
            match field.number {
                7 => self.graph(message, &imports, Role::Main, 1),
                14 => {
                    let key = text(message, 1);
                    if keys.add(key) == Added::Again {
                        (self.sink)(Violation::MetadataAgain.at(message.offset, key));
                    }
                }
                20 => {
                    for step in known(message) {
                        if let (1 | 2, Value::Bytes(graph)) = (step.number, step.value) {
                            self.graph(graph, &imports, Role::Inner, 2);
                        }
                    }
                }
                25 => self.function(message),
                _ => {}
            }
        }
    }

    fn function(&mut self, function: Message<'a>) {
        let mut imports = Imports::of(function, 9, self.sink);
        if imports.is_empty() && self.version < 3 {
            imports.add_default();
        }
        for field in known(function) {
            match (field.number, field.value) {
                (7, Value::Bytes(node)) => self.node(node, &imports, 2),
                (11, Value::Bytes(attribute)) => self.attribute(attribute, &imports, 2),
                _ => {}
            }
        }
    }

    fn graph(&mut self, graph: Message<'a>, imports: &Imports<'a>, role: Role, depth: u32) {
        for field in known(graph) {
            let Value::Bytes(message) = field.value else { continue };
            match field.number {
                1 => self.node(message, imports, depth.saturating_add(1)),
                5 => self.location = tensor::judge(message, true, self.location, self.sink),
                11 | 12 => self.value(message, role),
                15 => self.location = tensor::judge_sparse(message, true, self.location, self.sink),
                _ => {}
            }
        }
    }

    /// An input or an output.
    fn value(&mut self, value: Message<'a>, role: Role) {
        let mut typed = false;
        for field in known(value) {
            if let (2, Value::Bytes(message)) = (field.number, field.value) {
                typed = is_typed(message);
            }
        }
        let name = text(value, 1);
        if name.is_empty() || role == Role::Main && !typed {
            (self.sink)(Violation::ValueInfo.at(value.offset, name));
        }
    }

    fn node(&mut self, node: Message<'a>, imports: &Imports<'a>, depth: u32) {
        let (mut operator, mut domain, mut overload): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let mut ends = false;
        let mut names = Names::default();
        for field in known(node) {
            match (field.number, field.value) {
                (1 | 2, _) => ends = true,
                (4, Value::Bytes(text)) => operator = text.bytes,
                (5, Value::Bytes(attribute)) => {
                    let name = text(attribute, 1);
                    if names.add(name) != Added::New {
                        (self.sink)(Violation::AttributeAgain.at(attribute.offset, name));
                    }
                    self.attribute(attribute, imports, depth.saturating_add(1));
                }
                (7, Value::Bytes(text)) => domain = text.bytes,
                (8, Value::Bytes(text)) => overload = text.bytes,
                _ => {}
            }
        }
        if operator.is_empty() || !ends {
            (self.sink)(Violation::Node.at(node.offset, operator));
        }
        if let Some(functions) = &mut self.functions {
            let name = Name::new(domain, operator, overload);
            domains::judge(name, imports, functions, node.offset, self.sink);
        }
    }

    fn attribute(&mut self, attribute: Message<'a>, imports: &Imports<'a>, depth: u32) {
        let mut name: &[u8] = &[];
        let mut declared = None;
        let mut refers = false;
        let mut held = Held::Nothing;
        for field in known(attribute) {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => name = text.bytes,
                (20, Value::Varint(number)) => declared = Some(int32(number).unwrap_or(0)),
                (21, Value::Bytes(_)) => refers = true,
                _ => held.add(field.number),
            }
            let Value::Bytes(message) = field.value else { continue };
            match field.number {
                5 | 10 => self.location = tensor::judge(message, false, self.location, self.sink),
                6 | 11 if depth < FORMAT_MESSAGE_DEPTH => {
                    self.graph(message, imports, Role::Inner, depth.saturating_add(1));
                }
                22 | 23 => {
                    self.location = tensor::judge_sparse(message, false, self.location, self.sink);
                }
                _ => {}
            }
        }
        // The type came with IR version 2; an attribute of a function's node may refer to one of
        // the function instead of holding a value.
        let fits = match (held, declared) {
            (Held::Several, _) => false,
            (Held::One(_), _) if refers => false,
            (_, None) => self.version < 2,
            (Held::Nothing, Some(declared)) => (1..=14).contains(&declared),
            (Held::One(number), Some(declared)) => holder(declared) == Some(number),
        };
        if !fits || name.is_empty() {
            (self.sink)(Violation::Attribute.at(attribute.offset, name));
        }
    }
}

/// Which of an attribute's values are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    /// That of one field.
    One(u32),
    Several,
}

impl Held {
    fn add(&mut self, number: u32) {
        if !matches!(number, 2..=11 | 14 | 15 | 22 | 23) {
            return;
        }
        *self = match *self {
            Self::Nothing => Self::One(number),
            Self::One(before) if before == number => Self::One(number),
            _ => Self::Several,
        };
    }
}

/// The field that holds the value of an attribute of a type (`AttributeProto.AttributeType`).
const fn holder(declared: i32) -> Option<u32> {
    Some(match declared {
        1 => 2,
        2 => 3,
        3 => 4,
        4 => 5,
        5 => 6,
        6 => 7,
        7 => 8,
        8 => 9,
        9 => 10,
        10 => 11,
        11 => 22,
        12 => 23,
        13 => 14,
        14 => 15,
        _ => return None,
    })
}

/// Whether a type says what it is a type of, as far as `onnx/checker.cc` and ONNX Runtime both
/// need it: a tensor's shape may be left open.
fn is_typed(message: Message<'_>) -> bool {
    let mut typed = false;
    for field in known(message) {
        let Value::Bytes(inner) = field.value else { continue };
        typed |= match field.number {
            // Of a tensor, or of a sparse one.
            1 | 8 => known(inner).any(|field| match (field.number, field.value) {
                (1, Value::Varint(number)) => int32(number).is_some_and(tensor::is_type),
                _ => false,
            }),
            // A sequence, or what may be missing.
            4 | 9 => known(inner).any(|field| field.number == 1),
            // A map has a key and a value.
            5 => {
                known(inner).any(|field| field.number == 1)
                    && known(inner).any(|field| field.number == 2)
            }
            7 => !text(inner, 2).is_empty(),
            _ => false,
        };
    }
    typed
}

/// The fields up to where the first walk said that the message breaks off.
pub(crate) fn known(message: Message<'_>) -> impl Iterator<Item = Field<'_>> {
    message.fields().map_while(Result::ok)
}

/// The text of a field; the last, if there are several.
pub(crate) fn text(message: Message<'_>, number: u32) -> &[u8] {
    let texts = known(message).filter(|field| field.number == number);
    let texts = texts.filter_map(|field| match field.value {
        Value::Bytes(text) => Some(text.bytes),
        _ => None,
    });
    texts.last().unwrap_or_default()
}

/// Names that may stand once.
struct Names<'a> {
    names: [&'a [u8]; NAMES],
    count: usize,
}

#[derive(PartialEq, Eq)]
enum Added {
    New,
    Again,
    /// There are more than are told apart.
    Full,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self { names: [&[]; NAMES], count: 0 }
    }
}

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a [u8]) -> Added {
        if self.names.iter().take(self.count).any(|before| *before == name) {
            return Added::Again;
        }
        let Some(place) = self.names.get_mut(self.count) else { return Added::Full };
        *place = name;
        self.count = self.count.saturating_add(1);
        Added::New
    }
}
