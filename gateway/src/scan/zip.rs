//! Judging ZIP archives: the directory, the two readers' views, and each member.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read, Seek};
use std::ops::Range;

use flate2::bufread::DeflateDecoder;
use secure_torch_core::format::detect::{Format, signature};
use secure_torch_core::format::torch_zip::{Layout, Role};
use secure_torch_core::format::zip::{AnomalyKind, Archive, Entry, METHOD_DEFLATED, METHOD_STORED};
use secure_torch_core::score::Rule;

use super::asked::Asked;
use super::probe::Names;
use super::view::View;
use super::{Context, Judge, Unknown, is_judged, member_path};
use crate::source::pieces::{self, Pieces};
use crate::text::{printable_bytes, shown};

/// First bytes of containers that no tensor starts with by chance.
const CONTAINERS: [&[u8]; 8] = [
    b"PK\x03\x04",
    &super::sevenz::SIGNATURE,
    b"Rar!\x1a\x07",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"\x1f\x8b\x08",
    b"BZh9",
];

impl Judge<'_> {
    /// Judges an archive; the format that it turns out to be. `behind` says that bytes stand before
    /// it by design, as a TensorFlow Lite model does before its files; no other loader's layout
    /// may stand there, and offsets count from the start of the part, so that all readers agree.
    pub(super) fn zip(
        &mut self,
        archive: &Archive<'_>,
        context: &Context<'_>,
        behind: bool,
    ) -> Format {
        let directory = archive.directory();
        self.tally.examine(directory.end.saturating_sub(directory.start));
        let limit = u64::from(self.policy.limits.archive.entries);
        if archive.entry_bound() > limit && archive.entries().count() as u64 > limit {
            let why = "the archive has more members than the limit; they could not be judged";
            self.tally.find(Rule::ArchiveBomb, context.path, Some(directory.start), "", why);
            return Format::Zip;
        }
        let view = self.view_of(archive, context);
        let layout = view.layout;
        let behind = behind && layout.is_none() && !view.is_torch() && archive.prefix_length() == 0;
        let own: Vec<&str> = view.own.iter().map(String::as_str).collect();
        let context = &Context { own: &own, ..*context };
        let tally = &mut self.tally;
        archive.audit_alloc(&mut |anomaly| {
            if behind && anomaly.kind == AnomalyKind::PrefixData {
                return;
            }
            let name = printable_bytes(anomaly.name);
            let rule = anomaly.kind.rule();
            tally.find(rule, context.path, Some(anomaly.offset), &name, anomaly.kind.message());
        });
        if layout.is_some() || view.is_torch() {
            archive.audit_root(&mut |anomaly| {
                let name = printable_bytes(anomaly.name);
                let rule = anomaly.kind.rule();
                tally.find(rule, context.path, Some(anomaly.offset), &name, anomaly.kind.message());
            });
        }
        self.compare_readers(archive, context);
        if let Some(Layout { code: true, .. }) = layout {
            let why = "the archive carries code that runs when the model runs";
            self.tally.find(Rule::TorchscriptCode, context.path, None, "", why);
        }
        let mut storages = Storages::default();
        let mut places = Places::default();
        let mut judged = false;
        for entry in archive.entries().map_while(Result::ok) {
            if self.pieces.is_some_and(Pieces::has_failed) {
                break;
            }
            // Entries that share bytes are an anomaly; judging the bytes again would double the
            // work with each level of such archives in one another.
            if entry.data_range().is_ok_and(|range| places.insert(range)) {
                judged |= self.member(&entry, &view, context, &mut storages);
            }
        }
        if layout.is_none() && !judged && !behind {
            let why = "the archive holds nothing that can be judged as a model";
            self.tally.find(Rule::FormatUnknown, context.path, None, "", why);
        }
        if let Some(layout) = &layout {
            self.check_records(archive, layout, &storages);
        }
        if storages.count > 0 {
            let plural = if storages.count == 1 { "" } else { "s" };
            self.tally.note(format!(
                "of {} bytes of tensor data in {} storage{plural}, only each one's start was examined",
                storages.bytes, storages.count
            ));
        }
        match layout {
            Some(Layout { torchscript: true, .. }) => Format::TorchScript,
            Some(_) => Format::PytorchZip,
            None => view.kind.unwrap_or(Format::Zip),
        }
    }

    /// Judges a member; whether a reader accepted it.
    fn member(
        &mut self,
        entry: &Entry<'_>,
        view: &View<'_>,
        context: &Context<'_>,
        storages: &mut Storages,
    ) -> bool {
        // The local header, which the directory's entry leads to.
        self.tally.examine(30);
        if entry.is_folder() && entry.central.uncompressed_size == 0 {
            return false;
        }
        let name = shown(entry.name());
        let path = member_path(context.path, &name);
        let role = view.role(entry.name());
        let Some(mut content) = self.content(entry, role, &path) else { return false };
        if role == Role::Storage && !self.is_suspicious(&content) {
            // Of what fits into the first bytes, all is there to be checked.
            self.check_crc(entry, &content, &path);
            storages.count += 1;
            storages.bytes = storages.bytes.saturating_add(entry.central.uncompressed_size);
            return false;
        }
        if role == Role::Storage && entry.is_stored() {
            // What does not look like raw numbers is read whole.
            content = self.data(entry, u64::MAX).unwrap_or_default();
        }
        if !matches!(role, Role::Storage) || entry.is_stored() {
            self.check_crc(entry, &content, &path);
        }
        let passes = view.layout.is_some() || view.is_torch();
        let inner = Context {
            path: &path,
            name: &name,
            depth: context.depth + 1,
            ids: view.ids(),
            torchscript: view.layout.is_some_and(|layout| layout.own_names),
            script: view.script(entry.name()),
            unknown: if passes { Unknown::Passes } else { Unknown::Blocks },
            ..*context
        };
        let model = self.records_of_kind(entry, view, &content, &inner);
        self.records = Asked::default();
        let formats = self.part(&content, &inner);
        // The program of an archive that is made to carry one is judged as such.
        let program = view.kind.is_some() && formats.contains(&Format::Python);
        let judged = model || program || formats.iter().any(|&format| is_judged(format));
        let object = |layout: Layout<'_>| !layout.torchscript && layout.is_object(entry.name());
        if view.layout.is_some_and(object) {
            storages.asked = std::mem::take(&mut self.records);
            storages.asked_by = path.into_owned();
        }
        judged
    }

    /// A member's content, unpacked; of a stored storage only the first bytes.
    pub(super) fn content<'a>(
        &mut self,
        entry: &Entry<'a>,
        role: Role,
        path: &str,
    ) -> Option<Cow<'a, [u8]>> {
        match entry.central.method {
            METHOD_STORED if role == Role::Storage => {
                let head = self.data(entry, self.policy.limits.archive.sniff_bytes.into())?;
                self.tally.examine(head.len() as u64);
                Some(head)
            }
            METHOD_STORED => self.data(entry, u64::MAX),
            METHOD_DEFLATED => {
                let data = self.data(entry, u64::MAX)?;
                self.inflate(entry, &data, path).map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// A member's bytes as they stand in the archive: the first `most` of them. Those of an archive
    /// that is read in pieces are read here, and let go again with what they were read for.
    fn data<'a>(&self, entry: &Entry<'a>, most: u64) -> Option<Cow<'a, [u8]>> {
        // A broken header is an anomaly that the directory's audit has reported.
        let place = entry.data_range().ok()?;
        let length = most.min(place.end.saturating_sub(place.start));
        if let Some(pieces) = self.pieces.filter(|_| !entry.is_held()) {
            return pieces.read(place.start, length).map(Cow::Owned);
        }
        let data = entry.data().ok()?;
        Some(Cow::Borrowed(data.get(..usize::try_from(length).ok()?)?))
    }

    fn inflate(&mut self, entry: &Entry<'_>, data: &[u8], path: &str) -> Option<Vec<u8>> {
        let mut decoder = DeflateDecoder::new(data);
        let offset = Some(entry.header_offset);
        self.tally.examine(data.len() as u64);
        let most = self.allowance(data.len());
        let (content, error) = self.unpack(&mut decoder, most, path, entry.header_offset)?;
        if let Some(error) = error {
            self.cannot_unpack(&error, path, entry.header_offset);
        } else if content.len() as u64 != entry.central.uncompressed_size {
            let why = format!(
                "the member unpacks to {} bytes, and the directory says {}",
                content.len(),
                entry.central.uncompressed_size
            );
            self.tally.find(Rule::ArchiveCorrupt, path, offset, "", why);
        } else if decoder.total_in() != data.len() as u64 {
            // miniz refuses such a member, `zipfile` reads it.
            let why = format!(
                "the compressed data ends after {} of {} bytes",
                decoder.total_in(),
                data.len()
            );
            self.tally.find(Rule::ArchiveAmbiguous, path, offset, "", why);
        }
        Some(content)
    }

    /// Each storage that a pickle of the archive asks for must have a record of its size: readers
    /// have believed the pickle where the record was shorter (CVE-2026-24747).
    fn check_records(&mut self, archive: &Archive<'_>, layout: &Layout<'_>, storages: &Storages) {
        if storages.asked.is_empty() {
            return;
        }
        let records = archive.entries().map_while(Result::ok).filter_map(|entry| {
            Some((layout.storage_key(entry.name())?, entry.central.uncompressed_size))
        });
        let tally = &mut self.tally;
        storages.asked.missing(records, &mut |key, bytes, there| {
            let why = match there {
                None => "a pickle asks for a storage that the archive does not hold".to_owned(),
                Some(there) => format!(
                    "a pickle says that a storage takes {bytes} bytes, and its record holds {there}"
                ),
            };
            tally.find(Rule::ArchiveCorrupt, &storages.asked_by, None, key, why);
        });
    }

    /// Whether a storage's first bytes are anything but numbers.
    fn is_suspicious(&mut self, head: &[u8]) -> bool {
        let native = signature(head).is_some_and(|signature| signature.native);
        let container = CONTAINERS.iter().any(|magic| head.starts_with(magic));
        native || container || self.would_import(head, Names::Numbers)
    }

    fn check_crc(&mut self, entry: &Entry<'_>, content: &[u8], path: &str) {
        if content.len() as u64 != entry.central.uncompressed_size {
            return;
        }
        let seen = crc32fast::hash(content);
        if seen != entry.central.crc {
            let why = format!(
                "the content's CRC-32 is {seen:08x} and the directory says {:08x}; PyTorch loads it, other readers refuse (CVE-2025-10156)",
                entry.central.crc
            );
            self.tally.find(Rule::ArchiveCorrupt, path, Some(entry.header_offset), "", why);
        }
    }

    /// Our view of the archive and that of the `zip` crate must be the same.
    fn compare_readers(&mut self, archive: &Archive<'_>, context: &Context<'_>) {
        let why = match (archive.bytes(), self.pieces) {
            (Some(bytes), _) => objection(archive, Cursor::new(bytes)),
            (None, Some(pieces)) => objection(archive, pieces::Cursor::new(pieces)),
            (None, None) => None,
        };
        if let Some(why) = why {
            self.tally.find(Rule::ArchiveAmbiguous, context.path, None, "second reader", why);
        }
    }
}

