//! `docs/scoring.md` and `docs/rules.md`: every constant that decides, disclosed.

use std::fmt::Write as _;

use super::dump::{cell, grouped, markdown_head, sentence};
use super::{limits, rules, score};

/// `docs/scoring.md`.
pub(super) fn scoring(table: &score::Table, limits: &limits::Table) -> String {
    let mut out = markdown_head("`spec/scoring.toml` and `spec/limits.toml`");
    let _ = write!(
        out,
        "# Scoring\n\n\
         A file's threat score is the sum of the points of every rule that it hits. A rule counts \
         once, however often it is hit, and the sum stops at {}: the score does not depend on the \
         order in which things are found, repeating a finding changes nothing, and finding \
         something new never lowers it. What was found before an error counts: an unpickler runs \
         everything before the byte at which it fails.\n\n\
         ## Levels\n\n| level | score | meaning |\n|---|---|---|\n",
        table.cap
    );
    for level in &table.level {
        let range = if level.first == level.last {
            level.first.to_string()
        } else {
            format!("{}–{}", level.first, level.last)
        };
        let _ =
            writeln!(out, "| {} | {range} | {} |", level.name.to_uppercase(), cell(&level.meaning));
    }
    let _ = write!(
        out,
        "\n## The default gate\n\n`max_threat_score` is {} unless it is set. {}\n\n\
         ## Rules\n\n| rule | points | family | reason | reference |\n|---|---:|---|---|---|\n",
        table.max_threat_score,
        cell(&table.gate)
    );
    for rule in &table.rule {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            rule.id,
            rule.points,
            rule.family,
            cell(&rule.reason),
            cell(&rule.reference)
        );
    }
    out.push_str(
        "\n## Limits\n\nReaching a limit is a finding, never a silent stop. A policy may set each \
         by the name in the first column.\n\n| limit | default | reason |\n|---|---:|---|\n",
    );
    for group in &limits.group {
        for limit in &group.limit {
            let _ = writeln!(
                out,
                "| `{}.{}` | {} | {} |",
                group.name,
                limit.name,
                grouped(limit.value),
                cell(&limit.reason)
            );
        }
    }
    out
}

/// `docs/rules.md`.
pub(super) fn rules(tables: &rules::Tables, version: &str, hash: &str) -> String {
    let mut out = markdown_head("`spec/rules/*.toml`");
    let allowed: usize = tables.allowed.global.iter().map(|group| group.each().count()).sum();
    let patterns = tables.patterns().map_or(0, |patterns| patterns.len());
    let _ = write!(
        out,
        "# Rules\n\nVersion {version}, SHA-256 `{hash}`.\n\n\
         A pickle names the classes and functions that its reader imports. Each name is judged:\n\n\
         - **allowed**: it is on the list below, exactly, and may be called with arguments of the \
         kinds that stand beside it and no others;\n\
         - **dangerous**: a family below claims it;\n\
         - **unknown**: anything else. Importing a module runs its top-level code, so an unknown \
         name is blocked by default too.\n\n\
         The allowed list decides; the families explain. A name that no family claims is still \
         not allowed.\n\n\
         Three things are looked at besides the name as it is written: the name that Python 3 \
         gives it ({} modules and {} names were renamed), every module that a dotted name walks \
         through, and names that are themselves modules.\n\n\
         ## Dangerous families\n\n\
         What these names have in common is what they hand to a pickle: the filesystem, other \
         processes, code from elsewhere, the network, or raw memory. They are where pickle \
         exploits go, again and again, and a file of weights has no use for any of them.\n\n\
         {patterns} patterns in {} families. `module:name` is one name, \
         `module:*` every name of one module, `package.**` every name of a package and of all \
         that lies under it.\n\n",
        tables.renames.modules.len(),
        tables.renames.names.len(),
        tables.dangerous.family.len()
    );
    for family in &tables.dangerous.family {
        let _ = write!(
            out,
            "### {} (`{}`)\n\n{}\n\n",
            family.title,
            family.id,
            sentence(&family.reason)
        );
        if !family.refs.is_empty() {
            let _ = write!(out, "See {}.\n\n", family.refs.join(", "));
        }
        let mut globals: Vec<_> =
            family.globals.iter().map(|global| format!("`{global}`")).collect();
        globals.sort();
        let _ = write!(out, "{}\n\n", globals.join(", "));
    }
    let reached = &tables.dangerous.reached;
    let _ = write!(
        out,
        "### Modules that a name may not walk through\n\n{}\n\n\
         ### Standard library modules in no family\n\n",
        reached.modules.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    );
    for group in &tables.dangerous.considered {
        let modules: Vec<_> = group.modules.iter().map(|module| format!("`{module}`")).collect();
        let _ = write!(out, "{}: {}.\n\n", cell(&group.reason), modules.join(", "));
    }
    let _ = write!(
        out,
        "## Allowed globals\n\n{allowed} names. Arguments are listed by kind: `?` may be left \
         out, `*` may be repeated. A name without arguments is never called; a name without a \
         state never takes one.\n\n\
         | module | names | kind | arguments | state | gives | why | source |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for group in &tables.allowed.global {
        let call = group.call.as_ref().map_or_else(
            || "–".to_owned(),
            |call| {
                if call.is_empty() { "none".to_owned() } else { format!("`{}`", cell(call)) }
            },
        );
        let build = group
            .build
            .as_ref()
            .map_or_else(|| "–".to_owned(), |build| format!("`{}`", cell(build)));
        let ticked = |names: &[String]| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {call} | {build} | {} | {} | {} |",
            ticked(group.module.all()),
            ticked(&group.names),
            group.kind,
            group.gives.as_deref().unwrap_or("–"),
            cell(&group.why),
            cell(&group.source)
        );
    }
    out
}
