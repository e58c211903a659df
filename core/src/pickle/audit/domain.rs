//! The audit domain: what the opcodes mean for values that are never built.

use core::convert::Infallible;

use super::Options;
use super::facts::is_never_text;
use super::joblib::{RawArray, Wrapper, fields};
use super::sink::{Detail, Finding, ImportSeen, Literal, Sink};
use super::tensor::Dimensions;
use super::value::{Container, Import, Item, NO_IMPORT, Tuple, Value, Weight};
use crate::format::torchscript::is_own_module;
use crate::limits::PICKLE_NAME_BYTES;
use crate::pickle::decode::{Arg, Instruction};
use crate::pickle::kind::{Kind, KindSet, Shape};
use crate::pickle::machine::{Arguments, Domain, Fault};
use crate::pickle::opcode::Opcode;
use crate::pickle::store::Store;
use crate::pickle::text::{self, Encoding, Radix, is_plain_float, is_some_float, number, unquote};
use crate::rules::{AllowedGlobal, Class, judge};
use crate::score::Rule;

/// A class of a TorchScript archive's own code: nothing is imported for it.
static SCRIPT_CLASS: AllowedGlobal =
    unrestricted(Kind::Class, "the archive's own code defines it; the unpickler imports nothing");

/// Something of a module that lies in the archive.
static PACKAGE_GLOBAL: AllowedGlobal = unrestricted(
    Kind::Class,
    "a module of the archive's own defines it, and is judged as a program",
);

/// A global that the caller's policy allows.
static POLICY_GLOBAL: AllowedGlobal = unrestricted(Kind::Class, "the policy allows it");

const ANY: KindSet = KindSet(u32::MAX);

/// The longest module or name that is compared whole.
const NAME_BYTES: usize = PICKLE_NAME_BYTES as usize;

/// The bytes of the shortest pickle that calls something, as text: `_codecs.encode` turns text
/// into the bytes of a pickle under protocol 2.
const LEAST_PICKLE: usize = 8;

/// The row of a container that an opcode has just made empty.
const FRESH: Container = Container { weight: 1.0, depth: 1, held: false, reach: 0, objects: false };

const fn unrestricted(kind: Kind, why: &'static str) -> AllowedGlobal {
    AllowedGlobal {
        module: "",
        name: "",
        kind,
        call: Some(Shape { required: 0, args: &[], rest: Some(ANY) }),
        build: Some(ANY),
        gives: Kind::Object,
        items: true,
        why,
        source: "",
    }
}

/// Values of the audit, the imports so far, and the sink that hears of them.
pub(super) struct AuditDomain<'a, 'm, S, I, C> {
    pub(super) stream: &'a [u8],
    pub(super) options: &'m Options<'m>,
    pub(super) imports: &'m mut I,
    pub(super) containers: &'m mut C,
    pub(super) sink: &'m mut S,
    protocol: u8,
    /// The state of the joblib array wrapper that is being filled.
    pub(super) wrapper: Option<Wrapper>,
    /// How joblib reads on behind the `BUILD` that was just executed.
    pub(super) raw: Option<RawArray>,
    /// The serial number of the array wrapper that was made last and has no state yet, in place
    /// of an item size; and how many were made.
    pub(super) fresh_wrapper: Option<Item>,
    wrappers: i64,
    /// Whether the stream has named joblib's array wrapper.
    pub(super) joblib: bool,
    /// Whether the stream has named a global that the allowlist does not vouch for.
    unknown_imports: bool,
    /// Whether this is a pickle inside a joblib dump, which joblib reads with `pickle.load`.
    embedded: bool,
    /// The last tuple that may be a storage's persistent id, with its class, key and size.
    pub(super) last_id: Option<(Tuple, [Value; 3])>,
    /// The last tuple, if it is of one byte string alone, and the string.
    pub(super) last_bytes: Option<(Tuple, Value)>,
    /// The last tuple, if it is of a text and the Latin-1 codec, and the bytes that the two make.
    pub(super) last_text: Option<(Tuple, Value)>,
    /// How many tuples were given a serial number.
    pub(super) stamps: i64,
    /// The last two tuples of integers: the sizes and strides of a tensor, when it is rebuilt.
    pub(super) recent: [Dimensions; 2],
    /// Whether the stream runs out of what can be judged.
    pub(super) halted: bool,
}

type Out<V> = Result<V, Infallible>;

