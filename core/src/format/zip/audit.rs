//! The audit: every place in an archive where two readers could part ways.
//!
//! Three passes: the end record, each entry by itself, then all entries against each other,
//! sorted by offset (overlaps, gaps, local headers) and by name (duplicates). Work is
//! O(n log n) in the number of entries and linear in the bytes of their headers: a local header
//! that overlaps another entry is reported as such and not read, so no header is read twice.
//! Sorting needs memory, which the caller gives; too little of it is itself an anomaly.

use core::cmp::Ordering;
use core::ops::Range;

use super::anomaly::{Anomaly, AnomalyKind};
use super::descriptor::find_descriptor;
use super::extra::{ExtraFields, Numbers, Zip64Use, tag, zip64_agrees};
use super::header::{Entry, LocalHeader, flag};
use super::name::{Fault, digest, encoding_fault, folded, path_faults, sort_key, trimmed};
use super::{Archive, METHOD_DEFLATED, METHOD_STORED, ZipErrorKind};

/// Method 99 marks WinZip's AES encryption.
const METHOD_AES: u16 = 99;
/// The newest version that zipfile reads (`MAX_EXTRACT_VERSION`): APPNOTE 6.3.
const NEWEST_VERSION: u16 = 63;
/// `version made by` of Unix writers (APPNOTE 4.4.2.2).
const SYSTEM_UNIX: u16 = 3;
/// `version made by` of writers on macOS.
const SYSTEM_MACOS: u16 = 19;
/// One more than fits miniz's buffer for a name (`MZ_ZIP_MAX_ARCHIVE_FILENAME_SIZE`, with NUL).
const LONG_NAME: usize = 512;
/// Deflate's best: 258 bytes from two bits, 1032 to 1.
const DEFLATE_RATIO: u64 = 1032;
/// Zeros between entries pass as alignment up to this many bytes.
const PADDING: u64 = 65_536;

/// Memory for one entry while entries are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    key: u64,
    place: u32,
    index: u32,
}

/// What a first walk over the entries tells.
#[derive(Clone, Copy)]
struct Survey {
    /// How many can be read.
    entries: usize,
    /// Whether a name that needs it is marked as UTF-8.
    mixed: bool,
}

/// Where anomalies go.
pub(super) type Sink<'s, 'a> = &'s mut dyn FnMut(Anomaly<'a>);

impl<'a> Archive<'a> {
    /// Reports every anomaly of the archive to `sink`.
    ///
    /// `scratch` needs a [`Slot`] for each entry: [`Archive::entry_bound`] says how many can be
    /// there. With fewer than there are entries, [`AnomalyKind::ScratchExhausted`] is reported
    /// in place of everything that takes a comparison.
    pub fn audit(&self, scratch: &mut [Slot], sink: &mut dyn FnMut(Anomaly<'a>)) {
        self.audit_surveyed(self.survey(), scratch, sink);
    }

    /// [`Archive::audit`] with memory from the heap, never more than a third of the directory's
    /// own size; an allocation that fails is reported as [`AnomalyKind::ScratchExhausted`].
    #[cfg(feature = "alloc")]
    pub fn audit_alloc(&self, sink: &mut dyn FnMut(Anomaly<'a>)) {
        let survey = self.survey();
        let mut scratch = alloc::vec::Vec::new();
        if scratch.try_reserve_exact(survey.entries).is_ok() {
            scratch.resize(survey.entries, Slot::default());
        }
        self.audit_surveyed(survey, &mut scratch, sink);
    }

    fn audit_surveyed(&self, survey: Survey, scratch: &mut [Slot], sink: Sink<'_, 'a>) {
        self.audit_end(sink);
        if self.audit_entries(survey.mixed, scratch, sink)
            && let Some(slots) = scratch.get_mut(..survey.entries)
        {
            self.audit_extents(slots, sink);
            self.audit_names(slots, sink);
        }
    }

    /// What has to be known of all entries before the first one is audited.
    fn survey(&self) -> Survey {
        let mut survey = Survey { entries: 0, mixed: false };
        for entry in self.entries().map_while(Result::ok) {
            survey.entries = survey.entries.saturating_add(1);
            let marked = entry.central.flags & flag::UTF8 != 0;
            survey.mixed |= marked && !entry.central.name.is_ascii();
        }
        survey
    }

    /// Reports every entry that is not in the folder of the first one ([`Archive::root`]).
    /// For archives that claim to be PyTorch's; others may have as many folders as they like.
    pub fn audit_root(&self, sink: &mut dyn FnMut(Anomaly<'a>)) {
        let root = self.root();
        for entry in self.entries().map_while(Result::ok) {
            let inside = root.is_some_and(|root| {
                entry.name().strip_prefix(root).is_some_and(|rest| rest.starts_with(b"/"))
            });
            if !inside {
                sink(on(&entry, AnomalyKind::OutsideRoot, entry.central.offset));
            }
        }
    }

    /// Checks each entry by itself and fills the scratch memory; says whether it all fitted.
    fn audit_entries(&self, mixed: bool, scratch: &mut [Slot], sink: Sink<'_, 'a>) -> bool {
        let mut seen = 0_u64;
        let mut room = true;
        for entry in self.entries() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    sink(Anomaly {
                        kind: AnomalyKind::CentralHeader,
                        offset: error.offset,
                        entry: None,
                        name: b"",
                    });
                    break;
                }
            };
            seen = seen.saturating_add(1);
            audit_central(&entry, mixed, sink);
            let slot = usize::try_from(entry.index).ok().and_then(|index| scratch.get_mut(index));
            let place = entry.central.offset.saturating_sub(self.directory_start);
            match (slot, u32::try_from(place)) {
                (Some(slot), Ok(place)) => {
                    *slot = Slot { key: entry.header_offset, place, index: entry.index };
                }
                _ => room = false,
            }
        }
        let whole = |kind| Anomaly { kind, offset: self.end.offset, entry: None, name: b"" };
        if seen != self.declared_entries() {
            sink(whole(AnomalyKind::EntryCount));
        }
        if !room {
            sink(whole(AnomalyKind::ScratchExhausted));
        }
        room
    }

