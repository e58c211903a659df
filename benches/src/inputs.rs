//! The inputs by name, made once and kept in the cache outside the tree.
//!
//! The cache is `$SECURE_TORCH_CACHE`, else `$XDG_CACHE_HOME/secure-torch`, else
//! `~/.cache/secure-torch`, as in `xtask`. A file's name carries the version of the formula, so
//! a changed formula never meets an old file.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pickler::Protocol;
use crate::{archive, mixed, state_dict};

/// Changes with every formula.
const VERSION: u32 = 1;

/// Fifty megabytes, the size that the aims are about.
pub const MIXED_BYTES: usize = 50_000_000;

/// How many tensors the large `data.pkl` names.
pub const TENSORS: usize = 50_000;

/// The elements of the storages of the sparse checkpoint: four that need ZIP64 sizes beside
/// many ordinary ones, 10 GB in all.
#[must_use]
pub fn sparse_elements() -> Vec<u64> {
    let mut elements = vec![4_096 * 4_096; 68];
    elements.push(1_360_000_000);
    elements
}

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Mixed plain data, protocol 2.
    Mixed2,
    /// Mixed plain data, protocol 4.
    Mixed4,
    /// A tenth of [`Input::Mixed2`].
    Mixed2Tenth,
    /// A tenth of [`Input::Mixed4`].
    Mixed4Tenth,
    /// The `data.pkl` of 50,000 tensors.
    Tensors,
    /// A tenth of it.
    TensorsTenth,
    /// A PyTorch archive of 300 entries.
    Zip300,
    /// A PyTorch archive of 50,000 entries.
    Zip50000,
    /// A PyTorch archive of 10 GB that is nearly all holes.
    Sparse,
    /// One of 1 GB.
    Sparse1,
}

impl Input {
    /// Every input with its name.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Mixed2, "mixed-2"),
        (Self::Mixed4, "mixed-4"),
        (Self::Mixed2Tenth, "mixed-2-tenth"),
        (Self::Mixed4Tenth, "mixed-4-tenth"),
        (Self::Tensors, "tensors"),
        (Self::TensorsTenth, "tensors-tenth"),
        (Self::Zip300, "zip-300"),
        (Self::Zip50000, "zip-50000"),
        (Self::Sparse, "sparse-10g"),
        (Self::Sparse1, "sparse-1g"),
    ];

    /// The input of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (input, _) = Self::ALL.into_iter().find(|(_, known)| *known == name)?;
        Some(input)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|(input, _)| *input == self);
        row.map_or("", |(_, name)| name)
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Zip300 | Self::Zip50000 | Self::Sparse | Self::Sparse1 => "pt",
            _ => "pkl",
        }
    }

    /// The file in the cache, made first where it is not there.
    ///
    /// # Errors
    /// Where there is no cache, or writing to it fails.
    pub fn file(self) -> Result<PathBuf> {
        let folder = cache()?.join("bench");
        let name = format!("{}-v{VERSION}.{}", self.name(), self.extension());
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
        fs::create_dir_all(&folder).context("cannot make the cache's folder for benches")?;
        self.make(&folder, &path)
            .with_context(|| format!("cannot make the input `{}`", self.name()))?;
        Ok(path)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// As [`Self::file`], or where reading fails.
    pub fn bytes(self) -> Result<Vec<u8>> {
        let path = self.file()?;
        fs::read(&path).with_context(|| format!("cannot read the input `{}`", self.name()))
    }

    /// Writes the file whole or not at all.
    fn make(self, folder: &Path, path: &Path) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        match self {
            Self::Mixed2 => file.write_all(&mixed::pickle(Protocol::Two, MIXED_BYTES))?,
            Self::Mixed4 => file.write_all(&mixed::pickle(Protocol::Four, MIXED_BYTES))?,
            Self::Mixed2Tenth => file.write_all(&mixed::pickle(Protocol::Two, MIXED_BYTES / 10))?,
            Self::Mixed4Tenth => {
                file.write_all(&mixed::pickle(Protocol::Four, MIXED_BYTES / 10))?
            }
            Self::Tensors => file.write_all(&state_dict::pickle(TENSORS))?,
            Self::TensorsTenth => file.write_all(&state_dict::pickle(TENSORS / 10))?,
            // Six members are no storages.
            Self::Zip300 => small_checkpoint(file.reopen()?, 300 - 6)?,
            Self::Zip50000 => small_checkpoint(file.reopen()?, 50_000 - 6)?,
            Self::Sparse => sparse_checkpoint(file.reopen()?, &sparse_elements())?,
            Self::Sparse1 => sparse_checkpoint(file.reopen()?, &[4_096 * 4_096; 16])?,
        }
        file.persist(path)?;
        Ok(())
    }
}

fn sparse_checkpoint(file: File, elements: &[u64]) -> Result<()> {
    archive::checkpoint(file, &state_dict::pickle_of(elements), elements, true)?;
    Ok(())
}

fn small_checkpoint(file: File, tensors: usize) -> Result<()> {
    let elements = vec![state_dict::ELEMENTS; tensors];
    archive::checkpoint(file, &state_dict::pickle(tensors), &elements, false)?;
    Ok(())
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(folder) = set("SECURE_TORCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("secure-torch")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/secure-torch")))
    else {
        bail!("no place for the cache: set `SECURE_TORCH_CACHE`");
    };
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_torch::{Policy, Source, scan};

    #[test]
    fn what_is_measured_is_allowed() {
        let pickles = [
            mixed::pickle(Protocol::Two, 200_000),
            mixed::pickle(Protocol::Four, 200_000),
            state_dict::pickle(100),
        ];
        // A bare `data.pkl` has persistent ids that a plain unpickler does not know.
        for (pickle, blocked) in pickles.into_iter().zip([false, false, true]) {
            let source = Source::from_bytes("input.pkl", pickle);
            let report = scan(&source, &Policy::default());
            assert_eq!(report.load_allowed(), !blocked, "{:?}", report.findings);
        }
    }

    #[test]
    fn archives_are_as_torch_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let elements = vec![4_096; 20];
        for holes in [false, true] {
            let path = folder.path().join("model.pt");
            let pickle = state_dict::pickle_of(&elements);
            archive::checkpoint(File::create(&path).unwrap(), &pickle, &elements, holes).unwrap();
            let report = scan(&Source::open(&path).unwrap(), &Policy::default());
            assert!(report.load_allowed(), "{:?}", report.findings);
            assert_eq!(report.format, "pytorch-zip");
        }
    }

    #[test]
    fn a_large_archive_needs_no_room_and_little_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.pt");
        let elements = sparse_elements();
        let pickle = state_dict::pickle_of(&elements);
        archive::checkpoint(File::create(&path).unwrap(), &pickle, &elements, true).unwrap();
        let report = scan(&Source::open(&path).unwrap(), &Policy::default());
        assert!(report.load_allowed(), "{:?}", report.findings);
        assert!(report.size_bytes >= 10_000_000_000, "{}", report.size_bytes);
        assert!(report.bytes_examined < 1_000_000, "{}", report.bytes_examined);
    }
}