impl<'a, 'm, S, I, C> AuditDomain<'a, 'm, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    pub(super) fn new(
        stream: &'a [u8],
        options: &'m Options<'m>,
        imports: &'m mut I,
        containers: &'m mut C,
        sink: &'m mut S,
    ) -> Self {
        imports.truncate(0);
        containers.truncate(0);
        Self {
            stream,
            options,
            imports,
            containers,
            sink,
            protocol: 0,
            wrapper: None,
            raw: None,
            fresh_wrapper: None,
            wrappers: 0,
            joblib: false,
            embedded: false,
            unknown_imports: false,
            last_id: None,
            last_bytes: None,
            last_text: None,
            stamps: 0,
            recent: [Dimensions::NONE; 2],
            halted: false,
        }
    }

    pub(super) const fn set_embedded(&mut self, embedded: bool) {
        self.embedded = embedded;
    }

    pub(super) const fn set_protocol(&mut self, protocol: u8) {
        self.protocol = protocol;
    }

    /// What joblib reads behind the instruction that was just executed, if anything.
    pub(super) const fn take_raw(&mut self) -> Option<RawArray> {
        self.raw.take()
    }

    pub(super) const fn joblib(&self) -> bool {
        self.joblib
    }

    pub(super) const fn halted(&self) -> bool {
        self.halted
    }

    pub(super) fn find(&mut self, rule: Rule, offset: u64, detail: Detail<'_>) {
        self.sink.finding(Finding { rule, offset, detail });
    }

    /// A name that Python's unpickler would import from a line that the end of input cuts.
    pub(super) fn cut_global(&mut self, at: &Instruction<'a>, module: &'a [u8], name: &'a [u8]) {
        let Ok(_) = self.global(at, module, name);
    }

    fn no_number(&mut self, at: &Instruction<'_>) -> Value {
        let why = "the argument is no number to any unpickler";
        self.find(Rule::PickleMalformed, at.offset, Detail::Text(why));
        Value::Missing
    }

    /// The serial number of a new array wrapper.
    fn new_wrapper(&mut self) -> Item {
        self.wrappers = self.wrappers.saturating_add(1);
        let serial = Item::of_bytes(self.wrappers);
        self.fresh_wrapper = (serial != Item::UNKNOWN).then_some(serial);
        serial
    }

    pub(super) fn unresolvable(&mut self, at: &Instruction<'_>, why: &'static str) -> Value {
        self.find(Rule::PickleGlobalUnresolvable, at.offset, Detail::Text(why));
        Value::Plain(Kind::Unknown)
    }

    fn import(&mut self, at: &Instruction<'_>, module: &str, name: &str) -> Value {
        let mut judgement = judge(module, name, self.protocol < 3);
        if judgement.class == Class::Unknown {
            if self.options.torchscript && is_own_module(module) {
                judgement.class = Class::Allowed(&SCRIPT_CLASS);
                judgement.dotted = false;
            } else if self.options.own.binary_search(&module).is_ok() {
                judgement.class = Class::Allowed(&PACKAGE_GLOBAL);
                judgement.dotted = false;
            } else if self.options.allows(module, name) {
                judgement.class = Class::Allowed(&POLICY_GLOBAL);
                judgement.dotted = false;
            }
        }
        let index = u32::try_from(self.imports.len()).unwrap_or(NO_IMPORT);
        let import = Import { class: judgement.class, offset: at.offset };
        if self.imports.push(import).is_err() {
            self.halted = true;
            let why = "more globals than the limit; the rest could not be judged";
            self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
        }
        self.sink.import(&ImportSeen {
            offset: at.offset,
            opcode: at.opcode,
            module,
            name,
            judgement,
        });
        self.unknown_imports |= !matches!(judgement.class, Class::Allowed(_));
        match judgement.class {
            Class::Allowed(entry) => {
                self.joblib |= super::is_joblib_wrapper(Class::Allowed(entry));
            }
            Class::Dangerous(_) => {
                self.find(Rule::PickleGlobalDangerous, at.offset, Detail::Import(index));
            }
            Class::Unknown => {
                self.find(Rule::PickleGlobalUnknown, at.offset, Detail::Import(index));
            }
        }
        if judgement.dotted {
            self.find(Rule::PickleGlobalDotted, at.offset, Detail::Import(index));
        }
        Value::Import(index)
    }

    pub(super) fn entry(&self, import: u32) -> Option<Class> {
        let index = usize::try_from(import).ok()?;
        self.imports.get(index).map(|import| import.class)
    }

    /// The import that a value comes from, unless the allowlist vouches for it.
    fn unknown_import(&self, value: Value) -> Option<u32> {
        let import = match value {
            Value::Import(import)
            | Value::Instance { import, .. }
            | Value::Container { import, .. } => import,
            _ => return None,
        };
        match self.entry(import) {
            Some(Class::Unknown | Class::Dangerous(_)) => Some(import),
            _ => None,
        }
    }

    /// A call, build or extension of what an unjudged import gave.
    fn unknown_call(&mut self, at: &Instruction<'_>, import: u32) {
        self.sink.call(import, at.offset, at.opcode);
        if self.entry(import) == Some(Class::Unknown) {
            self.find(Rule::PickleCallUnknown, at.offset, Detail::Call(import, at.opcode));
        }
    }

    fn wrong_shape(&mut self, at: &Instruction<'_>, import: u32) {
        self.find(Rule::PickleCallShape, at.offset, Detail::Call(import, at.opcode));
    }

    fn wrong_target(&mut self, at: &Instruction<'_>, value: Value, what: &'static str) {
        let rule = match self.kind(value) {
            // What took nothing has been reported where it took it.
            _ if value == Value::Missing => return,
            Kind::Unknown => Rule::PickleCallUnknown,
            _ => Rule::PickleCallShape,
        };
        self.find(rule, at.offset, Detail::CallOf(at.opcode, what));
    }

    /// Reports literals that may be pickles of their own, or PyTorch files.
    fn offer(&mut self, offset: u64, data: &'a [u8], latin1: bool) {
        if self.options.nested && super::may_be_pickle(data, latin1) {
            self.sink.literal(Literal { offset, data, latin1, loaded: false });
        }
    }
}

