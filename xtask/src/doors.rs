//! `cargo xtask doors`: every vector through every door, which must give the same bytes.
//!
//! The judgement is made in one place, and each language only carries it: this is what shows it. Every
//! input of `spec/vectors/`, names that are hard to carry and the published models of the cache are
//! judged by a program in each language, from bytes and from a path, and the canonical reports are
//! compared with those of Rust, byte for byte. That Rust's own are right is what
//! `gateway/tests/vectors.rs` shows; the verdicts are looked at here once more.
//!
//! What it refuses: a door that leaves out a line, prints one too many, or is not there at all.

mod command;
mod compare;
mod inputs;
mod programs;
mod readme;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{env, shell};
use compare::{Lines, Outcome, compare};
use inputs::Written;
use programs::{DOORS, Mode};

/// How many differences of a door are shown.
const SHOWN: usize = 10;

/// Choices on the command line of `doors`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the doors whose name contains this: `C`, `Python`, `browser`.
    only: Option<String>,
}

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut skips = env::Skips::default();
    table(&arguments.only.as_deref().unwrap_or("").to_lowercase(), &mut skips)?;
    skips.close()
}

/// Runs the step.
pub(crate) fn test(_system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    table("", skips)
}

/// What came of a door: a row of the table.
struct Row {
    name: &'static str,
    bytes: Option<Outcome>,
    path: Option<Outcome>,
    seconds: f32,
}

fn table(only: &str, skips: &mut env::Skips) -> Result<()> {
    let known = DOORS.iter().map(|door| door.name).chain(["command"]);
    ensure!(known.into_iter().any(|name| name.contains(only)), "no door is called `{only}`");
    let folder = shell::target_folder()?.join("doors");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the inputs of the last run")?;
    }
    fs::create_dir_all(&folder).context("cannot make a folder for the inputs")?;
    let written = inputs::write(&folder, skips)?;
    println!(
        "    {} vectors of one file; {} folders with {} files, which have to lie beside each other; \
         {} odd names; {} published files ({} over 200 MB left out)",
        written.vectors,
        written.folders,
        written.files,
        inputs::NAMES.len(),
        written.real,
        written.large
    );
    for id in &written.unmade {
        println!("    {id}: its links cannot be made here");
    }

    let program = programs::rust()?;
    let started = Instant::now();
    let rust = || shell::command(&program);
    let by_bytes = judged(rust(), Mode::Bytes.name(), &folder, &written.bytes)?;
    let all = judged(rust(), Mode::Path.name(), &folder, &written.path)?;
    let seconds = started.elapsed().as_secs_f32();
    let (path, by_path) = without_errors(&written.path, all);
    verdicts(&written, &by_bytes)?;

    let mut rows = vec![Row {
        name: "Rust",
        bytes: Some(compare(&by_bytes, &by_bytes)),
        path: Some(compare(&by_path, &by_path)),
        seconds,
    }];
    if "command".contains(only) {
        let wanted = judged(rust(), "ascii", &folder, &path)?;
        let started = Instant::now();
        let found = by_command(&programs::command()?, &folder, &path)?;
        let outcome = compare(&wanted, &found);
        let seconds = started.elapsed().as_secs_f32();
        rows.push(Row { name: "command", bytes: None, path: Some(outcome), seconds });
    }
    for door in DOORS.iter().filter(|door| door.name.to_lowercase().contains(only)) {
        let Some(program) = programs::found(door, skips) else { continue };
        let started = Instant::now();
        let run = |mode: Mode, list: &str, wanted: &Lines| -> Outcome {
            match judged(shell::again(&program), mode.name(), &folder, list) {
                Ok(found) => compare(wanted, &found),
                Err(error) => Outcome { equal: 0, different: vec![format!("{error:#}")] },
            }
        };
        let bytes = run(Mode::Bytes, &written.bytes, &by_bytes);
        let path = door.takes_paths.then(|| run(Mode::Path, &path, &by_path));
        let seconds = started.elapsed().as_secs_f32();
        rows.push(Row { name: door.name, bytes: Some(bytes), path, seconds });
    }
    print(&rows, by_bytes.len(), by_path.len());
    println!("    sha-256 of Rust's reports of vectors and names: {}", hash(&by_bytes));
    let examples = readme::run(&folder, only, skips);
    let wrong: Vec<&str> =
        rows.iter().filter(|row| row.different() > 0).map(|row| row.name).collect();
    ensure!(wrong.is_empty(), "other bytes than Rust's from {}", wrong.join(", "));
    examples
}

