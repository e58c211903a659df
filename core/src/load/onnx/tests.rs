extern crate std;

use std::string::ToString;
use std::vec;

use super::*;
use crate::checkpoint::{Layout, sparse as check};

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A field of bytes.
fn run(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field that is a number.
fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

/// Numbers one behind another.
fn ints(number: u64, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| varint(value.cast_unsigned())).collect();
    run(number, &values)
}

/// A tensor: its name, its type, its sizes, and the fields of its data.
fn tensor(name: &str, data_type: i64, dims: &[i64], data: &[u8]) -> Vec<u8> {
    [ints(1, dims), int(2, data_type), run(8, name.as_bytes()), data.to_vec()].concat()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    run(9, bytes)
}

/// The description of data in another file.
fn external(pairs: &[(&str, &str)]) -> Vec<u8> {
    let pair = |(key, value): &(&str, &str)| {
        run(13, &[run(1, key.as_bytes()), run(2, value.as_bytes())].concat())
    };
    [pairs.iter().flat_map(pair).collect(), int(14, 1)].concat()
}

/// A model whose graph has these fields.
fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let import = int(2, 21);
    let metadata = run(14, &[run(1, b"author"), run(2, b"me")].concat());
    [int(1, 10), run(8, &import), run(7, &graph.concat()), metadata].concat()
}

fn of(tensors: &[Vec<u8>]) -> Vec<u8> {
    model(&tensors.iter().map(|tensor| run(5, tensor)).collect::<Vec<_>>())
}

/// Files in memory.
struct Folder(Vec<(&'static str, Vec<u8>)>);

impl Files for Folder {
    fn open(&mut self, location: &str) -> Result<u32, Problem> {
        let place = self.0.iter().position(|(name, _)| *name == location);
        place.map(|place| u32::try_from(place).unwrap() + 1).ok_or(Problem::MissingStorage)
    }

    fn bytes(&self, file: u32) -> &[u8] {
        &self.0[file as usize - 1].1
    }
}

fn load_beside(bytes: &[u8], folder: &mut Folder) -> Result<Checkpoint, LoadError> {
    load(bytes, &Options::default(), folder)
}

fn loaded(bytes: &[u8]) -> Result<Checkpoint, LoadError> {
    load_beside(bytes, &mut Folder(Vec::new()))
}

fn problem(bytes: &[u8]) -> Option<Problem> {
    loaded(bytes).err().map(|error| error.problem)
}

fn names(made: &Checkpoint) -> Vec<&str> {
    let items = &made.root_dict().unwrap().items;
    let keys = items.iter().map(|&(key, _)| match key {
        Value::Text(span) => made.text(span),
        _ => "",
    });
    keys.collect()
}

fn object<'m>(made: &'m Checkpoint, name: &str) -> &'m Object {
    match made.get(made.root_dict().unwrap(), name) {
        Some(Value::Object(id)) => made.object(id),
        _ => panic!("{name}"),
    }
}

/// The bytes of a storage, of the model or of files beside it.
fn stored<'m>(
    made: &'m Checkpoint,
    id: StorageId,
    model: &'m [u8],
    folder: &'m Folder,
) -> &'m [u8] {
    let storage = made.storage(id).unwrap();
    match storage.place {
        Place::Owned(span) => made.bytes(span),
        Place::File { file, offset } => {
            let bytes = if file == 0 { model } else { folder.bytes(file) };
            let start = usize::try_from(offset).unwrap();
            &bytes[start..start + usize::try_from(storage.bytes).unwrap()]
        }
        _ => panic!("elsewhere"),
    }
}

/// A tensor's type, shape, bytes, and whether those lie in a file.
fn shown<'m>(
    made: &'m Checkpoint,
    name: &str,
    model: &'m [u8],
) -> (Dtype, &'m [u64], &'m [u8], bool) {
    let Object::Tensor(tensor) = object(made, name) else { panic!("{name} is no tensor") };
    let id = tensor.storage().unwrap();
    static NONE: Folder = Folder(Vec::new());
    let in_file = matches!(made.storage(id).unwrap().place, Place::File { .. });
    (tensor.dtype(), made.shape(tensor), stored(made, id, model, &NONE), in_file)
}

