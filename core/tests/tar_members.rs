//! Tar archives: what a member is, and one archive for each way in which readers part.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeSet;

use secure_torch_core::format::tar::{AnomalyKind as Kind, Archive, Slot, TarErrorKind, is_tar};

/// One header with its content, padded.
#[derive(Clone)]
struct Block {
    header: [u8; 512],
    content: Vec<u8>,
    padding: Vec<u8>,
}

impl Block {
    fn new(typeflag: u8, name: &[u8], content: &[u8]) -> Self {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = typeflag;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let padding = vec![0; content.len().next_multiple_of(512) - content.len()];
        Self { header, content: content.to_vec(), padding }
    }

    fn with(mut self, change: impl FnOnce(&mut [u8; 512])) -> Self {
        change(&mut self.header);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = self.header;
        if header[148..156] == [0; 8] {
            header[148..156].fill(b' ');
            let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        [&header[..], &self.content, &self.padding].concat()
    }
}

fn file(name: &str, content: &[u8]) -> Block {
    Block::new(b'0', name.as_bytes(), content)
}

fn pax(records: &[(&str, &str)]) -> Block {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        content.extend(format!("{length} {key}={value}\n").bytes());
    }
    Block::new(b'x', b"PaxHeaders/x", &content)
}

fn tar(blocks: &[Block]) -> Vec<u8> {
    let mut bytes: Vec<u8> = blocks.iter().flat_map(Block::bytes).collect();
    bytes.resize((bytes.len() + 1024).next_multiple_of(10_240), 0);
    bytes
}

fn kinds(bytes: &[u8]) -> Vec<Kind> {
    let archive = Archive::open(bytes).unwrap();
    let mut slots = vec![Slot::default(); archive.member_bound() as usize];
    let mut found = Vec::new();
    archive.audit(&mut slots, &mut |anomaly| found.push(anomaly.kind));
    found.sort_by_key(|kind| kind.id());
    found.dedup();
    found
}

#[track_caller]
fn expect(blocks: &[Block], expected: &[Kind]) {
    let mut expected = expected.to_vec();
    expected.sort_by_key(|kind| kind.id());
    assert_eq!(kinds(&tar(blocks)), expected);
}

fn names(bytes: &[u8]) -> Vec<String> {
    let members = Archive::open(bytes).unwrap().members();
    members
        .map_while(Result::ok)
        .map(|member| {
            String::from_utf8_lossy(&member.name.bytes().collect::<Vec<_>>()).into_owned()
        })
        .collect()
}

fn a() -> Block {
    file("a", b"hello")
}

fn z() -> Block {
    file("z", &[1; 512])
}

#[test]
fn honest_forms_are_quiet() {
    expect(&[a(), z()], &[]);
    expect(&[Block::new(0, b"a", b"v7").with(|h| h[257..265].fill(0)), z()], &[]);
    expect(&[Block::new(b'5', b"folder/", b""), file("folder/a", b"x")], &[]);
    expect(&[Block::new(b'5', b"./", b""), file("./a", b"x")], &[]);
    let split = file("b", b"x").with(|h| h[345..351].copy_from_slice(b"prefix"));
    let bytes = tar(&[split]);
    assert_eq!(kinds(&bytes), []);
    assert_eq!(names(&bytes), ["prefix/b"]);
    let long = "long/".repeat(40) + "name";
    let gnu = Block::new(b'L', b"././@LongLink", format!("{long}\0").as_bytes());
    let bytes = tar(&[gnu, file(&long[..100], b"x"), z()]);
    assert_eq!(kinds(&bytes), []);
    assert_eq!(names(&bytes), [&long, "z"]);
    let bytes = tar(&[pax(&[("path", &long), ("mtime", "1.5")]), file(&long[..100], b"x"), z()]);
    assert_eq!(kinds(&bytes), []);
    assert_eq!(names(&bytes), [&long, "z"]);
    expect(&[pax(&[("path", "é")]), file("?", b"x")], &[]);
    // `git archive` names its commit in a global header.
    let mut global = pax(&[("comment", "0123456789abcdef")]);
    global.header[156] = b'g';
    expect(&[global, a()], &[]);
    // Base 256, and the signed checksum of old writers.
    let wide = a().with(|h| {
        h[124..136].fill(0);
        h[124] = 0x80;
        h[135] = 5;
    });
    expect(&[wide, z()], &[]);
    let mut signed = file("a", b"x").with(|h| h[265] = 0xE9);
    signed.header[148..156].fill(b' ');
    let sum: i64 = signed.header.iter().map(|&byte| i64::from(byte as i8)).sum();
    signed.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    expect(&[signed, z()], &[]);
}

