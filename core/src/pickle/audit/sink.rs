//! What the auditor tells: imports, calls, findings, literals that may be pickles.

use core::fmt;

use crate::pickle::decode::DecodeErrorKind;
use crate::pickle::machine::Fault;
use crate::pickle::opcode::Opcode;
use crate::rules::Judgement;
use crate::score::Rule;

/// Takes what the auditor sees, in the order of the stream.
///
/// The auditor keeps no list of its own: whoever calls it decides how much to keep.
pub trait Sink {
    /// The stream asks for a global. The first call is for import 0, the next for 1, and so on.
    fn import(&mut self, import: &ImportSeen<'_>);

    /// The stream calls, builds or extends what import number `import` gave.
    fn call(&mut self, import: u32, offset: u64, opcode: Opcode);

    /// A rule is hit.
    fn finding(&mut self, finding: Finding<'_>);

    /// The stream asks its loader for a storage. By default nobody cares.
    fn storage(&mut self, storage: StorageSeen<'_>) {
        let _ = storage;
    }

    /// A pickle that joblib reads by itself, in place of an array, starts or ends. By default
    /// nobody cares.
    fn embedded(&mut self, offset: u64, starts: bool) {
        let _ = (offset, starts);
    }

    /// A literal of the stream may itself be a pickle.
    fn literal(&mut self, literal: Literal<'_>);
}

/// A global that the stream asks for.
#[derive(Clone, Copy, Debug)]
pub struct ImportSeen<'a> {
    /// Where the opcode stands.
    pub offset: u64,
    /// `GLOBAL`, `INST` or `STACK_GLOBAL`.
    pub opcode: Opcode,
    /// The module as the stream names it.
    pub module: &'a str,
    /// The name as the stream spells it.
    pub name: &'a str,
    /// What the rules say.
    pub judgement: Judgement<'a>,
}

/// A rule that is hit, and where.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The rule.
    pub rule: Rule,
    /// The offset of the instruction, from the start of the stream.
    pub offset: u64,
    /// What was seen.
    pub detail: Detail<'a>,
}

impl Finding<'_> {
    /// Whether every unpickler stops at this instruction: nothing behind it is read by any.
    ///
    /// A missing memo entry stops a fresh unpickler alone; one that is used again may have it.
    #[must_use]
    pub fn stops(&self) -> bool {
        matches!(self.rule, Rule::PickleMalformed | Rule::PickleTruncated)
            && !matches!(self.detail, Detail::Fault(Fault::MissingMemo, _))
    }
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Detail<'a> {
    /// A global; its index among the imports.
    Import(u32),
    /// A call, build or extension of what an import gave.
    Call(u32, Opcode),
    /// A call of something that no import of the stream gave.
    CallOf(Opcode, &'static str),
    /// The machine's fault.
    Fault(Fault, Opcode),
    /// The bytes are no instruction.
    Decode(DecodeErrorKind),
    /// The stream ends inside an instruction, or before `STOP`.
    Truncated(Option<Opcode>),
    /// One of the opcodes `EXT1`, `EXT2`, `EXT4`, and the code that it names.
    Extension(i64),
    /// A byte string that is loaded as a file does not stand in the stream as one.
    Loads,
    /// A sentence.
    Text(&'static str),
    /// A sentence about an opcode's text argument.
    Argument(Opcode, &'a [u8]),
}

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Import(_) => f.write_str("the stream asks for this global"),
            Self::Call(_, opcode) => write!(f, "{} acts on what this global gives", opcode.name()),
            Self::CallOf(opcode, what) => write!(f, "{} {what}", opcode.name()),
            Self::Fault(fault, opcode) => write!(f, "{}: {}", opcode.name(), fault.message()),
            Self::Decode(kind) => write!(f, "{kind}"),
            Self::Truncated(Some(opcode)) => {
                write!(f, "the stream ends inside the argument of {}", opcode.name())
            }
            Self::Truncated(None) => f.write_str("the stream ends before STOP"),
            Self::Extension(code) => {
                write!(f, "extension code {code} stands for a global that the file does not name")
            }
            Self::Loads => {
                f.write_str("what is loaded from a byte string does not stand in the file as one")
            }
            Self::Text(text) => f.write_str(text),
            Self::Argument(opcode, text) => write!(
                f,
                "{} is spelled `{}`, which not every unpickler reads alike",
                opcode.name(),
                text.get(..text.len().min(40)).unwrap_or_default().escape_ascii(),
            ),
        }
    }
}

/// A storage that the stream asks its loader for.
#[derive(Clone, Copy, Debug)]
pub struct StorageSeen<'a> {
    /// Its key, and the bytes of an element and how many there are; `None` where the stream
    /// does not spell them out right before it asks.
    pub known: Option<(&'a str, u64, u64)>,
}

/// A literal that may itself be a pickle, or a PyTorch file.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a> {
    /// Where its bytes start, from the start of the stream.
    pub offset: u64,
    /// Its bytes.
    pub data: &'a [u8],
    /// Whether the bytes are UTF-8 of characters below U+0100: `bytes` as protocol 2 spells
    /// them, through `_codecs.encode(…, 'latin1')`.
    pub latin1: bool,
    /// Whether the stream itself has it loaded, whatever it is.
    pub loaded: bool,
}
