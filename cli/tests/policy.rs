//! Policy files as a person or a pipeline meets them.

mod common;

use std::path::Path;

use common::{BENIGN, Folder, HOSTILE, UNKNOWN, command};
use serde_json::Value;

/// What came of a run in a folder: exit code, standard output, standard error.
fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command().current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json_in(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, out, err) = run_in(folder, arguments);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

const ALLOW: &[u8] = b"\
max_threat_score = 15

[[allow]]
global = \"my_app.models.Config\"
paths = [\"models/**\"]
reason = \"our own class\"
";

#[test]
fn the_file_of_the_project_counts_and_the_report_names_its_lines() {
    let folder = Folder::new();
    folder.file("secure-torch.toml", ALLOW);
    folder.file("models/a.pkl", UNKNOWN);
    folder.file("other/b.pkl", UNKNOWN);
    assert_eq!(run_in(folder.path(), &["scan", "models/a.pkl"]).0, 0);
    assert_eq!(run_in(folder.path(), &["scan", "models"]).0, 0);
    assert_eq!(run_in(folder.path(), &["scan", "other"]).0, 1);
    assert_eq!(run_in(folder.path(), &["scan", "--no-policy", "models"]).0, 1);
    // The switches win.
    assert_eq!(run_in(folder.path(), &["scan", "--max-threat-score", "5", "models"]).0, 1);
    let (_, document) = json_in(folder.path(), &["scan", "--format", "json", "models"]);
    let policy = &document["reports"][0]["policy"];
    assert_eq!(policy["path"], "secure-torch.toml");
    assert_eq!(policy["applied"][0]["line"], 1);
    assert_eq!(policy["applied"][1]["entry"], "allow");
    assert_eq!(policy["applied"][1]["line"], 3);
    assert_eq!(policy["applied"][1]["reason"], "our own class");
    let (_, out, _) = run_in(folder.path(), &["scan", "models/a.pkl"]);
    assert!(out.contains("line 3: allow my_app.models.Config (our own class)"), "{out}");
}

/// Whoever makes a model must not be able to set the policy under which it is judged.
#[test]
fn a_file_that_comes_with_the_model_is_never_obeyed() {
    let folder = Folder::new();
    let loose = b"max_threat_score = 100\n";
    folder.file("download/secure-torch.toml", loose);
    folder.file("download/sub/secure-torch.toml", loose);
    folder.file("download/m.pkl", UNKNOWN);
    folder.file("download/sub/m.pkl", HOSTILE);
    let root = folder.path();
    for (here, path) in [
        // From outside, neither for the folder nor for a file of it, however deep.
        ("", "download"),
        ("", "download/m.pkl"),
        ("", "download/sub"),
        ("", "download/sub/m.pkl"),
        ("", "."),
        // From inside, not for what lies beside it.
        ("download", "."),
        ("download", "m.pkl"),
        ("download", "../download"),
        ("download/sub", "../m.pkl"),
    ] {
        let (code, out, err) = run_in(&root.join(here), &["scan", path]);
        assert_eq!(code, 1, "{here} {path}\n{out}{err}");
    }
    let (_, document) = json_in(root, &["scan", "--format", "json", "download"]);
    let notes: Vec<_> = document["reports"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|report| report["limits"].as_array().unwrap())
        .filter(|note| note.as_str().unwrap().contains("it is not obeyed there"))
        .collect();
    assert_eq!(notes.len(), 2);
    // It takes a switch to obey it.
    let named = ["scan", "--policy", "download/secure-torch.toml", "download/m.pkl"];
    assert_eq!(run_in(root, &named).0, 0);
}

#[test]
fn a_policy_that_is_not_valid_judges_nothing() {
    let folder = Folder::new();
    folder.file("secure-torch.toml", b"max_threat_scor = 100\n");
    folder.file("models/a.pkl", BENIGN);
    for arguments in [
        &["scan", "models/a.pkl"][..],
        &["scan", "--policy", "secure-torch.toml", "models/a.pkl"],
        &["policy", "check"],
        &["policy", "check", "models"],
    ] {
        let (code, _, err) = run_in(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(err.contains("error[policy-invalid]"), "{err}");
        assert!(err.contains("secure-torch.toml, line 1, column 1"), "{err}");
        assert!(err.contains("`max_threat_scor` is no key here"), "{err}");
    }
    let missing = run_in(folder.path(), &["scan", "--policy", "no.toml", "models/a.pkl"]);
    assert!(missing.0 == 2 && missing.2.contains("io-not-found"), "{}", missing.2);
}

#[test]
fn standard_input_takes_the_policy_of_the_working_directory() {
    let folder = Folder::new();
    folder.file("secure-torch.toml", b"max_threat_score = 0\n");
    let model = std::fs::File::open(folder.file("m.pkl", BENIGN)).unwrap();
    let mut command = command();
    let run = command.current_dir(folder.path()).args(["scan", "-"]).stdin(model);
    assert_eq!(run.output().unwrap().status.code(), Some(1));
}

#[test]
fn a_check_tells_which_line_decides() {
    let folder = Folder::new();
    folder.file("secure-torch.toml", ALLOW);
    folder.file("models/a.pkl", UNKNOWN);
    folder.file("other/b.pkl", UNKNOWN);
    let (code, out, _) = run_in(folder.path(), &["policy", "check", "models", "other"]);
    assert_eq!(code, 1);
    for part in [
        "models/a.pkl: allowed 10 <= 15 (secure-torch.toml:1 max_threat_score = 15)",
        "secure-torch.toml:3 allow my_app.models.Config (our own class)",
        "other/b.pkl: BLOCKED 50 > 15 (secure-torch.toml:1 max_threat_score = 15)",
        "+25 pickle.global.unknown my_app.models.Config",
        "secure-torch.toml: valid, 2 entries",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert!(!out.contains("warning"), "{out}");
    let (_, out, _) = run_in(folder.path(), &["policy", "check", "other"]);
    let idle = "warning: secure-torch.toml:3 allow my_app.models.Config matched nothing";
    assert!(out.contains(idle), "{out}");
    let (code, document) =
        json_in(folder.path(), &["policy", "check", "--format", "json", "other"]);
    assert_eq!(code, 1);
    assert_eq!(document["policies"][0]["entries"][1]["idle"], "matched nothing");
    assert_eq!(document["reports"][0]["verdict"], "block");
}

#[test]
fn a_check_without_paths_validates_the_file() {
    let folder = Folder::new();
    assert_eq!(run_in(folder.path(), &["policy", "check"]).0, 2);
    folder.file(
        "secure-torch.toml",
        b"[[ignore]]\nrule = \"format.mismatch\"\nreason = \"old\"\nexpires = 2001-01-01\n",
    );
    let (code, out, _) = run_in(folder.path(), &["policy", "check"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("ignore format.mismatch, until 2001-01-01"), "{out}");
    assert!(out.contains("has expired and is not applied"), "{out}");
}
