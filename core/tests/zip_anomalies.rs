//! One archive for each way in which readers can be led apart, and one for each honest form
//! that looks like one.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod zip_fixture;

use std::collections::BTreeSet;

use secure_torch_core::format::zip::{Anomaly, AnomalyKind as Kind, Archive, Slot, ZipErrorKind};
use zip_fixture::{Entry, Zip, Zip64, block, words};

fn audit(bytes: &[u8]) -> Vec<Anomaly<'_>> {
    let archive = Archive::open(bytes).unwrap();
    let mut slots = vec![Slot::default(); archive.entry_bound() as usize];
    let mut found = Vec::new();
    archive.audit(&mut slots, &mut |anomaly| found.push(anomaly));
    found
}

fn kinds(bytes: &[u8]) -> Vec<Kind> {
    let mut kinds: Vec<_> = audit(bytes).iter().map(|anomaly| anomaly.kind).collect();
    kinds.sort_by_key(|kind| kind.id());
    kinds.dedup();
    kinds
}

#[track_caller]
fn expect(zip: &Zip, expected: &[Kind]) {
    let mut expected = expected.to_vec();
    expected.sort_by_key(|kind| kind.id());
    assert_eq!(kinds(&zip.build()), expected);
}

#[track_caller]
fn expect_entry(change: impl FnOnce(&mut Entry), expected: &[Kind]) {
    let zip = Zip::of([a(), Entry::new("r/b", b"twelve bytes").with(change), c()]);
    expect(&zip, expected);
}

fn a() -> Entry {
    Entry::new("r/a", b"hello")
}

fn c() -> Entry {
    Entry::new("r/c", b"world!!")
}

fn simple() -> Zip {
    Zip::of([a(), Entry::new("r/b", b"twelve bytes"), c()])
}

#[test]
fn honest_forms_are_quiet() {
    expect(&simple(), &[]);
    expect(&Zip::default(), &[]);
    expect(&simple().with(|zip| zip.comment = b"a comment".to_vec()), &[]);
    // PyTorch's writer: a ZIP64 record that repeats the 32-bit fields.
    expect(&simple().with(|zip| zip.zip64 = Some(Zip64::default())), &[]);
    // Others: a ZIP64 record that the 32-bit fields refer to.
    let referring = simple().with(|zip| {
        zip.zip64 = Some(Zip64::default());
        zip.count = Some(u16::MAX);
        zip.size = Some(u32::MAX);
        zip.offset = Some(u32::MAX);
    });
    expect(&referring, &[]);
    for (signature, wide) in [(true, false), (false, false), (true, true), (false, true)] {
        let streamed = Entry::new("r/b", b"twelve bytes").streamed(signature, wide);
        expect(&Zip::of([a(), streamed, c()]), &[]);
    }
    // An empty streamed entry, whose narrow descriptor is the start of its wide one.
    expect(&Zip::of([Entry::new("r/b", b"").streamed(true, true), c()]), &[]);
    // PyTorch pads the local extra field until the data is aligned.
    expect_entry(|entry| entry.local_extra = block(0x4246, b"ZZZZZ"), &[]);
    expect_entry(|entry| entry.local_extra = vec![0; 3], &[]);
    expect_entry(|entry| entry.after = vec![0; 64], &[]);
    // CPython with `force_zip64`.
    expect_entry(
        |entry| {
            entry.local_compressed = Some(u32::MAX);
            entry.local_uncompressed = Some(u32::MAX);
            entry.local_extra = block(1, &words(&[12, 12]));
        },
        &[],
    );
    // miniz past 4 GiB: the header offset alone in the local ZIP64 block.
    let offset = (30 + 3 + 5) as u64;
    expect_entry(|entry| entry.local_extra = block(1, &words(&[offset])), &[]);
    // Entries in another order than they lie in the file.
    let bytes = simple().build();
    let start = Archive::open(&bytes).unwrap().directory().start as usize;
    let header = 46 + 3;
    let mut reordered = bytes.clone();
    reordered[start..start + header].copy_from_slice(&bytes[start + header..][..header]);
    reordered[start + header..][..header].copy_from_slice(&bytes[start..][..header]);
    assert_eq!(kinds(&reordered), []);
    // Info-ZIP's Unicode path that agrees.
    let unicode = |entry: &mut Entry| {
        entry.name = "r/é".into();
        entry.extra = block(0x7075, &[&[1, 0, 0, 0, 0], "r/é".as_bytes()].concat());
    };
    expect_entry(unicode, &[]);
    expect_entry(
        |entry| {
            entry.name = "r/é".into();
            entry.flags = 0x800;
        },
        &[],
    );
    let folder = Entry::new("r/", b"");
    expect(&Zip::of([folder, a(), c()]), &[]);
    // A stored archive inside the archive has its own end record in the tail.
    let nested = Entry::new("r/inner.zip", &simple().build());
    expect(&Zip::of([a(), nested]), &[]);
}

