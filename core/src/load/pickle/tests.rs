extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Checkpoint, Dtype, Place, Span, Storage, Tensor};

/// Storages of 64 bytes each, whatever their key.
struct Blank;

impl Storages for Blank {
    fn storage(
        &mut self,
        builder: &mut Builder,
        request: &StorageRequest<'_>,
    ) -> Result<StorageId, Problem> {
        let bytes = request.elements.checked_mul(request.dtype.size());
        let bytes = bytes.filter(|&bytes| bytes <= 64).ok_or(Problem::ShortStorage)?;
        let location = builder.text(request.location)?;
        let place = Place::File { file: 0, offset: 0 };
        builder.storage(Storage { bytes, dtype: request.dtype, location, place, swapped: false })
    }
}

fn load_as(stream: &[u8], text: Python2Text) -> Result<Checkpoint, LoadError> {
    let options = Options { text, ..Options::default() };
    let mut builder = Builder::new();
    let surroundings = Surroundings { ids: PersistentIds::LegacyStorages, torchscript: false };
    let (root, _) = build(stream, &options, surroundings, &mut builder, &mut Blank)?;
    builder.finish(root, &options.limits.pickle).map_err(|problem| LoadError::at(problem, 0))
}

fn load(stream: &[u8]) -> Result<Checkpoint, LoadError> {
    load_as(stream, Python2Text::Utf8)
}

fn problem(stream: &[u8]) -> (Problem, u64) {
    let error = load(stream).err().unwrap();
    (error.problem, error.offset)
}

/// A value in a few characters.
fn show(made: &Checkpoint, value: Value) -> String {
    let list = |values: &[Value]| {
        let items: Vec<String> = values.iter().map(|&value| show(made, value)).collect();
        items.join(",")
    };
    match value {
        Value::Text(span) => made.text(span).to_string(),
        Value::Bytes(span) => format!("b{:?}", made.bytes(span)),
        Value::Integer(span) => format!("i{:?}", made.bytes(span)),
        Value::Int(value) => format!("{value}"),
        Value::Float(value) => format!("{value:?}"),
        Value::Bool(value) => format!("{value}"),
        Value::None => "None".to_string(),
        Value::Tuple(span) => format!("({})", list(made.items(span))),
        Value::Size(span) => format!("Size({})", list(made.items(span))),
        Value::Dtype(dtype) => format!("{dtype}"),
        Value::Global(entry) => format!("{}.{}", entry.module, entry.name),
        Value::Storage(id) => format!("storage{}", id.index()),
        Value::Object(id) => match made.object(id) {
            Object::List(items) => format!("[{}]", list(items)),
            Object::Set(items) => format!("set({})", list(items)),
            Object::FrozenSet(items) => format!("frozenset({})", list(items)),
            Object::Deque(items, most) => format!("deque({},{most:?})", list(items)),
            Object::Dict(dict) => {
                let items = dict
                    .items
                    .iter()
                    .map(|&(key, value)| format!("{}:{}", show(made, key), show(made, value)));
                let items: Vec<String> = items.collect();
                let state = dict.state.map(|state| format!("+{}", show(made, state)));
                let kind = match dict.kind {
                    DictKind::Plain => String::new(),
                    DictKind::Ordered => "Ordered".to_string(),
                    DictKind::Counter => "Counter".to_string(),
                    DictKind::Default(factory) => format!("Default({})", show(made, factory)),
                    DictKind::Other(entry) => entry.name.to_string(),
                };
                format!("{kind}{{{}}}{}", items.join(","), state.unwrap_or_default())
            }
            Object::ByteArray(span) => format!("bytearray{:?}", made.bytes(*span)),
            Object::Complex(real, imaginary) => format!("{real}+{imaginary}j"),
            Object::Slice(parts) => format!("slice({})", list(parts)),
            Object::Range(parts) => format!("range{parts:?}"),
            Object::Device(kind, number) => format!("device({},{number:?})", made.text(*kind)),
            Object::Tensor(tensor) => format!(
                "tensor({},{:?},{:?}@{})",
                tensor.dtype(),
                made.shape(tensor),
                made.strides(tensor),
                tensor.offset()
            ),
            Object::Array(array) => {
                let storage = made.storage(array.storage).unwrap();
                let Place::Owned(span) = storage.place else { return "array?".to_string() };
                let shape = made.dims(array.shape);
                format!("array({},{shape:?},{},{:?})", array.dtype, array.fortran, made.bytes(span))
            }
            Object::Scalar(dtype, span) => format!("scalar({dtype},{:?})", made.bytes(*span)),
            Object::Instance(instance) => {
                let state = instance.state.map(|state| format!("+{}", show(made, state)));
                let arguments = list(made.items(instance.arguments));
                format!("{}({arguments}){}", instance.class.name, state.unwrap_or_default())
            }
            other => format!("{other:?}"),
        },
    }
}

