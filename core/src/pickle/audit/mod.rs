//! The audit: every global that any unpickler could be asked to import, from the bytes alone.
//!
//! [`audit`] runs the machine of [`super::machine`] over a pickle with values that are never
//! built, and tells a [`Sink`] of each import, each call and each rule that is hit. It accepts
//! every stream: what an unpickler would refuse is a finding, and the audit goes on, because
//! another unpickler might go on too. Only bytes that are no instruction, the end of input or a
//! limit end it, and then everything up to there is judged: a payload runs before the broken
//! byte behind it.
//!
//! It refuses to guess. A module or a name that is not a literal of the stream is reported as
//! unresolvable, never as something probable.

mod domain;
mod facts;
mod joblib;
mod sink;
mod tensor;
mod torch;
mod value;

pub use sink::{Detail, Finding, ImportSeen, Literal, Sink, StorageSeen};
pub use value::{Container, Import, Item, NO_IMPORT, Tuple, Value, Weight};

use domain::AuditDomain;
use joblib::RawArray;

use super::decode::{Arg, Instruction, Step, decode, known};
use super::machine::{Flow, Machine};
use super::opcode::Opcode;
use super::probe::Probe;
#[cfg(feature = "alloc")]
use super::store::Growing;
use super::store::{Fixed, Store};
use crate::limits;
use crate::rules::Class;
use crate::score::Rule;

/// How a stream is read, as its surroundings say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'o> {
    /// Which persistent ids are usual.
    pub persistent_ids: PersistentIds,
    /// The stream lies in a TorchScript archive: `__torch__` names are the archive's own.
    pub torchscript: bool,
    /// Modules whose code lies in the archive, where its own unpickler looks first (torch.package),
    /// in byte order.
    /// What they do is for whoever judges that code; a dangerous name stays so.
    pub own: &'o [&'o str],
    /// Read on as joblib's unpickler does, which takes arrays from between the opcodes.
    pub joblib: bool,
    /// Read on behind `STOP` as an `Unpickler` object does that loads several pickles: the stack
    /// is emptied, the memo stays.
    pub keep_memo: bool,
    /// Report literals that may be pickles.
    pub nested: bool,
    /// Globals that the caller's policy allows, beyond the rules. A dangerous one stays so.
    pub allow: &'o [(&'o str, &'o str)],
    /// What the stream may ask for.
    pub limits: limits::Pickle,
}

/// The persistent ids that a loader understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PersistentIds {
    /// None: `pickle.load` has no `persistent_load`.
    #[default]
    None,
    /// `('storage', class, key, location, size)`: a PyTorch ZIP archive.
    Storages,
    /// The same, with view metadata behind it, and `('module', class, file, source)`: a legacy
    /// PyTorch file.
    LegacyStorages,
    /// The number of a tensor, alone or in a tuple: PyTorch's tar layout.
    Tensors,
    /// `('storage', class, number, location, size)`: a torch.package archive.
    Package,
}

impl Options<'_> {
    fn allows(&self, module: &str, name: &str) -> bool {
        self.allow.iter().any(|&(m, n)| m == module && n == name)
    }
}

/// The memory of an audit, which the caller gives and may use again.
#[derive(Debug)]
pub struct Workspace<S, K, M, I, C> {
    /// Values on the stack.
    pub stack: S,
    /// Open marks.
    pub marks: K,
    /// The memo.
    pub memo: M,
    /// What the stream imports.
    pub imports: I,
    /// The lists, dicts and sets of the stream.
    pub containers: C,
}

/// A workspace in arrays of the caller's: nothing is allocated.
pub type FixedWorkspace<'m> = Workspace<
    Fixed<'m, Value>,
    Fixed<'m, usize>,
    Fixed<'m, Option<Value>>,
    Fixed<'m, Import>,
    Fixed<'m, Container>,
>;

/// A workspace that grows to the limits of `spec/limits.toml`.
#[cfg(feature = "alloc")]
pub type GrowingWorkspace = Workspace<
    Growing<Value>,
    Growing<usize>,
    Growing<Option<Value>>,
    Growing<Import>,
    Growing<Container>,
