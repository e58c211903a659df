//! `cargo xtask bench`: our numbers beside those of the peers, on the same bytes, in one run.
//!
//! Every subject runs in a process of its own and reports the CPU time of the call alone. The
//! subjects take turns (A, B, C, A, B, C …) so that a noisy neighbour or a clock that drifts
//! meets them all, and the least time of each counts. Ours is the runner of the crate in
//! `benches/`, built in the release profile; the peers run in the environment that
//! `cargo xtask env` makes, through `benches/peers/peers.py`.
//!
//! What it refuses to do: compare times of different bytes, or hide a peer that failed.

mod doors;
mod load;
mod measure;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{env, inputs, place, shell};
use measure::{Runner, Subject};
use table::Table;

/// Choices on the command line of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only tables whose name contains this: `mixed-2`, `mixed-4`, `tensors`, `archives`,
    /// `real`, `instructions`; and `load` and `doors`, which are run by their names alone.
    filter: Option<String>,
    /// A tenth of each generated file: for every subject, so that the bytes stay the same.
    #[arg(long)]
    quick: bool,
    /// How many turns each subject takes; the slow peers take one.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Count instructions with valgrind too.
    #[arg(long)]
    callgrind: bool,
}

/// Our subjects on a pickle, and those of the peers with how they are shown.
const OURS: [&str; 4] = ["decode", "audit", "audit-fixed", "scan"];
const PEERS: [(&str, &[&str], &str); 4] = [
    ("load", &[], "C pickle.load"),
    ("load", &["--no-gc"], "C pickle.load, gc off"),
    ("genops", &[], "pickletools.genops"),
    ("picklescan", &[], "picklescan"),
];

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.filter.as_deref() == Some("load") {
        return load::run(arguments.quick, arguments.rounds);
    }
    if arguments.filter.as_deref() == Some("doors") {
        return doors::run(arguments.rounds);
    }
    let mut skips = env::Skips::default();
    println!("==> building the runner (release profile)");
    shell::run(shell::cargo().args(["build", "--release", "--quiet"]).args([
        "--package",
        "secure-torch-benches",
        "--bin",
        "secure-torch-bench",
    ]))?;
    let python = match env::venv(false) {
        Ok(python) => Some(python),
        Err(error) => {
            skips.add("the peers", &error);
            None
        }
    };
    let runner = Runner::new(python)?;
    describe(&runner);

    let wanted =
        |name: &str| arguments.filter.as_deref().is_none_or(|filter| name.contains(filter));
    let mut any = false;
    for name in ["mixed-2", "mixed-4", "tensors"] {
        if wanted(name) {
            any = true;
            pickle(&runner, name, arguments)?;
        }
    }
    if wanted("archives") {
        any = true;
        archives(&runner, arguments.rounds)?;
    }
    if wanted("real") {
        any = true;
        real(&runner, arguments.rounds, &mut skips)?;
    }
    if arguments.callgrind && wanted("instructions") {
        any = true;
        match place::on_path("valgrind") {
            Some(_) => instructions(&runner)?,
            None => skips.add("instruction counts", &anyhow::anyhow!("no valgrind on the path")),
        }
    }
    if !any {
        bail!("no table has such a name");
    }
    skips.close()
}

fn describe(runner: &Runner) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{} {}, {cores} cores; CPU time of the call alone, least of all turns",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    if let Some(versions) = runner.versions() {
        println!("peers: {versions}");
    }
}

/// One generated pickle: every subject on the same file.
fn pickle(runner: &Runner, name: &str, arguments: &Arguments) -> Result<()> {
    let suffix = if arguments.quick { "-tenth" } else { "" };
    let file = runner.input(&format!("{name}{suffix}"))?;
    let mut subjects: Vec<Subject> =
        OURS.iter().map(|subject| Subject::ours(subject, &file, 3)).collect();
    for (peer, flags, _) in PEERS {
        let fast = peer == "load";
        // Whoever takes seconds takes one turn.
        let turns = if fast { arguments.rounds } else { 1 };
        subjects.push(Subject::peer(peer, flags, &file, 1).turns(turns));
    }
    runner.take_turns(&mut subjects, arguments.rounds);

    let size = file.metadata().context("an input is gone")?.len();
    let count = subjects[1].number("instructions");
    let mut table = Table::new(&["subject", "ms", "MB/s", "ns per opcode", "to our audit"]);
    let audit = subjects[1].least();
    for (index, subject) in subjects.iter().enumerate() {
        let title = match index.checked_sub(OURS.len()).and_then(|peer| PEERS.get(peer)) {
            Some((_, _, title)) => (*title).to_owned(),
            None => format!("our {}", OURS[index]),
        };
        let seconds = subject.least();
        let cell = |text: Option<String>| text.unwrap_or_else(|| "failed".to_owned());
        table.row([
            title,
            cell(seconds.map(|s| format!("{:.2}", s * 1e3))),
            cell(seconds.map(|s| format!("{:.1}", size as f64 / 1e6 / s))),
            cell(seconds.zip(count).map(|(s, count)| format!("{:.1}", s * 1e9 / count))),
            cell(seconds.zip(audit).map(|(s, audit)| format!("{:.2}×", s / audit))),
        ]);
    }
    println!(
        "\n{name}: {:.1} MB, {:.0} opcodes",
        size as f64 / 1e6,
        count.context("our audit gave no count")?
    );
    table.print();
    for subject in &subjects {
        subject.complain();
    }
    if name.starts_with("mixed") && runner.has_peers() {
        let mut same = [Subject::peer("same", &[], &file, 1)];
        runner.take_turns(&mut same, 1);
        same[0].complain();
        if same[0].flag("same") != Some(true) {
            bail!("{name}: CPython's pickler writes other bytes for the same objects");
        }
        println!("    byte for byte what CPython's own pickler writes for these objects");
    }
    let seen = subjects.iter().filter_map(|subject| subject.number("instructions"));
    if !seen.eq(std::iter::repeat_n(count.unwrap_or(0.0), 4)) && runner.has_peers() {
        bail!("{name}: decoder, auditor and genops do not count the same opcodes");
    }
    Ok(())
}