#[test]
fn not_an_archive() {
    for bytes in [&b""[..], b"PK\x05\x06", b"hello", &[0; 100_000]] {
        let error = Archive::open(bytes).unwrap_err();
        assert_eq!(error.kind, ZipErrorKind::NoEndRecord);
        assert_eq!(error.offset, bytes.len() as u64);
    }
    let outside = simple().with(|zip| zip.size = Some(1 << 20)).build();
    assert_eq!(Archive::open(&outside).unwrap_err().kind, ZipErrorKind::DirectoryOutside);
}

#[test]
fn several_ends() {
    // A whole archive in the comment: the last end record is the inner one's.
    let inner = simple().build();
    let outer = simple().with(|zip| zip.comment = inner.clone());
    expect(&outer, &[Kind::EndRecordAgain, Kind::PrefixData]);
    // A bare signature at the very end, without room for a record: zipfile gives up.
    let cut = simple().with(|zip| zip.comment = b"PK\x05\x06".to_vec());
    expect(&cut, &[Kind::EndRecordAgain]);
    // Two archives, one behind the other.
    let two = [simple().build(), simple().build()].concat();
    assert!(kinds(&two).contains(&Kind::PrefixData));
    assert!(kinds(&two).contains(&Kind::EndRecordAgain));
    // An end record in the data of an entry whose comment would reach to the end.
    let mut zip = simple();
    zip.entries[1].data = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    let length = zip.build().len();
    let at = zip.build().windows(4).position(|window| window == b"PK\x05\x06").unwrap();
    let comment = (length - at - 22) as u16;
    zip.entries[1].data[20..22].copy_from_slice(&comment.to_le_bytes());
    expect(&zip, &[Kind::EndRecordAgain]);
}

#[test]
fn around_the_archive() {
    let trailing = simple().with(|zip| zip.trailing = b"tail".to_vec());
    expect(&trailing, &[Kind::TrailingData]);
    assert_eq!(Archive::open(&trailing.build()).unwrap().trailing_length(), 4);
    expect(&simple().with(|zip| zip.comment_length = Some(9)), &[Kind::CommentTruncated]);
    let prefixed = simple().with(|zip| zip.prefix = b"\x80\x04N.".to_vec());
    expect(&prefixed, &[Kind::PrefixData]);
    let bytes = prefixed.build();
    let archive = Archive::open(&bytes).unwrap();
    assert_eq!(archive.prefix_length(), 4);
    assert_eq!(archive.find(b"r/b").unwrap().data().unwrap(), b"twelve bytes");
    // The same with offsets that count from the start of the file.
    let shifted = prefixed.clone().with(|zip| zip.shift_offsets = true);
    expect(&shifted, &[Kind::PrefixData]);
    // Leading zeros are no padding.
    expect(&shifted.with(|zip| zip.prefix = vec![0; 8]), &[Kind::PrefixData]);
    let prefixed64 = simple().with(|zip| {
        zip.prefix = b"\x80\x04N.".to_vec();
        zip.zip64 = Some(Zip64::default());
    });
    expect(&prefixed64, &[Kind::PrefixData]);
}

