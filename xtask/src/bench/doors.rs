//! `cargo xtask bench doors`: what it costs to ask in another language, and whose memory tensors are.
//!
//! Each language is one process that answers requests (`benches/doors/README.md`); Rust is asked twice, as
//! two processes, so that the table shows what the machine's noise alone makes of a ratio. They take
//! turns, in an order that turns with the rounds, and the median of all calls counts. Every native half is
//! built in the release profile.
//!
//! What it refuses: to call a difference within the noise a result, and to compare different bytes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::measure::Runner;
use super::table::Table;
use crate::{env, place, shell};

/// The ratio to Rust's time that a scan is aimed to stay within.
const AIM: f64 = 1.10;
/// A machine is quiet where two processes of one program do not differ by more than this part.
const QUIET: f64 = 0.05;
/// How many calls of the small pickle a turn takes.
const SMALL_CALLS: usize = 400;
/// An empty dict in protocol 2.
const SMALL: &[u8] = b"\x80\x02}.";

/// A language, and its program.
type Door = (&'static str, fn(&Path) -> Result<Command>);

const DOORS: [Door; 6] = [
    ("Rust", rust),
    ("Rust again", rust),
    ("C", |release| compiled(release, "c")),
    ("C++", |release| compiled(release, "c++")),
    ("Python", python),
    ("Node", node),
];

/// A door that answers.
struct Subject {
    name: &'static str,
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    fn start(name: &'static str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let ask = Some(child.stdin.take().context("no standard input")?);
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { name, child, ask, answers })
    }

    /// The numbers that it answers.
    fn ask(&mut self, request: &str) -> Result<Vec<u64>> {
        let ask = self.ask.as_mut().context("it has ended")?;
        writeln!(ask, "{request}").with_context(|| format!("{} has ended", self.name))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let numbers = answer.split_whitespace().map(str::parse);
        let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().context("no numbers")?;
        ensure!(!numbers.is_empty(), "{} gave no answer", self.name);
        Ok(numbers)
    }

    fn scan(&mut self, times: usize, path: &Path) -> Result<Vec<u64>> {
        self.ask(&format!("scan\t{times}\t{}", path.display()))
    }

    fn end(mut self) -> Result<()> {
        drop(self.ask.take());
        let status = self.child.wait().context("it does not end")?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }
}

/// Runs the table.
pub(super) fn run(rounds: usize) -> Result<()> {
    let mut skips = env::Skips::default();
    println!("==> building every door (release profile)");
    let mut build = shell::cargo();
    build.args(["build", "--release", "--quiet"]);
    for package in ["benches", "ffi", "python", "node"] {
        build.args(["--package", &format!("secure-torch-{package}")]);
    }
    shell::run(&mut build)?;
    let release = shell::target_folder()?.join("release");
    let runner = Runner::new(None)?;
    let (large, model) = (runner.input("mixed-2")?, runner.input("sparse-1g")?);
    let small = release.join("bench-small.pkl");
    fs::write(&small, SMALL).context("cannot write the small pickle")?;

    let mut commands = Vec::new();
    for (name, program) in DOORS {
        match program(&release) {
            Ok(command) => commands.push((name, command)),
            Err(error) => skips.add(&format!("the door {name}"), &error),
        }
    }
    let start = || -> Result<Vec<Subject>> {
        let each = commands.iter();
        each.map(|(name, command)| Subject::start(name, shell::again(command))).collect()
    };
    times(start()?, &large, &small, rounds.max(3))?;
    memory(start()?, &model)?;
    skips.close()
}

/// Time of a scan: of a large file, and of one in which the call is all that there is.
fn times(mut subjects: Vec<Subject>, large: &Path, small: &Path, rounds: usize) -> Result<()> {
    let mut taken: Vec<[Vec<u64>; 2]> = subjects.iter().map(|_| Default::default()).collect();
    // Once for everybody before it counts: libraries, caches and just-in-time compilers get warm.
    for subject in &mut subjects {
        subject.scan(2, large)?;
        subject.scan(SMALL_CALLS, small)?;
    }
    let count = subjects.len();
    for round in 0..rounds.saturating_mul(4) {
        for turn in 0..count {
            let at = (turn + round) % count;
            let (subject, taken) = (&mut subjects[at], &mut taken[at]);
            taken[0].extend(subject.scan(3, large)?);
            taken[1].extend(subject.scan(SMALL_CALLS, small)?);
        }
    }
    let size = large.metadata().context("an input is gone")?.len() as f64 / 1e6;
    println!(
        "\na scan through each door, from a path: wall time of {} calls in turns; half of them lie in\n\
         the brackets, and `Rust again` is what noise alone makes of a ratio",
        taken[0][0].len()
    );
    let first = format!("pickle of {size:.0} MB: median ms");
    let mut table =
        Table::new(&["door", &first, "to Rust", "least ms", "to Rust", "small: µs", "to Rust"]);
    let middle = |times: &[u64], part: f64| quantile(times, part) as f64;
    let of = |at: usize, part: f64| taken.get(at).map_or(f64::NAN, |all| middle(&all[0], part));
    let small_rust = middle(&taken[0][1], 0.5);
    let (mut by_median, mut by_least) = (Vec::new(), Vec::new());
    for (at, (subject, [large, small])) in subjects.iter().zip(&taken).enumerate() {
        let (median, least) = (of(at, 0.5) / of(0, 0.5), of(at, 0.0) / of(0, 0.0));
        let [low, high] = [0.25, 0.75].map(|part| middle(large, part) / 1e6);
        let cost = middle(small, 0.5);
        table.row([
            subject.name.to_owned(),
            format!("{:.1} ({low:.1} – {high:.1})", of(at, 0.5) / 1e6),
            format!("{median:.3}×"),
            format!("{:.1}", of(at, 0.0) / 1e6),
            format!("{least:.3}×"),
            format!("{:.1}", cost / 1e3),
            format!("{:+.1}", (cost - small_rust) / 1e3),
        ]);
        by_median.extend((median > AIM).then(|| format!("{} {median:.3}×", subject.name)));
        by_least.extend((least > AIM).then(|| format!("{} {least:.3}×", subject.name)));
    }
    table.print();
    let said = |missed: Vec<String>| match missed.as_slice() {
        [] => "met by all".to_owned(),
        _ => format!("missed by {}", missed.join(", ")),
    };
    println!(
        "\nthe aim is {AIM}×: by the medians {}, by the least times {}",
        said(by_median),
        said(by_least)
    );
    // How far two processes of one program are apart, and how far the calls of one are.
    let apart = (of(1, 0.5) / of(0, 0.5) - 1.0).abs();
    let spread = (of(0, 0.75) - of(0, 0.25)) / of(0, 0.5);
    if apart > QUIET || spread > 2.0 * QUIET {
        println!(
            "    a noisy machine: two processes in Rust differ by {:.1} %, and half of the calls of one \
             lie {:.1} % apart; take no ratio here for more than that",
            apart * 100.0,
            spread * 100.0
        );
    }
    subjects.into_iter().try_for_each(Subject::end)
}

