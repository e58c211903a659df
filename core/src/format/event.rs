//! What a reader says of the bytes: one vocabulary for every format.
//!
//! A reader is two pure functions. `accepts` says whether a loader of the format would try the
//! bytes; `read` walks them and hands each thing that matters to a sink, in the order of the
//! bytes. It never decides, never fails and never panics: what breaks a rule of the format is an
//! anomaly, and a reader that cannot go on says so and ends.

use super::detect::Format;
use super::start::{Answer, Start};
use crate::limits::Limits;
use crate::score::Rule;

/// One thing that a reader came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'e> {
    /// A rule is hit.
    Anomaly(Anomaly<'e>),
    /// Bytes in it that are a file of their own, and are judged as one.
    Member {
        /// What the format calls it; may be hostile.
        name: &'e [u8],
        /// Where its bytes start in the part, if they stand there as they are.
        offset: u64,
        /// The bytes.
        bytes: &'e [u8],
    },
    /// Another file that holds bytes of this one: weights beside a graph, a shard of an index.
    External(External<'e>),
    /// What this reader does not judge, as a sentence.
    Unjudged(&'static str),
    /// How many bytes it looks at, where that is not all of them: those up to the numbers.
    Read(u64),
}

/// A rule that is hit, with what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly<'e> {
    /// The scoring rule.
    pub rule: Rule,
    /// The anomaly's own stable id.
    pub id: &'static str,
    /// What was seen, as a sentence.
    pub message: &'static str,
    /// Where, counted from the start of the part.
    pub offset: u64,
    /// What it is about: an operator, a key, a path; may be hostile, and is cut by the reporter.
    pub subject: &'e [u8],
}

/// A reference to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct External<'e> {
    /// The path, as the file spells it.
    pub location: &'e [u8],
    /// The first byte that is used there.
    pub offset: u64,
    /// How many bytes are used there; nothing where the file does not say.
    pub length: Option<u64>,
}

/// Where events go.
pub type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

/// Walks the start of a file of so many bytes, and says whether that was enough.
pub type ReadStart = fn(&[u8], u64, &Limits, Sink<'_>) -> bool;

/// A reader of one format.
#[derive(Clone, Copy)]
pub struct Reader {
    /// The format that it reads.
    pub format: Format,
    /// Whether a loader of the format would try these bytes. It looks at structure, and costs
    /// no more than a few kilobytes of reading on bytes of another format.
    pub accepts: fn(&[u8]) -> bool,
    /// The same of a file that is longer than its start; nothing where that does not tell.
    pub starts: fn(&Start<'_>) -> Answer,
    /// Walks the bytes.
    pub read: fn(&[u8], &Limits, Sink<'_>),
    /// [`Self::read`] of a file of so many bytes of which these are the first, where the reader
    /// needs no others; whether they were enough. If not, what it told is worth nothing.
    pub read_start: Option<ReadStart>,
}

impl Reader {
    /// What [`Self::accepts`] says of a file, as far as its start tells.
    #[must_use]
    pub fn answer(&self, start: &Start<'_>) -> Answer {
        if start.is_whole() { Some((self.accepts)(start.head)) } else { (self.starts)(start) }
    }
}

impl core::fmt::Debug for Reader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reader").field("format", &self.format).finish_non_exhaustive()
    }
}
