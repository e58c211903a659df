use std::ffi::OsString;
use std::fs;
use std::io;
use std::sync::Arc;

use secure_torch_core::checkpoint::{
    Array, Builder, Dict, DictKind, Dtype, NumpyDtype, Object, Parts, Place, Quantizer, Storage,
    StorageId, Tensor, Value,
};

use super::*;

/// A checkpoint under construction, whose storages lie in itself.
struct Made(Builder);

impl Made {
    fn new() -> Self {
        Self(Builder::new())
    }

    fn storage(&mut self, dtype: Dtype, bytes: &[u8]) -> StorageId {
        let place = Place::Owned(self.0.bytes(bytes).unwrap());
        let location = self.0.text("cpu").unwrap();
        let bytes = bytes.len() as u64;
        self.0.storage(Storage { bytes, dtype, location, place, swapped: false }).unwrap()
    }

    fn view(
        &mut self,
        storage: StorageId,
        dtype: Dtype,
        offset: u64,
        shape: &[u64],
        strides: &[u64],
    ) -> Value {
        self.parts(&Parts {
            dtype,
            storage: Some(storage),
            offset,
            shape,
            strides,
            flags: 0,
            quantizer: None,
            class: None,
        })
    }

    fn parts(&mut self, parts: &Parts<'_>) -> Value {
        let tensor: Tensor = self.0.tensor(parts).unwrap();
        Value::Object(self.0.object(Object::Tensor(tensor)).unwrap())
    }

    /// A row of bytes.
    fn row(&mut self, bytes: &[u8]) -> Value {
        let storage = self.storage(Dtype::Uint8, bytes);
        self.view(storage, Dtype::Uint8, 0, &[bytes.len() as u64], &[1])
    }

    fn text(&mut self, text: &str) -> Value {
        Value::Text(self.0.text(text).unwrap())
    }

    fn dict(&mut self, items: &[(&str, Value)]) -> Value {
        let items = items.iter().map(|&(key, value)| (self.text(key), value)).collect();
        self.object(Object::Dict(Dict { kind: DictKind::Plain, items, state: None }))
    }

    fn object(&mut self, object: Object) -> Value {
        Value::Object(self.0.object(object).unwrap())
    }

    fn done(self, root: Value) -> Checkpoint {
        let limits = Policy::default().limits;
        let made = self.0.finish(root, &limits.pickle).unwrap();
        let source = Arc::new(Source::from_bytes("model.pt", Vec::new()));
        Checkpoint::new(made, vec![source], limits).unwrap()
    }
}

/// What a file holds: names, types, shapes and bytes, in the order of the bytes.
type Found = Vec<(String, Dtype, Vec<u64>, Vec<u8>)>;

/// What a file says beside that.
type Metadata = Vec<(String, String)>;

/// A way to put a tensor where it cannot be named.
type Hide = fn(&mut Made, Value) -> Value;

fn read(path: &Path) -> (Found, Metadata) {
    let source = Source::open(path).unwrap();
    let (made, _) = load(source, &Policy::default(), &LoadOptions::default()).unwrap();
    let items = &made.root_dict().unwrap().items;
    let tensor = |&(key, value): &(Value, Value)| {
        let (Value::Text(key), Value::Object(id)) = (key, value) else { panic!("no name") };
        let Object::Tensor(tensor) = made.object(id) else { panic!("no tensor") };
        let bytes = made.storage_bytes(tensor.storage().unwrap()).unwrap().to_vec();
        (made.text(key).to_owned(), tensor.dtype(), made.shape(tensor).to_vec(), bytes)
    };
    let metadata = made.metadata().map(|(key, value)| (key.to_owned(), value.to_owned()));
    (items.iter().map(tensor).collect(), metadata.collect())
}

fn options(change: impl FnOnce(&mut ConvertOptions)) -> ConvertOptions {
    let mut options = ConvertOptions::default();
    change(&mut options);
    options
}

/// Converts into a folder of its own, which is empty where that fails.
fn converted(
    checkpoint: &Checkpoint,
    options: &ConvertOptions,
) -> Result<(Converted, Found, Metadata), Error> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let result = convert(checkpoint, &out, &Policy::default(), options, &());
    let names: Vec<OsString> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let result = match result {
        Ok(result) => result,
        Err(error) => {
            assert!(names.is_empty(), "{names:?}");
            return Err(error);
        }
    };
    assert_eq!(names, ["out.safetensors"]);
    assert_eq!(fs::metadata(&out).unwrap().len(), result.bytes);
    let (found, metadata) = read(&out);
    assert_eq!(found.len() as u64, result.tensors);
    Ok((result, found, metadata))
}

