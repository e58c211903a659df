//! The audit of a tar archive: what two readers would see differently.
//!
//! What concerns one member is noted while it is read; this module adds names that repeat and
//! what lies behind the end. Work is O(n log n) in the number of members and linear in headers.

use super::super::zip::name::{Fault, path_faults};
use super::header::{BLOCK, Header, Name, block_at};
use super::{Archive, Member, TarErrorKind, length, slice};

/// Zeros behind the end of an archive are read up to here: the largest record that GNU tar
/// writes with its usual options is far smaller.
const TAIL: u64 = 1 << 20;

/// One place in an archive where readers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly<'a> {
    /// What is odd.
    pub kind: AnomalyKind,
    /// Where, counted from the start of the file.
    pub offset: u64,
    /// Which member, by its place in the archive; none for the archive as a whole.
    pub member: Option<u32>,
    /// That member's name; empty for the archive as a whole.
    pub name: Name<'a>,
}

anomaly_kinds! {
    /// What can be odd about a tar archive.
    pub enum AnomalyKind;
    Truncated, ArchiveCorrupt, "truncated",
        "the archive ends inside a member: tarfile silently drops it, others refuse";
    Checksum, ArchiveCorrupt, "checksum",
        "a header has a wrong checksum: tarfile silently ends there, others skip to the next good one";
    Number, ArchiveCorrupt, "number",
        "a number field holds no number, or a negative size: tarfile ends there or loops, others read on";
    Extension, ArchiveCorrupt, "extension",
        "an extension header is too long or describes no member";
    PaxRecord, ArchiveAmbiguous, "pax-record",
        "a pax header does not parse to its end or repeats a keyword: readers stop at different records";
    PaxSize, ArchiveAmbiguous, "pax-size",
        "a pax header gives another size than the member's own header: a reader that skips by the wrong one finds other members in the data (CVE-2025-62518)";
    GlobalOverride, ArchiveAmbiguous, "global-override",
        "a global pax header sets a name or size for every member: tarfile applies it without moving on accordingly, others ignore it";
    MixedExtensions, ArchiveAmbiguous, "mixed-extensions",
        "a member has several extension headers of one sort, or both pax and GNU ones: readers prefer different ones";
    LongNameSize, ArchiveAmbiguous, "long-name-size",
        "a GNU long name runs on behind its size: tarfile reads to the first NUL, others to the size";
    NamesDisagree, ArchiveAmbiguous, "names-disagree",
        "an extension header renames a member whose header would have had room for the name: readers without the extension see the other";
    PrefixWithoutUstar, ArchiveAmbiguous, "prefix-without-ustar",
        "a header that is not ustar has a name prefix: tarfile joins it to the name, others do not";
    SizeWithoutData, ArchiveAmbiguous, "size-without-data",
        "a member that has no content has a size: tarfile does not skip it, others do, and find other members";
    FolderWithData, ArchiveAmbiguous, "folder-with-data",
        "a member is a file by its type and a folder by its name, and has content, which some readers drop and others read";
    Sparse, ArchiveAmbiguous, "sparse",
        "a member is sparse: readers differ in its size, its name and where it ends";
    UnknownType, ArchiveAmbiguous, "unknown-type",
        "a member has a type that readers do not agree on: tarfile reads it as a file";
    Link, ArchiveTraversal, "link",
        "a member is a link: its content is somewhere else";
    SpecialFile, ArchiveTraversal, "special-file",
        "a member is a device or a pipe";
    DuplicateName, ArchiveAmbiguous, "duplicate-name",
        "two members have the same name: tarfile opens the last, a reader from the front the first";
    NameFolded, ArchiveAmbiguous, "case-folded-name",
        "two members have names that differ only in ASCII case: file systems that fold case keep one of them";
    EndMissing, ArchiveCorrupt, "end-missing",
        "the archive does not end in two blocks of zeros";
    TrailingData, ArchiveAmbiguous, "trailing-data",
        "something other than zeros follows the end of the archive: tarfile stops before it, readers that ignore zeros see more members";
    ScratchExhausted, ArchiveBomb, "scratch-exhausted",
        "there are more members than the memory given for comparing them";
    NameEmpty, ArchiveAmbiguous, "name-empty",
        "a member has no name";
    NameNul, ArchiveAmbiguous, "name-nul",
        "a name holds a NUL: some readers cut it there, others do not";
    NameControl, ArchiveAmbiguous, "name-control",
        "a name holds control characters: what people and logs see is not what readers open";
    NameBackslash, ArchiveAmbiguous, "name-backslash",
        "a name holds a backslash: a folder separator for some readers, a letter for others";
    NameDot, ArchiveAmbiguous, "name-dot",
        "a name has an empty or `.` component: readers that normalise paths look up another name";
    NameAbsolute, ArchiveTraversal, "name-absolute",
        "a name is an absolute path";
    NameDrive, ArchiveTraversal, "name-drive",
        "a name starts with a drive letter";
    NameParent, ArchiveTraversal, "name-parent",
        "a name has a `..` component";
}

