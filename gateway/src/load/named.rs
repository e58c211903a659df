//! The tensors of a checkpoint by their names.
//!
//! The keys of dicts are joined by dots, and so are the places in lists and tuples, as `inspect` and
//! `convert` name them. A name is not always the only one: a tensor that is reached in two ways has
//! two, and `{"a.b": …}` beside `{"a": {"b": …}}` gives one name twice. What lies in a set or in an
//! attribute (`_metadata`) has no name and is not listed; whoever needs it walks the tree.

use secure_torch_core::checkpoint::{Object, ObjectId, Value};
use secure_torch_core::limits;

use super::Checkpoint;
use crate::error::{Code, Error};
use crate::tree::{length, walk};

/// A tensor, and one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// The keys that lead to it, joined by dots; empty where it is all that there is. Not safe to
    /// print.
    pub name: String,
    /// The tensor: an [`Object::Tensor`], an [`Object::Sparse`], or numpy's [`Object::Array`].
    pub object: ObjectId,
    /// The [`Object::Parameter`] around it, where there is one.
    pub parameter: Option<ObjectId>,
}

impl Checkpoint {
    /// Every tensor with its name, in the order in which they lie in the file's tree.
    ///
    /// # Errors
    /// [`Code::TooLarge`] where the names take more bytes together than the header of any
    /// safetensors file may have, as those of a hostile file can.
    pub fn named_tensors(&self) -> Result<Vec<NamedTensor>, Error> {
        let mut found = Vec::new();
        let mut bytes = 0_u64;
        walk(self, self.root(), &mut |step| {
            let tensor = self.as_tensor(step.value);
            let whole = if tensor.is_some() { step.path.len() } else { 0 };
            let more = step.last().len().saturating_add(whole);
            bytes = bytes.saturating_add(more as u64);
            if bytes > limits::FORMAT_SAFETENSORS_HEADER_BYTES {
                let cause = format!(
                    "the names of its tensors take more than {} bytes together",
                    limits::FORMAT_SAFETENSORS_HEADER_BYTES
                );
                return Err(Error::new(Code::TooLarge, self.name(), cause));
            }
            if let Some((object, parameter)) = tensor {
                found.push(NamedTensor { name: step.path.to_owned(), object, parameter });
            }
            Ok(length(self, step.value).is_some())
        })?;
        Ok(found)
    }

    /// The tensor that a value is, and the parameter around it. A parameter that was never given
    /// numbers is none.
    fn as_tensor(&self, value: Value) -> Option<(ObjectId, Option<ObjectId>)> {
        let Value::Object(id) = value else { return None };
        match self.object(id) {
            Object::Tensor(_) | Object::Sparse(_) | Object::Array(_) => Some((id, None)),
            Object::Parameter(parameter) => parameter.data.map(|data| (data, Some(id))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secure_torch_core::checkpoint::{Builder, Dict, DictKind, Dtype, Parts, Place, Storage};
    use secure_torch_core::limits::Limits;

    use super::*;
    use crate::Source;

    /// A checkpoint around a tensor without elements.
    fn checkpoint(root: impl FnOnce(&mut Builder, Value) -> Value, limits: &Limits) -> Checkpoint {
        let mut made = Builder::new();
        let place = Place::Owned(made.bytes(&[]).unwrap());
        let location = made.text("cpu").unwrap();
        let dtype = Dtype::Uint8;
        let storage = Storage { bytes: 0, dtype, location, place, swapped: false };
        let storage = Some(made.storage(storage).unwrap());
        let (shape, strides) = (&[0][..], &[1][..]);
        let (quantizer, class) = (None, None);
        let parts = Parts { dtype, storage, offset: 0, shape, strides, flags: 0, quantizer, class };
        let tensor = Object::Tensor(made.tensor(&parts).unwrap());
        let tensor = Value::Object(made.object(tensor).unwrap());
        let root = root(&mut made, tensor);
        let source = Arc::new(Source::from_bytes("model.pt", Vec::new()));
        let made = made.finish(root, &limits.pickle).unwrap();
        Checkpoint::new(made, vec![source], *limits).unwrap()
    }

    fn dict(made: &mut Builder, items: Vec<(Value, Value)>) -> Value {
        let dict = Dict { kind: DictKind::Plain, items, state: None };
        Value::Object(made.object(Object::Dict(dict)).unwrap())
    }

    fn names(made: &Checkpoint) -> Vec<String> {
        made.named_tensors().unwrap().into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn keys_and_places_are_joined_in_the_order_of_the_tree() {
        let made = checkpoint(
            |made, tensor| {
                let text = |made: &mut Builder, text| Value::Text(made.text(text).unwrap());
                let list =
                    Value::Object(made.object(Object::List(vec![tensor, Value::None])).unwrap());
                let (w, empty, b) = (text(made, "w"), text(made, ""), text(made, "b"));
                let inner = dict(made, vec![(w, list), (Value::Int(7), tensor)]);
                let odd = dict(made, vec![(Value::Float(0.5), tensor), (empty, tensor)]);
                dict(made, vec![(b, inner), (empty, odd), (w, tensor)])
            },
            &Limits::DEFAULT,
        );
        assert_eq!(names(&made), ["b.w.0", "b.7", ".0.5", ".", "w"]);
        let found = made.named_tensors().unwrap();
        assert!(found.iter().all(|one| one.parameter.is_none()));
        assert!(found.iter().all(|one| one.object == found[0].object), "one tensor, five names");
        assert_eq!(names(&checkpoint(|_, tensor| tensor, &Limits::DEFAULT)), [""]);
        assert_eq!(names(&checkpoint(|_, _| Value::None, &Limits::DEFAULT)), [""; 0]);
    }

    #[test]
    fn names_past_the_longest_header_are_an_error() {
        let key = "k".repeat(1 << 20);
        let made = checkpoint(
            |made, tensor| {
                let many = Value::Object(made.object(Object::List(vec![tensor; 200])).unwrap());
                let key = Value::Text(made.text(&key).unwrap());
                dict(made, vec![(key, many)])
            },
            &Limits::DEFAULT,
        );
        assert_eq!(made.named_tensors().unwrap_err().code(), Code::TooLarge);
    }
}
