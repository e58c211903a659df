//! Everything that judges, as a document for programs: rules, levels, families, limits, allowed
//! globals, and the opcodes, which other programs compare with their own.

use secure_torch_core::limits::Limits;
use secure_torch_core::pickle::opcode::OPCODES;
use secure_torch_core::rules::{allowed_globals, families};
use secure_torch_core::score::{BANDS, DEFAULT_MAX_THREAT_SCORE, Rule};
use serde_json::{Value, json};

use crate::report::RulesInfo;
use crate::text::ascii_json;

/// Every table, as JSON in ASCII on one line.
#[must_use]
pub fn rules_json() -> String {
    ascii_json(&document().to_string())
}

/// Every table.
#[must_use]
pub fn document() -> Value {
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
            "kind": entry.kind.name(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_there_in_ascii() {
        let text = rules_json();
        assert!(text.is_ascii() && !text.contains('\n'));
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, document());
        for (table, count) in [
            ("rules", Rule::ALL.len()),
            ("levels", BANDS.len()),
            ("families", families().len()),
            ("limits", Limits::TABLE.len()),
            ("allowed", allowed_globals().len()),
            ("opcodes", OPCODES.len()),
        ] {
            assert_eq!(found[table].as_array().map(Vec::len), Some(count), "{table}");
        }
    }
}
