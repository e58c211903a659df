//! The pieces of a file that were read so far, each kept so that others can borrow from it.
//!
//! What a ZIP archive's reader asks for is small and lies all over the file: end records, the
//! directory, a header before each member. A piece once given out stays where it is, so the list
//! only grows, up to a bound. What is read once and let go again, such as a member's content, is
//! not kept, and counts against the same bound while it is held.
//!
//! A piece that could not be read, or for which there was no room, is remembered: whoever judged
//! with the help of these pieces asks [`Pieces::failure`] before believing the outcome.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use secure_torch_core::format::ranges::Ranges;

use super::Ranged;
use crate::error::{Code, Error};

/// How much is read at least: a local header of a ZIP with its name and its extra field, which is
/// asked for in two steps, takes a few hundred bytes.
const LEAST: u64 = 512;

/// Pieces of a file.
#[derive(Debug)]
pub(crate) struct Pieces<'f> {
    file: &'f Ranged,
    /// How many bytes may be held.
    most: u64,
    held: Cell<u64>,
    kept: List,
    /// Where each starts, and its place in the list. None lies inside another, so that the last
    /// one that starts before a byte also ends last of those.
    starts: RefCell<BTreeMap<u64, usize>>,
    failure: RefCell<Option<Failure>>,
}

/// Why something could not be asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A piece could not be read.
    Read(Error),
    /// There is no room for what would have to be held.
    Room,
}

impl<'f> Pieces<'f> {
    pub(crate) fn new(file: &'f Ranged, most: u64) -> Self {
        Self {
            file,
            most,
            held: Cell::new(0),
            kept: List::default(),
            starts: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    /// What went wrong first, if anything did; it is forgotten then.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// The error, if anything went wrong.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.failure() {
            None => Ok(()),
            Some(Failure::Read(error)) => Err(error),
            Some(Failure::Room) => {
                let cause = format!("what has to be looked at takes more than {} bytes", self.most);
                Err(Error::new(Code::TooLarge, self.file.name(), cause))
            }
        }
    }

    /// Whether anything went wrong so far.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// A piece that is not kept; nothing where it is not in the file or cannot be had.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Option<Vec<u8>> {
        if offset.checked_add(length).is_none_or(|end| end > self.file.length()) {
            return None;
        }
        if self.has_failed() {
            return None;
        }
        if self.held.get().checked_add(length).is_none_or(|held| held > self.most) {
            self.failure.replace(Some(Failure::Room));
            return None;
        }
        match self.file.piece(offset, length) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.failure.replace(Some(Failure::Read(error)));
                None
            }
        }
    }

    /// A piece among those that are kept.
    fn find(&self, offset: u64, length: u64) -> Option<&[u8]> {
        let (start, index) = {
            let starts = self.starts.borrow();
            let (&start, &index) = starts.range(..=offset).next_back()?;
            (start, index)
        };
        let from = usize::try_from(offset - start).ok()?;
        let count = usize::try_from(length).ok()?;
        self.kept.get(index)?.get(from..)?.get(..count)
    }

    fn keep(&self, offset: u64, bytes: Vec<u8>) {
        let end = offset.saturating_add(bytes.len() as u64);
        self.held.set(self.held.get().saturating_add(bytes.len() as u64));
        let index = self.kept.push(bytes);
        let mut starts = self.starts.borrow_mut();
        let inside: Vec<u64> = starts
            .range(offset..end)
            .filter(|&(&start, &index)| {
                let length = self.kept.get(index).map_or(0, <[u8]>::len) as u64;
                start.saturating_add(length) <= end
            })
            .map(|(&start, _)| start)
            .collect();
        for start in inside {
            starts.remove(&start);
        }
        starts.insert(offset, index);
    }
}

impl Ranges for Pieces<'_> {
    fn length(&self) -> u64 {
        self.file.length()
    }

    fn piece(&self, offset: u64, length: u64) -> Option<&[u8]> {
        if length == 0 {
            return (offset <= self.length()).then_some(&[]);
        }
        if let Some(found) = self.find(offset, length) {
            return Some(found);
        }
        let left = self.length().checked_sub(offset)?;
        let bytes = self.read(offset, length.max(LEAST.min(left)))?;
        self.keep(offset, bytes);
        self.find(offset, length)
    }
}

