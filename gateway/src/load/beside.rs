//! Files beside the one that is loaded, opened because it names them.

use std::path::PathBuf;
use std::sync::Arc;

use secure_torch_core::checkpoint::Problem;
use secure_torch_core::load::onnx::Files;

use crate::error::{Code, Error};
use crate::repository;
use crate::source::Source;

/// Opens files in the folder of a source, each once.
pub(super) struct Beside<'s> {
    source: &'s Source,
    sealed: bool,
    /// The number of the first that is opened.
    first: u32,
    /// Those that were opened.
    pub(super) files: Vec<Arc<Source>>,
    /// Why the last one could not be.
    pub(super) error: Option<Error>,
}

impl<'s> Beside<'s> {
    /// Files that are numbered from `first` on. `sealed`: each is copied to where nobody can change
    /// it.
    pub(super) const fn new(source: &'s Source, first: u32, sealed: bool) -> Self {
        Self { source, sealed, first, files: Vec::new(), error: None }
    }

    /// Opens the file at a location.
    pub(super) fn source(&self, location: &str) -> Result<Source, Error> {
        let source = Source::open(&self.path(location)?)?;
        if self.sealed { source.seal() } else { Ok(source) }
    }

    /// The path of a location below the source's folder, that is none behind a link, but for those
    /// of a download cache. Of one file it is one path, however the location is spelled.
    pub(super) fn path(&self, location: &str) -> Result<PathBuf, Error> {
        let name = self.source.name();
        let Some(path) = self.source.path() else {
            let cause = format!(
                "it names the file `{}` beside it, and it was not opened from a folder",
                crate::text::printable(location)
            );
            return Err(Error::new(Code::Unsupported, name, cause));
        };
        let folder = crate::policy::folder_of(path);
        repository::beside(&folder, location.as_bytes()).map_err(|message| {
            let cause = format!("`{}`: {message}", crate::text::printable(location));
            Error::new(Code::Malformed, name, cause)
        })
    }
}

impl Files for Beside<'_> {
    fn open(&mut self, location: &str) -> Result<u32, Problem> {
        match self.source(location) {
            Ok(source) => {
                let number = u32::try_from(self.files.len()).map_err(|_| Problem::Full)?;
                self.files.push(Arc::new(source));
                self.first.checked_add(number).ok_or(Problem::Full)
            }
            Err(error) => {
                self.error = Some(error);
                Err(Problem::MissingStorage)
            }
        }
    }

    fn bytes(&self, file: u32) -> &[u8] {
        let file = file.checked_sub(self.first).and_then(|file| self.files.get(file as usize));
        file.map_or(&[], |file| file.bytes())
    }
}
