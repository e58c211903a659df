//! Policies: which file holds for a path, and `policy check`, which explains what it decides.
//!
//! The command decides nothing: what applied stands in each report, and is only told here.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use secure_torch::policy::{Entry, EntryKind};
use secure_torch::{Applied, Error, Policy, PolicyFile, Report};
use serde::Serialize;

use crate::args::{CheckArgs, Format, PolicyArgs, PolicyCommand, PolicyCommandArgs, When};
use crate::errors::Problem;
use crate::output::{BOLD, DIM, NAME, Page, WARN, closed_is_fine, shown_path};
use crate::scan::{Judged, judge};
use crate::{json, summary};

/// The policy for a path, or for standard input: the file that is named or found, and over it
/// the switches.
pub(crate) fn of(args: &PolicyArgs, path: Option<&Path>) -> Result<Policy, Error> {
    let file =
        if args.no_policy { Policy::default() } else { found(args.policy.as_deref(), path)? };
    let mut policy = args.reading.over(file);
    if let Some(most) = args.max_threat_score {
        policy.max_threat_score = most;
    }
    Ok(policy)
}

fn found(named: Option<&Path>, path: Option<&Path>) -> Result<Policy, Error> {
    if let Some(file) = named {
        return Policy::open(file);
    }
    let found = match path {
        Some(path) => Policy::discover(path)?,
        None => Policy::discover_here()?,
    };
    Ok(found.map_or_else(Policy::default, |(_, policy)| policy))
}

/// The section of a report that says which lines of the policy decided.
pub(crate) fn applied<W: Write>(report: &Report, page: &mut Page<W>) -> io::Result<()> {
    let Some(policy) = &report.policy else { return Ok(()) };
    page.heading("Policy")?;
    page.paragraph(4, &format!("{} (sha256 {})", policy.path, &policy.sha256))?;
    for entry in &policy.applied {
        page.item(4, "- ", &format!("line {}: {}", entry.line, said(entry)))?;
    }
    Ok(())
}

/// An entry in words.
fn said(entry: &Applied) -> String {
    let text = match entry.entry {
        "max_threat_score" => format!("max_threat_score = {}", entry.what),
        "limits" => entry.what.clone(),
        "formats.allow" => format!("formats.allow does not list {}", entry.what),
        "formats.deny" => format!("formats.deny lists {}", entry.what),
        kind => format!("{kind} {}", entry.what),
    };
    if entry.reason.is_empty() { text } else { format!("{text} ({})", entry.reason) }
}

/// Runs `policy`.
pub(crate) fn run(args: &PolicyCommandArgs, color: When) -> u8 {
    let PolicyCommand::Check(args) = &args.command;
    let checked = match check(args) {
        Ok(checked) => checked,
        Err(problem) => {
            problem.tell();
            return 2;
        }
    };
    for problem in &checked.judged.problems {
        problem.tell();
    }
    let mut code = checked.judged.exit_code();
    let mut page = Page::stdout(color);
    let printed = match args.format {
        Format::Json => json::print(&Document::of(&checked), &mut page),
        Format::Text => checked.print(&mut page),
    };
    if let Err(error) = closed_is_fine(printed.and_then(|()| page.flush())) {
        Problem::output(&error).tell();
        code = if code == 0 { 2 } else { code };
    }
    code
}

/// What was checked: policy files, and what they decide.
struct Checked {
    judged: Judged,
    files: Vec<std::sync::Arc<PolicyFile>>,
    /// Whether paths were judged, so that an entry may have matched nothing.
    paths: bool,
}

fn check(args: &CheckArgs) -> Result<Checked, Problem> {
    let named = args.policy.as_deref();
    if args.paths.is_empty() {
        let policy = found(named, None)?;
        let Some(file) = policy.file else {
            let what = "no `secure-torch.toml` lies in the working directory or above it";
            let hint = "name a file with `--policy`, or paths to explain";
            return Err(Problem::usage(Path::new("."), what, hint));
        };
        let judged = Judged { reports: Vec::new(), policies: Vec::new(), problems: Vec::new() };
        return Ok(Checked { judged, files: vec![file], paths: false });
    }
    let judged = judge(&args.paths, |path| found(named, path), true);
    let mut files: Vec<std::sync::Arc<PolicyFile>> = Vec::new();
    for file in judged.policies.iter().filter_map(|policy| policy.file.as_ref()) {
        if files.iter().all(|known| known.path() != file.path()) {
            files.push(std::sync::Arc::clone(file));
        }
    }
    Ok(Checked { judged, files, paths: true })
}

impl Checked {
    /// The lines of a file that applied to any path.
    fn used(&self, file: &PolicyFile) -> BTreeSet<u32> {
        let path = secure_torch::text::printable(&file.path().to_string_lossy());
        let reports = self.judged.reports.iter().filter_map(|report| report.policy.as_ref());
        let of_file = reports.filter(|policy| policy.path == path);
        of_file.flat_map(|policy| &policy.applied).map(|entry| entry.line).collect()
    }

