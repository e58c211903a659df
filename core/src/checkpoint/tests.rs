extern crate std;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::limits::Limits;

fn limits() -> crate::limits::Pickle {
    Limits::default().pickle
}

fn dict(items: Vec<(Value, Value)>) -> Object {
    Object::Dict(Dict { kind: DictKind::Plain, items, state: None })
}

fn storage(builder: &mut Builder, dtype: Dtype, bytes: &[u8]) -> StorageId {
    let span = builder.bytes(bytes).unwrap();
    let location = builder.text("cpu").unwrap();
    let bytes = bytes.len() as u64;
    let place = Place::Owned(span);
    builder.storage(Storage { bytes, dtype, location, place, swapped: false }).unwrap()
}

fn tensor(builder: &mut Builder, storage: StorageId, dtype: Dtype, shape: &[u64]) -> ObjectId {
    let mut strides = vec![0; shape.len()];
    extent::contiguous(shape, &mut strides).unwrap();
    let parts = Parts {
        dtype,
        storage: Some(storage),
        offset: 0,
        shape,
        strides: &strides,
        flags: 0,
        quantizer: None,
        class: None,
    };
    let tensor = builder.tensor(&parts).unwrap();
    builder.object(Object::Tensor(tensor)).unwrap()
}

#[test]
fn a_value_takes_sixteen_bytes() {
    assert_eq!(size_of::<Value>(), 16);
}

#[test]
fn the_last_value_of_a_key_stays_in_the_first_place() {
    let mut builder = Builder::new();
    let a = Value::Text(builder.text("a").unwrap());
    let b = Value::Text(builder.text("b").unwrap());
    let again = Value::Text(builder.text("a").unwrap());
    let items = vec![
        (a, Value::Int(1)),
        (Value::Int(1), Value::Int(2)),
        (b, Value::Int(3)),
        (again, Value::Int(4)),
        (Value::Bool(true), Value::Int(5)),
        (Value::Float(1.0), Value::Int(6)),
        (Value::Float(1.5), Value::Int(7)),
    ];
    let id = builder.object(dict(items)).unwrap();
    let made = builder.finish(Value::Object(id), &limits()).unwrap();
    let found = &made.root_dict().unwrap().items;
    let expected = [
        (a, Value::Int(4)),
        (Value::Int(1), Value::Int(6)),
        (b, Value::Int(3)),
        (Value::Float(1.5), Value::Int(7)),
    ];
    assert_eq!(found, &expected);
    assert_eq!(made.get(made.root_dict().unwrap(), "b"), Some(Value::Int(3)));
}

#[test]
fn what_cannot_be_a_key_is_none() {
    let mut builder = Builder::new();
    let list = builder.object(Object::List(Vec::new())).unwrap();
    let inside = builder.items(&[Value::Object(list)]).unwrap();
    let id = builder.object(dict(vec![(Value::Tuple(inside), Value::None)])).unwrap();
    assert_eq!(builder.finish(Value::Object(id), &limits()).err(), Some(Problem::Unhashable));
}

#[test]
fn cycles_and_depth_end_construction() {
    let mut builder = Builder::new();
    let id = builder.object(Object::List(Vec::new())).unwrap();
    let inside = builder.items(&[Value::Object(id)]).unwrap();
    if let Some(Object::List(items)) = builder.object_mut(id) {
        items.push(Value::Tuple(inside));
    }
    assert_eq!(builder.finish(Value::Object(id), &limits()).err(), Some(Problem::Cycle));

    for (levels, error) in
        [(limits().container_depth, None), (limits().container_depth + 1, Some(Problem::Depth))]
    {
        let mut builder = Builder::new();
        let mut value = Value::None;
        for _ in 0..levels {
            value = Value::Tuple(builder.items(&[value]).unwrap());
        }
        assert_eq!(builder.finish(value, &limits()).err(), error);
    }
}

#[test]
fn doubling_references_end_construction() {
    let mut builder = Builder::new();
    let mut value = Value::Int(1);
    for _ in 0..40 {
        value = Value::Tuple(builder.items(&[value, value]).unwrap());
    }
    assert_eq!(builder.finish(value, &limits()).err(), Some(Problem::Expansion));
}

