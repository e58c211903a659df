//! One interpreter of what the opcodes do: stack, marks and memo.
//!
//! The machine moves values about exactly as CPython's `Unpickler` does and leaves what a value
//! *is* to a [`Domain`]. It refuses to call, import or build anything: those are questions to
//! the domain. It follows `Modules/_pickle.c`; where `Lib/pickle.py` differs, the comment says
//! so.
//!
//! Marks are kept beside the stack, as in `_pickle.c` (`marks` and `fence`), because an object
//! below the topmost mark is out of reach: `POP`, `DUP` or `REDUCE` across it is an underflow.

mod domain;

pub use domain::{Arguments, Domain, Fault};

use super::decode::{Arg, Instruction};
use super::opcode::Opcode;
use super::store::Store;
use super::text::{self, Radix, number};

/// What to do after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow<V> {
    /// Read the next one.
    Next,
    /// `STOP`: the pickle's value.
    Stop(V),
    /// A limit is reached that leaves nothing to go on with.
    Halt,
}

/// Stack, marks and memo of one pickle.
#[derive(Debug)]
pub struct Machine<'m, V, S, K, M> {
    stack: &'m mut S,
    marks: &'m mut K,
    memo: &'m mut M,
    /// How many memo slots are filled: the index that `MEMOIZE` takes. `_pickle.c` counts
    /// filled slots and `pickle.py` takes `len(memo)`, so `PUT 5` then `MEMOIZE` fills 1.
    memoized: usize,
    protocol: u8,
    /// Where this pickle's own stack, marks and memo start: an embedded pickle keeps them above
    /// those of the pickle around it.
    base: Base,
    steps: usize,
    index_slack: usize,
    value: core::marker::PhantomData<V>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Base {
    stack: usize,
    marks: usize,
    memo: usize,
}

/// A pickle that waits while another one, embedded in its stream, is read.
#[derive(Debug)]
pub struct Suspended {
    base: Base,
    memoized: usize,
    protocol: u8,
}

