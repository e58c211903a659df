//! Loads an array as `numpy.save` writes it: one numpy array, whose bytes lie in the file.
//!
//! The header is read by [`crate::format::npy`], which is what judges it; here its dtype is put
//! together as `descr_to_dtype` of numpy's `lib/_format_impl.py` does: fields follow each other, and
//! those of `V` without a name are padding. Byte order, C and Fortran order stay as they are.
//!
//! It refuses arrays of objects, which are pickles, and what [`NumpyDtype`] has no room for: fields
//! that are arrays themselves or have a title. It also refuses bytes behind the array: numpy leaves
//! them unread, and a caller would never learn of them.

use alloc::string::String;
use alloc::vec::Vec;

use super::Options;
use crate::checkpoint::{
    Array, Builder, Checkpoint, Dtype, Field, LoadError, NumpyDtype, Object, Place, Problem, Span,
    Storage, Value,
};
use crate::format::npy::{Frame, MAGIC, NpyKind, Part};

/// Loads a file.
///
/// # Errors
/// [`Problem::Format`] where the header or the length breaks a rule of the format,
/// [`Problem::Unbuilt`] for objects and for dtypes that are not rebuilt, and what [`Builder`] says.
pub fn load(bytes: &[u8], options: &Options) -> Result<Checkpoint, LoadError> {
    let mut builder = Builder::new();
    let header = header(&mut builder, bytes, options)?;
    header.fits(wide(bytes.len()))?;
    let place = Place::File { file: options.file, offset: header.start };
    let at = |problem| LoadError::at(problem, 0);
    let location = builder.text("cpu").map_err(at)?;
    let array = header.array(&mut builder, location, place).map_err(at)?;
    builder.finish(array, &options.limits.pickle).map_err(at)
}

/// What the header of an array says, in a builder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    dtype: NumpyDtype,
    shape: Span,
    fortran: bool,
    /// Where the array starts, behind the header.
    pub(super) start: u64,
    /// How many bytes it takes.
    bytes: u64,
}

impl Header {
    /// Whether the array ends where its file of `length` bytes does.
    pub(super) fn fits(&self, length: u64) -> Result<(), LoadError> {
        let end = self.start.saturating_add(self.bytes);
        let kind = match end.cmp(&length) {
            core::cmp::Ordering::Equal => return Ok(()),
            core::cmp::Ordering::Greater => NpyKind::Truncated,
            core::cmp::Ordering::Less => NpyKind::Trailing,
        };
        Err(LoadError::at(Problem::Format(kind.message()), end.min(length)))
    }

    /// The array, over a storage of its own.
    pub(super) fn array(
        &self,
        builder: &mut Builder,
        location: Span,
        place: Place,
    ) -> Result<Value, Problem> {
        // Whoever wants a tensor of it needs it aligned for that.
        let dtype = self.dtype.torch().unwrap_or(Dtype::Uint8);
        let bytes = self.bytes;
        let storage = builder.storage(Storage { bytes, dtype, location, place, swapped: false })?;
        let Self { dtype, shape, fortran, .. } = *self;
        let array = builder.object(Object::Array(Array { dtype, shape, fortran, storage }))?;
        Ok(Value::Object(array))
    }
}

