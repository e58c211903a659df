//! The build domain: what the opcodes mean for values that are built.
//!
//! [`build`] runs the same machine as the audit ([`crate::pickle::machine`]), over the values of a
//! [`Checkpoint`](crate::checkpoint::Checkpoint). It accepts plain data and the callables of the
//! allowlist (`spec/rules/allowed.toml`) that it rebuilds itself, with arguments of the kinds that
//! the list admits, and nothing else. No global is looked up anywhere: a name stands for what this
//! module makes of it.
//!
//! It refuses what unpicklers go on with: faults of the machine, texts that readers read
//! differently, frames that cut an argument, items for what holds none (`SETITEM` on a tensor:
//! CVE-2026-24747).

mod call;
mod kinds;
mod literal;
mod numpy;
mod state;
mod torch;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Options, Python2Text};
use crate::checkpoint::{
    Builder, Dict, DictKind, LoadError, Object, Problem, StorageId, Value, keep_last,
};
use crate::format::torchscript::is_own_module;
use crate::limits::PICKLE_NAME_BYTES;
use crate::pickle::audit::{Frames, PersistentIds};
use crate::pickle::decode::{DecodeError, Instruction, Step, decode};
use crate::pickle::kind::{Kind, KindSet};
use crate::pickle::machine::{Arguments, Domain, Fault, Flow, Machine};
use crate::pickle::opcode::Opcode;
use crate::pickle::store::Growing;
use crate::rules::{AllowedGlobal, Class, judge};

/// What a persistent id says of a storage.
#[derive(Clone, Copy, Debug)]
pub struct StorageRequest<'r> {
    /// Its key.
    pub key: &'r str,
    /// The type of its elements.
    pub dtype: crate::checkpoint::Dtype,
    /// The device that it was on.
    pub location: &'r str,
    /// How many elements it holds.
    pub elements: u64,
    /// The key of a part of it, where that begins and how long it is, in elements: legacy files.
    pub view: Option<(&'r str, u64, u64)>,
}

/// Who knows the storages that a pickle asks for.
pub trait Storages {
    /// The storage that a persistent id stands for; the same one for the same key.
    ///
    /// # Errors
    /// [`Problem::MissingStorage`], [`Problem::ShortStorage`], [`Problem::StorageConflict`].
    fn storage(
        &mut self,
        builder: &mut Builder,
        request: &StorageRequest<'_>,
    ) -> Result<StorageId, Problem>;

    /// The tensor or the storage that a number stands for, in PyTorch's tar layout.
    fn numbered(&mut self, number: i64) -> Option<Value> {
        let _ = number;
        None
    }
}

/// A pickle without storages.
#[derive(Clone, Copy, Debug)]
pub struct NoStorages;

impl Storages for NoStorages {
    fn storage(&mut self, _: &mut Builder, _: &StorageRequest<'_>) -> Result<StorageId, Problem> {
        Err(Problem::PersistentId)
    }
}

/// Where a pickle lies, and what its surroundings give it.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Which persistent ids are understood.
    pub ids: PersistentIds,
    /// Whether `__torch__` names are the archive's own classes.
    pub torchscript: bool,
}

/// Builds the value of the pickle at the front of `stream`, and says where it ended.
///
/// Offsets in errors count from the start of `stream`.
///
/// # Errors
/// [`LoadError`], at the instruction that could not be followed.
pub fn build(
    stream: &[u8],
    options: &Options,
    surroundings: Surroundings,
    builder: &mut Builder,
    storages: &mut dyn Storages,
) -> Result<(Value, usize), LoadError> {
    let limits = &options.limits.pickle;
    let size = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
    let mut stack = Growing::new(size(limits.stack_items));
    let mut marks = Growing::new(size(limits.marks));
    let mut memo = Growing::new(size(limits.memo_entries));
    let slack = size(limits.memo_index_slack);
    let mut machine = Machine::new(&mut stack, &mut marks, &mut memo, slack);
    let mut domain = BuildDomain {
        builder,
        storages,
        text: options.text,
        surroundings,
        protocol: 0,
        records: BTreeMap::new(),
    };
    let mut frames = Frames::new(as_u64(stream.len()));
    let mut at = 0_usize;
    loop {
        let offset = as_u64(at);
        let rest = stream.get(at..).unwrap_or_default();
        let instruction = match decode(rest, offset) {
            Ok(Step::Instruction(instruction)) => instruction,
            Ok(Step::Incomplete(_)) => return Err(LoadError::at(Problem::Truncated, offset)),
            Err(DecodeError { kind, offset }) => {
                return Err(LoadError::at(Problem::Decode(kind), offset));
            }
        };
        if frames.read(&instruction).is_some() {
            return Err(LoadError::at(Problem::Divergent, offset));
        }
        at = at.saturating_add(instruction.length);
        domain.builder.has_read(as_u64(instruction.length));
        match machine.execute(&instruction, &mut domain)? {
            Flow::Next => {}
            Flow::Stop(value) => return Ok((value, at)),
            Flow::Halt => {
                return Err(LoadError::at(Problem::Machine(Fault::StackLimit), offset));
            }
        }
        if instruction.opcode == Opcode::Proto {
            domain.protocol = machine.protocol();
        }
    }
}

