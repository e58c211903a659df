//! What a judgement has come upon so far, within the limits of a report.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use secure_torch_core::format::detect::Format;
use secure_torch_core::limits;
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::rules::{Class, Judgement};
use secure_torch_core::score::{Gate, Rule, RuleSet, Verdict, score};

use crate::policy::{self, Policy};
use crate::report::{Call, Finding, Global, Part, Report, RulesInfo};
use crate::text::printable;

/// Findings, globals and parts of one file.
pub(crate) struct Tally {
    limits: limits::Report,
    rules: RuleSet,
    findings: Vec<Finding>,
    findings_by_key: HashMap<(Rule, String, String), usize>,
    findings_by_rule: HashMap<Rule, u32>,
    findings_omitted: u64,
    rules_omitted: RuleSet,
    globals: Vec<Global>,
    globals_by_key: HashMap<(String, String, String), usize>,
    globals_by_class: HashMap<bool, u32>,
    globals_omitted: u64,
    parts: Vec<Part>,
    formats: BTreeSet<Format>,
    notes: BTreeSet<String>,
    /// Why the file is blocked whatever its score is.
    refusals: Vec<String>,
    examined: u64,
}

impl Tally {
    pub(crate) fn new(limits: limits::Report) -> Self {
        Self {
            limits,
            rules: RuleSet::EMPTY,
            findings: Vec::new(),
            findings_by_key: HashMap::new(),
            findings_by_rule: HashMap::new(),
            findings_omitted: 0,
            rules_omitted: RuleSet::EMPTY,
            globals: Vec::new(),
            globals_by_key: HashMap::new(),
            globals_by_class: HashMap::new(),
            globals_omitted: 0,
            parts: Vec::new(),
            formats: BTreeSet::new(),
            notes: BTreeSet::new(),
            refusals: Vec::new(),
            examined: 0,
        }
    }

    /// A rule is hit. The same rule on the same subject of the same part is one finding.
    pub(crate) fn find(
        &mut self,
        rule: Rule,
        part: &str,
        offset: Option<u64>,
        subject: &str,
        message: impl fmt::Display,
    ) {
        self.rules.insert(rule);
        let subject = printable(subject);
        let key = (rule, part.to_owned(), subject.clone());
        if let Some(finding) =
            self.findings_by_key.get(&key).and_then(|&at| self.findings.get_mut(at))
        {
            finding.count += 1;
            return;
        }
        // Past the limit a few of each rule are kept still, so that nothing light can push out
        // what weighs.
        let of_rule = self.findings_by_rule.entry(rule).or_insert(0);
        if self.findings.len() >= self.limits.findings as usize && *of_rule >= self.limits.sites {
            self.findings_omitted += 1;
            self.rules_omitted.insert(rule);
            return;
        }
        *of_rule += 1;
        self.findings_by_key.insert(key, self.findings.len());
        self.findings.push(Finding {
            rule: rule.id(),
            points: rule.points(),
            path: printable(part),
            offset,
            subject,
            message: message.to_string(),
            count: 1,
            ignored: None,
        });
    }

    /// Whether a rule is hit so far.
    pub(crate) fn hits(&self, rule: Rule) -> bool {
        self.rules.contains(rule)
    }

    /// A pickle asks for a global; where it is kept, if there is room.
    pub(crate) fn global(
        &mut self,
        part: &str,
        offset: u64,
        module: &str,
        name: &str,
        judgement: &Judgement<'_>,
    ) -> Option<usize> {
        let key = (part.to_owned(), module.to_owned(), name.to_owned());
        if let Some(&at) = self.globals_by_key.get(&key) {
            return Some(at);
        }
        let (class, family) = match judgement.class {
            Class::Allowed(_) => ("allowed", None),
            Class::Dangerous(family) => ("dangerous", Some(family.id)),
            Class::Unknown => ("unknown", None),
        };
        // Dangerous globals have a limit of their own, so that no others can push them out.
        let of_class = self.globals_by_class.entry(class == "dangerous").or_insert(0);
        if *of_class >= self.limits.findings {
            self.globals_omitted += 1;
            return None;
        }
        *of_class += 1;
        let (python3_module, python3_name) = judgement.python3;
        self.globals_by_key.insert(key, self.globals.len());
        self.globals.push(Global {
            module: module.to_owned(),
            name: name.to_owned(),
            python3: printable(&format!("{python3_module}.{python3_name}")),
            class,
            family,
            path: printable(part),
            offset,
            calls: Vec::new(),
            call_count: 0,
        });
        Some(self.globals.len() - 1)
    }

