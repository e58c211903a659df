//! `secure-torch scan` as a person or a script meets it.

mod common;

use std::process::Stdio;

use common::{BENIGN, Folder, HOSTILE, UNKNOWN, command, run, run_with_input};

#[test]
fn a_hostile_file_is_blocked_and_the_report_says_why() {
    let folder = Folder::new();
    let ran = run(&["scan"], &[&folder.file("model.pkl", HOSTILE)]);
    let out = ran.out();
    assert_eq!(ran.code(), 1, "{out}");
    for part in [
        "BLOCKED  CRITICAL",
        "pickle.global.dangerous  +70",
        "posix.system  [process-execution]  at byte 0",
        "REDUCE at byte 37",
        "What to do next",
        "Do not load this file",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert!(!out.contains("\u{1b}"), "a pipe gets no colour");
    // Advice never names a switch that lets an attack through.
    assert!(!out.contains("--allow") && !out.contains("--max-threat-score"), "{out}");
    assert_eq!(ran.err(), "");
}

#[test]
fn a_benign_file_is_allowed() {
    let folder = Folder::new();
    let ran = run(&["scan"], &[&folder.file("model.pkl", BENIGN)]);
    assert_eq!(ran.code(), 0);
    assert!(ran.out().contains("allowed  LOW"), "{}", ran.out());
    assert!(ran.out().contains("It may be loaded."), "{}", ran.out());
}

#[test]
fn standard_input_is_judged_like_a_file() {
    let hostile = run_with_input(&["scan", "-"], HOSTILE);
    assert_eq!(hostile.code(), 1);
    assert!(hostile.out().starts_with("standard input  (pickle, 39 bytes)"), "{}", hostile.out());
    assert_eq!(run_with_input(&["scan", "-"], BENIGN).code(), 0);
}

#[test]
fn an_unknown_global_is_blocked_until_it_is_allowed_exactly() {
    let folder = Folder::new();
    let path = folder.file("model.pkl", UNKNOWN);
    let ran = run(&["scan"], &[&path]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("--allow my_app.models.Config"), "{}", ran.out());
    assert_eq!(run(&["scan", "--allow", "my_app.models.Config"], &[&path]).code(), 0);
    assert_eq!(run(&["scan", "--allow", "my_app.models:Config"], &[&path]).code(), 0);
    assert_eq!(run(&["scan", "--allow", "my_app.models.config"], &[&path]).code(), 1);
}

#[test]
fn a_dangerous_global_cannot_be_allowed() {
    let folder = Folder::new();
    let path = folder.file("model.pkl", HOSTILE);
    assert_eq!(run(&["scan", "--allow", "posix.system"], &[&path]).code(), 1);
}

#[test]
fn the_highest_score_can_be_set() {
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let benign = folder.file("benign.pkl", BENIGN);
    let raised = run(&["scan", "--max-threat-score", "100"], &[&hostile]);
    assert_eq!(raised.code(), 0);
    assert!(raised.out().contains("the maximum score was raised"), "{}", raised.out());
    assert_eq!(run(&["scan", "--max-threat-score", "0"], &[&benign]).code(), 1);
    for bad in ["101", "-1", "many"] {
        assert_eq!(run(&["scan", "--max-threat-score", bad], &[&benign]).code(), 2);
    }
}

#[test]
fn what_cannot_be_judged_is_an_error_with_code_and_hint() {
    let folder = Folder::new();
    let ran = run(&["scan"], &[&folder.path().join("missing.pt")]);
    assert_eq!(ran.code(), 2);
    assert_eq!(ran.out().trim(), "0 files judged: 0 allowed, 0 blocked, 1 could not be judged");
    assert!(ran.err().starts_with("error[io-not-found]: "), "{}", ran.err());
    assert!(ran.err().contains("\n  hint: "), "{}", ran.err());
}

#[test]
fn a_block_wins_over_an_error_and_an_error_over_an_allowance() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.pt");
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let benign = folder.file("benign.pkl", BENIGN);
    assert_eq!(run(&["scan"], &[&missing, &hostile]).code(), 1);
    assert_eq!(run(&["scan"], &[&benign, &missing]).code(), 2);
}

#[test]
fn an_empty_folder_is_no_allowance() {
    let folder = Folder::new();
    let ran = run(&["scan"], &[folder.path()]);
    assert_eq!(ran.code(), 2);
    assert!(ran.err().contains("holds no file to judge"), "{}", ran.err());
    // Nor beside a folder that has files.
    let full = Folder::new();
    full.file("model.pkl", BENIGN);
    assert_eq!(run(&["scan"], &[full.path(), folder.path()]).code(), 2);
}

#[test]
fn a_folder_gets_a_line_for_each_allowed_file_and_a_report_for_each_blocked_one() {
    let folder = Folder::new();
    folder.file("a/benign.pkl", BENIGN);
    folder.file("b/hostile.pkl", HOSTILE);
    folder.file("c/unknown.pkl", UNKNOWN);
    let ran = run(&["scan"], &[folder.path()]);
    let out = ran.out();
    assert_eq!(ran.code(), 1);
    assert_eq!(out.matches("What to do next").count(), 2, "{out}");
    assert!(out.starts_with("allowed  LOW       10  "), "{out}");
    assert!(out.ends_with("3 files judged: 1 allowed, 2 blocked\n"), "{out}");

    let verbose = run(&["scan", "--verbose"], &[folder.path()]).out();
    assert_eq!(verbose.matches("What to do next").count(), 3, "{verbose}");

    let quiet = run(&["scan", "--quiet"], &[folder.path()]);
    let lines: Vec<String> = quiet.out().lines().map(str::to_owned).collect();
    assert_eq!((quiet.code(), lines.len()), (1, 2));
    assert!(lines.iter().all(|line| line.starts_with("BLOCKED  ")), "{lines:?}");
    assert_eq!(run(&["scan", "--quiet"], &[&folder.path().join("a")]).out(), "");
}