#[test]
fn keys_cost_what_they_expand_to() {
    // A tuple of tuples, twice each: two to the twenty-eighth leaves in one key.
    let mut builder = Builder::new();
    let mut value = Value::Int(1);
    for _ in 0..28 {
        value = Value::Tuple(builder.items(&[value, value]).unwrap());
    }
    let set = builder.object(Object::Set(vec![value])).unwrap();
    assert_eq!(builder.finish(Value::Object(set), &limits()).err(), Some(Problem::Expansion));

    // One long text, again and again.
    let mut builder = Builder::new();
    let text = Value::Text(builder.text(&"k".repeat(1 << 20)).unwrap());
    let set = builder.object(Object::Set(vec![text; 2_000])).unwrap();
    assert_eq!(builder.finish(Value::Object(set), &limits()).err(), Some(Problem::Expansion));

    // One long tuple, again and again, and honest keys.
    for (length, times, error) in [(10_000, 10_000, Some(Problem::Expansion)), (4, 50_000, None)] {
        let mut builder = Builder::new();
        let items = vec![Value::Int(0); length];
        let size = Value::Size(builder.items(&items).unwrap());
        let set = builder.object(Object::Set(vec![size; times])).unwrap();
        assert_eq!(builder.finish(Value::Object(set), &limits()).err(), error);
    }
}

#[test]
fn keys_that_collide_on_purpose_are_refused() {
    // Python's hash of an integer is what is left of it by 2^61 - 1.
    let modulus = (1_i128 << 61) - 1;
    for (step, error) in [(modulus, Some(Problem::Expansion)), (modulus + 2, None)] {
        let mut builder = Builder::new();
        let keys = (10..1_000).map(|at| {
            let bytes = (step * at + 5).to_le_bytes();
            Value::Integer(builder.bytes(&bytes[..10]).unwrap())
        });
        let keys = keys.collect();
        let set = builder.object(Object::Set(keys)).unwrap();
        assert_eq!(builder.finish(Value::Object(set), &limits()).err(), error);
    }
}

#[test]
fn objects_do_not_multiply_what_they_share() {
    let megabyte = |builder: &mut Builder| builder.bytes(&vec![0; 1 << 20]).unwrap();
    for (times, error) in [(4, None), (100, Some(Problem::Expansion))] {
        let mut builder = Builder::new();
        let bytes = megabyte(&mut builder);
        for _ in 0..times {
            builder.object(Object::ByteArray(bytes)).unwrap();
        }
        assert_eq!(builder.finish(Value::None, &limits()).err(), error);

        let mut builder = Builder::new();
        let items = vec![(Value::None, Value::None); 50_000];
        let state = Dict { kind: DictKind::Plain, items, state: None };
        let state = Some(Value::Object(builder.object(Object::Dict(state)).unwrap()));
        for _ in 0..times {
            let dict = Dict { kind: DictKind::Ordered, items: Vec::new(), state };
            builder.object(Object::Dict(dict)).unwrap();
        }
        assert_eq!(builder.finish(Value::None, &limits()).err(), error);

        let mut builder = Builder::new();
        let bytes = megabyte(&mut builder);
        for _ in 0..times {
            let id = storage(&mut builder, Dtype::Uint8, &[]);
            builder.place(id, Place::Owned(bytes), false);
            let shape = builder.dims(&[1 << 20]).unwrap();
            let dtype = NumpyDtype::parse("|u1").unwrap();
            let array = Array { dtype, shape, fortran: false, storage: id };
            builder.object(Object::Array(array)).unwrap();
        }
        assert_eq!(builder.finish(Value::None, &limits()).err(), error);
    }
}

#[test]
fn a_queue_keeps_its_last_items() {
    let mut builder = Builder::new();
    let items = (0..5).map(Value::Int).collect();
    let id = builder.object(Object::Deque(items, Some(2))).unwrap();
    let made = builder.finish(Value::Object(id), &limits()).unwrap();
    let kept = vec![Value::Int(3), Value::Int(4)];
    assert_eq!(*made.object(id), Object::Deque(kept, Some(2)));
}

#[test]
fn a_view_is_of_no_view() {
    let mut builder = Builder::new();
    let of = storage(&mut builder, Dtype::Uint8, &[0; 8]);
    let whole = *builder.so_far().storage(of).unwrap();
    let view = builder.storage(Storage { place: Place::View { of, offset: 1 }, ..whole }).unwrap();
    let place = Place::View { of: view, offset: 1 };
    assert_eq!(builder.storage(Storage { place, ..whole }), Err(Problem::MissingStorage));
}