/// A set of [`AnomalyKind`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Faults(u64);

impl Faults {
    fn bit(kind: AnomalyKind) -> u64 {
        let at = AnomalyKind::ALL.iter().position(|&other| other == kind);
        at.and_then(|at| u32::try_from(at).ok()).and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
    }

    pub(super) fn add(&mut self, kind: AnomalyKind) {
        self.0 |= Self::bit(kind);
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn kinds(self) -> impl Iterator<Item = AnomalyKind> {
        AnomalyKind::ALL.iter().copied().filter(move |&kind| self.0 & Self::bit(kind) != 0)
    }
}

/// Memory for one member while members are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    key: u64,
    header: u64,
    path: u64,
    path_length: u32,
    index: u32,
}

type Sink<'s, 'a> = &'s mut dyn FnMut(Anomaly<'a>);

const NAMELESS: Name<'static> = Name { prefix: b"", rest: b"" };

impl<'a> Archive<'a> {
    /// Reports every anomaly of the archive to `sink`.
    ///
    /// `scratch` needs a [`Slot`] for each member. With fewer than there are members,
    /// [`AnomalyKind::ScratchExhausted`] is reported in place of repeated names.
    pub fn audit(&self, scratch: &mut [Slot], sink: &mut dyn FnMut(Anomaly<'a>)) {
        let mut members = self.members();
        let mut count = 0_usize;
        let mut broken = false;
        for member in members.by_ref() {
            match member {
                Ok(member) => {
                    audit_member(&member, sink);
                    if let Some(slot) = scratch.get_mut(count) {
                        *slot = self.slot(&member);
                    }
                    count = count.saturating_add(1);
                }
                Err(error) => {
                    broken = true;
                    let kind = match error.kind {
                        TarErrorKind::Truncated => AnomalyKind::Truncated,
                        TarErrorKind::Checksum => AnomalyKind::Checksum,
                        TarErrorKind::Number | TarErrorKind::NegativeSize => AnomalyKind::Number,
                        TarErrorKind::ExtensionTooLong | TarErrorKind::ExtensionAlone => {
                            AnomalyKind::Extension
                        }
                    };
                    sink(whole(kind, error.offset));
                }
            }
        }
        if !broken {
            self.audit_tail(members.offset(), sink);
        }
        match scratch.get_mut(..count) {
            Some(slots) => self.audit_names(slots, sink),
            None => sink(whole(AnomalyKind::ScratchExhausted, members.offset())),
        }
    }

    /// [`Archive::audit`] with memory from the heap, never more than a sixteenth of the file.
    #[cfg(feature = "alloc")]
    pub fn audit_alloc(&self, sink: &mut dyn FnMut(Anomaly<'a>)) {
        let mut scratch = alloc::vec::Vec::new();
        let count = self.members().map_while(Result::ok).count();
        if scratch.try_reserve_exact(count).is_ok() {
            scratch.resize(count, Slot::default());
        }
        self.audit(&mut scratch, sink);
    }

    /// What follows the last member: two blocks of zeros, then zeros to fill a record.
    fn audit_tail(&self, end: u64, sink: Sink<'_, 'a>) {
        let rest = length(self.bytes).saturating_sub(end);
        if rest < BLOCK.saturating_mul(2) {
            sink(whole(AnomalyKind::EndMissing, end));
        }
        let zeros = rest <= TAIL
            && slice(self.bytes, end, rest).is_some_and(|tail| tail.iter().all(|&byte| byte == 0));
        if !zeros {
            sink(whole(AnomalyKind::TrailingData, end));
        }
    }

    fn slot(&self, member: &Member<'a>) -> Slot {
        let mut slot = Slot {
            key: 0,
            header: member.header_offset,
            path: 0,
            path_length: 0,
            index: member.index,
        };
        // A name from an extension header lies before the member's own header, in one piece.
        if let Some(name) = member.name.whole()
            && let Some(place) = self.offset_of(name).filter(|&place| place < member.header_offset)
            && let Ok(length) = u32::try_from(name.len())
        {
            slot.path = place;
            slot.path_length = length;
        }
        slot.key = sort_key(&member.name);
        slot
    }

    /// Where a slice of the file lies in the file.
    fn offset_of(&self, part: &[u8]) -> Option<u64> {
        let start = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        u64::try_from(start).ok()
    }

    fn name_of(&self, slot: &Slot) -> Name<'a> {
        if slot.path_length > 0 {
            let path = slice(self.bytes, slot.path, u64::from(slot.path_length));
            return Name { prefix: b"", rest: path.unwrap_or_default() };
        }
        block_at(self.bytes, slot.header).map_or(NAMELESS, |block| {
            let header = Header::unchecked(block, slot.header);
            header.name(&super::Extensions::default(), &mut Faults::default())
        })
    }

    fn audit_names(&self, slots: &mut [Slot], sink: Sink<'_, 'a>) {
        slots.sort_unstable_by(|left, right| {
            left.key
                .cmp(&right.key)
                .then_with(|| {
                    let (left, right) = (self.name_of(left), self.name_of(right));
                    folded(&left)
                        .cmp(folded(&right))
                        .then_with(|| trimmed(&left).cmp(trimmed(&right)))
                })
                .then(left.index.cmp(&right.index))
        });
        for pair in slots.windows(2) {
            let [left, right] = pair else { continue };
            if left.key != right.key {
                continue;
            }
            let (first, second) = (self.name_of(left), self.name_of(right));
            if !folded(&first).eq(folded(&second)) {
                continue;
            }
            let kind = if trimmed(&first).eq(trimmed(&second)) {
                AnomalyKind::DuplicateName
            } else {
                AnomalyKind::NameFolded
            };
            sink(Anomaly { kind, offset: right.header, member: Some(right.index), name: second });
        }
    }
}

fn whole(kind: AnomalyKind, offset: u64) -> Anomaly<'static> {
    Anomaly { kind, offset, member: None, name: NAMELESS }
}

