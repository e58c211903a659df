//! The gateway itself, asked as every door is asked: see `benches/doors/README.md`.

use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use secure_torch::core::checkpoint::Object;
use secure_torch::{LoadOptions, Memory, Policy, load_path, scan_path};

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        let answer = match fields.as_slice() {
            ["scan", times, path] => scans(times.parse()?, Path::new(path))?,
            ["load", path] => load(Path::new(path))?,
            _ => bail!("no such request: {line}"),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The nanoseconds of each scan.
fn scans(times: usize, path: &Path) -> Result<String> {
    let policy = Policy::default();
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        let report = scan_path(path, &policy)?;
        let allowed = black_box(report.load_allowed());
        drop(report);
        taken.push(start.elapsed().as_nanos().to_string());
        if !allowed {
            bail!("the file is blocked");
        }
    }
    Ok(taken.join(" "))
}

/// Resident memory before and after loading, and with a byte of every page read.
fn load(path: &Path) -> Result<String> {
    let before = resident()?;
    let (checkpoint, report) = load_path(path, &Policy::default(), &LoadOptions::default())
        .map_err(|failed| failed.error)?;
    drop(report);
    let mut seen: Vec<Memory> = Vec::new();
    for named in checkpoint.named_tensors()? {
        let Object::Tensor(tensor) = checkpoint.object(named.object) else { continue };
        seen.push(checkpoint.memory(tensor.storage().context("a tensor without data")?)?);
    }
    let after = resident()?;
    let mut sum = 0_u64;
    for memory in &seen {
        // SAFETY: the memory is as long as it says, lives as long as `memory`, and nobody writes.
        let bytes = unsafe { std::slice::from_raw_parts(memory.start().as_ptr(), memory.len()) };
        sum += bytes.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>();
    }
    let bytes: usize = seen.iter().map(Memory::len).sum();
    let touched = resident()?;
    black_box(sum);
    Ok(format!("{before} {after} {touched} {} {bytes}", seen.len()))
}

/// The pages that this process has in memory.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    Ok(text.split(' ').nth(1).context("no resident pages")?.parse()?)
}