fn refused(checkpoint: &Checkpoint, options: &ConvertOptions) -> String {
    let error = converted(checkpoint, options).unwrap_err();
    assert_eq!(error.code(), Code::Inconvertible, "{error}");
    error.to_string()
}

#[test]
fn keys_are_joined_and_wide_types_come_first() {
    let mut made = Made::new();
    let bytes = made.row(&[1, 2, 3]);
    let storage = made.storage(Dtype::Float64, &2.5_f64.to_le_bytes());
    let wide = made.view(storage, Dtype::Float64, 0, &[], &[]);
    let storage = made.storage(Dtype::Float32, &[]);
    let none = made.view(storage, Dtype::Float32, 0, &[0, 4], &[4, 1]);
    let list = made.object(Object::List(vec![bytes, wide]));
    let key = Value::Int(-3);
    let dict = Dict { kind: DictKind::Ordered, items: vec![(key, none)], state: None };
    let inner = made.object(Object::Dict(dict));
    let root = made.dict(&[("b", inner), ("a", list)]);
    let (result, found, metadata) =
        converted(&made.done(root), &ConvertOptions::default()).unwrap();
    let wide = ("a.1".to_owned(), Dtype::Float64, vec![], 2.5_f64.to_le_bytes().to_vec());
    let none = ("b.-3".to_owned(), Dtype::Float32, vec![0, 4], vec![]);
    let bytes = ("a.0".to_owned(), Dtype::Uint8, vec![3], vec![1, 2, 3]);
    assert_eq!(found, [wide, none, bytes]);
    assert_eq!(metadata, [("format".to_owned(), "pt".to_owned())]);
    assert_eq!((result.tensors, result.dropped, result.tied), (3, 0, vec![]));
}

#[test]
fn elements_are_written_as_they_are_looked_at() {
    let mut made = Made::new();
    let numbers: Vec<u8> = (0..24_u16).flat_map(u16::to_le_bytes).collect();
    let storage = made.storage(Dtype::Int16, &numbers);
    let shapes: [(&str, u64, &[u64], &[u64]); 6] = [
        ("plain", 0, &[2, 3, 4], &[12, 4, 1]),
        ("turned", 0, &[4, 3, 2], &[1, 4, 12]),
        ("part", 5, &[2, 2], &[12, 1]),
        ("rows", 4, &[2, 4], &[12, 1]),
        ("spread", 1, &[3, 2], &[0, 2]),
        ("ones", 7, &[1, 1, 2], &[99, 0, 3]),
    ];
    let items: Vec<(&str, Value)> = shapes
        .iter()
        .map(|&(name, offset, shape, strides)| {
            (name, made.view(storage, Dtype::Int16, offset, shape, strides))
        })
        .collect();
    let root = made.dict(&items);
    let (result, found, _) = converted(&made.done(root), &ConvertOptions::default()).unwrap();
    assert_eq!(result.tied, []);
    for (name, offset, shape, strides) in shapes {
        // The place of every element, counted the slow way.
        let mut places = vec![offset];
        for (&size, &stride) in shape.iter().zip(strides) {
            places =
                places.iter().flat_map(|&at| (0..size).map(move |i| at + i * stride)).collect();
        }
        let expected: Vec<u8> =
            places.iter().flat_map(|&at| u16::try_from(at).unwrap().to_le_bytes()).collect();
        let (_, _, found_shape, bytes) = found.iter().find(|found| found.0 == name).unwrap();
        assert_eq!((found_shape.as_slice(), bytes), (shape, &expected), "{name}");
    }
}

