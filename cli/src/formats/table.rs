//! One line for each file, and the totals.
//!
//! The columns have fixed widths and the path stands last, so that a line depends on nothing but
//! its own file: two tables differ in the lines whose files do.

use std::io::{self, Write};

use secure_torch::text::visible;

use super::Scan;
use crate::output::Page;
use crate::summary::totals;

/// As wide as the longest id of a format.
const FORMAT: usize = 15;

/// Prints the table.
pub(crate) fn print<W: Write>(scan: &Scan<'_>, page: &mut Page<W>) -> io::Result<()> {
    page.line(row("format", "level", "score", "verdict", "file"))?;
    for (report, _) in &scan.files {
        let verdict = if report.load_allowed() { "allowed" } else { "blocked" };
        let score = report.threat_score.to_string();
        let level = report.threat_level.name();
        page.line(row(report.format, level, &score, verdict, &visible(&report.path)))?;
    }
    for problem in scan.problems {
        let place = format!("{} ({})", visible(&problem.path), problem.code);
        page.line(row("-", "-", "-", "error", &place))?;
    }
    let reports = scan.files.iter().map(|(report, _)| *report);
    let totals = totals(reports, scan.problems.len(), &Page::plain(io::sink()));
    page.line(totals)
}

fn row(format: &str, level: &str, score: &str, verdict: &str, file: &str) -> String {
    format!("{format:<FORMAT$}  {level:<8}  {score:>5}  {verdict:<7}  {file}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{allowed_report, hostile_problems, hostile_reports, scan_of};
    use super::*;

    #[test]
    fn every_format_fits_its_column() {
        let table = include_str!("../../../spec/detection.toml");
        let ids = table.lines().filter_map(|line| line.strip_prefix("id = \""));
        let lengths: Vec<usize> = ids.map(|id| id.trim_end_matches('"').len()).collect();
        assert!(lengths.len() > 40 && lengths.iter().all(|length| *length <= FORMAT));
    }

    #[test]
    fn every_file_is_one_line_of_printable_characters() {
        let mut reports = hostile_reports();
        reports.push(allowed_report());
        let problems = hostile_problems();
        let scan = scan_of(&reports, &problems);
        let mut page = Page::plain(Vec::new());
        print(&scan, &mut page).unwrap();
        let text = String::from_utf8(page.into_inner()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + reports.len() + problems.len() + 1);
        assert!(
            text.chars().all(|c| c == '\n'
                || secure_torch::text::printable(&c.to_string()).len() == c.len_utf8())
        );
        assert_eq!(lines[reports.len()], row("pickle", "LOW", "10", "allowed", "ok.pkl"));
        let totals = "13 files judged: 1 allowed, 12 blocked, 12 could not be judged";
        assert_eq!(lines.last(), Some(&totals));
    }
}
