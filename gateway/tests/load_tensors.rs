//! Formats of tensors alone, loaded through the gate: what is in them, and what a broken one says.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;
use secure_torch::core::checkpoint::{Object, Place, StorageId, Value};
use secure_torch::{Checkpoint, Code, LoadOptions, Policy, Source, core, load, load_path};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn opened(name: &str, bytes: Vec<u8>) -> Result<Checkpoint, secure_torch::LoadError> {
    let source = Source::from_bytes(name, bytes);
    load(source, &Policy::default(), &LoadOptions::default()).map(|(made, _)| made)
}

fn opened_at(path: &Path) -> Result<Checkpoint, secure_torch::LoadError> {
    let source = Source::open(path).unwrap();
    load(source, &Policy::default(), &LoadOptions::default()).map(|(made, _)| made)
}

fn code(made: Result<Checkpoint, secure_torch::LoadError>) -> (Code, String) {
    let error = made.unwrap_err().error;
    (error.code(), error.to_string())
}

/// The storage of the tensor or the array under a name.
fn storage(made: &Checkpoint, name: &str) -> StorageId {
    match made.get(made.root_dict().unwrap(), name) {
        Some(Value::Object(id)) => match made.object(id) {
            Object::Tensor(tensor) => tensor.storage().unwrap(),
            Object::Array(array) => array.storage,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn bytes<'m>(made: &'m Checkpoint, name: &str) -> &'m [u8] {
    made.storage_bytes(storage(made, name)).unwrap()
}

fn names(made: &Checkpoint) -> Vec<&str> {
    let items = &made.root_dict().unwrap().items;
    let keys = items.iter().map(|&(key, _)| match key {
        Value::Text(span) => made.text(span),
        other => panic!("{other:?}"),
    });
    keys.collect()
}

/// A safetensors file of vectors of bytes.
fn safetensors(tensors: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::<u8>::new());
    for (name, bytes) in tensors {
        let start = data.len();
        data.extend(*bytes);
        let (length, end) = (bytes.len(), data.len());
        header.push(format!(
            r#""{name}":{{"dtype":"U8","shape":[{length}],"data_offsets":[{start},{end}]}}"#
        ));
    }
    let header = format!("{{{}}}", header.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}

/// An array of float32, with so many blanks in its header.
fn npy(values: &[f32], blanks: usize) -> Vec<u8> {
    let header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}{}\n",
        values.len(),
        " ".repeat(blanks)
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn zip_of(members: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, method) in members {
        let options = SimpleFileOptions::default().compression_method(*method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn safetensors_are_the_files_own_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let large = vec![5; 1 << 17];
    std::fs::write(&path, safetensors(&[("b", &large), ("a", &[1, 2, 3]), ("e", &[])])).unwrap();
    let made = opened_at(&path).unwrap();
    assert_eq!(names(&made), ["b", "a", "e"]);
    assert_eq!(bytes(&made, "a"), [1, 2, 3]);
    assert!(bytes(&made, "e").is_empty());
    let memory = made.memory(storage(&made, "b")).unwrap();
    assert!(memory.is_mapped() && memory.len() == large.len());
}

#[test]
fn a_broken_header_is_blocked_and_a_type_that_torch_lacks_is_named() {
    let cut = safetensors(&[("a", &[1, 2, 3])]);
    assert_eq!(code(opened("a.safetensors", cut[..20].to_vec())).0, Code::Blocked);
    let header = r#"{"w":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend([0; 3]);
    let (code, message) = code(opened("a.safetensors", file));
    assert_eq!(code, Code::Malformed);
    assert!(message.contains("`w`"), "{message}");
}

#[test]
fn an_archives_arrays_are_stored_or_unpacked() {
    use CompressionMethod::{Deflated, Stored};
    let zeros = vec![0.5; 1 << 16];
    let archive = zip_of(&[
        ("one.npy", &npy(&[1.0, 2.0], 5), Stored),
        ("two.npy", &npy(&zeros, 3), Deflated),
        ("three.npy", &npy(&[3.0], 2), Deflated),
    ]);
    let made = opened("a.npz", archive).unwrap();
    assert_eq!(names(&made), ["one", "two", "three"]);
    assert_eq!(bytes(&made, "one"), [1.0_f32, 2.0].map(f32::to_le_bytes).concat());
    assert_eq!(bytes(&made, "three"), 3.0_f32.to_le_bytes());
    assert!(bytes(&made, "two").chunks(4).all(|value| value == 0.5_f32.to_le_bytes()));
    for name in names(&made) {
        let id = storage(&made, name);
        let memory = made.memory(id).unwrap();
        assert_eq!(memory.start().addr().get() % 4, 0, "{name}");
        assert_eq!(memory.len(), bytes(&made, name).len());
        let unpacked = matches!(made.storage(id).unwrap().place, Place::View { .. });
        assert_eq!(unpacked, name != "one");
    }
}

/// The core's own reader, without a judgement in front of it.
fn unjudged(archive: &[u8]) -> Result<(), core::checkpoint::LoadError> {
    let mut start = |packed: &[u8], most: usize| {
        let mut content = Vec::new();
        DeflateDecoder::new(packed).take(most as u64).read_to_end(&mut content).ok()?;
        Some(content)
    };
    core::load::npz::load(archive, &core::load::Options::default(), &mut start).map(drop)
}

#[test]
fn what_is_no_array_is_said() {
    use CompressionMethod::{Deflated, Stored};
    let array = npy(&[1.0], 0);
    let cut = &array[..array.len() - 1];
    for (members, subject, expected) in [
        (vec![("a.npy", &array[..], Stored), ("note.npy", b"text", Stored)], "note", "is no array"),
        (vec![("a.npy", &array, Stored), ("a", &array, Stored)], "a", "the same name"),
        (vec![("a.npy", cut, Deflated)], "a", "ends inside"),
    ] {
        let error = unjudged(&zip_of(&members)).unwrap_err();
        assert_eq!(error.subject, subject, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_archive_that_unpacks_to_far_too_much_stays_within_limits() {
    let mut bomb = npy(&[], 0);
    bomb.resize(64 << 20, 0);
    let archive = zip_of(&[("a.npy", &bomb, CompressionMethod::Deflated)]);
    assert!(archive.len() < 1 << 17);
    assert_eq!(code(opened("a.npz", archive)).0, Code::Blocked);
}

#[test]
fn no_cut_of_an_archive_panics() {
    use CompressionMethod::{Deflated, Stored};
    let array = npy(&[1.0, 2.0], 0);
    let archive = zip_of(&[("a.npy", &array, Stored), ("b.npy", &array, Deflated)]);
    assert_eq!(unjudged(&archive), Ok(()));
    for end in 0..archive.len() {
        assert!(unjudged(&archive[..end]).is_err(), "{end}");
    }
    for at in 0..archive.len() {
        let mut bent = archive.clone();
        for bit in [1, 0x80] {
            bent[at] ^= bit;
            let _ = unjudged(&bent);
        }
    }
}

/// A model of ONNX with one initialiser, of four bytes in another file.
fn onnx(location: &str) -> Vec<u8> {
    fn run(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let pair = |key: &str, value: &str| {
        run(13, &[run(1, key.as_bytes()), run(2, value.as_bytes())].concat())
    };
    let tensor = [
        run(1, &[4]),
        vec![2 << 3, 2],
        run(8, b"w"),
        pair("location", location),
        pair("offset", "2"),
        vec![14 << 3, 1],
    ];
    let graph = run(5, &tensor.concat());
    [vec![1 << 3, 10], run(8, &[2 << 3, 21]), run(7, &graph)].concat()
}

#[test]
fn initialisers_lie_in_files_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    };
    write("weights/w.bin", &[0, 0, 1, 2, 3, 4, 9]);
    let path = write("model.onnx", &onnx("weights/w.bin"));
    for sealed in [false, true] {
        let options = LoadOptions { sealed, ..LoadOptions::default() };
        let source = Source::open(&path).unwrap();
        let (made, _) = load(source, &Policy::default(), &options).unwrap();
        assert_eq!(bytes(&made, "w"), [1, 2, 3, 4]);
        assert_eq!(made.files().len(), 2);
    }
    let unplaced = code(opened("model.onnx", onnx("weights/w.bin")));
    assert_eq!(unplaced.0, Code::Unsupported, "{}", unplaced.1);
    // How long the data is follows from the tensor alone.
    write("weights/w.bin", &[0, 0, 1, 2, 3]);
    let short = code(opened_at(&path));
    assert!(short.0 == Code::Malformed && short.1.contains("`w`"), "{}", short.1);
    for location in ["none.bin", "../w.bin", "weights"] {
        let path = write("model.onnx", &onnx(location));
        assert_eq!(code(opened_at(&path)).0, Code::Blocked, "{location}");
    }
    #[cfg(unix)]
    {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), [0; 9]).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link.bin")).unwrap();
        let path = write("model.onnx", &onnx("link.bin"));
        assert_eq!(code(opened_at(&path)).0, Code::Blocked);
        // Whoever only listens to the report reads no further than the folder either.
        let options = LoadOptions { audit_only: true, ..LoadOptions::default() };
        let found = load(Source::open(&path).unwrap(), &Policy::default(), &options);
        assert_eq!(code(found.map(|(made, _)| made)).0, Code::Malformed);
    }
}

/// A folder of these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

const INDEX: &str = "model.safetensors.index.json";
const ONE: &str = "model-00001-of-00002.safetensors";
const TWO: &str = "model-00002-of-00002.safetensors";

fn index(map: &[(&str, &str)]) -> Vec<u8> {
    let map: Vec<String> =
        map.iter().map(|(tensor, shard)| format!(r#""{tensor}": "{shard}""#)).collect();
    format!(r#"{{"metadata": {{"total_size": 5}}, "weight_map": {{{}}}}}"#, map.join(", ")).into()
}

#[test]
fn shards_are_one_checkpoint() {
    let index = index(&[("c", TWO), ("a", ONE), ("b", ONE)]);
    let (one, two) = (safetensors(&[("b", &[1, 2]), ("a", &[3])]), safetensors(&[("c", &[4, 5])]));
    let folder = folder(&[(INDEX, &index), (ONE, &one), (TWO, &two)]);
    let made = opened_at(&folder.path().join(INDEX)).unwrap();
    assert_eq!(names(&made), ["c", "a", "b"]);
    assert_eq!([bytes(&made, "c"), bytes(&made, "a"), bytes(&made, "b")].concat(), [4, 5, 3, 1, 2]);
    assert_eq!(made.metadata().collect::<Vec<_>>(), [("total_size", "5")]);
    assert_eq!(made.files().len(), 3);

    // The folder is enough.
    let policy = Policy::default();
    let (made, report) = load_path(folder.path(), &policy, &LoadOptions::default()).unwrap();
    assert_eq!((names(&made), report.limits.len()), (vec!["c", "a", "b"], 0));
    std::fs::write(folder.path().join("model.safetensors"), safetensors(&[("z", &[9])])).unwrap();
    let (made, report) = load_path(folder.path(), &policy, &LoadOptions::default()).unwrap();
    assert_eq!(names(&made), ["z"]);
    assert!(report.limits.iter().any(|note| note.contains(INDEX)), "{:?}", report.limits);
    let empty = tempfile::tempdir().unwrap();
    let error = load_path(empty.path(), &policy, &LoadOptions::default()).unwrap_err();
    assert_eq!(error.error.code(), Code::NotFound);
}

#[test]
fn an_index_and_its_shards_have_to_agree() {
    let (a, b) = (safetensors(&[("a", &[1])]), safetensors(&[("b", &[2])]));
    let both = safetensors(&[("b", &[2]), ("x", &[3])]);
    let all = safetensors(&[("b", &[2]), ("a", &[3])]);
    let map = [("a", ONE), ("b", TWO)];
    let pickle = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
    let again = format!("././{ONE}");
    for (index, one, two, expected, says) in [
        (index(&map), &a[..], &both[..], Code::Malformed, [TWO, "`x`"]),
        (index(&[("a", ONE)]), &both, &b, Code::Blocked, ["", ""]),
        (index(&[("a", ONE), ("b", TWO), ("a", TWO)]), &a, &all, Code::Malformed, ["`a`", "twice"]),
        (index(&map), &a, &b[..b.len() - 1], Code::Blocked, [TWO, ""]),
        (index(&map), &a, pickle, Code::Blocked, ["", ""]),
        (index(&[("a", ONE), ("b", INDEX)]), &a, &b, Code::Unsupported, [INDEX, "shard-index"]),
        (index(&[("a", ONE), ("b", &again)]), &all, &b, Code::Malformed, [&again, ONE]),
        (index(&[("a", ONE), ("b", "../b.safetensors")]), &a, &b, Code::Blocked, ["", ""]),
    ] {
        let folder = folder(&[(INDEX, &index), (ONE, one), (TWO, two)]);
        let (code, message) = code(opened_at(&folder.path().join(INDEX)));
        assert_eq!(code, expected, "{message}");
        assert!(says.iter().all(|text| message.contains(text)), "{message}");
    }
    let (code, message) = code(opened(INDEX, index(&map)));
    assert_eq!(code, Code::Unsupported, "{message}");
}

#[test]
fn a_blocked_shard_is_an_error_for_those_who_only_listen_too() {
    let index = index(&[("a", "pytorch_model-00001-of-00001.bin")]);
    let pickle = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
    let name = "pytorch_model.bin.index.json";
    let folder = folder(&[(name, &index), ("pytorch_model-00001-of-00001.bin", pickle)]);
    let options = LoadOptions { audit_only: true, ..LoadOptions::default() };
    let source = Source::open(&folder.path().join(name)).unwrap();
    let found = load(source, &Policy::default(), &options).map(|(made, _)| made);
    let (code, message) = code(found);
    assert_eq!(code, Code::Blocked);
    assert!(message.contains("pytorch_model-00001-of-00001.bin"), "{message}");
}