/// Reads the header at the front of `bytes`, of which only that has to be there.
pub(super) fn header(
    builder: &mut Builder,
    bytes: &[u8],
    options: &Options,
) -> Result<Header, LoadError> {
    let broken = |kind: NpyKind, at| LoadError::at(Problem::Format(kind.message()), wide(at));
    if !bytes.starts_with(MAGIC) {
        return Err(broken(NpyKind::Truncated, 0));
    }
    let frame = Frame::of(bytes).ok_or_else(|| broken(Frame::missing(bytes), 0))?;
    let mut odd = None;
    let mut parts = Parts {
        builder,
        utf8: frame.utf8,
        fortran: false,
        shape: Vec::new(),
        open: Vec::new(),
        dtype: None,
        problem: None,
    };
    let said =
        frame.header(bytes, &options.limits, &mut |kind| odd = odd.or(Some(kind)), &mut |part| {
            parts.take(part)
        });
    if let Some(kind) = odd {
        return Err(broken(kind, frame.start));
    }
    let said =
        said.map_err(|error| broken(error.kind, frame.start.saturating_add(error.offset)))?;
    if said.dtype.objects {
        let why = "an array holds objects, which are pickles";
        return Err(LoadError::at(Problem::Unbuilt(why), wide(frame.start)));
    }
    let at = |problem| LoadError::at(problem, wide(frame.start));
    let Parts { builder, fortran, shape, dtype, problem, .. } = parts;
    let dtype = match (problem, dtype) {
        (None, Some(dtype)) => dtype,
        (problem, _) => return Err(at(problem.unwrap_or(Problem::Dtype))),
    };
    let bytes = said.count.checked_mul(dtype.size.into());
    let bytes = bytes.filter(|_| u64::from(dtype.size) == said.dtype.size);
    let bytes = bytes.ok_or_else(|| broken(NpyKind::Overflow, frame.start))?;
    let shape = builder.dims(&shape).map_err(at)?;
    Ok(Header { dtype, shape, fortran, start: wide(frame.end), bytes })
}

/// What a header says so far.
struct Parts<'b> {
    builder: &'b mut Builder,
    utf8: bool,
    fortran: bool,
    shape: Vec<u64>,
    /// The dtypes with fields that have not ended, the innermost last.
    open: Vec<Record>,
    dtype: Option<NumpyDtype>,
    problem: Option<Problem>,
}

/// A dtype with fields under way.
#[derive(Default)]
struct Record {
    fields: Vec<Field>,
    /// How long it is so far.
    size: u32,
    /// The name of the field whose dtype comes next.
    name: String,
}

impl Parts<'_> {
    fn take(&mut self, part: Part<'_>) {
        if self.problem.is_none() {
            self.problem = self.try_take(part).err();
        }
    }

    fn try_take(&mut self, part: Part<'_>) -> Result<(), Problem> {
        match part {
            Part::Fortran(fortran) => self.fortran = fortran,
            Part::Size(size) => self.shape.push(size),
            Part::Plain(text) => {
                let dtype = plain(text).ok_or(Problem::Dtype)?;
                return self.dtype(dtype);
            }
            Part::Fields => self.open.push(Record::default()),
            Part::Name(text) => {
                let name = unescape(text, self.utf8).ok_or(Problem::Encoding)?;
                self.open.last_mut().ok_or(Problem::Dtype)?.name = name;
            }
            Part::Title => return Err(Problem::Unbuilt("a field of an array has a title")),
            Part::End => {
                let record = self.open.pop().ok_or(Problem::Dtype)?;
                let made = self.builder.so_far();
                let mut names: Vec<&str> =
                    record.fields.iter().map(|field| made.text(field.name)).collect();
                names.sort_unstable();
                // numpy has no field twice, and a record without one is no record.
                if names.is_empty() || names.windows(2).any(|pair| pair.first() == pair.last()) {
                    return Err(Problem::Dtype);
                }
                let fields = self.builder.fields(&record.fields)?;
                let (kind, size) = (b'V', record.size);
                return self.dtype(NumpyDtype {
                    kind,
                    size,
                    big: false,
                    unit: None,
                    fields,
                    aligned: false,
                });
            }
            Part::Repeated => {
                return Err(Problem::Unbuilt("a field of an array is an array itself"));
            }
        }
        Ok(())
    }

    /// A dtype is whole: the array's, or that of a field.
    fn dtype(&mut self, dtype: NumpyDtype) -> Result<(), Problem> {
        let Some(record) = self.open.last_mut() else {
            self.dtype = Some(dtype);
            return Ok(());
        };
        let offset = record.size;
        let size = offset.checked_add(dtype.size).filter(|&size| i32::try_from(size).is_ok());
        record.size = size.ok_or(Problem::Dtype)?;
        if record.name.is_empty() {
            // numpy makes up a name for any other field without one.
            let padding = dtype.kind == b'V' && dtype.fields.is_empty();
            return if padding { Ok(()) } else { Err(Problem::Dtype) };
        }
        let name = core::mem::take(&mut record.name);
        let name = self.builder.text(&name)?;
        record.fields.push(Field { name, dtype, offset });
        Ok(())
    }
}