#[test]
fn many_blocked_files_get_few_reports_and_a_line_each() {
    let folder = Folder::new();
    for index in 10..30 {
        folder.file(format!("{index}.pkl"), HOSTILE);
    }
    folder.file("benign.pkl", BENIGN);
    let out = run(&["scan"], &[folder.path()]).out();
    assert_eq!(out.matches("What to do next").count(), 3, "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("BLOCKED  ")).count(), 20, "{out}");
    assert!(out.contains("The first 3 of these 20 are reported above. `--verbose` "), "{out}");
    assert!(out.ends_with("21 files judged: 1 allowed, 20 blocked\n"), "{out}");

    let verbose = run(&["scan", "--verbose"], &[folder.path()]).out();
    assert_eq!(verbose.matches("What to do next").count(), 21);
    assert!(!verbose.contains("are reported above"), "{verbose}");
    let document = run(&["scan", "--format", "json"], &[folder.path()]).json();
    assert_eq!(document["reports"].as_array().map(Vec::len), Some(21));
}

#[test]
fn a_limit_can_be_set_by_name() {
    let folder = Folder::new();
    let nested = folder.file("nested.pkl", b"\x80\x02]]]]aaa.");
    assert_eq!(run(&["scan"], &[&nested]).code(), 0);
    let ran = run(&["scan", "--limit", "pickle.container_depth=2"], &[&nested]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("pickle.limit"), "{}", ran.out());
    let both = ["scan", "--limit", "pickle.container_depth=2", "--limit", "pickle.marks=7"];
    assert_eq!(run(&both, &[&nested]).code(), 1);
    for bad in ["depth=2", "pickle.container_depth=deep", "pickle.container_depth"] {
        let ran = run(&["scan", "--limit", bad], &[&nested]);
        assert_eq!(ran.code(), 2);
        assert!(ran.err().contains("--limit"), "{}", ran.err());
    }
    // Standard input has a limit that is an error, and the error says how to raise it.
    let short = run_with_input(&["scan", "--limit", "file.standard_input_bytes=4", "-"], BENIGN);
    assert_eq!(short.code(), 2);
    assert!(short.err().contains("error[input-too-large]"), "{}", short.err());
    assert!(short.err().contains("`--limit`"), "{}", short.err());
}

#[test]
fn colour_follows_the_switch_and_the_environment() {
    let folder = Folder::new();
    let path = folder.file("model.pkl", HOSTILE);
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.args(arguments).arg(&path).envs(variables.iter().copied());
        command.output().unwrap().stdout.contains(&0x1b)
    };
    // Here standard output is a pipe.
    assert!(!colored(&["scan"], &[]));
    assert!(colored(&["scan"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&["scan"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(colored(&["scan", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!colored(&["scan", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[cfg(unix)]
#[test]
fn nothing_of_a_hostile_name_reaches_the_terminal_raw() {
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::new();
    let names: [&[u8]; 3] =
        [b"\x1b[2Jclear.pkl", "a\u{202e}lkp.b".as_bytes(), b"bytes\xff\x9b.pkl"];
    for name in names {
        folder.file(std::ffi::OsStr::from_bytes(name), HOSTILE);
    }
    let missing = folder.path().join("\u{1b}]0;title\u{7}.pt");
    for arguments in [&["scan"][..], &["scan", "--quiet"], &["scan", "--format", "json"]] {
        let ran = run(arguments, &[folder.path(), &missing]);
        assert_eq!(ran.code(), 1);
        for text in [ran.out(), ran.err()] {
            let raw = text.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
            assert_eq!(raw, None, "{text}");
        }
    }
}

#[test]
fn hostile_names_inside_a_pickle_are_neither_printed_raw_nor_suggested() {
    let folder = Folder::new();
    let pickle = b"\x80\x02capp;rm -rf ~\n\x1b[31mC\n.";
    let ran = run(&["scan"], &[&folder.file("model.pkl", pickle)]);
    assert_eq!(ran.code(), 1);
    assert!(!ran.out().contains('\u{1b}'), "{}", ran.out());
    assert!(!ran.out().contains("--allow"), "{}", ran.out());
}

#[test]
fn a_reader_that_leaves_early_changes_no_verdict() {
    let folder = Folder::new();
    for index in 0..200 {
        folder.file(format!("{index}.pkl"), HOSTILE);
    }
    let mut child = command()
        .arg("scan")
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_hostile_name_that_reads_as_a_switch_is_not_printed_raw() {
    let mut command = command();
    command.args(["scan", "--\u{1b}[2Jx.pkl"]).env("CLICOLOR_FORCE", "1");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("x.pkl") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn misuse_exits_with_two() {
    for arguments in [&["scan"][..], &["scan", "--allow", "nodots", "x"], &["judge"], &[]] {
        assert_eq!(run(arguments, &[]).code(), 2, "{arguments:?}");
    }
    assert_eq!(run(&["scan", "-q", "-v", "x"], &[]).code(), 2);
}
