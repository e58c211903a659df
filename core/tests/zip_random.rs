//! Mutated archives: reading never panics, always ends, and does work in proportion to the
//! input; and whenever the audit is quiet, the `zip` crate sees the very same archive.
//!
//! Every case comes from a seed, which a failure prints. `SECURE_TORCH_SEED` starts elsewhere,
//! `SECURE_TORCH_CASES` runs more, and `SECURE_TORCH_KEEP` names a folder that receives the
//! quiet mutants, for other readers to judge.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[expect(dead_code, reason = "the anomaly tests use the rest")]
mod zip_fixture;

use std::io::{Cursor, Write};

use secure_torch_core::format::zip::{Archive, Slot};
use zip::write::SimpleFileOptions;
use zip_fixture::{Entry, Zip, Zip64, block};

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

const NAMES: [&str; 8] =
    ["r/data.pkl", "r/version", "r/data/0", "r/data/1", "r/é", "r/", "other/x", "r/DATA.pkl"];

fn handmade(random: &mut Random) -> Vec<u8> {
    let entries = (0..random.below(5)).map(|_| {
        let data = vec![random.next() as u8; random.below(40)];
        let mut entry = Entry::new(NAMES[random.below(NAMES.len())], &data);
        if random.chance(3) {
            let (signature, wide) = (random.chance(2), random.chance(2));
            entry = entry.streamed(signature, wide);
        }
        if random.chance(3) {
            entry.local_extra = block(0x4246, &vec![b'Z'; random.below(60)]);
        }
        if random.chance(2) {
            entry.flags |= 0x800;
        }
        entry
    });
    let mut zip = Zip::of(entries.collect::<Vec<_>>());
    if random.chance(2) {
        zip.zip64 = Some(Zip64::default());
    }
    if random.chance(4) {
        zip.comment = b"a comment".to_vec();
    }
    zip.build()
}

fn written(random: &mut Random) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut names = NAMES[..7].to_vec();
    for _ in 0..random.below(6) {
        let name = names.swap_remove(random.below(names.len()));
        let method = if random.chance(2) {
            zip::CompressionMethod::Stored
        } else {
            zip::CompressionMethod::Deflated
        };
        let options =
            SimpleFileOptions::default().compression_method(method).large_file(random.chance(3));
        if name.ends_with('/') {
            writer.add_directory(name, options).unwrap();
            continue;
        }
        writer.start_file(name, options).unwrap();
        writer.write_all(&vec![random.next() as u8; random.below(400)]).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    const VALUES: [u64; 10] = [0, 1, 2, 8, 0x7F, 0xFF, 0x800, 0xFFFF, 0xFFFF_FFFF, u64::MAX];
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => {
            let value = VALUES[random.below(VALUES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)];
            for (slot, byte) in bytes[at..].iter_mut().zip(&value[..width]) {
                *slot = *byte;
            }
        }
        3 => bytes.truncate(at),
        4 => {
            let end = (at + random.below(50)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, part);
        }
        5 => {
            let end = (at + random.below(8)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            // Near a signature, where the fields are.
            let signatures: Vec<_> = bytes
                .windows(2)
                .enumerate()
                .filter(|(_, window)| window == b"PK")
                .map(|(at, _)| at)
                .collect();
            if let Some(&place) = signatures.get(random.below(signatures.len())) {
                let place = (place + random.below(56)).min(bytes.len() - 1);
                bytes[place] = VALUES[random.below(6)] as u8;
            }
        }
    }
}

/// Whether the archive is quiet; checks whatever holds for any bytes.
fn quiet(bytes: &[u8]) -> bool {
    let Ok(archive) = Archive::open(bytes) else {
        return false;
    };
    let length = bytes.len() as u64;
    assert!(archive.entry_bound() <= length / 46);
    let mut count = 0_u64;
    for entry in archive.entries() {
        count += 1;
        if let Ok(entry) = entry {
            if let Ok(data) = entry.data_range() {
                assert!(data.start <= data.end && data.end <= length);
                assert_eq!(entry.data().unwrap().len() as u64, data.end - data.start);
            }
            let fields = entry.central.extra_fields().count();
            assert!(fields <= entry.central.extra.len() / 4);
        }
    }
    assert!(count <= archive.entry_bound() + 1);
    let mut slots = vec![Slot::default(); archive.entry_bound() as usize];
    let mut anomalies = 0_u64;
    archive.audit(&mut slots, &mut |anomaly| {
        anomalies += 1;
        assert!(anomaly.offset <= length || anomaly.entry.is_some(), "{anomaly:?}");
    });
    // No entry can be odd in more ways than there are, and fields can be odd one by one.
    assert!(anomalies <= 64 * (count + 1) + length);
    archive.audit_root(&mut |_| ());
    anomalies == 0
}

fn agree(bytes: &[u8]) {
    let archive = Archive::open(bytes).unwrap();
    let mut theirs = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let ours: Vec<_> = archive.entries().map(Result::unwrap).collect();
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(archive.comment(), theirs.comment());
    // For an empty archive whose 32-bit fields do not ask for ZIP64 the crate counts the ZIP64
    // records as a prefix; there is nothing whose offset that could shift.
    assert!(ours.is_empty() || theirs.offset() == 0);
    for (index, entry) in ours.iter().enumerate() {
        let other = theirs.by_index_raw(index).unwrap();
        let method = match other.compression() {
            zip::CompressionMethod::Stored => 0,
            zip::CompressionMethod::Deflated => 8,
            other => panic!("{other}"),
        };
        assert_eq!(entry.name(), other.name_raw());
        assert_eq!(entry.central.method, method);
        assert_eq!(entry.central.crc, other.crc32());
        assert_eq!(entry.central.compressed_size, other.compressed_size());
        assert_eq!(entry.central.uncompressed_size, other.size());
        assert_eq!(entry.header_offset, other.header_start());
        assert_eq!(entry.data_range().unwrap().start, other.data_start().unwrap());
        assert!(!other.encrypted());
    }
}

#[test]
fn mutants() {
    let first = number("SECURE_TORCH_SEED", 0);
    let cases = number("SECURE_TORCH_CASES", 20_000);
    let keep = std::env::var("SECURE_TORCH_KEEP").ok();
    let mut quiets = 0_u64;
    for seed in first..first + cases {
        let result = std::panic::catch_unwind(|| {
            let mut random = Random(seed);
            let mut bytes =
                if random.chance(2) { handmade(&mut random) } else { written(&mut random) };
            for _ in 0..random.below(4) {
                mutate(&mut random, &mut bytes);
            }
            let quiet = quiet(&bytes);
            if quiet {
                agree(&bytes);
            }
            (quiet, bytes)
        });
        match result {
            Ok((true, bytes)) => {
                quiets += 1;
                if let Some(folder) = &keep {
                    std::fs::write(format!("{folder}/{seed}.zip"), bytes).unwrap();
                }
            }
            Ok(_) => {}
            Err(_) => panic!("seed {seed}: SECURE_TORCH_SEED={seed} SECURE_TORCH_CASES=1"),
        }
    }
    println!("{quiets} of {cases} quiet");
    assert!(quiets * 20 > cases, "too few quiet archives to compare: {quiets}");
}

#[test]
fn written_archives_are_quiet() {
    for seed in 0..200 {
        let bytes = written(&mut Random(seed));
        assert!(quiet(&bytes), "seed {seed}");
        agree(&bytes);
    }
}