/// A dtype without fields: as [`NumpyDtype::parse`] has it, or `?` as the buffer protocol spells
/// truth values.
fn plain(text: &[u8]) -> Option<NumpyDtype> {
    match text {
        [b'?'] | [b'<' | b'>' | b'|' | b'=', b'?'] => NumpyDtype::parse("|b1"),
        _ => NumpyDtype::parse(core::str::from_utf8(text).ok()?),
    }
}

/// The text that a Python string stands for, with the escapes that `repr` writes
/// (`unicode_repr` in CPython's `Objects/unicodeobject.c`).
fn unescape(raw: &[u8], utf8: bool) -> Option<String> {
    let text: String = if utf8 {
        core::str::from_utf8(raw).ok()?.into()
    } else {
        raw.iter().copied().map(char::from).collect()
    };
    let mut meaning = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            meaning.push(character);
            continue;
        }
        meaning.push(match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            quoted @ ('\\' | '\'' | '"') => quoted,
            'x' => code(&mut rest, 2)?,
            'u' => code(&mut rest, 4)?,
            'U' => code(&mut rest, 8)?,
            _ => return None,
        });
    }
    Some(meaning)
}

/// A character by its number, of so many digits.
fn code(rest: &mut core::str::Chars<'_>, digits: u32) -> Option<char> {
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)?.checked_add(rest.next()?.to_digit(16)?)?;
    }
    char::from_u32(code)
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a broken promise fails the test")]
mod tests {
    extern crate std;

