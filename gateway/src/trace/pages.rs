//! The pickles of a source, to be read a page at a time.
//!
//! A pickle may have millions of instructions, and whoever looks at it sees some fifty. The audit
//! cannot start in the middle of one, so each page is a walk from its start, in which only the
//! rows of the page are made: a walk over a million instructions takes some tenths of a second at worst.
//!
//! What it refuses to do: keep the rows. It keeps each pickle's bytes, and the names of the modules
//! that its archive brings along, as long as there is room.

use secure_torch_core::limits;
use secure_torch_core::pickle::audit::{Options, PersistentIds};
use serde::Serialize;

use super::{At, Ended, Note, Row, Stream, streams, walk};
use crate::error::Error;
use crate::policy::Policy;
use crate::source::{Ranged, Source};
use crate::text::printable;

/// How many bytes of pickles and of modules' names are kept in all. What is beyond has no rows.
const KEPT_BYTES: usize = 256 << 20;

/// How much is kept behind the place where a pickle ends without `STOP`: the argument of the
/// instruction that could not be read.
const BEHIND: usize = 4096;

/// The pickles of a source.
#[derive(Debug, Default)]
pub struct Pages {
    pickles: Vec<Pickle>,
    policy: Policy,
}

/// What there is to say of a pickle without listing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The part that holds it: empty for the file itself. Safe to print.
    pub path: String,
    /// Where it starts in that part.
    pub offset: u64,
    /// How many rows its listing has.
    pub rows: u64,
    /// Whether the rows can be had: whether there was room to keep it.
    pub kept: bool,
    /// How it ends.
    pub ended: Ended,
}

#[derive(Debug)]
struct Pickle {
    listed: Listed,
    bytes: Vec<u8>,
    options: Kept,
}

/// The options of a stream, which outlive the scan that chose them.
#[derive(Debug)]
struct Kept {
    persistent_ids: PersistentIds,
    torchscript: bool,
    own: Vec<String>,
    joblib: bool,
    keep_memo: bool,
    nested: bool,
    limits: limits::Pickle,
}

/// Keeps streams while there is room.
fn keep(pickles: &mut Vec<Pickle>) -> impl FnMut(&Stream<'_>) {
    let mut room = KEPT_BYTES;
    move |stream| pickles.push(Pickle::new(stream, &mut room))
}

impl Pages {
    /// The pickles that [`streams`] gives.
    #[must_use]
    pub fn of(source: &Source, policy: &Policy) -> Self {
        let mut pages = Self::none(policy.at(source.path()).into_owned());
        streams(source, &pages.policy, keep(&mut pages.pickles));
        pages
    }

    const fn none(policy: Policy) -> Self {
        Self { pickles: Vec::new(), policy }
    }

    /// [`Self::of`] a file that is read in pieces.
    ///
    /// # Errors
    /// Where a piece cannot be read, or does not fit in memory, and [`crate::Code::TooLarge`] where
    /// [`crate::scan_ranged`] blocks the file for its size.
    pub fn of_ranged(file: &Ranged, policy: &Policy) -> Result<Self, Error> {
        let mut pages = Self::none(policy.at(None).into_owned());
        crate::scan::listen_ranged(file, &pages.policy, &mut keep(&mut pages.pickles))?;
        Ok(pages)
    }

    /// What is known of each pickle, in the order in which the scan meets them.
    pub fn pickles(&self) -> impl Iterator<Item = &Listed> {
        self.pickles.iter().map(|pickle| &pickle.listed)
    }

    /// So many rows of a pickle from row `first` on, the first row being 0. Fewer, or none, where
    /// the pickle has no more.
    #[must_use]
    pub fn rows(&self, pickle: usize, first: u64, count: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        let end = first.saturating_add(count);
        self.walk(pickle, |number, at| {
            if (first..end).contains(&number) {
                rows.push(at.row());
            }
        });
        rows
    }

