//! Of which kind a built value is, and whether arguments have a shape that the allowlist admits.

use super::BuildDomain;
use crate::checkpoint::{Dict, DictKind, Object, Span, Value};
use crate::pickle::kind::{Kind, Shape};
use crate::rules::{AllowedGlobal, allowed};

impl BuildDomain<'_> {
    pub(super) fn kind(&self, value: Value) -> Kind {
        match value {
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) | Value::Integer(_) => Kind::Int,
            Value::Float(_) => Kind::Float,
            Value::Text(span) => match self.builder.so_far().text(span) {
                "latin1" | "latin-1" => Kind::Latin1,
                _ => Kind::Text,
            },
            Value::Bytes(_) => Kind::Bytes,
            Value::Tuple(_) | Value::Size(_) => Kind::Tuple,
            Value::Dtype(_) => Kind::Constant,
            Value::Global(entry) => entry.kind,
            Value::Storage(_) => Kind::Storage,
            Value::Object(id) => match self.builder.so_far().object(id) {
                Object::List(_) | Object::Deque(..) => Kind::List,
                Object::Dict(_) => Kind::Dict,
                Object::Set(_) => Kind::Set,
                Object::FrozenSet(_) => Kind::FrozenSet,
                Object::ByteArray(_) => Kind::Bytes,
                Object::Complex(..) => Kind::Float,
                Object::Slice(_) | Object::Range(_) | Object::Device(..) => Kind::Object,
                Object::Tensor(_) | Object::Sparse(_) | Object::Parameter(_) => Kind::Tensor,
                Object::Array(_) | Object::ObjectArray(..) | Object::Scalar(..) => Kind::Array,
                Object::NumpyDtype(_) => Kind::Dtype,
                Object::Instance(instance) => instance.class.gives,
            },
        }
    }

    pub(super) fn fits(&self, shape: Shape, arguments: Span) -> bool {
        let items = self.builder.so_far().items(arguments);
        let allowed = |at: usize| shape.args.get(at).copied().or(shape.rest);
        items.len() >= usize::from(shape.required)
            && items
                .iter()
                .enumerate()
                .all(|(at, &item)| allowed(at).is_some_and(|set| set.contains(self.kind(item))))
    }
}

/// The entry of the allowlist for a dict's class.
pub(super) fn class_of(dict: &Dict) -> Option<&'static AllowedGlobal> {
    match dict.kind {
        DictKind::Plain => None,
        DictKind::Ordered => allowed("collections", "OrderedDict"),
        DictKind::Counter => allowed("collections", "Counter"),
        DictKind::Default(_) => allowed("collections", "defaultdict"),
        DictKind::Other(entry) => Some(entry),
    }
}