    /// Why an entry does nothing, where it does nothing.
    fn idle(&self, entry: &Entry, used: &BTreeSet<u32>) -> Option<&'static str> {
        let counts = matches!(entry.kind, EntryKind::Allow | EntryKind::Ignore);
        if entry.expired {
            return Some("has expired and is not applied");
        }
        (self.paths && counts && !used.contains(&entry.line)).then_some("matched nothing")
    }

    fn print<W: Write>(&self, page: &mut Page<W>) -> io::Result<()> {
        for (report, policy) in self.judged.reports.iter().zip(&self.judged.policies) {
            explain(report, policy, page)?;
        }
        for file in &self.files {
            let used = self.used(file);
            let entries = file.entries();
            let place = shown_path(&file.path().to_string_lossy());
            let number = entries.len();
            let plural = if number == 1 { "entry" } else { "entries" };
            let title = page.paint(BOLD, &place);
            page.line(format_args!("{title}: valid, {number} {plural}"))?;
            for entry in &entries {
                if !self.paths {
                    let until = entry.expires.as_ref().map(|day| format!(", until {day}"));
                    let (kind, until) = (entry.kind.name(), until.unwrap_or_default());
                    let text = format!("{kind} {}{until}", entry.what);
                    page.item(2, &format!("{place}:{} ", entry.line), &text)?;
                }
                if let Some(why) = self.idle(entry, &used) {
                    let warning = page.paint(WARN, "warning");
                    let (kind, what) = (entry.kind.name(), &entry.what);
                    page.line(format_args!(
                        "  {warning}: {place}:{} {kind} {what} {why}",
                        entry.line
                    ))?;
                }
            }
        }
        Ok(())
    }
}

/// One file: its verdict, what decided it, and what still counts.
fn explain<W: Write>(report: &Report, policy: &Policy, page: &mut Page<W>) -> io::Result<()> {
    let place = |line: u32| {
        report.policy.as_ref().map_or_else(String::new, |file| format!("{}:{line}", file.path))
    };
    let applied = report.policy.as_ref().map_or(&[][..], |file| &file.applied);
    let most = applied.iter().find(|entry| entry.entry == "max_threat_score");
    let by = match (most, &report.policy) {
        (Some(entry), _) => format!("{} {}", place(entry.line), said(entry)),
        (None, Some(file)) => format!("default maximum; {} sets none", file.path),
        (None, None) => "default maximum; no policy file".to_owned(),
    };
    let verdict = summary::verdict(report, page);
    let (score, most) = (report.threat_score, policy.max_threat_score);
    let sign = if score > most { ">" } else { "<=" };
    let path = page.paint(BOLD, shown_path(&report.path));
    page.line(format_args!("{path}: {verdict} {score} {sign} {most} ({by})"))?;
    for entry in applied.iter().filter(|entry| entry.entry != "max_threat_score") {
        page.item(2, &format!("{} ", place(entry.line)), &said(entry))?;
    }
    for (rule, points) in &report.score_breakdown {
        let mut subjects: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.rule == *rule && finding.ignored.is_none())
            .map(|finding| finding.subject.as_str())
            .filter(|subject| !subject.is_empty())
            .collect();
        subjects.truncate(4);
        let rule = page.paint(NAME, rule);
        let subjects = page.paint(DIM, subjects.join(", "));
        page.line(format_args!("  +{points} {rule} {subjects}"))?;
    }
    Ok(())
}

/// The JSON of `policy check`.
#[derive(Serialize)]
struct Document<'d> {
    schema: &'static str,
    policies: Vec<File>,
    reports: &'d [Report],
    errors: &'d [Problem],
}

#[derive(Serialize)]
struct File {
    path: String,
    sha256: String,
    entries: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    entry: &'static str,
    line: u32,
    what: String,
    reason: String,
    expires: Option<String>,
    /// Why it does nothing, where it does nothing.
    idle: Option<&'static str>,
}

impl<'d> Document<'d> {
    fn of(checked: &'d Checked) -> Self {
        let policies = checked.files.iter().map(|file| {
            let used = checked.used(file);
            let rows = file.entries().into_iter().map(|entry| Row {
                idle: checked.idle(&entry, &used),
                entry: entry.kind.name(),
                line: entry.line,
                what: entry.what,
                reason: entry.reason,
                expires: entry.expires,
            });
            File {
                path: secure_torch::text::printable(&file.path().to_string_lossy()),
                sha256: file.sha256().to_owned(),
                entries: rows.collect(),
            }
        });
        Self {
            schema: "secure-torch/policy-check/1",
            policies: policies.collect(),
            reports: &checked.judged.reports,
            errors: &checked.judged.problems,
        }
    }
}
