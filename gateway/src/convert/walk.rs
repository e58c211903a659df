//! From nested values to names.
//!
//! The keys of dicts are joined by dots; places in lists and tuples are numbers, as integer keys are.
//! A tensor has to come out under one name that nobody else has: a key that is neither text nor an
//! integer, a set, or an attribute of an object gives none. Whatever is no tensor has no place in the
//! format at all.
//!
//! Shared parts count wherever they appear, as they do in Python, and hostile files share without
//! end: leaves are counted against `format.objects`, names against the longest header.

use std::borrow::Cow;
use std::collections::HashSet;

use secure_torch_core::checkpoint::{Array, Dtype, Family, Object, Tensor, Value, extent};
use secure_torch_core::limits::{self, Limits};

use super::plan::{Named, Plan, cannot, too_much};
use super::{elements, layout};
use crate::error::Error;
use crate::load::Checkpoint;
use crate::text::printable;
use crate::tree::{Step, length, walk};
use crate::view::View;

/// How many leaves are named where there are too many.
const FIRST: usize = 5;

pub(super) struct Walk<'c> {
    checkpoint: &'c Checkpoint,
    pub(super) plan: Plan<'c>,
    /// Objects and tuples that hold no tensor.
    empty: HashSet<(bool, usize)>,
    path: String,
    leaves: u64,
    most_leaves: u64,
    names: u64,
}

impl<'c> Walk<'c> {
    pub(super) fn new(checkpoint: &'c Checkpoint, limits: &Limits) -> Self {
        Self {
            checkpoint,
            plan: Plan::default(),
            empty: HashSet::new(),
            path: String::new(),
            leaves: 0,
            most_leaves: limits.format.objects.into(),
            names: 0,
        }
    }

    /// Visits everything below a value.
    pub(super) fn run(&mut self, root: Value, alone: &str) -> Result<(), Error> {
        if length(self.checkpoint, root).is_none() {
            alone.clone_into(&mut self.path);
            return self.leaf(root);
        }
        walk(self.checkpoint, root, &mut |step| self.step(step))
    }

    /// Takes a value; whether to go on to what it holds.
    fn step(&mut self, step: &Step<'_>) -> Result<bool, Error> {
        step.path.clone_into(&mut self.path);
        self.names = self.names.saturating_add(step.last().len() as u64);
        self.within_names()?;
        let value = step.value;
        if !step.is_named() {
            return self.unnamed(value).map(|()| false);
        }
        match length(self.checkpoint, value) {
            // An empty container is something that the format cannot hold, but for one that is all.
            Some(1..) => self.attributes(value).map(|()| true),
            Some(0) if step.key.is_none() => self.attributes(value).map(|()| false),
            _ => self.leaf(value).map(|()| false),
        }
    }

    fn within_names(&self) -> Result<(), Error> {
        let most = limits::FORMAT_SAFETENSORS_HEADER_BYTES;
        if self.names <= most {
            return Ok(());
        }
        let cause = format!("its names take more than the {most} bytes that a header may have");
        Err(too_much(self.checkpoint, cause))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.leaves = self.leaves.saturating_add(1);
        if self.leaves <= self.most_leaves {
            return Ok(());
        }
        let cause = format!(
            "it holds more than {} values when shared parts are counted wherever they appear \
             (format.objects)",
            self.most_leaves
        );
        Err(too_much(self.checkpoint, cause))
    }

    /// A value that is no container with something in it.
    fn leaf(&mut self, value: Value) -> Result<(), Error> {
        let Value::Object(id) = value else { return self.rest() };
        match self.checkpoint.object(id) {
            Object::Parameter(parameter) => {
                if let Some(state) = parameter.state {
                    self.without_tensors(state)?;
                }
                let Some(data) = parameter.data else {
                    return Err(self.refuse("is a parameter that was never given numbers"));
                };
                match self.checkpoint.object(data) {
                    Object::Tensor(tensor) => self.tensor(tensor),
                    _ => {
                        Err(self.refuse("is a parameter around something that is no dense tensor"))
                    }
                }
            }
            Object::Tensor(tensor) => self.tensor(tensor),
            Object::Array(array) => self.array(array),
            Object::Sparse(sparse) => {
                let layout = sparse.layout.name();
                let cause = format!("is sparse ({layout}); save it dense (`to_dense()`)");
                Err(self.refuse(&cause))
            }
            _ => self.unnamed(value),
        }
    }

    /// A value that has no name: it must not hold a tensor.
    fn unnamed(&mut self, value: Value) -> Result<(), Error> {
        self.without_tensors(value)?;
        self.rest()
    }