#[test]
fn directory() {
    let apart = simple().with(|zip| zip.gap_after_directory = b"gap".to_vec());
    expect(&apart, &[Kind::DirectoryApart]);
    let beyond = simple().with(|zip| zip.offset = Some(100_000));
    expect(&beyond, &[Kind::DirectoryApart]);
    expect(&simple().with(|zip| zip.count = Some(2)), &[Kind::EntryCount]);
    expect(&simple().with(|zip| zip.count = Some(9)), &[Kind::EntryCount]);
    expect(
        &simple().with(|zip| zip.directory_tail = b"PK\x05\x05\0\0".to_vec()),
        &[Kind::CentralHeader],
    );
    expect(&simple().with(|zip| zip.disk = 1), &[Kind::MultiDisk]);
    expect(&simple().with(|zip| zip.count_here = Some(1)), &[Kind::MultiDisk]);
    expect_entry(|entry| entry.disk = 1, &[Kind::MultiDisk]);
}

#[test]
fn zip64_records() {
    let zip64 = |change: fn(&mut Zip64)| {
        let mut zip64 = Zip64::default();
        change(&mut zip64);
        simple().with(|zip| zip.zip64 = Some(zip64))
    };
    expect(&zip64(|z| z.count = Some(2)), &[Kind::EntryCount, Kind::Zip64Fields]);
    expect(&zip64(|z| z.locator_offset = Some(1)), &[Kind::Zip64Place]);
    expect(&zip64(|z| z.record_size = Some(45)), &[Kind::Zip64Place]);
    expect(&zip64(|z| z.disks = Some(2)), &[Kind::MultiDisk]);
    expect(&zip64(|z| z.disks = Some(0)), &[Kind::MultiDisk]);
    // A record with extensible data is where the locator points, not right before it.
    expect(&zip64(|z| z.extensible = vec![0; 10]), &[Kind::Zip64Place]);
    let lost = kinds(&zip64(|z| z.signature = Some(*b"PK\x06\x00")).build());
    assert!(lost.contains(&Kind::Zip64Lost), "{lost:?}");
    let missing = kinds(&simple().with(|zip| zip.offset = Some(u32::MAX)).build());
    assert!(missing.contains(&Kind::Zip64Missing), "{missing:?}");
    // Another directory for those who read ZIP64 than for those who do not.
    let other = zip64(|z| z.offset = Some(0)).build();
    let found = kinds(&other);
    assert!(found.contains(&Kind::Zip64Fields), "{found:?}");
}

#[test]
fn local_against_central() {
    expect_entry(|entry| entry.local_name = Some(b"r/B".to_vec()), &[Kind::LocalName]);
    expect_entry(|entry| entry.local_name = Some(b"r/bb".to_vec()), &[Kind::LocalName]);
    expect_entry(|entry| entry.local_method = Some(8), &[Kind::LocalMethod]);
    expect_entry(|entry| entry.local_crc = Some(1), &[Kind::LocalCrc]);
    expect_entry(|entry| entry.crc = Some(1), &[]); // wrong in both: only the content can tell
    expect_entry(|entry| entry.local_compressed = Some(11), &[Kind::LocalSize]);
    expect_entry(|entry| entry.local_uncompressed = Some(11), &[Kind::LocalSize]);
    expect_entry(|entry| entry.local_compressed = Some(0), &[Kind::LocalSize]);
    expect_entry(
        |entry| entry.local_signature = Some(*b"PK\x03\x05"),
        &[Kind::HiddenData, Kind::LocalSignature],
    );
    // Every bit of CVE-2025-1945, in either header.
    for (bit, in_local, in_central) in [
        (
            0x0001,
            &[Kind::LocalFlags, Kind::Encrypted][..],
            &[Kind::LocalFlags, Kind::Encrypted][..],
        ),
        (
            0x0008,
            &[Kind::LocalFlags, Kind::DescriptorMissing],
            &[Kind::LocalFlags, Kind::DescriptorMissing],
        ),
        (0x0020, &[Kind::LocalFlags, Kind::PatchData], &[Kind::LocalFlags, Kind::PatchData]),
        (0x0040, &[Kind::LocalFlags, Kind::Encrypted], &[Kind::LocalFlags, Kind::Encrypted]),
        (0x0800, &[Kind::LocalFlags], &[Kind::LocalFlags]),
        (0x2000, &[Kind::LocalFlags, Kind::Encrypted], &[Kind::LocalFlags, Kind::Encrypted]),
    ] {
        expect_entry(|entry| entry.local_flags = Some(bit), in_local);
        expect_entry(
            |entry| {
                entry.flags = bit;
                entry.local_flags = Some(0);
            },
            in_central,
        );
    }
    // Hints to the decompressor may differ.
    expect_entry(|entry| entry.local_flags = Some(0x0006), &[]);
}