/// An instance of a class of the archive's own code: attributes, and no code of it.
static SCRIPT_CLASS: AllowedGlobal = AllowedGlobal {
    module: "__torch__",
    name: "",
    kind: Kind::Class,
    call: None,
    build: Some(KindSet(u32::MAX)),
    gives: Kind::Object,
    items: false,
    why: "the archive's own code defines it; its attributes are data",
    source: "torch/csrc/jit/serialization/pickler.cpp",
};

/// Values of a checkpoint under construction.
struct BuildDomain<'d> {
    builder: &'d mut Builder,
    storages: &'d mut dyn Storages,
    text: Python2Text,
    surroundings: Surroundings,
    protocol: u8,
    /// How deep the records of numpy's nest, and how many fields they have in all, by where their
    /// fields start.
    records: BTreeMap<usize, (u32, u64)>,
}

type Out<V> = Result<V, LoadError>;

/// A problem at the instruction that met it.
fn at<V>(instruction: &Instruction<'_>, result: Result<V, Problem>) -> Out<V> {
    result.map_err(|problem| LoadError::at(problem, instruction.offset))
}

impl BuildDomain<'_> {
    fn object(&mut self, object: Object) -> Result<Value, Problem> {
        self.builder.object(object).map(Value::Object)
    }

    fn dict(&mut self, kind: DictKind, items: Vec<(Value, Value)>) -> Result<Value, Problem> {
        self.object(Object::Dict(Dict { kind, items, state: None }))
    }

    fn import(&mut self, instruction: &Instruction<'_>, module: &str, name: &str) -> Out<Value> {
        let judgement = judge(module, name, self.protocol < 3);
        match judgement.class {
            Class::Allowed(entry) => Ok(match (entry.module, entry.kind) {
                ("torch", Kind::Constant) => crate::checkpoint::Dtype::from_name(entry.name)
                    .map_or(Value::Global(entry), Value::Dtype),
                _ => Value::Global(entry),
            }),
            Class::Unknown if self.surroundings.torchscript && is_own_module(module) => {
                Ok(Value::Global(&SCRIPT_CLASS))
            }
            _ => {
                let name = format!("{module}.{name}");
                Err(LoadError::about(Problem::Global, instruction.offset, name))
            }
        }
    }

    /// An error about a global that was named.
    fn about<V>(
        instruction: &Instruction<'_>,
        entry: &AllowedGlobal,
        result: Result<V, Problem>,
    ) -> Out<V> {
        result.map_err(|problem| {
            let name = format!("{}.{}", entry.module, entry.name);
            LoadError::about(problem, instruction.offset, name)
        })
    }

    /// Counts what a call may copy of its arguments, where it is much: they are references, and
    /// cost the pickle next to nothing.
    fn copies_of(&mut self, values: &[Value]) -> Result<(), Problem> {
        let bytes = values.iter().map(|&value| self.weight(value, 2));
        let bytes = bytes.fold(0, u64::saturating_add);
        self.builder.copies(bytes)
    }

    fn weight(&self, value: Value, deeper: u8) -> u64 {
        let made = self.builder.so_far();
        let values = |count: usize| as_u64(count).saturating_mul(24);
        let (own, inside) = match value {
            Value::Text(span) | Value::Bytes(span) | Value::Integer(span) => {
                (as_u64(span.len()), None)
            }
            Value::Tuple(span) => (values(span.len()), Some(span)),
            Value::Size(span) => (values(span.len()), None),
            Value::Object(id) => match made.object(id) {
                Object::List(items) | Object::Deque(items, _) => (values(items.len()), None),
                Object::Dict(dict) => (values(dict.items.len()).saturating_mul(2), None),
                Object::ByteArray(span) => (as_u64(span.len()), None),
                _ => (0, None),
            },
            _ => (0, None),
        };
        let own = if own > SMALL { own } else { 0 };
        match (inside, deeper.checked_sub(1)) {
            (Some(span), Some(deeper)) => {
                let inside = made.items(span).iter().map(|&item| self.weight(item, deeper));
                inside.fold(own, u64::saturating_add)
            }
            _ => own,
        }
    }

    fn text_of(&self, value: Value) -> Option<&str> {
        match value {
            Value::Text(span) => Some(self.builder.so_far().text(span)),
            _ => None,
        }
    }
}

