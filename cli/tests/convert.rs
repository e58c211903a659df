//! `convert` and `inspect`, on files that need no Python to make.

mod common;

use common::{BENIGN, Folder, HOSTILE, run};

/// A safetensors file of two tensors.
fn tensors() -> Vec<u8> {
    let header = concat!(
        r#"{"__metadata__":{"note":"a\u001bb"},"#,
        r#""w\u001b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#,
        r#""a":{"dtype":"U8","shape":[1,1],"data_offsets":[2,3]}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[1, 2, 3]);
    bytes
}

#[test]
fn a_file_is_written_once_and_replaced_only_on_demand() {
    let folder = Folder::new();
    let input = folder.file("in.safetensors", &tensors());
    let out = folder.path().join("out.safetensors");
    let ran = run(&["convert", "--no-policy"], &[&input, &out]);
    assert_eq!(ran.code(), 0);
    assert!(ran.out().contains("2 tensors, "), "{}", ran.out());
    let written = std::fs::read(&out).unwrap();
    assert_eq!(written[written.len() - 3..], [3, 1, 2]);

    let ran = run(&["convert", "--no-policy"], &[&input, &out]);
    assert_eq!((ran.code(), ran.out().as_str()), (2, ""));
    assert!(ran.err().contains("error[io-exists]"), "{}", ran.err());
    // A safetensors file in the reference's order stays as it is, and may be its own target.
    let ran = run(&["convert", "--no-policy", "--force"], &[&out, &out]);
    assert_eq!(ran.code(), 0);
    assert_eq!(std::fs::read(&out).unwrap(), written);
}

#[test]
fn what_is_blocked_or_has_no_tensors_is_not_converted() {
    let folder = Folder::new();
    let out = folder.path().join("out.safetensors");
    let evil = folder.file("evil.pkl", HOSTILE);
    let ran = run(&["convert", "--no-policy"], &[&evil, &out]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("BLOCKED"));
    let plain = folder.file("plain.pkl", BENIGN);
    let ran = run(&["convert", "--no-policy"], &[&plain, &out]);
    assert_eq!(ran.code(), 2);
    assert!(ran.err().contains("error[model-inconvertible]") && ran.err().contains("`a`"));
    let ran = run(&["convert", "--no-policy"], &[&folder.path().join("none"), &out]);
    assert_eq!(ran.code(), 2);
    assert!(ran.err().contains("error[io-not-found]"));
    assert!(!out.exists());
    assert_eq!(run(&["convert"], &[evil.as_path(), "-".as_ref()]).code(), 2);
}

#[test]
fn a_blocked_file_that_cannot_be_listed_stays_blocked() {
    let folder = Folder::new();
    let evil = folder.file("evil.pkl", HOSTILE);
    let ran = run(&["inspect", "--no-policy"], &[&evil]);
    assert_eq!(ran.code(), 1);
    assert!(ran.out().contains("BLOCKED"));
    let ran = run(&["inspect", "--no-policy", "--audit-only"], &[&evil]);
    assert_eq!((ran.code(), ran.out().as_str()), (1, ""));
    assert!(ran.err().contains("error[model-unsupported]"), "{}", ran.err());
}

#[test]
fn a_list_is_safe_to_print_in_either_form() {
    let folder = Folder::new();
    let input = folder.file("in.safetensors", &tensors());
    let ran = run(&["inspect", "--no-policy"], &[&input]);
    assert_eq!(ran.code(), 0);
    let out = ran.out();
    assert!(out.contains("  w\\u{1b}  uint8 [2]  2 bytes\n"), "{out}");
    assert!(out.contains("  a        uint8 [1, 1]  1 byte\n"), "{out}");
    assert!(out.contains("note: a\\u{1b}b"), "{out}");
    assert!(!out.contains('\u{1b}'));
    let ran = run(&["inspect", "--no-policy", "--format", "json"], &[&input]);
    assert!(ran.out().is_ascii() && !ran.out().contains('\u{1b}'));
    let document: serde_json::Value = serde_json::from_str(&ran.out()).unwrap();
    assert_eq!(document["schema"], "secure-torch/inspect/1");
    assert_eq!(document["entries"][1]["path"], "w\u{1b}");
    assert_eq!(document["totals"]["elements"], 3);
}