#[test]
fn descriptors() {
    let streamed = || Entry::new("r/b", b"twelve bytes").streamed(true, false);
    let wrong = |change: fn(&mut Entry), expected: &[Kind]| {
        expect(&Zip::of([a(), streamed().with(change), c()]), expected);
    };
    wrong(|entry| entry.after.clear(), &[Kind::DescriptorMissing]);
    wrong(|entry| entry.after[4] ^= 1, &[Kind::DescriptorMissing, Kind::HiddenData]);
    wrong(|entry| entry.after[8] ^= 1, &[Kind::DescriptorMissing, Kind::HiddenData]);
    wrong(|entry| entry.after[12] ^= 1, &[Kind::DescriptorMissing, Kind::HiddenData]);
    // A descriptor that nothing announces.
    wrong(
        |entry| {
            entry.flags = 0;
            entry.local_crc = None;
            entry.local_compressed = None;
            entry.local_uncompressed = None;
        },
        &[Kind::HiddenData],
    );
    wrong(|entry| entry.local_compressed = Some(3), &[Kind::LocalSize]);
    wrong(|entry| entry.local_crc = Some(3), &[Kind::LocalCrc]);
}

#[test]
fn what_an_entry_says_of_itself() {
    expect_entry(|entry| entry.method = 12, &[Kind::UnsupportedMethod]);
    expect_entry(|entry| entry.method = 99, &[Kind::Encrypted]);
    expect_entry(|entry| entry.flags = 1, &[Kind::Encrypted]);
    expect_entry(|entry| entry.flags = 0x20, &[Kind::PatchData]);
    expect_entry(|entry| entry.extra = block(0x9901, &[0; 7]), &[Kind::Encrypted]);
    expect_entry(|entry| entry.local_extra = block(0x0017, &[0; 8]), &[Kind::Encrypted]);
    expect_entry(|entry| entry.version = 64, &[Kind::UnsupportedVersion]);
    expect_entry(|entry| entry.uncompressed = Some(13), &[Kind::StoredSize]);
    expect_entry(
        |entry| {
            entry.method = 8;
            entry.uncompressed = Some(12 * 1032 + 1);
        },
        &[Kind::ImpossibleRatio],
    );
    expect_entry(|entry| entry.external = 0o120_777 << 16, &[Kind::SymbolicLink]);
    expect_entry(|entry| entry.external = 0o020_666 << 16, &[Kind::SpecialFile]);
    expect_entry(|entry| entry.name = b"r/b/".to_vec(), &[Kind::FolderWithData]);
}

