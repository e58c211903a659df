//! `trace`, `rules`, `globals`, `completions`, `man` and the help.

mod common;

use common::{BENIGN, Folder, HOSTILE, UNKNOWN, run, run_with_input};
use serde_json::Value;

#[test]
fn a_trace_shows_stack_imports_and_findings_at_their_places() {
    let folder = Folder::new();
    let ran = run(&["trace"], &[&folder.file("model.pkl", HOSTILE)]);
    let out = ran.out();
    assert_eq!(ran.code(), 0);
    let lines: Vec<&str> = out.lines().collect();
    let global = lines.iter().position(|line| line.contains("GLOBAL")).unwrap();
    assert!(lines[global].contains("posix system"), "{out}");
    assert!(lines[global + 1].contains("import posix.system: dangerous"), "{out}");
    assert!(lines[global + 2].contains("pickle.global.dangerous +70"), "{out}");
    assert!(out.contains("mark  'echo secure-torch'"), "{out}");
    assert!(out.contains("tuple(text)"), "{out}");
}

#[test]
fn a_trace_can_be_one_json_object_per_line() {
    let folder = Folder::new();
    let ran = run(&["trace", "--json"], &[&folder.file("model.pkl", UNKNOWN)]);
    let rows: Vec<Value> =
        ran.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let opcodes: Vec<&str> = rows.iter().filter_map(|row| row["opcode"].as_str()).collect();
    assert_eq!(opcodes, ["PROTO", "GLOBAL", "EMPTY_TUPLE", "NEWOBJ", "STOP"]);
    assert_eq!(rows[1]["offset"], 2);
    assert_eq!(rows[1]["notes"][0]["class"], "unknown");
    assert_eq!(rows.last().unwrap()["end"], "stop");
}

#[test]
fn what_has_no_pickle_has_no_trace() {
    let folder = Folder::new();
    let text = folder.file("README.md", b"# a model\n");
    let ran = run(&["trace"], &[&text]);
    assert_eq!((ran.code(), ran.out().as_str()), (2, ""));
    assert!(ran.err().starts_with("error[usage]: "), "{}", ran.err());
    let model = folder.file("model.pkl", BENIGN);
    assert_eq!(run(&["trace", "--member", "archive/data.pkl"], &[&model]).code(), 2);
    assert_eq!(run(&["trace"], &[&folder.path().join("missing")]).code(), 2);
}

#[test]
fn the_rules_are_told_in_full() {
    let out = run(&["rules"], &[]).out();
    for part in [
        "SAFE, LOW and lower MEDIUM scores (16-20); 21-35 are MEDIUM and blocked",
        "MEDIUM    16-35   16-20 allowed, 21-35 blocked",
        "pickle.global.dangerous",
        "process-execution",
        "archive.ratio",
    ] {
        let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&part), "{part} is not in\n{out}");
    }
}

#[test]
fn the_tables_are_there_for_programs() {
    let document = run(&["rules", "--format", "json"], &[]).json();
    assert_eq!(document["opcodes"].as_array().map(Vec::len), Some(68));
    let reduce =
        document["opcodes"].as_array().unwrap().iter().find(|row| row["name"] == "REDUCE").unwrap();
    assert_eq!(reduce["code"], u64::from(b'R'));
    assert_eq!(reduce["arg"], Value::Null);
    assert_eq!(reduce["before"], serde_json::json!(["any", "any"]));
    for key in ["rules", "levels", "families", "limits", "allowed"] {
        assert!(!document[key].as_array().unwrap().is_empty(), "{key}");
    }
    for key in ["version", "sha256"] {
        assert!(document[key].is_string(), "{key}");
    }
}

#[test]
fn a_name_can_be_explained() {
    let explain = |name: &str| run(&["rules", "explain", name], &[]);
    for (name, part) in [
        ("posix.system", "dangerous [process-execution]"),
        ("collections.OrderedDict", "allowed"),
        ("my_app.models.Config", "unknown"),
        ("pickle.extension", "+40"),
        ("process-execution", "a family of dangerous globals"),
        ("archive.ratio", "a limit: "),
    ] {
        let ran = explain(name);
        assert_eq!(ran.code(), 0);
        assert!(ran.out().contains(part), "{name}: {}", ran.out());
    }
    let ran = explain("nothing");
    assert_eq!(ran.code(), 2);
    assert!(ran.err().starts_with("error[usage]: "), "{}", ran.err());
}

#[test]
fn frames_are_answered_one_line_each() {
    let mut input = Vec::new();
    for stream in [HOSTILE, BENIGN, b"", b"\xff", UNKNOWN] {
        input.extend_from_slice(&u32::try_from(stream.len()).unwrap().to_le_bytes());
        input.extend_from_slice(stream);
    }
    let ran = run_with_input(&["globals", "--stdin-frames"], &input);
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    let answers: Vec<Value> =
        ran.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0]["globals"], serde_json::json!([["posix", "system"]]));
    assert_eq!(answers[4]["globals"], serde_json::json!([["my_app.models", "Config"]]));
    assert!(answers.iter().all(|answer| answer["error"].is_null()));
    let rules = answers[0]["rules"].as_array().unwrap();
    assert!(rules.contains(&Value::from("pickle.global.dangerous")));

    input.extend_from_slice(&u32::MAX.to_le_bytes());
    let cut = run_with_input(&["globals", "--stdin-frames"], &input);
    assert_eq!((cut.code(), cut.out().lines().count()), (2, 5));
}

#[test]
fn the_command_explains_itself() {
    let help = run(&["--help"], &[]).out();
    for part in ["Examples:", "Exit codes:", "scan", "trace", "rules"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    assert!(!help.contains("globals"), "{help}");
    let version = run(&["--version"], &[]).out();
    assert!(version.contains("rules sha256 "), "{version}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell], &[]);
        assert!(script.code() == 0 && script.out().contains("secure-torch"), "{shell}");
    }
    assert!(run(&["man"], &[]).out().contains(".TH secure-torch 1"));
    assert!(run(&["man", "scan"], &[]).out().contains(".TH secure-torch-scan 1"));
    assert_eq!(run(&["man", "nothing"], &[]).code(), 2);
}
