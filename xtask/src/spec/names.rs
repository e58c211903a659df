//! `spec/rules/names.toml`: what formats other than pickle refer to by name.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::dump::{camel, cell, head, text};

/// The whole table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    system: Vec<System>,
}

/// Names of one kind, judged together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    id: String,
    title: String,
    about: String,
    names: Vec<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: Option<String>,
    prefix: Option<String>,
    verdict: Verdict,
    why: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Known,
    Dangerous,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Dangerous => "dangerous",
        }
    }
}

impl Name {
    fn key(&self) -> &str {
        self.name.as_deref().or(self.prefix.as_deref()).unwrap_or_default()
    }
}

impl System {
    /// The rows in byte order, where a look-up can search them.
    fn sorted(&self) -> Vec<&Name> {
        let mut rows: Vec<&Name> = self.names.iter().collect();
        rows.sort_by_key(|row| (row.key(), row.prefix.is_some()));
        rows
    }
}

impl Table {
    pub(super) fn validate(&self) -> Result<()> {
        let mut systems = BTreeSet::new();
        for system in &self.system {
            let id = &system.id;
            ensure!(systems.insert(id), "system {id} is listed twice");
            let mut rows = BTreeSet::new();
            for row in &system.names {
                let key = row.key();
                ensure!(
                    row.name.is_some() != row.prefix.is_some() && !key.is_empty(),
                    "a row of {id} has either a name or a prefix: `{key}`"
                );
                ensure!(!row.why.trim().is_empty(), "`{key}` of {id} has no reason");
                ensure!(
                    rows.insert((key, row.prefix.is_some())),
                    "`{key}` of {id} is listed twice"
                );
            }
        }
        Ok(())
    }
}

/// `core/src/rules/names/generated.rs`.
pub(super) fn rust(table: &Table) -> String {
    let mut out = head("`spec/rules/names.toml`");
    out.push_str(
        "use super::{Named, Row};\n\n\
         /// A kind of names that are judged together.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n#[non_exhaustive]\n\
         pub enum System {\n",
    );
    for system in &table.system {
        let _ = writeln!(
            out,
            "/// `{}`: {}: {}.\n{},",
            system.id,
            system.title,
            system.about,
            camel(&system.id)
        );
    }
    out.push_str("}\n\nimpl System {\n/// Every system.\n");
    let all: Vec<String> =
        table.system.iter().map(|system| format!("Self::{}", camel(&system.id))).collect();
    let _ = writeln!(out, "pub const ALL: [Self; {}] = [{}];\n", all.len(), all.join(", "));
    for (function, about, value) in [
        ("id", "The stable id.", (|s: &System| s.id.clone()) as fn(&System) -> String),
        ("title", "The name for people.", |s| s.title.clone()),
    ] {
        let _ = writeln!(
            out,
            "/// {about}\n#[must_use]\npub const fn {function}(self) -> &'static str {{\nmatch self {{"
        );
        for system in &table.system {
            let _ = writeln!(out, "Self::{} => {},", camel(&system.id), text(&value(system)));
        }
        out.push_str("}\n}\n\n");
    }
    out.push_str("/// Its rows, in byte order.\n#[must_use]\npub const fn rows(self) -> &'static [Row] {\nmatch self {\n");
    for system in &table.system {
        let _ = writeln!(out, "Self::{} => &[", camel(&system.id));
        for row in system.sorted() {
            let _ = writeln!(
                out,
                "Row {{ name: {}, prefix: {}, named: Named::{}({}) }},",
                text(row.key()),
                row.prefix.is_some(),
                camel(row.verdict.name()),
                text(&row.why)
            );
        }
        out.push_str("],\n");
    }
    out.push_str("}\n}\n}\n");
    out
}

/// The section of `docs/rules.md`.
pub(super) fn markdown(table: &Table) -> String {
    let mut out = "\n## Names that other formats refer to\n".to_owned();
    for system in &table.system {
        let _ = writeln!(
            out,
            "\n### {}\n\n`{}`: {}.\n\n| name | verdict | why |\n|---|---|---|",
            system.title,
            system.id,
            cell(&system.about)
        );
        for row in system.sorted() {
            let any = if row.prefix.is_some() { "…" } else { "" };
            let _ = writeln!(
                out,
                "| `{}`{any} | {} | {} |",
                cell(row.key()),
                row.verdict.name(),
                cell(&row.why)
            );
        }
    }
    out
}