#[test]
fn raw_data_lies_in_the_file() {
    let model = of(&[
        tensor("w", 1, &[2, 1], &raw(&[1, 2, 3, 4, 5, 6, 7, 8])),
        tensor("h", 10, &[], &raw(&[7, 8])),
        tensor("z", 14, &[0, 3], &[]),
    ]);
    let made = loaded(&model).unwrap();
    assert_eq!(names(&made), ["w", "h", "z"]);
    let expected = (Dtype::Float32, &[2, 1][..], &[1, 2, 3, 4, 5, 6, 7, 8][..], true);
    assert_eq!(shown(&made, "w", &model), expected);
    assert_eq!(shown(&made, "h", &model), (Dtype::Float16, &[][..], &[7, 8][..], true));
    assert_eq!(shown(&made, "z", &model), (Dtype::Complex64, &[0, 3][..], &[][..], false));
    assert_eq!(made.metadata().collect::<Vec<_>>(), [("author", "me")]);
}

#[test]
fn numbers_become_bytes() {
    let floats: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let single = [varint(4 << 3 | 5), 1.5_f32.to_le_bytes().to_vec()].concat();
    let double = 0.25_f64.to_le_bytes();
    let words = |value: i64| value.to_le_bytes();
    for (data_type, dims, data, dtype, bytes, in_file) in [
        (1, &[2][..], run(4, &floats), Dtype::Float32, floats.clone(), true),
        (1, &[1], single, Dtype::Float32, floats[..4].to_vec(), false),
        (14, &[1], run(4, &floats), Dtype::Complex64, floats.clone(), true),
        (11, &[1], run(10, &double), Dtype::Float64, double.to_vec(), true),
        (2, &[2], ints(5, &[255, 0]), Dtype::Uint8, vec![255, 0], false),
        (3, &[2], ints(5, &[-1, 127]), Dtype::Int8, vec![255, 127], false),
        (5, &[1], ints(5, &[-2]), Dtype::Int16, vec![254, 255], false),
        (6, &[1], ints(5, &[-2]), Dtype::Int32, vec![254, 255, 255, 255], false),
        (9, &[2], ints(5, &[1, 0]), Dtype::Bool, vec![1, 0], false),
        (10, &[1], ints(5, &[0x3c00]), Dtype::Float16, vec![0, 0x3c], false),
        (16, &[1], ints(5, &[0xff80]), Dtype::Bfloat16, vec![0x80, 0xff], false),
        (17, &[1], ints(5, &[0x38]), Dtype::Float8E4m3fn, vec![0x38], false),
        (7, &[2], ints(7, &[-3, 4]), Dtype::Int64, [words(-3), words(4)].concat(), false),
        (12, &[1], ints(11, &[0xffff_ffff]), Dtype::Uint32, vec![255; 4], false),
        (13, &[1], ints(11, &[-1]), Dtype::Uint64, vec![255; 8], false),
    ] {
        let model = of(&[tensor("t", data_type, dims, &data)]);
        let made = loaded(&model).unwrap();
        let dims: Vec<u64> = dims.iter().map(|&dim| u64::try_from(dim).unwrap()).collect();
        let expected = (dtype, &dims[..], &bytes[..], in_file);
        assert_eq!(shown(&made, "t", &model), expected, "{data_type}");
    }
    for (data_type, number) in [(2, 256), (3, -129), (4, -1), (9, 2), (10, 1 << 16), (17, -1)] {
        let found = problem(&of(&[tensor("t", data_type, &[1], &ints(5, &[number]))]));
        assert_eq!(found, Some(Problem::Format("a number does not fit its type")));
    }
}

#[test]
fn small_integers_get_a_byte_each() {
    for (data_type, dims, data, dtype, bytes) in [
        (21, &[3][..], raw(&[0xa1, 0xf7]), Dtype::Uint4, vec![1, 10, 7]),
        (22, &[3], raw(&[0xa1, 0xf7]), Dtype::Int4, vec![1, 0xfa, 7]),
        (22, &[2, 2], ints(5, &[0x8f, 0x10]), Dtype::Int4, vec![0xff, 0xf8, 0, 1]),
        (25, &[5], raw(&[0b1110_0100, 2]), Dtype::Uint2, vec![0, 1, 2, 3, 2]),
        (26, &[4], raw(&[0b1110_0100]), Dtype::Int2, vec![0, 1, 0xfe, 0xff]),
    ] {
        let model = of(&[tensor("t", data_type, dims, &data)]);
        let made = loaded(&model).unwrap();
        let (found, _, stored, in_file) = shown(&made, "t", &model);
        assert_eq!((found, stored, in_file), (dtype, &bytes[..], false));
    }
    let model = of(&[tensor("t", 23, &[3, 2], &raw(&[1, 2, 3]))]);
    let made = loaded(&model).unwrap();
    let expected = (Dtype::Float4E2m1fnX2, &[3, 1][..], &[1, 2, 3][..], true);
    assert_eq!(shown(&made, "t", &model), expected);
    for (data_type, dims) in [(23, [2, 3]), (27, [2, 2]), (28, [2, 2])] {
        let found = problem(&of(&[tensor("t", data_type, &dims, &raw(&[1, 2, 3]))]));
        assert!(matches!(found, Some(Problem::Unbuilt(_))), "{data_type}: {found:?}");
    }
}

