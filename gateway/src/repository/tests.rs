use std::fs;

use super::*;
use crate::{Verdict, scan_path, scan_paths};

const PLAIN: &[u8] = b"\x80\x02}.";

/// A safetensors file of one tensor of four bytes.
fn shard(tensor: &str) -> Vec<u8> {
    let header =
        format!("{{\"{tensor}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}}}");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend([0; 4]);
    bytes
}

fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// The reports of the repositories in a tree, by their place in it.
fn repositories(tree: &tempfile::TempDir) -> Vec<(String, Report)> {
    scan_paths(&[tree.path().to_owned()], &Policy::default(), &())
        .into_iter()
        .filter_map(|(path, report)| Some((path, report.ok()?)))
        .filter(|(_, report)| report.format == "repository")
        .map(|(path, report)| {
            (path.strip_prefix(tree.path()).unwrap().to_string_lossy().into_owned(), report)
        })
        .collect()
}

fn shards_found(report: &Report) -> Vec<(&str, &str)> {
    let of_rule = report.findings.iter().filter(|f| f.rule == "repository.shard");
    of_rule.map(|f| (f.path.as_str(), f.subject.as_str())).collect()
}

#[test]
fn the_outermost_folder_with_a_marker_and_weights_is_a_repository() {
    let tree = tree(&[
        ("pipe/model_index.json", b"{}"),
        ("pipe/unet/config.json", b"{}"),
        ("pipe/unet/m.pkl", PLAIN),
        ("single/config.json", b"{}"),
        ("single/m.pkl", PLAIN),
        ("text/config.json", b"{}"),
        ("text/notes.txt", b"no weights"),
        ("bare/m.pkl", PLAIN),
    ]);
    let found = repositories(&tree);
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["pipe", "single"]);
    for (_, report) in &found {
        assert_eq!((report.verdict, report.threat_score), (Verdict::Allow, 10));
    }
}

#[test]
fn code_and_installers_beside_weights_are_said() {
    let tree = tree(&[
        ("config.json", b"{}"),
        ("m.pkl", PLAIN),
        ("modeling_x.py", b"import torch\n"),
        ("requirements.txt", b"torch\n"),
        ("Dockerfile", b"FROM scratch\n"),
        ("secure-torch.toml", b"max_threat_score = 100\n"),
    ]);
    let [(_, report)] = &repositories(&tree)[..] else { panic!("one repository") };
    assert_eq!(report.threat_score, 15, "{:?}", report.score_breakdown);
    assert_eq!(report.findings[0].path, "modeling_x.py");
    let notes = report.limits.join("\n");
    assert!(notes.contains("`Dockerfile`, `requirements.txt`"), "{notes}");
    assert!(notes.contains(NOT_OBEYED), "{notes}");
}

#[test]
fn an_index_and_its_shards_agree() {
    let index = br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let (a, b) = (shard("a"), shard("b"));
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let name = "model.safetensors.index.json";
    let honest = tree(&[(name, index), (one, &a), (two, &b)]);
    assert_eq!(shards_found(&repositories(&honest)[0].1), []);

    let missing = tree(&[(name, index), (one, &a)]);
    let [(_, report)] = &repositories(&missing)[..] else { panic!("one repository") };
    assert_eq!((report.verdict, shards_found(report)), (Verdict::Block, vec![(name, two)]));
    // The index by itself says so too.
    let alone = scan_path(&missing.path().join(name), &Policy::default()).unwrap();
    assert_eq!((alone.verdict, shards_found(&alone)), (Verdict::Block, vec![("", two)]));

    // Nobody loads by an index without any shard: a download that left out a format leaves it.
    let orphan = tree(&[(name, index), ("m.pkl", PLAIN)]);
    let [(_, report)] = &repositories(&orphan)[..] else { panic!("one repository") };
    assert_eq!((report.verdict, shards_found(report)), (Verdict::Allow, vec![]));
    let alone = scan_path(&orphan.path().join(name), &Policy::default()).unwrap();
    assert!(alone.limits.iter().any(|note| note.contains("none of the 2 files")), "{alone:?}");

    let swapped = tree(&[(name, index), (one, &a), (two, &a)]);
    assert_eq!(shards_found(&repositories(&swapped)[0].1), [(name, "b")]);

    let third = "model-00003-of-00002.safetensors";
    let more = tree(&[(name, index), (one, &a), (two, &b), (third, &b)]);
    assert_eq!(shards_found(&repositories(&more)[0].1), [(third, third)]);
    // Another set is another matter.
    let other =
        tree(&[(name, index), (one, &a), (two, &b), ("other-00001-of-00001.safetensors", &b)]);
    assert_eq!(shards_found(&repositories(&other)[0].1), []);
}

#[test]
fn the_order_of_results_is_the_same_every_time() {
    let tree =
        tree(&[("b/config.json", b"{}"), ("b/m.pkl", PLAIN), ("a.json", b"{}"), ("c.pkl", PLAIN)]);
    let names = || {
        let results = scan_paths(
            &[tree.path().to_owned(), tree.path().join("c.pkl")],
            &Policy::default(),
            &(),
        );
        let names = results.into_iter().map(|(path, _)| path);
        names.map(|path| path.strip_prefix(tree.path()).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = names();
    let shown: Vec<_> = first.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(shown, ["a.json", "b/config.json", "b/m.pkl", "c.pkl", "b", "c.pkl"]);
    for _ in 0..5 {
        assert_eq!(names(), first);
    }
}

#[test]
fn sets_are_told_by_their_names() {
    assert_eq!(set_of("model-00001-of-00003.safetensors"), Some("model.safetensors".into()));
    assert_eq!(set_of("pytorch_model-00002-of-00002.bin"), Some("pytorch_model.bin".into()));
    for other in ["model.safetensors", "model-1-of-x.bin", "1-of-2.bin", "model-00001-of-00003"] {
        assert_eq!(set_of(other), None, "{other}");
    }
}