    /// What a global gives is called, built or extended.
    pub(crate) fn call(&mut self, global: usize, offset: u64, opcode: Opcode) {
        let Some(global) = self.globals.get_mut(global) else {
            return;
        };
        global.call_count += 1;
        if global.calls.len() < self.limits.sites as usize {
            global.calls.push(Call { offset, opcode: opcode.name() });
        }
    }

    pub(crate) fn part(&mut self, path: &str, format: Format, size: u64) {
        self.formats.insert(format);
        if self.parts.len() < self.limits.findings as usize {
            self.parts.push(Part { path: printable(path), format: format.id(), size_bytes: size });
        } else {
            self.note("more members were judged than are listed");
        }
    }

    /// Something that the judgement does not cover.
    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.insert(sentence.into());
    }

    /// The file is blocked, and no policy changes that.
    pub(crate) fn refuse(&mut self, why: String) {
        self.refusals.push(why);
    }

    pub(crate) fn examine(&mut self, bytes: u64) {
        self.examined = self.examined.saturating_add(bytes);
    }

    /// The report, with the verdict of the policy.
    pub(crate) fn into_report(
        mut self,
        subject: &Subject<'_>,
        policy: &Policy,
        formats: &[Format],
    ) -> Report {
        // Nothing verifies a signature yet, so nothing is signed.
        self.rules.insert(Rule::TrustUnsigned);
        let seen = policy::Seen {
            path: subject.path,
            rules: self.rules,
            omitted: self.rules_omitted,
            globals: &self.globals,
            formats,
            parts: &self.formats,
        };
        let outcome = policy::Outcome::of(policy, &seen, &mut self.findings);
        let threat_score = score(outcome.rules);
        let verdict = Gate { max_threat_score: policy.max_threat_score }.verdict(threat_score);
        let mut reasons = Vec::new();
        if verdict == Verdict::Block {
            reasons.push(format!(
                "the threat score {threat_score} is above the maximum of {}",
                policy.max_threat_score
            ));
        }
        reasons.append(&mut self.refusals);
        reasons.extend(outcome.reasons);
        self.notes.extend(outcome.notes);
        // Weight first; the sort is stable, so findings of one weight keep the file's order.
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.points));
        let format = match formats {
            [] => Format::Unknown,
            [format, ..] => *format,
        };
        Report {
            path: printable(subject.name),
            format: format.id(),
            formats: formats.iter().map(|format| format.id()).collect(),
            size_bytes: subject.size,
            bytes_examined: self.examined,
            threat_score,
            threat_level: secure_torch_core::score::Level::of(threat_score),
            verdict: if reasons.is_empty() { Verdict::Allow } else { Verdict::Block },
            reasons,
            score_breakdown: outcome.rules.iter().map(|rule| (rule.id(), rule.points())).collect(),
            findings: self.findings,
            findings_omitted: self.findings_omitted,
            globals: self.globals,
            globals_omitted: self.globals_omitted,
            parts: self.parts,
            limits: self.notes.into_iter().collect(),
            policy: outcome.info,
            rules: RulesInfo::CURRENT,
        }
    }
}

/// What a report is about.
pub(crate) struct Subject<'s> {
    /// The name that the report carries.
    pub(crate) name: &'s str,
    /// Where it lies, if it is of the file system.
    pub(crate) path: Option<&'s Path>,
    /// Its length.
    pub(crate) size: u64,
}
