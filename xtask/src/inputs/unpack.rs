//! Taking listed members out of a wheel, a source distribution or a tarball.
//!
//! Only members that the list names are read, only as many bytes as it says,
//! and only if size and SHA-256 are right. Links and special files are never
//! followed; the archive's own idea of a path is compared, never used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Member, Package, hash, replace, safe};

/// Writes every listed member of the archive under `folder`.
pub(super) fn members(archive: &Path, package: &Package, folder: &Path) -> Result<()> {
    let mut wanted: BTreeMap<&str, &Member> = BTreeMap::new();
    for member in package.set.iter().flat_map(|set| &set.files) {
        wanted.insert(&member.member, member);
    }
    let file = File::open(archive).context("cannot open the archive")?;
    match archive.extension().and_then(|name| name.to_str()) {
        Some("whl" | "zip") => from_zip(file, &mut wanted, folder)?,
        Some("gz" | "tgz") => from_tar(file, &mut wanted, folder)?,
        _ => bail!("`{}` is no archive that we open", archive.display()),
    }
    if let Some(name) = wanted.keys().next() {
        bail!("the archive has no member `{name}`");
    }
    Ok(())
}

fn from_zip(file: File, wanted: &mut BTreeMap<&str, &Member>, folder: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(file).context("cannot read the archive")?;
    for (name, member) in std::mem::take(wanted) {
        let entry = archive.by_name(name).with_context(|| format!("cannot read `{name}`"))?;
        ensure!(entry.is_file(), "`{name}` is not a plain file");
        keep(entry, member, folder)?;
    }
    Ok(())
}

fn from_tar(file: File, wanted: &mut BTreeMap<&str, &Member>, folder: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().context("cannot read the archive")? {
        let entry = entry.context("cannot read the archive")?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_file()
            && let Some(member) = wanted.remove(name.as_str())
        {
            keep(entry, member, folder)?;
        }
    }
    Ok(())
}

fn keep(source: impl Read, member: &Member, folder: &Path) -> Result<()> {
    let name = &member.member;
    let mut bytes = Vec::new();
    source
        .take(member.size.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{name}`"))?;
    ensure!(
        u64::try_from(bytes.len()) == Ok(member.size),
        "`{name}` has another size than the list says"
    );
    ensure!(
        hash(&mut bytes.as_slice())? == member.sha256,
        "`{name}` has another sha-256 than the list says"
    );
    replace(&folder.join(safe(name)?), &bytes)
}
