//! `scan`: judge files and say so.
//!
//! The exit code follows from the verdicts alone: 1 where a file is blocked, else 2 where
//! something could not be judged, else 0. A block wins over an error, because it is knowledge;
//! an error wins over an allowance, because a gate must not open on what it has not seen.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use secure_torch::{Error, Policy, Report, Source};

use crate::args::{ScanArgs, ScanFormat, When};
use crate::errors::Problem;
use crate::formats::{self, Scan};
use crate::output::{Page, closed_is_fine};
use crate::progress::Bar;
use crate::{file, json, policy, report, summary};

/// How many blocked files get a full report; the others get a line.
const FULL: usize = 3;

/// What came of every path, in the order of the paths.
pub(crate) struct Judged {
    pub(crate) reports: Vec<Report>,
    /// The policy of each report.
    pub(crate) policies: Vec<Rc<Policy>>,
    pub(crate) problems: Vec<Problem>,
}

impl Judged {
    pub(crate) fn exit_code(&self) -> u8 {
        let blocked = self.reports.iter().any(|report| !report.load_allowed());
        match (blocked, self.problems.is_empty()) {
            (true, _) => 1,
            (false, false) => 2,
            (false, true) => 0,
        }
    }

    fn each(&self) -> impl Iterator<Item = (&Report, &Policy)> {
        self.reports.iter().zip(self.policies.iter().map(Rc::as_ref))
    }
}

/// Runs the command.
pub(crate) fn run(args: &ScanArgs, color: When) -> u8 {
    if let Some(problem) = args.output.as_deref().and_then(|file| overwrites(file, &args.paths)) {
        problem.tell();
        return 2;
    }
    let policy = |path: Option<&Path>| policy::of(&args.policy, path);
    let judged = judge(&args.paths, policy, !args.quiet);
    let mut code = judged.exit_code();
    for problem in &judged.problems {
        problem.tell();
    }
    let mut failed = Vec::new();
    if let Some(path) = &args.output {
        let mut page = Page::plain(Vec::new());
        let written = print(args, args.format, &judged, &mut page);
        if let Err(error) = written.and_then(|()| file::replace(path, &page.into_inner())) {
            failed.push(Problem::output_file(path, &error));
        }
    }
    let format = if args.output.is_some() { ScanFormat::Text } else { args.format };
    let mut page = Page::stdout(color);
    let printed = print(args, format, &judged, &mut page).and_then(|()| page.flush());
    if let Err(error) = closed_is_fine(printed) {
        failed.push(Problem::output(&error));
    }
    for problem in &failed {
        problem.tell();
    }
    if code == 0 && !failed.is_empty() {
        code = 2;
    }
    code
}

/// A report over a model that it is about would be a loss, and never what was meant.
fn overwrites(output: &Path, paths: &[PathBuf]) -> Option<Problem> {
    let place = output.canonicalize().ok()?;
    let judged = paths.iter().any(|path| path.canonicalize().is_ok_and(|path| path == place));
    judged.then(|| {
        let hint = "give `--output` the name of another file";
        Problem::usage(output, "`--output` names a file that is to be judged", hint)
    })
}

/// Judges paths and standard input, each under its own policy.
pub(crate) fn judge(
    paths: &[PathBuf],
    policy: impl Fn(Option<&Path>) -> Result<Policy, Error>,
    show_progress: bool,
) -> Judged {
    let mut judged = Judged { reports: Vec::new(), policies: Vec::new(), problems: Vec::new() };
    let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
    // Paths under one policy are judged together, in parallel.
    let mut groups: Vec<(Rc<Policy>, Vec<PathBuf>)> = Vec::new();
    for path in paths.iter().filter(|path| !is_stdin(path)) {
        match policy(Some(path)) {
            Ok(policy) => match groups.last_mut() {
                Some((last, group)) if same_file(last, &policy) => group.push(path.clone()),
                _ => groups.push((Rc::new(policy), vec![path.clone()])),
            },
            Err(error) => judged.problems.push(error.into()),
        }
    }
    let bar = Bar::files(show_progress);
    for (policy, paths) in &groups {
        let results = secure_torch::scan_paths(paths, policy, &bar);
        // A folder without a file gives no result at all.
        for folder in paths.iter().filter(|path| path.is_dir()) {
            if !results.iter().any(|(path, _)| path.starts_with(folder)) {
                judged.problems.push(Problem::nothing_at(folder));
            }
        }
        for (_, result) in results {
            judged.add(result, policy);
        }
    }
    drop(bar);

    if paths.iter().any(|path| is_stdin(&path)) {
        match policy(None) {
            Ok(policy) => {
                let limit = policy.limits.file.standard_input_bytes;
                let source = Source::read("-", io::stdin().lock(), limit);
                let report = source.map(|source| secure_torch::scan(&source, &policy));
                judged.add(report, &Rc::new(policy));
            }
            Err(error) => judged.problems.push(error.into()),
        }
    }
    judged
}

impl Judged {
    fn add(&mut self, result: Result<Report, Error>, policy: &Rc<Policy>) {
        match result {
            Ok(report) => {
                self.reports.push(report);
                self.policies.push(Rc::clone(policy));
            }
            Err(error) => self.problems.push(error.into()),
        }
    }
}

/// Whether two policies of one command line come from the same file.
fn same_file(one: &Policy, other: &Policy) -> bool {
    let path = |policy: &Policy| policy.file.as_ref().map(|file| file.path().to_owned());
    path(one) == path(other)
}

fn print<W: Write>(
    args: &ScanArgs,
    format: ScanFormat,
    judged: &Judged,
    page: &mut Page<W>,
) -> io::Result<()> {
    let scan = Scan {
        files: judged.each().collect(),
        problems: &judged.problems,
        exit_code: judged.exit_code(),
    };
    match format {
        ScanFormat::Json => {
            json::print(&json::Document::new(&judged.reports, &judged.problems), page)
        }
        ScanFormat::Sarif => formats::sarif::print(&scan, page),
        ScanFormat::Junit => formats::junit::print(&scan, page),
        ScanFormat::Markdown => formats::markdown::print(&scan, page),
        ScanFormat::Table => formats::table::print(&scan, page),
        ScanFormat::Text => text(args, judged, page),
    }
}

/// The reports for people.
fn text<W: Write>(args: &ScanArgs, judged: &Judged, page: &mut Page<W>) -> io::Result<()> {
    let blocked = || judged.each().filter(|(report, _)| !report.load_allowed());
    if args.quiet {
        return blocked().try_for_each(|(report, _)| summary::line(report, page));
    }
    let single = judged.reports.len() == 1 && judged.problems.is_empty();
    if single || args.verbose {
        for (report, policy) in judged.each() {
            report::print(report, policy, args.verbose, page)?;
        }
    } else {
        for report in judged.reports.iter().filter(|report| report.load_allowed()) {
            summary::line(report, page)?;
        }
        for (report, policy) in blocked().take(FULL) {
            page.blank()?;
            report::print(report, policy, false, page)?;
        }
    }
    if single {
        return Ok(());
    }
    let full = if args.verbose { usize::MAX } else { FULL };
    summary::print(&judged.reports, judged.problems.len(), full, page)
}