#[test]
fn conjugates_and_negatives_are_written_as_the_numbers_that_they_show() {
    let mut made = Made::new();
    let numbers: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
    let storage = made.storage(Dtype::Complex64, &numbers);
    let mut parts = Parts {
        dtype: Dtype::Complex64,
        storage: Some(storage),
        offset: 0,
        shape: &[1],
        strides: &[1],
        flags: Parts::CONJ,
        quantizer: None,
        class: None,
    };
    let conjugate = made.parts(&parts);
    parts.flags = 0;
    let plain = made.parts(&parts);
    parts.dtype = Dtype::Float32;
    parts.offset = 1;
    parts.flags = Parts::NEG;
    let negative = made.parts(&parts);
    let root = made.dict(&[("c", conjugate), ("n", negative), ("p", plain)]);
    let (_, found, _) = converted(&made.done(root), &ConvertOptions::default()).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let bytes = &found.iter().find(|found| found.0 == name).unwrap().3;
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    assert_eq!(
        (floats("c"), floats("n"), floats("p")),
        (vec![1.0, -2.0], vec![-2.0], vec![1.0, 2.0])
    );

    let mut made = Made::new();
    let storage = Some(made.storage(Dtype::Bool, &[1]));
    let negative =
        made.parts(&Parts { dtype: Dtype::Bool, storage, offset: 0, flags: Parts::NEG, ..parts });
    let root = made.dict(&[("b", negative)]);
    assert!(refused(&made.done(root), &ConvertOptions::default()).contains("`b` is the negative"));
}

#[test]
fn one_tensor_under_two_names_is_written_once() {
    let build = || {
        let mut made = Made::new();
        let storage = made.storage(Dtype::Uint8, &[1, 2, 3, 4]);
        let location = made.0.text("cpu").unwrap();
        let place = Place::View { of: storage, offset: 1 };
        let below = Storage { bytes: 3, dtype: Dtype::Uint8, location, place, swapped: false };
        let below = made.0.storage(below).unwrap();
        let whole = made.view(storage, Dtype::Uint8, 0, &[4], &[1]);
        let again = made.view(storage, Dtype::Uint8, 0, &[4], &[1]);
        let square = made.view(storage, Dtype::Uint8, 0, &[2, 2], &[2, 1]);
        let tail = made.view(storage, Dtype::Uint8, 2, &[2], &[1]);
        let tail_again = made.view(below, Dtype::Uint8, 1, &[2], &[1]);
        let root = made.dict(&[
            ("z", whole),
            ("y", again),
            ("square", square),
            ("tail", tail),
            ("last", tail_again),
        ]);
        made.done(root)
    };
    let (result, found, metadata) = converted(&build(), &ConvertOptions::default()).unwrap();
    let names: Vec<&str> = found.iter().map(|found| found.0.as_str()).collect();
    assert_eq!(names, ["last", "square", "y"]);
    assert_eq!(found[0].3, [3, 4]);
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let tied = [pair("tail", "last"), pair("z", "y")];
    assert_eq!(result.tied, tied);
    assert!(tied.iter().all(|pair| metadata.contains(pair)), "{metadata:?}");

    let all = options(|options| options.duplicate_shared = true);
    let (result, found, metadata) = converted(&build(), &all).unwrap();
    assert_eq!((result.tied.len(), found.len(), metadata.len()), (0, 5, 1));
}

#[test]
fn what_is_no_tensor_is_an_error_and_counted_when_it_is_left_out() {
    let build = || {
        let mut made = Made::new();
        let (one, other) = (made.row(&[1]), made.row(&[2]));
        let weights = made.dict(&[("w", one)]);
        let empty = made.dict(&[]);
        let rate =
            made.dict(&[("lr\u{1b}", Value::Float(0.1)), ("none", Value::None), ("e", empty)]);
        let float_key = (Value::Float(0.5), Value::Bool(true));
        let dict = Dict { kind: DictKind::Plain, items: vec![float_key], state: None };
        let odd = made.object(Object::Dict(dict));
        let root =
            made.dict(&[("model", weights), ("optimizer", rate), ("odd", odd), ("x", other)]);
        made.done(root)
    };
    let message = refused(&build(), &ConvertOptions::default());
    assert!(
        message.contains("`optimizer.lr\\u{1b}`, `optimizer.none`, `optimizer.e`"),
        "{message}"
    );
    assert!(message.contains("`--key model`"), "{message}");

    let drop_rest = options(|options| options.drop_rest = true);
    let (result, found, _) = converted(&build(), &drop_rest).unwrap();
    assert_eq!((result.dropped, result.dropped_first.len(), found.len()), (4, 4, 2));

    let part = options(|options| options.key = Some("model".to_owned()));
    let (_, found, _) = converted(&build(), &part).unwrap();
    assert_eq!(found[0].0, "w");
    let single = options(|options| options.key = Some("model.w".to_owned()));
    assert_eq!(converted(&build(), &single).unwrap().1[0].0, "w");
    let (mut none, mut cut) = (part.clone(), drop_rest.clone());
    (none.key, cut.key) = (Some("odd".to_owned()), Some("odd".to_owned()));
    assert!(refused(&build(), &none).contains("`0.5`"));
    assert!(refused(&build(), &cut).contains("no tensor"));
    let missing = options(|options| options.key = Some("modell".to_owned()));
    assert!(refused(&build(), &missing).contains("the file has `model`, `optimizer`"));
}

