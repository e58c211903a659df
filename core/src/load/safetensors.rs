//! Loads a safetensors file: a dict of tensors, each a storage of its own that lies in the file.
//!
//! The header is walked by [`crate::format::safetensors`], which is what judges it: what breaks a
//! rule of the format is an error here. The tensors stand in the order in which `load_file` and
//! `safe_open(…).offset_keys()` of the package `safetensors` give them, that of their bytes.
//! Tensors without bytes that share a place come in the header's order; the package's is another
//! one in each process.
//!
//! It refuses what torch has no type for (the three-quarter bytes of `F6_E2M3` and `F6_E3M2`), and
//! a shape of `F4` whose last size is odd: torch looks at two such elements as one
//! (`float4_e2m1fn_x2`), and so does the package (`bindings/python/src/lib.rs`).

use alloc::string::String;
use alloc::vec::Vec;

use super::Options;
use super::dense::Dense;
use crate::checkpoint::extent::Misfit;
use crate::checkpoint::{
    Builder, Checkpoint, Dict, DictKind, Dtype, LoadError, Object, Place, Problem, Value,
};
use crate::format::event::Event;
use crate::format::safetensors::{Entry, TYPES, walk};
use crate::json::Str;
use crate::score::Rule;

/// A tensor that the header describes.
struct Found<'a> {
    name: Str<'a>,
    element: usize,
    rank: usize,
    /// Where its sizes start among those of all.
    shape: usize,
    bytes: (u64, u64),
}

/// Loads a file.
///
/// # Errors
/// [`Problem::Format`] where the header breaks a rule of the format, [`Problem::Dtype`] for an
/// element type that torch does not have, and what [`Builder`] says.
pub fn load(bytes: &[u8], options: &Options) -> Result<Checkpoint, LoadError> {
    let mut builder = Builder::new();
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    let (mut broken, mut failed) = (None, None);
    let mut text = String::new();
    walk(
        bytes,
        &options.limits,
        &mut |event| {
            if let Event::Anomaly(anomaly) = event
                && anomaly.rule == Rule::SafetensorsStructure
            {
                broken.get_or_insert_with(|| {
                    let subject = String::from_utf8_lossy(anomaly.subject);
                    LoadError::about(Problem::Format(anomaly.message), anomaly.offset, subject)
                });
            }
        },
        &mut |entry| match entry {
            Entry::Metadata(key, value) => {
                let (key, value) = (meaning(&key), meaning(&value));
                if let Err(problem) = builder.metadata(&key, &value) {
                    failed.get_or_insert(problem);
                }
            }
            Entry::Tensor { name, element, rank, shape, bytes } => {
                found.push(Found { name, element, rank, shape: sizes.len(), bytes });
                sizes.extend_from_slice(shape);
            }
        },
    );
    if let Some(error) = broken {
        return Err(error);
    }
    if let Some(problem) = failed {
        return Err(LoadError::at(problem, 0));
    }
    found.sort_by_key(|found| found.bytes);
    let dtypes = TYPES.map(|(name, _)| Dtype::from_safetensors(name));
    let at = |problem| LoadError::at(problem, 0);
    let dense = Dense::new(&mut builder).map_err(at)?;
    let mut items = Vec::with_capacity(found.len());
    for tensor in &found {
        text.clear();
        if tensor.name.is_plain() {
            text.push_str(tensor.name.raw());
        } else {
            text.extend(tensor.name.chars());
        }
        let error = |problem| {
            let place = tensor.name.offset().saturating_add(8);
            LoadError::about(problem, place, text.as_str())
        };
        let dtype = dtypes.get(tensor.element).copied().flatten();
        let dtype = dtype.ok_or_else(|| error(Problem::Dtype))?;
        let end = tensor.shape.saturating_add(tensor.rank);
        let shape = sizes.get_mut(tensor.shape..end);
        let shape = shape.ok_or_else(|| error(Problem::Tensor(Misfit::Dimensions)))?;
        if dtype == Dtype::Float4E2m1fnX2 {
            let last = shape.last_mut().filter(|last| **last % 2 == 0);
            *last.ok_or_else(|| error(Problem::Dtype))? /= 2;
        }
        let (start, end) = tensor.bytes;
        let place = Place::File { file: options.file, offset: start };
        let length = end.saturating_sub(start);
        let storage = dense.storage(&mut builder, dtype, length, place).map_err(error)?;
        let value = Dense::tensor(&mut builder, dtype, shape, storage).map_err(error)?;
        let name = builder.text(&text).map_err(error)?;
        items.push((Value::Text(name), Value::Object(value)));
    }
    let dict = Object::Dict(Dict { kind: DictKind::Plain, items, state: None });
    let root = builder.object(dict).map_err(at)?;
    builder.finish(Value::Object(root), &options.limits.pickle).map_err(at)
}

