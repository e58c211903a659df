//! The audit of an archive's end: end records, ZIP64 records, and where they put the directory.

use super::anomaly::{Anomaly, AnomalyKind};
use super::audit::Sink;
use super::bytes::length;
use super::end::{
    END_LENGTH, End, LOCATOR_LENGTH, RECORD_LENGTH, RECORD_SIZE, Record, Zip64, candidates,
};
use super::{Archive, Placement};

impl<'a> Archive<'a> {
    pub(super) fn audit_end(&self, sink: Sink<'_, 'a>) {
        let end = &self.end;
        let whole = |kind, offset| Anomaly { kind, offset, entry: None, name: b"" };
        if let Some(offset) = candidates(self.bytes)
            .filter(|&offset| offset != end.offset)
            .find(|&offset| self.could_be_end(offset))
        {
            sink(whole(AnomalyKind::EndRecordAgain, offset));
        }
        let after = end.offset.saturating_add(END_LENGTH);
        let stop = after.saturating_add(u64::from(end.comment_length));
        if length(end.comment) < u64::from(end.comment_length) {
            sink(whole(AnomalyKind::CommentTruncated, after));
        }
        if self.trailing_length() > 0 {
            sink(whole(AnomalyKind::TrailingData, stop));
        }
        if self.prefix > 0 {
            sink(whole(AnomalyKind::PrefixData, 0));
        }
        if self.placement == Placement::Apart {
            sink(whole(AnomalyKind::DirectoryApart, self.directory_start));
        }
        if self.directory_end.saturating_sub(self.directory_start) > u64::from(u32::MAX) {
            sink(whole(AnomalyKind::DirectoryTooLarge, self.directory_start));
        }
        match end.zip64 {
            Zip64::Absent => {
                if end.disk != 0 || end.directory_disk != 0 || end.entries_here != end.entries {
                    sink(whole(AnomalyKind::MultiDisk, end.offset));
                }
                if end.directory_size == u32::MAX || end.directory_offset == u32::MAX {
                    sink(whole(AnomalyKind::Zip64Missing, end.offset));
                }
            }
            Zip64::Lost { locator } => sink(whole(AnomalyKind::Zip64Lost, locator)),
            Zip64::Found(record) => {
                if !record.in_place(end.offset, self.prefix) {
                    sink(whole(AnomalyKind::Zip64Place, record.offset));
                }
                if !record.on_one_disk() {
                    sink(whole(AnomalyKind::MultiDisk, record.offset));
                }
                if !record.agrees(end) {
                    sink(whole(AnomalyKind::Zip64Fields, end.offset));
                }
            }
        }
    }

    /// Whether another signature in the tail is an end record to somebody: it comes after ours
    /// (zipfile takes the last signature even without room behind it), or its comment reaches
    /// exactly to the end of the file, or the directory that it describes ends at it. A stored
    /// archive inside this one does the last, and is told apart by lying in an entry: its
    /// offsets count from its own start, not from the file's.
    fn could_be_end(&self, offset: u64) -> bool {
        if offset > self.end.offset {
            return true;
        }
        let Some(other) = End::parse(self.bytes, offset) else {
            return false;
        };
        let stop =
            offset.saturating_add(END_LENGTH).saturating_add(u64::from(other.comment_length));
        let reaches_end = stop == self.bytes.length();
        let describes = other.start().checked_add(other.size()) == Some(other.directory_limit())
            && other.size() > 0;
        reaches_end || describes
    }
}

impl Record {
    /// The record ends where its locator starts, the locator where the end record starts, and
    /// the locator points at the record.
    fn in_place(&self, end: u64, prefix: u64) -> bool {
        self.declared_offset.checked_add(prefix) == Some(self.offset)
            && self.offset.checked_add(RECORD_LENGTH) == Some(self.locator)
            && self.locator.checked_add(LOCATOR_LENGTH) == Some(end)
            && self.size == RECORD_SIZE
    }

    fn on_one_disk(&self) -> bool {
        self.disk == 0
            && self.directory_disk == 0
            && self.locator_disk == 0
            // zipfile lets 0 pass, miniz does not.
            && self.locator_disks == 1
            && self.entries_here == self.entries
    }

    /// Each 32-bit field repeats the record's number or says to look there. PyTorch's writer
    /// repeats, most others refer.
    fn agrees(&self, end: &End<'_>) -> bool {
        let narrow = |field: u16, wide: u64| field == u16::MAX || u64::from(field) == wide;
        let medium = |field: u32, wide: u64| field == u32::MAX || u64::from(field) == wide;
        // APPNOTE 4.4.19 would let disk numbers refer as well; no writer does, and the `zip`
        // crate does not follow.
        u32::from(end.disk) == self.disk
            && u32::from(end.directory_disk) == self.directory_disk
            && end.entries_here == end.entries
            && narrow(end.entries, self.entries)
            && medium(end.directory_size, self.directory_size)
            && medium(end.directory_offset, self.directory_offset)
    }
}