/// ZIP directories, and the archive of 10 GB of which only directory and pickles are read.
fn archives(runner: &Runner, rounds: usize) -> Result<()> {
    let mut table =
        Table::new(&["archive", "bytes", "directory ms", "scan ms", "bytes read", "share"]);
    for name in ["zip-300", "zip-50000", "sparse-10g"] {
        let file = runner.input(name)?;
        let mut subjects = [Subject::ours("archive", &file, 5), Subject::ours("scan", &file, 5)];
        runner.take_turns(&mut subjects, rounds);
        let [directory, scan] = &subjects;
        directory.complain();
        scan.complain();
        let size = file.metadata().context("an input is gone")?.len() as f64;
        let examined = scan.number("bytes_examined").unwrap_or(f64::NAN);
        let millis = |subject: &Subject| subject.least().unwrap_or(f64::NAN) * 1e3;
        table.row([
            name.to_owned(),
            format!("{size:.0}"),
            format!("{:.3}", millis(directory)),
            format!("{:.3}", millis(scan)),
            format!("{examined:.0}"),
            format!("{:.4} %", examined / size * 100.0),
        ]);
    }
    println!("\narchives");
    table.print();
    Ok(())
}

/// Published models: the largest file of each package and layout.
fn real(runner: &Runner, rounds: usize, skips: &mut env::Skips) -> Result<()> {
    let mut found = inputs::collect(false, |_| true, skips)?;
    // The peers judge pickles.
    let pickles = ["torch-legacy", "torch-zip", "torchscript", "pickle", "joblib"];
    found.retain(|input| pickles.contains(&input.layout.as_str()));
    found.sort_by(|a, b| (&a.package, &a.layout, b.size).cmp(&(&b.package, &b.layout, a.size)));
    found.dedup_by(|b, a| (&a.package, &a.layout) == (&b.package, &b.layout));
    let mut table = Table::new(&[
        "file",
        "layout",
        "bytes",
        "our scan ms",
        "picklescan ms",
        "to ours",
        "C load ms",
        "to ours",
    ]);
    let mut failed = Vec::new();
    for input in &found {
        let mut subjects = [
            Subject::ours("scan", &input.path, 5),
            Subject::peer("picklescan-file", &[], &input.path, 2),
            Subject::peer("load", &[], &input.path, 3),
        ];
        runner.take_turns(&mut subjects, rounds);
        let ours = subjects[0].least();
        let shown = |seconds: Option<f64>| match seconds {
            Some(seconds) => format!("{:.3}", seconds * 1e3),
            None => "failed".to_owned(),
        };
        let ratio = |seconds: Option<f64>| match seconds.zip(ours) {
            Some((seconds, ours)) => format!("{:.1}×", seconds / ours),
            None => String::new(),
        };
        let file = input.member.rsplit('/').next().unwrap_or(&input.member);
        table.row([
            format!("{} {file}", input.package),
            input.layout.clone(),
            input.size.to_string(),
            shown(ours),
            shown(subjects[1].least()),
            ratio(subjects[1].least()),
            shown(subjects[2].least()),
            ratio(subjects[2].least()),
        ]);
        for subject in subjects {
            failed.push((file.to_owned(), subject));
        }
    }
    println!("\nreal models (C load: only the pickles, imports replaced by inert stand-ins)");
    table.print();
    for (file, subject) in failed {
        if subject.failed() {
            println!("    {file}:");
            subject.complain();
        }
    }
    Ok(())
}

/// Instructions of the processor, which no neighbour changes.
fn instructions(runner: &Runner) -> Result<()> {
    let mut table = Table::new(&["input", "subject", "instructions", "per opcode"]);
    for name in ["mixed-2-tenth", "mixed-4-tenth", "tensors-tenth"] {
        let file = runner.input(name)?;
        let nothing = runner.callgrind("nothing", &file)?;
        for subject in ["decode", "audit", "scan-bytes"] {
            let count = runner.callgrind(subject, &file)?;
            let count = count.checked_sub(nothing).context("less than nothing was counted")?;
            let mut once = [Subject::ours("audit", &file, 1)];
            runner.take_turns(&mut once, 1);
            let opcodes = once[0].number("instructions").unwrap_or(f64::NAN);
            table.row([
                name.to_owned(),
                subject.to_owned(),
                count.to_string(),
                format!("{:.1}", count as f64 / opcodes),
            ]);
        }
    }
    println!("\ninstructions (callgrind)");
    table.print();
    Ok(())
}

/// The `path` of what the runner answered.
fn path_of(answer: &Value) -> Option<PathBuf> {
    answer.get("path").and_then(Value::as_str).map(Path::new).map(Path::to_path_buf)
}
