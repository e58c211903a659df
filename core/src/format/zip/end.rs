//! The end of a ZIP archive: the end record, the ZIP64 locator and the ZIP64 record
//! (APPNOTE 4.3.14 to 4.3.16).
//!
//! Picks the end record that CPython's `zipfile` and PyTorch's miniz pick, the *last*
//! signature with room for a record behind it, and keeps every raw number, so that the audit
//! can say where another reader would have gone. It refuses to guess: a record that is not
//! there is an error, a number that disagrees stays on view.

use super::super::ranges::Bytes;
use super::bytes::{u16_at, u32_at, u64_at};
use super::{ZipError, ZipErrorKind};

/// `PK\5\6`, APPNOTE 4.3.16.
pub(super) const END: [u8; 4] = *b"PK\x05\x06";
/// `PK\6\7`, APPNOTE 4.3.15.
const LOCATOR: [u8; 4] = *b"PK\x06\x07";
/// `PK\6\6`, APPNOTE 4.3.14.
const RECORD: [u8; 4] = *b"PK\x06\x06";

/// Bytes in an end record before its comment.
pub(super) const END_LENGTH: u64 = 22;
/// Bytes in a ZIP64 locator.
pub(super) const LOCATOR_LENGTH: u64 = 20;
/// Bytes in a ZIP64 record without extensible data.
pub(super) const RECORD_LENGTH: u64 = 56;
/// The value of a ZIP64 record's own size field when it has no extensible data: the size
/// leaves out the signature and the field itself (APPNOTE 4.3.14.1).
pub(super) const RECORD_SIZE: u64 = 44;

/// How far from the end of the file an end record is looked for. The format needs 22 + 65,535
/// bytes; CPython's `_EndRecData` looks one byte further, and miniz's
/// `mz_zip_reader_locate_header_sig` steps in blocks of 4,093 bytes and so may look one block
/// further. What any of them may find, we find too.
const WINDOW: u64 = 22 + 65_535 + 4_096;

/// The end record with its own numbers, unresolved.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) offset: u64,
    pub(super) disk: u16,
    pub(super) directory_disk: u16,
    pub(super) entries_here: u16,
    pub(super) entries: u16,
    pub(super) directory_size: u32,
    pub(super) directory_offset: u32,
    pub(super) comment_length: u16,
    pub(super) comment: &'a [u8],
    pub(super) zip64: Zip64,
}

/// What stands before the end record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zip64 {
    /// No locator: a classic archive.
    Absent,
    /// A locator whose record is in no place that a reader would look.
    Lost {
        /// Where the locator is.
        locator: u64,
    },
    /// A locator and its record.
    Found(Record),
}

/// The ZIP64 locator and record with their own numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) locator: u64,
    pub(super) locator_disk: u32,
    pub(super) locator_disks: u32,
    pub(super) declared_offset: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) disk: u32,
    pub(super) directory_disk: u32,
    pub(super) entries_here: u64,
    pub(super) entries: u64,
    pub(super) directory_size: u64,
    pub(super) directory_offset: u64,
}

impl<'a> End<'a> {
    /// Finds the end record and what belongs to it.
    pub(super) fn find(bytes: Bytes<'a>) -> Result<Self, ZipError> {
        let missing = ZipError::new(ZipErrorKind::NoEndRecord, bytes.length());
        candidates(bytes).find_map(|offset| Self::parse(bytes, offset)).ok_or(missing)
    }

    /// Reads the end record at `offset`; nothing when there are not 22 bytes.
    pub(super) fn parse(bytes: Bytes<'a>, offset: u64) -> Option<Self> {
        let fixed = bytes.slice(offset, END_LENGTH)?;
        let comment_length = u16_at(fixed, 20)?;
        let behind = offset.checked_add(END_LENGTH)?;
        // zipfile takes a short comment as it comes; so do we, and the audit names it.
        let left = bytes.length().checked_sub(behind)?;
        let comment = bytes.slice(behind, left.min(u64::from(comment_length)))?;
        Some(Self {
            offset,
            disk: u16_at(fixed, 4)?,
            directory_disk: u16_at(fixed, 6)?,
            entries_here: u16_at(fixed, 8)?,
            entries: u16_at(fixed, 10)?,
            directory_size: u32_at(fixed, 12)?,
            directory_offset: u32_at(fixed, 16)?,
            comment_length,
            comment,
            zip64: Zip64::find(bytes, offset),
        })
    }

