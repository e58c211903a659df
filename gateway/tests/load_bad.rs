//! Files of every layout that can be loaded, cut and damaged: each is a typed error with its place,
//! or a checkpoint in which every tensor lies inside its storage and every storage inside the file.

#[path = "common/content.rs"]
mod content;
#[path = "common/files.rs"]
mod files;
#[path = "common/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::Arc;

use files::files;
use numbers::Numbers;
use secure_torch::core::checkpoint::Object;
use secure_torch::{Checkpoint, Code, LoadOptions, Policy, Source, load_shared};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What a damaged file may end in.
const CODES: [Code; 3] = [Code::Malformed, Code::Unsupported, Code::TooLarge];

/// A small file that loads, and its format.
struct Sample {
    name: String,
    format: &'static str,
    bytes: Vec<u8>,
}

/// The vectors that load, and that are small. What the policy would block is loaded as well: the
/// readers have to stand on their own.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (_, name, bytes) in files(8192) {
        if let Ok((made, format)) = load(&name, &bytes)
            && made.storages().iter().any(|storage| storage.bytes > 0)
        {
            samples.push(Sample { name, format, bytes });
        }
    }
    let arrays: Vec<_> =
        samples.iter().filter(|sample| sample.format == "npy").map(|s| s.bytes.clone()).collect();
    for bytes in arrays {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let (name, bytes) = ("arrays.npz".to_owned(), npz(&bytes, method));
            let (_, format) = load(&name, &bytes).unwrap();
            samples.push(Sample { name, format, bytes });
        }
    }
    let mut formats = BTreeMap::new();
    for sample in &samples {
        *formats.entry(sample.format).or_insert(0) += 1;
    }
    println!("{formats:?}");
    for format in
        ["pytorch-zip", "pytorch-legacy", "pytorch-tar", "safetensors", "npy", "npz", "onnx"]
    {
        assert!(
            formats.contains_key(format),
            "no vector of the format {format} loads: {formats:?}"
        );
    }
    samples
}

fn npz(array: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["a.npy", "b.npy"] {
        writer
            .start_file(name, SimpleFileOptions::default().compression_method(method))
            .and_then(|()| writer.write_all(array).map_err(Into::into))
            .unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn load(name: &str, bytes: &[u8]) -> Result<(Checkpoint, &'static str), secure_torch::LoadError> {
    let options = LoadOptions { audit_only: true, ..LoadOptions::default() };
    let source = Arc::new(Source::from_bytes(name, bytes.to_vec()));
    let (made, report) = load_shared(&source, &Policy::default(), &options)?;
    Ok((made, report.format))
}

/// Looks at everything that can be reached, as a consumer would.
fn check(made: &Checkpoint) {
    let storages = made.objects().iter().filter_map(|object| match object {
        Object::Tensor(tensor) => tensor.storage(),
        Object::Array(array) => Some(array.storage),
        _ => None,
    });
    for id in storages {
        let storage = *made.storage(id).unwrap();
        match made.storage_bytes(id) {
            Ok(bytes) => assert_eq!(bytes.len() as u64, storage.bytes),
            Err(error) => assert!(CODES.contains(&error.code()), "{error}"),
        }
        match made.memory(id) {
            Ok(memory) => {
                assert_eq!(memory.len() as u64, storage.bytes);
                let align = usize::try_from(storage.dtype.size()).unwrap();
                assert!(memory.start().addr().get().is_multiple_of(align));
            }
            Err(error) => assert!(CODES.contains(&error.code()), "{error}"),
        }
    }
    for object in made.objects() {
        match object {
            Object::Tensor(tensor) => {
                let Some(storage) = tensor.storage().and_then(|id| made.storage(id)) else {
                    continue;
                };
                let shape = made.shape(tensor);
                let steps = shape.iter().zip(made.strides(tensor)).map(|(&size, &stride)| {
                    u128::from(size.saturating_sub(1)).checked_mul(stride.into()).unwrap()
                });
                let last = u128::from(tensor.offset()) + steps.sum::<u128>();
                let end = (last + 1).checked_mul(tensor.dtype().size().into()).unwrap();
                assert!(shape.contains(&0) || end <= storage.bytes.into());
            }
            Object::Array(array) => {
                let shape = made.dims(array.shape);
                let size = shape.iter().try_fold(u128::from(array.dtype.size), |size, &count| {
                    size.checked_mul(count.into())
                });
                let storage = made.storage(array.storage).unwrap();
                assert_eq!(size, Some(storage.bytes.into()));
            }
            _ => {}
        }
    }
}

/// Loads, and says whether it did. An error has one of few codes, a cause, and where it is in.
fn tried(what: &str, name: &str, bytes: &[u8]) -> bool {
    match load(name, bytes) {
        Ok((made, _)) => {
            check(&made);
            true
        }
        Err(failed) => {
            let error = &failed.error;
            assert!(CODES.contains(&error.code()), "{what} {name}: {error}");
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{what} {name}: {text:?}");
            assert!(failed.report.is_some(), "{what} {name}: {text}");
            false
        }
    }
}

#[test]
fn cut_files_are_errors() {
    let mut cuts = 0;
    for sample in samples() {
        for length in 0..sample.bytes.len() {
            // What loads in spite of it is whole: only what no reader looks at was cut off.
            tried("cut", &sample.name, &sample.bytes[..length]);
            cuts += 1;
        }
    }
    assert!(cuts > 50_000, "{cuts}");
}

#[test]
fn changed_bytes_are_errors_or_sound() {
    let mut numbers = Numbers::seeded(0x5eed_0004);
    let samples = samples();
    let mut formats: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in &samples {
        formats.entry(sample.format).or_default().push(sample);
    }
    for (format, samples) in formats {
        let mut loaded = 0;
        for _ in 0..4000 {
            let sample = samples[numbers.below(samples.len())];
            let mut bytes = sample.bytes.clone();
            for _ in 0..=numbers.below(2) {
                let at = numbers.below(bytes.len());
                bytes[at] = match numbers.below(4) {
                    0 => bytes[at] ^ (1 << numbers.below(8)),
                    1 => [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
                    2 => bytes[at].wrapping_add(1),
                    _ => numbers.below(256) as u8,
                };
            }
            loaded += u32::from(tried("changed", &sample.name, &bytes));
        }
        println!("{format}: {loaded} of 4000 loaded");
    }
}
