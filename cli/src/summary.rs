//! One line per file, and one for all of them.

use std::io::{self, Write};

use secure_torch::core::score::Rule;
use secure_torch::{Level, Report};

use crate::output::{BAD, BOLD, DIM, GOOD, Page, WARN, count, shown_path, size};

/// The style of a level.
pub(crate) const fn style(level: Level) -> anstyle::Style {
    match level {
        Level::Safe | Level::Low => GOOD,
        Level::Medium => WARN,
        Level::High | Level::Critical => BAD,
    }
}

/// The verdict as a word of a fixed width.
pub(crate) fn verdict<W: Write>(report: &Report, page: &Page<W>) -> String {
    if report.load_allowed() { page.paint(GOOD, "allowed") } else { page.paint(BAD, "BLOCKED") }
}

/// A file on one line: verdict, level, score, path, and the rules that were hit.
pub(crate) fn line<W: Write>(report: &Report, page: &mut Page<W>) -> io::Result<()> {
    let level = format!("{:<8}", report.threat_level.name());
    // Nearly every file is unsigned: to say so on each line says nothing.
    let unsigned = Rule::TrustUnsigned.id();
    let rules: Vec<&str> =
        report.score_breakdown.keys().copied().filter(|rule| *rule != unsigned).collect();
    let about = format!("({}, {})", report.format, size(report.size_bytes));
    let line = format!(
        "{}  {} {:>3}  {}  {}",
        verdict(report, page),
        page.paint(style(report.threat_level), level),
        report.threat_score,
        shown_path(&report.path),
        page.paint(DIM, about),
    );
    if rules.is_empty() {
        page.line(line)
    } else {
        page.line(format_args!("{line}  {}", rules.join(" ")))
    }
}

/// What came of all files together; the first `full` of the blocked ones were reported in full.
pub(crate) fn print<W: Write>(
    reports: &[Report],
    problems: usize,
    full: usize,
    page: &mut Page<W>,
) -> io::Result<()> {
    let blocked: Vec<&Report> = reports.iter().filter(|report| !report.load_allowed()).collect();
    page.blank()?;
    if blocked.len() > 1 {
        let heading = page.paint(BOLD, "Blocked");
        page.line(heading)?;
        for report in &blocked {
            line(report, page)?;
        }
        if blocked.len() > full {
            let text = format!(
                "The first {full} of these {} are reported above. `--verbose` reports all, and \
                 `secure-torch scan FILE` one of them.",
                blocked.len()
            );
            page.blank()?;
            page.paragraph(0, &text)?;
        }
        page.blank()?;
    }
    let totals = totals(reports, problems, page);
    page.line(totals)
}

/// How many files came to what.
pub(crate) fn totals<'r, W: Write>(
    reports: impl IntoIterator<Item = &'r Report>,
    problems: usize,
    page: &Page<W>,
) -> String {
    let (mut judged, mut blocked) = (0_u64, 0_u64);
    for report in reports {
        judged = judged.saturating_add(1);
        blocked = blocked.saturating_add(u64::from(!report.load_allowed()));
    }
    let mut parts = vec![format!("{} allowed", judged.saturating_sub(blocked))];
    let text = format!("{blocked} blocked");
    parts.push(if blocked == 0 { text } else { page.paint(BAD, text) });
    if problems > 0 {
        parts.push(page.paint(WARN, format!("{problems} could not be judged")));
    }
    format!("{}: {}", count(judged, "file judged", "files judged"), parts.join(", "))
}
