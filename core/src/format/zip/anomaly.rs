//! Everything about an archive that two readers could see differently, as one table.
//!
//! Each kind has a stable id, a rule of the scoring table, and a sentence that names what the
//! readers would disagree about. It weighs nothing: points are the scoring table's.

/// One place in an archive where readers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly<'a> {
    /// What is odd.
    pub kind: AnomalyKind,
    /// Where, counted from the start of the file.
    pub offset: u64,
    /// Which entry, by its place in the central directory; none for the archive as a whole.
    pub entry: Option<u32>,
    /// That entry's name in the central directory, as stored; empty for the archive as a whole.
    pub name: &'a [u8],
}

anomaly_kinds! {
    /// What can be odd about an archive.
    pub enum AnomalyKind;
    EndRecordAgain, ArchiveAmbiguous, "end-record-again",
        "there is more than one end record, and a reader that checks the comment length or scans from the other side opens another archive than one that takes the last";
    TrailingData, ArchiveAmbiguous, "trailing-data",
        "bytes follow the archive's comment: zipfile and miniz skip them, strict readers refuse the archive, and other formats may start there";
    CommentTruncated, ArchiveCorrupt, "comment-truncated",
        "the archive's comment is shorter than its length field says: zipfile takes what is there, strict readers look for another end record";
    PrefixData, ArchiveAmbiguous, "prefix-data",
        "bytes stand before the archive: zipfile shifts every offset by them, miniz does not, and a reader that starts at byte 0 sees something else altogether";
    DirectoryApart, ArchiveAmbiguous, "directory-apart",
        "the central directory is not where its size and offset both put it: zipfile counts back from the end record, miniz forward from the start of the file";
    EntryCount, ArchiveAmbiguous, "entry-count",
        "the number of entries is wrong: miniz reads as many headers as the end record counts, zipfile as many as the directory has room for";
    CentralHeader, ArchiveCorrupt, "central-header",
        "the central directory breaks off in a header that cannot be read: some readers keep the entries before it, others refuse all";
    DirectoryTooLarge, ArchiveBomb, "directory-too-large",
        "the central directory takes more than 4 GiB, which miniz refuses and no model needs";
    ScratchExhausted, ArchiveBomb, "scratch-exhausted",
        "there are more entries than the memory given for comparing them";
    MultiDisk, ArchiveAmbiguous, "multi-disk",
        "disk numbers say that the archive spans several files: zipfile ignores them, other readers refuse the archive";
    Zip64Lost, ArchiveAmbiguous, "zip64-lost",
        "a zip64 locator leads to no zip64 record: zipfile falls back on the 32-bit fields, strict readers refuse the archive";
    Zip64Place, ArchiveAmbiguous, "zip64-place",
        "the zip64 record is not where both its locator and its size put it: zipfile looks right before the locator, miniz where the locator points";
    Zip64Fields, ArchiveAmbiguous, "zip64-fields",
        "the zip64 record and the 32-bit end record disagree, so that readers with and without zip64 see different directories";
    Zip64Missing, ArchiveCorrupt, "zip64-missing",
        "a 32-bit field refers to a zip64 record or field that is missing or too short: miniz goes on with the 32-bit value, zipfile refuses";
    Zip64Extra, ArchiveAmbiguous, "zip64-extra",
        "a zip64 field holds numbers that are not the entry's own: a reader that prefers it sees other data than one that prefers the 32-bit fields";
    Zip64Twice, ArchiveAmbiguous, "zip64-twice",
        "an entry has more than one zip64 field: miniz takes the first, zipfile reads on";
    ExtraTruncated, ArchiveCorrupt, "extra-truncated",
        "an extra field does not end where its header says: zipfile refuses, others ignore the rest";
    UnicodePath, ArchiveAmbiguous, "unicode-path",
        "a unicode path field names another file than the header: Info-ZIP and newer zipfile prefer it, miniz ignores it";
    LocalSignature, ArchiveCorrupt, "local-signature",
        "there is no local header where the central directory says";
    LocalTruncated, ArchiveCorrupt, "local-truncated",
        "a local header or the data behind it does not fit into the file";
    LocalName, ArchiveAmbiguous, "local-name",
        "the local header names another file than the central directory: zipfile refuses to open it, miniz and PyTorch read it (CVE-2025-1944)";
    LocalFlags, ArchiveAmbiguous, "local-flags",
        "flag bits differ between local header and central directory: a scanner that trusts one refuses or misreads what a loader that trusts the other reads (CVE-2025-1945)";
    LocalMethod, ArchiveAmbiguous, "local-method",
        "the compression method differs between local header and central directory, so that the data decodes to different contents";
    LocalCrc, ArchiveAmbiguous, "local-crc",
        "the CRC differs between local header and central directory: readers that check one of them disagree about whether the entry is whole";
    LocalSize, ArchiveAmbiguous, "local-size",
        "sizes differ between local header and central directory: a reader from the front finds other data than one that trusts the directory";
    DescriptorMissing, ArchiveAmbiguous, "descriptor-missing",
        "no data descriptor with the entry's CRC and sizes follows its data: a reader from the front loses its way";
    UnsupportedMethod, ArchiveCorrupt, "unsupported-method",
        "the compression method is neither stored nor deflate: PyTorch cannot read it, other readers can";
    UnsupportedVersion, ArchiveCorrupt, "unsupported-version",
        "the version needed to read an entry is beyond 6.3: zipfile refuses the whole archive, miniz does not look";
    PatchData, ArchiveCorrupt, "patch-data",
        "an entry says that it is a patch: zipfile refuses to open it, others read its bytes";
    Encrypted, ArchiveEncrypted, "encrypted",
        "an entry is encrypted, or says so in one of its headers: its content cannot be judged";
    StoredSize, ArchiveCorrupt, "stored-size",
        "a stored entry has different compressed and uncompressed sizes: readers take one or the other";
    ImpossibleRatio, ArchiveCorrupt, "impossible-ratio",
        "an entry claims to unpack to more than deflate can reach (1032 to 1)";
    Overlap, ArchiveAmbiguous, "overlap",
        "an entry shares bytes with another one: what is judged as one entry is read as two, and small archives unpack to huge ones";
    OverlapsDirectory, ArchiveAmbiguous, "overlaps-directory",
        "an entry's data runs into the central directory";
    HiddenData, ArchiveAmbiguous, "hidden-data",
        "bytes between the entries belong to none of them: readers from the front see them, readers of the directory do not";
    DuplicateName, ArchiveAmbiguous, "duplicate-name",
        "two entries have the same name: zipfile opens the last, a linear reader the first, miniz whichever its sort leaves in reach";
    CaseFoldedName, ArchiveAmbiguous, "case-folded-name",
        "two entries have names that differ only in ASCII case: miniz and PyTorch cannot tell them apart, zipfile can";
    OutsideRoot, ArchiveAmbiguous, "outside-root",
        "an entry is not in the folder of the first entry, which PyTorch takes as the archive's: PyTorch never sees it, other readers do";
    NameEmpty, ArchiveAmbiguous, "name-empty",
        "an entry has no name";
    NameLong, ArchiveAmbiguous, "name-long",
        "a name is longer than 511 bytes: PyTorch lists it cut short (`getAllRecords`), other readers whole";
    NameNul, ArchiveAmbiguous, "name-nul",
        "a name holds a NUL: zipfile and C readers cut it there, others do not";
    NameControl, ArchiveAmbiguous, "name-control",
        "a name holds control characters: what people and logs see is not what readers open";
    NameBackslash, ArchiveAmbiguous, "name-backslash",
        "a name holds a backslash: a folder separator for some readers, a letter for others";
    NameDot, ArchiveAmbiguous, "name-dot",
        "a name has an empty or `.` component: readers that normalise paths and readers that do not look up different names";
    NameCodePage, ArchiveAmbiguous, "name-code-page",
        "a name is not ASCII and not known to be UTF-8, or other names of the archive are marked as UTF-8 and this one is not: zipfile reads it as code page 437, miniz as raw bytes";
    NameNotUtf8, ArchiveCorrupt, "name-not-utf8",
        "a name says that it is UTF-8 and is not: zipfile refuses the whole archive, miniz does not look";
    NameAbsolute, ArchiveTraversal, "name-absolute",
        "a name is an absolute path";
    NameDrive, ArchiveTraversal, "name-drive",
        "a name starts with a drive letter";
    NameParent, ArchiveTraversal, "name-parent",
        "a name has a `..` component";
    SymbolicLink, ArchiveTraversal, "symbolic-link",
        "an entry is a symbolic link: its content is a path to somewhere else";
    SpecialFile, ArchiveTraversal, "special-file",
        "an entry is a device or a socket";
    FolderAttribute, ArchiveAmbiguous, "folder-attribute",
        "an entry with content is a folder by its attributes and a file by its name: miniz and PyTorch read nothing, zipfile reads the content";
    FolderWithData, ArchiveAmbiguous, "folder-with-data",
        "an entry is a folder by its name but has content, which some readers drop and others read";
}
