//! Files that are meant to hurt whoever reads them: each ends in a finding or a typed error,
//! soon, and without much memory.

use std::fs::File;
use std::io::{Cursor, Write};

use secure_torch::{Code, Policy, Source, Verdict, scan, scan_path};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn judge(name: &str, bytes: Vec<u8>) -> secure_torch::Report {
    let report = scan(&Source::from_bytes(name, bytes), &Policy::default());
    assert_eq!(report.verdict, Verdict::Block, "{name}");
    report
}

fn hits(report: &secure_torch::Report, rule: &str) -> bool {
    report.score_breakdown.contains_key(rule)
}

fn zip_of(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_empty_file_is_blocked() {
    let report = judge("model.pt", Vec::new());
    assert!(hits(&report, "format.unknown"));
    assert_eq!(report.findings[0].message, "the file is empty");
}

#[test]
fn a_sparse_file_of_ten_gigabytes_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(10 << 30).unwrap();
    let report = scan_path(file.path(), &Policy::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Block);
    assert_eq!(report.size_bytes, 10 << 30);
    assert!(report.bytes_examined < 1 << 20, "{}", report.bytes_examined);
}

#[test]
fn a_folder_in_place_of_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = scan_path(folder.path(), &Policy::default()).unwrap_err();
    assert_eq!(error.code(), Code::NotAFile);
}

#[test]
fn archives_two_hundred_deep_end_at_the_limit() {
    let mut inner = b"cposix\nsystem\n(S'echo secure-torch-vector'\ntR.".to_vec();
    for level in 0..200 {
        inner = zip_of(&[(&format!("level{level}"), &inner)], CompressionMethod::Stored);
    }
    assert!(hits(&judge("model.zip", inner), "archive.bomb"));
}

#[test]
fn a_member_that_unpacks_to_gigabytes_is_cut_off() {
    // Zeros pack a thousandfold; what is unpacked stays under the ratio's limit.
    let zeros = vec![0; 64 << 20];
    let bomb = zip_of(&[("archive/data.pkl", &zeros)], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 20);
    let report = judge("model.pt", bomb);
    assert!(hits(&report, "archive.bomb"));
}

#[test]
fn many_members_end_at_the_limit() {
    let mut policy = Policy::default();
    policy.limits.archive.entries = 10;
    let names: Vec<String> = (0..11).map(|index| format!("n{index}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let bytes = zip_of(&members, CompressionMethod::Stored);
    let report = scan(&Source::from_bytes("model.zip", bytes), &policy);
    assert!(hits(&report, "archive.bomb"));
}

#[test]
fn archives_that_share_their_bytes_are_not_walked_once_for_each_name() {
    // Ten names for the same archive on each of eight levels: a hundred million walks.
    let mut inner = b"\x80\x02}.".to_vec();
    for _ in 0..7 {
        inner = repeat_entry(&zip_of(&[("n0", &inner)], CompressionMethod::Stored), 10);
    }
    let report = judge("model.zip", inner);
    assert!(hits(&report, "archive.ambiguous"));
    assert!(report.parts.len() < 1_000);
}

/// An archive of one entry with its central header repeated under other names.
fn repeat_entry(archive: &[u8], times: u8) -> Vec<u8> {
    let end = archive.len() - 22;
    let directory = u32::from_le_bytes(archive[end + 16..end + 20].try_into().unwrap()) as usize;
    let header = &archive[directory..end];
    let mut out = archive[..directory].to_vec();
    for index in 0..times {
        let mut header = header.to_vec();
        header[47] = b'0' + index;
        out.extend(header);
    }
    let mut record = archive[end..].to_vec();
    let size = u32::try_from(out.len() - directory).unwrap();
    record[8..10].copy_from_slice(&u16::from(times).to_le_bytes());
    record[10..12].copy_from_slice(&u16::from(times).to_le_bytes());
    record[12..16].copy_from_slice(&size.to_le_bytes());
    out.extend(record);
    out
}

#[test]
fn a_file_that_shrinks_while_it_is_judged_is_an_error() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b'N'; 1 << 20]).unwrap();
    let source = Source::open(file.path()).unwrap();
    File::options().write(true).open(file.path()).unwrap().set_len(100).unwrap();
    let report = scan(&source, &Policy::default());
    assert_eq!(report.verdict, Verdict::Block);
    assert_eq!(source.verify_unchanged().unwrap_err().code(), Code::Changed);
}

#[test]
fn a_thousand_findings_do_not_hide_the_one_that_counts() {
    // Unknown globals fill every list of the report before the dangerous one comes.
    let mut stream = Vec::new();
    for index in 0..3_000 {
        stream.extend(format!("cmodule{index}\nname\n0").bytes());
    }
    stream.extend(b"cposix\nsystem\n(S'echo secure-torch-vector'\ntR.");
    let report = judge("model.pkl", stream);
    assert!(hits(&report, "pickle.global.dangerous"));
    assert!(report.findings_omitted > 0 && report.globals_omitted > 0);
    assert!(
        report.findings.iter().any(|finding| finding.rule == "pickle.global.dangerous"),
        "the weightiest rule is not among the findings that are kept"
    );
}

#[test]
fn every_length_of_a_pickle_is_judged() {
    let whole = b"\x80\x04\x95\x2e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x17echo secure-torch-vector\x85R.";
    for length in 0..whole.len() {
        judge("model.pkl", whole[..length].to_vec());
    }
}
