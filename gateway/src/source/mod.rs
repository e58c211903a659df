//! One opened file: what is judged is what is loaded.
//!
//! A [`Source`] is opened once, and everything reads through it. It refuses what is no regular
//! file: a pipe could hang the judge, a device could never end.

mod mapping;
pub(crate) mod pieces;
mod ranged;
mod recall;
mod seal;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mapping::Mapping;
pub use mapping::PrivateMap;
pub use ranged::{Ranged, ReadAt};
use recall::Identity;
pub use recall::Recall;

use crate::error::{Code, Error};

/// Files up to this size are read instead of mapped: cheaper, and nothing can shrink.
const READ_WHOLE: u64 = 64 * 1024;

/// The bytes of one model file, opened once.
#[derive(Debug)]
pub struct Source {
    name: String,
    path: Option<PathBuf>,
    /// Which file was opened; nothing where the bytes are a copy that stands for itself.
    identity: Option<Identity>,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Owned(Vec<u8>),
    Static(&'static [u8]),
    Mapped { file: File, metadata: Metadata, map: Mapping },
}

impl Source {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::Permission`], [`Code::NotAFile`], [`Code::Io`], and
    /// [`Code::Changed`] where the file shrinks while it is read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.to_string_lossy().into_owned();
        let fail = |error: &io::Error| Error::io(name.clone(), error);
        let file = open_without_waiting(path).map_err(|error| fail(&error))?;
        let metadata = file.metadata().map_err(|error| fail(&error))?;
        if !metadata.is_file() {
            return Err(Error::new(Code::NotAFile, name, ""));
        }
        let identity = Some(Identity::of(&metadata));
        if metadata.len() > READ_WHOLE
            && let Some(map) = Mapping::new(&file).map_err(|error| fail(&error))?
        {
            let path = Some(path.to_owned());
            return Ok(Self { name, path, identity, bytes: Bytes::Mapped { file, metadata, map } });
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX))
            .map_err(|_| Error::new(Code::TooLarge, name.clone(), "it does not fit in memory"))?;
        (&file).take(metadata.len()).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        if bytes.len() as u64 != metadata.len() {
            return Err(Error::new(Code::Changed, name, ""));
        }
        Ok(Self { name, path: Some(path.to_owned()), identity, bytes: Bytes::Owned(bytes) })
    }

    /// A source over bytes in memory, reported under `name`.
    #[must_use]
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), path: None, identity: None, bytes: Bytes::Owned(bytes) }
    }

    /// A source over bytes that outlive it, reported under `name`. They are not copied.
    #[must_use]
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Self {
        Self { name: name.to_owned(), path: None, identity: None, bytes: Bytes::Static(bytes) }
    }

    /// Reads a stream to its end.
    ///
    /// # Errors
    /// [`Code::TooLarge`] past `limit` bytes, [`Code::Io`] where reading fails.
    pub fn read(name: &str, input: impl Read, limit: u64) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        input
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io(name, &error))?;
        Self::within(name, bytes, limit)
    }

    /// [`Self::from_bytes`] of what a caller read from a stream.
    ///
    /// # Errors
    /// [`Code::TooLarge`] where there are more than `limit` bytes.
    pub fn within(name: &str, bytes: Vec<u8>, limit: u64) -> Result<Self, Error> {
        if bytes.len() as u64 > limit {
            let cause = format!("more than {limit} bytes came");
            return Err(Error::new(Code::TooLarge, name, cause));
        }
        Ok(Self::from_bytes(name, bytes))
    }

    /// The name or path that reports carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path that it was opened at; nothing where the bytes came another way, whatever their
    /// name says.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The same, judged and reported as if it lay at `path`: a file that has no name of its own yet.
    pub(crate) fn called(self, path: &Path) -> Self {
        Self { name: path.to_string_lossy().into_owned(), path: Some(path.to_owned()), ..self }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(bytes) => bytes,
            Bytes::Mapped { map, .. } => map,
        }
    }

    /// A copy of the bytes that nobody can change, under the same name: on Linux a sealed file in
    /// memory, elsewhere memory of this process. Bytes that came from memory stay as they are.
    ///
    /// # Errors
    /// [`Code::TooLarge`] without room for the copy, [`Code::Changed`] where the file shrank
    /// meanwhile, [`Code::Io`] where the system refuses.
    pub fn seal(self) -> Result<Self, Error> {
        let Bytes::Mapped { map, .. } = &self.bytes else { return Ok(self) };
        let bytes = seal::copy(map, &self.name)?;
        self.verify_unchanged()?;
        // The file may be another one when it is asked for its hash.
        Ok(Self { bytes, identity: None, ..self })
    }

    /// Copies bytes from `offset` on into `buffer`. Where the file is mapped they are read past the
    /// mapping, which costs no page of it.
    ///
    /// # Errors
    /// [`Code::Changed`] where they are not there any more, [`Code::Io`] where reading fails.
    pub(crate) fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        #[cfg(unix)]
        if let Bytes::Mapped { file, .. } = &self.bytes {
            use std::os::unix::fs::FileExt;

            return file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::new(Code::Changed, self.name.clone(), ""),
                _ => Error::io(self.name.clone(), &error),
            });
        }
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        let range = start.zip(end).and_then(|(start, end)| self.bytes().get(start..end));
        let there = range.ok_or_else(|| Error::new(Code::Changed, self.name.clone(), ""))?;
        buffer.copy_from_slice(there);
        Ok(())
    }

    /// A private, writable mapping of the whole file, where it is a file that is mapped.
    ///
    /// # Errors
    /// [`Code::Io`] where the system refuses.
    pub(crate) fn private(&self) -> Result<Option<PrivateMap>, Error> {
        let Bytes::Mapped { file, .. } = &self.bytes else { return Ok(None) };
        PrivateMap::new(file).map_err(|error| Error::io(self.name.clone(), &error))
    }

    /// Checks that the file is still what was opened.
    ///
    /// A change in place that keeps length and modification time is not seen.
    ///
    /// # Errors
    /// [`Code::Changed`] where the file's length or modification time is another, or where it
    /// shrank while it was read.
    pub fn verify_unchanged(&self) -> Result<(), Error> {
        let Bytes::Mapped { file, metadata, map } = &self.bytes else {
            return Ok(());
        };
        let now = file.metadata().map_err(|error| Error::io(self.name.clone(), &error))?;
        let same = now.len() == metadata.len() && now.modified().ok() == metadata.modified().ok();
        if !same || map.faulted() {
            return Err(Error::new(Code::Changed, self.name.clone(), ""));
        }
        Ok(())
    }
}

/// Opens without waiting for a writer, should the path be a pipe.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn code(result: Result<Source, Error>) -> Option<Code> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(code(Source::open(&folder.path().join("none"))), Some(Code::NotFound));
        assert_eq!(code(Source::open(folder.path())), Some(Code::NotAFile));
        #[cfg(unix)]
        assert_eq!(code(Source::open(Path::new("/dev/zero"))), Some(Code::NotAFile));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_does_not_hang() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(code(Source::open(&path)), Some(Code::NotAFile));
    }

    #[test]
    fn a_stream_over_the_limit_is_refused() {
        assert_eq!(code(Source::read("-", &[0; 9][..], 8)), Some(Code::TooLarge));
        assert_eq!(Source::read("-", &[7; 8][..], 8).unwrap().bytes(), [7; 8]);
    }

    #[cfg(unix)]
    #[test]
    fn what_a_file_lost_can_still_be_written_to() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        let private = Source::open(file.path()).unwrap().private().unwrap().unwrap();
        file.as_file().set_len(4096).unwrap();
        // SAFETY: the byte lies inside the mapping, of which nobody else has an address.
        let last = unsafe { private.start().add((1 << 20) - 1) };
        // SAFETY: as above.
        unsafe { last.write_volatile(7) };
        // SAFETY: as above.
        assert_eq!(unsafe { last.read_volatile() }, 7);
        // Another page that is missing takes nothing away from this one.
        // SAFETY: as above.
        let middle = unsafe { private.start().add(1 << 19) };
        // SAFETY: as above.
        assert_eq!(unsafe { middle.read_volatile() }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { last.read_volatile() }, 7);
        assert_eq!(file.as_file().metadata().unwrap().len(), 4096);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_shrinks_while_mapped_is_an_error_and_no_crash() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        let source = Source::open(file.path()).unwrap();
        assert!(source.verify_unchanged().is_ok());
        file.as_file().set_len(4096).unwrap();
        let sum: u64 = source.bytes().iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(sum, 4096);
        assert_eq!(source.verify_unchanged().unwrap_err().code(), Code::Changed);
        // The guard lets go of its slot: many more mappings can follow.
        for _ in 0..2_000 {
            file.as_file().set_len(1 << 17).unwrap();
            assert_eq!(Source::open(file.path()).unwrap().bytes().len(), 1 << 17);
        }
    }
}
