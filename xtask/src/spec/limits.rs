//! `spec/limits.toml`: every limit, named once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::dump::{camel, grouped, head, text};

/// The whole table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) group: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) limit: Vec<Limit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) value: u64,
    pub(super) reason: String,
    /// Whether no policy can set it: the engine sizes its own memory by it.
    #[serde(default)]
    pub(super) fixed: bool,
}

/// The Rust type that holds a limit.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    U32,
    U64,
}

impl Group {
    fn settable(&self) -> impl Iterator<Item = &Limit> {
        self.limit.iter().filter(|limit| !limit.fixed)
    }
}

impl Table {
    pub(super) fn validate(&self) -> Result<()> {
        let mut ids = BTreeSet::new();
        for group in &self.group {
            for limit in &group.limit {
                let id = format!("{}.{}", group.name, limit.name);
                ensure!(limit.value > 0, "limit {id} is zero");
                ensure!(!limit.reason.trim().is_empty(), "limit {id} has no reason");
                ensure!(
                    matches!(limit.kind, Kind::U64) || u32::try_from(limit.value).is_ok(),
                    "limit {id} does not fit its type"
                );
                ensure!(ids.insert(id.clone()), "limit {id} is listed twice");
            }
        }
        Ok(())
    }

    fn each(&self) -> impl Iterator<Item = (&Group, &Limit)> {
        self.group.iter().flat_map(|group| group.limit.iter().map(move |limit| (group, limit)))
    }
}

impl Kind {
    fn rust(self) -> &'static str {
        match self {
            Self::U32 => "u32",
            Self::U64 => "u64",
        }
    }
}

/// `core/src/limits.rs`.
pub(super) fn rust(table: &Table) -> String {
    let mut out = head("`spec/limits.toml`");
    out.push_str(
        "//! Every limit, named once. Reaching one is always a finding, never a silent stop.\n\n",
    );
    for group in &table.group {
        let _ = writeln!(
            out,
            "/// {}.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub struct {} {{",
            group.about,
            camel(&group.name)
        );
        for limit in group.settable() {
            let _ =
                writeln!(out, "/// {}.\npub {}: {},", limit.reason, limit.name, limit.kind.rust());
        }
        out.push_str("}\n\n");
        let _ = writeln!(out, "impl {} {{\n/// The limits of the table.", camel(&group.name));
        out.push_str("pub const DEFAULT: Self = Self {\n");
        for limit in group.settable() {
            let _ = writeln!(out, "{}: {},", limit.name, constant(group, limit));
        }
        let _ = writeln!(
            out,
            "}};\n}}\n\nimpl Default for {} {{\nfn default() -> Self {{\nSelf::DEFAULT\n}}\n}}\n",
            camel(&group.name)
        );
    }
    out.push_str(
        "/// All limits, as a policy may set them.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]\npub struct Limits {\n",
    );
    for group in &table.group {
        let _ = writeln!(out, "/// {}.\npub {}: {},", group.about, group.name, camel(&group.name));
    }
    out.push_str(
        "}\n\nimpl Limits {\n/// The limits of the table.\npub const DEFAULT: Self = Self {\n",
    );
    for group in &table.group {
        let _ = writeln!(out, "{}: {}::DEFAULT,", group.name, camel(&group.name));
    }
    out.push_str(
        "};\n\n/// Every limit: its name, its default, and the reason for it.\n\
         pub const TABLE: &'static [(&'static str, u64, &'static str)] = &[\n",
    );
    for (group, limit) in table.each() {
        let _ = writeln!(
            out,
            "({}, {}, {}),",
            text(&format!("{}.{}", group.name, limit.name)),
            grouped(limit.value),
            text(&limit.reason)
        );
    }
    out.push_str(
        "];\n\n/// The names of the limits that no policy can set: the engine sizes its own memory by them.\n\
         pub const FIXED: &'static [&'static str] = &[\n",
    );
    for (group, limit) in table.each().filter(|(_, limit)| limit.fixed) {
        let _ = writeln!(out, "{},", text(&format!("{}.{}", group.name, limit.name)));
    }
    out.push_str(
        "];\n\n/// Sets the limit of a name. `false` when no limit has that name or the value does\n\
         /// not fit it; nothing is set then.\n\
         pub fn set(&mut self, name: &str, value: u64) -> bool {\nmatch name {\n",
    );
    for (group, limit) in table.each().filter(|(_, limit)| !limit.fixed) {
        let place = format!("self.{}.{}", group.name, limit.name);
        let id = text(&format!("{}.{}", group.name, limit.name));
        let _ = match limit.kind {
            Kind::U64 => writeln!(out, "{id} => {place} = value,"),
            Kind::U32 => writeln!(
                out,
                "{id} => match u32::try_from(value) {{\nOk(value) => {place} = value,\n\
                 Err(_) => return false,\n}},"
            ),
        };
    }
    out.push_str("_ => return false,\n}\ntrue\n}\n}\n\n");
    for (group, limit) in table.each() {
        let _ = writeln!(
            out,
            "/// {}.\npub const {}: {} = {};\n",
            limit.reason,
            constant(group, limit),
            limit.kind.rust(),
            grouped(limit.value)
        );
    }
    out
}

fn constant(group: &Group, limit: &Limit) -> String {
    format!("{}_{}", group.name, limit.name).to_uppercase()
}