    fn rest(&mut self) -> Result<(), Error> {
        self.count()?;
        self.plan.dropped = self.plan.dropped.saturating_add(1);
        if self.plan.dropped_first.len() < FIRST {
            self.plan.dropped_first.push(self.path.clone());
        }
        Ok(())
    }

    /// The attributes that the file gives to a dict, such as `_metadata`.
    fn attributes(&mut self, value: Value) -> Result<(), Error> {
        let Value::Object(id) = value else { return Ok(()) };
        match self.checkpoint.object(id) {
            Object::Dict(dict) => match dict.state {
                Some(state) => self.without_tensors(state),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Sees that nothing below a value is a tensor.
    fn without_tensors(&mut self, value: Value) -> Result<(), Error> {
        let mut waiting = vec![value];
        while let Some(value) = waiting.pop() {
            let place = match value {
                Value::Object(id) => match self.checkpoint.object(id) {
                    Object::Tensor(_) | Object::Sparse(_) | Object::Parameter(_) => {
                        let cause = "holds a tensor where it has no name: in a set, an attribute, or \
                                     under a key that is neither text nor an integer";
                        return Err(self.refuse(cause));
                    }
                    _ => (false, id.index()),
                },
                Value::Tuple(span) if !span.is_empty() => (true, span.start()),
                _ => continue,
            };
            if self.empty.insert(place) {
                self.checkpoint.children(value, &mut |child| waiting.push(child));
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &'c Tensor) -> Result<(), Error> {
        match View::of(self.checkpoint, tensor) {
            Some(view) => self.add(view),
            None => Err(self.refuse("is on the `meta` device and has no numbers")),
        }
    }

    /// An array of numpy's: a tensor where torch has its type, else no tensor.
    fn array(&mut self, array: &'c Array) -> Result<(), Error> {
        let Some(dtype) = array.dtype.torch().filter(|_| array.dtype.fields.is_empty()) else {
            return match array.dtype.kind {
                b'f' | b'c' => Err(self.refuse(&format!(
                    "has numpy's type `{}`, which torch does not have",
                    array.dtype
                ))),
                _ => self.rest(),
            };
        };
        let shape = self.checkpoint.dims(array.shape);
        let mut strides = vec![0; shape.len()];
        let counted = if array.fortran {
            // The first index fastest: the strides of the shape read backwards.
            let backwards: Vec<u64> = shape.iter().rev().copied().collect();
            let counted = extent::contiguous(&backwards, &mut strides);
            strides.reverse();
            counted
        } else {
            extent::contiguous(shape, &mut strides)
        };
        if counted.is_err() {
            return Err(self.refuse("has a shape whose size overflows"));
        }
        let reversed = self.checkpoint.storage(array.storage).is_some_and(|found| found.swapped);
        self.add(View {
            dtype,
            shape,
            strides: Cow::Owned(strides),
            storage: array.storage,
            offset: 0,
            conjugate: false,
            negative: false,
            swapped: array.dtype.big && !reversed,
            passing: false,
        })
    }

    fn add(&mut self, view: View<'c>) -> Result<(), Error> {
        self.count()?;
        let dtype = view.dtype;
        if layout::rank(dtype).is_none() {
            let what = match dtype {
                Dtype::Complex32 | Dtype::Complex128 => "the format has `complex64` alone",
                _ if dtype.family() == Family::Quantized => "save it as floats (`dequantize()`)",
                _ => "the format has no such type",
            };
            return Err(self.refuse(&format!("has the type `{dtype}`: {what}")));
        }
        if dtype == Dtype::Float4E2m1fnX2 && view.shape.is_empty() {
            return Err(self.refuse(
                "is a pair of four-bit floats, and the format counts them along a dimension",
            ));
        }
        if view.negative && !elements::negates(dtype) {
            return Err(
                self.refuse(&format!("is the negative of `{dtype}` numbers, which have none"))
            );
        }
        let bytes =
            view.shape.iter().try_fold(dtype.size(), |bytes, &size| bytes.checked_mul(size));
        let Some(bytes) = bytes else {
            return Err(self.refuse("has a shape whose size overflows"));
        };
        // A header needs more than this for a tensor; names count here for every tensor in full.
        self.names = self.names.saturating_add(self.path.len() as u64);
        self.within_names()?;
        self.plan.tensors.push(Named { name: self.path.clone(), view, bytes });
        Ok(())
    }

    fn refuse(&self, cause: &str) -> Error {
        cannot(self.checkpoint, format!("`{}` {cause}", printable(&self.path)))
    }
}
