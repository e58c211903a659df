//! From paths to reports: files, and folders with everything below them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use secure_torch_core::limits;
use walkdir::WalkDir;

use crate::error::{Code, Error};
use crate::policy::Policy;
use crate::report::Report;
use crate::scan::scan;
use crate::source::Source;

/// Hears how far a scan has come. The methods may be called from several threads.
pub trait Progress {
    /// So many files are going to be judged.
    fn found(&self, files: u64) {
        let _ = files;
    }

    /// A file has been judged, or could not be.
    fn finished(&self, path: &Path) {
        let _ = path;
    }
}

/// Hears nothing.
impl Progress for () {}

/// Opens a file, judges it, and checks that it did not change meanwhile.
///
/// # Errors
/// Where the file cannot be opened, or changed while it was judged.
pub fn scan_path(path: &Path, policy: &Policy) -> Result<Report, Error> {
    let source = Source::open(path)?;
    let report = scan(&source, policy);
    source.verify_unchanged()?;
    Ok(report)
}

/// Judges files, and folders with everything below them, in parallel.
///
/// A link to a folder is not followed, so no folder is entered twice, and is an error in its
/// place; a link to a file is judged as the file that it leads to. What cannot be judged is an error in its
/// place. The order is that of `paths`, and by name inside a folder.
pub fn scan_paths(
    paths: &[PathBuf],
    policy: &Policy,
    progress: &(dyn Progress + Sync),
) -> Vec<(PathBuf, Result<Report, Error>)> {
    let found: Vec<(PathBuf, Option<Error>)> =
        paths.iter().flat_map(|path| files(path, &policy.limits.file)).collect();
    progress.found(found.len() as u64);
    found
        .into_par_iter()
        .map(|(path, error)| {
            let judged = match error {
                Some(error) => Err(error),
                None => scan_path(&path, policy),
            };
            progress.finished(&path);
            (path, judged)
        })
        .collect()
}

/// The files at or below a path, each with the error that keeps it from being opened.
fn files(path: &Path, limits: &limits::File) -> Vec<(PathBuf, Option<Error>)> {
    if !path.is_dir() {
        return vec![(path.to_owned(), None)];
    }
    let limit = limits.directory_entries as usize;
    let depth = limits.directory_depth as usize;
    let mut files = Vec::new();
    let walk = WalkDir::new(path).max_depth(depth.saturating_add(1)).sort_by_file_name();
    for (count, entry) in walk.into_iter().enumerate() {
        if count > limit {
            let cause = format!("the folder holds more than {limit} entries");
            files.push((
                path.to_owned(),
                Some(Error::new(Code::TooLarge, path.to_string_lossy(), cause)),
            ));
            break;
        }
        match entry {
            Ok(entry) if entry.depth() > depth => {
                let name = entry.path().to_string_lossy().into_owned();
                let cause = format!("it lies more than {depth} folders deep");
                files.push((entry.into_path(), Some(Error::new(Code::TooLarge, name, cause))));
            }
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if entry.path_is_symlink() && entry.path().is_dir() => {
                let name = entry.path().to_string_lossy().into_owned();
                files.push((entry.into_path(), Some(Error::new(Code::LinkedFolder, name, ""))));
            }
            Ok(entry) => files.push((entry.into_path(), None)),
            Err(error) => {
                let place = error.path().unwrap_or(path).to_owned();
                let name = place.to_string_lossy().into_owned();
                let error = match error.io_error() {
                    Some(error) => Error::io(name, error),
                    None => Error::new(Code::Io, name, error.to_string()),
                };
                files.push((place, Some(error)));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_are_walked_and_links_do_not_loop() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("model.pkl"), b"\x80\x02}.").unwrap();
        fs::write(folder.path().join("evil.pkl"), b"cposix\nsystem\n.").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), inner.join("loop")).unwrap();
        let judged = scan_paths(&[folder.path().to_owned()], &Policy::default(), &());
        let (links, judged): (Vec<_>, Vec<_>) =
            judged.iter().partition(|(_, report)| report.is_err());
        #[cfg(unix)]
        assert_eq!(links[0].1.as_ref().unwrap_err().code(), Code::LinkedFolder);
        assert!(links.len() <= 1);
        let seen: Vec<_> = judged
            .iter()
            .map(|(path, report)| {
                let name = path.file_name().unwrap().to_str().unwrap();
                (name, report.as_ref().unwrap().load_allowed())
            })
            .collect();
        assert_eq!(seen, [("model.pkl", true), ("evil.pkl", false)]);
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_in_its_place() {
        let judged = scan_paths(&["/no/such/model.pt".into()], &Policy::default(), &());
        assert_eq!(judged[0].1.as_ref().unwrap_err().code(), Code::NotFound);
    }
}