>;

#[cfg(feature = "alloc")]
impl GrowingWorkspace {
    /// An empty workspace within `limits`.
    #[must_use]
    pub fn new(limits: &limits::Pickle) -> Self {
        Self {
            stack: Growing::new(size(limits.stack_items)),
            marks: Growing::new(size(limits.marks)),
            memo: Growing::new(size(limits.memo_entries)),
            imports: Growing::new(size(limits.globals)),
            containers: Growing::new(size(limits.containers)),
        }
    }
}

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// Where: the offset of the first byte that was not read.
    pub offset: u64,
    /// How many imports there were.
    pub imports: usize,
    /// The pickle's value, where it is an integer.
    pub integer: Option<i64>,
    /// How many instructions were executed.
    pub instructions: u64,
    /// Whether the stream names joblib's array wrapper, which makes joblib read it otherwise
    /// than `pickle.load` does.
    pub joblib: bool,
    /// How many bytes more it takes for the audit to tell another story, at the least; nothing
    /// where no bytes behind the stream have a say.
    pub cut: Option<u64>,
}

/// Why an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At `STOP`.
    Stop,
    /// At bytes that are no instruction.
    Malformed,
    /// At the end of input.
    Truncated,
    /// At a limit.
    Limit,
}

/// Audits the pickle at the front of `stream`.
///
/// Offsets in what the sink hears count from the start of `stream`. The time is linear in its
/// length, and the memory is the workspace's.
pub fn audit<T, S, K, M, I, C>(
    stream: &[u8],
    options: &Options<'_>,
    workspace: &mut Workspace<S, K, M, I, C>,
    sink: &mut T,
) -> Outcome
where
    T: Sink,
    S: Store<Value>,
    K: Store<usize>,
    M: Store<Option<Value>>,
    I: Store<Import>,
    C: Store<Container>,
{
    audit_observed(stream, options, workspace, sink, |_, _, _| {})
}

