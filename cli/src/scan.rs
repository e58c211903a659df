//! `scan`: judge files and say so.
//!
//! The exit code follows from the verdicts alone: 1 where a file is blocked, else 2 where
//! something could not be judged, else 0. A block wins over an error, because it is knowledge;
//! an error wins over an allowance, because a gate must not open on what it has not seen.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use secure_torch::{Policy, Report, Source};

use crate::args::{Format, PolicyArgs, ScanArgs, When};
use crate::errors::Problem;
use crate::output::{Page, closed_is_fine};
use crate::progress::Bar;
use crate::{json, report, summary};

/// How many blocked files get a full report; the others get a line.
const FULL: usize = 3;

/// What came of every path, in the order of the paths.
struct Judged {
    reports: Vec<Report>,
    problems: Vec<Problem>,
}

impl Judged {
    fn exit_code(&self) -> u8 {
        let blocked = self.reports.iter().any(|report| !report.load_allowed());
        match (blocked, self.problems.is_empty()) {
            (true, _) => 1,
            (false, false) => 2,
            (false, true) => 0,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &ScanArgs, color: When) -> ExitCode {
    let judged = judge(args);
    let mut code = judged.exit_code();
    for problem in &judged.problems {
        problem.tell();
    }
    let mut page = Page::stdout(color);
    let printed = print(args, &judged, &mut page).and_then(|()| page.flush());
    if let Err(error) = closed_is_fine(printed) {
        Problem::output(&error).tell();
        code = if code == 0 { 2 } else { code };
    }
    ExitCode::from(code)
}

/// The policy of the command line.
fn policy(args: &PolicyArgs) -> Policy {
    let mut policy = args.reading.policy();
    if let Some(most) = args.max_threat_score {
        policy.max_threat_score = most;
    }
    policy
}

fn judge(args: &ScanArgs) -> Judged {
    let policy = policy(&args.policy);
    let mut judged = Judged { reports: Vec::new(), problems: Vec::new() };
    let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
    let paths: Vec<PathBuf> = args.paths.iter().filter(|path| !is_stdin(path)).cloned().collect();

    let bar = Bar::new(!args.quiet);
    let results = secure_torch::scan_paths(&paths, &policy, &bar);
    drop(bar);
    // A folder without a file gives no result at all.
    for folder in paths.iter().filter(|path| path.is_dir()) {
        if !results.iter().any(|(path, _)| path.starts_with(folder)) {
            judged.problems.push(Problem::nothing_at(folder));
        }
    }
    for (_, result) in results {
        match result {
            Ok(report) => judged.reports.push(report),
            Err(error) => judged.problems.push(error.into()),
        }
    }

    if args.paths.iter().any(|path| is_stdin(&path)) {
        let limit = policy.limits.file.standard_input_bytes;
        match Source::read("-", io::stdin().lock(), limit) {
            Ok(source) => judged.reports.push(secure_torch::scan(&source, &policy)),
            Err(error) => judged.problems.push(error.into()),
        }
    }
    judged
}

fn print<W: Write>(args: &ScanArgs, judged: &Judged, page: &mut Page<W>) -> io::Result<()> {
    if args.format == Format::Json {
        return json::print(&json::Document::new(&judged.reports, &judged.problems), page);
    }
    let policy = policy(&args.policy);
    let blocked = || judged.reports.iter().filter(|report| !report.load_allowed());
    if args.quiet {
        return blocked().try_for_each(|report| summary::line(report, page));
    }
    let single = judged.reports.len() == 1 && judged.problems.is_empty();
    if single || args.verbose {
        for report in &judged.reports {
            report::print(report, &policy, args.verbose, page)?;
        }
    } else {
        for report in judged.reports.iter().filter(|report| report.load_allowed()) {
            summary::line(report, page)?;
        }
        for report in blocked().take(FULL) {
            page.blank()?;
            report::print(report, &policy, false, page)?;
        }
    }
    if single {
        return Ok(());
    }
    let full = if args.verbose { usize::MAX } else { FULL };
    summary::print(&judged.reports, judged.problems.len(), full, page)
}
