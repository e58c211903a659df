//! Which policy file holds for a path.
//!
//! A model comes from somebody else, and so may a `secure-torch.toml` beside it. A file counts
//! only where both are true:
//!
//! 1. It lies in the working directory or above it. Whoever runs the gate stands in the tree that
//!    the file governs; a download that is merely named does not bring its own.
//! 2. It lies strictly above what is judged: not in the folder that is judged, not below it, and
//!    not in the folder of the file that is judged.
//!
//! On Unix it must belong to the owner of the working directory or to root, because anybody may
//! put a file into `/tmp`. A version control folder (`.git`) beside it is no condition: a cloned
//! model brings one along. What is left is somebody who stands in a folder of somebody else's
//! making and judges a part of it; `docs/policy.md` says so.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Policy, date, file};
use crate::error::{Code, Error};

/// What a policy file is called.
pub const FILE_NAME: &str = "secure-torch.toml";

/// A longer file is no policy.
const LONGEST: u64 = 1 << 20;

/// Reads a file that was named or found.
pub(super) fn open(path: &Path) -> Result<Policy, Error> {
    let name = path.to_string_lossy();
    let fail = |error: &std::io::Error| Error::io(name.clone(), error);
    let metadata = fs::metadata(path).map_err(|error| fail(&error))?;
    if !metadata.is_file() {
        return Err(Error::new(Code::NotAFile, name, ""));
    }
    if metadata.len() > LONGEST {
        let cause = format!("a policy of more than {LONGEST} bytes is none");
        return Err(Error::new(Code::TooLarge, name, cause));
    }
    let text = fs::read_to_string(path).map_err(|error| fail(&error))?;
    let base = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(Policy::of(file::parse(&text, path, base, date::today())?))
}

pub(super) fn discover(path: &Path) -> Result<Option<(PathBuf, Policy)>, Error> {
    let here = working_directory()?;
    // What is judged, and the folder that it came in, are no place for a policy.
    let own = if path.is_dir() { path.to_owned() } else { folder_of(path) };
    let Ok(own) = own.canonicalize() else {
        // It does not exist, and the scan will say so.
        return Ok(None);
    };
    search(own.parent(), &here)
}

pub(super) fn here() -> Result<Option<(PathBuf, Policy)>, Error> {
    let here = working_directory()?;
    search(Some(&here), &here)
}

/// The nearest policy file at `from` or above it that is also at the working directory or above.
fn search(from: Option<&Path>, here: &Path) -> Result<Option<(PathBuf, Policy)>, Error> {
    let folders = from.into_iter().flat_map(Path::ancestors);
    for folder in folders.filter(|folder| here.starts_with(folder)) {
        let found = folder.join(FILE_NAME);
        // A link that leads nowhere is there too, and is an error rather than no policy.
        if fs::symlink_metadata(&found).is_ok() {
            check_owner(&found, here)?;
            // Messages are shorter without the way to the working directory.
            let shown = if folder == here { PathBuf::from(FILE_NAME) } else { found };
            let policy = open(&shown)?;
            return Ok(Some((shown, policy)));
        }
    }
    Ok(None)
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn working_directory() -> Result<PathBuf, Error> {
    let here = std::env::current_dir().and_then(fs::canonicalize);
    here.map_err(|error| Error::io(".", &error))
}

#[cfg(unix)]
fn check_owner(found: &Path, here: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| {
        let metadata = fs::symlink_metadata(path);
        metadata.map(|m| m.uid()).map_err(|error| Error::io(path.to_string_lossy(), &error))
    };
    let of_file = owner(found)?;
    if of_file != 0 && of_file != owner(here)? {
        let path = found.to_string_lossy();
        let cause = format!(
            "`{}` belongs to somebody else than the working directory; name it with `--policy` to obey it, or say `--no-policy`",
            crate::text::printable(&path)
        );
        return Err(Error::new(Code::Policy, path, cause));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "max_threat_score = 15\n").unwrap();
        }
        folder
    }

    /// What is found for a path below the tree by somebody who stands at `here`.
    fn found(tree: &tempfile::TempDir, path: &str, here: &str) -> Option<PathBuf> {
        let root = tree.path().canonicalize().unwrap();
        let path = root.join(path);
        let own = if path.is_dir() { path } else { folder_of(&path) };
        let found = search(own.parent(), &root.join(here)).unwrap()?;
        let path = found.1.file.unwrap().path().to_owned();
        Some(path.strip_prefix(&root).map_or(path.clone(), Path::to_owned))
    }

    #[test]
    fn the_nearest_file_above_both_counts() {
        let tree = tree(&[
            "secure-torch.toml",
            "project/secure-torch.toml",
            "project/models/secure-torch.toml",
            "project/models/a/secure-torch.toml",
            "project/models/a/m.pt",
        ]);
        let name = |folder: &str| Some(Path::new(folder).join(FILE_NAME));
        // From above, nothing below the working directory counts.
        assert_eq!(found(&tree, "project/models/a", "other"), name(""));
        assert_eq!(found(&tree, "project/models/a/m.pt", "other"), name(""));
        // In a folder below the working directory's: the one above what is judged.
        let deep = "project/models/a/deep";
        assert_eq!(found(&tree, "project/models/a/m.pt", deep), name("project/models"));
        assert_eq!(found(&tree, "project/models/a", deep), name("project/models"));
        assert_eq!(found(&tree, "project/models", deep), name("project"));
        // The folder that is judged never brings its own, wherever one stands.
        assert_eq!(found(&tree, "", deep), None);
    }

    #[test]
    fn a_file_that_is_no_policy_is_an_error_and_not_none() {
        let tree = tree(&["a/b/m.pt"]);
        let root = tree.path().canonicalize().unwrap();
        fs::create_dir(root.join("a").join(FILE_NAME)).unwrap();
        let at = |folder: &str| search(Some(&root.join(folder)), &root.join("a/b"));
        assert_eq!(at("a/b").unwrap_err().code(), Code::NotAFile);
        fs::remove_dir(root.join("a").join(FILE_NAME)).unwrap();
        fs::write(root.join("a").join(FILE_NAME), "max_threat_score = 'high'").unwrap();
        assert_eq!(at("a/b").unwrap_err().code(), Code::Policy);
        #[cfg(unix)]
        {
            fs::remove_file(root.join("a").join(FILE_NAME)).unwrap();
            std::os::unix::fs::symlink("nowhere", root.join("a").join(FILE_NAME)).unwrap();
            assert_eq!(at("a/b").unwrap_err().code(), Code::NotFound);
        }
    }
}
