//! From paths to reports: files, and folders with everything below them.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use secure_torch_core::format::detect::Format;
use secure_torch_core::limits;
use walkdir::WalkDir;

use crate::error::{Code, Error};
use crate::policy::{Policy, folder_of};
use crate::report::Report;
use crate::repository::{self, Claims, Companion, is_companion};
use crate::scan::{Reference, scan_among};
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

/// How many files beside a file that nobody can read are asked whether they claim it.
const NEIGHBOURS: usize = 256;

/// Opens a file, judges it, and checks that it did not change meanwhile.
///
/// The files that it refers to have to be there, and long enough. Where no reader accepts it, the
/// files beside it are asked whether one of them takes it for raw numbers.
///
/// # Errors
/// Where the file cannot be opened, or changed while it was judged.
pub fn scan_path(path: &Path, policy: &Policy) -> Result<Report, Error> {
    scan_opened(&Source::open(path)?, policy)
}

/// The same for what is open already, whatever has its path by now: for whoever goes on to use the
/// bytes that were judged. What came another way than by a path has no neighbours.
///
/// # Errors
/// Where the file changed while it was judged.
pub fn scan_opened(source: &Source, policy: &Policy) -> Result<Report, Error> {
    let first = judged(source, policy, None)?;
    let path = source.path().filter(|_| first.report.format == "unknown");
    match path.and_then(|path| claimed_beside(path, policy)) {
        Some(claim) => Ok(judged(source, policy, Some(&claim))?.report),
        None => Ok(first.report),
    }
}

/// Judges files, and folders with everything below them, in parallel.
///
/// A link to a folder is not followed, so no folder is entered twice, and is an error in its
/// place; a link to a file is judged as the file that it leads to. What cannot be judged is an
/// error in its place. The order is that of `paths`, and by name inside a folder; behind the files
/// of a folder come the repositories in it, each judged as a whole.
pub fn scan_paths(
    paths: &[PathBuf],
    policy: &Policy,
    progress: &(dyn Progress + Sync),
) -> Vec<(PathBuf, Result<Report, Error>)> {
    let found: Vec<Vec<(PathBuf, Option<Error>)>> =
        paths.iter().map(|path| files(path, &policy.limits.file)).collect();
    progress.found(found.iter().map(|files| files.len() as u64).sum());
    let mut results = Vec::new();
    for (path, files) in paths.iter().zip(found) {
        if path.is_dir() {
            results.extend(folder(path, files, policy, progress));
        } else {
            results.extend(files.into_iter().map(|(path, _)| (path, None)));
        }
    }
    // Files that were named by themselves may be many, and are judged in parallel too.
    results
        .into_par_iter()
        .map(|(path, judged)| {
            let judged = judged.unwrap_or_else(|| {
                let judged = scan_path(&path, policy);
                progress.finished(&path);
                judged
            });
            (path, judged)
        })
        .collect()
}

/// What came of a file.
struct Judged {
    report: Report,
    references: Vec<Reference>,
    /// Whether the files that it names are raw numbers: it is a manifest of TensorFlow.js.
    raw: bool,
}

fn open(path: &Path, policy: &Policy, claim: Option<&str>) -> Result<Judged, Error> {
    judged(&Source::open(path)?, policy, claim)
}

fn judged(source: &Source, policy: &Policy, claim: Option<&str>) -> Result<Judged, Error> {
    let (report, references) = scan_among(source, policy, claim);
    let manifest = b"\"weightsManifest\"";
    let index = |reference: &Reference| reference.by == Format::ShardIndex;
    let raw = references.iter().any(index)
        && source.bytes().windows(manifest.len()).any(|bytes| bytes == manifest);
    source.verify_unchanged()?;
    Ok(Judged { report, references, raw })
}

/// What comes of the files below a folder, and of the repositories among them.
fn folder(
    root: &Path,
    files: Vec<(PathBuf, Option<Error>)>,
    policy: &Policy,
    progress: &(dyn Progress + Sync),
) -> Vec<(PathBuf, Option<Result<Report, Error>>)> {
    // Whoever may claim others is judged before them.
    let mut judged: Vec<(PathBuf, Option<Result<Judged, Error>>)> = files
        .into_par_iter()
        .map(|(path, error)| {
            let judged = match error {
                Some(error) => Some(Err(error)),
                None => is_companion(&path).then(|| open(&path, policy, None)),
            };
            if judged.is_some() {
                progress.finished(&path);
            }
            (path, judged)
        })
        .collect();
    let mut claims = Claims::default();
    for (path, judged) in &judged {
        if let Some(Ok(judged)) = judged {
            claims.add(&judged.companion(path));
        }
    }
    judged.par_iter_mut().for_each(|(path, judged)| {
        if judged.is_none() {
            *judged = Some(open(path, policy, claims.of(path)));
            progress.finished(path);
        }
    });
    let reports: Vec<(&Path, &Report)> = judged
        .iter()
        .filter_map(|(path, judged)| match judged {
            Some(Ok(judged)) => Some((path.as_path(), &judged.report)),
            _ => None,
        })
        .collect();
    let repositories = repository::judge(root, &reports, policy);
    judged
        .into_iter()
        .map(|(path, judged)| (path, judged.map(|judged| judged.map(|judged| judged.report))))
        .chain(repositories.into_iter().map(|(path, report)| (path, Some(Ok(report)))))
        .collect()
}

impl Judged {
    fn companion<'c>(&'c self, path: &'c Path) -> Companion<'c> {
        let Self { report, references, raw } = self;
        Companion { path, formats: &report.formats, references, raw: *raw }
    }
}

/// Which of the files in a file's own folder, and in the one above, takes it for raw numbers: a
/// SavedModel and a Core ML package keep their numbers one folder below.
fn claimed_beside(path: &Path, policy: &Policy) -> Option<String> {
    let folder = folder_of(path).canonicalize().ok()?;
    let path = folder.join(path.file_name()?);
    let mut claims = Claims::default();
    let mut left = policy.limits.file.text_bytes;
    for folder in folder.ancestors().take(2) {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut beside: Vec<PathBuf> =
            entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        beside.retain(|other| is_companion(other) && other.is_file());
        beside.sort();
        for other in beside.iter().take(NEIGHBOURS) {
            // What claims numbers holds few itself: all companions together may be as long as a text.
            let length = std::fs::metadata(other).map_or(u64::MAX, |metadata| metadata.len());
            let Some(rest) = left.checked_sub(length) else { continue };
            left = rest;
            if let Ok(judged) = open(other, policy, None) {
                claims.add(&judged.companion(other));
            }
        }
    }
    claims.of(&path).map(str::to_owned)
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
    fn what_is_open_is_judged_whatever_has_its_path_by_now() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("m.pkl"), folder.path().join("o.pkl"));
        fs::write(&path, b"cposix\nsystem\n(S'echo hello'\ntR.").unwrap();
        fs::write(&other, b"N.").unwrap();
        let source = Source::open(&path).unwrap();
        fs::rename(&other, &path).unwrap();
        let report = scan_opened(&source, &Policy::default()).unwrap();
        assert!(!report.load_allowed());
        assert!(scan_path(&path, &Policy::default()).unwrap().load_allowed());
    }

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