#[test]
fn a_tensor_lies_inside_its_storage() {
    let mut builder = Builder::new();
    let id = storage(&mut builder, Dtype::Float32, &[0; 24]);
    let parts = |shape, strides, offset| Parts {
        dtype: Dtype::Float32,
        storage: Some(id),
        offset,
        shape,
        strides,
        flags: Parts::REQUIRES_GRAD,
        quantizer: None,
        class: None,
    };
    let made = builder.tensor(&parts(&[2, 3], &[3, 1], 0)).unwrap();
    assert!(made.requires_grad() && !made.is_conj());
    assert_eq!(builder.so_far().shape(&made), [2, 3]);
    assert_eq!(builder.so_far().strides(&made), [3, 1]);
    for bad in [parts(&[2, 3], &[3, 1], 1), parts(&[2, 3], &[4, 1], 0), parts(&[7], &[1], 0)] {
        assert_eq!(builder.tensor(&bad), Err(Problem::Tensor(extent::Misfit::Outside)));
    }
}

#[test]
fn scales_fit_their_axis() {
    let mut builder = Builder::new();
    let scales = storage(&mut builder, Dtype::Float64, &[0; 16]);
    let points = storage(&mut builder, Dtype::Int64, &[0; 16]);
    let scales = tensor(&mut builder, scales, Dtype::Float64, &[2]);
    let zero_points = tensor(&mut builder, points, Dtype::Int64, &[2]);
    let id = storage(&mut builder, Dtype::Qint8, &[0; 6]);
    let mut parts = |axis, shape: &[u64], dtype| {
        builder.tensor(&Parts {
            dtype,
            storage: Some(id),
            offset: 0,
            shape,
            strides: &[1, 1],
            flags: 0,
            quantizer: Some(Quantizer::PerChannel { scales, zero_points, axis, float: false }),
            class: None,
        })
    };
    assert!(parts(0, &[2, 3], Dtype::Qint8).is_ok());
    assert_eq!(parts(1, &[2, 3], Dtype::Qint8), Err(Problem::Quantizer));
    assert_eq!(parts(2, &[2, 3], Dtype::Qint8), Err(Problem::Quantizer));
    assert_eq!(parts(0, &[2, 3], Dtype::Int8), Err(Problem::Quantizer));

    // Scales that become others once the tensor was made.
    let made = parts(0, &[2, 3], Dtype::Qint8).unwrap();
    builder.object(Object::Tensor(made)).unwrap();
    let points = storage(&mut builder, Dtype::Float64, &[0; 8]);
    let other = tensor(&mut builder, points, Dtype::Float64, &[1]);
    let other = builder.so_far().object(other).clone();
    *builder.object_mut(scales).unwrap() = other;
    assert_eq!(builder.finish(Value::None, &limits()).err(), Some(Problem::Quantizer));
}

/// A sparse tensor of index tables and as many values as are said.
fn sparse(
    layout: Layout,
    tables: &[(&[i64], &[u64])],
    values: &[u64],
    shape: &[u64],
    coalesced: Option<bool>,
) -> Result<(), Problem> {
    let mut builder = Builder::new();
    let mut ids = Vec::new();
    for (numbers, shape) in tables {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let id = storage(&mut builder, Dtype::Int64, &bytes);
        ids.push(tensor(&mut builder, id, Dtype::Int64, shape));
    }
    let bytes = vec![0; usize::try_from(values.iter().product::<u64>()).unwrap()];
    let id = storage(&mut builder, Dtype::Uint8, &bytes);
    let values = tensor(&mut builder, id, Dtype::Uint8, values);
    let shape = builder.dims(shape).unwrap();
    let parts =
        Sparse { layout, indices: ids[0], plain: ids.get(1).copied(), values, shape, coalesced };
    let made = builder.so_far();
    sparse::check(made, &parts, &|id| match made.storage(id)?.place {
        Place::Owned(span) => Some(made.bytes(span)),
        _ => None,
    })
}

