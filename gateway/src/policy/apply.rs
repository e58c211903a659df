//! What a policy file makes of a judgement: which findings are ignored, which formats are not
//! wanted, and which lines decided.
//!
//! It takes away what an entry names and nothing else. It runs when everything is found, so it
//! hides nothing from the judgement, and the order of its entries changes no verdict.

use std::collections::BTreeSet;
use std::path::Path;

use secure_torch_core::format::detect::Format;
use secure_torch_core::score::RuleSet;

use super::Policy;
use super::file::{EntryKind, Ignore, PolicyFile};
use crate::report::{Applied, Finding, Global, PolicyInfo};
use crate::text::printable;

/// What was seen, as far as a policy file has a say.
pub(crate) struct Seen<'s> {
    /// The file's path; nothing where the bytes are of no file.
    pub(crate) path: Option<&'s Path>,
    /// The rules that were hit.
    pub(crate) rules: RuleSet,
    /// The rules of findings that are beyond the report's limit.
    pub(crate) omitted: RuleSet,
    /// The globals that were asked for.
    pub(crate) globals: &'s [Global],
    /// The formats of the file as a whole.
    pub(crate) formats: &'s [Format],
    /// The formats of all its parts.
    pub(crate) parts: &'s BTreeSet<Format>,
}

/// What a policy file made of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The rules that count.
    pub(crate) rules: RuleSet,
    /// Why the file is blocked whatever its score is.
    pub(crate) reasons: Vec<String>,
    /// What did not apply and might be missed, as sentences.
    pub(crate) notes: Vec<String>,
    /// Which lines decided.
    pub(crate) info: Option<PolicyInfo>,
}

impl Outcome {
    /// Marks the findings that the policy's file ignores.
    pub(crate) fn of(policy: &Policy, seen: &Seen<'_>, findings: &mut [Finding]) -> Self {
        let Some(file) = &policy.file else {
            return Self { rules: seen.rules, ..Self::default() };
        };
        let place = file.place(seen.path);
        let place = place.as_deref();
        let mut outcome = Self::default();
        let mut applied = standing(file, policy);
        let mut holding = Vec::new();
        for entry in &file.ignore {
            let covers = entry.scope.covers(place);
            if !covers || !findings.iter().any(|finding| entry.names(finding)) {
                continue;
            }
            match entry.scope.ended() {
                Some(day) => outcome.notes.push(ended(file, entry.scope.line, day)),
                None => {
                    holding.push(entry);
                    let (line, reason) = (entry.scope.line, &entry.scope.reason);
                    applied.push(told(EntryKind::Ignore, line, &entry.what(), reason));
                }
            }
        }
        outcome.rules = ignore(&holding, seen.rules, seen.omitted, findings);
        for entry in file.allow.iter().filter(|entry| entry.scope.covers(place)) {
            let named = |global: &&Global| {
                global.module == entry.global.module && global.name == entry.global.name
            };
            let Some(global) = seen.globals.iter().find(named) else { continue };
            let (line, reason) = (entry.scope.line, &entry.scope.reason);
            match (global.class, entry.scope.ended()) {
                ("dangerous", _) => outcome.notes.push(format!(
                    "{}:{line} allows `{}`, which the rules call dangerous: it stays dangerous",
                    shown(file),
                    printable(&entry.global.to_string())
                )),
                (_, Some(day)) => outcome.notes.push(ended(file, line, day)),
                _ => {
                    let what = entry.global.to_string();
                    applied.push(told(EntryKind::Allow, line, &what, reason));
                }
            }
        }
        outcome.demand_formats(file, seen, &mut applied);
        applied.sort_by(|a, b| (a.line, &a.what).cmp(&(b.line, &b.what)));
        outcome.info =
            Some(PolicyInfo { path: shown(file), sha256: file.sha256().to_owned(), applied });
        outcome
    }

    fn demand_formats(&mut self, file: &PolicyFile, seen: &Seen<'_>, applied: &mut Vec<Applied>) {
        for (id, line) in &file.formats_deny {
            let denied = |format: &Format| format.id() == id;
            if seen.formats.iter().any(denied) || seen.parts.iter().any(denied) {
                let place = shown(file);
                self.reasons.push(format!("the policy denies the format {id} ({place}:{line})"));
                applied.push(told(EntryKind::FormatsDeny, *line, id, ""));
            }
        }
        let Some((allowed, line)) = &file.formats_allow else { return };
        // A folder is of no format that anybody could choose.
        let others: Vec<&str> = seen.formats.iter().map(|format| format.id()).collect();
        let others = others.iter().filter(|id| **id != Format::Repository.id());
        for id in others.filter(|id| !allowed.iter().any(|known| known == *id)) {
            let place = shown(file);
            self.reasons.push(format!("the policy does not list the format {id} ({place}:{line})"));
            applied.push(told(EntryKind::FormatsAllow, *line, id, ""));
        }
    }
}

/// The entries that hold for every path.
fn standing(file: &PolicyFile, policy: &Policy) -> Vec<Applied> {
    let mut applied = Vec::new();
    for entry in file.entries() {
        let holds = match entry.kind {
            // Whoever calls may have set another one.
            EntryKind::MaxThreatScore => file.max_threat_score() == Some(policy.max_threat_score),
            EntryKind::Limit => true,
            _ => false,
        };
        if holds {
            applied.push(told(entry.kind, entry.line, &entry.what, ""));
        }
    }
    applied
}

