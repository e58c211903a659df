//! JUnit XML: each file is a test, a blocked one has failed, and what could not be judged is an
//! error.
//!
//! Nothing is measured and nothing is dated, so that the same files give the same document. There
//! is no published standard; the elements are those that Jenkins' schema for JUnit allows, which
//! `tests/python/test_outputs.py` checks. XML 1.0 (section 2.2) has no way to write most control
//! characters, escaped or not: they are spelled out as `\u{…}`.

use std::io::{self, Write};

use secure_torch::report::RulesInfo;
use secure_torch::text::visible;

use super::{Scan, text_report, why};
use crate::output::Page;

/// Prints the document.
pub(crate) fn print<W: Write>(scan: &Scan<'_>, page: &mut Page<W>) -> io::Result<()> {
    let tests = scan.files.len().saturating_add(scan.problems.len());
    let (failures, errors) = (scan.blocked().count(), scan.problems.len());
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    page.line("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    page.line(format_args!("<testsuites name=\"secure-torch\" {counts}>"))?;
    page.line(format_args!("  <testsuite name=\"secure-torch scan\" {counts}>"))?;
    properties(scan, page)?;
    for (report, policy) in &scan.files {
        let case = format!(
            "    <testcase classname=\"{}\" name=\"{}\"",
            attribute(report.format),
            attribute(&report.path)
        );
        if report.load_allowed() {
            page.line(format_args!("{case}/>"))?;
            continue;
        }
        let message = format!("blocked: {}", why(report).join(", "));
        page.line(format_args!("{case}>"))?;
        page.line(format_args!(
            "      <failure message=\"{}\" type=\"{}\">{}</failure>",
            attribute(&message),
            report.threat_level.name(),
            content(&text_report(report, policy)?)
        ))?;
        page.line("    </testcase>")?;
    }
    for problem in scan.problems {
        let name = attribute(&problem.path);
        page.line(format_args!("    <testcase classname=\"unjudged\" name=\"{name}\">"))?;
        page.line(format_args!(
            "      <error message=\"{}\" type=\"{}\">{}</error>",
            attribute(&problem.message),
            attribute(problem.code),
            content(&problem.hint)
        ))?;
        page.line("    </testcase>")?;
    }
    page.line("  </testsuite>")?;
    page.line("</testsuites>")
}

fn properties<W: Write>(scan: &Scan<'_>, page: &mut Page<W>) -> io::Result<()> {
    let rules = RulesInfo::CURRENT;
    let most = scan.max_threat_score().map(|most| most.to_string());
    page.line("    <properties>")?;
    for (name, value) in [
        ("secure-torch.version", Some(env!("CARGO_PKG_VERSION"))),
        ("secure-torch.rules.version", Some(rules.version)),
        ("secure-torch.rules.sha256", Some(rules.sha256)),
        ("secure-torch.max-threat-score", most.as_deref()),
    ] {
        let Some(value) = value.map(attribute) else { continue };
        page.line(format_args!("      <property name=\"{name}\" value=\"{value}\"/>"))?;
    }
    page.line("    </properties>")
}

/// A name or a sentence as the value of an attribute, on one line.
fn attribute(text: &str) -> String {
    content(&visible(text))
}

/// Text as the content of an element, lines and all.
fn content(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push('\n'),
            // Noncharacters are no characters of XML either.
            '\u{fffe}' | '\u{ffff}' => out.extend(character.escape_unicode()),
            _ if character.is_control() => out.extend(character.escape_unicode()),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        HOSTILE_NAMES, allowed_report, hostile_problems, hostile_reports, scan_of,
    };
    use super::*;

    #[test]
    fn hostile_names_make_no_element_and_no_character_that_xml_lacks() {
        let mut reports = hostile_reports();
        reports.push(allowed_report());
        let problems = hostile_problems();
        let scan = scan_of(&reports, &problems);
        let mut page = Page::plain(Vec::new());
        print(&scan, &mut page).unwrap();
        let text = String::from_utf8(page.into_inner()).unwrap();
        let number = HOSTILE_NAMES.len();
        for (element, count) in [
            ("<testcase ", 2 * number + 1),
            ("</testcase>", 2 * number),
            ("<failure ", number),
            ("</failure>", number),
            ("<error ", number),
            ("<img", 0),
            ("]]>", 0),
        ] {
            assert_eq!(text.matches(element).count(), count, "{element}\n{text}");
        }
        assert!(text.contains("tests=\"25\" failures=\"12\" errors=\"12\""), "{text}");
        assert!(text.contains("<testcase classname=\"pickle\" name=\"ok.pkl\"/>"), "{text}");
        let allowed =
            |c: char| c == '\n' || !c.is_control() && !matches!(c, '\u{fffe}'..='\u{ffff}');
        assert!(text.chars().all(allowed));
    }

    #[test]
    fn what_xml_gives_a_meaning_is_escaped() {
        assert_eq!(
            content("<a b=\"c\">&'\u{0}\u{ffff}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&apos;\\u{0}\\u{ffff}"
        );
        assert_eq!(attribute("a\nb"), "a\\u{a}b");
    }
}