/// What another reader has to say against our view of the archive that `bytes` are.
fn objection(archive: &Archive<'_>, bytes: impl Read + Seek) -> Option<String> {
    match zip::ZipArchive::new(bytes) {
        Ok(mut other) => difference(archive, &mut other),
        Err(error) => Some(format!("a second reader refuses the archive: {error}")),
    }
}

/// What another reader sees that the directory does not say, or the other way round.
fn difference<R: Read + Seek>(
    archive: &Archive<'_>,
    other: &mut zip::ZipArchive<R>,
) -> Option<String> {
    if sees_the_same(archive, other) {
        return None;
    }
    let ours: Vec<Entry<'_>> = archive.entries().map_while(Result::ok).collect();
    if other.len() != ours.len() {
        return Some(format!(
            "a second reader sees {} members, and the directory has {}",
            other.len(),
            ours.len()
        ));
    }
    let mut by_place: HashMap<u64, &Entry<'_>> =
        ours.iter().map(|entry| (entry.header_offset, entry)).collect();
    (0..other.len()).find_map(|index| match other.by_index_raw(index) {
        Err(error) => Some(format!("a second reader cannot open a member: {error}")),
        Ok(file) => {
            let entry = by_place.remove(&file.header_start());
            let same = entry.is_some_and(|entry| is_same(&file, entry));
            (!same).then(|| "a second reader sees another member here".to_owned())
        }
    })
}