    fn entry_of(&self, slot: &Slot) -> Option<Entry<'a>> {
        self.entry_at(self.place_of(slot), slot.index).ok()
    }

    fn place_of(&self, slot: &Slot) -> u64 {
        self.directory_start.saturating_add(u64::from(slot.place))
    }

    /// The stored name of an entry, in constant time.
    fn name_of(&self, slot: &Slot) -> &'a [u8] {
        let header = self.place_of(slot);
        let name_length = self
            .bytes
            .slice(header, super::header::CENTRAL_LENGTH)
            .and_then(|fixed| super::bytes::u16_at(fixed, 28))
            .unwrap_or(0);
        let start = header.saturating_add(super::header::CENTRAL_LENGTH);
        self.bytes.slice(start, u64::from(name_length)).unwrap_or_default()
    }

    /// Walks the entries as they lie in the file.
    fn audit_extents(&self, slots: &mut [Slot], sink: Sink<'_, 'a>) {
        slots.sort_unstable_by_key(|slot| (slot.key, slot.index));
        let mut water = self.prefix;
        let mut nexts = slots.iter().skip(1).map(|slot| slot.key);
        for (position, slot) in slots.iter().enumerate() {
            let next = nexts.next().unwrap_or(self.directory_start);
            let Some(entry) = self.entry_of(slot) else {
                continue;
            };
            let start = entry.header_offset;
            if start < water {
                sink(on(&entry, AnomalyKind::Overlap, start));
                water = water.max(self.extent_end(&entry, next));
                continue;
            }
            self.audit_gap(water..start.min(self.directory_start), position == 0, sink);
            water = self.audit_local(&entry, next, sink).max(start);
            if water > self.directory_start {
                sink(on(&entry, AnomalyKind::OverlapsDirectory, start));
            }
        }
        self.audit_gap(water..self.directory_start, slots.is_empty(), sink);
    }

    /// Bytes that no entry covers. What stands before the first entry is never padding: a
    /// reader that starts at byte 0 looks there.
    fn audit_gap(&self, gap: Range<u64>, leading: bool, sink: Sink<'_, 'a>) {
        if gap.is_empty() {
            return;
        }
        let small = gap.end.saturating_sub(gap.start) <= PADDING;
        let padding = small
            && self.bytes.range(gap.clone()).is_some_and(|gap| gap.iter().all(|&byte| byte == 0));
        let kind = match (leading, padding) {
            (true, _) => AnomalyKind::PrefixData,
            (false, false) => AnomalyKind::HiddenData,
            (false, true) => return,
        };
        sink(Anomaly { kind, offset: gap.start, entry: None, name: b"" });
    }

    /// Where an entry's last byte is, without looking at its headers closely.
    fn extent_end(&self, entry: &Entry<'a>, next: u64) -> u64 {
        let Ok(local) = entry.local() else {
            return entry.header_offset;
        };
        let end = local.data_offset.saturating_add(entry.central.compressed_size);
        find_descriptor(self.bytes, entry, end, false, next).unwrap_or(end)
    }

    /// Compares an entry's local header with its central one and says where the entry ends.
    fn audit_local(&self, entry: &Entry<'a>, next: u64, sink: Sink<'_, 'a>) -> u64 {
        let local = match entry.local() {
            Ok(local) => local,
            Err(error) => {
                let kind = match error.kind {
                    ZipErrorKind::LocalSignature => AnomalyKind::LocalSignature,
                    _ => AnomalyKind::LocalTruncated,
                };
                sink(on(entry, kind, entry.header_offset));
                return entry.header_offset;
            }
        };
        let mut report = |kind| sink(on(entry, kind, local.offset));
        let central = &entry.central;
        if local.name != central.name {
            report(AnomalyKind::LocalName);
        }
        if (local.flags ^ central.flags) & flag::COMPARED != 0 {
            report(AnomalyKind::LocalFlags);
        }
        if local.flags & flag::SECRET != 0 && central.flags & flag::SECRET == 0 {
            report(AnomalyKind::Encrypted);
        }
        if local.flags & flag::PATCH != 0 && central.flags & flag::PATCH == 0 {
            report(AnomalyKind::PatchData);
        }
        if local.method != central.method {
            report(AnomalyKind::LocalMethod);
        }
        let streamed = local.flags & flag::DESCRIPTOR != 0;
        let numbers = Numbers {
            uncompressed: u64::from(local.uncompressed_size),
            compressed: u64::from(local.compressed_size),
            offset: 0,
            disk: 0,
        };
        let (numbers, zip64) = numbers.resolve(local.extra);
        // With bit 3 the header's numbers are zero (APPNOTE 4.4.4), or already the right ones.
        let same = |found: u64, truth: u64| found == truth || (streamed && found == 0);
        if !same(u64::from(local.crc), u64::from(central.crc)) {
            report(AnomalyKind::LocalCrc);
        }
        if zip64 == Zip64Use::Short {
            report(AnomalyKind::Zip64Missing);
        } else if !same(numbers.compressed, central.compressed_size)
            || !same(numbers.uncompressed, central.uncompressed_size)
        {
            report(AnomalyKind::LocalSize);
        }
        audit_extra(local.extra, local.name, central.numbers(), streamed, &mut report);

        let data_end = local.data_offset.saturating_add(central.compressed_size);
        if data_end > self.bytes.length() {
            report(AnomalyKind::LocalTruncated);
        }
        let wide = has_zip64(&local);
        let descriptor = (streamed || central.flags & flag::DESCRIPTOR != 0)
            .then(|| find_descriptor(self.bytes, entry, data_end, wide, next));
        if descriptor == Some(None) {
            report(AnomalyKind::DescriptorMissing);
        }
        descriptor.flatten().unwrap_or(data_end)
    }

    /// Finds names that some reader cannot tell apart.
    fn audit_names(&self, slots: &mut [Slot], sink: Sink<'_, 'a>) {
        if self.names_differ(slots) {
            return;
        }
        for slot in slots.iter_mut() {
            slot.key = sort_key(self.name_of(slot));
        }
        slots.sort_unstable_by(|left, right| {
            let names = || self.order(left, right);
            left.key.cmp(&right.key).then_with(names).then(left.index.cmp(&right.index))
        });
        for pair in slots.windows(2) {
            let [left, right] = pair else { continue };
            let (first, second) = (self.name_of(left), self.name_of(right));
            if left.key != right.key || !folded(first).eq(folded(second)) {
                continue;
            }
            let kind = if trimmed(first) == trimmed(second) {
                AnomalyKind::DuplicateName
            } else {
                AnomalyKind::CaseFoldedName
            };
            sink(Anomaly {
                kind,
                offset: self.place_of(right),
                entry: Some(right.index),
                name: second,
            });
        }
    }

    /// Whether all names are sure to be different however they are folded: so are their digests,
    /// and numbers sort many times faster than names that all start with the same folder.
    fn names_differ(&self, slots: &mut [Slot]) -> bool {
        for slot in slots.iter_mut() {
            slot.key = digest(self.name_of(slot));
        }
        slots.sort_unstable_by_key(|slot| slot.key);
        slots.windows(2).all(|pair| matches!(pair, [left, right] if left.key != right.key))
    }

    fn order(&self, left: &Slot, right: &Slot) -> Ordering {
        let (left, right) = (self.name_of(left), self.name_of(right));
        folded(left).cmp(folded(right)).then_with(|| trimmed(left).cmp(trimmed(right)))
    }
}

