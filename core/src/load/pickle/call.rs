//! What a call of an allowed global makes, but for tensors and arrays.

use alloc::string::String;
use alloc::vec::Vec;

use super::BuildDomain;
use crate::checkpoint::{DictKind, Instance, Object, Problem, Span, Value, keep_last};
use crate::pickle::kind::Kind;
use crate::pickle::opcode::Opcode;
use crate::rules::{AllowedGlobal, allowed};

impl BuildDomain<'_> {
    /// Makes what `entry` gives for these arguments.
    pub(super) fn make(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: Span,
        opcode: Opcode,
    ) -> Result<Value, Problem> {
        if entry.module == "__torch__" {
            return self.script_object(entry, arguments);
        }
        let shape = entry.call.ok_or(Problem::Arguments)?;
        let new = matches!(opcode, Opcode::NewObj | Opcode::NewObjEx);
        if (new && entry.kind != Kind::Class) || !self.fits(shape, arguments) {
            return Err(Problem::Arguments);
        }
        // As many as any callable below takes; paths alone take more, and keep their span.
        let mut taken = [Value::None; 9];
        let items = self.builder.so_far().items(arguments);
        let count = items.len().min(taken.len());
        for (slot, &item) in taken.iter_mut().zip(items) {
            *slot = item;
        }
        let taken = taken.get(..count).unwrap_or_default();
        self.copies_of(taken)?;
        match entry.module {
            "torch._utils" => self.torch_utils(entry, taken),
            "torch"
            | "torch.cuda"
            | "torch.nn.parameter"
            | "torch.serialization"
            | "torch.jit._pickle"
            | "torch.storage" => self.torch(entry, arguments, taken),
            "numpy"
            | "numpy.core.multiarray"
            | "numpy._core.multiarray"
            | "numpy.core.numeric"
            | "numpy._core.numeric" => self.numpy(entry, taken),
            "collections" => self.collection(entry, taken),
            "builtins" | "_codecs" | "copyreg" => self.builtin(entry, taken),
            _ if entry.gives == Kind::Dict => self.dict(DictKind::Other(entry), Vec::new()),
            _ => self.instance(entry, arguments),
        }
    }

    pub(super) fn instance(
        &mut self,
        class: &'static AllowedGlobal,
        arguments: Span,
    ) -> Result<Value, Problem> {
        self.object(Object::Instance(Instance { class, arguments, state: None }))
    }

    /// A module or an object of TorchScript's: its attributes come with `BUILD`.
    fn script_object(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: Span,
    ) -> Result<Value, Problem> {
        if !self.builder.so_far().items(arguments).is_empty() {
            return Err(Problem::Arguments);
        }
        self.dict(DictKind::Other(entry), Vec::new())
    }

    fn collection(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        match (entry.name, arguments) {
            ("OrderedDict", &[]) => self.dict(DictKind::Ordered, Vec::new()),
            ("OrderedDict", &[pairs]) => {
                let pairs = self.pairs(pairs)?;
                self.dict(DictKind::Ordered, pairs)
            }
            ("Counter", &[]) => self.dict(DictKind::Counter, Vec::new()),
            ("Counter", &[counts]) => {
                let counts = self.dict_items(counts).ok_or(Problem::Arguments)?;
                self.dict(DictKind::Counter, counts)
            }
            ("defaultdict", &[]) => self.dict(DictKind::Default(Value::None), Vec::new()),
            ("defaultdict", &[factory]) => self.dict(DictKind::Default(factory), Vec::new()),
            ("deque", &[]) => self.object(Object::Deque(Vec::new(), None)),
            ("deque", &[items, ref most @ ..]) => {
                let most = match *most {
                    [Value::Int(most)] => {
                        Some(u64::try_from(most).map_err(|_| Problem::Arguments)?)
                    }
                    _ => None,
                };
                let mut items = self.sequence(items).ok_or(Problem::Arguments)?;
                most.into_iter().for_each(|most| keep_last(&mut items, most));
                self.object(Object::Deque(items, most))
            }
            _ => Err(Problem::Unsupported),
        }
    }

    fn builtin(
        &mut self,
        entry: &'static AllowedGlobal,
        arguments: &[Value],
    ) -> Result<Value, Problem> {
        match (entry.name, arguments) {
            ("set", &[]) => self.object(Object::Set(Vec::new())),
            ("set", &[items]) => {
                let items = self.sequence(items).ok_or(Problem::Arguments)?;
                self.object(Object::Set(items))
            }
            ("frozenset", &[]) => self.object(Object::FrozenSet(Vec::new())),
            ("frozenset", &[items]) => {
                let items = self.sequence(items).ok_or(Problem::Arguments)?;
                self.object(Object::FrozenSet(items))
            }
            ("bytes", &[]) => self.builder.bytes(&[]).map(Value::Bytes),
            ("bytearray", &[]) => {
                let bytes = self.builder.bytes(&[])?;
                self.object(Object::ByteArray(bytes))
            }
            ("bytearray", &[Value::Bytes(bytes)]) => self.object(Object::ByteArray(bytes)),
            ("bytearray", &[Value::Text(text), _]) => {
                let bytes = self.latin1(text)?;
                self.object(Object::ByteArray(bytes))
            }
            ("encode", &[Value::Text(text), _]) => self.latin1(text).map(Value::Bytes),
            ("complex", &[real, imaginary]) => {
                let (real, imaginary) = (float(real)?, float(imaginary)?);
                self.object(Object::Complex(real, imaginary))
            }
            ("range", &[Value::Int(start), Value::Int(stop), Value::Int(step)]) if step != 0 => {
                self.object(Object::Range([start, stop, step]))
            }
            ("slice", &[start, stop, step]) => self.object(Object::Slice([start, stop, step])),
            ("_reconstructor", &[Value::Global(class), Value::Global(_), Value::None]) => {
                let none = self.builder.items(&[])?;
                self.make(class, none, Opcode::Reduce)
            }
            _ => Err(Problem::Arguments),
        }
    }

    /// The bytes of a text whose characters are bytes.
    pub(super) fn latin1(&mut self, text: Span) -> Result<Span, Problem> {
        let text = self.builder.so_far().text(text);
        let bytes: Result<Vec<u8>, _> =
            text.chars().map(|character| u8::try_from(u32::from(character))).collect();
        self.builder.bytes(&bytes.map_err(|_| Problem::Encoding)?)
    }

    /// The items of a list, a tuple, a set.
    pub(super) fn sequence(&self, value: Value) -> Option<Vec<Value>> {
        let made = self.builder.so_far();
        match value {
            Value::Tuple(span) | Value::Size(span) => Some(made.items(span).to_vec()),
            Value::Object(id) => match made.object(id) {
                Object::List(items) | Object::Deque(items, None) => Some(items.clone()),
                Object::Deque(items, Some(most)) => {
                    let mut items = items.clone();
                    keep_last(&mut items, *most);
                    Some(items)
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn dict_items(&self, value: Value) -> Option<Vec<(Value, Value)>> {
        let Value::Object(id) = value else { return None };
        match self.builder.so_far().object(id) {
            Object::Dict(dict) => Some(dict.items.clone()),
            _ => None,
        }
    }

    /// A list of pairs, as Python 2 wrote an `OrderedDict`.
    fn pairs(&self, value: Value) -> Result<Vec<(Value, Value)>, Problem> {
        let items = self.sequence(value).ok_or(Problem::Arguments)?;
        let pair = |item: Value| match self.sequence(item)?.as_slice() {
            &[key, value] => Some((key, value)),
            _ => None,
        };
        items.into_iter().map(pair).collect::<Option<_>>().ok_or(Problem::Arguments)
    }

    /// `torch.device`: its type, and its number where it has one (`torch/csrc/Device.cpp`).
    pub(super) fn device(&mut self, arguments: &[Value]) -> Result<Value, Problem> {
        let (text, number) = match *arguments {
            [Value::Text(text)] => (text, None),
            [Value::Text(text), Value::Int(number)] => (text, Some(number)),
            _ => return Err(Problem::Arguments),
        };
        let text = String::from(self.builder.so_far().text(text));
        let (kind, number) = match (text.split_once(':'), number) {
            (Some((kind, digits)), None) => {
                let number: u32 = digits.parse().map_err(|_| Problem::Arguments)?;
                (kind, Some(number))
            }
            (Some(_), Some(_)) => return Err(Problem::Arguments),
            (None, number) => {
                let number = number.map(u32::try_from).transpose();
                (text.as_str(), number.map_err(|_| Problem::Arguments)?)
            }
        };
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Problem::Arguments);
        }
        let kind = self.builder.text(kind)?;
        self.object(Object::Device(kind, number))
    }

    /// The layout that a name under `torch` stands for, as `_get_layout` looks it up.
    pub(super) fn layout(&self, name: Value) -> Result<Value, Problem> {
        let name = self.text_of(name).and_then(|name| name.strip_prefix("torch."));
        let entry = name.and_then(|name| allowed("torch", name));
        let entry = entry.filter(|entry| entry.why == "a layout").ok_or(Problem::Arguments)?;
        Ok(Value::Global(entry))
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Python's own float(int) rounds")]
pub(super) fn float(value: Value) -> Result<f64, Problem> {
    match value {
        Value::Float(value) => Ok(value),
        Value::Int(value) => Ok(value as f64),
        _ => Err(Problem::Arguments),
    }
}
