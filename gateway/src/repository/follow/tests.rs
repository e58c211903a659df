use super::*;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("weights")).unwrap();
    fs::write(folder.path().join("weights/a.bin"), [0; 100]).unwrap();
    folder
}

fn problem(folder: &Path, location: &str) -> Option<Problem> {
    resolve(folder, location.as_bytes()).err()
}

#[test]
fn what_is_named_must_lie_in_the_folder() {
    let folder = folder();
    let at = |location: &str| problem(folder.path(), location);
    for inside in ["weights/a.bin", "./weights/a.bin", "weights\\a.bin"] {
        assert_eq!(at(inside), None, "{inside}");
    }
    for outside in [
        "/etc/passwd",
        "../a.bin",
        "weights/../a.bin",
        "C:/a.bin",
        "c:a",
        "",
        "a//b",
        "\\a",
        "a\0b",
        "a/",
    ] {
        assert_eq!(at(outside), Some(Problem::Escapes), "{outside:?}");
    }
    assert_eq!(at("b.bin"), Some(Problem::Missing));
    assert_eq!(at("weights"), Some(Problem::NotAFile));
    assert_eq!(at("weights/a.bin/b"), Some(Problem::Missing));
    assert_eq!(resolve(folder.path(), b"\xff").err(), Some(Problem::Missing));
}

#[cfg(unix)]
#[test]
fn a_link_is_honest_only_inside_a_cache() {
    use std::os::unix::fs::symlink;
    let outer = tempfile::tempdir().unwrap();
    let cache = outer.path().join("models--a--b");
    let snapshot = cache.join("snapshots/0123");
    fs::create_dir_all(snapshot.join("unet")).unwrap();
    fs::create_dir_all(cache.join("blobs/deep")).unwrap();
    fs::write(cache.join("blobs/abc"), [0; 10]).unwrap();
    fs::write(cache.join("blobs/deep/d"), [0; 10]).unwrap();
    fs::write(outer.path().join("secret"), [0; 10]).unwrap();
    symlink("../../blobs/abc", snapshot.join("m.safetensors")).unwrap();
    symlink("../../../blobs/abc", snapshot.join("unet/m.safetensors")).unwrap();
    symlink("../../../secret", snapshot.join("out.safetensors")).unwrap();
    symlink("../../blobs", snapshot.join("linked")).unwrap();
    symlink("../../blobs/deep/d", snapshot.join("deep.safetensors")).unwrap();
    symlink("../../blobs/none", snapshot.join("none.safetensors")).unwrap();
    assert_eq!(problem(&snapshot, "m.safetensors"), None);
    assert_eq!(problem(&snapshot, "unet/m.safetensors"), None);
    for link in ["out.safetensors", "linked/abc", "deep.safetensors", "none.safetensors"] {
        assert_eq!(problem(&snapshot, link), Some(Problem::Link), "{link}");
    }
    // The same link elsewhere leads out of its folder.
    symlink(cache.join("blobs/abc"), outer.path().join("m.safetensors")).unwrap();
    assert_eq!(problem(outer.path(), "m.safetensors"), Some(Problem::Link));
}

#[test]
fn what_is_used_must_be_there() {
    let folder = folder();
    let hits = |by: Format, location: &str, offset: u64, length: Option<u64>| {
        let mut tally = Tally::new(limits::Report::DEFAULT);
        let reference = Reference { by, location: location.into(), offset, length };
        check(&find(folder.path(), &reference), &reference, &mut tally);
        let rules = [Rule::RepositoryShard, Rule::OnnxExternalDataEscape];
        rules.into_iter().find(|rule| tally.hits(*rule))
    };
    let onnx = |offset, length| hits(Format::Onnx, "weights/a.bin", offset, length);
    assert_eq!(onnx(0, None), None);
    assert_eq!(onnx(0, Some(100)), None);
    assert_eq!(onnx(100, None), None);
    for (offset, length) in [(1, Some(100)), (101, None), (u64::MAX, Some(1)), (0, Some(101))] {
        assert_eq!(onnx(offset, length), Some(Rule::RepositoryShard), "{offset} {length:?}");
    }
    assert_eq!(hits(Format::Onnx, "no.bin", 0, None), Some(Rule::RepositoryShard));
    assert_eq!(hits(Format::Onnx, "../a", 0, None), Some(Rule::OnnxExternalDataEscape));
    assert_eq!(hits(Format::ShardIndex, "../a", 0, None), Some(Rule::RepositoryShard));
    assert_eq!(hits(Format::CoreMl, "@model_path/weights/a.bin", 0, None), None);
}
