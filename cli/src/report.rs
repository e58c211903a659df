//! The report of one file, for people.
//!
//! It answers, from the top: what is this file, may it be loaded, why, what exactly was seen and
//! where, what does the answer not cover, and what to do now. Names from the file come escaped
//! from the gateway; the path is escaped here.

use std::collections::BTreeSet;
use std::io::{self, Write};

use secure_torch::core::rules::{Family, families};
use secure_torch::core::score::{CAP, Rule};
use secure_torch::{Finding, Global, Policy, Report};

use crate::advice::{Step, advice};
use crate::output::{BAD, BOLD, DIM, GOOD, NAME, Page, WARN, count, shown_path, size};
use crate::summary::{style, verdict};

/// How many findings of a rule, and how many globals of a class, a report shows by itself.
const SHOWN: usize = 10;

/// Prints the whole report.
pub(crate) fn print<W: Write>(
    report: &Report,
    policy: &Policy,
    verbose: bool,
    page: &mut Page<W>,
) -> io::Result<()> {
    let shown = if verbose { usize::MAX } else { SHOWN };
    header(report, policy, page)?;
    score(report, page)?;
    crate::policy::applied(report, page)?;
    findings(report, shown, page)?;
    globals(report, shown, page)?;
    parts(report, verbose, page)?;
    if !report.limits.is_empty() {
        page.heading("Not judged")?;
        for limit in &report.limits {
            page.item(4, "- ", limit)?;
        }
    }
    page.heading("What to do next")?;
    for step in advice(report, policy) {
        match step {
            Step::Say(sentences) => page.paragraph(4, &sentences)?,
            Step::Run(lines) => {
                for line in lines {
                    let line = page.paint(NAME, line);
                    page.line(format_args!("      {line}"))?;
                }
            }
        }
    }
    Ok(())
}

fn header<W: Write>(report: &Report, policy: &Policy, page: &mut Page<W>) -> io::Result<()> {
    let about = format!("({}, {})", report.format, size(report.size_bytes));
    let path = page.paint(BOLD, shown_path(&report.path));
    let about = page.paint(DIM, about);
    page.line(format_args!("{path}  {about}"))?;
    let level = page.paint(style(report.threat_level), report.threat_level.name());
    let verdict = verdict(report, page);
    let most = policy.max_threat_score;
    let over = if report.threat_score > most { "above" } else { "within" };
    let score =
        format!("threat score {} of {CAP}, {over} the maximum of {most}", report.threat_score);
    page.line(format_args!("  {verdict}  {level}  {score}"))?;
    // The line above has said the reason that the score is.
    for reason in report.reasons.iter().filter(|reason| !reason.starts_with("the threat score")) {
        page.item(2, "- ", reason)?;
    }
    if report.formats.len() > 1 {
        let others = report.formats.join(", ");
        page.item(2, "- ", &format!("loaders of more than one format accept it: {others}"))?;
    }
    Ok(())
}

/// Which rules the score is made of.
fn score<W: Write>(report: &Report, page: &mut Page<W>) -> io::Result<()> {
    if report.score_breakdown.is_empty() {
        return Ok(());
    }
    page.heading("Score")?;
    let mut rows: Vec<(&str, u8)> =
        report.score_breakdown.iter().map(|(rule, points)| (*rule, *points)).collect();
    rows.sort_by_key(|(rule, points)| (u8::MAX.saturating_sub(*points), *rule));
    let width = rows.iter().map(|(rule, _)| rule.len()).max().unwrap_or(0);
    let mut sum = 0_u32;
    for (rule, points) in rows {
        sum = sum.saturating_add(u32::from(points));
        let name = page.paint(NAME, format!("{rule:<width$}"));
        let line = format!("    {name}  {:>3}", format!("+{points}"));
        // A rule without a finding has no other place for its reason.
        match Rule::from_id(rule) {
            Some(known) if report.findings.iter().all(|finding| finding.rule != rule) => {
                page.line(format_args!("{line}  {}", known.reason()))?;
            }
            _ => page.line(line)?,
        }
    }
    if sum > u32::from(report.threat_score) {
        let capped = page.paint(DIM, format!("sum {sum}, capped at {}", report.threat_score));
        page.line(format_args!("    {capped}"))?;
    }
    Ok(())
}

