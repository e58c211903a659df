//! ZIP archives, read the way an attacker hopes that nobody reads them (APPNOTE 6.3.10).
//!
//! [`Archive::open`] finds the end record and the central directory, [`Archive::entries`]
//! walks it, and [`Archive::audit`] names every place where two readers could see two
//! different archives. All three are pure functions over the bytes of the whole file; they
//! read the last 70 kB, the directory and the local headers, and never member data, so ten
//! gigabytes of tensors cost nothing.
//!
//! What it refuses to do: decompress, check a CRC against content (that needs the content: the
//! caller decompresses and compares with [`CentralHeader::crc`]), decrypt, follow spanned
//! disks, or choose between two readings without saying so. It follows CPython's `zipfile`
//! where readers differ, and reports the difference.
//!
//! References: PKWARE APPNOTE.TXT 6.3.10; CPython `Lib/zipfile/__init__.py` (`_EndRecData`,
//! `_RealGetContents`, `open`); PyTorch `caffe2/serialize/inline_container.cc` and its
//! `third_party/miniz-3.0.2`; the Rust crate `zip`.

mod anomaly;
mod audit;
mod audit_end;
mod bytes;
mod descriptor;
mod end;
mod extra;
mod header;
pub(super) mod name;

use core::fmt;
use core::ops::Range;

pub use anomaly::{Anomaly, AnomalyKind};
pub use audit::Slot;
pub use extra::{ExtraField, ExtraFields};
pub use header::{CentralHeader, Entry, LocalHeader};

use super::ranges::{Bytes, Ranges};
use end::{END_LENGTH, End, Zip64};
use header::CENTRAL;

/// What is wrong with a member's path, in an archive of whatever format.
pub fn path_anomalies(name: &[u8]) -> impl Iterator<Item = AnomalyKind> + use<> {
    name::path_faults(name).map(AnomalyKind::from)
}

/// Compression method 0: the data is the content.
pub const METHOD_STORED: u16 = 0;
/// Compression method 8: raw deflate.
pub const METHOD_DEFLATED: u16 = 8;

/// Why bytes could not be read as an archive or as a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZipError {
    /// What is wrong.
    pub kind: ZipErrorKind,
    /// Where, counted from the start of the file.
    pub offset: u64,
}

impl ZipError {
    pub(super) const fn new(kind: ZipErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }
}

/// The ways in which reading can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZipErrorKind {
    /// No end record in the tail of the file: not a ZIP archive.
    NoEndRecord,
    /// The central directory lies outside the file.
    DirectoryOutside,
    /// A central header does not start with its signature.
    CentralSignature,
    /// A central header does not fit into the directory.
    CentralTruncated,
    /// A local header does not start with its signature.
    LocalSignature,
    /// A local header does not fit into the file.
    LocalTruncated,
    /// An entry's data does not fit into the file.
    DataOutside,
}

impl ZipErrorKind {
    /// One sentence, lower case.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoEndRecord => "no end of central directory record: not a zip archive",
            Self::DirectoryOutside => "the central directory lies outside the file",
            Self::CentralSignature => "a central header does not start with its signature",
            Self::CentralTruncated => "a central header does not fit into the directory",
            Self::LocalSignature => "a local header does not start with its signature",
            Self::LocalTruncated => "a local header does not fit into the file",
            Self::DataOutside => "the data of an entry does not fit into the file",
        }
    }
}

impl fmt::Display for ZipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind.message(), self.offset)
    }
}

impl core::error::Error for ZipError {}

/// How the directory was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Where the end record says, ending where the end record starts.
    Exact,
    /// Ending where the end record starts, but shifted by bytes before the archive.
    Prefixed,
    /// Where the end record says, with bytes between it and the end record; or in neither
    /// place.
    Apart,
}

/// A ZIP archive over the bytes of a whole file.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: Bytes<'a>,
    end: End<'a>,
    directory_start: u64,
    directory_end: u64,
    prefix: u64,
    placement: Placement,
}

