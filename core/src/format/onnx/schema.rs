//! The messages of an ONNX file, as one table each: `onnx/onnx.proto` of IR version 14.

/// One message type.
#[derive(Debug)]
pub(super) struct Schema {
    /// What the schema calls it.
    pub(super) name: &'static str,
    /// Its fields, in the order of their numbers.
    pub(super) fields: &'static [Rule],
}

/// One field.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// How often it may stand.
    pub(super) times: Times,
}

/// How often a field may stand in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    /// Once, and no other field of the same `oneof` beside it.
    OneOf,
    Many,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Float,
    Double,
    Int32,
    Int64,
    Uint64,
    /// A name, a key, a path.
    Text,
    /// Text for people, where a program has no place.
    Prose,
    Bytes,
    Message(&'static Schema),
}

impl Schema {
    /// The rule of a field, and its place in the table.
    pub(super) fn rule(&self, number: u32) -> Option<(usize, &'static Rule)> {
        self.fields.iter().enumerate().find(|(_, rule)| rule.number == number)
    }
}

/// Makes the tables: `NAME "message" { number times kind, … }`.
macro_rules! schemas {
    ($($name:ident $text:literal { $($number:literal $times:ident $kind:ident $(($inner:ident))?,)+ })+) => {
        $(pub(super) static $name: Schema = Schema {
            name: $text,
            fields: &[$(Rule {
                number: $number,
                kind: Kind::$kind $((&$inner))?,
                times: Times::$times,
            },)+],
        };)+

        #[cfg(test)]
        static ALL: &[&Schema] = &[$(&$name,)+];
    };
}

schemas! {
    MODEL "ModelProto" {
        1 Once Int64, 2 Once Text, 3 Once Text, 4 Once Text, 5 Once Int64, 6 Once Prose,
        7 Once Message(GRAPH), 8 Many Message(OPSET), 14 Many Message(ENTRY),
        20 Many Message(TRAINING), 25 Many Message(FUNCTION), 26 Many Message(DEVICES),
    }
    OPSET "OperatorSetIdProto" { 1 Once Text, 2 Once Int64, }
    ENTRY "StringStringEntryProto" { 1 Once Text, 2 Once Prose, }
    TRAINING "TrainingInfoProto" {
        1 Once Message(GRAPH), 2 Once Message(GRAPH), 3 Many Message(ENTRY), 4 Many Message(ENTRY),
    }
    FUNCTION "FunctionProto" {
        1 Once Text, 4 Many Text, 5 Many Text, 6 Many Text, 7 Many Message(NODE), 8 Once Prose,
        9 Many Message(OPSET), 10 Once Text, 11 Many Message(ATTRIBUTE), 12 Many Message(VALUE),
        13 Once Text, 14 Many Message(ENTRY),
    }
    DEVICES "DeviceConfigurationProto" { 1 Once Text, 2 Once Int32, 3 Many Text, }
    GRAPH "GraphProto" {
        1 Many Message(NODE), 2 Once Text, 5 Many Message(TENSOR), 10 Once Prose,
        11 Many Message(VALUE), 12 Many Message(VALUE), 13 Many Message(VALUE),
        14 Many Message(ANNOTATION), 15 Many Message(SPARSE), 16 Many Message(ENTRY),
    }
    ANNOTATION "TensorAnnotation" { 1 Once Text, 2 Many Message(ENTRY), }
    NODE "NodeProto" {
        1 Many Text, 2 Many Text, 3 Once Text, 4 Once Text, 5 Many Message(ATTRIBUTE),
        6 Once Prose, 7 Once Text, 8 Once Text, 9 Many Message(ENTRY),
        10 Many Message(NODE_DEVICES),
    }
    NODE_DEVICES "NodeDeviceConfigurationProto" {
        1 Once Text, 2 Many Message(SHARDING), 3 Once Int32,
    }
    SHARDING "ShardingSpecProto" {
        1 Once Text, 2 Many Int64, 3 Many Message(GROUPS), 4 Many Message(SHARDED),
    }
    GROUPS "IntIntListEntryProto" { 1 Once Int64, 2 Many Int64, }
    SHARDED "ShardedDimProto" { 1 Once Int64, 2 Many Message(SIMPLE_SHARDED), }
    SIMPLE_SHARDED "SimpleShardedDimProto" { 1 OneOf Int64, 2 OneOf Text, 3 Once Int64, }
    ATTRIBUTE "AttributeProto" {
        1 Once Text, 2 Once Float, 3 Once Int64, 4 Once Bytes, 5 Once Message(TENSOR),
        6 Once Message(GRAPH), 7 Many Float, 8 Many Int64, 9 Many Bytes, 10 Many Message(TENSOR),
        11 Many Message(GRAPH), 13 Once Prose, 14 Once Message(TYPE), 15 Many Message(TYPE),
        20 Once Int32, 21 Once Text, 22 Once Message(SPARSE), 23 Many Message(SPARSE),
    }
    TENSOR "TensorProto" {
        1 Many Int64, 2 Once Int32, 3 Once Message(SEGMENT), 4 Many Float, 5 Many Int32,
        6 Many Bytes, 7 Many Int64, 8 Once Text, 9 Once Bytes, 10 Many Double, 11 Many Uint64,
        12 Once Prose, 13 Many Message(ENTRY), 14 Once Int32, 16 Many Message(ENTRY),
    }
    SEGMENT "TensorProto.Segment" { 1 Once Int64, 2 Once Int64, }
    SPARSE "SparseTensorProto" { 1 Once Message(TENSOR), 2 Once Message(TENSOR), 3 Many Int64, }
    VALUE "ValueInfoProto" {
        1 Once Text, 2 Once Message(TYPE), 3 Once Prose, 4 Many Message(ENTRY),
    }
    TYPE "TypeProto" {
        1 OneOf Message(TENSOR_TYPE), 4 OneOf Message(SEQUENCE_TYPE), 5 OneOf Message(MAP_TYPE),
        6 Once Text, 7 OneOf Message(OPAQUE_TYPE), 8 OneOf Message(TENSOR_TYPE),
        9 OneOf Message(SEQUENCE_TYPE),
    }
    // `TypeProto.SparseTensor` has the same fields.
    TENSOR_TYPE "TypeProto.Tensor" { 1 Once Int32, 2 Once Message(SHAPE), }
    // `TypeProto.Optional` has the same field.
    SEQUENCE_TYPE "TypeProto.Sequence" { 1 Once Message(TYPE), }
    MAP_TYPE "TypeProto.Map" { 1 Once Int32, 2 Once Message(TYPE), }
    OPAQUE_TYPE "TypeProto.Opaque" { 1 Once Text, 2 Once Text, }
    SHAPE "TensorShapeProto" { 1 Many Message(DIMENSION), }
    DIMENSION "TensorShapeProto.Dimension" { 1 OneOf Int64, 2 OneOf Text, 3 Once Text, }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_order_and_fit_a_mask() {
        for schema in ALL {
            assert!(schema.fields.is_sorted_by(|one, next| one.number < next.number));
            assert!(schema.fields.len() <= 64);
        }
    }
}