/// Whether another reader's members come in the directory's order, each at a place behind that of
/// the one before it, and are the same: with writers' own archives there is nothing to look up.
fn sees_the_same<R: Read + Seek>(archive: &Archive<'_>, other: &mut zip::ZipArchive<R>) -> bool {
    let (mut count, mut next) = (0, 0);
    for entry in archive.entries().map_while(Result::ok) {
        let Ok(file) = other.by_index_raw(count) else { return false };
        let place = entry.header_offset;
        if place < next || file.header_start() != place || !is_same(&file, &entry) {
            return false;
        }
        (count, next) = (count + 1, place.saturating_add(1));
    }
    count == other.len()
}

fn is_same<R: Read>(file: &zip::read::ZipFile<'_, R>, entry: &Entry<'_>) -> bool {
    file.name_raw() == entry.name()
        && file.size() == entry.central.uncompressed_size
        && file.compressed_size() == entry.central.compressed_size
        && file.crc32() == entry.central.crc
        && file.data_start() == entry.data_range().ok().map(|range| range.start)
}

/// Ranges of bytes that do not meet.
#[derive(Default)]
struct Places {
    /// Where those that came in order lie; nothing once one did not.
    ordered: Vec<(u64, u64)>,
    /// Where all lie from then on.
    any: BTreeMap<u64, u64>,
}

impl Places {
    /// Adds a range, unless it meets one that is there.
    fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return true;
        }
        if self.any.is_empty() {
            if self.ordered.last().is_none_or(|&(_, end)| end <= range.start) {
                self.ordered.push((range.start, range.end));
                return true;
            }
            self.any.extend(std::mem::take(&mut self.ordered));
        }
        let before = self.any.range(..range.end).next_back();
        if before.is_none_or(|(_, &end)| end <= range.start) {
            self.any.insert(range.start, range.end);
            return true;
        }
        false
    }
}

#[derive(Default)]
struct Storages {
    count: u64,
    bytes: u64,
    /// What the object's pickle asks for.
    asked: Asked,
    asked_by: String,
}