    /// The first row from `first` on that shows `text`, whatever its case: in its opcode, its
    /// argument, or what is said about it.
    #[must_use]
    pub fn find(&self, pickle: usize, text: &str, first: u64) -> Option<u64> {
        let text = text.to_lowercase();
        let mut found = None;
        self.walk(pickle, |number, at| {
            if found.is_none() && number >= first && shows(&at.row(), &text) {
                found = Some(number);
            }
        });
        found
    }

    /// The row of the instruction that holds the byte at `offset` of the pickle's part.
    #[must_use]
    pub fn row_at(&self, pickle: usize, offset: u64) -> Option<u64> {
        let listed = &self.pickles.get(pickle)?.listed;
        let mut found = None;
        if !(listed.offset..listed.ended.offset).contains(&offset) {
            return None;
        }
        self.walk(pickle, |number, at| {
            if at.offset <= offset {
                found = Some(number);
            }
        });
        found
    }

    /// Goes through a pickle with the number of each row; nothing where it was not kept.
    fn walk(&self, pickle: usize, mut see: impl FnMut(u64, &At<'_>)) {
        let Some(pickle) = self.pickles.get(pickle).filter(|pickle| pickle.listed.kept) else {
            return;
        };
        let allow = self.policy.allowed_globals();
        let own: Vec<&str> = pickle.options.own.iter().map(String::as_str).collect();
        let stream = Stream {
            path: "",
            offset: pickle.listed.offset,
            bytes: &pickle.bytes,
            options: pickle.options.options(&own, &allow),
        };
        let mut number = 0_u64;
        walk(&stream, |at| {
            see(number, at);
            number = number.saturating_add(1);
        });
    }
}

impl Pickle {
    fn new(stream: &Stream<'_>, room: &mut usize) -> Self {
        let mut rows = 0_u64;
        let ended = walk(stream, |_| rows = rows.saturating_add(1));
        let length = usize::try_from(ended.offset.saturating_sub(stream.offset));
        let length = length.unwrap_or(usize::MAX);
        let behind = if ended.end == "stop" { 0 } else { BEHIND };
        let length = length.saturating_add(behind).min(stream.bytes.len());
        let mut bytes = Vec::new();
        // An archive may have as many modules as pickles, and each pickle would keep them all.
        let taken = stream.options.own.iter().try_fold(length, |sum, name| {
            let sum = sum.saturating_add(size_of::<String>()).saturating_add(name.len());
            (sum <= *room).then_some(sum)
        });
        let left = taken.and_then(|taken| room.checked_sub(taken));
        let kept = left.is_some() && bytes.try_reserve_exact(length).is_ok();
        let mut options = stream.options;
        if kept {
            *room = left.unwrap_or_default();
            bytes.extend_from_slice(stream.bytes.get(..length).unwrap_or_default());
        } else {
            options.own = &[];
        }
        let path = printable(stream.path);
        let listed = Listed { path, offset: stream.offset, rows, kept, ended };
        Self { listed, bytes, options: Kept::new(&options) }
    }
}

impl Kept {
    fn new(options: &Options<'_>) -> Self {
        // Named one by one, so that an option that comes later is not forgotten here.
        let &Options {
            persistent_ids,
            torchscript,
            own,
            joblib,
            keep_memo,
            nested,
            allow: _,
            limits,
        } = options;
        let own = own.iter().map(|&name| name.to_owned()).collect();
        Self { persistent_ids, torchscript, own, joblib, keep_memo, nested, limits }
    }

    fn options<'o>(&self, own: &'o [&'o str], allow: &'o [(&'o str, &'o str)]) -> Options<'o> {
        Options {
            persistent_ids: self.persistent_ids,
            torchscript: self.torchscript,
            own,
            joblib: self.joblib,
            keep_memo: self.keep_memo,
            nested: self.nested,
            allow,
            limits: self.limits,
        }
    }
}