fn audit_member<'a>(member: &Member<'a>, sink: Sink<'_, 'a>) {
    let mut report = |kind| {
        sink(Anomaly {
            kind,
            offset: member.header_offset,
            member: Some(member.index),
            name: member.name,
        });
    };
    for kind in member.faults.kinds() {
        report(kind);
    }
    match member.typeflag {
        0 | b'0' | b'5' | b'S' => {}
        b'1' | b'2' => report(AnomalyKind::Link),
        b'3' | b'4' | b'6' => report(AnomalyKind::SpecialFile),
        _ => report(AnomalyKind::UnknownType),
    }
    // A split name is judged in its two halves: the slash between them is a good one. `tar cf
    // x.tar .` names the folder itself `./` and everything else behind it.
    let name = undotted(&member.name);
    let halves = [name.prefix, name.rest];
    if member.is_folder() && name.whole() == Some(b".") {
        return;
    }
    let split = member.name.whole().is_none();
    let mut seen = Faults::default();
    for (at, half) in halves.into_iter().enumerate() {
        if at == 0 && !split {
            continue;
        }
        for fault in path_faults(half) {
            let kind = match fault {
                Fault::Empty => AnomalyKind::NameEmpty,
                Fault::Nul => AnomalyKind::NameNul,
                Fault::Control => AnomalyKind::NameControl,
                Fault::Backslash => AnomalyKind::NameBackslash,
                Fault::Dot | Fault::CodePage | Fault::NotUtf8 => AnomalyKind::NameDot,
                // In the second half these are an empty component and an ordinary letter.
                Fault::Absolute if at == 1 && split => AnomalyKind::NameDot,
                Fault::Drive if at == 1 && split => continue,
                Fault::Absolute => AnomalyKind::NameAbsolute,
                Fault::Drive => AnomalyKind::NameDrive,
                Fault::Parent => AnomalyKind::NameParent,
            };
            seen.add(kind);
        }
    }
    for kind in seen.kinds() {
        report(kind);
    }
}

/// The name without one `./` before it and without the slash of a folder `./`.
fn undotted<'a>(name: &Name<'a>) -> Name<'a> {
    let mut name = *name;
    let first = if name.prefix.is_empty() { &mut name.rest } else { &mut name.prefix };
    if let Some(rest) = first.strip_prefix(b"./") {
        *first = if rest.is_empty() { b"." } else { rest };
    }
    name
}

/// The name without slashes at its end, and without `./` before it.
fn trimmed(name: &Name<'_>) -> impl Iterator<Item = u8> {
    let name = undotted(name);
    let rest = super::super::zip::name::trimmed(name.rest);
    let (prefix, slash): (&[u8], &[u8]) = match (name.prefix.is_empty(), rest.is_empty()) {
        (true, _) => (b"", b""),
        (false, true) => (super::super::zip::name::trimmed(name.prefix), b""),
        (false, false) => (name.prefix, b"/"),
    };
    prefix.iter().chain(slash).chain(rest).copied()
}

fn folded(name: &Name<'_>) -> impl Iterator<Item = u8> {
    trimmed(name).map(|byte| byte.to_ascii_lowercase())
}

/// The first eight bytes of a folded name as a number that sorts as they do.
fn sort_key(name: &Name<'_>) -> u64 {
    let mut first = [0_u8; 8];
    for (slot, byte) in first.iter_mut().zip(folded(name)) {
        *slot = byte;
    }
    u64::from_be_bytes(first)
}
