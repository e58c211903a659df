//! `BUILD`: what an object makes of the state that it is given.

use super::BuildDomain;
use super::kinds::class_of;
use super::torch::grad_flag;
use crate::checkpoint::{Object, ObjectId, Problem, Span, Value};
use crate::pickle::kind::Kind;
use crate::rules::AllowedGlobal;

impl BuildDomain<'_> {
    pub(super) fn set_state(&mut self, object: Value, state: Value) -> Result<(), Problem> {
        let Value::Object(id) = object else { return Err(Problem::State) };
        let tuple = match state {
            Value::Tuple(span) => Some(span),
            _ => None,
        };
        let made = match (self.builder.so_far().object(id), tuple) {
            (Object::Dict(dict), _) => {
                let class = class_of(dict).ok_or(Problem::State)?;
                if class.module == "__torch__" {
                    return self.script_state(id, state);
                }
                self.admits(class, state)?;
                if let Some(Object::Dict(dict)) = self.builder.object_mut(id) {
                    dict.state = Some(state);
                }
                return Ok(());
            }
            (Object::Instance(instance), _) => {
                self.admits(instance.class, state)?;
                if let Some(Object::Instance(instance)) = self.builder.object_mut(id) {
                    instance.state = Some(state);
                }
                return Ok(());
            }
            (Object::NumpyDtype(dtype), Some(span)) => {
                Object::NumpyDtype(self.dtype_state(*dtype, span)?)
            }
            (Object::Array(_), Some(span)) => self.array_state(span)?,
            (Object::Tensor(_) | Object::Parameter(_), Some(span)) => {
                self.tensor_state(id, span)?
            }
            _ => return Err(Problem::State),
        };
        if let Some(object) = self.builder.object_mut(id) {
            *object = made;
        }
        Ok(())
    }

    fn admits(&self, class: &AllowedGlobal, state: Value) -> Result<(), Problem> {
        let kind = self.kind(state);
        let admitted = class.build.is_some_and(|kinds| kinds.contains(kind));
        if admitted && kind == Kind::Dict { Ok(()) } else { Err(Problem::State) }
    }

    /// The attributes of a TorchScript object, as a plain dict. What a `__getstate__` of the
    /// archive's own code gave instead stays a state: nobody here runs the `__setstate__`.
    fn script_state(&mut self, id: ObjectId, state: Value) -> Result<(), Problem> {
        let attributes = self.dict_items(state);
        if let Some(Object::Dict(dict)) = self.builder.object_mut(id) {
            match attributes {
                Some(items) => {
                    dict.kind = crate::checkpoint::DictKind::Plain;
                    dict.items = items;
                }
                None => dict.state = Some(state),
            }
        }
        Ok(())
    }

    /// The states of tensors before PyTorch 0.4 (`Tensor.__setstate__` in `torch/_tensor.py`).
    fn tensor_state(&mut self, id: ObjectId, state: Span) -> Result<Object, Problem> {
        let mut items = [Value::None; 5];
        let given = self.builder.so_far().items(state);
        let count = given.len();
        items.iter_mut().zip(given).for_each(|(slot, &item)| *slot = item);
        let old = self.builder.so_far().object(id).clone();
        match (count, items, old) {
            (4, [Value::Storage(storage), offset, size, stride, _], Object::Tensor(_)) => {
                let tensor = self.over(storage, None, offset, size, stride, 0, None)?;
                Ok(Object::Tensor(tensor))
            }
            // Data, gradient, hooks, `requires_grad`, and whether gradients flow at all.
            (5, [Value::Object(data), _, hooks, Value::Bool(grad), _], old) => {
                self.no_hooks(hooks)?;
                let Object::Tensor(tensor) = *self.builder.so_far().object(data) else {
                    return Err(Problem::State);
                };
                Ok(match old {
                    Object::Parameter(mut parameter) => {
                        parameter.data = Some(data);
                        parameter.requires_grad = grad;
                        Object::Parameter(parameter)
                    }
                    _ => Object::Tensor(tensor.with_flags(grad_flag(grad))),
                })
            }
            (3, [Value::Bool(grad), _, hooks, _, _], old) => {
                self.no_hooks(hooks)?;
                Ok(match old {
                    Object::Parameter(mut parameter) => {
                        parameter.requires_grad = grad;
                        Object::Parameter(parameter)
                    }
                    Object::Tensor(tensor) => Object::Tensor(tensor.with_flags(grad_flag(grad))),
                    _ => return Err(Problem::State),
                })
            }
            _ => Err(Problem::State),
        }
    }
}
