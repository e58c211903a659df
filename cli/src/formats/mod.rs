//! The forms of a scan's result that other programs read, beside JSON.
//!
//! Each form is a function of the same [`Scan`]. None judges anything, and each makes the names
//! of a hostile file harmless in its own language: what is safe on a terminal is not yet safe in
//! Markdown or XML.

pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod sarif;
pub(crate) mod table;

use std::io;

use secure_torch::core::score::Rule;
use secure_torch::{Policy, Report};

use crate::errors::Problem;
use crate::output::Page;
use crate::report;

/// What came of a scan.
pub(crate) struct Scan<'s> {
    /// The files that were judged, each with the policy that decided.
    pub(crate) files: Vec<(&'s Report, &'s Policy)>,
    /// What could not be judged.
    pub(crate) problems: &'s [Problem],
    /// The code that the command ends with, where its output is not lost.
    pub(crate) exit_code: u8,
}

impl<'s> Scan<'s> {
    /// The files that may not be loaded.
    fn blocked(&self) -> impl Iterator<Item = (&'s Report, &'s Policy)> {
        self.files.iter().copied().filter(|(report, _)| !report.load_allowed())
    }

    /// The highest score that is let through, where it is the same for all files.
    fn max_threat_score(&self) -> Option<u8> {
        let mut all = self.files.iter().map(|(_, policy)| policy.max_threat_score);
        let first = all.next()?;
        all.all(|most| most == first).then_some(first)
    }
}

/// The text report of one file, as it stands in a larger document: plain, with no colour.
fn text_report(report: &Report, policy: &Policy) -> io::Result<String> {
    let mut page = Page::plain(Vec::new());
    report::print(report, policy, false, &mut page)?;
    String::from_utf8(page.into_inner()).map_err(io::Error::other)
}

/// Why a file is blocked, in a few words: the rules that were hit, the heaviest first.
///
/// Nearly every file is unsigned: that stands there only where nothing else does.
fn why(report: &Report) -> Vec<&'static str> {
    let mut rules: Vec<(&'static str, u8)> =
        report.score_breakdown.iter().map(|(rule, points)| (*rule, *points)).collect();
    if rules.len() > 1 {
        rules.retain(|(rule, _)| *rule != Rule::TrustUnsigned.id());
    }
    rules.sort_by_key(|(rule, points)| (u8::MAX.saturating_sub(*points), *rule));
    rules.into_iter().map(|(rule, _)| rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_torch::{Source, scan};
    use std::sync::LazyLock;

    /// Names that try to be more than names, in every language that is written here.
    pub(super) const HOSTILE_NAMES: [&str; 12] = [
        "a\u{1b}[2Jb.pkl",
        "a\nb\r\n# heading\n.pkl",
        "\u{202e}lkp.evil",
        "<img src=x onerror=alert(1)>.pkl",
        "]]></failure><testcase name=\"x\"/>.pkl",
        "a|b\\|c`d``e.pkl",
        "[link](https://example.org).pkl",
        "![image](https://example.org/i.png).pkl",
        "@everyone #1 www.example.org a@example.org.pkl",
        "```\n</details>.pkl",
        "{0} {{1}} %s &amp;.pkl",
        "\u{0}\u{fffe}\u{ffff}\u{2028}\u{7f}\u{9b}.pkl",
    ];

    static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

    /// A scan under the default policy.
    pub(super) fn scan_of<'s>(reports: &'s [Report], problems: &'s [Problem]) -> Scan<'s> {
        let files = reports.iter().map(|report| (report, &*POLICY)).collect();
        Scan { files, problems, exit_code: 1 }
    }

    /// Reports on a file that is blocked, under each hostile name.
    pub(super) fn hostile_reports() -> Vec<Report> {
        let judge = |name: &&str| {
            // The name is that of the file and, in protocol 4, that of a global.
            let mut bytes = b"\x80\x04\x8c".to_vec();
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b"\x8c\x01C\x93)R.");
            scan(&Source::from_bytes(name, bytes), &Policy::default())
        };
        let reports: Vec<Report> = HOSTILE_NAMES.iter().map(judge).collect();
        assert!(reports.iter().all(|report| !report.load_allowed() && !report.findings.is_empty()));
        reports
    }

    /// A report on a file that is allowed.
    pub(super) fn allowed_report() -> Report {
        let report =
            scan(&Source::from_bytes("ok.pkl", b"\x80\x02}.".to_vec()), &Policy::default());
        assert!(report.load_allowed());
        report
    }

    /// Something that could not be judged, under each hostile name.
    pub(super) fn hostile_problems() -> Vec<Problem> {
        let problem = |name: &&str| Problem::nothing_at(std::path::Path::new(name));
        HOSTILE_NAMES.iter().map(problem).collect()
    }

    #[test]
    fn the_heaviest_rule_comes_first_and_unsigned_only_alone() {
        let hostile = &hostile_reports()[0];
        assert!(!why(hostile).contains(&Rule::TrustUnsigned.id()));
        assert_eq!(why(hostile).first(), Some(&Rule::PickleGlobalUnknown.id()));
        assert_eq!(why(&allowed_report()), [Rule::TrustUnsigned.id()]);
    }
}