impl<'a> Domain<'a> for BuildDomain<'_> {
    type Value = Value;
    type Error = LoadError;

    fn fault(&mut self, instruction: &Instruction<'a>, fault: Fault) -> Out<Value> {
        at(instruction, Err(Problem::Machine(fault)))
    }

    fn divergent(&mut self, instruction: &Instruction<'a>) -> Out<()> {
        at(instruction, Err(Problem::Divergent))
    }

    fn literal(&mut self, instruction: &Instruction<'a>) -> Out<Value> {
        let value = self.read_literal(instruction);
        at(instruction, value)
    }

    fn global(
        &mut self,
        instruction: &Instruction<'a>,
        module: &'a [u8],
        name: &'a [u8],
    ) -> Out<Value> {
        match (core::str::from_utf8(module), core::str::from_utf8(name)) {
            (Ok(module), Ok(name)) => self.import(instruction, module, name),
            _ => at(instruction, Err(Problem::Encoding)),
        }
    }

    fn stack_global(
        &mut self,
        instruction: &Instruction<'a>,
        module: Value,
        name: Value,
    ) -> Out<Value> {
        let (Some(module), Some(name)) = (self.text_of(module), self.text_of(name)) else {
            return at(instruction, Err(Problem::Literal));
        };
        if module.len().max(name.len()) > PICKLE_NAME_BYTES as usize {
            return at(instruction, Err(Problem::Global));
        }
        let (module, name) = (String::from(module), String::from(name));
        self.import(instruction, &module, &name)
    }

    fn extension(&mut self, instruction: &Instruction<'a>, _: i64) -> Out<Value> {
        at(instruction, Err(Problem::Extension))
    }

    fn persistent(&mut self, instruction: &Instruction<'a>, id: Option<Value>) -> Out<Value> {
        let id = at(instruction, id.ok_or(Problem::PersistentId))?;
        at(instruction, self.copies_of(&[id]))?;
        self.persistent_id(instruction, id)
    }

    fn call(
        &mut self,
        instruction: &Instruction<'a>,
        callee: Value,
        arguments: Arguments<'_, Value>,
    ) -> Out<Value> {
        let Value::Global(entry) = callee else {
            return at(instruction, Err(Problem::Arguments));
        };
        let span = match arguments {
            Arguments::Tuple(Value::Tuple(span)) => Ok(span),
            Arguments::Items(items) => self.builder.items(items),
            // No picklers' output for an allowed class has keywords.
            Arguments::Tuple(_) | Arguments::Keywords(..) => Err(Problem::Arguments),
        };
        let value = span.and_then(|span| self.make(entry, span, instruction.opcode));
        Self::about(instruction, entry, value)
    }

    fn build(&mut self, instruction: &Instruction<'a>, object: Value, state: Value) -> Out<Value> {
        at(instruction, self.copies_of(&[state]))?;
        let built = self.set_state(object, state);
        at(instruction, built)?;
        Ok(object)
    }

    fn collect(&mut self, instruction: &Instruction<'a>, items: &[Value]) -> Out<Value> {
        let value = match instruction.opcode {
            Opcode::EmptyList | Opcode::List => self.object(Object::List(items.to_vec())),
            Opcode::EmptyDict | Opcode::Dict => {
                let pairs = items.chunks_exact(2).filter_map(|pair| match *pair {
                    [key, value] => Some((key, value)),
                    _ => None,
                });
                let pairs = pairs.collect();
                self.dict(DictKind::Plain, pairs)
            }
            Opcode::EmptySet => self.object(Object::Set(Vec::new())),
            Opcode::FrozenSet => self.object(Object::FrozenSet(items.to_vec())),
            _ => self.builder.items(items).map(Value::Tuple),
        };
        at(instruction, value)
    }

    fn extend(&mut self, instruction: &Instruction<'a>, target: Value, items: &[Value]) -> Out<()> {
        let object = match target {
            Value::Object(id) => self.builder.object_mut(id),
            _ => None,
        };
        let added = match (instruction.opcode, object) {
            (Opcode::Append | Opcode::Appends, Some(Object::List(list))) => {
                list.extend_from_slice(items);
                Ok(())
            }
            (Opcode::Append | Opcode::Appends, Some(Object::Deque(list, most))) => {
                list.extend_from_slice(items);
                // Not each time: what is left is moved.
                if let Some(most) = *most
                    && as_u64(list.len()) > most.saturating_mul(2)
                {
                    keep_last(list, most);
                }
                Ok(())
            }
            (Opcode::AddItems, Some(Object::Set(set))) => {
                set.extend_from_slice(items);
                Ok(())
            }
            (Opcode::SetItem | Opcode::SetItems, Some(Object::Dict(dict))) => {
                dict.items.extend(items.chunks_exact(2).filter_map(|pair| match *pair {
                    [key, value] => Some((key, value)),
                    _ => None,
                }));
                Ok(())
            }
            _ => Err(Problem::Items),
        };
        at(instruction, added)
    }
}

/// What is no larger costs no more to copy than to refer to, about.
const SMALL: u64 = 256;

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