#[test]
fn extra_fields() {
    expect_entry(|entry| entry.extra = vec![1, 2, 3, 4], &[Kind::ExtraTruncated]);
    expect_entry(|entry| entry.local_extra = vec![1, 0, 9, 0, 1], &[Kind::ExtraTruncated]);
    expect_entry(|entry| entry.extra = vec![0, 1], &[Kind::ExtraTruncated]);
    expect_entry(|entry| entry.extra = block(1, &words(&[99])), &[Kind::Zip64Extra]);
    expect_entry(|entry| entry.extra = block(1, &words(&[12, 12, 99])), &[Kind::Zip64Extra]);
    expect_entry(|entry| entry.extra = block(1, &[1, 2, 3]), &[Kind::Zip64Extra]);
    expect_entry(|entry| entry.local_extra = block(1, &words(&[13, 12])), &[Kind::Zip64Extra]);
    expect_entry(
        |entry| {
            entry.extra = [block(1, &words(&[12])), block(1, &words(&[12]))].concat();
        },
        &[Kind::Zip64Twice],
    );
    expect_entry(
        |entry| {
            entry.uncompressed = Some(u32::MAX);
            entry.local_uncompressed = Some(12);
            entry.extra = block(1, &words(&[12]));
        },
        &[],
    );
    expect_entry(
        |entry| {
            entry.local_uncompressed = Some(u32::MAX);
            entry.local_extra = block(1, &[]);
        },
        &[Kind::Zip64Missing],
    );
    let path = |name: &[u8]| block(0x7075, &[&[1, 0, 0, 0, 0], name].concat());
    expect_entry(|entry| entry.extra = path(b"r/other"), &[Kind::UnicodePath]);
    expect_entry(|entry| entry.local_extra = path(b"r/other"), &[Kind::UnicodePath]);
    expect_entry(|entry| entry.extra = block(0x7075, &[1]), &[Kind::UnicodePath]);
}

#[test]
fn extents() {
    // Two names for the same bytes.
    let mut twice = simple();
    twice.entries[1].offset = Some(0);
    let found = kinds(&twice.build());
    assert!(found.contains(&Kind::Overlap), "{found:?}");
    // One entry whose data is another entry.
    let inner = Zip::of([Entry::new("r/b", b"inner")]).build();
    let mut quoted = Zip::of([Entry::new("r/a", &inner[..38]), Entry::new("r/b", b"inner")]);
    quoted.entries[1].offset = Some(33);
    let found = kinds(&quoted.build());
    assert!(found.contains(&Kind::Overlap), "{found:?}");
    // Data that runs into the directory.
    let mut long = simple();
    long.entries[2].compressed = Some(20);
    long.entries[2].uncompressed = Some(20);
    expect(&long, &[Kind::OverlapsDirectory]);
    let mut outside = simple();
    outside.entries[2].compressed = Some(20_000);
    outside.entries[2].uncompressed = Some(20_000);
    expect(&outside, &[Kind::LocalTruncated, Kind::OverlapsDirectory]);
    // Bytes that belong to nobody.
    expect_entry(|entry| entry.after = b"hidden".to_vec(), &[Kind::HiddenData]);
    expect_entry(|entry| entry.after = vec![0; 70_000], &[Kind::HiddenData]);
    expect(
        &simple().with(|zip| zip.gap_before_directory = b"\x80\x04N.".to_vec()),
        &[Kind::HiddenData],
    );
    // An entry that only readers from the front see.
    let hidden = Zip::of([a()]).build();
    expect_entry(|entry| entry.after = hidden[..38].to_vec(), &[Kind::HiddenData]);
}

#[test]
fn names() {
    for (name, kinds) in [
        (&b""[..], &[Kind::NameEmpty][..]),
        (b"r/b\0c", &[Kind::NameNul]),
        (b"r/\x1b[2J", &[Kind::NameControl]),
        (b"r\\b", &[Kind::NameBackslash]),
        (b"r//b", &[Kind::NameDot]),
        (b"./r/b", &[Kind::NameDot]),
        (b"/r/b", &[Kind::NameAbsolute]),
        (b"C:/b", &[Kind::NameDrive]),
        (b"r/../b", &[Kind::NameParent]),
        (b"r\\..\\..\\b", &[Kind::NameParent, Kind::NameBackslash]),
        (b"r/\xe9", &[Kind::NameCodePage]),
    ] {
        expect_entry(|entry| entry.name = name.to_vec(), kinds);
    }
    // Info-ZIP on Unix leaves the UTF-8 bit out; next to a name that has it, one can pose as
    // the other: `├⌐` is `é` read as code page 437.
    let unmarked = || Entry::new("r/é", b"x").with(|entry| entry.made_by = 0x031E);
    let marked = |name| Entry::new(name, b"y").with(|entry| entry.flags = 0x800);
    expect(&Zip::of([a(), unmarked()]), &[]);
    expect(&Zip::of([unmarked(), marked("r/├⌐")]), &[Kind::NameCodePage]);
    expect_entry(|entry| entry.name = "r/é".into(), &[Kind::NameCodePage]);
    expect_entry(
        |entry| {
            entry.name = b"r/\xe9".to_vec();
            entry.flags = 0x800;
        },
        &[Kind::NameNotUtf8],
    );
    expect_entry(|entry| entry.name = vec![b'n'; 511], &[]);
    expect_entry(|entry| entry.name = vec![b'n'; 512], &[Kind::NameLong]);
    expect_entry(|entry| entry.name = b"r/a".to_vec(), &[Kind::DuplicateName]);
    expect_entry(|entry| entry.name = b"R/a".to_vec(), &[Kind::CaseFoldedName]);
    expect_entry(
        |entry| {
            entry.name = b"r/a/".to_vec();
            entry.data.clear();
        },
        &[Kind::DuplicateName],
    );
}

