//! A file that is written beside the one that is wanted, and takes its name once it is whole.
//!
//! It refuses to replace anything unless it is told to, and then only a regular file. Whatever goes
//! wrong before the name is taken, what was written is removed again.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Code, Error};

/// How many names are tried for the file beside: they collide only where an earlier run of the
/// same process number was killed.
const TRIES: u32 = 16;

/// The file that is wanted.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    force: bool,
}

/// The file beside it, which is removed unless it is committed.
#[derive(Debug)]
pub(super) struct Fresh<'t> {
    target: &'t Target,
    file: File,
    path: PathBuf,
    committed: bool,
}

impl Target {
    /// A file that does not exist, or that may be replaced.
    pub(super) fn at(path: &Path, force: bool) -> Result<Self, Error> {
        let name = path.to_string_lossy();
        if path.file_name().is_none() {
            return Err(Error::new(Code::NotAFile, name, ""));
        }
        let found = match fs::metadata(path) {
            Ok(found) => found,
            // A link that leads nowhere is something that exists.
            Err(_) if fs::symlink_metadata(path).is_err() => {
                return Ok(Self { path: path.to_owned(), force });
            }
            Err(_) => return Err(Error::new(Code::Exists, name, "")),
        };
        if !found.is_file() {
            return Err(Error::new(Code::NotAFile, name, ""));
        }
        if !force {
            return Err(Error::new(Code::Exists, name, ""));
        }
        // A link stays one: the file that it leads to is replaced.
        let path = path.canonicalize().map_err(|error| Error::io(name, &error))?;
        Ok(Self { path, force })
    }

    /// The path, for messages.
    pub(super) fn name(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: &io::Error) -> Error {
        match error.kind() {
            ErrorKind::AlreadyExists => Error::new(Code::Exists, self.name(), ""),
            _ => Error::new(Code::Write, self.name(), error.to_string()),
        }
    }

    /// Makes the file beside, in the same folder, so that a rename stays inside one file system.
    pub(super) fn create(&self) -> Result<Fresh<'_>, Error> {
        let name = self.path.file_name().unwrap_or_default();
        for number in 0..TRIES {
            let mut beside = OsString::from(".");
            beside.push(name);
            beside.push(format!(".{}-{number}.new", std::process::id()));
            let path = self.path.with_file_name(beside);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Fresh { target: self, file, path, committed: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        let cause = "files that earlier runs left behind are in the way";
        Err(Error::new(Code::Write, self.name(), cause))
    }
}

impl Fresh<'_> {
    /// The file, open for writing.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies until it is committed.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that it is going to be.
    pub(super) fn target(&self) -> &Target {
        self.target
    }

    /// Gives it its name.
    pub(super) fn commit(mut self) -> Result<(), Error> {
        let named =
            if self.target.force { fs::rename(&self.path, &self.target.path) } else { self.link() };
        named.map_err(|error| self.target.failed(&error))?;
        self.committed = true;
        // The name is on the medium once the folder is. Not every file system can be asked for that.
        if let Some(folder) = self.target.path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            drop(File::open(folder).and_then(|folder| folder.sync_all()));
        }
        Ok(())
    }

    /// Gives it a name that nobody has taken meanwhile: a link fails where a rename would replace.
    fn link(&self) -> io::Result<()> {
        match fs::hard_link(&self.path, &self.target.path) {
            Ok(()) => fs::remove_file(&self.path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
            // A file system without links: the look and the rename are two steps there.
            Err(_) if self.target.path.symlink_metadata().is_ok() => {
                Err(ErrorKind::AlreadyExists.into())
            }
            Err(_) => fs::rename(&self.path, &self.target.path),
        }
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // The error that counts is the one that led here.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    fn code<T>(result: Result<T, Error>) -> Option<Code> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn a_name_is_taken_once_and_replaced_only_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let target = Target::at(&path, false).unwrap();
        let fresh = target.create().unwrap();
        fresh.file().write_all(b"first").unwrap();
        assert!(!path.exists());
        fresh.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["out"]);

        assert_eq!(code(Target::at(&path, false)), Some(Code::Exists));
        let target = Target::at(&path, true).unwrap();
        target.create().unwrap().commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let target = Target::at(&path, false).unwrap();
        let fresh = target.create().unwrap();
        fs::write(&path, b"another's").unwrap();
        assert_eq!(code(fresh.commit()), Some(Code::Exists));
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn folders_and_missing_folders_are_errors_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(code(Target::at(folder.path(), true)), Some(Code::NotAFile));
        let missing = Target::at(&folder.path().join("missing/out"), false).unwrap();
        assert_eq!(code(missing.create()), Some(Code::Write));
        drop(Target::at(&folder.path().join("out"), false).unwrap().create().unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (old, link) = (folder.path().join("old"), folder.path().join("link"));
        std::os::unix::fs::symlink(&old, &link).unwrap();
        assert_eq!(code(Target::at(&link, false)), Some(Code::Exists));
        fs::write(&old, b"old").unwrap();
        let target = Target::at(&link, true).unwrap();
        target.create().unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&old).unwrap(), b"");
    }
}