/// [`audit`], with `observer` told of each instruction, and of the stack and the open marks
/// (their positions in the stack) behind it.
pub fn audit_observed<T, S, K, M, I, C, O>(
    stream: &[u8],
    options: &Options<'_>,
    workspace: &mut Workspace<S, K, M, I, C>,
    sink: &mut T,
    mut observer: O,
) -> Outcome
where
    T: Sink,
    S: Store<Value>,
    K: Store<usize>,
    M: Store<Option<Value>>,
    I: Store<Import>,
    C: Store<Container>,
    O: FnMut(&Instruction<'_>, &[Value], &[usize]),
{
    let Workspace { stack, marks, memo, imports, containers } = workspace;
    let mut domain = AuditDomain::new(stream, options, imports, containers, sink);
    let mut machine = Machine::new(stack, marks, memo, size(options.limits.memo_index_slack));
    let mut frames = Frames::new(as_u64(stream.len()));
    let mut at = 0_usize;
    let mut instructions = 0_u64;
    // The pickle around an embedded one.
    let mut around = None;
    let mut integer = None;
    let end = loop {
        let rest = stream.get(at..).unwrap_or_default();
        // A pickle is nearly all of a few opcodes. With the opcode a constant, reading and
        // executing it melt into some dozen machine instructions. Every other opcode, and
        // whatever is odd about one of these, takes the general way below, which does the same.
        macro_rules! usual {
            ($($opcode:ident)*) => {
                match rest.first() {
                    $(Some(&byte) if byte == Opcode::$opcode.byte() => {
                        if let Some(instruction) = known(Opcode::$opcode, rest, as_u64(at))
                            && frames.hold(&instruction)
                        {
                            at = at.saturating_add(instruction.length);
                            instructions = instructions.saturating_add(1);
                            let Ok(flow) = machine.execute(&instruction, &mut domain);
                            observer(&instruction, machine.stack(), machine.marks());
                            if flow != Flow::Next || domain.halted() {
                                break End::Limit;
                            }
                            continue;
                        }
                    })*
                    _ => {}
                }
            };
        }
        usual! {
            None NewTrue NewFalse BinInt BinInt1 BinInt2 Long1 BinFloat
            BinUnicode ShortBinUnicode BinGet LongBinGet BinPut LongBinPut Memoize
            Mark EmptyTuple EmptyList EmptyDict Tuple Tuple1 Tuple2 Tuple3 Appends SetItems
            Reduce BinPersId
        }
        let instruction = match decode(rest, as_u64(at)) {
            Ok(Step::Instruction(instruction)) => instruction,
            Ok(Step::Incomplete(more)) => {
                frames.want(more);
                truncated(rest, as_u64(at), &mut domain);
                break End::Truncated;
            }
            Err(error) => {
                domain.find(Rule::PickleMalformed, error.offset, Detail::Decode(error.kind));
                break End::Malformed;
            }
        };
        if let Some(why) = frames.read(&instruction) {
            domain.find(Rule::PickleDivergent, instruction.offset, Detail::Text(why));
        }
        at = at.saturating_add(instruction.length);
        instructions = instructions.saturating_add(1);
        let Ok(flow) = machine.execute(&instruction, &mut domain);
        observer(&instruction, machine.stack(), machine.marks());
        match flow {
            Flow::Next => {}
            Flow::Stop(top) => match around.take() {
                None if options.keep_memo && at < stream.len() => {
                    machine.restart();
                    domain.set_protocol(0);
                    frames.end = None;
                    continue;
                }
                None => {
                    if let Value::Int(value) = top {
                        integer = Some(value);
                    }
                    // Who keeps the memo would go on.
                    if options.keep_memo {
                        frames.want(1);
                    }
                    break End::Stop;
                }
                Some(suspended) => {
                    machine.resume(suspended);
                    domain.set_embedded(false);
                    domain.sink.embedded(as_u64(at), false);
                    domain.set_protocol(machine.protocol());
                    frames.end = None;
                    continue;
                }
            },
            Flow::Halt => break End::Limit,
        }
        match instruction.opcode {
            Opcode::Proto => domain.set_protocol(machine.protocol()),
            Opcode::Build => match domain.take_raw() {
                None => {}
                Some(_) if frames.end.is_some_and(|end| end > as_u64(at)) => {
                    let why = Detail::Text("joblib reads an array from the middle of a frame");
                    domain.find(Rule::PickleDivergent, as_u64(at), why);
                }
                Some(RawArray::Bytes { length, padded }) => {
                    let rest = stream.get(at..).unwrap_or_default();
                    let padding = match (padded, rest.first()) {
                        (true, Some(&count)) => u64::from(count).saturating_add(1),
                        (true, None) => 1,
                        (false, _) => 0,
                    };
                    // joblib aligns to 16 bytes; an older one reads no padding, and would
                    // start that much earlier.
                    if padding > 17 {
                        let why =
                            Detail::Text("more padding stands before an array than aligns it");
                        domain.find(Rule::PickleDivergent, as_u64(at), why);
                    }
                    match usize::try_from(length.saturating_add(padding)) {
                        Ok(skip) if skip <= rest.len() => at = at.saturating_add(skip),
                        _ => {
                            let why = Detail::Text("the stream ends inside an array of joblib's");
                            domain.find(Rule::PickleTruncated, as_u64(at), why);
                            at = stream.len();
                            frames.want(1);
                            break End::Truncated;
                        }
                    }
                }
                Some(RawArray::Pickle) => {
                    // `NumpyArrayWrapper.read_array` hands the stream to `pickle.load`.
                    around = Some(machine.suspend());
                    domain.set_embedded(true);
                    domain.sink.embedded(as_u64(at), true);
                    domain.set_protocol(0);
                    frames.end = None;
                }
            },
            _ => {}
        }
        if domain.halted() {
            break End::Limit;
        }
    };
    let joblib = domain.joblib();
    let imports = workspace.imports.len();
    Outcome { end, offset: as_u64(at), imports, integer, instructions, joblib, cut: frames.cut }
}

/// What the end of input means to the instruction that it cuts.
///
/// `Lib/pickle.py` drops the last byte of a line without checking that it is a newline
/// (`readline()[:-1]`), so a `GLOBAL` that the end of input cuts still imports.
fn truncated<'a, S, I, C>(rest: &'a [u8], offset: u64, domain: &mut AuditDomain<'a, '_, S, I, C>)
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    let opcode = rest.first().and_then(|&byte| Opcode::from_byte(byte));
    let Some(opcode) = opcode else {
        return domain.find(Rule::PickleTruncated, offset, Detail::Truncated(None));
    };
    if matches!(opcode, Opcode::Global | Opcode::Inst) {
        let text = rest.get(1..).unwrap_or_default();
        let (module, name) = match text.iter().position(|&byte| byte == b'\n') {
            Some(end) => (text.get(..end), text.get(end.saturating_add(1)..)),
            None => (text.split_last().map(|(_, cut)| cut), None),
        };
        let name = name.and_then(|name| name.split_last()).map(|(_, cut)| cut);
        let (module, name) = (module.unwrap_or_default(), name.unwrap_or_default());
        let arg = Arg::Lines(module, name);
        domain.cut_global(&Instruction { offset, opcode, arg, length: rest.len() }, module, name);
    }
    domain.find(Rule::PickleTruncated, offset, Detail::Truncated(Some(opcode)));
}