/// Marks the findings that the entries name; the rules that still count.
///
/// A rule stops counting when each of its findings is ignored, those beyond the report's limit
/// included.
fn ignore(
    entries: &[&Ignore],
    rules: RuleSet,
    omitted: RuleSet,
    findings: &mut [Finding],
) -> RuleSet {
    for finding in findings.iter_mut() {
        let reasons = entries.iter().filter(|entry| entry.names(finding));
        // Where several entries name it, the first of the file gives the reason.
        let first = reasons.min_by_key(|entry| entry.scope.line);
        finding.ignored = first.map(|entry| printable(&entry.scope.reason));
    }
    let ignored = |rule: secure_torch_core::score::Rule| {
        let mut of_rule = findings.iter().filter(|finding| finding.rule == rule.id()).peekable();
        let unseen = omitted.contains(rule)
            && !entries.iter().any(|entry| entry.rule == rule && entry.subject.is_none());
        of_rule.peek().is_some() && !unseen && of_rule.all(|finding| finding.ignored.is_some())
    };
    rules.iter().filter(|rule| !ignored(*rule)).collect()
}

impl Ignore {
    fn names(&self, finding: &Finding) -> bool {
        finding.rule == self.rule.id()
            && self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }
}

fn told(kind: EntryKind, line: u32, what: &str, reason: &str) -> Applied {
    Applied { entry: kind.name(), line, what: printable(what), reason: printable(reason) }
}

fn ended(file: &PolicyFile, line: u32, day: super::date::Date) -> String {
    format!("{}:{line} held until {day} and is not applied any more", shown(file))
}

fn shown(file: &PolicyFile) -> String {
    printable(&file.path().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secure_torch_core::score::{Rule, score};

    fn ignores(rows: &[(Rule, Option<u8>)]) -> Vec<Ignore> {
        let text: String = rows
            .iter()
            .map(|(rule, subject)| {
                let subject = subject.map_or(String::new(), |s| format!("subject = \"s{s}\"\n"));
                format!("[[ignore]]\nrule = \"{}\"\n{subject}reason = \"why\"\n", rule.id())
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy::from_toml(&text, folder.path()).unwrap();
        policy.file.unwrap().ignore.clone()
    }

    fn finding(rule: Rule, subject: u8) -> Finding {
        Finding {
            rule: rule.id(),
            points: rule.points(),
            path: String::new(),
            offset: None,
            subject: format!("s{subject}"),
            message: String::new(),
            count: 1,
            ignored: None,
        }
    }

    fn rule() -> impl Strategy<Value = Rule> {
        proptest::sample::select(Rule::ALL.to_vec())
    }

    fn ignorable() -> impl Strategy<Value = Rule> {
        rule().prop_filter("it is never ignored", |rule| {
            super::super::file::never_ignored(*rule).is_none()
        })
    }

    proptest! {
        #[test]
        fn ignoring_takes_away_what_it_names_and_nothing_else(
            found in proptest::collection::vec((rule(), 0_u8..3), 0..12),
            hidden in proptest::collection::vec(rule(), 0..3),
            rows in proptest::collection::vec((ignorable(), proptest::option::of(0_u8..3)), 0..8),
            turn in 0_usize..8,
        ) {
            let mut findings: Vec<Finding> = found.iter().map(|(r, s)| finding(*r, *s)).collect();
            let omitted: RuleSet = hidden.iter().copied().collect();
            let mut rules: RuleSet = found.iter().map(|(rule, _)| *rule).collect();
            rules.extend(hidden);
            rules.insert(Rule::TrustUnsigned);
            let entries = ignores(&rows);
            let mut named: Vec<&Ignore> = entries.iter().collect();
            let left = ignore(&named, rules, omitted, &mut findings);
            // Never raises the score, never drops what no entry names.
            prop_assert!(score(left) <= score(rules));
            for rule in rules.iter().filter(|rule| !left.contains(*rule)) {
                prop_assert!(rows.iter().any(|(named, _)| *named == rule) && rule.points() < 70);
            }
            for rule in left.iter() {
                prop_assert!(rules.contains(rule));
            }
            for finding in &findings {
                let by = entries.iter().any(|entry| entry.names(finding));
                prop_assert_eq!(finding.ignored.is_some(), by);
            }
            // Another order of the entries changes nothing.
            let length = named.len().max(1);
            named.rotate_left(turn % length);
            prop_assert_eq!(ignore(&named, rules, omitted, &mut findings.clone()), left);
        }
    }

    #[test]
    fn a_rule_counts_while_one_of_its_findings_is_not_ignored() {
        let entries = ignores(&[(Rule::FormatMismatch, Some(1))]);
        let named: Vec<&Ignore> = entries.iter().collect();
        let rules: RuleSet = [Rule::FormatMismatch].into_iter().collect();
        let mut findings = [finding(Rule::FormatMismatch, 1), finding(Rule::FormatMismatch, 2)];
        assert_eq!(ignore(&named, rules, RuleSet::EMPTY, &mut findings), rules);
        assert!(findings[0].ignored.is_some() && findings[1].ignored.is_none());
        assert!(ignore(&named, rules, RuleSet::EMPTY, &mut findings[..1]).is_empty());
        // One that was left out of the report may have had another subject.
        assert_eq!(ignore(&named, rules, rules, &mut findings[..1]), rules);
        let all = ignores(&[(Rule::FormatMismatch, None)]);
        assert!(ignore(&[&all[0]], rules, rules, &mut findings).is_empty());
    }
}