impl<'a> Archive<'a> {
    /// Finds the end record and the central directory.
    ///
    /// The last end record wins, as in CPython and miniz. The directory is where CPython puts
    /// it, ending at the end record and shifted by any prepended bytes; only when no header
    /// starts there is the declared offset taken, as miniz does. [`Archive::audit`] reports
    /// every case in which the two differ.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ZipError> {
        Self::over(Bytes::Held(bytes))
    }

    /// [`Archive::open`] of a file that is not held in memory: each piece is asked for once it is
    /// needed. Not a byte of an entry's data is, unless [`Entry::data`] asks for it.
    pub fn open_ranges(ranges: &'a dyn Ranges) -> Result<Self, ZipError> {
        Self::over(Bytes::Asked(ranges))
    }

    fn over(bytes: Bytes<'a>) -> Result<Self, ZipError> {
        let end = End::find(bytes)?;
        let limit = end.directory_limit();
        let size = end.size();
        let declared = end.start();
        let inferred = limit.checked_sub(size);
        let declared_fits = declared.checked_add(size).is_some_and(|stop| stop <= limit);
        let (start, prefix, placement) = match inferred {
            Some(start) if start == declared => (start, 0, Placement::Exact),
            Some(start) if start > declared && (size == 0 || bytes.signed(start, CENTRAL)) => {
                (start, start.saturating_sub(declared), Placement::Prefixed)
            }
            _ if declared_fits => (declared, 0, Placement::Apart),
            Some(start) => (start, 0, Placement::Apart),
            None => return Err(ZipError::new(ZipErrorKind::DirectoryOutside, end.offset)),
        };
        Ok(Self {
            bytes,
            end,
            directory_start: start,
            directory_end: start.saturating_add(size),
            prefix,
            placement,
        })
    }

    /// The bytes that the archive was opened over, where they are held in memory.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self.bytes {
            Bytes::Held(bytes) => Some(bytes),
            Bytes::Asked(_) => None,
        }
    }

    /// How many bytes the archive was opened over.
    pub fn length(&self) -> u64 {
        self.bytes.length()
    }

    /// Where the end record is.
    pub fn end_offset(&self) -> u64 {
        self.end.offset
    }

    /// The archive's comment.
    pub fn comment(&self) -> &'a [u8] {
        self.end.comment
    }

    /// The number of entries that the end record declares. [`Archive::entries`] walks the
    /// directory by its size, as CPython does; the audit compares.
    pub fn declared_entries(&self) -> u64 {
        self.end.count()
    }

    /// The most entries that the directory has room for: what to size scratch memory by.
    pub fn entry_bound(&self) -> u64 {
        let size = self.directory_end.saturating_sub(self.directory_start);
        size.checked_div(header::CENTRAL_LENGTH).unwrap_or(0)
    }

    /// Where the central directory lies.
    pub fn directory(&self) -> Range<u64> {
        self.directory_start..self.directory_end
    }

    /// The number of bytes before the archive's own start: what CPython's `zipfile` calls
    /// `concat` and adds to every offset, and what miniz ignores.
    pub fn prefix_length(&self) -> u64 {
        self.prefix
    }

    /// The number of bytes behind the archive's comment.
    pub fn trailing_length(&self) -> u64 {
        let stop = self
            .end
            .offset
            .saturating_add(END_LENGTH)
            .saturating_add(u64::from(self.end.comment_length));
        self.bytes.length().saturating_sub(stop)
    }

    /// Where the archive lies: from its first local header, or its directory, to the end of
    /// its comment.
    pub fn extent(&self) -> Range<u64> {
        let headers = self.entries().map_while(Result::ok).map(|entry| entry.header_offset);
        let start = headers.fold(self.directory_start, u64::min);
        start..self.bytes.length().saturating_sub(self.trailing_length())
    }

    /// Whether a ZIP64 record describes the archive. PyTorch always writes one.
    pub fn is_zip64(&self) -> bool {
        matches!(self.end.zip64, Zip64::Found(_))
    }

    /// The entries in the order of the central directory. The first broken header is yielded
    /// as an error and ends the walk.
    pub fn entries(&self) -> Entries<'a> {
        Entries { archive: *self, next: self.directory_start, index: 0, done: false }
    }

    /// The first entry with exactly this name. When names repeat the archive is ambiguous, and
    /// [`Archive::audit`] says so.
    pub fn find(&self, name: &[u8]) -> Option<Entry<'a>> {
        self.entries().map_while(Result::ok).find(|entry| entry.name() == name)
    }

    /// The folder of the first entry, without its slash: what PyTorch takes as the archive's
    /// name and puts before every record that it looks up (`PyTorchStreamReader::init`).
    /// Nothing when the archive is empty or the first entry is in no folder.
    pub fn root(&self) -> Option<&'a [u8]> {
        let first = self.entries().next()?.ok()?.name();
        let slash = first.iter().position(|&byte| byte == b'/')?;
        first.get(..slash)
    }

    /// The entry whose header stands at `offset` in the central directory
    /// ([`CentralHeader::offset`]). Its [`Entry::index`] is 0.
    pub fn entry(&self, offset: u64) -> Result<Entry<'a>, ZipError> {
        if !self.directory().contains(&offset) {
            return Err(ZipError::new(ZipErrorKind::DirectoryOutside, offset));
        }
        self.entry_at(offset, 0)
    }

    #[inline]
    fn entry_at(&self, offset: u64, index: u32) -> Result<Entry<'a>, ZipError> {
        let central = CentralHeader::parse(self.bytes, offset, self.directory_end)?;
        Ok(Entry {
            bytes: self.bytes,
            index,
            central,
            header_offset: central.header_offset.saturating_add(self.prefix),
        })
    }
}

/// The entries of an archive, in the order of its central directory.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    archive: Archive<'a>,
    next: u64,
    index: u32,
    done: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ZipError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.next >= self.archive.directory_end {
            return None;
        }
        let entry = self.archive.entry_at(self.next, self.index);
        match entry {
            Ok(entry) => {
                self.next = entry.central.end();
                match self.index.checked_add(1) {
                    Some(index) => self.index = index,
                    None => self.done = true,
                }
            }
            Err(_) => self.done = true,
        }
        Some(entry)
    }
}

impl core::iter::FusedIterator for Entries<'_> {}