/// Where the current frame ends, and where the unpicklers part over it.
pub(crate) struct Frames {
    end: Option<u64>,
    input: u64,
    /// How many bytes more would make a difference, where any would.
    cut: Option<u64>,
}

impl Frames {
    /// Outside of any frame, in an input of so many bytes.
    pub(crate) const fn new(input: u64) -> Self {
        Self { end: None, input, cut: None }
    }

    fn want(&mut self, more: u64) {
        self.cut = Some(self.cut.map_or(more, |least| least.min(more)));
    }

    /// Whether an instruction that neither opens a frame nor stops lies inside the current one,
    /// so that [`Self::read`] has nothing to say or to do about it.
    #[inline]
    fn hold(&self, at: &Instruction<'_>) -> bool {
        self.end.is_none_or(|end| at.end() < end)
    }

    /// Takes the frames' view of an instruction; a sentence where readers part.
    pub(crate) fn read(&mut self, at: &Instruction<'_>) -> Option<&'static str> {
        if let Some(end) = self.end {
            if at.is_cut_by(end) {
                self.end = None;
                return Some("an argument crosses the end of its frame");
            }
            if at.opcode == Opcode::Stop && at.end() < end {
                return Some("the pickle stops inside a frame");
            }
            if at.opcode == Opcode::Frame && at.end() < end {
                self.end = None;
                return Some("a frame starts inside another");
            }
            if at.end() >= end {
                self.end = None;
            }
        }
        if let Arg::Count(length) = at.arg {
            let end = at.end().saturating_add(length);
            if end > self.input {
                self.want(end.saturating_sub(self.input));
                return Some("a frame is longer than the input");
            }
            self.end = Some(end);
        }
        None
    }
}

/// Whether a literal may be a pickle of its own, or an archive that `torch.load` opens.
///
/// Text beyond ASCII that may spell bytes as Latin-1 must be decoded before it can be looked
/// at, so it always may; looking costs its length once more.
fn may_be_pickle(data: &[u8], latin1: bool) -> bool {
    latin1 || data.starts_with(b"PK\x03\x04") || Probe::reaches_import(data)
}

/// Whether a global is the class that stands for an array in a joblib dump: behind its `BUILD`,
/// `joblib.load` takes the array's bytes from between the opcodes
/// (`NumpyUnpickler.load_build` in `joblib/numpy_pickle.py`).
#[must_use]
pub fn is_joblib_wrapper(class: Class) -> bool {
    matches!(class, Class::Allowed(entry)
        if entry.name == "NumpyArrayWrapper" && entry.module.ends_with("joblib.numpy_pickle"))
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