#[test]
fn coordinates_lie_in_the_shape() {
    let good: &[i64] = &[0, 1, 1, 2, 0, 3];
    let check = |numbers: &[i64], coalesced| {
        sparse(Layout::Coo, &[(numbers, &[2, 3])], &[3, 5], &[2, 4, 5], Some(coalesced))
    };
    assert_eq!(check(good, false), Ok(()));
    assert_eq!(check(good, true), Ok(()));
    assert_eq!(check(&[0, 1, 2, 2, 0, 3], false), Err(Problem::Sparse));
    assert_eq!(check(&[0, 1, -1, 2, 0, 3], false), Err(Problem::Sparse));
    assert_eq!(check(&[0, 1, 1, 2, 3, 0], false), Ok(()));
    assert_eq!(check(&[0, 1, 1, 2, 3, 0], true), Err(Problem::Sparse));
    assert_eq!(check(&[0, 1, 1, 2, 3, 3], true), Err(Problem::Sparse));
    let other = |values: &[u64], shape: &[u64]| {
        sparse(Layout::Coo, &[(good, &[2, 3])], values, shape, None)
    };
    assert_eq!(other(&[3], &[2, 4]), Ok(()));
    assert_eq!(other(&[2], &[2, 4]), Err(Problem::Sparse));
    assert_eq!(other(&[3, 5], &[2, 4]), Err(Problem::Sparse));
    assert_eq!(other(&[3], &[2]), Err(Problem::Sparse));
}

/// Numbers, a shape, strides and flags.
type Table<'t> = (&'t [i64], &'t [u64], &'t [u64], u8);

