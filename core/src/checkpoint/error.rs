//! Why a file that may be loaded could not be.

use alloc::string::String;
use core::fmt;

use super::extent::Misfit;
use crate::pickle::decode::DecodeErrorKind;
use crate::pickle::machine::Fault;

/// Why nothing could be loaded: what, where, and about which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// What is wrong.
    pub problem: Problem,
    /// Where, in the bytes of the part that was read.
    pub offset: u64,
    /// What it is about: a global, a storage's key, a tensor's name. Not safe to print.
    pub subject: String,
}

impl LoadError {
    /// A problem at an offset, about nothing that has a name.
    #[must_use]
    pub const fn at(problem: Problem, offset: u64) -> Self {
        Self { problem, offset, subject: String::new() }
    }

    /// The same error in a part that starts so many bytes into the whole.
    #[must_use]
    pub fn behind(self, bytes: u64) -> Self {
        Self { offset: self.offset.saturating_add(bytes), ..self }
    }

    /// The same, about something that has one.
    #[must_use]
    pub fn about(problem: Problem, offset: u64, subject: impl Into<String>) -> Self {
        Self { problem, offset, subject: subject.into() }
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Bytes that are no pickle instruction.
    Decode(DecodeErrorKind),
    /// The pickle ends before `STOP`.
    Truncated,
    /// An instruction that every unpickler refuses, or a limit of the machine.
    Machine(Fault),
    /// A text form of a number or a string that not every reader takes for the same value.
    Divergent,
    /// A number or a string that is none.
    Literal,
    /// Text that is not valid in its encoding.
    Encoding,
    /// A global that is not on the allowlist.
    Global,
    /// A global of the allowlist in a place where the loader has no use for it.
    Unsupported,
    /// A call with arguments that the allowlist does not admit.
    Arguments,
    /// A state that the allowlist does not admit.
    State,
    /// Items for something that holds none of this kind.
    Items,
    /// A persistent id that the file's layout does not have.
    PersistentId,
    /// An entry of `copyreg`'s registry, which no file contains.
    Extension,
    /// An out-of-band buffer, which no file contains.
    Buffer,
    /// A storage whose bytes are not in the file.
    MissingStorage,
    /// A storage of which the file holds fewer bytes than it is said to take.
    ShortStorage,
    /// A storage of which the file holds more bytes than it is said to take.
    LongStorage,
    /// A storage that is declared twice, in different ways.
    StorageConflict,
    /// A tensor that does not lie inside its storage.
    Tensor(Misfit),
    /// A type that elements of a tensor or an array cannot have here.
    Dtype,
    /// The scales or zero points of a quantised tensor do not fit it.
    Quantizer,
    /// The parts of a sparse tensor do not fit each other, or an index lies outside the shape.
    Sparse,
    /// The bytes of a numpy array are not as many as its shape takes.
    ArrayBytes,
    /// A key of a dict, or an item of a set, that cannot be hashed.
    Unhashable,
    /// A value that holds itself.
    Cycle,
    /// Values that nest deeper than the limit.
    Depth,
    /// Values that expand past the limit when their shared parts are counted.
    Expansion,
    /// More text, bytes, items or objects than a checkpoint holds.
    Full,
    /// Something that the format allows, and that no value of a checkpoint stands for.
    Unbuilt(&'static str),
    /// Something that the format wants is not there, or breaks its rules.
    Format(&'static str),
}

impl Problem {
    /// One sentence, lower case.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Decode(DecodeErrorKind::UnknownOpcode(_)) => "a byte is no opcode",
            Self::Decode(DecodeErrorKind::NegativeLength) => "a literal declares a negative length",
            Self::Decode(_) => "a literal declares more bytes than memory can hold",
            Self::Truncated => "the pickle ends before it stops",
            Self::Machine(fault) => fault.message(),
            Self::Divergent => {
                "a number or a string is spelled in a way that readers read differently"
            }
            Self::Literal => "a literal is no number, or no string",
            Self::Encoding => "text is not valid in its encoding",
            Self::Global => {
                "a global is not on the allowlist, so that nothing can be built from it"
            }
            Self::Unsupported => "the loader has no use for this global here",
            Self::Arguments => "a call has arguments that the allowlist does not admit",
            Self::State => "an object is given a state that the allowlist does not admit",
            Self::Items => "items are put into something that holds none of this kind",
            Self::PersistentId => "a persistent id is none that this layout has",
            Self::Extension => "the pickle refers to a registry that the file does not contain",
            Self::Buffer => "the pickle refers to a buffer that the file does not contain",
            Self::MissingStorage => "a storage is not in the file",
            Self::ShortStorage => "a storage holds fewer bytes than it is said to take",
            Self::LongStorage => "a storage holds more bytes than it is said to take",
            Self::StorageConflict => "a storage is declared twice, in different ways",
            Self::Tensor(Misfit::Ranks) => "a tensor has another number of strides than of sizes",
            Self::Tensor(Misfit::Dimensions) => "a tensor has more dimensions than any may have",
            Self::Tensor(Misfit::Overflow) => "a tensor's size overflows",
            Self::Tensor(Misfit::Outside) => "a tensor reaches outside its storage",
            Self::Dtype => "elements cannot have this type here",
            Self::Quantizer => "the scales or zero points of a quantised tensor do not fit it",
            Self::Sparse => "the indices of a sparse tensor do not fit its shape",
            Self::ArrayBytes => "an array has another number of bytes than its shape takes",
            Self::Unhashable => "a key cannot be hashed",
            Self::Cycle => "a value holds itself",
            Self::Depth => "values nest deeper than the limit",
            Self::Expansion => "a value expands past the limit when its shared parts are counted",
            Self::Full => "the file holds more than one checkpoint can",
            Self::Format(message) | Self::Unbuilt(message) => message,
        }
    }
}

impl fmt::Display for LoadError {
    /// Without the subject, which is not safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.problem.message(), self.offset)
    }
}

impl core::error::Error for LoadError {}
