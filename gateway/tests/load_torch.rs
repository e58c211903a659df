//! PyTorch files of every layout, from bytes made here to the bytes of their storages.

use std::io::{Cursor, Seek as _, SeekFrom, Write};

use secure_torch::core::checkpoint::{Dtype, Object, Place, Value};
use secure_torch::{Checkpoint, Code, LoadOptions, Policy, Source, load};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// `{"t0": tensor, "t1": tensor, …}`, each all of a storage of so many floats.
fn state_dict(elements: &[u32], legacy: bool) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
    };
    let number = |out: &mut Vec<u8>, number: u32| {
        out.push(b'J');
        out.extend(i32::try_from(number).unwrap().to_le_bytes());
    };
    let mut out = b"\x80\x02}(".to_vec();
    for (index, &count) in elements.iter().enumerate() {
        text(&mut out, &format!("t{index}"));
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &index.to_string());
        text(&mut out, "cpu");
        number(&mut out, count);
        out.extend(if legacy { &b"NtQK\x00"[..] } else { &b"tQK\x00"[..] });
        number(&mut out, count);
        out.extend(b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

/// The bytes of storage `index`, of so many floats.
fn floats(index: usize, count: u32) -> Vec<u8> {
    let seed = u32::try_from(index).unwrap() * 1000;
    (0..count).flat_map(|at| ((seed + at) as f32).to_le_bytes()).collect()
}

fn archive(elements: &[u32], method: CompressionMethod, byteorder: Option<&str>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut file = |name: &str, content: &[u8]| {
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    };
    file("archive/data.pkl", &state_dict(elements, false));
    if let Some(byteorder) = byteorder {
        file("archive/byteorder", byteorder.as_bytes());
    }
    for (index, &count) in elements.iter().enumerate() {
        let mut content = floats(index, count);
        if byteorder == Some("big") {
            content.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        }
        file(&format!("archive/data/{index}"), &content);
    }
    file("archive/version", b"3\n");
    writer.finish().unwrap().into_inner()
}

fn legacy(elements: &[u32]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    out.extend(state_dict(elements, true));
    out.extend(b"\x80\x02](");
    for index in 0..elements.len() {
        out.extend([b'X', 1, 0, 0, 0, b'0' + u8::try_from(index).unwrap()]);
    }
    out.extend(b"e.");
    for (index, &count) in elements.iter().enumerate() {
        out.extend(u64::from(count).to_le_bytes());
        out.extend(floats(index, count));
    }
    out
}

fn check(made: &Checkpoint, elements: &[u32]) {
    let dict = made.root_dict().unwrap();
    assert_eq!(dict.items.len(), elements.len());
    for (index, &count) in elements.iter().enumerate() {
        let (Value::Text(key), Value::Object(id)) = dict.items[index] else { panic!("a tensor") };
        assert_eq!(made.text(key), format!("t{index}"));
        let Object::Tensor(tensor) = made.object(id) else { panic!("a tensor") };
        assert_eq!(tensor.dtype(), Dtype::Float32);
        assert_eq!(made.shape(tensor), [u64::from(count)]);
        let storage = tensor.storage().unwrap();
        assert_eq!(made.storage_bytes(storage).unwrap(), floats(index, count));
        let memory = made.memory(storage).unwrap();
        assert_eq!(memory.start().as_ptr().addr() % 4, 0, "aligned for its elements");
        // SAFETY: the memory is as long as it says, lives as long as `memory`, and nothing writes.
        let bytes = unsafe { std::slice::from_raw_parts(memory.start().as_ptr(), memory.len()) };
        assert_eq!(bytes, floats(index, count));
        let again = made.memory(storage).unwrap();
        assert_eq!(memory.start(), again.start(), "the same memory each time");
    }
}

fn open(bytes: Vec<u8>) -> Checkpoint {
    let source = Source::from_bytes("model.pt", bytes);
    load(source, &Policy::default(), &LoadOptions::default()).unwrap().0
}

const SIZES: [u32; 4] = [3, 1, 70_000, 300_000];

#[test]
fn every_layout_gives_the_same() {
    for (name, bytes) in [
        ("stored", archive(&SIZES, CompressionMethod::Stored, None)),
        ("deflated", archive(&SIZES, CompressionMethod::Deflated, Some("little"))),
        ("big-endian", archive(&SIZES, CompressionMethod::Stored, Some("big"))),
        ("deflated and big-endian", archive(&SIZES, CompressionMethod::Deflated, Some("big"))),
        ("legacy", legacy(&SIZES)),
    ] {
        println!("{name}");
        check(&open(bytes.clone()), &SIZES);
        let made = open(bytes.clone());
        made.prepare(false).unwrap();
        check(&made, &SIZES);
        let made = open(bytes);
        made.prepare(true).unwrap();
        check(&made, &SIZES);
    }
}

#[test]
fn a_mapped_file_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.start_file("archive/data.pkl", options).unwrap();
    writer.write_all(&state_dict(&[300_000], false)).unwrap();
    writer.start_file("archive/data/0", options.with_alignment(64)).unwrap();
    writer.write_all(&floats(0, 300_000)).unwrap();
    std::fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    let open = |sealed| {
        let options = LoadOptions { sealed, ..LoadOptions::default() };
        load(Source::open(&path).unwrap(), &Policy::default(), &options).unwrap().0
    };
    let made = open(false);
    check(&made, &[300_000]);
    let storage = made.storage_id(0).unwrap();
    let memory = made.memory(storage).unwrap();
    assert!(memory.is_mapped());
    assert!(!made.copy(storage).unwrap().is_mapped());
    // What is written there is this checkpoint's alone.
    // SAFETY: the memory is writable and ours; nothing else looks at it now.
    unsafe { memory.start().as_ptr().write(7) };
    check(&open(false), &[300_000]);

    // A sealed copy does not follow the file.
    let sealed = open(true);
    let there = std::fs::read(&path).unwrap();
    let changed: Vec<u8> = there.iter().map(|byte| !byte).collect();
    std::fs::write(&path, changed).unwrap();
    check(&sealed, &[300_000]);
}