impl<'a, S, I, C> Domain<'a> for AuditDomain<'a, '_, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    type Value = Value;
    type Error = Infallible;

    fn fault(&mut self, at: &Instruction<'a>, fault: Fault) -> Out<Value> {
        let rule = if fault.is_limit() { Rule::PickleLimit } else { Rule::PickleMalformed };
        self.find(rule, at.offset, Detail::Fault(fault, at.opcode));
        // Past a limit of ours an unpickler goes on with a value, and one that is used again
        // still has the memo of the pickle before; past any other error it stops.
        let goes_on = fault.is_limit() || fault == Fault::MissingMemo;
        Ok(if goes_on { Value::Plain(Kind::Unknown) } else { Value::Missing })
    }

    fn divergent(&mut self, at: &Instruction<'a>) -> Out<()> {
        let text = if let Arg::Line(line) = at.arg { line } else { &[] };
        self.find(Rule::PickleDivergent, at.offset, Detail::Argument(at.opcode, text));
        Ok(())
    }

    #[inline(always)]
    fn literal(&mut self, at: &Instruction<'a>) -> Out<Value> {
        let data_offset = |data: &[u8]| {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            at.end().saturating_sub(length)
        };
        let text_value = |encoding, data: &[u8], offset| Value::Text {
            encoding,
            length: u32::try_from(data.len()).unwrap_or(u32::MAX),
            offset,
        };
        Ok(match (at.opcode, at.arg) {
            (Opcode::None, _) => Value::Plain(Kind::None),
            (Opcode::NewTrue | Opcode::NewFalse, _) => Value::Plain(Kind::Bool),
            (Opcode::BinFloat, _) => Value::Plain(Kind::Float),
            (Opcode::Float, Arg::Line(line)) => {
                if !is_some_float(line) {
                    return Ok(self.no_number(at));
                }
                if !is_plain_float(line) {
                    self.divergent(at)?;
                }
                Value::Plain(Kind::Float)
            }
            (Opcode::BinInt | Opcode::BinInt1 | Opcode::BinInt2, Arg::Int(value)) => {
                Value::Int(value)
            }
            (Opcode::Int | Opcode::Long, Arg::Line(line)) => {
                let radix = if at.opcode == Opcode::Int { Radix::Int } else { Radix::Long };
                let number = number(line, radix);
                if number.value == text::Value::Invalid {
                    return Ok(self.no_number(at));
                }
                if !number.agreed {
                    self.divergent(at)?;
                }
                match number.value {
                    _ if radix == Radix::Int && matches!(line, b"00" | b"01") => {
                        Value::Plain(Kind::Bool)
                    }
                    text::Value::Small(value) => Value::Int(value),
                    _ => Value::Plain(Kind::Int),
                }
            }
            (Opcode::Long1 | Opcode::Long4, Arg::Data(data)) => {
                long(data).map_or(Value::Plain(Kind::Int), Value::Int)
            }
            (
                Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8,
                Arg::Data(data),
            ) => {
                let offset = data_offset(data);
                if data.len() >= LEAST_PICKLE {
                    self.offer(offset, data, !data.is_ascii());
                }
                text_value(Encoding::Utf8, data, offset)
            }
            (Opcode::BinString | Opcode::ShortBinString, Arg::Data(data)) => {
                let offset = data_offset(data);
                self.offer(offset, data, false);
                text_value(Encoding::Python2, data, offset)
            }
            (Opcode::String, Arg::Line(line)) => match unquote(line) {
                Some(inner) => {
                    self.offer(at.offset.saturating_add(2), inner, false);
                    // Behind the opcode's byte and the opening quote.
                    text_value(Encoding::Escaped, inner, at.offset.saturating_add(2))
                }
                None => {
                    let why = "STRING is not quoted; every unpickler stops here";
                    self.find(Rule::PickleMalformed, at.offset, Detail::Text(why));
                    Value::Plain(Kind::Unknown)
                }
            },
            (Opcode::Unicode, Arg::Line(line)) => {
                self.offer(at.offset.saturating_add(1), line, false);
                text_value(Encoding::RawUnicodeEscape, line, at.offset.saturating_add(1))
            }
            (_, Arg::Data(data)) => {
                let offset = data_offset(data);
                self.offer(offset, data, false);
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                Value::Bytes { latin1: false, length, offset }
            }
            _ => Value::Plain(Kind::Unknown),
        })
    }

    fn global(&mut self, at: &Instruction<'a>, module: &'a [u8], name: &'a [u8]) -> Out<Value> {
        let (Ok(module), Ok(name)) = (core::str::from_utf8(module), core::str::from_utf8(name))
        else {
            let why = "the module or the name is not UTF-8; every unpickler stops here";
            self.find(Rule::PickleMalformed, at.offset, Detail::Text(why));
            return Ok(Value::Missing);
        };
        if module.len().max(name.len()) > NAME_BYTES {
            return Ok(self.unresolvable(at, "the module or the name is longer than any"));
        }
        Ok(self.import(at, module, name))
    }

    fn stack_global(&mut self, at: &Instruction<'a>, module: Value, name: Value) -> Out<Value> {
        let mut module_buffer = [0; NAME_BYTES];
        let mut name_buffer = [0; NAME_BYTES];
        if module == Value::Missing || name == Value::Missing {
            return Ok(Value::Missing);
        }
        // "STACK_GLOBAL requires str": what cannot be one ends every unpickler here.
        if is_never_text(module) || is_never_text(name) {
            let why =
                "STACK_GLOBAL is given something that is no string; every unpickler stops here";
            self.find(Rule::PickleMalformed, at.offset, Detail::Text(why));
            return Ok(Value::Missing);
        }
        let module = self.name(module, &mut module_buffer);
        let name = self.name(name, &mut name_buffer);
        Ok(match (module, name) {
            (Some(module), Some(name)) => self.import(at, module, name),
            _ => self.unresolvable(at, "the module or the name is computed when the file loads"),
        })
    }

    fn extension(&mut self, at: &Instruction<'a>, code: i64) -> Out<Value> {
        self.find(Rule::PickleExtension, at.offset, Detail::Extension(code));
        Ok(Value::Plain(Kind::Unknown))
    }

    fn persistent(&mut self, at: &Instruction<'a>, id: Option<Value>) -> Out<Value> {
        if let Some(value) = self.usual_id(at, id) {
            return Ok(value);
        }
        let why = "a persistent id runs the loader's own code, with what the file passes to it";
        self.find(Rule::PicklePersistentIdUnexpected, at.offset, Detail::Text(why));
        Ok(Value::Plain(Kind::Unknown))
    }

    fn call(
        &mut self,
        at: &Instruction<'a>,
        callee: Value,
        arguments: Arguments<'_, Value>,
    ) -> Out<Value> {
        let import = match callee {
            Value::Import(import) => import,
            Value::Instance { import, .. } | Value::Container { import, .. }
                if self.unknown_import(callee).is_some() =>
            {
                import
            }
            _ => {
                self.wrong_target(at, callee, "calls something that the stream did not import");
                return Ok(Value::Plain(Kind::Unknown));
            }
        };
        let (weight, depth) = match arguments {
            Arguments::Tuple(tuple) => (self.weight(tuple), self.depth(tuple)),
            Arguments::Keywords(tuple, keywords) => (
                self.weight(tuple) + self.weight(keywords),
                self.depth(tuple).max(self.depth(keywords)),
            ),
            Arguments::Items(items) => self.measure(at, items),
        };
        let Some(Class::Allowed(entry)) = self.entry(import) else {
            self.unknown_call(at, import);
            return Ok(Value::Instance {
                kind: Kind::Unknown,
                depth,
                weight: Weight::of(weight),
                item: Item::UNKNOWN,
                import,
            });
        };
        self.sink.call(import, at.offset, at.opcode);
        let new = matches!(at.opcode, Opcode::NewObj | Opcode::NewObjEx);
        let callable = !new || matches!(entry.kind, Kind::Class);
        let keywords_allowed = entry.call.is_some_and(|shape| shape.rest == Some(ANY));
        let fits = match (entry.call, arguments) {
            (Some(_), Arguments::Keywords(..)) => keywords_allowed,
            (Some(shape), arguments) => self.fits(shape, arguments),
            (None, _) => false,
        };
        // With an unknown class among the arguments, what is given to it says nothing of the
        // callable: `copyreg._reconstructor(Unknown, dict, {…})`.
        let unknown = self.passes_unknown(arguments);
        if !(callable && (fits || unknown)) {
            self.wrong_shape(at, import);
        }
        if entry.name == "_load_from_bytes" {
            self.load_from_bytes(at, arguments);
        }
        if unknown {
            let detail = Detail::CallOf(at.opcode, "passes on an object from an unknown global");
            self.find(Rule::PickleCallUnknown, at.offset, detail);
        }
        let item = match arguments {
            _ if super::is_joblib_wrapper(Class::Allowed(entry)) => self.new_wrapper(),
            Arguments::Tuple(Value::Tuple(tuple)) => tuple.item,
            _ => Item::UNKNOWN,
        };
        if (entry.module, entry.name) == ("_codecs", "encode")
            && let Some(bytes) = self.encoded(arguments)
        {
            return Ok(bytes);
        }
        Ok(match entry.gives {
            kind @ (Kind::List | Kind::Dict | Kind::Set) => {
                self.new_container(at, kind, import, (weight, depth))
            }
            kind => {
                let kind = if unknown { Kind::Unknown } else { kind };
                Value::Instance { kind, depth, weight: Weight::of(weight), item, import }
            }
        })
    }

    fn build(&mut self, at: &Instruction<'a>, object: Value, state: Value) -> Out<Value> {
        if let (Value::Container { id, .. }, Value::Container { id: state_id, .. }) =
            (object, state)
            && id == state_id
        {
            self.find(Rule::PickleLimit, at.offset, Detail::Text("an object is its own state"));
        }
        if let Some(import) = self.unknown_import(object) {
            self.unknown_call(at, import);
            return Ok(object);
        }
        let (Value::Instance { import, .. } | Value::Container { import, .. }) = object else {
            if let Value::Import(import) = object {
                self.sink.call(import, at.offset, at.opcode);
            }
            self.wrong_target(at, object, "sets attributes on something that is no new object");
            return Ok(object);
        };
        let Some(Class::Allowed(entry)) = self.entry(import) else {
            self.wrong_target(at, object, "sets attributes on something that has none");
            return Ok(object);
        };
        self.sink.call(import, at.offset, at.opcode);
        if self.kind(object) == Kind::Unknown {
            self.find(Rule::PickleCallUnknown, at.offset, Detail::Call(import, at.opcode));
        } else if !entry.build.is_some_and(|kinds| kinds.contains(self.kind(state))) {
            self.wrong_shape(at, import);
        }
        if let Value::Instance { kind: Kind::Dtype, item, .. } = object {
            self.build_dtype(at, item, state);
        }
        if self.options.joblib && !self.embedded && super::is_joblib_wrapper(Class::Allowed(entry))
        {
            let serial =
                if let Value::Instance { item, .. } = object { item } else { Item::UNKNOWN };
            self.raw_array(at, serial, state);
            return Ok(Value::Plain(Kind::Array));
        }
        if !self.options.joblib && super::is_joblib_wrapper(Class::Allowed(entry)) {
            // `pickle.load` goes on in a pickle that joblib reads by itself, with a memo that
            // is not that pickle's.
            if let (Some(wrapper), Value::Container { id, .. }) = (self.wrapper, state)
                && wrapper.holds_objects(id)
            {
                self.sink.embedded(at.end(), true);
            }
        }
        Ok(object)
    }

    fn collect(&mut self, at: &Instruction<'a>, items: &[Value]) -> Out<Value> {
        Ok(match at.opcode {
            Opcode::EmptyList => self.new_container(at, Kind::List, NO_IMPORT, (1.0, 1)),
            Opcode::EmptyDict => self.new_container(at, Kind::Dict, NO_IMPORT, (1.0, 1)),
            Opcode::EmptySet => self.new_container(at, Kind::Set, NO_IMPORT, (1.0, 1)),
            Opcode::List => {
                let size = self.measure(at, items);
                self.new_container(at, Kind::List, NO_IMPORT, size)
            }
            Opcode::Dict => {
                let size = self.measure(at, items);
                let dict = self.new_container(at, Kind::Dict, NO_IMPORT, size);
                if let Some(row) = self.containers.items_mut().last_mut() {
                    (row.reach, row.objects) = fields(items);
                }
                dict
            }
            Opcode::FrozenSet => {
                let size = self.measure(at, items);
                self.new_container(at, Kind::FrozenSet, NO_IMPORT, size)
            }
            _ => {
                self.check_tensor(at, items);
                let tuple = self.tuple(at, items);
                self.note_ints(tuple, items);
                self.note_arguments(tuple, items)
            }
        })
    }

    fn extend(&mut self, at: &Instruction<'a>, target: Value, items: &[Value]) -> Out<()> {
        if let Some(import) = self.unknown_import(target) {
            self.unknown_call(at, import);
            return Ok(());
        }
        let wanted = match at.opcode {
            Opcode::Append | Opcode::Appends => Kind::List,
            Opcode::AddItems => Kind::Set,
            _ => Kind::Dict,
        };
        let usual = match target {
            Value::Container { kind, .. } => kind == wanted,
            Value::Instance { import, .. } => {
                matches!(self.entry(import), Some(Class::Allowed(entry)) if entry.items)
            }
            _ => false,
        };
        if !usual {
            self.wrong_target(at, target, "puts items into something that holds none of this kind");
        }
        let Value::Container { id, .. } = target else {
            return Ok(());
        };
        if items
            .iter()
            .any(|item| matches!(item, Value::Container { id: inner, .. } if *inner == id))
        {
            let why = "a container holds itself";
            self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
        }
        if wanted == Kind::Dict && (self.options.joblib || self.joblib) {
            let fresh = matches!(target, Value::Container { import: NO_IMPORT, .. })
                && self.container(id).is_some_and(|row| row == FRESH);
            self.note_wrapper(id, fresh, items);
        }
        let (weight, depth) = self.hold(items);
        let depth = depth.saturating_add(1);
        let row = usize::try_from(id).ok().and_then(|id| self.containers.items_mut().get_mut(id));
        if let Some(row) = row {
            let (reach, objects) = fields(items);
            row.reach = row.reach.max(reach);
            row.objects |= objects;
            row.weight += weight;
            row.depth = row.depth.max(depth);
            let (weight, depth, held) = (row.weight, row.depth, row.held);
            // Picklers fill a container before they put it into another, but for objects that
            // refer to what holds them.
            if held && !items.is_empty() && !self.unknown_imports {
                let why = "a container grows after another holds it, so that nobody can measure it";
                self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
            }
            self.check_size(at, weight, depth);
        }
        Ok(())
    }
}

/// A little-endian two's complement integer, where it fits (`_PyLong_FromByteArray`).
fn long(data: &[u8]) -> Option<i64> {
    let negative = data.last().is_some_and(|&top| top >= 0x80);
    let mut bytes = [if negative { 0xff } else { 0 }; 8];
    bytes.get_mut(..data.len())?.copy_from_slice(data);
    Some(i64::from_le_bytes(bytes))
}
