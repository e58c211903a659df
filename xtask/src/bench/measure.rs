//! Running subjects in turns, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{place, shell};

/// Where the programs are.
pub(super) struct Runner {
    ours: PathBuf,
    python: Option<PathBuf>,
}

impl Runner {
    pub(super) fn new(python: Option<PathBuf>) -> Result<Self> {
        let name = format!("secure-torch-bench{}", std::env::consts::EXE_SUFFIX);
        let ours = shell::target_folder()?.join("release").join(name);
        if !ours.is_file() {
            bail!("the runner was not built");
        }
        Ok(Self { ours, python })
    }

    pub(super) const fn has_peers(&self) -> bool {
        self.python.is_some()
    }

    /// What the peers are, in words.
    pub(super) fn versions(&self) -> Option<String> {
        let ask = "import sys, importlib.metadata as m; \
                   print('CPython', sys.version.split()[0] + ', picklescan', m.version('picklescan'))";
        let python = self.python.as_ref()?;
        Some(shell::read(shell::command(python).args(["-c", ask])).ok()?.trim().to_owned())
    }

    /// The file of a generated input.
    pub(super) fn input(&self, name: &str) -> Result<PathBuf> {
        let answer = shell::read(shell::command(&self.ours).args(["make", name]))?;
        let answer: Value = serde_json::from_str(&answer).context("the runner gave no json")?;
        super::path_of(&answer).context("the runner gave no path")
    }

    /// Lets each subject run, one after the other, round after round.
    pub(super) fn take_turns(&self, subjects: &mut [Subject], rounds: usize) {
        for round in 0..rounds.max(1) {
            for subject in &mut *subjects {
                if round < subject.turns && subject.error.is_none() {
                    match self.run(subject) {
                        Ok(Some(answer)) => subject.take(answer),
                        Ok(None) => subject.turns = 0,
                        Err(error) => subject.error = Some(format!("{error:#}")),
                    }
                }
            }
        }
    }

    fn run(&self, subject: &Subject) -> Result<Option<Value>> {
        let mut command = if subject.ours {
            shell::command(&self.ours)
        } else {
            let Some(python) = &self.python else {
                return Ok(None);
            };
            let mut command = shell::command(python);
            command.arg(place::root().join("benches/peers/peers.py"));
            command
        };
        command.arg(subject.name).arg(&subject.file).args(subject.flags);
        let answer = shell::read(command.args(["--times", &subject.times.to_string()]))?;
        let answer = serde_json::from_str(&answer).context("a subject gave no json")?;
        Ok(Some(answer))
    }

    /// How many instructions a subject takes once, the process itself counted.
    pub(super) fn callgrind(&self, subject: &str, file: &Path) -> Result<u64> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(&self.ours).arg(subject).arg(file).args(["--times", "1"]);
        let output = command.output().context("cannot start valgrind")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Valgrind counts what a program did before it crashed, too.
        if !output.status.success() || output.stdout.is_empty() {
            bail!("`{subject}` under valgrind ended with {} and no answer", output.status);
        }
        let count = said.lines().find_map(|line| line.split_once("Collected : "));
        let (_, count) = count.context("valgrind gave no count")?;
        count.trim().parse().context("valgrind's count is no number")
    }
}

/// One row: what runs, on which file, and what it answered.
pub(super) struct Subject {
    ours: bool,
    name: &'static str,
    flags: &'static [&'static str],
    file: PathBuf,
    times: usize,
    turns: usize,
    least: Option<f64>,
    answer: Value,
    error: Option<String>,
}

impl Subject {
    /// A subject of the runner, `times` times each turn.
    pub(super) fn ours(name: &'static str, file: &Path, times: usize) -> Self {
        Self {
            ours: true,
            name,
            flags: &[],
            file: file.to_path_buf(),
            times,
            turns: usize::MAX,
            least: None,
            answer: Value::Null,
            error: None,
        }
    }

    /// A subject of the peers' script.
    pub(super) fn peer(
        name: &'static str,
        flags: &'static [&'static str],
        file: &Path,
        times: usize,
    ) -> Self {
        Self { ours: false, flags, ..Self::ours(name, file, times) }
    }

    /// Takes so many turns at most.
    pub(super) fn turns(self, turns: usize) -> Self {
        Self { turns, ..self }
    }

    fn take(&mut self, answer: Value) {
        let seconds = answer.get("seconds").and_then(Value::as_array);
        for second in seconds.into_iter().flatten().filter_map(Value::as_f64) {
            self.least = Some(self.least.map_or(second, |least| least.min(second)));
        }
        self.answer = answer;
    }

    /// The least time of a run, in seconds.
    pub(super) const fn least(&self) -> Option<f64> {
        self.least
    }

    /// A number of the last answer.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.answer.get(key).and_then(Value::as_f64)
    }

    /// A yes or no of the last answer.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.answer.get(key).and_then(Value::as_bool)
    }

    /// Whether the subject failed.
    pub(super) const fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Says why the subject failed, if it did.
    pub(super) fn complain(&self) {
        if let Some(error) = &self.error {
            println!("    {} failed: {error}", self.name);
        }
    }
}
