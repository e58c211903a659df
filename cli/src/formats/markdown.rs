//! A summary for a pull request, in GitHub Flavored Markdown.
//!
//! It says how many files came to what, names each blocked file in a table, and folds the whole
//! report of each below. It never grows beyond what a comment may hold, and says what it left out.
//!
//! Names come from hostile files, so none stands in running text, where it could be a link, an
//! image, a mention or HTML. In a table a name is a code span (spec of GFM, section 6.3), in which
//! nothing has a meaning but the backtick that ends it and, in a table, the bar that ends the
//! cell: both are spelled out. In a `<summary>` it is HTML, with every character that HTML gives a
//! meaning written as a reference, inside `<code>`, which takes no mentions. A whole report is a
//! fenced code block (section 4.5) whose fence is longer than any run of backticks in it.

use std::io::{self, Write};

use secure_torch::Report;

use super::{Scan, text_report, why};
use crate::output::{Page, count, shown_path};

/// GitHub refuses comments of more than 65,536 characters. Counting bytes is stricter.
const LIMIT: usize = 60_000;
/// What the tables may take of it; the reports take the rest.
const TABLES: usize = 30_000;
/// How many rules stand in a cell.
const RULES: usize = 4;

/// Prints the summary.
pub(crate) fn print<W: Write>(scan: &Scan<'_>, page: &mut Page<W>) -> io::Result<()> {
    let mut out = String::new();
    headline(scan, &mut out);
    blocked_table(scan, &mut out);
    problems_table(scan, &mut out);
    details(scan, &mut out)?;
    page.write_all(out.as_bytes())
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn headline(scan: &Scan<'_>, out: &mut String) {
    let blocked = scan.blocked().count();
    let allowed = scan.files.len().saturating_sub(blocked);
    let judged = count(number(scan.files.len()), "file", "files");
    let heading = match (blocked, scan.problems.len()) {
        (0, 0) => format!("secure-torch: {judged} judged, none blocked"),
        (0, _) => "secure-torch: not everything could be judged".to_owned(),
        (_, _) => format!("secure-torch: {blocked} of {judged} blocked"),
    };
    out.push_str(&format!("### {heading}\n\n"));
    let problems = scan.problems.len();
    let most = scan.max_threat_score();
    let gate =
        most.map(|most| format!(" Scores up to {most} are let through.")).unwrap_or_default();
    out.push_str(&format!(
        "{allowed} allowed, {blocked} blocked, {problems} could not be judged.{gate}
"
    ));
}

/// A row for each blocked file, the gravest first.
fn blocked_table(scan: &Scan<'_>, out: &mut String) {
    let mut blocked: Vec<&Report> = scan.blocked().map(|(report, _)| report).collect();
    if blocked.is_empty() {
        return;
    }
    blocked.sort_by_key(|report| u8::MAX.saturating_sub(report.threat_score));
    out.push_str("\n| blocked file | format | level | score | why |\n|---|---|---|---:|---|\n");
    let rows = blocked.iter().map(|report| {
        format!(
            "| {} | {} | {} | {} | {} |\n",
            code(&shown_path(&report.path)),
            code(report.format),
            report.threat_level.name(),
            report.threat_score,
            rules(report)
        )
    });
    let left = push_while(rows, TABLES, out);
    cut(left, "more blocked file is", "more blocked files are", out);
}

fn rules(report: &Report) -> String {
    let all = why(report);
    if all.is_empty() {
        return "the policy".to_owned();
    }
    let shown: Vec<String> = all.iter().take(RULES).map(|rule| code(rule)).collect();
    let left = all.len().saturating_sub(shown.len());
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    format!("{}{more}", shown.join(" "))
}

/// A row for each that could not be judged.
fn problems_table(scan: &Scan<'_>, out: &mut String) {
    if scan.problems.is_empty() {
        return;
    }
    out.push_str("\n| could not be judged | error | why |\n|---|---|---|\n");
    let rows = scan.problems.iter().map(|problem| {
        let path = code(&shown_path(&problem.path));
        // Our messages quote names in backticks, which a span cannot hold.
        let message = problem.message.replace('`', "'");
        format!("| {path} | {} | {} |\n", code(problem.code), code(&message))
    });
    let left = push_while(rows, TABLES.saturating_mul(4) / 3, out);
    cut(left, "more is", "more are", out);
}

/// The whole report of each blocked file, folded; one that does not fit is left out whole.
fn details(scan: &Scan<'_>, out: &mut String) -> io::Result<()> {
    let mut left = 0_usize;
    for (report, policy) in scan.blocked() {
        let text = text_report(report, policy)?;
        let fence = "`".repeat(longest_run(&text).saturating_add(1).max(3));
        let block = format!(
            "\n<details>\n<summary><code>{}</code>: {}, {}</summary>\n\n{fence}text\n{text}{fence}\n\n</details>\n",
            html(&shown_path(&report.path)),
            report.threat_level.name(),
            report.threat_score
        );
        if out.len().saturating_add(block.len()) > LIMIT {
            left = left.saturating_add(1);
        } else {
            out.push_str(&block);
        }
    }
    cut(left, "more report is", "more reports are", out);
    Ok(())
}

/// Appends rows up to a size; gives how many did not fit.
fn push_while(rows: impl Iterator<Item = String>, size: usize, out: &mut String) -> usize {
    let mut left = 0_usize;
    for row in rows {
        // Once one is left out, all are: what is shown is the head of the list.
        if left > 0 || out.len().saturating_add(row.len()) > size {
            left = left.saturating_add(1);
        } else {
            out.push_str(&row);
        }
    }
    left
}

fn cut(left: usize, one: &str, many: &str, out: &mut String) {
    if left > 0 {
        let what = count(number(left), one, many);
        out.push_str(&format!(
            "\n{what} left out, because a comment may not be longer; `secure-torch scan FILE` \
             prints each.\n"
        ));
    }
}

/// Text as a code span that may stand in a cell of a table. It is printable already.
fn code(text: &str) -> String {
    let text = text.replace('`', "\\u{60}").replace('|', "\\u{7c}");
    // A span of nothing would be two backticks, and spaces at both ends would be stripped.
    if text.trim().is_empty() { "` \"\" `".to_owned() } else { format!("`{text}`") }
}

/// Text as HTML. It is printable already.
fn html(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '/' | '-' | '_');
    text.chars()
        .map(|c| if plain(c) { c.to_string() } else { format!("&#{};", u32::from(c)) })
        .collect()
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{allowed_report, hostile_problems, hostile_reports, scan_of};
    use super::*;

    fn printed(reports: &[Report], problems: &[crate::errors::Problem]) -> String {
        let scan = scan_of(reports, problems);
        let mut page = Page::plain(Vec::new());
        print(&scan, &mut page).unwrap();
        String::from_utf8(page.into_inner()).unwrap()
    }

    #[test]
    fn a_hostile_name_stays_in_its_cell_and_in_its_span() {
        let reports = hostile_reports();
        let problems = hostile_problems();
        let text = printed(&reports, &problems);
        let (tables, _) = text.split_once("<details>").unwrap();
        let rows = |bars: usize| {
            tables
                .lines()
                .filter(move |line| line.starts_with("| `") && line.matches('|').count() == bars)
        };
        assert_eq!(rows(6).count(), reports.len(), "{tables}");
        assert_eq!(rows(4).count(), problems.len(), "{tables}");
        // Outside of code spans stands nothing that a name could have brought.
        for line in rows(6).chain(rows(4)) {
            let outside: String = line.split('`').step_by(2).collect();
            assert_eq!(line.matches('`').count() % 2, 0, "{line}");
            assert!(
                outside.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '|')),
                "{line}"
            );
        }
    }

    #[test]
    fn a_hostile_name_closes_neither_a_summary_nor_a_fence() {
        let reports = hostile_reports();
        let text = printed(&reports, &[]);
        let (tables, _) = text.split_once("\n<details>").unwrap();
        let folded = outside_fences(&text[tables.len()..]);
        for tag in ["<details>", "</details>", "<summary><code>", "</code>: "] {
            assert_eq!(folded.matches(tag).count(), reports.len(), "{tag}");
        }
        for summary in text.lines().filter(|line| line.starts_with("<summary>")) {
            assert!(summary.matches('<').count() == 4 && !summary.contains('@'), "{summary}");
        }
    }

    /// The text without its fenced blocks, each of which must end.
    fn outside_fences(text: &str) -> String {
        let mut out = String::new();
        let mut fence: Option<String> = None;
        for line in text.lines() {
            match &fence {
                Some(open) if line.trim() == open => fence = None,
                Some(_) => {}
                None if line.starts_with("```") => {
                    fence = Some(line.trim_end_matches("text").to_owned())
                }
                None => out.push_str(&format!("{line}\n")),
            }
        }
        assert_eq!(fence, None);
        out
    }

    #[test]
    fn it_fits_into_a_comment_and_says_what_was_left_out() {
        let reports: Vec<Report> =
            std::iter::repeat_with(hostile_reports).take(60).flatten().collect();
        let text = printed(&reports, &hostile_problems());
        assert!(text.len() < 65_536, "{}", text.len());
        assert!(text.contains(" more blocked files are left out"), "{text}");
        assert!(text.contains(" more reports are left out"));
        assert!(outside_fences(&text).contains("could not be judged | error"));
    }

    #[test]
    fn the_headline_says_what_came_of_all() {
        let allowed = [allowed_report()];
        let text = printed(&allowed, &[]);
        assert!(text.starts_with(
            "### secure-torch: 1 file judged, none blocked\n\n1 allowed, 0 blocked, "
        ));
        assert!(!text.contains("<details>"));
        let text = printed(&allowed, &hostile_problems());
        assert!(text.starts_with("### secure-torch: not everything could be judged\n"));
        let text = printed(&hostile_reports(), &[]);
        assert!(text.starts_with("### secure-torch: 12 of 12 files blocked\n"));
    }

    #[test]
    fn spans_and_references() {
        assert_eq!(code("a|b`c"), "`a\\u{7c}b\\u{60}c`");
        assert_eq!(code(" "), "` \"\" `");
        assert_eq!(html("<a@b>"), "&#60;a&#64;b&#62;");
    }
}
