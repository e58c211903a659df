//! What JavaScript gives as a model file: a path, bytes, or the pieces of a stream.
//!
//! Bytes are copied before anything looks at them. Whoever gave them can go on to change theirs, and
//! what is judged here stays what is loaded.

use std::path::PathBuf;

use napi_derive::napi;
use secure_torch::{Error, Source};

use crate::policy::Policy;

/// A model file that is going to be judged, once.
#[napi]
pub struct Input {
    given: Option<Given>,
}

/// What was given.
pub(crate) enum Given {
    Path(PathBuf),
    Bytes { name: String, bytes: Vec<u8>, limit: u64 },
}

impl Given {
    pub(crate) fn open(self) -> Result<Source, Error> {
        match self {
            Self::Path(path) => Source::open(&path),
            Self::Bytes { name, bytes, limit } => Source::within(&name, bytes, limit),
        }
    }
}

#[napi]
impl Input {
    /// A file.
    #[napi(factory, catch_unwind)]
    pub fn path(path: String) -> Self {
        Self { given: Some(Given::Path(PathBuf::from(path))) }
    }

    /// Bytes, of which it takes a copy.
    #[napi(factory, catch_unwind)]
    pub fn bytes(name: String, bytes: &[u8]) -> Self {
        Self { given: Some(Given::Bytes { name, bytes: bytes.to_vec(), limit: u64::MAX }) }
    }

    /// A stream, of which nothing has come yet.
    #[napi(factory, catch_unwind)]
    pub fn stream(name: String, policy: &Policy) -> Self {
        let limit = policy.inner.limits.file.standard_input_bytes;
        Self { given: Some(Given::Bytes { name, bytes: Vec::new(), limit }) }
    }

    /// Adds a copy of what came. `false` where no more is wanted: it is too much already.
    #[napi(catch_unwind)]
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let Some(Given::Bytes { bytes, limit, .. }) = &mut self.given else { return false };
        if bytes.try_reserve(piece.len()).is_err() {
            *limit = 0;
        } else {
            bytes.extend_from_slice(piece);
        }
        bytes.len() as u64 <= *limit
    }
}

impl Input {
    /// What was given. Another call of the package's is a defect of it.
    pub(crate) fn take(&mut self) -> napi::Result<Given> {
        self.given.take().ok_or_else(|| napi::Error::from_reason("this input was judged already"))
    }
}
