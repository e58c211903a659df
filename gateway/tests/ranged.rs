//! A file that is read in pieces is judged as its bytes are, or blocked for its size.
//!
//! Every vector, damaged archives, and the real models of the cache, under limits that make each
//! of them a long file; then files of ten gigabytes, of which a few megabytes are read.

#[path = "common/content.rs"]
mod content;
#[path = "common/damage.rs"]
mod damage;
#[path = "common/files.rs"]
mod files;
#[path = "common/numbers.rs"]
mod numbers;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use damage::damage;
use files::files;
use numbers::Numbers;
use secure_torch::{Policy, Ranged, ReadAt, Report, Source, Verdict, scan, scan_ranged};
use secure_torch_core::limits::Limits;

/// A policy under which files of more than `whole` bytes are judged by pieces, of which `held` are
/// held.
fn policy(whole: u64, held: u64) -> Policy {
    let mut limits = Limits::default();
    limits.file.whole_bytes = whole;
    limits.file.held_bytes = held;
    Policy { limits, ..Policy::default() }
}

/// Whether a report says that nothing was judged, and nothing else.
fn is_refusal(report: &Report) -> bool {
    report.verdict == Verdict::Block
        && report.reasons.iter().any(|reason| reason.starts_with("not judged: "))
        && report.findings.len() == 1
        && report.findings[0].subject == "too-large"
}

/// Bytes of which it is known how many were read.
struct Counting<R> {
    bytes: R,
    read: Cell<u64>,
    /// Whether all of them were asked for at once.
    whole: Cell<bool>,
    length: u64,
}

impl<R> Counting<R> {
    fn new(bytes: R, length: u64) -> Rc<Self> {
        Rc::new(Self { bytes, read: Cell::new(0), whole: Cell::new(false), length })
    }
}

impl<R: ReadAt> ReadAt for Counting<R> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read.set(self.read.get() + buffer.len() as u64);
        self.whole.set(buffer.len() as u64 == self.length);
        self.bytes.read_at(offset, buffer)
    }
}