#[test]
fn members_are_what_they_are() {
    let bytes = tar(&[a(), z(), file("a", b"again")]);
    let archive = Archive::open(&bytes).unwrap();
    let members: Vec<_> = archive.members().map(Result::unwrap).collect();
    assert_eq!(members.len(), 3);
    assert_eq!(members[1].header_offset, 1024);
    assert_eq!(members[1].data_range(), 1536..2048);
    assert_eq!(members[1].index, 1);
    assert!(members[1].is_file() && !members[1].is_folder());
    // `tarfile.getmember` returns the last.
    assert_eq!(archive.find(b"a").unwrap().index, 2);
    assert!(archive.find(b"b").is_none());
    assert!(is_tar(&bytes));
}

#[test]
fn not_an_archive() {
    assert!(!is_tar(b""));
    assert!(!is_tar(&[0; 10_240]));
    assert!(!is_tar(&[b'x'; 512]));
    let mut bytes = tar(&[a()]);
    bytes[0] ^= 1;
    assert_eq!(Archive::open(&bytes).unwrap_err().kind, TarErrorKind::Checksum);
    assert_eq!(Archive::open(&bytes[..511]).unwrap_err().kind, TarErrorKind::Truncated);
}

#[test]
fn broken_members_end_the_walk() {
    let mut bytes = tar(&[a(), z(), a()]);
    bytes[1024] ^= 1;
    assert_eq!(kinds(&bytes), [Kind::Checksum]);
    assert_eq!(names(&bytes), ["a"]);
    expect(&[a(), z().with(|h| h[124..128].copy_from_slice(b"0o17"))], &[Kind::Number]);
    expect(&[a(), z().with(|h| h[108] = b'x')], &[Kind::Number]);
    let negative = z().with(|h| h[124..136].fill(0xFF));
    expect(&[a(), negative], &[Kind::Number]);
    let huge = z().with(|h| h[124..135].fill(b'7'));
    expect(&[a(), huge], &[Kind::Truncated]);
    expect(&[a(), pax(&[("path", "b")])], &[Kind::Extension]);
    let too_long = Block::new(b'L', b"x", &vec![b'a'; (1 << 20) + 1]);
    expect(&[a(), too_long, z()], &[Kind::Extension]);
}

#[test]
fn sizes() {
    // The desync: the header says nothing, the pax header hides a member in the data.
    let inner = file("evil", b"x").bytes();
    let outer = file("b", &inner).with(|h| h[124..135].fill(b'0'));
    expect(&[pax(&[("size", "1024")]), outer, z()], &[Kind::PaxSize]);
    expect(&[pax(&[("size", "5")]), a()], &[]);
    expect(&[pax(&[("size", "x")]), a()], &[Kind::PaxRecord]);
    let folder = Block::new(b'5', b"b/", b"").with(|h| h[124..135].copy_from_slice(b"00000001000"));
    expect(&[folder, z()], &[Kind::SizeWithoutData]);
    expect(&[file("b/", b"x"), z()], &[Kind::FolderWithData]);
    let old_folder = Block::new(0, b"b/", b"").with(|h| h[134] = b'7');
    expect(&[old_folder, z()], &[Kind::SizeWithoutData]);
}