/// Whether a row shows a text in lower case.
fn shows(row: &Row, text: &str) -> bool {
    let holds = |shown: &str| shown.to_lowercase().contains(text);
    holds(row.opcode)
        || holds(&row.argument)
        || row.notes.iter().any(|note| match note {
            Note::Import { global, python3, .. } => holds(global) || holds(python3),
            Note::Call { global } => holds(global),
            Note::Finding { rule, message, .. } => holds(rule) || holds(message),
            Note::Nested { .. } => false,
        })
}

#[cfg(test)]
mod tests {
    use super::super::trace;
    use super::*;

    /// Two pickles in a row and one that breaks off.
    const BYTES: &[u8] = b"\x80\x02}q\0.\x80\x02cposix\nsystem\n(S'echo secure-torch'\ntR.N\xff";

    fn pages(bytes: &[u8]) -> (Pages, Vec<Vec<Row>>) {
        let source = Source::from_bytes("rows.pkl", bytes.to_vec());
        let policy = Policy::default();
        let mut all = Vec::new();
        streams(&source, &policy, |stream| {
            let mut rows = Vec::new();
            trace(stream, |row| {
                rows.push(row.clone());
                true
            });
            all.push(rows);
        });
        (Pages::of(&source, &policy), all)
    }

    #[test]
    fn pages_are_pieces_of_the_listing() {
        let (pages, all) = pages(BYTES);
        assert_eq!(pages.pickles().count(), all.len());
        assert!(all.len() >= 2);
        for (pickle, (listed, rows)) in pages.pickles().zip(&all).enumerate() {
            assert_eq!(listed.rows, rows.len() as u64);
            assert_eq!(&pages.rows(pickle, 0, u64::MAX), rows);
            for first in 0..rows.len() {
                let page = pages.rows(pickle, first as u64, 2);
                assert_eq!(page, rows[first..rows.len().min(first + 2)]);
            }
            assert_eq!(pages.rows(pickle, listed.rows, 5), []);
            for (number, row) in rows.iter().enumerate() {
                for byte in row.offset..row.offset + row.length {
                    assert_eq!(pages.row_at(pickle, byte), Some(number as u64));
                }
            }
            assert_eq!(pages.row_at(pickle, listed.ended.offset), None);
        }
        assert_eq!(pages.rows(99, 0, 5), []);
    }

    #[test]
    fn text_is_found_where_it_is_shown() {
        let (pages, _) = pages(BYTES);
        assert_eq!(pages.find(1, "ECHO", 0), Some(3));
        assert_eq!(pages.find(1, "echo", 4), None);
        assert_eq!(pages.find(1, "reduce", 0), Some(5));
        assert_eq!(pages.find(1, "posix.system", 2), Some(5));
        assert_eq!(pages.find(0, "posix", 0), None);
    }

    #[test]
    fn names_of_modules_take_room_as_bytes_do() {
        let own = ["m.a", "m.b"];
        let options = Options { own: &own, ..Options::default() };
        let stream = Stream { path: "", offset: 0, bytes: b"\x80\x02}.", options };
        let takes = 4 + 2 * (size_of::<String>() + 3);
        let mut room = takes + 1;
        let first = Pickle::new(&stream, &mut room);
        assert_eq!((first.listed.kept, first.options.own.len(), room), (true, 2, 1));
        let mut room = takes - 1;
        let second = Pickle::new(&stream, &mut room);
        assert_eq!((second.listed.kept, second.options.own.len(), room), (false, 0, takes - 1));
        assert_eq!(second.listed.rows, first.listed.rows);
    }

    #[test]
    fn a_pickle_that_breaks_off_has_the_rows_before() {
        let (pages, all) = pages(b"\x80\x02NN\x8e\xff\xff\xff\xff\xff\xff\xff\xff");
        let listed: Vec<&Listed> = pages.pickles().collect();
        assert_eq!(listed[0].ended.end, "malformed");
        assert_eq!(pages.rows(0, 0, 10), all[0]);
        assert_eq!(listed[0].rows, 3);
    }
}
