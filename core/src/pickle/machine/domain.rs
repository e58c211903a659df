//! What the machine asks of a domain: what values are, and what it means to import, call and build
//! them; and how it tells that a stream did what an unpickler refuses.

use crate::pickle::decode::Instruction;

/// What an opcode did that an unpickler would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The opcode needs more objects above the topmost mark than there are.
    StackUnderflow,
    /// The opcode needs a mark and there is none.
    NoMark,
    /// The memo holds nothing under this index.
    MissingMemo,
    /// The index of a `GET` or `PUT` is not a number, or negative.
    BadMemoIndex,
    /// An odd number of objects where keys and values are wanted.
    OddItems,
    /// `PROTO` names a protocol above 5.
    UnknownProtocol,
    /// The stack's limit is reached.
    StackLimit,
    /// The limit of open marks is reached.
    MarkLimit,
    /// The memo's limit is reached, or an index lies far beyond what the stream could fill.
    MemoLimit,
}

impl Fault {
    /// Whether the machine ran into one of its limits, and not the stream into an error.
    #[must_use]
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::StackLimit | Self::MarkLimit | Self::MemoLimit)
    }

    /// One sentence for a report.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::StackUnderflow => "an opcode takes more objects than the stack holds",
            Self::NoMark => "an opcode takes everything above a mark, and there is no mark",
            Self::MissingMemo => "the memo is read where nothing was stored",
            Self::BadMemoIndex => "the memo index is not a number that an unpickler accepts",
            Self::OddItems => "keys and values do not come in pairs",
            Self::UnknownProtocol => "the protocol is newer than any that exists",
            Self::StackLimit => "the stack grew past its limit; the rest could not be judged",
            Self::MarkLimit => "marks nest past their limit; the rest could not be judged",
            Self::MemoLimit => "the memo index is beyond its limit",
        }
    }
}

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub enum Arguments<'s, V> {
    /// One object that should be a tuple (`REDUCE`, `NEWOBJ`).
    Tuple(V),
    /// A tuple and a dict of keywords (`NEWOBJ_EX`).
    Keywords(V, V),
    /// The objects themselves (`INST`, `OBJ`).
    Items(&'s [V]),
}

/// What values are, and what it means to import, call and build them.
///
/// Every method gets the instruction that asks, for its offset and opcode.
pub trait Domain<'a> {
    /// A value on the stack.
    type Value: Copy;
    /// Why the domain ends the run.
    type Error;

    /// The stream did what an unpickler refuses: end the run, or give a value to go on with.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn fault(&mut self, at: &Instruction<'a>, fault: Fault) -> Result<Self::Value, Self::Error>;

    /// A text form that not every reader accepts, at an instruction that goes on anyway.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn divergent(&mut self, at: &Instruction<'a>) -> Result<(), Self::Error>;

    /// The value that the instruction spells: a number, a string, bytes, a singleton, a buffer.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn literal(&mut self, at: &Instruction<'a>) -> Result<Self::Value, Self::Error>;

    /// `find_class` on two lines of the stream.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn global(
        &mut self,
        at: &Instruction<'a>,
        module: &'a [u8],
        name: &'a [u8],
    ) -> Result<Self::Value, Self::Error>;

    /// `find_class` on two objects of the stack.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn stack_global(
        &mut self,
        at: &Instruction<'a>,
        module: Self::Value,
        name: Self::Value,
    ) -> Result<Self::Value, Self::Error>;

    /// The `copyreg` registry's entry under `code`.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn extension(&mut self, at: &Instruction<'a>, code: i64) -> Result<Self::Value, Self::Error>;

    /// `persistent_load` on an object, or on the instruction's line for `PERSID`.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn persistent(
        &mut self,
        at: &Instruction<'a>,
        id: Option<Self::Value>,
    ) -> Result<Self::Value, Self::Error>;

    /// A call of `callee`: `REDUCE`, `NEWOBJ`, `NEWOBJ_EX`, `INST`, `OBJ`.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn call(
        &mut self,
        at: &Instruction<'a>,
        callee: Self::Value,
        arguments: Arguments<'_, Self::Value>,
    ) -> Result<Self::Value, Self::Error>;

    /// `BUILD`: the object gets its state. Returns what stands on the stack afterwards.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn build(
        &mut self,
        at: &Instruction<'a>,
        object: Self::Value,
        state: Self::Value,
    ) -> Result<Self::Value, Self::Error>;

    /// A new tuple, list, dict, set or frozenset of `items`, as the opcode says.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn collect(
        &mut self,
        at: &Instruction<'a>,
        items: &[Self::Value],
    ) -> Result<Self::Value, Self::Error>;

    /// `APPEND(S)`, `SETITEM(S)`, `ADDITEMS`: `items` go into `target`.
    ///
    /// # Errors
    /// The domain's own, to end the run.
    fn extend(
        &mut self,
        at: &Instruction<'a>,
        target: Self::Value,
        items: &[Self::Value],
    ) -> Result<(), Self::Error>;
}
