//! `rules --format json`: the tables for programs, the parity test of the opcodes among them.

use secure_torch::core::limits::Limits;
use secure_torch::core::pickle::opcode::OPCODES;
use secure_torch::core::rules::{allowed_globals, families};
use secure_torch::core::score::{BANDS, DEFAULT_MAX_THREAT_SCORE, Rule};
use secure_torch::report::RulesInfo;
use serde_json::{Value, json};

use crate::rules::kind_name;

/// Every table.
pub(crate) fn document() -> Value {
    let info = RulesInfo::CURRENT;
    let rules = Rule::ALL.iter().map(|rule| {
        json!({
            "id": rule.id(),
            "points": rule.points(),
            "family": rule.family(),
            "reason": rule.reason(),
            "reference": rule.reference(),
        })
    });
    let levels = BANDS
        .iter()
        .map(|(level, first, last)| json!({ "level": level.name(), "first": first, "last": last }));
    let families = families()
        .iter()
        .map(|family| json!({ "id": family.id, "title": family.title, "reason": family.reason }));
    let limits = Limits::TABLE.iter().map(
        |(name, default, reason)| json!({ "name": name, "default": default, "reason": reason }),
    );
    let allowed = allowed_globals().iter().map(|entry| {
        json!({
            "module": entry.module,
            "name": entry.name,
            "kind": kind_name(entry.kind),
            "why": entry.why,
            "source": entry.source,
        })
    });
    let opcodes = OPCODES.iter().map(|row| {
        json!({
            "name": row.name,
            "code": row.opcode.byte(),
            "arg": row.argument.name(),
            "proto": row.protocol,
            "before": row.before.iter().map(|item| item.name()).collect::<Vec<_>>(),
            "after": row.after.iter().map(|item| item.name()).collect::<Vec<_>>(),
            "meaning": row.meaning,
        })
    });
    json!({
        "version": info.version,
        "sha256": info.sha256,
        "max_threat_score": DEFAULT_MAX_THREAT_SCORE,
        "rules": rules.collect::<Vec<_>>(),
        "levels": levels.collect::<Vec<_>>(),
        "families": families.collect::<Vec<_>>(),
        "limits": limits.collect::<Vec<_>>(),
        "allowed": allowed.collect::<Vec<_>>(),
        "opcodes": opcodes.collect::<Vec<_>>(),
    })
}
