//! `spec/scoring.toml`: levels, the gate and every scoring rule.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::dump::{camel, head, text};

/// The whole table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) version: String,
    pub(super) cap: u8,
    pub(super) max_threat_score: u8,
    pub(super) gate: String,
    pub(super) level: Vec<Level>,
    pub(super) rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    pub(super) name: String,
    pub(super) first: u8,
    pub(super) last: u8,
    pub(super) meaning: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) points: u8,
    pub(super) family: String,
    pub(super) reason: String,
    pub(super) reference: String,
}

impl Table {
    pub(super) fn validate(&self) -> Result<()> {
        let mut next = 0;
        for level in &self.level {
            ensure!(level.first == next, "level {} leaves a gap or overlaps", level.name);
            ensure!(level.last >= level.first, "level {} is upside down", level.name);
            next = level.last.saturating_add(1);
        }
        ensure!(next == self.cap + 1, "the levels do not end at the cap");
        ensure!(self.rule.len() <= 64, "a rule set holds 64 rules");
        let mut ids = BTreeSet::new();
        for rule in &self.rule {
            ensure!(ids.insert(&rule.id), "rule {} is listed twice", rule.id);
            ensure!((1..=self.cap).contains(&rule.points), "rule {} scores nothing", rule.id);
            for (what, value) in
                [("family", &rule.family), ("reason", &rule.reason), ("reference", &rule.reference)]
            {
                ensure!(!value.trim().is_empty(), "rule {} has no {what}", rule.id);
            }
        }
        Ok(())
    }
}

/// `core/src/score/generated.rs`.
pub(super) fn rust(table: &Table) -> String {
    let mut out = head("`spec/scoring.toml`");
    out.push_str("use super::Level;\n\n");
    let _ = write!(
        out,
        "/// No score is higher than this.\npub const CAP: u8 = {};\n\n\
         /// The highest score that the gate lets through unless it is told otherwise.\n\
         pub const DEFAULT_MAX_THREAT_SCORE: u8 = {};\n\n\
         /// Each level with the first and the last score in its band, lowest first.\n\
         pub const BANDS: [(Level, u8, u8); {}] = [\n",
        table.cap,
        table.max_threat_score,
        table.level.len()
    );
    for level in &table.level {
        let _ = writeln!(out, "(Level::{}, {}, {}),", camel(&level.name), level.first, level.last);
    }
    out.push_str(
        "];\n\n/// A scoring rule.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         #[repr(u8)]\npub enum Rule {\n",
    );
    for (index, rule) in table.rule.iter().enumerate() {
        let _ = writeln!(
            out,
            "/// `{}`, {} points: {}.\n{} = {index},",
            rule.id,
            rule.points,
            rule.reason,
            camel(&rule.id)
        );
    }
    let _ = write!(
        out,
        "}}\n\nimpl Rule {{\n/// Every rule, in the order of the table.\npub const ALL: [Self; {}] = [\n",
        table.rule.len()
    );
    for rule in &table.rule {
        let _ = writeln!(out, "Self::{},", camel(&rule.id));
    }
    out.push_str("];\n\n");
    method(&mut out, table, "id", "&'static str", "The stable name of the rule.", |rule| {
        text(&rule.id)
    });
    method(&mut out, table, "points", "u8", "What the rule adds to a score, once.", |rule| {
        rule.points.to_string()
    });
    method(&mut out, table, "family", "&'static str", "What the rule is about.", |rule| {
        text(&rule.family)
    });
    method(&mut out, table, "reason", "&'static str", "Why the rule scores.", |rule| {
        text(&rule.reason)
    });
    method(&mut out, table, "reference", "&'static str", "Where to read more.", |rule| {
        text(&rule.reference)
    });
    out.push_str(
        "/// The rule of a stable name.\n#[must_use]\npub fn from_id(id: &str) -> Option<Self> {\n\
         match id {\n",
    );
    for rule in &table.rule {
        let _ = writeln!(out, "{} => Some(Self::{}),", text(&rule.id), camel(&rule.id));
    }
    out.push_str("_ => None,\n}\n}\n}\n");
    out
}

fn method(
    out: &mut String,
    table: &Table,
    name: &str,
    gives: &str,
    about: &str,
    value: impl Fn(&Rule) -> String,
) {
    // Rules of equal value share an arm, as `clippy::match_same_arms` would have it.
    let mut arms: Vec<(String, Vec<String>)> = Vec::new();
    for rule in &table.rule {
        let value = value(rule);
        let variant = format!("Self::{}", camel(&rule.id));
        match arms.iter_mut().find(|(known, _)| *known == value) {
            Some((_, variants)) => variants.push(variant),
            None => arms.push((value, vec![variant])),
        }
    }
    let _ = writeln!(
        out,
        "/// {about}\n#[must_use]\npub const fn {name}(self) -> {gives} {{\nmatch self {{"
    );
    for (value, variants) in arms {
        let _ = writeln!(out, "{} => {value},", variants.join(" | "));
    }
    out.push_str("}\n}\n\n");
}