    /// Where the directory has to end: at the ZIP64 record, or at the end record.
    pub(super) fn directory_limit(&self) -> u64 {
        match self.zip64 {
            Zip64::Found(record) => record.offset,
            // zipfile forgets a locator whose record it cannot find.
            Zip64::Lost { .. } | Zip64::Absent => self.offset,
        }
    }

    /// The directory's size: the ZIP64 record's when there is one, as zipfile and miniz do
    /// whatever the 32-bit field holds.
    pub(super) fn size(&self) -> u64 {
        match self.zip64 {
            Zip64::Found(record) => record.directory_size,
            _ => u64::from(self.directory_size),
        }
    }

    /// The directory's offset, counted from the start of the archive.
    pub(super) fn start(&self) -> u64 {
        match self.zip64 {
            Zip64::Found(record) => record.directory_offset,
            _ => u64::from(self.directory_offset),
        }
    }

    /// The number of entries in the archive.
    pub(super) fn count(&self) -> u64 {
        match self.zip64 {
            Zip64::Found(record) => record.entries,
            _ => u64::from(self.entries),
        }
    }
}

impl Zip64 {
    /// zipfile and miniz look for a locator right before the end record, whether or not a
    /// 32-bit field asks for one.
    fn find(bytes: Bytes<'_>, end: u64) -> Self {
        let Some(locator) = end.checked_sub(LOCATOR_LENGTH) else {
            return Self::Absent;
        };
        if !bytes.signed(locator, LOCATOR) {
            return Self::Absent;
        }
        Record::find(bytes, locator).map_or(Self::Lost { locator }, Self::Found)
    }
}

impl Record {
    fn find(bytes: Bytes<'_>, locator: u64) -> Option<Self> {
        let fields = bytes.slice(locator, LOCATOR_LENGTH)?;
        let declared_offset = u64_at(fields, 8)?;
        // zipfile assumes that the record ends where the locator starts and has no extensible
        // data; miniz goes where the locator says. The first wins here, since it also survives
        // prepended bytes; the audit compares.
        let adjacent = locator.checked_sub(RECORD_LENGTH);
        let offset = [adjacent, Some(declared_offset)].into_iter().flatten().find(|&place| {
            bytes.signed(place, RECORD)
                && place.checked_add(RECORD_LENGTH).is_some_and(|end| end <= locator)
        })?;
        let record = bytes.slice(offset, RECORD_LENGTH)?;
        Some(Self {
            locator,
            locator_disk: u32_at(fields, 4)?,
            locator_disks: u32_at(fields, 16)?,
            declared_offset,
            offset,
            size: u64_at(record, 4)?,
            disk: u32_at(record, 16)?,
            directory_disk: u32_at(record, 20)?,
            entries_here: u64_at(record, 24)?,
            entries: u64_at(record, 32)?,
            directory_size: u64_at(record, 40)?,
            directory_offset: u64_at(record, 48)?,
        })
    }
}

/// Every place in the tail of the file that has an end record's signature, last first.
pub(super) fn candidates(bytes: Bytes<'_>) -> impl Iterator<Item = u64> {
    let base = bytes.length().saturating_sub(WINDOW);
    let tail = bytes.range(base..bytes.length()).unwrap_or_default();
    tail.windows(4)
        .enumerate()
        .rev()
        .filter(|&(_, window)| window == END)
        .filter_map(move |(at, _)| base.checked_add(u64::try_from(at).ok()?))
}