fn on<'a>(entry: &Entry<'a>, kind: AnomalyKind, offset: u64) -> Anomaly<'a> {
    Anomaly { kind, offset, entry: Some(entry.index), name: entry.central.name }
}

/// Checks what the central directory says of one entry. `mixed` tells whether some names of the
/// archive are marked as UTF-8.
fn audit_central<'a>(entry: &Entry<'a>, mixed: bool, sink: Sink<'_, 'a>) {
    let central = &entry.central;
    let mut report = |kind| sink(on(entry, kind, central.offset));
    for fault in path_faults(central.name) {
        report(fault.into());
    }
    if central.name.len() >= LONG_NAME {
        report(AnomalyKind::NameLong);
    }
    if let Some(fault) = encoding_fault(central.name, central.flags & flag::UTF8 != 0)
        && (fault != Fault::CodePage || mixed || !is_unmarked_utf8(entry))
    {
        report(fault.into());
    }
    match central.external_attributes >> 28 {
        0xA => report(AnomalyKind::SymbolicLink),
        // S_IFCHR, S_IFBLK, S_IFSOCK. Not S_IFIFO: Info-ZIP's `zip` marks what it read from its
        // standard input so, and no reader makes a pipe of it.
        0x2 | 0x6 | 0xC => report(AnomalyKind::SpecialFile),
        _ => {}
    }
    let encrypted = central.flags & flag::SECRET != 0 || central.method == METHOD_AES;
    if encrypted {
        report(AnomalyKind::Encrypted);
    }
    if central.flags & flag::PATCH != 0 {
        report(AnomalyKind::PatchData);
    }
    let deflate_most = central.compressed_size.saturating_mul(DEFLATE_RATIO);
    match central.method {
        METHOD_STORED if central.compressed_size == central.uncompressed_size || encrypted => {}
        METHOD_STORED => report(AnomalyKind::StoredSize),
        METHOD_DEFLATED if central.uncompressed_size > deflate_most => {
            report(AnomalyKind::ImpossibleRatio);
        }
        METHOD_DEFLATED | METHOD_AES => {}
        _ => report(AnomalyKind::UnsupportedMethod),
    }
    if central.version_needed & 0xFF > NEWEST_VERSION {
        report(AnomalyKind::UnsupportedVersion);
    }
    if central.disk != 0 {
        report(AnomalyKind::MultiDisk);
    }
    if entry.is_folder() && central.uncompressed_size != 0 {
        report(AnomalyKind::FolderWithData);
    }
    // miniz goes by the MS-DOS attribute as well (`mz_zip_reader_is_file_a_directory`) and then
    // extracts nothing, successfully.
    let folder = central.external_attributes & 0x10 != 0 || central.external_attributes >> 28 == 4;
    if folder && !entry.is_folder() && central.uncompressed_size != 0 {
        report(AnomalyKind::FolderAttribute);
    }
    if central.zip64 == Zip64Use::Short {
        report(AnomalyKind::Zip64Missing);
    }
    audit_extra(central.extra, central.name, central.numbers(), false, &mut report);
}

