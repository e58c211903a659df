//! Runs one subject on one file and prints its CPU times as JSON; `cargo xtask bench` reads it.
//!
//! ```text
//! secure-torch-bench make mixed-2
//! secure-torch-bench audit FILE --times 5
//! ```

use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use secure_torch::core::format::zip::Archive;
use secure_torch::core::pickle::audit::End;
use secure_torch::{Report, Source};
use secure_torch_benches::clock::timed;
use secure_torch_benches::inputs::Input;
use secure_torch_benches::subject;
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Runs one subject on one file and prints its CPU times as JSON")]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// Make an input where it is not in the cache; print its path.
    Make {
        /// The input's name.
        name: String,
    },
    /// Only read the file: what an instruction count subtracts.
    Nothing(On),
    /// Decode a pickle.
    Decode(On),
    /// Audit a pickle in memory that grows.
    Audit(On),
    /// Audit a pickle in memory that is there.
    AuditFixed(On),
    /// Audit a ZIP directory.
    Archive(On),
    /// Judge bytes in memory.
    ScanBytes(On),
    /// Open and judge a file.
    Scan(On),
    /// Open, judge and load a file, and ask for the memory of each storage.
    Load(On),
}

#[derive(clap::Args)]
struct On {
    /// The file.
    file: PathBuf,
    /// How often.
    #[arg(long, default_value_t = 1)]
    times: usize,
}

fn main() -> Result<()> {
    let answer = match Arguments::parse().subject {
        Subject::Make { name } => {
            let input = Input::of_name(&name).with_context(|| format!("no input `{name}`"))?;
            json!({ "path": input.file()? })
        }
        Subject::Nothing(on) => {
            let bytes = read(&on.file)?;
            repeat(on.times, || Ok(json!({ "bytes": black_box(&bytes).len() })))?
        }
        Subject::Decode(on) => {
            let bytes = read(&on.file)?;
            repeat(on.times, || {
                let (instructions, sum) = subject::decode_all(&bytes);
                Ok(json!({ "instructions": instructions, "sum": sum }))
            })?
        }
        Subject::Audit(on) => {
            let bytes = read(&on.file)?;
            repeat(on.times, || audited(subject::audit_growing(&bytes)))?
        }
        Subject::AuditFixed(on) => {
            let bytes = read(&on.file)?;
            let mut slots = subject::Slots::for_length(bytes.len());
            repeat(on.times, || audited(subject::audit_fixed(&bytes, &mut slots)))?
        }
        Subject::Archive(on) => {
            let source = Source::open(&on.file)?;
            repeat(on.times, || archive(source.bytes()))?
        }
        Subject::ScanBytes(on) => {
            let source = Source::from_bytes("bytes.pt", read(&on.file)?);
            repeat(on.times, || Ok(judged(&subject::judge(&source))))?
        }
        Subject::Scan(on) => repeat(on.times, || {
            let source = Source::open(&on.file)?;
            let report = subject::judge(&source);
            source.verify_unchanged()?;
            Ok(judged(&report))
        })?,
        Subject::Load(on) => repeat(on.times, || subject::load(&on.file))?,
    };
    println!("{answer}");
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Runs a subject; its last answer with the seconds of each run in it.
fn repeat(times: usize, mut run: impl FnMut() -> Result<Value>) -> Result<Value> {
    let mut seconds = Vec::new();
    let mut answer = Value::Null;
    for _ in 0..times.max(1) {
        let (taken, result) = timed(&mut run);
        answer = result?;
        seconds.push(taken.as_secs_f64());
    }
    answer["seconds"] = seconds.into();
    Ok(answer)
}

fn audited((outcome, counter): (subject::Outcome, subject::Counter)) -> Result<Value> {
    ensure!(
        outcome.end == End::Stop,
        "the audit ended at byte {} with {:?}",
        outcome.offset,
        outcome.end
    );
    Ok(json!({
        "instructions": outcome.instructions,
        "imports": counter.imports,
        "calls": counter.calls,
        "findings": counter.findings,
        "literals": counter.literals,
    }))
}

fn archive(bytes: &[u8]) -> Result<Value> {
    let archive = Archive::open(bytes)
        .map_err(|error| anyhow::anyhow!("at byte {}: {}", error.offset, error.kind.message()))?;
    let mut anomalies = 0_u64;
    archive.audit_alloc(&mut |_| anomalies += 1);
    Ok(json!({ "entries": archive.entries().count(), "anomalies": anomalies }))
}

fn judged(report: &Report) -> Value {
    json!({
        "format": report.format,
        "size_bytes": report.size_bytes,
        "bytes_examined": report.bytes_examined,
        "level": report.threat_level.name(),
        "findings": report.findings.len(),
    })
}