fn meaning(text: &Str<'_>) -> String {
    text.chars().collect()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a broken promise fails the test")]
mod tests {
    extern crate std;

    use std::borrow::ToOwned;
    use std::collections::HashMap;
    use std::format;
    use std::string::ToString;
    use std::vec;

    use proptest::prelude::*;
    use safetensors::SafeTensors;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + data, 7);
        file
    }

    fn loaded(bytes: &[u8]) -> Result<Checkpoint, LoadError> {
        load(bytes, &Options::default())
    }

    /// Names, types, shapes and bytes, in order; every tensor lies in the file.
    fn tensors<'b>(made: &Checkpoint, bytes: &'b [u8]) -> Vec<(String, Dtype, Vec<u64>, &'b [u8])> {
        let mut all = Vec::new();
        for &(key, value) in &made.root_dict().unwrap().items {
            let (Value::Text(key), Value::Object(id)) = (key, value) else { panic!("no name") };
            let Object::Tensor(tensor) = made.object(id) else { panic!("no tensor") };
            let storage = made.storage(tensor.storage().unwrap()).unwrap();
            let Place::File { file: 0, offset } = storage.place else { panic!("elsewhere") };
            let start = usize::try_from(offset).unwrap();
            let end = start + usize::try_from(storage.bytes).unwrap();
            let shape = made.shape(tensor).to_vec();
            assert_eq!(tensor.offset(), 0);
            assert_eq!(shape.iter().product::<u64>() * tensor.dtype().size(), storage.bytes);
            all.push((made.text(key).to_owned(), tensor.dtype(), shape, &bytes[start..end]));
        }
        all
    }

    #[test]
    fn tensors_stand_in_the_order_of_their_bytes() {
        let header = r#"{"z":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"\u0065":{"dtype":"U8","shape":[0,3],"data_offsets":[1,1]},"a":{"dtype":"F4","shape":[1,2],"data_offsets":[0,1]},"__metadata__":{"k":"\u0076"},"d":{"dtype":"I64","shape":[0],"data_offsets":[1,1]}}"#;
        let bytes = file(header, 2);
        let made = loaded(&bytes).unwrap();
        let names: Vec<String> = tensors(&made, &bytes).into_iter().map(|found| found.0).collect();
        assert_eq!(names, ["a", "e", "d", "z"]);
        let all = tensors(&made, &bytes);
        assert_eq!((all[0].1, all[0].2.as_slice()), (Dtype::Float4E2m1fnX2, &[1, 1][..]));
        assert_eq!(made.metadata().collect::<Vec<_>>(), [("k", "v")]);
    }

    #[test]
    fn what_torch_has_no_type_for_is_named() {
        for (kind, shape, size) in [("F6_E2M3", "[4]", 3), ("F6_E3M2", "[4]", 3)] {
            let header = format!(
                r#"{{"ok":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}},"w":{{"dtype":"{kind}","shape":{shape},"data_offsets":[1,{}]}}}}"#,
                1 + size
            );
            let error = loaded(&file(&header, 1 + size)).unwrap_err();
            assert_eq!((error.problem, error.subject.as_str()), (Problem::Dtype, "w"));
            let at = usize::try_from(error.offset).unwrap();
            assert_eq!(file(&header, 0).get(at), Some(&b'w'));
        }
        let odd = r#"{"w":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#;
        assert_eq!(loaded(&file(odd, 3)).unwrap_err().problem, Problem::Dtype);
    }

    #[test]
    fn more_dimensions_than_any_tensor_has_are_refused() {
        for (rank, good) in [(64, true), (65, false)] {
            let shape = vec!["1"; rank].join(",");
            let header = format!(
                r#"{{"a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}},"b":{{"dtype":"U8","shape":[1,1],"data_offsets":[1,2]}}}}"#
            );
            let expected = Problem::Tensor(Misfit::Dimensions);
            let problem = loaded(&file(&header, 2)).err().map(|error| error.problem);
            assert_eq!(problem, (!good).then_some(expected));
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let bytes = file(header, 8);
        assert!(loaded(&bytes).is_ok());
        for end in 0..bytes.len() {
            let error = loaded(&bytes[..end]).unwrap_err();
            assert!(matches!(error.problem, Problem::Format(_)), "{end}: {error}");
        }
    }

    fn description() -> impl Strategy<Value = String> {
        let number = prop_oneof![0_u64..9, Just(u64::MAX), Just(1 << 62)];
        let shape = prop::collection::vec(number.clone(), 0..4);
        let kind = prop::sample::select(TYPES.map(|(name, _)| name).to_vec());
        (kind, shape, number.clone(), number).prop_map(|(kind, shape, start, end)| {
            format!(r#"{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
        })
    }

    proptest! {
        #[test]
        fn what_the_reference_writes_is_read(
            sizes in prop::collection::vec((0_usize..22, prop::collection::vec(0_usize..4, 0..4)), 0..8),
        ) {
            use safetensors::Dtype as D;
            const KINDS: [D; 9] =
                [D::BOOL, D::U8, D::F8_E4M3, D::BF16, D::U16, D::F32, D::C64, D::F64, D::I64];
            let mut views = HashMap::new();
            let data = [3; 512];
            for (at, (kind, shape)) in sizes.iter().enumerate() {
                let kind = KINDS[kind % KINDS.len()];
                let length = shape.iter().product::<usize>() * kind.bitsize() / 8;
                let view = TensorView::new(kind, shape.clone(), &data[..length]).unwrap();
                views.insert(format!("t{at}"), view);
            }
            let metadata = [("a".to_owned(), "b".to_owned())].into_iter().collect();
            let bytes = serialize(&views, Some(metadata)).unwrap();
            let made = loaded(&bytes).unwrap();
            let ours = tensors(&made, &bytes);
            let theirs = SafeTensors::deserialize(&bytes).unwrap();
            prop_assert_eq!(ours.len(), theirs.len());
            let mut place = 0;
            for (name, dtype, shape, found) in ours {
                let view = theirs.tensor(&name).unwrap();
                prop_assert_eq!(dtype.safetensors().unwrap(), view.dtype().to_string());
                let expected: Vec<u64> = view.shape().iter().map(|&size| size as u64).collect();
                prop_assert_eq!(shape, expected);
                prop_assert_eq!(found.as_ptr_range(), view.data().as_ptr_range());
                prop_assert!(found.as_ptr().addr() >= place);
                place = found.as_ptr().addr();
            }
            prop_assert_eq!(made.metadata().collect::<Vec<_>>(), [("a", "b")]);
        }

        #[test]
        fn no_header_gives_a_tensor_outside_the_file(
            all in prop::collection::vec(description(), 0..4),
            data in 0_usize..32,
        ) {
            let all: Vec<String> =
                all.iter().enumerate().map(|(at, text)| format!(r#""{at}":{text}"#)).collect();
            let bytes = file(&format!("{{{}}}", all.join(",")), data);
            if let Ok(made) = loaded(&bytes) {
                tensors(&made, &bytes);
            }
        }
    }
}