#[test]
fn text_becomes_an_array() {
    let data = [run(6, "é".as_bytes()), run(6, b"")].concat();
    let made = loaded(&of(&[tensor("s", 8, &[2, 1], &data)])).unwrap();
    let Object::ObjectArray(shape, items, false) = object(&made, "s") else { panic!("no array") };
    let texts: Vec<&str> = items
        .iter()
        .map(|&item| if let Value::Text(span) = item { made.text(span) } else { "-" })
        .collect();
    assert_eq!((made.dims(*shape), &texts[..]), (&[2, 1][..], &["é", ""][..]));
    assert_eq!(problem(&of(&[tensor("s", 8, &[1], &run(6, b"\xff"))])), Some(Problem::Encoding));
}

#[test]
fn subgraphs_and_functions_have_paths() {
    let one = |name: &str| run(5, &tensor(name, 2, &[1], &raw(&[1])));
    let graph = |name: &str| [one(name), run(2, b"g")].concat();
    let branch = |attribute: &str, inner: &[u8]| {
        run(5, &[run(1, attribute.as_bytes()), int(20, 5), run(6, inner)].concat())
    };
    let node = |name: &str, attributes: &[u8]| {
        let output = run(2, b"out");
        [output, run(3, name.as_bytes()), run(4, b"If"), attributes.to_vec()].concat()
    };
    let inner = [graph("w"), run(1, &node("", &branch("else_branch", &graph("v"))))].concat();
    let outer = run(1, &node("n", &branch("then_branch", &inner)));
    let function = [
        run(1, b"F"),
        run(7, &node("m", &branch("body", &graph("u")))),
        run(9, &int(2, 21)),
        run(10, b"my.domain"),
    ]
    .concat();
    let bytes = [run(25, &function), model(&[outer, one("w")])].concat();
    let made = loaded(&bytes).unwrap();
    let expected =
        ["w", "my.domain::F/m/body/u", "n/then_branch/w", "n/then_branch/out/else_branch/v"];
    assert_eq!(names(&made), expected);

    let error = loaded(&model(&[one("w"), one("w")])).unwrap_err();
    assert_eq!(error.problem, Problem::Format("two initialisers have the same name"));
    assert_eq!(error.subject, "w");
}

#[test]
fn names_do_not_grow_without_end() {
    let one = |name: &str| run(5, &tensor(name, 2, &[1], &raw(&[1])));
    let many: Vec<u8> = (0..2_000).flat_map(|at| one(&at.to_string())).collect();
    let attribute = run(5, &[run(1, b"a"), int(20, 5), run(6, &many)].concat());
    let name = "n".repeat(20_000);
    let node = [run(2, b"o"), run(3, name.as_bytes()), run(4, b"If"), attribute].concat();
    assert_eq!(problem(&model(&[run(1, &node)])), Some(Problem::Full));
}

#[test]
fn data_in_another_file_is_there() {
    let beside = |pairs: &[(&str, &str)]| of(&[tensor("t", 2, &[4], &external(pairs))]);
    let mut folder = Folder(vec![("w.bin", vec![0, 1, 2, 3, 4, 5])]);
    let model = beside(&[("location", "w.bin"), ("offset", "1"), ("length", "4")]);
    let made = load_beside(&model, &mut folder).unwrap();
    let Object::Tensor(found) = object(&made, "t") else { panic!("no tensor") };
    let id = found.storage().unwrap();
    assert_eq!(made.storage(id).unwrap().place, Place::File { file: 1, offset: 1 });
    assert_eq!(stored(&made, id, &model, &folder), [1, 2, 3, 4]);

    for (offset, good) in [("0", true), ("2", true), ("3", false), ("9", false)] {
        let found = load_beside(&beside(&[("location", "w.bin"), ("offset", offset)]), &mut folder);
        let problem = found.err().map(|error| error.problem);
        assert_eq!(problem, (!good).then_some(Problem::ShortStorage), "{offset}");
    }
    let missing = load_beside(&beside(&[("location", "x.bin")]), &mut folder).unwrap_err();
    assert_eq!((missing.problem, missing.subject.as_str()), (Problem::MissingStorage, "t"));
    for location in ["../w.bin", "/w.bin", "", "a//w.bin", "*/_ORT_MEM_ADDR_/*"] {
        let found = load_beside(&beside(&[("location", location)]), &mut folder).unwrap_err();
        assert!(matches!(found.problem, Problem::Format(_)), "{location}");
    }
}