#[test]
fn repeated_names_point_at_the_later_entry() {
    let zip = Zip::of([
        Entry::new("archive/data.pkl", b"1"),
        Entry::new("archive/version", b"3"),
        Entry::new("Archive/data.pkl", b"2"),
        Entry::new("archive/data.pkl", b"4"),
    ]);
    let bytes = zip.build();
    let found: BTreeSet<_> = audit(&bytes)
        .iter()
        .map(|anomaly| (anomaly.entry, anomaly.name.to_vec(), anomaly.kind.id()))
        .collect();
    let expected = [
        (Some(0), b"archive/data.pkl".to_vec(), "case-folded-name"),
        (Some(3), b"archive/data.pkl".to_vec(), "duplicate-name"),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn root() {
    let bytes =
        Zip::of([a(), Entry::new("s/x", b""), Entry::new("R/b", b""), Entry::new("r", b"")])
            .build();
    let archive = Archive::open(&bytes).unwrap();
    assert_eq!(archive.root(), Some(&b"r"[..]));
    let mut outside = Vec::new();
    archive.audit_root(&mut |anomaly| outside.push((anomaly.kind, anomaly.entry)));
    assert_eq!(outside, [1, 2, 3].map(|index| (Kind::OutsideRoot, Some(index))));
}

#[test]
fn little_memory_is_an_anomaly() {
    let bytes = simple().build();
    let archive = Archive::open(&bytes).unwrap();
    for slots in 0..3 {
        let mut found = Vec::new();
        archive.audit(&mut vec![Slot::default(); slots], &mut |anomaly| found.push(anomaly.kind));
        assert_eq!(found, [Kind::ScratchExhausted]);
    }
}

#[test]
fn many_entries_at_one_place_take_linear_time() {
    // 20,000 entries that all point at one local header with 64 kB of extra fields: a reader
    // that walked it each time would take 330 million steps.
    let first = Entry::new("r/a", b"").with(|entry| {
        entry.local_extra = block(0x4246, &[]).repeat(16_000);
    });
    let others = (0..20_000)
        .map(|at| Entry::new(&format!("r/{at}"), b"").with(|entry| entry.offset = Some(0)));
    let bytes = Zip::of(std::iter::once(first).chain(others)).build();
    let started = std::time::Instant::now();
    let found = kinds(&bytes);
    assert!(found.contains(&Kind::Overlap));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn kinds_have_unique_ids_and_plain_messages() {
    let ids: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
    assert_eq!(ids.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert!(kind.rule().id().starts_with("archive."), "{kind:?}");
        assert!(!kind.message().ends_with('.'), "{kind:?}");
    }
}

#[cfg(feature = "alloc")]
#[test]
fn the_heap_gives_the_same_answer() {
    let bytes = simple().with(|zip| zip.entries[1].name = b"r/A".to_vec()).build();
    let mut found = Vec::new();
    Archive::open(&bytes).unwrap().audit_alloc(&mut |anomaly| found.push(anomaly));
    assert_eq!(found, audit(&bytes));
}