/// Whether a name without the UTF-8 bit is UTF-8 all the same. Info-ZIP's `zip` on Unix leaves
/// the bit out, with or without a Unicode path field that repeats the name. zipfile then reads
/// code page 437, which gives each entry an odd name but no two entries the same one, unless
/// other names are read as UTF-8 (`mixed`): then one can be made to look like another.
fn is_unmarked_utf8(entry: &Entry<'_>) -> bool {
    let central = &entry.central;
    let unix = matches!(central.version_made_by >> 8, SYSTEM_UNIX | SYSTEM_MACOS);
    let repeated = || {
        central.extra_fields().any(|field| {
            field.tag == tag::UNICODE_PATH && field.data.get(5..) == Some(central.name)
        })
    };
    core::str::from_utf8(central.name).is_ok() && (unix || repeated())
}

/// Checks the extra field of one header against the entry's numbers and that header's name.
fn audit_extra(
    extra: &[u8],
    name: &[u8],
    truth: Numbers,
    streamed: bool,
    report: &mut dyn FnMut(AnomalyKind),
) {
    let mut fields = ExtraFields::new(extra);
    let mut zip64 = false;
    for field in fields.by_ref() {
        match field.tag {
            tag::ZIP64 => {
                if zip64 {
                    report(AnomalyKind::Zip64Twice);
                }
                zip64 = true;
                if !zip64_agrees(field.data, truth, streamed) {
                    report(AnomalyKind::Zip64Extra);
                }
            }
            // Version, CRC of the name that it replaces, then the name. A reader may skip the
            // CRC, so a stale field that names another file counts as well.
            tag::UNICODE_PATH if field.data.get(5..) != Some(name) => {
                report(AnomalyKind::UnicodePath);
            }
            tag::AES | tag::STRONG_ENCRYPTION => report(AnomalyKind::Encrypted),
            _ => {}
        }
    }
    // Up to three zeros are alignment: too short for a block, and zipfile skips them.
    let rest = fields.rest();
    if rest.len() > 3 || rest.iter().any(|&byte| byte != 0) {
        report(AnomalyKind::ExtraTruncated);
    }
}

fn has_zip64(local: &LocalHeader<'_>) -> bool {
    local.extra_fields().any(|field| field.tag == tag::ZIP64)
}