#[test]
fn no_tensor_is_ever_left_out() {
    let drop_rest = options(|options| options.drop_rest = true);
    let names: [(&str, Hide); 4] = [
        ("set", |made, tensor| made.object(Object::Set(vec![tensor]))),
        ("attribute", |made, tensor| {
            let state = Some(made.dict(&[("hidden", tensor)]));
            let good = made.row(&[9]);
            let key = made.text("good");
            made.object(Object::Dict(Dict {
                kind: DictKind::Ordered,
                items: vec![(key, good)],
                state,
            }))
        }),
        ("key", |made, tensor| {
            let items = vec![(Value::Float(0.5), tensor)];
            made.object(Object::Dict(Dict { kind: DictKind::Plain, items, state: None }))
        }),
        ("collision", |made, tensor| {
            let inner = made.dict(&[("b", tensor)]);
            made.dict(&[("a", inner), ("a.b", tensor)])
        }),
    ];
    for (name, place) in names {
        let mut made = Made::new();
        let tensor = made.row(&[1]);
        let root = place(&mut made, tensor);
        let message = refused(&made.done(root), &drop_rest);
        assert!(
            message.contains("holds a tensor where") || message.contains("`a.b`"),
            "{name}: {message}"
        );
    }
    let mut made = Made::new();
    let tensor = made.row(&[1]);
    let root = made.dict(&[("__metadata__", tensor)]);
    assert!(refused(&made.done(root), &drop_rest).contains("`__metadata__`"));
}

#[test]
fn types_that_the_format_lacks_are_named() {
    let quantizer = Quantizer::PerTensor { scale: 0.5, zero_point: 0 };
    for (dtype, quantizer, says) in [
        (Dtype::Complex128, None, "complex64"),
        (Dtype::Complex32, None, "complex64"),
        (Dtype::Qint8, Some(quantizer), "dequantize()"),
        (Dtype::Bits8, None, "no such type"),
        (Dtype::Float4E2m1fnX2, None, "four-bit"),
    ] {
        let mut made = Made::new();
        let storage = Some(made.storage(dtype, &[0; 16]));
        let tensor = made.parts(&Parts {
            dtype,
            storage,
            offset: 0,
            shape: &[],
            strides: &[],
            flags: 0,
            quantizer,
            class: None,
        });
        let root = made.dict(&[("layer\u{202e}", tensor)]);
        let message = refused(&made.done(root), &ConvertOptions::default());
        assert!(message.contains("`layer\\u{202e}`") && message.contains(says), "{message}");
    }
    let mut made = Made::new();
    let tensor = made.parts(&Parts {
        dtype: Dtype::Float32,
        storage: None,
        offset: 0,
        shape: &[3],
        strides: &[1],
        flags: 0,
        quantizer: None,
        class: None,
    });
    let root = made.dict(&[("w", tensor)]);
    assert!(refused(&made.done(root), &ConvertOptions::default()).contains("meta"));
}

#[test]
fn arrays_are_tensors_in_either_order_of_bytes_and_indices() {
    let mut made = Made::new();
    let storage = made.storage(Dtype::Int16, &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]);
    let shape = made.0.dims(&[2, 3]).unwrap();
    let dtype = NumpyDtype::parse(">i2").unwrap();
    let array = made.object(Object::Array(Array { dtype, shape, fortran: true, storage }));
    let storage = made.storage(Dtype::Uint8, b"ab");
    let shape = made.0.dims(&[2]).unwrap();
    let dtype = NumpyDtype::parse("|S1").unwrap();
    let text = made.object(Object::Array(Array { dtype, shape, fortran: false, storage }));
    let root = made.dict(&[("a", array), ("t", text)]);
    let made = made.done(root);
    assert!(refused(&made, &ConvertOptions::default()).contains("`t`"));
    let drop_rest = options(|options| options.drop_rest = true);
    let (result, found, _) = converted(&made, &drop_rest).unwrap();
    // The first index fastest: 1 2 | 3 4 | 5 6 are the columns.
    let bytes = vec![1, 0, 3, 0, 5, 0, 2, 0, 4, 0, 6, 0];
    assert_eq!(found, [("a".to_owned(), Dtype::Int16, vec![2, 3], bytes)]);
    assert_eq!(result.dropped, 1);
}

