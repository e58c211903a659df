//! What Python code gives as a model file: a path, bytes, or a file object.

use std::io;
use std::path::PathBuf;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use secure_torch::Source;

use crate::errors::raised;

/// The path in what was given, where it is one.
pub(crate) fn path(given: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    let is_content = given.is_instance_of::<PyBytes>()
        || given.is_instance_of::<PyByteArray>()
        || given.is_instance_of::<PyMemoryView>()
        || given.hasattr(intern!(given.py(), "read"))?;
    if is_content { Ok(None) } else { given.extract().map(Some) }
}

/// Opens what was given. A file object is read from where it stands to its end, up to `limit`
/// bytes.
pub(crate) fn source(given: &Bound<'_, PyAny>, limit: u64) -> PyResult<Source> {
    let py = given.py();
    let memory = |bytes| Ok(Source::from_bytes("<bytes>", bytes));
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return memory(bytes.as_bytes().to_vec());
    }
    if let Ok(bytes) = given.cast::<PyByteArray>() {
        return memory(bytes.to_vec());
    }
    if given.is_instance_of::<PyMemoryView>() {
        let bytes = given.call_method0(intern!(py, "tobytes"))?;
        return memory(bytes.cast::<PyBytes>()?.as_bytes().to_vec());
    }
    let opened = if given.hasattr(intern!(py, "read"))? {
        let name = given.getattr(intern!(py, "name")).and_then(|name| name.extract::<String>());
        let name = name.unwrap_or_else(|_| "<file>".to_owned());
        let mut failed = None;
        let read = Source::read(&name, Reader { file: given, failed: &mut failed }, limit);
        if let Some(failed) = failed {
            return Err(failed);
        }
        read
    } else {
        let path: PathBuf = given.extract()?;
        py.detach(|| Source::open(&path))
    };
    opened.map_err(|error| raised(py, &error, None))
}

/// A file object, to Rust. It keeps the exception that `read` raises.
struct Reader<'a, 'py> {
    file: &'a Bound<'py, PyAny>,
    failed: &'a mut Option<PyErr>,
}

impl io::Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let py = self.file.py();
        // Python's files buffer by themselves; a larger piece saves calls.
        let wanted = buffer.len();
        let piece = self.file.call_method1(intern!(py, "read"), (wanted,)).and_then(|piece| {
            let piece = piece.cast_into::<PyBytes>()?;
            let bytes = piece.as_bytes();
            let room = buffer.get_mut(..bytes.len());
            room.map(|room| room.copy_from_slice(bytes)).ok_or_else(|| {
                pyo3::exceptions::PyValueError::new_err("`read` gave more than it was asked for")
            })?;
            Ok(bytes.len())
        });
        piece.map_err(|error| {
            *self.failed = Some(error);
            io::Error::other("the file object raised an exception")
        })
    }
}