#[test]
fn extension_headers() {
    expect(&[pax(&[("path", "other")]), a()], &[Kind::NamesDisagree]);
    let long = Block::new(b'L', b"L", b"other\0");
    expect(&[long.clone(), a()], &[Kind::NamesDisagree]);
    let long_a = Block::new(b'L', b"L", b"a\0");
    expect(&[pax(&[("path", "a")]), long_a.clone(), a()], &[Kind::MixedExtensions]);
    expect(&[pax(&[("path", "a")]), pax(&[("path", "a")]), a()], &[Kind::MixedExtensions]);
    expect(&[pax(&[("path", "a"), ("path", "a")]), a()], &[Kind::PaxRecord]);
    let mut broken = pax(&[("path", "a")]);
    broken.content[0] = b'x';
    expect(&[broken, a()], &[Kind::PaxRecord]);
    let mut global = pax(&[("size", "0")]);
    global.header[156] = b'g';
    expect(&[global, a()], &[Kind::GlobalOverride]);
    let mut runs_on = Block::new(b'L', b"L", b"a");
    runs_on.padding[0] = b'b';
    expect(&[runs_on, a()], &[Kind::LongNameSize, Kind::NamesDisagree]);
    let gnu = file("b", b"x").with(|h| {
        h[257..265].copy_from_slice(b"ustar  \0");
        h[345] = b'p';
    });
    expect(&[gnu], &[Kind::PrefixWithoutUstar]);
    expect(&[pax(&[("GNU.sparse.name", "a")]), a()], &[Kind::Sparse]);
    expect(&[Block::new(b'S', b"s", b"x"), a()], &[Kind::Sparse]);
    expect(&[Block::new(b'Q', b"q", b"x"), a()], &[Kind::UnknownType]);
}

#[test]
fn traversal() {
    let link = |typeflag| Block::new(typeflag, b"b", b"").with(|h| h[157] = b'a');
    let bytes = tar(&[link(b'2')]);
    let member = Archive::open(&bytes).unwrap().members().next().unwrap().unwrap();
    assert_eq!(member.link_name, b"a");
    expect(&[a(), link(b'1')], &[Kind::Link]);
    expect(&[a(), link(b'2')], &[Kind::Link]);
    expect(&[Block::new(b'3', b"b", b"")], &[Kind::SpecialFile]);
    for (name, kind) in [
        ("/a", Kind::NameAbsolute),
        ("../a", Kind::NameParent),
        ("C:a", Kind::NameDrive),
        ("././a", Kind::NameDot),
        ("a//b", Kind::NameDot),
        ("a\\b", Kind::NameBackslash),
        ("a\nb", Kind::NameControl),
        ("", Kind::NameEmpty),
    ] {
        expect(&[file(name, b"x")], &[kind]);
    }
    let split = file("../b", b"x").with(|h| h[345] = b'p');
    expect(&[split], &[Kind::NameParent]);
    expect(&[pax(&[("path", "é\0b")]), a()], &[Kind::NameNul]);
}

#[test]
fn repeated_names() {
    expect(&[a(), z(), a()], &[Kind::DuplicateName]);
    expect(&[a(), file("A", b"x")], &[Kind::NameFolded]);
    expect(&[a(), file("./a", b"x")], &[Kind::DuplicateName]);
    let split = file("b", b"x").with(|h| h[345] = b'p');
    expect(&[split, file("p/b", b"x")], &[Kind::DuplicateName]);
    let long = "long/".repeat(40) + "name";
    let named = pax(&[("path", &long)]);
    expect(&[named.clone(), a(), named, z()], &[Kind::DuplicateName]);
    let archive = tar(&[a(), z()]);
    let mut found = Vec::new();
    let archive = Archive::open(&archive).unwrap();
    archive.audit(&mut [Slot::default()], &mut |anomaly| found.push(anomaly.kind));
    assert_eq!(found, [Kind::ScratchExhausted]);
}