fn shown(stream: &[u8]) -> String {
    let made = load(stream).unwrap();
    show(&made, made.root())
}

#[test]
fn plain_data_is_built() {
    for (stream, value) in [
        (&b"\x80\x04N."[..], "None"),
        (b"\x80\x02(I01\nI00\n\x88\x89t.", "(true,false,true,false)"),
        (b"L-5L\n.", "-5"),
        (b"\x80\x02\x8a\x02\x00\xff.", "-256"),
        (b"\x80\x02\x8a\x00.", "0"),
        (b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "i[0, 0, 0, 0, 0, 0, 0, 0, 1]"),
        (b"I18446744073709551616\n.", "i[0, 0, 0, 0, 0, 0, 0, 0, 1]"),
        (b"F1e5\n.", "100000.0"),
        (b"G?\xf8\x00\x00\x00\x00\x00\x00.", "1.5"),
        (b"S'a\\x41\\n'\n.", "aA\n"),
        (b"V\\u00e9\xe9\n.", "éé"),
        (b"\x80\x03C\x02\x00\xff.", "b[0, 255]"),
        (b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00\x07.", "bytearray[7]"),
        (b"\x80\x04](K\x01K\x02e.", "[1,2]"),
        (b"\x80\x04\x8f(K\x01K\x01K\x02\x90.", "set(1,2)"),
        (b"\x80\x04(K\x01\x91.", "frozenset(1)"),
        (b"\x80\x02}(K\x01K\x02K\x01K\x03u.", "{1:3}"),
        (b"(I1\nI2\nd.", "{1:2}"),
        (b"ccollections\nOrderedDict\n)R(K\x01K\x02u.", "Ordered{1:2}"),
        (b"ccollections\nOrderedDict\n)R}K\x01K\x02sb.", "Ordered{}+{1:2}"),
        (b"ccollections\nOrderedDict\n]](K\x01K\x02ea\x85R.", "Ordered{1:2}"),
        (
            b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01K\x02s.",
            "Default(builtins.list){1:2}",
        ),
        (b"ccollections\nCounter\n}K\x01K\x02s\x85R.", "Counter{1:2}"),
        (b"ccollections\ndeque\n)K\x02\x86R(K\x01K\x02K\x03e.", "deque(2,3,Some(2))"),
        (b"c__builtin__\nset\n](K\x01K\x01e\x85R.", "set(1)"),
        (b"c__builtin__\ncomplex\nG?\xf8\x00\x00\x00\x00\x00\x00K\x02\x86R.", "1.5+2j"),
        (b"c__builtin__\nslice\nNK\x01N\x87R.", "slice(None,1,None)"),
        (b"cbuiltins\nrange\nK\x00K\x03K\x01\x87R.", "range[0, 3, 1]"),
        (b"c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R.", "b[255]"),
        (b"ctorch\nSize\n(K\x01K\x02t\x85R.", "Size(1,2)"),
        (b"ctorch\nfloat16\n.", "float16"),
        (b"ctorch\nchannels_last\n.", "torch.channels_last"),
        (b"ctorch\ndevice\nX\x06\x00\x00\x00cuda:3\x85R.", "device(cuda,Some(3))"),
        (b"cdatetime\ntimedelta\nK\x01K\x02K\x03\x87R.", "timedelta(1,2,3)"),
        (b"cargparse\nNamespace\n)R}K\x01K\x02sb.", "Namespace()+{1:2}"),
        (
            b"ccopy_reg\n_reconstructor\nccollections\nOrderedDict\nc__builtin__\nobject\nN\x87R.",
            "Ordered{}",
        ),
    ] {
        assert_eq!(shown(stream), value, "{stream:?}");
    }
}

#[test]
fn what_is_shared_stays_shared() {
    let made = load(b"\x80\x04]\x94(h\x00K\x01\x86h\x00e.").err().unwrap();
    assert_eq!(made.problem, Problem::Cycle);
    let made = load(b"\x80\x04](]\x94h\x00h\x00e.").unwrap();
    let Value::Object(id) = made.root() else { panic!("a list") };
    let Object::List(items) = made.object(id) else { panic!("a list") };
    assert!(
        matches!(items[..], [Value::Object(a), Value::Object(b), Value::Object(c)] if a == b && b == c)
    );
}

#[test]
fn the_strings_of_python_2_are_read_as_asked() {
    let stream = b"U\x01\xe9.";
    assert_eq!(problem(stream), (Problem::Encoding, 0));
    assert_eq!(load_as(stream, Python2Text::Ascii).err().unwrap().problem, Problem::Encoding);
    for (text, value) in [(Python2Text::Latin1, "é"), (Python2Text::Bytes, "b[233]")] {
        let made = load_as(stream, text).unwrap();
        assert_eq!(show(&made, made.root()), value);
    }
}

/// `_rebuild_tensor_v2` with this offset, size and stride over four floats.
fn tensor(offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    let storage: &[u8] =
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ";
    let hooks: &[u8] = b"ccollections\nOrderedDict\n)R";
    let start: &[u8] = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(";
    [start, storage, offset, size, stride, b"\x89", hooks, b"tR."].concat()
}

#[test]
fn tensors_lie_inside_their_storage() {
    let stream = tensor(b"K\x01", b"K\x03\x85", b"K\x01\x85");
    assert_eq!(shown(&stream), "tensor(float32,[3],[1]@1)");
    let outside = Problem::Tensor(crate::checkpoint::extent::Misfit::Outside);
    for (offset, size, stride) in [
        (&b"K\x02"[..], &b"K\x03\x85"[..], &b"K\x01\x85"[..]),
        (b"K\x00", b"K\x05\x85", b"K\x01\x85"),
        (b"K\x00", b"K\x02\x85", b"K\x04\x85"),
        (b"K\x00", b"K\x02\x85", b"J\xff\xff\xff\xff\x85"),
        (b"J\xff\xff\xff\xff", b"K\x02\x85", b"K\x01\x85"),
        (b"K\x00", b"J\x00\xca\x9a\x3b\x85", b"K\x01\x85"),
    ] {
        assert_eq!(problem(&tensor(offset, size, stride)).0, outside, "{size:?}");
    }
    let overflow = Problem::Tensor(crate::checkpoint::extent::Misfit::Overflow);
    let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let size = [&huge[..], &huge[..], b"\x86"].concat();
    assert_eq!(problem(&tensor(b"K\x00", &size, b"K\x00K\x00\x86")).0, overflow);
    let ranks = Problem::Tensor(crate::checkpoint::extent::Misfit::Ranks);
    assert_eq!(problem(&tensor(b"K\x00", b"K\x02\x85", b")")).0, ranks);
}

#[test]
fn persistent_ids_are_read_as_bytes_with_the_other_strings() {
    let stream = b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x011U\x03cpuK\x04tQ.";
    let made = load_as(stream, Python2Text::Bytes).unwrap();
    assert_eq!(show(&made, made.root()), "storage0");
    assert_eq!(shown(stream), "storage0");
    let written = b"\x80\x03(C\x07storagectorch\nFloatStorage\nC\x011C\x03cpuK\x04tQ.";
    assert_eq!(problem(written).0, Problem::PersistentId);
    let other = b"\x80\x02(U\x07st\xffragectorch\nFloatStorage\nU\x011U\x03cpuK\x04tQ.";
    let error = load_as(other, Python2Text::Bytes).err().unwrap();
    assert_eq!(error.problem, Problem::PersistentId);
}

#[test]
fn a_key_of_the_metadata_sets_its_bit() {
    let plain = tensor(b"K\x01", b"K\x03\x85", b"K\x01\x85");
    let marked = |metadata: &[u8]| {
        let end = plain.len().checked_sub(3).unwrap();
        let stream = [&plain[..end], metadata, b"tR."].concat();
        let made = load(&stream).unwrap();
        made.objects().iter().find_map(|object| match object {
            Object::Tensor(tensor) => Some((tensor.is_conj(), tensor.is_neg())),
            _ => None,
        })
    };
    assert_eq!(marked(b"}"), Some((false, false)));
    assert_eq!(marked(b"}X\x04\x00\x00\x00conj\x88s"), Some((true, false)));
    // PyTorch looks for the key and not at its value.
    assert_eq!(marked(b"}X\x03\x00\x00\x00neg\x89s"), Some((false, true)));
}

#[test]
fn numpy_is_rebuilt() {
    let dtype = |name: &str, order: &str| {
        let (length, name) = ([u8::try_from(name.len()).unwrap()], name.as_bytes());
        [
            b"cnumpy\ndtype\nU",
            &length[..],
            name,
            b"\x89\x88\x87R(K\x03U\x01",
            order.as_bytes(),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        ]
        .concat()
    };
    let array = |dtype: &[u8], shape: &[u8], data: &[u8]| {
        let start: &[u8] =
            b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01";
        [start, shape, dtype, b"\x89", data, b"tb."].concat()
    };
    let two = array(&dtype("i2", ">"), b"K\x02\x85", b"C\x04\x00\x01\x00\x02");
    // numpy turns the bytes of a state around as it reads them, and the type with them.
    assert_eq!(shown(&two), "array(<i2,[2],false,[1, 0, 2, 0])");
    let complex = array(&dtype("c8", ">"), b"K\x01\x85", b"C\x08\x01\x02\x03\x04\x05\x06\x07\x08");
    assert_eq!(shown(&complex), "array(<c8,[1],false,[4, 3, 2, 1, 8, 7, 6, 5])");
    let buffer = [
        b"\x80\x05cnumpy.core.numeric\n_frombuffer\n(C\x02\x00\x01",
        &dtype("i2", ">")[..],
        b"K\x01\x85X\x01\x00\x00\x00CtR.",
    ]
    .concat();
    assert_eq!(shown(&buffer), "array(>i2,[1],false,[0, 1])");
    let short = array(&dtype("i2", "<"), b"K\x03\x85", b"C\x04\x00\x01\x00\x02");
    assert_eq!(problem(&short).0, Problem::ArrayBytes);
    let objects = array(&dtype("O8", "|"), b"K\x02\x85", b"](K\x01K\x02e");
    assert!(shown(&objects).starts_with("ObjectArray"));
    let bytes_as_objects =
        array(&dtype("O8", "|"), b"K\x01\x85", b"C\x08\x00\x00\x00\x00\x00\x00\x00\x00");
    assert_eq!(problem(&bytes_as_objects).0, Problem::State);
    let scalar = [
        b"\x80\x03cnumpy.core.multiarray\nscalar\n",
        &dtype("f4", "<")[..],
        b"C\x04\x00\x00\x80?\x86R.",
    ]
    .concat();
    assert_eq!(shown(&scalar), "scalar(<f4,[0, 0, 128, 63])");
}

#[test]
fn what_is_not_on_the_list_is_not_built() {
    for (stream, wanted, offset) in [
        (&b"cposix\nsystem\n(S'true'\ntR."[..], Problem::Global, 0),
        (b"\x80\x04X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", Problem::Global, 20),
        (b"ctorch\n__builtins__.eval\n.", Problem::Global, 0),
        (b"ccollections\nOrderedDict\nX\x01\x00\x00\x00x\x85R.", Problem::Arguments, 32),
        (b"c__builtin__\nint\nK\x01\x85R.", Problem::Arguments, 20),
        (b"\x82\x01.", Problem::Extension, 0),
        (b"\x80\x05\x97.", Problem::Buffer, 2),
        (b"I0x10\n.", Problem::Divergent, 0),
        (b"Ix\n.", Problem::Literal, 0),
        (b"K\x01K\x02s.", Problem::Machine(Fault::StackUnderflow), 4),
        (b"K\x01K\x02K\x03s.", Problem::Items, 6),
        (b"K\x01}b.", Problem::State, 3),
        (b"]}b.", Problem::State, 2),
        (b"h\x07.", Problem::Machine(Fault::MissingMemo), 0),
        (b"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00M\x01\x00.", Problem::Divergent, 11),
        (b"N", Problem::Truncated, 1),
        (b"\xff", Problem::Decode(crate::pickle::decode::DecodeErrorKind::UnknownOpcode(0xff)), 0),
        (b"}]K\x01s.", Problem::Unhashable, 0),
        (b"P0\n.", Problem::PersistentId, 0),
    ] {
        let found = load(stream).err().map(|error| (error.problem, error.offset));
        assert_eq!(found, Some((wanted, offset)), "{stream:?}");
    }
    let error = load(b"cposix\nsystem\n.").err().unwrap();
    assert_eq!(error.subject, "posix.system");
    assert!(!error.to_string().contains("posix"), "the subject is not safe to print");
}

/// What calls take from the memo again and again is copied a bounded number of times.
#[test]
fn copies_are_counted() {
    let mut stream = b"\x80\x02c__builtin__\nset\nq\x00](".to_vec();
    stream.extend(b"K\x01".repeat(10_000));
    stream.extend(b"eq\x010");
    stream.extend(b"h\x00h\x01\x85R0".repeat(2_000));
    stream.extend(b"N.");
    assert_eq!(problem(&stream).0, Problem::Expansion);
    let mut stream = b"\x80\x02c_codecs\nencode\nq\x00X\x10\x27\x00\x00".to_vec();
    stream.extend(b"a".repeat(10_000));
    stream.extend(b"X\x06\x00\x00\x00latin1\x86q\x010");
    stream.extend(b"h\x00h\x01R0".repeat(2_000));
    stream.extend(b"N.");
    assert_eq!(problem(&stream).0, Problem::Expansion);
}

/// A key that expands a thousand million times is not walked.
#[test]
fn keys_that_expand_are_refused() {
    let mut stream = b"\x80\x02}K\x01\x85q\x00".to_vec();
    for _ in 0..27 {
        stream.extend(b"h\x00\x86q\x00");
    }
    stream.extend(b"Ns.");
    assert_eq!(problem(&stream).0, Problem::Expansion);
}

fn is_inside(made: &Checkpoint, tensor: &Tensor) -> bool {
    let Some(storage) = tensor.storage().and_then(|id| made.storage(id)) else { return true };
    let (shape, strides) = (made.shape(tensor), made.strides(tensor));
    if shape.contains(&0) {
        return true;
    }
    let steps = shape
        .iter()
        .zip(strides)
        .map(|(&size, &stride)| u128::from(size.saturating_sub(1)).saturating_mul(stride.into()));
    let last = u128::from(tensor.offset()).saturating_add(steps.sum::<u128>());
    last.saturating_add(1).saturating_mul(tensor.dtype().size().into()) <= storage.bytes.into()
}

proptest! {
    /// Whatever the bytes say: an error or a checkpoint in which every tensor lies inside its
    /// storage and every span inside its pool.
    #[test]
    fn any_change_is_an_error_or_sound(
        at in 0_usize..200, byte: u8, offset in 0_u8..8, size in 0_u8..8, stride in 0_u8..4,
    ) {
        let mut stream = tensor(&[b'K', offset], &[b'K', size, 0x85], &[b'K', stride, 0x85]);
        if let Some(place) = stream.get_mut(at) {
            *place = byte;
        }
        if let Ok(made) = load(&stream) {
            for object in made.objects() {
                if let Object::Tensor(tensor) = object {
                    prop_assert!(is_inside(&made, tensor));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_sound(stream: Vec<u8>) {
        if let Ok(made) = load(&stream) {
            let _ = show(&made, made.root());
        }
    }
}

#[test]
fn spans_start_where_they_say() {
    let mut builder = Builder::new();
    builder.text("ab").unwrap();
    let span = builder.text("cd").unwrap();
    assert_eq!((span.start(), span.len(), builder.so_far().text(span)), (2, 2, "cd"));
    assert!(Span::EMPTY.is_empty() && Dtype::from_name("float32").is_some());
}
