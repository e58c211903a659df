//! `rules`: the tables for people.

use std::io::{self, Write};

use secure_torch::core::limits::Limits;
use secure_torch::core::rules::{allowed_globals, families};
use secure_torch::core::score::{BANDS, DEFAULT_MAX_THREAT_SCORE, Level, Rule};
use secure_torch::report::RulesInfo;

use crate::output::{BOLD, DIM, NAME, Page};
use crate::summary::style;

/// Prints every table.
pub(crate) fn print<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    let info = RulesInfo::CURRENT;
    let title = page.paint(BOLD, format!("Rule set {}", info.version));
    let sha256 = page.paint(DIM, info.sha256);
    page.line(format_args!("{title}  sha256 {sha256}"))?;
    levels(page)?;
    rules(page)?;
    page.heading("Families of dangerous globals")?;
    for family in families() {
        let id = page.paint(NAME, family.id);
        page.line(format_args!("    {id}  {}", family.title))?;
        page.paragraph(6, family.reason)?;
    }
    page.heading("Allowed globals")?;
    let allowed = allowed_globals().len();
    page.paragraph(
        4,
        &format!(
            "{allowed} names are allowed, each exactly and only with arguments of known kinds. \
             Every other name is unknown, and blocked by default. docs/rules.md and `secure-torch \
             rules --format json` list them; `secure-torch rules explain MODULE.NAME` judges one."
        ),
    )?;
    page.heading("Limits: reaching one is always a finding")?;
    for (name, limit, reason) in Limits::TABLE {
        let name = page.paint(NAME, name);
        page.line(format_args!("    {name}  {limit}"))?;
        page.paragraph(6, reason)?;
    }
    Ok(())
}

fn levels<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    page.heading("Levels and the default gate")?;
    for (level, first, last) in BANDS {
        let name = page.paint(style(level), format!("{:<8}", level.name()));
        let scores = if first == last { first.to_string() } else { format!("{first}-{last}") };
        page.line(format_args!("    {name}  {scores:<6}  {}", gate(first, last)))?;
    }
    page.paragraph(4, &gate_in_words())
}

/// What the default gate does with the scores from `first` to `last`.
fn gate(first: u8, last: u8) -> String {
    let most = DEFAULT_MAX_THREAT_SCORE;
    if last <= most {
        "allowed".to_owned()
    } else if first > most {
        "blocked".to_owned()
    } else {
        format!("{first}-{most} allowed, {}-{last} blocked", most.saturating_add(1))
    }
}

fn gate_in_words() -> String {
    let most = DEFAULT_MAX_THREAT_SCORE;
    let (first, last) = BANDS
        .iter()
        .find(|(level, _, _)| *level == Level::Medium)
        .map_or((most, most), |(_, first, last)| (*first, *last));
    let next = most.saturating_add(1);
    format!(
        "The highest score that is let through is {most} by default (--max-threat-score). That \
         allows SAFE, LOW and lower MEDIUM scores ({first}-{most}); {next}-{last} are MEDIUM and \
         blocked, HIGH and CRITICAL are blocked."
    )
}

fn rules<W: Write>(page: &mut Page<W>) -> io::Result<()> {
    page.heading("Rules: each gives its points once, however often it is hit")?;
    for rule in Rule::ALL {
        let name = page.paint(NAME, rule.id());
        let family = page.paint(DIM, format!("({})", rule.family()));
        page.line(format_args!("    +{:<3} {name}  {family}", rule.points()))?;
        page.paragraph(9, rule.reason())?;
    }
    Ok(())
}
