//! Archives that honest writers made raise no anomaly, and we read them as the `zip` crate
//! does. Set `SECURE_TORCH_ARCHIVES` to folders or files (separated by `:`) to run it; without
//! it, the test says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use secure_torch_core::format::zip::{Archive, Slot};

fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap().flatten() {
            collect(&entry.path(), files);
        }
    } else {
        files.push(place.to_owned());
    }
}

#[test]
fn honest_archives_are_quiet() {
    let Ok(places) = std::env::var("SECURE_TORCH_ARCHIVES") else {
        println!("skipped: SECURE_TORCH_ARCHIVES is not set");
        return;
    };
    let mut files = Vec::new();
    for place in places.split(':') {
        collect(Path::new(place), &mut files);
    }
    let (mut odd, mut opened) = (0, 0);
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    for file in &files {
        let bytes = fs::read(file).unwrap();
        let archive = match Archive::open(&bytes) {
            Ok(archive) => archive,
            Err(error) => {
                println!("{}: {error}", file.display());
                continue;
            }
        };
        opened += 1;
        let mut slots = vec![Slot::default(); usize::try_from(archive.entry_bound()).unwrap()];
        let mut anomalies = Vec::new();
        archive.audit(&mut slots, &mut |anomaly| anomalies.push(anomaly));
        if !anomalies.is_empty() {
            odd += 1;
            println!("{}: {} anomalies", file.display(), anomalies.len());
        }
        for anomaly in &anomalies {
            let count = kinds.entry(anomaly.kind.id()).or_default();
            *count += 1;
            if *count < 6 {
                let name = String::from_utf8_lossy(anomaly.name);
                println!("  {} at {} `{name}`", anomaly.kind.id(), anomaly.offset);
            }
        }
        let mut theirs = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        let ours: Vec<_> = archive.entries().map(|entry| entry.unwrap()).collect();
        assert_eq!(ours.len(), theirs.len(), "{}", file.display());
        for (index, entry) in ours.iter().enumerate() {
            let other = theirs.by_index_raw(index).unwrap();
            assert_eq!(entry.name(), other.name_raw());
            assert_eq!(entry.central.crc, other.crc32());
            assert_eq!(entry.central.compressed_size, other.compressed_size());
            assert_eq!(entry.central.uncompressed_size, other.size());
            assert_eq!(Some(entry.data_range().unwrap().start), other.data_start());
        }
    }
    println!("{} files, {odd} with anomalies: {kinds:?}", files.len());
    assert_eq!(odd, 0);
    assert!(opened > 10, "{opened} archives");
}