/// `(padding, sparse tensor)` as a legacy file: the indices 0 and 1 are a part of a storage, behind a
/// storage that makes the file large enough to be mapped.
fn sparse_over_a_part(padding: u8) -> Vec<u8> {
    let text = |text: &str| {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        [b"X", &length[..], text.as_bytes()].concat()
    };
    let tensor = |class: &str, key: &str, size: u32, view: &[u8], shape: &[u8], strides: &[u8]| {
        let mut out = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
        out.extend(text("storage"));
        out.extend(format!("ctorch\n{class}\n").bytes());
        out.extend([text(key), text("cpu"), b"J".to_vec()].concat());
        out.extend([&size.to_le_bytes()[..], view].concat());
        out.extend([b"tQK\x00", shape, strides, b"\x89ccollections\nOrderedDict\n)RtR"].concat());
        out
    };
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    out.extend(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.\x80\x02(");
    out.extend(text(&" ".repeat(padding.into())));
    out.extend(b"ctorch._utils\n_rebuild_sparse_tensor\n(ctorch.serialization\n_get_layout\n");
    out.extend([text("torch.sparse_coo"), b"\x85R(".to_vec()].concat());
    let view = [b"(", &text("part")[..], b"K\x01K\x02t"].concat();
    out.extend(tensor("LongStorage", "0", 3, &view, b"K\x01K\x02\x86", b"K\x02K\x01\x86"));
    out.extend(tensor("FloatStorage", "1", 20_000, b"N", b"K\x02\x85", b"K\x01\x85"));
    out.extend(b"ctorch\nSize\nK\x04\x85\x85R\x88ttRt.");
    out.extend([b"\x80\x02](", &text("1")[..], &text("0"), b"e."].concat());
    out.extend([&20_000_u64.to_le_bytes()[..], &floats(1, 20_000), &3_u64.to_le_bytes()].concat());
    out.extend([9_u64, 0, 1].into_iter().flat_map(u64::to_le_bytes));
    out
}

#[test]
fn indices_are_what_was_checked_whatever_becomes_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    // A part that lies askew in the file is copied in any case: one of these does not.
    for padding in 0..8 {
        let path = folder.path().join(format!("{padding}.pt"));
        let bytes = sparse_over_a_part(padding);
        std::fs::write(&path, &bytes).unwrap();
        let source = Source::open(&path).unwrap();
        let made = load(source, &Policy::default(), &LoadOptions::default()).unwrap().0;
        let sparse = made.objects().iter().find_map(|object| match object {
            Object::Sparse(sparse) => Some(sparse),
            _ => None,
        });
        let Object::Tensor(indices) = made.object(sparse.unwrap().indices) else { panic!() };
        let storage = indices.storage().unwrap();
        assert!(matches!(made.storage(storage).unwrap().place, Place::View { .. }));
        // In place: a mapping would show it.
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(bytes.len() as u64 - 16)).unwrap();
        file.write_all(&[0x7F; 16]).unwrap();
        for memory in [made.memory(storage).unwrap(), made.copy(storage).unwrap()] {
            // SAFETY: the memory is as long as it says, and lives as long as `memory`.
            let there =
                unsafe { std::slice::from_raw_parts(memory.start().as_ptr(), memory.len()) };
            assert_eq!(there, [0_u64, 1].map(u64::to_le_bytes).concat());
        }
    }
}

#[test]
fn what_is_broken_is_told_with_its_place() {
    let refused = |bytes: Vec<u8>| {
        let policy = Policy { max_threat_score: 100, ..Policy::default() };
        let source = Source::from_bytes("model.pt", bytes);
        load(source, &policy, &LoadOptions::default()).unwrap_err().error
    };
    let mut cut = legacy(&[5]);
    cut.truncate(cut.len() - 1);
    let error = refused(cut);
    assert_eq!(error.code(), Code::Malformed);
    assert!(error.to_string().contains("`0`: a storage holds fewer bytes"), "{error}");
    let odd = refused(archive(&[3], CompressionMethod::Stored, Some("middle")));
    assert!(odd.to_string().contains("byteorder"), "{odd}");
}

/// Every cut of every layout ends in an error or in what was there.
#[test]
fn a_file_that_is_cut_is_an_error() {
    let policy = Policy { max_threat_score: 100, ..Policy::default() };
    for bytes in [
        archive(&[3, 5], CompressionMethod::Stored, None),
        archive(&[3, 5], CompressionMethod::Deflated, None),
        legacy(&[3, 5]),
    ] {
        for length in 0..bytes.len() {
            let source = Source::from_bytes("model.pt", bytes[..length].to_vec());
            if let Ok((made, _)) = load(source, &policy, &LoadOptions::default()) {
                check(&made, &[3, 5]);
            }
        }
    }
}