impl<'m, V, S, K, M> Machine<'m, V, S, K, M>
where
    V: Copy,
    S: Store<V>,
    K: Store<usize>,
    M: Store<Option<V>>,
{
    /// A machine over the caller's memory, which is emptied first.
    ///
    /// A memo index is accepted up to `index_slack`, or up to twice the number of
    /// instructions so far.
    pub fn new(stack: &'m mut S, marks: &'m mut K, memo: &'m mut M, index_slack: usize) -> Self {
        stack.truncate(0);
        marks.truncate(0);
        memo.truncate(0);
        Self {
            stack,
            marks,
            memo,
            memoized: 0,
            protocol: 0,
            base: Base::default(),
            steps: 0,
            index_slack,
            value: core::marker::PhantomData,
        }
    }

    /// The protocol that the last `PROTO` declared; 0 before any.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The stack, topmost last.
    #[must_use]
    pub fn stack(&self) -> &[V] {
        self.stack.items()
    }

    /// The positions of the open marks in the stack, topmost last.
    #[must_use]
    pub fn marks(&self) -> &[usize] {
        self.marks.items()
    }

    /// Starts the next pickle of an unpickler that loads several: `load` empties the stack and
    /// keeps the memo (`_pickle_Unpickler_load_impl` in `Modules/_pickle.c`).
    pub fn restart(&mut self) {
        self.stack.truncate(self.base.stack);
        self.marks.truncate(self.base.marks);
        self.protocol = 0;
    }

    /// Starts a pickle that is embedded in the stream of this one, with a stack, marks and a memo
    /// of its own.
    pub fn suspend(&mut self) -> Suspended {
        let suspended =
            Suspended { base: self.base, memoized: self.memoized, protocol: self.protocol };
        self.base =
            Base { stack: self.stack.len(), marks: self.marks.len(), memo: self.memo.len() };
        self.memoized = 0;
        self.protocol = 0;
        suspended
    }

    /// Ends the embedded pickle and goes on with the one around it.
    pub fn resume(&mut self, suspended: Suspended) {
        self.stack.truncate(self.base.stack);
        self.marks.truncate(self.base.marks);
        self.memo.truncate(self.base.memo);
        self.base = suspended.base;
        self.memoized = suspended.memoized;
        self.protocol = suspended.protocol;
    }

    /// Executes one instruction.
    ///
    /// Inlined even where it is large: with the opcode a constant one arm is left of it.
    ///
    /// # Errors
    /// Whatever the domain ends the run with.
    #[inline(always)]
    pub fn execute<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
    ) -> Result<Flow<V>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        self.steps = self.steps.saturating_add(1);
        match at.opcode {
            Opcode::Proto => {
                if let Arg::Int(version) = at.arg {
                    match u8::try_from(version) {
                        Ok(version @ 0..=5) => self.protocol = version,
                        _ => drop(domain.fault(at, Fault::UnknownProtocol)?),
                    }
                }
                Ok(Flow::Next)
            }
            // What a frame's length means for the readers is the audit loop's business.
            Opcode::Frame => Ok(Flow::Next),
            Opcode::None
            | Opcode::NewTrue
            | Opcode::NewFalse
            | Opcode::Int
            | Opcode::BinInt
            | Opcode::BinInt1
            | Opcode::BinInt2
            | Opcode::Long
            | Opcode::Long1
            | Opcode::Long4
            | Opcode::Float
            | Opcode::BinFloat
            | Opcode::String
            | Opcode::BinString
            | Opcode::ShortBinString
            | Opcode::Unicode
            | Opcode::BinUnicode
            | Opcode::ShortBinUnicode
            | Opcode::BinUnicode8
            | Opcode::BinBytes
            | Opcode::ShortBinBytes
            | Opcode::BinBytes8
            | Opcode::ByteArray8
            | Opcode::NextBuffer => {
                let value = domain.literal(at)?;
                self.push(at, domain, value)
            }
            Opcode::ReadOnlyBuffer => {
                let buffer = self.pop(at, domain)?;
                self.push(at, domain, buffer)
            }
            Opcode::EmptyTuple | Opcode::EmptyList | Opcode::EmptyDict | Opcode::EmptySet => {
                let value = domain.collect(at, &[])?;
                self.push(at, domain, value)
            }
            Opcode::Tuple1 => self.collect_top(at, domain, 1),
            Opcode::Tuple2 => self.collect_top(at, domain, 2),
            Opcode::Tuple3 => self.collect_top(at, domain, 3),
            Opcode::Tuple | Opcode::List | Opcode::Dict | Opcode::FrozenSet => {
                let start = self.pop_mark(at, domain)?;
                let items = self.stack.items().get(start..).unwrap_or_default();
                if at.opcode == Opcode::Dict && items.len() & 1 == 1 {
                    domain.fault(at, Fault::OddItems)?;
                }
                let value = domain.collect(at, items)?;
                self.stack.truncate(start);
                self.push(at, domain, value)
            }
            Opcode::Append => self.extend_top(at, domain, 1),
            Opcode::SetItem => self.extend_top(at, domain, 2),
            Opcode::Appends | Opcode::SetItems | Opcode::AddItems => {
                let start = self.pop_mark(at, domain)?;
                self.extend_from(at, domain, start)
            }
            Opcode::Mark => {
                if self.marks.push(self.stack.len()).is_err() {
                    domain.fault(at, Fault::MarkLimit)?;
                    return Ok(Flow::Halt);
                }
                Ok(Flow::Next)
            }
            Opcode::Pop => {
                // With nothing above the topmost mark, POP takes the mark.
                if self.top_mark() == Some(self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop(at, domain)?;
                }
                Ok(Flow::Next)
            }
            Opcode::PopMark => {
                let start = self.pop_mark(at, domain)?;
                self.stack.truncate(start);
                Ok(Flow::Next)
            }
            Opcode::Dup => {
                let value = self.top(at, domain)?;
                self.push(at, domain, value)
            }
            Opcode::Get | Opcode::BinGet | Opcode::LongBinGet => {
                let value = match self.memo_index(at, domain)? {
                    None => domain.fault(at, Fault::BadMemoIndex)?,
                    Some(index) => match self.recall(index) {
                        Some(value) => value,
                        None => domain.fault(at, Fault::MissingMemo)?,
                    },
                };
                self.push(at, domain, value)
            }
            Opcode::Put | Opcode::BinPut | Opcode::LongBinPut => {
                let value = self.top(at, domain)?;
                match self.memo_index(at, domain)? {
                    None => drop(domain.fault(at, Fault::BadMemoIndex)?),
                    Some(index) => self.memoize(at, domain, index, value)?,
                }
                Ok(Flow::Next)
            }
            Opcode::Memoize => {
                let value = self.top(at, domain)?;
                self.memoize(at, domain, self.memoized, value)?;
                Ok(Flow::Next)
            }
            Opcode::Global => {
                let (module, name) = lines(at);
                let value = domain.global(at, module, name)?;
                self.push(at, domain, value)
            }
            Opcode::StackGlobal => {
                let name = self.pop(at, domain)?;
                let module = self.pop(at, domain)?;
                let value = domain.stack_global(at, module, name)?;
                self.push(at, domain, value)
            }
            Opcode::Ext1 | Opcode::Ext2 | Opcode::Ext4 => {
                let code = if let Arg::Int(code) = at.arg { code } else { 0 };
                let value = domain.extension(at, code)?;
                self.push(at, domain, value)
            }
            Opcode::PersId => {
                let value = domain.persistent(at, None)?;
                self.push(at, domain, value)
            }
            Opcode::BinPersId => {
                let id = self.pop(at, domain)?;
                let value = domain.persistent(at, Some(id))?;
                self.push(at, domain, value)
            }
            Opcode::Reduce | Opcode::NewObj => {
                let arguments = self.pop(at, domain)?;
                let callee = self.pop(at, domain)?;
                let value = domain.call(at, callee, Arguments::Tuple(arguments))?;
                self.push(at, domain, value)
            }
            Opcode::NewObjEx => {
                let keywords = self.pop(at, domain)?;
                let arguments = self.pop(at, domain)?;
                let callee = self.pop(at, domain)?;
                let value = domain.call(at, callee, Arguments::Keywords(arguments, keywords))?;
                self.push(at, domain, value)
            }
            Opcode::Inst => {
                // `load_inst` of `pickle.py` imports before it looks for the mark, that of
                // `_pickle.c` after: the import is reported either way.
                let (module, name) = lines(at);
                let class = domain.global(at, module, name)?;
                let start = self.pop_mark(at, domain)?;
                let items = self.stack.items().get(start..).unwrap_or_default();
                let value = domain.call(at, class, Arguments::Items(items))?;
                self.stack.truncate(start);
                self.push(at, domain, value)
            }
            Opcode::Obj => {
                let start = self.pop_mark(at, domain)?;
                let value = match self.stack.items().get(start..).unwrap_or_default() {
                    [] => domain.fault(at, Fault::StackUnderflow)?,
                    [class, items @ ..] => domain.call(at, *class, Arguments::Items(items))?,
                };
                self.stack.truncate(start);
                self.push(at, domain, value)
            }
            Opcode::Build => {
                let state = self.pop(at, domain)?;
                let object = self.pop(at, domain)?;
                let built = domain.build(at, object, state)?;
                self.push(at, domain, built)
            }
            Opcode::Stop => Ok(Flow::Stop(self.pop(at, domain)?)),
        }
    }

    /// The topmost mark of this pickle.
    #[inline]
    fn top_mark(&self) -> Option<usize> {
        if self.marks.len() > self.base.marks { self.marks.last() } else { None }
    }

    /// The lowest stack position that the topmost mark leaves in reach.
    #[inline]
    fn fence(&self) -> usize {
        self.top_mark().unwrap_or(self.base.stack)
    }

    #[inline]
    fn push<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        value: V,
    ) -> Result<Flow<V>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        if self.stack.push(value).is_err() {
            domain.fault(at, Fault::StackLimit)?;
            return Ok(Flow::Halt);
        }
        Ok(Flow::Next)
    }

    #[inline]
    fn pop<'a, D>(&mut self, at: &Instruction<'a>, domain: &mut D) -> Result<V, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        if self.stack.len() > self.fence()
            && let Some(value) = self.stack.pop()
        {
            return Ok(value);
        }
        domain.fault(at, Fault::StackUnderflow)
    }

    #[inline]
    fn top<'a, D>(&mut self, at: &Instruction<'a>, domain: &mut D) -> Result<V, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        if self.stack.len() > self.fence()
            && let Some(value) = self.stack.last()
        {
            return Ok(value);
        }
        domain.fault(at, Fault::StackUnderflow)
    }

    /// Takes the topmost mark and returns where its objects start.
    #[inline]
    fn pop_mark<'a, D>(&mut self, at: &Instruction<'a>, domain: &mut D) -> Result<usize, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        match self.top_mark() {
            Some(start) => {
                self.marks.pop();
                Ok(start)
            }
            None => {
                domain.fault(at, Fault::NoMark)?;
                Ok(self.stack.len())
            }
        }
    }

    fn collect_top<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        count: usize,
    ) -> Result<Flow<V>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        let start = self.reach(at, domain, count)?;
        let items = self.stack.items().get(start..).unwrap_or_default();
        let value = domain.collect(at, items)?;
        self.stack.truncate(start);
        self.push(at, domain, value)
    }

    fn extend_top<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        count: usize,
    ) -> Result<Flow<V>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        let start = self.reach(at, domain, count)?;
        self.extend_from(at, domain, start)
    }

    /// Where the topmost `count` objects start, as far as the topmost mark lets them reach.
    fn reach<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        count: usize,
    ) -> Result<usize, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        let fence = self.fence();
        match self.stack.len().checked_sub(count).filter(|&start| start >= fence) {
            Some(start) => Ok(start),
            None => {
                domain.fault(at, Fault::StackUnderflow)?;
                Ok(fence)
            }
        }
    }

    /// Puts everything from `start` on into the object below it, which must be in reach.
    fn extend_from<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        start: usize,
    ) -> Result<Flow<V>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        let below = start.checked_sub(1).filter(|&below| below >= self.fence());
        let target = match below.and_then(|below| self.stack.get(below)) {
            Some(target) => target,
            None => domain.fault(at, Fault::StackUnderflow)?,
        };
        let items = self.stack.items().get(start..).unwrap_or_default();
        let pairs = matches!(at.opcode, Opcode::SetItem | Opcode::SetItems);
        if pairs && items.len() & 1 == 1 {
            domain.fault(at, Fault::OddItems)?;
        }
        domain.extend(at, target, items)?;
        self.stack.truncate(start);
        Ok(Flow::Next)
    }

    /// The memo index of a `GET` or `PUT` in any of its forms.
    #[inline]
    fn memo_index<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
    ) -> Result<Option<usize>, D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        let index = match at.arg {
            Arg::Int(index) => Some(index),
            Arg::Line(line) => {
                let read = number(line, Radix::Index);
                match read.value {
                    text::Value::Small(index) => {
                        if !read.agreed {
                            domain.divergent(at)?;
                        }
                        Some(index)
                    }
                    text::Value::Big => Some(i64::MAX),
                    text::Value::Invalid => None,
                }
            }
            _ => None,
        };
        // Beyond what this machine counts to is beyond every limit, and no other mistake than that.
        let index = index.and_then(|index| u64::try_from(index).ok());
        Ok(index.map(|index| usize::try_from(index).unwrap_or(usize::MAX)))
    }

    #[inline]
    fn recall(&self, index: usize) -> Option<V> {
        self.memo.get(self.base.memo.checked_add(index)?).flatten()
    }

    #[inline]
    fn memoize<'a, D>(
        &mut self,
        at: &Instruction<'a>,
        domain: &mut D,
        index: usize,
        value: V,
    ) -> Result<(), D::Error>
    where
        D: Domain<'a, Value = V>,
    {
        // A pickler numbers what it stores one by one. An index far beyond what the stream so
        // far could have filled asks for memory, not for a place to keep something.
        if index >= self.index_slack.max(self.steps.saturating_mul(2)) {
            domain.fault(at, Fault::MemoLimit)?;
            return Ok(());
        }
        let index = self.base.memo.saturating_add(index);
        // Nearly always the next free slot.
        if index == self.memo.len() && self.memo.push(Some(value)).is_ok() {
            self.memoized = self.memoized.saturating_add(1);
            return Ok(());
        }
        while self.memo.len() <= index {
            if self.memo.push(None).is_err() {
                domain.fault(at, Fault::MemoLimit)?;
                return Ok(());
            }
        }
        if let Some(slot) = self.memo.items_mut().get_mut(index)
            && slot.replace(value).is_none()
        {
            self.memoized = self.memoized.saturating_add(1);
        }
        Ok(())
    }
}

#[inline]
fn lines<'a>(at: &Instruction<'a>) -> (&'a [u8], &'a [u8]) {
    match at.arg {
        Arg::Lines(module, name) => (module, name),
        _ => (&[], &[]),
    }
}

#[cfg(test)]
mod tests;