fn findings<W: Write>(report: &Report, shown: usize, page: &mut Page<W>) -> io::Result<()> {
    if report.findings.is_empty() {
        return Ok(());
    }
    page.heading("Findings")?;
    let mut rules: Vec<&str> = Vec::new();
    for finding in &report.findings {
        if !rules.contains(&finding.rule) {
            rules.push(finding.rule);
        }
    }
    for rule in rules {
        let name = page.paint(NAME, rule);
        page.line(format_args!("    {name}"))?;
        if let Some(rule) = Rule::from_id(rule) {
            page.paragraph(6, rule.reason())?;
        }
        let of_rule: Vec<&Finding> =
            report.findings.iter().filter(|finding| finding.rule == rule).collect();
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for finding in of_rule.iter().take(shown) {
            let family = family(report, finding);
            self::finding(finding, family, page)?;
            if let Some(family) = family
                && named.insert(family.id)
            {
                page.paragraph(8, &format!("{}: {}", family.title, family.reason))?;
            }
        }
        more(of_rule.len(), shown, "finding of this rule", "findings of this rule", page)?;
    }
    if report.findings_omitted > 0 {
        let text = count(report.findings_omitted, "finding is", "findings are");
        page.paragraph(4, &format!("{text} beyond the limit of a report"))?;
    }
    Ok(())
}

fn finding<W: Write>(
    finding: &Finding,
    family: Option<&Family>,
    page: &mut Page<W>,
) -> io::Result<()> {
    let mut place = place(&finding.path, finding.offset);
    if finding.count > 1 {
        place.push_str(&format!(", {} times", finding.count));
    }
    if let Some(reason) = &finding.ignored {
        place.push_str(&format!(", ignored: {reason}"));
    }
    if finding.subject.is_empty() {
        let whole = finding.path.is_empty() && finding.offset.is_none();
        let place = if whole { String::new() } else { format!("{place}: ") };
        return page.item(6, "- ", &format!("{place}{}", finding.message));
    }
    let subject = page.paint(BOLD, &finding.subject);
    let family = family.map(|family| page.paint(BAD, format!("  [{}]", family.id)));
    let place = page.paint(DIM, place);
    page.line(format_args!("      - {subject}{}  {place}", family.unwrap_or_default()))?;
    // The reason of these rules, which stands above, says what their message says.
    let said = [Rule::PickleGlobalDangerous, Rule::PickleGlobalUnknown, Rule::PickleGlobalDotted];
    if said.iter().any(|rule| rule.id() == finding.rule) {
        return Ok(());
    }
    page.paragraph(8, &finding.message)
}

/// Where something was seen, in words.
fn place(path: &str, offset: Option<u64>) -> String {
    match (path, offset) {
        ("", None) => "in the file".to_owned(),
        ("", Some(offset)) => format!("at byte {offset}"),
        (path, None) => format!("in {path}"),
        (path, Some(offset)) => format!("in {path} at byte {offset}"),
    }
}

/// The family of the dangerous global that a finding is about.
fn family(report: &Report, finding: &Finding) -> Option<&'static Family> {
    if finding.rule != Rule::PickleGlobalDangerous.id() {
        return None;
    }
    let same_place = |global: &&Global| {
        global.path == finding.path && finding.offset.is_none_or(|at| global.offset == at)
    };
    let same_name = |global: &&Global| {
        let name = finding.subject.as_str();
        name == global.python3 || name == format!("{}.{}", global.module, global.name)
    };
    let dangerous = || report.globals.iter().filter(|global| global.family.is_some());
    let global = dangerous().find(same_name).or_else(|| dangerous().find(same_place))?;
    families().iter().copied().find(|family| Some(family.id) == global.family)
}