    use std::format;
    use std::string::ToString;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    /// A file of a version with this header and body.
    fn npy(version: u8, header: &str, body: usize) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        bytes.extend(&length[..if version == 1 { 2 } else { 4 }]);
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + body, 7);
        bytes
    }

    fn head(descr: &str, shape: &str) -> String {
        format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
    }

    fn loaded(bytes: &[u8]) -> Result<(Checkpoint, Array), LoadError> {
        let made = load(bytes, &Options::default())?;
        let Value::Object(id) = made.root() else { panic!("no array") };
        let Object::Array(array) = *made.object(id) else { panic!("no array") };
        let storage = made.storage(array.storage).unwrap();
        let Place::File { file: 0, offset } = storage.place else { panic!("elsewhere") };
        assert_eq!(offset + storage.bytes, bytes.len() as u64);
        let count: u64 = made.dims(array.shape).iter().product();
        assert_eq!(count * u64::from(array.dtype.size), storage.bytes);
        Ok((made, array))
    }

    fn problem(bytes: &[u8]) -> Option<Problem> {
        load(bytes, &Options::default()).err().map(|error| error.problem)
    }

    #[test]
    fn dtypes_stay_as_they_are() {
        for (dtype, size) in [
            ("<f4", 4),
            (">f8", 8),
            ("|b1", 1),
            ("<c16", 16),
            ("|S3", 3),
            (">U2", 8),
            ("<M8[25us]", 8),
            ("|V5", 5),
            ("|S0", 0),
        ] {
            for version in 1..=3 {
                let header = head(&format!("'{dtype}'"), "(2, 3)");
                let (made, array) = loaded(&npy(version, &header, 6 * size)).unwrap();
                assert_eq!(array.dtype.to_string(), dtype);
                assert_eq!(made.dims(array.shape), [2, 3]);
                assert!(!array.fortran);
            }
        }
        let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}";
        assert!(loaded(&npy(1, header, 8)).unwrap().1.fortran);
        let (made, array) = loaded(&npy(1, &head("'?'", "()"), 1)).unwrap();
        assert_eq!((array.dtype.kind, made.dims(array.shape)), (b'b', &[][..]));
        assert!(loaded(&npy(1, &head("'<f4'", "(3, 0)"), 0)).is_ok());
    }

    #[test]
    fn records_have_their_fields() {
        let descr = r"[('a', '<i4'), ('', '|V4'), ('\u00e9\'', [('x', '>f2'), ('y', '|S3')]), ('z', '|V2')]";
        let (made, array) = loaded(&npy(1, &head(descr, "(2,)"), 30)).unwrap();
        assert_eq!((array.dtype.kind, array.dtype.size), (b'V', 15));
        let fields = made.fields(array.dtype.fields);
        let shown: Vec<_> = fields
            .iter()
            .map(|field| (made.text(field.name), field.dtype.to_string(), field.offset))
            .collect();
        let expected = [
            ("a", "<i4".to_string(), 0),
            ("\u{e9}'", "|V5".to_string(), 8),
            ("z", "|V2".to_string(), 13),
        ];
        assert_eq!(shown, expected);
        let inner = made.fields(fields[1].dtype.fields);
        assert_eq!((made.text(inner[1].name), inner[1].offset), ("y", 2));
        assert!(inner[0].dtype.big);
        // The bytes of a name are Latin-1 before version 3.
        let descr = "[('é', '<i4')]";
        for (version, name) in [(2, "Ã©"), (3, "é")] {
            let (made, array) = loaded(&npy(version, &head(descr, "()"), 4)).unwrap();
            assert_eq!(made.text(made.fields(array.dtype.fields)[0].name), name);
        }
    }

    #[test]
    fn what_is_not_rebuilt_is_said() {
        for descr in ["'|O'", "[('a', '<f4'), ('b', '|O')]"] {
            let found = problem(&npy(1, &head(descr, "(1,)"), 12));
            assert_eq!(found, Some(Problem::Unbuilt("an array holds objects, which are pickles")));
        }
        for descr in ["('<f4', (2,))", "[('a', '<f4', (2,))]", "[(('t', 'a'), '<f8')]"] {
            let found = problem(&npy(1, &head(descr, "(1,)"), 8));
            assert!(matches!(found, Some(Problem::Unbuilt(_))), "{descr}: {found:?}");
        }
        for descr in ["[]", "[('a', '<f4'), ('a', '<f4')]", "[('', '<f8')]"] {
            let found = problem(&npy(1, &head(descr, "(1,)"), 8));
            assert_eq!(found, Some(Problem::Dtype), "{descr}");
        }
        let name = r"[('\ud800', '<f8')]";
        assert_eq!(problem(&npy(1, &head(name, "()"), 8)), Some(Problem::Encoding));
        let trailing = Problem::Format(NpyKind::Trailing.message());
        assert_eq!(problem(&npy(1, &head("'<f4'", "()"), 5)), Some(trailing));
    }

    #[test]
    fn every_cut_is_an_error() {
        for version in 1..=3 {
            let bytes = npy(version, &head("'<f4'", "(2,)"), 8);
            assert_eq!(problem(&bytes), None);
            for end in 0..bytes.len() {
                let error = load(&bytes[..end], &Options::default()).unwrap_err();
                assert!(matches!(error.problem, Problem::Format(_)), "{end}: {error}");
                assert!(error.offset <= end as u64);
            }
        }
    }

    proptest! {
        #[test]
        fn no_header_gives_an_array_outside_the_file(
            descr in prop::sample::select(vec!["'<f4'", "'|V0'", "[('a', '<f8'), ('b', '|S3')]", "'>U1'"]),
            shape in prop::collection::vec(
                prop_oneof![0_u64..5, Just(1 << 32), Just(1 << 62), Just(u64::MAX)],
                0..4,
            ),
            body in 0_usize..100,
        ) {
            let shape: String = shape.iter().map(|size| format!("{size},")).collect();
            let _ = loaded(&npy(1, &head(descr, &format!("({shape})")), body));
        }
    }
}