/// What the check says of a sparse tensor of these indices, each with its strides and flags.
fn strided(
    layout: Layout,
    tables: &[Table<'_>],
    values: (&[u64], &[u64]),
    shape: &[u64],
) -> Result<(), Problem> {
    let mut builder = Builder::new();
    let mut ids = Vec::new();
    let dense = |builder: &mut Builder, storage, dtype, shape, strides, flags| {
        let (quantizer, class) = (None, None);
        let storage = Some(storage);
        let parts = Parts { dtype, storage, offset: 0, shape, strides, flags, quantizer, class };
        let tensor = builder.tensor(&parts).unwrap();
        builder.object(Object::Tensor(tensor)).unwrap()
    };
    for (numbers, shape, strides, flags) in tables {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let id = storage(&mut builder, Dtype::Int64, &bytes);
        ids.push(dense(&mut builder, id, Dtype::Int64, shape, strides, *flags));
    }
    let id = storage(&mut builder, Dtype::Uint8, &[0; 64]);
    let values = dense(&mut builder, id, Dtype::Uint8, values.0, values.1, 0);
    let shape = builder.dims(shape).unwrap();
    let (indices, plain) = (ids[0], ids.get(1).copied());
    let parts = Sparse { layout, indices, plain, values, shape, coalesced: None };
    let made = builder.so_far();
    sparse::check(made, &parts, &|id| match made.storage(id)?.place {
        Place::Owned(span) => Some(made.bytes(span)),
        _ => None,
    })
}

#[test]
fn indices_are_what_they_look_like() {
    // A kernel that resolves the bit would reach in front of the tensor.
    for (flags, result) in [(0, Ok(())), (Parts::NEG, Err(Problem::Sparse))] {
        let indices: Table<'_> = (&[1, 2, 4], &[1, 3], &[3, 1], flags);
        assert_eq!(strided(Layout::Coo, &[indices], (&[3], &[1]), &[5]), result);
    }
}

#[test]
fn the_check_ends_soon_whatever_the_shape() {
    let huge = 1 << 50;
    let indices: Table<'_> = (&[0], &[1, huge], &[0, 0], 0);
    let found = strided(Layout::Coo, &[indices], (&[huge], &[0]), &[5]);
    let overlap = Problem::Unbuilt("the indices of a sparse tensor overlap in their storage");
    assert_eq!(found, Err(overlap));
    let none: Table<'_> = (&[], &[0, huge], &[0, 0], 0);
    assert_eq!(strided(Layout::Coo, &[none], (&[huge], &[0]), &[]), Ok(()));

    let crow: Table<'_> = (&[0], &[huge + 1], &[0], 0);
    let col: Table<'_> = (&[], &[0], &[1], 0);
    let found = strided(Layout::Csr, &[crow, col], (&[0], &[1]), &[huge, 4]);
    assert_eq!(
        found,
        Err(Problem::Unbuilt("the indices of a sparse tensor overlap in their storage"))
    );

    // Batches without end, of which another size is zero.
    let crow: Table<'_> = (&[0], &[huge, 0, 2], &[0, 0, 0], 0);
    let col: Table<'_> = (&[0], &[huge, 0, 1], &[0, 0, 0], 0);
    let values: (&[u64], &[u64]) = (&[huge, 0, 1], &[0, 0, 0]);
    let shape = &[huge, 0, 1, 1];
    assert_eq!(strided(Layout::Csr, &[crow, col], values, shape), Ok(()));
}

#[test]
fn compressed_indices_are_sound() {
    let csr = |crow: &[i64], col: &[i64]| {
        sparse(Layout::Csr, &[(crow, &[3]), (col, &[3])], &[3], &[2, 4], None)
    };
    assert_eq!(csr(&[0, 2, 3], &[0, 3, 1]), Ok(()));
    for (crow, col) in [
        ([1, 2, 3], [0, 3, 1]),
        ([0, 2, 2], [0, 3, 1]),
        ([0, 4, 3], [0, 3, 1]),
        ([0, 2, 4], [0, 3, 1]),
        ([0, 2, 3], [0, 4, 1]),
        ([0, 2, 3], [0, -1, 1]),
        ([0, 2, 3], [3, 0, 1]),
        ([0, 2, 3], [0, 0, 1]),
    ] {
        assert_eq!(csr(&crow, &col), Err(Problem::Sparse), "{crow:?} {col:?}");
    }
    let short = sparse(Layout::Csr, &[(&[0, 3], &[2]), (&[0, 1, 2], &[3])], &[3], &[2, 4], None);
    assert_eq!(short, Err(Problem::Sparse));
    let csc =
        sparse(Layout::Csc, &[(&[0, 1, 1, 2, 3], &[5]), (&[0, 1, 0], &[3])], &[3], &[2, 4], None);
    assert_eq!(csc, Ok(()));
    let bsr = |shape: &[u64]| {
        sparse(Layout::Bsr, &[(&[0, 1, 2], &[3]), (&[1, 0], &[2])], &[2, 2, 3], shape, None)
    };
    assert_eq!(bsr(&[4, 6]), Ok(()));
    assert_eq!(bsr(&[4, 7]), Err(Problem::Sparse));
    assert_eq!(bsr(&[4, 3]), Err(Problem::Sparse));
    let batch = |last: i64| {
        let (crow, col) = ([0, 1, 2, 0, 0, 2], [0, 1, 0, last]);
        sparse(Layout::Csr, &[(&crow, &[2, 3]), (&col, &[2, 2])], &[2, 2], &[2, 2, 4], None)
    };
    assert_eq!(batch(3), Ok(()));
    assert_eq!(batch(4), Err(Problem::Sparse));
}

#[test]
fn indices_that_a_few_bytes_stand_for_are_not_walked() {
    let mut builder = Builder::new();
    let id = storage(&mut builder, Dtype::Int64, &[0; 8]);
    let many = 1 << 50;
    let mut spread = |shape: &[u64]| {
        let strides = vec![0; shape.len()];
        let parts = Parts {
            dtype: Dtype::Int64,
            storage: Some(id),
            offset: 0,
            shape,
            strides: &strides,
            flags: 0,
            quantizer: None,
            class: None,
        };
        let tensor = builder.tensor(&parts).unwrap();
        builder.object(Object::Tensor(tensor)).unwrap()
    };
    let (row, none, rows) = (spread(&[many + 1]), spread(&[0]), spread(&[0, many]));
    let (batches, columns, values) =
        (spread(&[many, 0, 1]), spread(&[many, 0, 0]), spread(&[many]));
    let flat = builder.dims(&[many, 3]).unwrap();
    let batched = builder.dims(&[many, 0, 0, 3]).unwrap();
    let whole = Span::EMPTY;
    let made = builder.so_far();
    let check = |layout, indices, plain, values, shape| {
        let sparse = Sparse { layout, indices, plain, values, shape, coalesced: None };
        sparse::check(made, &sparse, &|id| match made.storage(id)?.place {
            Place::Owned(span) => Some(made.bytes(span)),
            _ => None,
        })
    };
    let refused = check(Layout::Csr, row, Some(none), none, flat);
    assert!(matches!(refused, Err(Problem::Unbuilt(_))), "{refused:?}");
    assert_eq!(check(Layout::Csr, batches, Some(columns), columns, batched), Ok(()));
    assert_eq!(check(Layout::Coo, rows, None, values, whole), Ok(()));
}