#[test]
fn the_end() {
    let mut bytes = tar(&[a()]);
    bytes.truncate(1024);
    assert_eq!(kinds(&bytes), [Kind::EndMissing]);
    bytes.resize(1536, 0);
    assert_eq!(kinds(&bytes), [Kind::EndMissing]);
    bytes.resize(2048, 0);
    assert_eq!(kinds(&bytes), []);
    bytes.extend(z().bytes());
    assert_eq!(kinds(&bytes), [Kind::TrailingData]);
    assert_eq!(names(&bytes), ["a"]);
    let mut zeros = tar(&[a()]);
    zeros.resize(2 << 20, 0);
    assert_eq!(kinds(&zeros), [Kind::TrailingData]);
    let mut cut = tar(&[a()]);
    cut.truncate(1024);
    cut.extend([1; 100]);
    assert_eq!(kinds(&cut), [Kind::Truncated]);
}

#[test]
fn mutants_neither_panic_nor_loop() {
    let long = "long/".repeat(40) + "name";
    let base = tar(&[
        Block::new(b'L', b"L", format!("{long}\0").as_bytes()),
        a(),
        pax(&[("path", &long), ("size", "512")]),
        z(),
        file("s", &[2; 700]),
    ]);
    let plain = tar(&[a(), z(), file("dir/file", &[3; 3000]), Block::new(b'5', b"dir2/", b"")]);
    let mut state = 1_u64;
    let mut below = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    // Quiet mutants and what we see in them go here, for `tarfile` to judge.
    let keep = std::env::var("SECURE_TORCH_KEEP").ok();
    for case in 0..20_000 {
        let mut bytes = if case % 2 == 0 { base.clone() } else { plain.clone() };
        for _ in 0..=below(4) {
            let at = below(bytes.len().min(7000));
            bytes[at] = [0, b'0', b'7', 0x80, 0xFF, b'x', b'L', b'S'][below(8)];
        }
        // Repair the checksums, so that the mutation is seen.
        for block in bytes.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                block[148..156].fill(b' ');
                let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if below(3) == 0 {
            bytes.truncate(below(bytes.len()) + 1);
        }
        let Ok(archive) = Archive::open(&bytes) else {
            continue;
        };
        assert!(archive.members().count() as u64 <= archive.member_bound() + 1);
        for member in archive.members().map_while(Result::ok) {
            assert!(member.data_range().end <= bytes.len() as u64);
        }
        let mut slots = vec![Slot::default(); archive.member_bound() as usize];
        let mut quiet = true;
        archive.audit(&mut slots, &mut |_| quiet = false);
        if let (true, Some(folder)) = (quiet, &keep) {
            std::fs::write(format!("{folder}/{case}.tar"), &bytes).unwrap();
            let mut lines = Vec::new();
            for member in archive.members().map(Result::unwrap) {
                let start = member.data_range().start;
                lines.extend(member.name.bytes());
                lines.extend(format!("\t{start}\t{}\t{}\n", member.size, member.typeflag).bytes());
            }
            std::fs::write(format!("{folder}/{case}.txt"), lines).unwrap();
        }
    }
}

#[test]
fn kinds_have_unique_ids() {
    let ids: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
    assert_eq!(ids.len(), Kind::ALL.len());
}

/// Tar files that honest writers made: set `SECURE_TORCH_TARS` to files, separated by `:`.
#[test]
fn real_archives() {
    let Ok(files) = std::env::var("SECURE_TORCH_TARS") else {
        println!("skipped: SECURE_TORCH_TARS is not set");
        return;
    };
    for file in files.split(':') {
        let bytes = std::fs::read(file).unwrap();
        if let Err(error) = Archive::open(&bytes) {
            println!("{file}: {error}");
            continue;
        }
        println!("{file}: {:?}, {} members", kinds(&bytes), names(&bytes).len());
    }
}