#[test]
fn a_tensor_that_repeats_itself_without_end_meets_the_limit() {
    let mut made = Made::new();
    let storage = made.storage(Dtype::Float32, &[0; 4]);
    let tensor = made.view(storage, Dtype::Float32, 0, &[1_000_000_000], &[0]);
    let root = made.dict(&[("w", tensor)]);
    let error = converted(&made.done(root), &ConvertOptions::default()).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge, "{error}");
    assert!(error.to_string().contains("convert.ratio"), "{error}");
}

#[test]
fn shared_parts_without_end_meet_a_limit() {
    let drop_rest = options(|options| options.drop_rest = true);
    for leaf in [false, true] {
        let mut made = Made::new();
        let mut value = if leaf { made.row(&[1]) } else { Value::None };
        for _ in 0..28 {
            value = made.object(Object::List(vec![value, value]));
        }
        let error = converted(&made.done(value), &drop_rest).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge, "{error}");
    }
}

#[test]
fn a_writer_that_fails_leaves_nothing_and_says_why() {
    /// Takes so many bytes.
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut made = Made::new();
    let tensor = made.row(&[7; 5000]);
    let root = made.dict(&[("w", tensor)]);
    let made = made.done(root);
    let plan = Plan::new(&made, &ConvertOptions::default(), &Policy::default().limits).unwrap();
    let header = layout::header(&made, &plan).unwrap();
    let whole = header.len() + 5000;
    let failed = |error: &io::Error| Error::new(Code::Write, "out", error.to_string());
    for room in [0, 7, 8, header.len(), whole - 1] {
        let error = write(&made, &plan, &header, &mut Full(room), &failed, &()).unwrap_err();
        assert_eq!(error.code(), Code::Write);
    }
    write(&made, &plan, &header, &mut Full(whole), &failed, &()).unwrap();
}

#[test]
fn a_file_that_reads_back_otherwise_gets_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::new();
    let tensor = made.row(&[7; 50]);
    let root = made.dict(&[("w", tensor)]);
    let made = made.done(root);
    let policy = Policy::default();
    let plan = Plan::new(&made, &ConvertOptions::default(), &policy.limits).unwrap();
    let header = layout::header(&made, &plan).unwrap();
    let failed = |error: &io::Error| Error::new(Code::Write, "out", error.to_string());
    for (at, code) in
        [(None, None), (Some(0), Some(Code::Blocked)), (Some(header.len() + 49), Some(Code::Write))]
    {
        let mut bytes = Vec::new();
        write(&made, &plan, &header, &mut bytes, &failed, &()).unwrap();
        if let Some(at) = at {
            bytes[at] ^= 1;
        }
        let target = Target::at(&folder.path().join("out.safetensors"), false).unwrap();
        let fresh = target.create().unwrap();
        fresh.file().write_all(&bytes).unwrap();
        let result = check::written(&made, &plan, &fresh, &policy, &());
        assert_eq!(result.err().map(|error| error.code()), code);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn metadata_passes_through_and_says_pytorch_unless_it_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) =
        (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    let header = r#"{"__metadata__":{"note":"tränen","format":"np"},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.push(5);
    fs::write(&input, &bytes).unwrap();
    let run = |force| {
        let options = options(|options| options.force = force);
        convert_path(&input, &out, &Policy::default(), &LoadOptions::default(), &options, &())
    };
    let (result, report) = run(false).unwrap();
    assert!(report.load_allowed() && result.tensors == 1);
    let (_, mut metadata) = read(&out);
    metadata.sort();
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(metadata, [pair("format", "np"), pair("note", "tränen")]);
    assert_eq!(run(false).unwrap_err().error.code(), Code::Exists);
    assert_eq!(run(true).unwrap().0, result);
}