/// How many files were judged by pieces, read whole in the end, and refused, by format.
#[derive(Default)]
struct Count(BTreeMap<&'static str, [u64; 3]>);

impl Count {
    /// Judges a file both ways.
    fn add(&mut self, what: &str, name: &str, bytes: &[u8], policy: &Policy) {
        let whole = scan(&Source::from_bytes(name, bytes.to_vec()), policy);
        let reader = Counting::new(bytes.to_vec(), bytes.len() as u64);
        let file = Ranged::new(name, bytes.len() as u64, Rc::clone(&reader));
        let ranged = scan_ranged(&file, policy).unwrap();
        let same = ranged.json() == whole.json();
        assert!(
            same || is_refusal(&ranged),
            "{what}: {name} of {} bytes\n{}\n{}",
            bytes.len(),
            whole.json(),
            ranged.json()
        );
        // Its start may be all of a short one, and then it is read again for its bytes.
        let whole_in_the_end = reader.whole.get() && reader.read.get() > bytes.len() as u64;
        let outcome = if same { usize::from(whole_in_the_end) } else { 2 };
        self.0.entry(whole.format).or_default()[outcome] += 1;
    }

    fn print(&self, what: &str) {
        println!("{what}: judged by pieces, read whole after all, refused");
        for (format, counts) in &self.0 {
            println!("    {format:16} {counts:?}");
        }
    }

    fn of(&self, format: &str) -> [u64; 3] {
        self.0.get(format).copied().unwrap_or_default()
    }
}

#[test]
fn vectors_are_judged_alike_or_refused() {
    let vectors = files(usize::MAX);
    for (whole, held) in [(0, 1 << 30), (1 << 10, 1 << 16), (0, 1 << 12), (0, 0)] {
        let mut count = Count::default();
        for (id, name, bytes) in &vectors {
            count.add(id, name, bytes, &policy(whole, held));
        }
        count.print(&format!("vectors, {whole} whole and {held} held"));
        // What PyTorch and safetensors write is judged by pieces, but for a few that are several
        // things at once or of which a member is broken.
        for format in ["pytorch-zip", "torchscript", "safetensors", "gguf", "pytorch-legacy"] {
            let [pieces, whole, refused] = count.of(format);
            assert!(held < 1 << 16 || pieces > 3 * (whole + refused), "{format}");
        }
    }
}

#[test]
fn damaged_files_are_judged_alike_or_refused() {
    let vectors = files(1 << 16);
    let mut numbers = Numbers::seeded(0x5eed_0002);
    let mut count = Count::default();
    let policies = [policy(0, 1 << 30), policy(0, 1 << 11)];
    for round in 0..20_000 {
        let (id, name, bytes) = &vectors[numbers.below(vectors.len())];
        let (_, _, other) = &vectors[numbers.below(vectors.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=numbers.below(3) {
            damage(&mut numbers, &mut bytes, other);
        }
        count.add(id, name, &bytes, &policies[round % 2]);
    }
    count.print("damaged vectors");
}

#[test]
fn safetensors_that_start_as_an_archive_are_judged_alike() {
    // Their header's length spells the signature: only a raised limit lets it be read as a start.
    let header = u32::from_le_bytes(*b"PK\x03\x04");
    let mut bytes = u64::from(header).to_le_bytes().to_vec();
    // With its end of line, the first bytes are no pickle of which more would have to be read.
    bytes.extend(b"{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}\n");
    bytes.resize(8 + header as usize, b' ');
    bytes.extend([0; 8]);
    let (length, mut count) = (bytes.len() as u64, Count::default());
    count.add("archive", "model", &bytes, &policy(length - 8, 2 * length));
    // One that ends before its header does is decided by its first bytes, under any limit.
    count.add("archive", "model", &bytes[..100], &policy(0, 1 << 11));
    assert_eq!(count.of("safetensors"), [2, 0, 0]);
}

/// The real models of `SECURE_TORCH_INPUTS`: `cargo xtask test` names the folder, and says so where
/// there is none.
fn models() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("SECURE_TORCH_INPUTS") else { return Vec::new() };
    let text = fs::read_to_string(Path::new(&folder).join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = index.as_array().unwrap().iter();
    let paths: Vec<PathBuf> = paths.map(|entry| entry["path"].as_str().unwrap().into()).collect();
    assert!(!paths.is_empty());
    paths
}

#[test]
fn real_models_are_judged_alike_or_refused() {
    let models = models();
    if models.is_empty() {
        println!("skipped: `SECURE_TORCH_INPUTS` names no folder");
        return;
    }
    for (whole, held) in [(0, 1 << 30), (1 << 16, 1 << 22)] {
        let mut count = Count::default();
        let (mut length, mut read) = (0, 0);
        let policy = policy(whole, held);
        for path in models.iter().filter(|path| path.is_file()) {
            let file = File::open(path).unwrap();
            let size = file.metadata().unwrap().len();
            let name = path.file_name().unwrap().to_str().unwrap();
            let reader = Counting::new(file, size);
            let ranged = scan_ranged(&Ranged::new(name, size, Rc::clone(&reader)), &policy);
            let ranged = ranged.unwrap();
            let whole = scan(&Source::from_bytes(name, fs::read(path).unwrap()), &policy);
            let same = ranged.json() == whole.json();
            assert!(same || is_refusal(&ranged), "{}\n{}", path.display(), ranged.json());
            let in_the_end = reader.whole.get() && reader.read.get() > size;
            let outcome = if same { usize::from(in_the_end) } else { 2 };
            count.0.entry(whole.format).or_default()[outcome] += 1;
            if size > 1 << 20 && matches!(whole.format, "pytorch-zip" | "safetensors") {
                assert_eq!(outcome, 0, "{} is judged by pieces", path.display());
                length += size;
                read += reader.read.get();
            }
        }
        assert!(length > 0, "no long model is there");
        count.print(&format!("models, {whole} whole and {held} held"));
        println!("    of {length} bytes in PyTorch archives and safetensors {read} were read");
    }
}

const TEN_GB: u64 = 10_000_000_000;

/// A file of the file system that is nearly all holes, which take no room.
fn sparse(parts: &[(u64, &[u8])], length: u64) -> tempfile::NamedTempFile {
    use std::io::{Seek, SeekFrom, Write};

    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (at, bytes) in parts {
        file.seek(SeekFrom::Start(*at)).unwrap();
        file.write_all(bytes).unwrap();
    }
    file.as_file().set_len(length).unwrap();
    file
}

/// Judges a file by pieces and as a mapping, under one name: the report, and how much was read.
fn both_ways(file: &tempfile::NamedTempFile, name: &str) -> (Report, u64) {
    let length = file.as_file().metadata().unwrap().len();
    let reader = Counting::new(file.reopen().unwrap(), length);
    let ranged = Ranged::new(name, length, Rc::clone(&reader));
    let report = scan_ranged(&ranged, &Policy::default()).unwrap();
    // A report is of the path that was opened.
    let mut mapped = scan(&Source::open(file.path()).unwrap(), &Policy::default());
    let mismatch = mapped.findings.iter().any(|finding| finding.rule == "format.mismatch");
    assert!(!mismatch, "a name without an ending promises nothing");
    name.clone_into(&mut mapped.path);
    assert_eq!(report.json(), mapped.json());
    (report, reader.read.get())
}

/// A ZIP64 archive of stored members: its parts that are not zeros.
struct Zip {
    parts: Vec<(u64, Vec<u8>)>,
    directory: Vec<u8>,
    at: u64,
    members: u64,
}

impl Zip {
    fn new() -> Self {
        Self { parts: Vec::new(), directory: Vec::new(), at: 0, members: 0 }
    }

    fn member(&mut self, name: &str, content: &[u8], length: u64, crc: u32) {
        let mut both = Vec::new();
        both.extend(45_u16.to_le_bytes());
        both.extend([0; 8]);
        both.extend(crc.to_le_bytes());
        both.extend([0xff; 8]);
        both.extend((name.len() as u16).to_le_bytes());
        let mut zip64 = vec![1, 0, 16, 0];
        zip64.extend(length.to_le_bytes());
        zip64.extend(length.to_le_bytes());
        let mut local = b"PK\x03\x04".to_vec();
        local.extend(&both);
        local.extend((zip64.len() as u16).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend(&zip64);
        local.extend(content);

        self.directory.extend(b"PK\x01\x02-\0");
        self.directory.extend(&both);
        zip64[2] = 24;
        zip64.extend(self.at.to_le_bytes());
        self.directory.extend((zip64.len() as u16).to_le_bytes());
        self.directory.extend([0; 10]);
        self.directory.extend([0xff; 4]);
        self.directory.extend(name.as_bytes());
        self.directory.extend(&zip64);

        let header = local.len() - content.len();
        self.parts.push((self.at, local));
        self.at += header as u64 + length;
        self.members += 1;
    }

    fn finish(mut self) -> tempfile::NamedTempFile {
        let (start, size) = (self.at, self.directory.len() as u64);
        let mut end = self.directory;
        end.extend(b"PK\x06\x06");
        end.extend(44_u64.to_le_bytes());
        end.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [self.members, self.members, size, start] {
            end.extend(number.to_le_bytes());
        }
        end.extend(b"PK\x06\x07\0\0\0\0");
        end.extend((start + size).to_le_bytes());
        end.extend(1_u32.to_le_bytes());
        end.extend(b"PK\x05\x06\0\0\0\0");
        end.extend([0xff; 12]);
        end.extend([0; 2]);
        let length = start + end.len() as u64;
        self.parts.push((start, end));
        let parts: Vec<(u64, &[u8])> =
            self.parts.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
        sparse(&parts, length)
    }
}

/// `torch.save({})`'s archive with a storage of so many bytes in each of `count` members, and a
/// pickle.
fn torch_archive(pickle: &[u8], count: u64, each: u64) -> tempfile::NamedTempFile {
    let mut zip = Zip::new();
    zip.member("archive/data.pkl", pickle, pickle.len() as u64, crc32(pickle));
    zip.member("archive/byteorder", b"little", 6, crc32(b"little"));
    for key in 0..count {
        // Nobody checks the sum of what is not read.
        zip.member(&format!("archive/data/{key}"), b"\0\0\x80\x3f", each, 0x1234_5678);
    }
    zip.member("archive/version", b"3\n", 2, crc32(b"3\n"));
    zip.finish()
}

/// The CRC-32 of ISO 3309, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn an_archive_of_ten_gigabytes_is_judged_by_a_few_megabytes() {
    // Its first bytes are a pickle's too, up to the end of a line.
    let honest = b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\x01.";
    let (report, read) = both_ways(&torch_archive(honest, 500, TEN_GB / 500), "model");
    println!("ten gigabytes in 500 storages: {read} bytes were read");
    assert_eq!((report.verdict, report.format), (Verdict::Allow, "pytorch-zip"), "{report:?}");
    assert!(report.size_bytes > TEN_GB && read < 4 << 20, "{read}");

    let hostile = b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.";
    let (report, read) = both_ways(&torch_archive(hostile, 1, TEN_GB), "model");
    assert_eq!(report.verdict, Verdict::Block);
    assert!(report.globals.iter().any(|global| global.python3 == "posix.system"));
    assert!(read < 1 << 20, "{read}");
}

#[test]
fn safetensors_of_ten_gigabytes_are_judged_by_their_header() {
    let tensor = TEN_GB / 400 / 4 * 4;
    let entries: Vec<String> = (0..400)
        .map(|at| {
            let (start, end) = (at * tensor, (at + 1) * tensor);
            let shape = tensor / 4;
            format!(
                "\"layer.{at}.weight\":{{\"dtype\":\"F32\",\"shape\":[{shape}],\"data_offsets\":[{start},{end}]}}"
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let header = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let front = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let length = front.len() as u64 + 400 * tensor;
    let (report, read) = both_ways(&sparse(&[(0, &front)], length), "model");
    println!("ten gigabytes of safetensors: {read} bytes were read");
    assert_eq!((report.verdict, report.format), (Verdict::Allow, "safetensors"), "{report:?}");
    assert!(read < 4 << 20, "{read}");
    // One byte too many is what it is in a short file.
    let (report, _) = both_ways(&sparse(&[(0, &front)], length + 1), "model");
    assert_eq!(report.verdict, Verdict::Block);
    assert!(report.score_breakdown.contains_key("safetensors.structure"));
    // What stands behind the tensors is looked for. A second reader would look for it everywhere.
    let mut zip = Zip::new();
    zip.member("archive/data.pkl", b"\x80\x02}q\0.", 6, crc32(b"\x80\x02}q\0."));
    let zip = fs::read(zip.finish().path()).unwrap();
    let at = length - zip.len() as u64;
    let file = sparse(&[(0, &front), (at, &zip)], length);
    let reader = Counting::new(file.reopen().unwrap(), length);
    let ranged = Ranged::new("model", length, Rc::clone(&reader));
    let report = scan_ranged(&ranged, &Policy::default()).unwrap();
    assert!(is_refusal(&report), "{report:?}");
    assert!(reader.read.get() < 32 << 20);
}

#[test]
fn what_takes_the_whole_file_is_refused() {
    let starts: [&[u8]; 6] =
        [b"", b"\x80\x02}q\0.", b"\x93NUMPY\x01\0", b"\x89HDF\r\n\x1a\n", b"BZh9", b"{\"a\": 1,"];
    for start in starts {
        let file = sparse(&[(0, start)], TEN_GB);
        let reader = Counting::new(file.reopen().unwrap(), TEN_GB);
        let ranged = Ranged::new("model", TEN_GB, Rc::clone(&reader));
        // Whatever a caller lets through, nobody has looked at this.
        let policy = Policy { max_threat_score: 100, ..Policy::default() };
        let report = scan_ranged(&ranged, &policy).unwrap();
        assert!(is_refusal(&report), "{start:?}: {report:?}");
        assert!(reader.read.get() < 80 << 20, "{}", reader.read.get());
    }
}

/// Fails once so many pieces were read.
struct Failing {
    bytes: Vec<u8>,
    left: Rc<Cell<u64>>,
}

impl ReadAt for Failing {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| io::Error::other("the cable"))?);
        self.bytes.read_at(offset, buffer)
    }
}

#[test]
fn a_piece_that_cannot_be_read_is_an_error() {
    let (_, name, bytes) = files(1 << 16)
        .into_iter()
        .find(|(_, name, bytes)| name == "model.pt" && bytes.starts_with(b"PK"))
        .unwrap();
    let policy = policy(0, 1 << 20);
    let length = bytes.len() as u64;
    let mut failed = 0;
    loop {
        let left = Rc::new(Cell::new(failed));
        let reader = Failing { bytes: bytes.clone(), left: Rc::clone(&left) };
        match scan_ranged(&Ranged::new(&name, length, reader), &policy) {
            Ok(report) => {
                let whole = scan(&Source::from_bytes(&name, bytes.clone()), &policy);
                assert_eq!(report.json(), whole.json());
                break;
            }
            Err(error) => assert_eq!(error.code().name(), "io-failed"),
        }
        failed += 1;
    }
    assert!(failed > 3, "{failed}");
}