fn globals<W: Write>(report: &Report, shown: usize, page: &mut Page<W>) -> io::Result<()> {
    if report.globals.is_empty() {
        return Ok(());
    }
    let of = |class: &str| -> Vec<&Global> {
        report.globals.iter().filter(|global| global.class == class).collect()
    };
    let classes = [("dangerous", BAD), ("unknown", WARN), ("allowed", GOOD)];
    let counts: Vec<String> = classes
        .iter()
        .map(|(class, _)| (of(class).len(), class))
        .filter(|(number, _)| *number > 0)
        .map(|(number, class)| format!("{number} {class}"))
        .collect();
    page.heading(format_args!("Globals: {}", counts.join(", ")))?;
    for (class, style) in classes {
        let globals = of(class);
        if class == "allowed" {
            // Nobody needs the places of these: the names are enough.
            let names: BTreeSet<&str> = globals.iter().map(|g| g.python3.as_str()).collect();
            let first: Vec<&str> = names.iter().copied().take(shown).collect();
            if !first.is_empty() {
                let left = names.len().saturating_sub(first.len());
                let more = if left > 0 { format!(" and {left} more") } else { String::new() };
                let text = format!("{}{more}", first.join(", "));
                page.styled_item(4, style, "allowed    ", &text)?;
            }
            continue;
        }
        for global in globals.iter().take(shown) {
            let class = page.paint(style, format!("{class:<9}"));
            page.line(format_args!("    {class}  {}", described(global)))?;
        }
        more(globals.len(), shown, class, class, page)?;
    }
    if report.globals_omitted > 0 {
        let text = count(report.globals_omitted, "global is", "globals are");
        page.paragraph(4, &format!("{text} beyond the limit of a report"))?;
    }
    Ok(())
}

/// A global with its Python 3 name and its calls.
fn described(global: &Global) -> String {
    let name = secure_torch::text::printable(&format!("{}.{}", global.module, global.name));
    let mut text = name.clone();
    if global.python3 != name {
        text.push_str(&format!(" (Python 3: {})", global.python3));
    }
    if let Some(family) = global.family {
        text.push_str(&format!("  [{family}]"));
    }
    if let Some(call) = global.calls.first() {
        text.push_str(&format!("  {} at byte {}", call.opcode, call.offset));
        if global.call_count > 1 {
            text.push_str(&format!(" and {} more", global.call_count.saturating_sub(1)));
        }
    }
    text
}

/// What the file holds, where that is more than itself.
fn parts<W: Write>(report: &Report, verbose: bool, page: &mut Page<W>) -> io::Result<()> {
    if report.parts.len() < 2 && !verbose {
        return Ok(());
    }
    page.heading("Contents")?;
    let parts = count(u64::try_from(report.parts.len()).unwrap_or(u64::MAX), "part", "parts");
    let read = size(report.bytes_examined);
    let all = size(report.size_bytes);
    page.paragraph(4, &format!("{parts} judged; {read} of {all} read to do so"))?;
    if verbose {
        for part in &report.parts {
            let path = if part.path.is_empty() { "the file itself" } else { &part.path };
            page.line(format_args!(
                "    {:<16} {:>10}  {path}",
                part.format,
                size(part.size_bytes)
            ))?;
        }
    }
    Ok(())
}

/// Says how many of a list were left out.
fn more<W: Write>(
    all: usize,
    shown: usize,
    one: &str,
    many: &str,
    page: &mut Page<W>,
) -> io::Result<()> {
    let left = u64::try_from(all.saturating_sub(shown)).unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(());
    }
    let text = format!("and {} more (--verbose shows all)", count(left, one, many));
    let text = page.paint(DIM, text);
    page.line(format_args!("      {text}"))
}