#[test]
fn the_same_bytes_are_one_storage_and_bits_do_not_grow_without_end() {
    let pairs = [("location", "w.bin")];
    let mut folder = Folder(vec![("w.bin", vec![1; 64])]);
    let all: Vec<Vec<u8>> =
        ["a", "b"].iter().map(|name| tensor(name, 2, &[64], &external(&pairs))).collect();
    let made = load_beside(&of(&all), &mut folder).unwrap();
    assert_eq!(made.storages().len(), 1);
    let all: Vec<Vec<u8>> =
        (0..64).map(|at| tensor(&at.to_string(), 21, &[1 << 16], &external(&pairs))).collect();
    let mut folder = Folder(vec![("w.bin", vec![1; 1 << 15])]);
    assert!(load_beside(&of(&all[..1]), &mut folder).is_ok());
    assert_eq!(load_beside(&of(&all), &mut folder).unwrap_err().problem, Problem::Full);
}

/// A sparse tensor of bytes at indices.
fn coo(count: i64, indices: &[i64], dims: &[i64], of: &[i64]) -> Vec<u8> {
    let values = tensor("s", 2, &[count], &ints(5, &vec![1; usize::try_from(count).unwrap()]));
    let indices = [ints(1, dims), int(2, 7), ints(7, indices)].concat();
    model(&[run(15, &[run(1, &values), run(2, &indices), ints(3, of)].concat())])
}

#[test]
fn sparse_initialisers_are_coordinates() {
    for (model, columns) in [
        (coo(2, &[0, 1, 1, 0], &[2, 2], &[3, 2]), vec![0, 1, 1, 0]),
        (coo(2, &[1, 2], &[2], &[3, 2]), vec![0, 1, 1, 0]),
        (coo(2, &[1, 2], &[2], &[4]), vec![1, 2]),
    ] {
        let made = loaded(&model).unwrap();
        let Object::Sparse(sparse) = object(&made, "s") else { panic!("not sparse") };
        assert_eq!((sparse.layout, sparse.coalesced), (Layout::Coo, Some(true)));
        let Object::Tensor(indices) = made.object(sparse.indices) else { panic!("no indices") };
        let none = Folder(Vec::new());
        let words = stored(&made, indices.storage().unwrap(), &model, &none);
        let (shape, strides) = (made.shape(indices), made.strides(indices));
        let mut found = Vec::new();
        for axis in 0..shape[0] {
            for at in 0..shape[1] {
                let place = usize::try_from((axis * strides[0] + at * strides[1]) * 8).unwrap();
                found.push(words[place]);
            }
        }
        assert_eq!(found, columns);
        let bytes = |id| Some(stored(&made, id, &model, &none));
        assert_eq!(check::check(&made, sparse, &bytes), Ok(()));
    }
    for broken in [
        coo(2, &[0, 1, 3, 0], &[2, 2], &[3, 2]),
        coo(2, &[2, 1], &[2], &[3, 2]),
        coo(2, &[1, 6], &[2], &[3, 2]),
        coo(2, &[0, 1, 2, 3], &[2, 2], &[9]),
    ] {
        assert!(loaded(&broken).is_err());
    }
}

#[test]
fn no_cut_and_no_bent_byte_panics() {
    let whole = of(&[
        tensor("w", 1, &[1], &raw(&[1, 2, 3, 4])),
        tensor("q", 22, &[3], &ints(5, &[1, 2])),
        tensor("e", 2, &[2], &external(&[("location", "w.bin"), ("offset", "1")])),
        tensor("s", 8, &[1], &run(6, b"x")),
    ]);
    let sparse = coo(2, &[1, 2], &[2], &[3, 2]);
    let mut folder = Folder(vec![("w.bin", vec![7; 3])]);
    for model in [whole, sparse] {
        assert!(load_beside(&model, &mut folder).is_ok());
        for end in 0..model.len() {
            // What is left of a field may be whole.
            let _ = load_beside(&model[..end], &mut folder);
        }
        for at in 0..model.len() {
            let mut bent = model.clone();
            for byte in 0..=255 {
                bent[at] = byte;
                if let Ok(made) = load_beside(&bent, &mut folder) {
                    for at in 0..made.storages().len() {
                        stored(&made, made.storage_id(at).unwrap(), &bent, &folder);
                    }
                }
            }
        }
    }
}
