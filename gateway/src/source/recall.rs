//! The hash of a file that was judged, for whoever asks later.
//!
//! It costs a full read, which a judgement avoids, and holding thousands of files open for the
//! sake of a question that may never come would use up the process's descriptors. So a file is
//! opened again, and must be the one that was judged.

use std::fs::Metadata;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::{Source, open_without_waiting};
use crate::error::{Code, Error};

/// What it takes to hash a source's bytes later.
#[derive(Clone, Debug)]
pub struct Recall(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Memory(Arc<Source>),
    File { name: String, path: PathBuf, identity: Identity },
}

/// What tells a file from another, and from itself after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Source {
    /// What it takes to hash these bytes later, without holding the file open till then.
    #[must_use]
    pub fn recall(source: &Arc<Self>) -> Recall {
        Recall(match (&source.path, &source.identity) {
            (Some(path), Some(identity)) => Kind::File {
                name: source.name.clone(),
                path: path.clone(),
                identity: identity.clone(),
            },
            _ => Kind::Memory(Arc::clone(source)),
        })
    }
}

impl Recall {
    /// The SHA-256 of the bytes, in hexadecimal digits.
    ///
    /// # Errors
    /// Where the file cannot be opened again, and [`Code::Changed`] where it is another one by now.
    /// A change in place that keeps length and modification time is not seen.
    pub fn sha256(&self) -> Result<String, Error> {
        let mut hash = Sha256::new();
        match &self.0 {
            Kind::Memory(source) => hash.update(source.bytes()),
            Kind::File { name, path, identity } => {
                let fail = |error| Error::io(name.clone(), &error);
                let mut file = open_without_waiting(path).map_err(fail)?;
                let mut piece = vec![0; 1 << 16];
                loop {
                    // Before, so that a pipe in its place is not read, and after each piece.
                    if Identity::of(&file.metadata().map_err(fail)?) != *identity {
                        return Err(Error::new(Code::Changed, name.clone(), ""));
                    }
                    match file.read(&mut piece).map_err(fail)? {
                        0 => break,
                        count => hash.update(piece.get(..count).unwrap_or_default()),
                    }
                }
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_was_judged_is_hashed_or_nothing() {
        let memory = Arc::new(Source::from_bytes("x", b"abc".to_vec()));
        assert_eq!(Source::recall(&memory).sha256().unwrap(), ABC);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let code = |recall: &Recall| recall.sha256().unwrap_err().code();
        std::fs::write(&path, b"abc").unwrap();
        let recall = Source::recall(&Arc::new(Source::open(&path).unwrap()));
        assert_eq!(recall.sha256().unwrap(), ABC);
        std::fs::write(&path, b"abcd").unwrap();
        assert_eq!(code(&recall), Code::Changed);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(code(&recall), Code::NotFound);
        #[cfg(unix)]
        {
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            assert_eq!(code(&recall), Code::Changed);
        }
    }
}