/// Growth of resident memory by loading a large file, before and after its bytes are read.
fn memory(mut subjects: Vec<Subject>, model: &Path) -> Result<()> {
    println!("\nloading a file of 1 GB: growth of resident memory, MB");
    let mut table = Table::new(&["door", "tensors", "their MB", "loaded", "every page read"]);
    let page = 4096.0;
    let mut copied = Vec::new();
    for subject in subjects.iter_mut().filter(|subject| subject.name != "Rust again") {
        let answer = subject.ask(&format!("load\t{}", model.display()))?;
        let [before, after, touched, tensors, bytes] = answer.as_slice() else {
            bail!("{} gave {} numbers", subject.name, answer.len());
        };
        let grown = |pages: &u64| pages.saturating_sub(*before) as f64 * page / 1e6;
        table.row([
            subject.name.to_owned(),
            tensors.to_string(),
            format!("{:.0}", *bytes as f64 / 1e6),
            format!("{:.1}", grown(after)),
            format!("{:.1}", grown(touched)),
        ]);
        // The first shows that nothing was copied, the second that a copy would have been seen.
        if grown(after) * 20.0 > *bytes as f64 / 1e6 || grown(touched) * 1.05 < *bytes as f64 / 1e6
        {
            copied.push(subject.name);
        }
    }
    table.print();
    subjects.into_iter().try_for_each(Subject::end)?;
    ensure!(copied.is_empty(), "tensors are not just mapped in {}", copied.join(", "));
    println!("\n    no door copies a byte of a tensor");
    Ok(())
}

fn quantile(times: &[u64], part: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0)
}

fn rust(release: &Path) -> Result<Command> {
    Ok(shell::command(release.join(format!("secure-torch-door{}", std::env::consts::EXE_SUFFIX))))
}

/// A program in C or C++, with the static library.
fn compiled(release: &Path, language: &str) -> Result<Command> {
    let (compiler, standard, source) = match language {
        "c" => ("cc", "-std=c99", "door.c"),
        _ => ("c++", "-std=c++17", "door.cpp"),
    };
    let program = release.join(format!("bench-door-{language}"));
    let mut compile = shell::command(compiler);
    compile.args([standard, "-O2", "-Wall", "-Werror", "-Iffi/include"]);
    compile.arg(place::root().join("benches/doors").join(source)).arg("-o").arg(&program);
    compile.arg(release.join("libsecure_torch_ffi.a")).args(["-lpthread", "-ldl", "-lm"]);
    shell::run(&mut compile)?;
    Ok(shell::command(program))
}

/// The package with its native half of the release profile; numpy from the tree's environment.
fn python(release: &Path) -> Result<Command> {
    let python = env::venv(false)?;
    let packages = [super::load::packaged(release)?, env::site_packages(&python)?];
    let mut command = shell::command(python);
    // Without torch, which a `.pth` of the environment may name, tensors are numpy's arrays.
    command.arg("-S").arg(place::root().join("benches/doors/door.py"));
    command.env("PYTHONPATH", std::env::join_paths(packages)?);
    Ok(command)
}

/// The package as it is built in the tree, with its native half of the release profile.
fn node(release: &Path) -> Result<Command> {
    let program = place::on_path("node").context("no `node` on the path")?;
    let built = place::root().join("bindings/node");
    let dist = built.join("dist");
    ensure!(dist.is_dir(), "the Node package is not built: run `cargo xtask test node`");
    let folder = release.join("bench-node");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).context("cannot remove the package of the last run")?;
    }
    super::load::copy(&dist, &folder.join("dist"))?;
    for file in ["index.mjs", "package.json"] {
        fs::copy(built.join(file), folder.join(file)).context("cannot copy the Node package")?;
    }
    // What its own build calls the addon for this platform.
    let entries = fs::read_dir(&built).context("the Node package is gone")?.flatten();
    let name = entries
        .map(|entry| entry.file_name())
        .find(|name| Path::new(name).extension().is_some_and(|end| end == "node"));
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library: PathBuf = release.join(format!("{prefix}secure_torch_node{suffix}"));
    fs::copy(library, folder.join(name.context("the addon is not built")?))?;
    let mut command = shell::command(program);
    command.arg(place::root().join("benches/doors/door.mjs"));
    command.env("SECURE_TORCH_NODE", folder.join("index.mjs"));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let times = [50, 10, 30, 20, 40];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&times, part)),
            [10, 20, 30, 40, 50]
        );
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