/// The file as a reader of streams sees it.
#[derive(Debug)]
pub(crate) struct Cursor<'p> {
    pieces: &'p Pieces<'p>,
    at: u64,
    /// How many bytes may be held in the end.
    most: u64,
}

/// How much another reader of an archive may ask for beyond what ours has. Where that one searches
/// the whole file for what it misses, nobody waits for it.
const SEARCH: u64 = 16 << 20;

impl<'p> Cursor<'p> {
    pub(crate) fn new(pieces: &'p Pieces<'p>) -> Self {
        Self { pieces, at: 0, most: pieces.held.get().saturating_add(SEARCH) }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.pieces.length().saturating_sub(self.at);
        let count = left.min(buffer.len() as u64);
        if count == 0 {
            return Ok(0);
        }
        if self.pieces.held.get() > self.most && !self.pieces.has_failed() {
            self.pieces.failure.replace(Some(Failure::Room));
        }
        let piece = self.pieces.piece(self.at, count);
        let piece = piece.ok_or_else(|| io::Error::other("it was not read"))?;
        buffer[..piece.len()].copy_from_slice(piece);
        self.at += count;
        Ok(piece.len())
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // As `std::io::Cursor` does it.
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.pieces.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Places that are filled once.
type Part = Box<[OnceCell<Vec<u8>>]>;

/// A list that grows while what is in it is borrowed: each part holds twice as much as the one
/// before, and none is moved.
#[derive(Default)]
struct List {
    parts: [OnceCell<Part>; 32],
    count: Cell<usize>,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("count", &self.count).finish_non_exhaustive()
    }
}

impl List {
    /// Which part an index lies in, and where.
    fn place(index: usize) -> (usize, usize) {
        let number = index + 1;
        let part = number.ilog2();
        (part as usize, number - (1 << part))
    }

    fn push(&self, bytes: Vec<u8>) -> usize {
        let index = self.count.get();
        let (part, at) = Self::place(index);
        let part = self.parts[part].get_or_init(|| vec![OnceCell::new(); 1 << part].into());
        // Each index comes once, so the place is free.
        part[at].get_or_init(|| bytes);
        self.count.set(index + 1);
        index
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let (part, at) = Self::place(index);
        self.parts.get(part)?.get()?.get(at)?.get().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::ReadAt;

    struct Broken;

    impl ReadAt for Broken {
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::other("the cable"))
        }
    }

    proptest! {
        /// Pieces are those of a slice, in whatever order they are asked for.
        #[test]
        fn pieces_are_those_of_a_slice(
            length in 0_usize..3_000,
            asked in proptest::collection::vec((0_u64..3_200, 0_u64..900), 0..40),
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let slice = bytes.as_slice();
            let file = Ranged::new("x", length as u64, bytes.clone());
            let pieces = Pieces::new(&file, 1 << 20);
            let mut kept = Vec::new();
            for &(offset, count) in &asked {
                let found = pieces.piece(offset, count);
                prop_assert_eq!(found, slice.piece(offset, count));
                kept.push(found);
            }
            for (&(offset, count), found) in asked.iter().zip(kept) {
                prop_assert_eq!(found, slice.piece(offset, count));
            }
            prop_assert!(!pieces.has_failed());
        }
    }

    #[test]
    fn what_is_missing_is_remembered() {
        let file = Ranged::new("x", 10_000, Broken);
        let pieces = Pieces::new(&file, 1_000);
        // What lies outside of the file is no failure.
        assert!(pieces.piece(9_999, 2).is_none() && !pieces.has_failed());
        assert!(pieces.piece(0, 2).is_none());
        assert!(matches!(pieces.failure(), Some(Failure::Read(_))));
        assert!(pieces.piece(0, 1_001).is_none());
        assert!(matches!(pieces.failure(), Some(Failure::Room)));
    }

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let list = List::default();
        for index in 0..1_000_u32 {
            assert_eq!(list.push(index.to_le_bytes().to_vec()), index as usize);
        }
        assert!((0..1_000_u32).all(|i| list.get(i as usize) == Some(&i.to_le_bytes())));
        assert!(list.get(1_000).is_none());
    }
}
