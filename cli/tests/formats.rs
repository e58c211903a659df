//! `--format` and `--output`: what pipelines take.
//!
//! Schemas and renderers of others check the contents in `tests/python/test_outputs.py`.

mod common;

use std::fs;

use common::{BENIGN, Folder, HOSTILE, UNKNOWN, command, run};
use serde_json::Value;

const FORMATS: [&str; 5] = ["table", "markdown", "json", "sarif", "junit"];

#[test]
fn every_format_ends_with_the_code_of_the_verdicts() {
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let benign = folder.file("benign.pkl", BENIGN);
    let missing = folder.path().join("missing.pt");
    for format in FORMATS {
        let scan = ["scan", "--format", format];
        assert_eq!(run(&scan, &[&benign]).code(), 0, "{format}");
        assert_eq!(run(&scan, &[&benign, &hostile]).code(), 1, "{format}");
        assert_eq!(run(&scan, &[&benign, &missing]).code(), 2, "{format}");
        // Only the text report is coloured.
        let colored = run(&["scan", "--color", "always", "--format", format], &[&hostile]).out();
        assert!(!colored.contains('\u{1b}'), "{format}");
    }
}

#[test]
fn the_output_file_has_the_format_and_the_terminal_the_text() {
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let place = folder.path().join("scan.sarif");
    let file = place.to_str().unwrap();
    let ran = run(&["scan", "--format", "sarif", "--output", file], &[&hostile]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("BLOCKED  CRITICAL"), "{}", ran.out());
    let log: Value = serde_json::from_slice(&fs::read(&place).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["invocations"][0]["exitCode"], 1);
    // A second run replaces the file, and `--quiet` shortens only what is on the terminal.
    let unknown = folder.file("unknown.pkl", UNKNOWN);
    let ran = run(&["scan", "-q", "--format", "table", "--output", file], &[&unknown]);
    assert_eq!(ran.out().lines().count(), 1);
    let table = fs::read_to_string(&place).unwrap();
    assert!(table.ends_with("\n1 file judged: 0 allowed, 1 blocked\n"), "{table}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left beside it");
}

#[test]
fn a_text_report_in_a_file_has_no_colour() {
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let place = folder.path().join("report.txt");
    let mut scan = command();
    scan.args(["scan", "--color", "always", "--output"]).arg(&place).arg(&hostile);
    let output = scan.output().unwrap();
    assert!(output.stdout.contains(&0x1b));
    assert!(fs::read_to_string(&place).unwrap().contains("BLOCKED  CRITICAL"));
    assert!(!fs::read(&place).unwrap().contains(&0x1b));
}

#[test]
fn a_file_that_is_judged_is_never_overwritten() {
    let folder = Folder::new();
    let benign = folder.file("benign.pkl", BENIGN);
    let same = folder.path().join("./x/../benign.pkl");
    fs::create_dir(folder.path().join("x")).unwrap();
    let ran = run(&["scan", "--output", same.to_str().unwrap()], &[&benign]);
    assert_eq!(ran.code(), 2);
    assert!(ran.err().starts_with("error[usage]: "), "{}", ran.err());
    assert_eq!(fs::read(&benign).unwrap(), BENIGN);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_no_allowance() {
    let folder = Folder::new();
    let benign = folder.file("benign.pkl", BENIGN);
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let place = folder.path().join("missing/scan.json");
    let scan = ["scan", "--format", "json", "--output", place.to_str().unwrap()];
    let ran = run(&scan, &[&benign]);
    assert_eq!(ran.code(), 2);
    assert!(ran.err().starts_with("error[io-failed]: writing `"), "{}", ran.err());
    assert!(ran.out().contains("It may be loaded."), "{}", ran.out());
    assert_eq!(run(&scan, &[&hostile]).code(), 1);
    for name in ["", "-"] {
        assert_eq!(run(&["scan", "--output", name], &[&benign]).code(), 2);
    }
}

#[test]
fn the_table_names_format_level_score_and_verdict() {
    let folder = Folder::new();
    folder.file("a.pkl", BENIGN);
    folder.file("b.pkl", HOSTILE);
    let mut scan = command();
    scan.current_dir(folder.path()).args(["scan", "--format", "table", "a.pkl", "b.pkl", "c.pt"]);
    let text = String::from_utf8(scan.output().unwrap().stdout).unwrap();
    let wanted = "\
format           level     score  verdict  file
pickle           LOW          10  allowed  a.pkl
pickle           CRITICAL     80  blocked  b.pkl
-                -             -  error    c.pt (io-not-found)
2 files judged: 1 allowed, 1 blocked, 1 could not be judged
";
    assert_eq!(text, wanted);
}

#[cfg(unix)]
#[test]
fn nothing_of_a_hostile_name_comes_through_raw_in_any_format() {
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::new();
    let names: [&[u8]; 4] = [
        b"\x1b[2Jclear.pkl",
        "a\u{202e}lkp.b".as_bytes(),
        b"bytes\xff\x9b.pkl",
        b"line\n# heading\n.pkl",
    ];
    for name in names {
        folder.file(std::ffi::OsStr::from_bytes(name), HOSTILE);
    }
    for format in FORMATS {
        let ran = run(&["scan", "--format", format], &[folder.path()]);
        assert_eq!(ran.code(), 1);
        let text = ran.out();
        let raw = text.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(raw, None, "{format}: {text}");
        assert!(!text.contains("\n# heading"), "{format}: {text}");
    }
}