/// What a program says of a list.
fn judged(mut program: Command, mode: &str, folder: &Path, list: &str) -> Result<Lines> {
    fs::write(folder.join("list.tsv"), list).context("cannot write the list")?;
    let output = program.arg(mode).arg(folder).stderr(Stdio::inherit()).output();
    let output = output.context("it cannot be started")?;
    let lines = compare::read(&output.stdout);
    if !output.status.success() {
        let printed = lines.map_or(0, |lines| lines.len());
        bail!("it ended with {} behind {printed} lines", output.status);
    }
    lines
}

/// The list and the lines without what Rust cannot judge, such as a link that leads nowhere: an error
/// is not a report.
fn without_errors(list: &str, lines: Lines) -> (String, Lines) {
    let (bad, good): (Lines, Lines) =
        lines.into_iter().partition(|(_, text)| text.starts_with("error:"));
    for (id, error) in &bad {
        println!("    {id}: no report ({error})");
    }
    let id = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    let kept = list.lines().filter(|line| !bad.contains_key(&id(line)));
    (kept.map(|line| format!("{line}\n")).collect(), good)
}

/// Each vector of one file has the verdict that it wants, which is one on its bytes: as a path, what it
/// refers to has to be there too.
fn verdicts(written: &Written, lines: &Lines) -> Result<()> {
    let mut seen = 0_usize;
    for (id, (verdict, comment)) in &written.wanted {
        let Some(line) = lines.get(id) else { continue };
        let wanted = format!("\"verdict\":\"{verdict}\"");
        ensure!(line.contains(&wanted), "{id}: no {wanted} in its report ({comment})");
        seen += 1;
    }
    ensure!(seen == written.vectors, "{seen} of {} vectors were judged", written.vectors);
    Ok(())
}

/// What the command says of the files of a list, each under the id that has its path.
fn by_command(program: &Path, folder: &Path, list: &str) -> Result<Lines> {
    let fields = |line: &str| -> Option<(String, String)> {
        let mut fields = line.split('\t');
        Some((fields.next()?.to_owned(), fields.nth(1)?.to_owned()))
    };
    let listed: Vec<(String, String)> = list.lines().filter_map(fields).collect();
    let mut scan = shell::command(program);
    scan.current_dir(folder).args(["scan", "--no-policy", "--format", "json", "--"]);
    scan.args(listed.iter().map(|(_, path)| PathBuf::from(path)));
    let output = scan.output().context("the command cannot be started")?;
    let document = String::from_utf8(output.stdout).context("its document is not UTF-8")?;
    let reports = command::reports(&document)?;
    ensure!(reports.len() == listed.len(), "{} reports of {}", reports.len(), listed.len());
    // They come in the order of the arguments, and each says its path first.
    Ok(listed.into_iter().map(|(id, _)| id).zip(reports.into_iter().map(str::to_owned)).collect())
}

impl Row {
    fn different(&self) -> usize {
        let count = |outcome: &Option<Outcome>| outcome.as_ref().map_or(0, |o| o.different.len());
        count(&self.bytes).saturating_add(count(&self.path))
    }
}

fn print(rows: &[Row], by_bytes: usize, inputs: usize) {
    println!("\n    the same bytes as Rust: {by_bytes} inputs as bytes, {inputs} as paths\n");
    println!(
        "    {:<8} {:>11} {:>9} {:>10} {:>9} {:>7} {:>8}",
        "door", "bytes equal", "different", "path equal", "different", "skipped", "seconds"
    );
    for row in rows {
        let cells = |outcome: &Option<Outcome>| match outcome {
            Some(outcome) => (outcome.equal.to_string(), outcome.different.len().to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let ((equal, different), (by_path, others)) = (cells(&row.bytes), cells(&row.path));
        // What a door has no such way in for.
        let skipped = [(&row.bytes, by_bytes), (&row.path, inputs)];
        let skipped: usize =
            skipped.iter().filter(|(done, _)| done.is_none()).map(|(_, count)| count).sum();
        println!(
            "    {:<8} {equal:>11} {different:>9} {by_path:>10} {others:>9} {skipped:>7} {:>8.1}",
            row.name, row.seconds
        );
    }
    println!();
    for row in rows.iter().filter(|row| row.different() > 0) {
        for (mode, outcome) in [(Mode::Bytes, &row.bytes), (Mode::Path, &row.path)] {
            let different = outcome.iter().flat_map(|outcome| &outcome.different);
            for difference in different.take(SHOWN) {
                println!("    {} ({}): {difference}", row.name, mode.name());
            }
        }
    }
}

/// The SHA-256 of all lines, sorted by id.
fn hash(lines: &Lines) -> String {
    let mut hash = Sha256::new();
    for (id, text) in lines {
        hash.update(format!("{id}\t{text}\n"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
