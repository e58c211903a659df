//! SARIF 2.1.0 (OASIS), for code scanning: one run, a result for each finding.
//!
//! Sections are those of the standard. Beyond it, what GitHub's code scanning asks for is there:
//! a `startLine`, a `help` text and a `security-severity` for each rule, and fingerprints. A model
//! has no lines, so every result points at line 1 of its file. The byte at which a finding was
//! made stands in a related location of its own, because a region that gives both a line and a
//! byte must have them agree (section 3.30.4); inside a member of an archive it is a property,
//! because it is no offset of the file.
//!
//! What a scan lets through is no result of it: the findings of an allowed file are results of
//! the level that their points have, and a blocked file always has at least one.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use secure_torch_core::score::{Level, Rule};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::policy::Policy;
use crate::report::{Finding, Report, RulesInfo};
use crate::text::{ascii_json, visible};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The name of what paths are relative to, as SARIF's own examples have it.
const ROOT: &str = "%SRCROOT%";
/// The rule of a file that is blocked although no rule was hit: only the policy can ask for that.
const POLICY: &str = "policy";

/// Something that could not be judged, for a log that says so.
#[derive(Clone, Copy, Debug)]
pub struct Unjudged<'u> {
    /// The stable code of what went wrong.
    pub code: &'u str,
    /// The path or name under which it was given.
    pub path: &'u str,
    /// What went wrong. Safe to print.
    pub message: &'u str,
    /// What to do about it.
    pub hint: &'u str,
}

/// The log of some reports, each with the policy under which it was judged: JSON in ASCII, on one
/// line.
///
/// Paths are relative to the working directory where they lie below it.
#[must_use]
pub fn sarif(files: &[(&Report, &Policy)]) -> String {
    let blocked = files.iter().any(|(report, _)| !report.load_allowed());
    ascii_json(&log(files, &[], u8::from(blocked)).to_string())
}

/// The log of a command that judged these files, could not judge those, and ended with this code.
#[must_use]
pub fn log(files: &[(&Report, &Policy)], unjudged: &[Unjudged<'_>], exit_code: u8) -> Value {
    // Without a working directory, as in a browser, no absolute path lies below it.
    log_at(files, unjudged, exit_code, &std::env::current_dir().unwrap_or_default())
}

/// The log of a scan that was run in the folder `here`.
fn log_at(
    files: &[(&Report, &Policy)],
    unjudged: &[Unjudged<'_>],
    exit_code: u8,
    here: &Path,
) -> Value {
    let rules = rules_hit(files);
    let index: BTreeMap<&str, usize> =
        rules.iter().enumerate().map(|(index, rule)| (*rule, index)).collect();
    let results: Vec<Value> = files.iter().flat_map(|file| results(*file, &index, here)).collect();
    let notifications: Vec<Value> =
        unjudged.iter().map(|problem| notification(problem, here)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "secure-torch",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<Value>>(),
                "properties": {
                    "rulesVersion": RulesInfo::CURRENT.version,
                    "rulesSha256": RulesInfo::CURRENT.sha256,
                },
            } },
            "originalUriBaseIds": {
                ROOT: { "description": { "text": "The folder in which the scan was run." } }
            },
            "invocations": [{
                "executionSuccessful": unjudged.is_empty(),
                "exitCode": exit_code,
                "toolExecutionNotifications": notifications,
            }],
            "artifacts": files.iter().map(|file| artifact(*file, here)).collect::<Vec<Value>>(),
            "results": results,
        }],
    })
}

/// The ids of all rules that a result names, sorted.
fn rules_hit<'f>(files: &'f [(&Report, &Policy)]) -> Vec<&'f str> {
    let mut rules: Vec<&str> = files.iter().flat_map(|file| named_rules(*file)).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The rules that the results of a file name.
fn named_rules<'s>((report, policy): (&'s Report, &Policy)) -> Vec<&'s str> {
    let findings = report.findings.iter().map(|finding| finding.rule);
    let mut rules: Vec<&str> = findings.chain(rules_alone(report)).collect();
    if is_denied(report, policy) {
        rules.push(POLICY);
    }
    rules
}

/// Whether the policy blocks a file for more than its score, or nothing else would say that the
/// file is blocked.
fn is_denied(report: &Report, policy: &Policy) -> bool {
    let counts = report.findings.iter().any(|finding| finding.ignored.is_none());
    let said = counts || rules_alone(report).next().is_some();
    !report.load_allowed() && (report.threat_score <= policy.max_threat_score || !said)
}

/// Rules that add to the score of a blocked file and have no finding, as that it is unsigned has
/// none. Of an allowed file they are not worth an alert.
fn rules_alone(report: &Report) -> impl Iterator<Item = &'static str> {
    let blocked = !report.load_allowed();
    let alone = move |rule: &&'static str| {
        blocked && report.findings.iter().all(|finding| finding.rule != *rule)
    };
    report.score_breakdown.keys().copied().filter(alone)
}

/// What is known of a rule (section 3.49).
fn descriptor(id: &str) -> Value {
    let known = Rule::from_id(id);
    let points = known.map_or(0, Rule::points);
    let reason = known.map_or("the policy does not let the file through", Rule::reason);
    let reference = known.map_or("", Rule::reference);
    let mut tags = vec!["security".to_owned()];
    tags.extend(known.map(|rule| rule.family().to_owned()));
    // The form in which GitHub takes a number of the Common Weakness Enumeration.
    tags.extend(weaknesses(reference).map(|number| format!("external/cwe/cwe-{number}")));
    let sentence = sentence(reason);
    let more = format!("{sentence} {points} of 100 points. See: {reference}.");
    json!({
        "id": id,
        "shortDescription": { "text": sentence },
        "fullDescription": { "text": if reference.is_empty() { &sentence } else { &more } },
        "help": { "text": format!("{sentence} `secure-torch rules explain {id}` says more.") },
        "defaultConfiguration": { "level": level(points) },
        "properties": {
            "tags": tags,
            "precision": precision(points),
            "security-severity": format!("{}.{}", points / 10, points % 10),
            "points": points,
        },
    })
}

/// The numbers in `CWE-502; CWE-22`.
fn weaknesses(reference: &str) -> impl Iterator<Item = &str> {
    reference.split(';').filter_map(|part| part.trim().strip_prefix("CWE-"))
}

/// A level of SARIF (section 3.27.10) for a number of points.
fn level(points: u8) -> &'static str {
    match Level::of(points) {
        Level::Safe | Level::Low => "note",
        Level::Medium => "warning",
        Level::High | Level::Critical => "error",
    }
}

/// How often a rule is right, in GitHub's words: what honest files hold too is a hint.
fn precision(points: u8) -> &'static str {
    match Level::of(points) {
        Level::Safe | Level::Low => "medium",
        Level::Medium => "high",
        Level::High | Level::Critical => "very-high",
    }
}

/// The results of a file.
fn results(
    (report, policy): (&Report, &Policy),
    index: &BTreeMap<&str, usize>,
    here: &Path,
) -> Vec<Value> {
    let mut results: Vec<Value> =
        report.findings.iter().map(|finding| result_of(report, finding, index, here)).collect();
    for rule in rules_alone(report) {
        let reason = Rule::from_id(rule).map_or(rule, Rule::reason);
        results.push(result_alone(report, rule, reason, index, here));
    }
    if is_denied(report, policy) {
        let reasons = report.reasons.join("; ");
        let reasons = if reasons.is_empty() { "the policy blocks it" } else { &reasons };
        results.push(result_alone(report, POLICY, reasons, index, here));
    }
    results
}

/// The result of a finding (section 3.27).
fn result_of(
    report: &Report,
    finding: &Finding,
    index: &BTreeMap<&str, usize>,
    here: &Path,
) -> Value {
    let mut text = finding.message.clone();
    if !finding.subject.is_empty() && !text.contains(&finding.subject) {
        text = format!("{}: {text}", finding.subject);
    }
    let mut location = location(&report.path, here);
    let mut properties = json!({ "points": finding.points, "subject": finding.subject });
    let mut related = Vec::new();
    if finding.path.is_empty() {
        related.extend(finding.offset.map(|offset| at_byte(&report.path, offset, here)));
    } else {
        text = format!("{text} (in `{}`)", visible(&finding.path));
        set(&mut properties, "member", json!(finding.path));
        if let Some(offset) = finding.offset {
            set(&mut properties, "memberOffset", json!(offset));
        }
        set(&mut location, "logicalLocations", json!([logical(report, &finding.path)]));
    }
    let print = fingerprint(&[finding.rule, &report.path, &finding.path, &finding.subject], here);
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": index.get(finding.rule),
        "level": level_in(report, finding.points),
        "message": { "text": message(&sentence(&text)) },
        "locations": [location],
        "occurrenceCount": finding.count.max(1),
        "partialFingerprints": print,
        "properties": properties,
    });
    if !related.is_empty() {
        set(&mut result, "relatedLocations", json!(related));
    }
    if let Some(reason) = &finding.ignored {
        // Section 3.35: somebody accepted it, in a file and not in what was judged.
        let suppression =
            json!({ "kind": "external", "status": "accepted", "justification": reason });
        set(&mut result, "suppressions", json!([suppression]));
    }
    result
}

/// The result of a rule that has no finding: about the whole file.
fn result_alone(
    report: &Report,
    rule: &str,
    text: &str,
    index: &BTreeMap<&str, usize>,
    here: &Path,
) -> Value {
    let points = report.score_breakdown.get(rule).copied().unwrap_or(0);
    json!({
        "ruleId": rule,
        "ruleIndex": index.get(rule),
        "level": level_in(report, points),
        "message": { "text": message(&sentence(text)) },
        "locations": [location(&report.path, here)],
        "occurrenceCount": 1,
        "partialFingerprints": fingerprint(&[rule, &report.path, "", ""], here),
        "properties": { "points": points },
    })
}

/// The level of a result. Points add up: several notes may block a file, and each of them then
/// deserves a look.
fn level_in(report: &Report, points: u8) -> &'static str {
    match level(points) {
        "note" if !report.load_allowed() => "warning",
        level => level,
    }
}

/// A place in a file that has no lines; code scanning shows nothing without one.
fn location(path: &str, here: &Path) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": artifact_location(path, here),
        "region": { "startLine": 1 },
    } })
}

/// The byte of a file (section 3.30.3).
fn at_byte(path: &str, offset: u64, here: &Path) -> Value {
    json!({
        "message": { "text": format!("At byte {offset}.") },
        "physicalLocation": {
            "artifactLocation": artifact_location(path, here),
            "region": { "byteOffset": offset },
        },
    })
}

/// A member of an archive (section 3.33).
fn logical(report: &Report, member: &str) -> Value {
    let name = member.rsplit("!/").next().unwrap_or(member);
    let full = format!("{}!/{}", report.path, member.trim_start_matches("!/"));
    json!({ "name": name, "fullyQualifiedName": full, "kind": "member" })
}

/// A file that was judged, with the verdict on it (section 3.24).
fn artifact((report, policy): (&Report, &Policy), here: &Path) -> Value {
    // A repository is a folder that was judged as a whole.
    let kind = if report.format == "repository" { "directory" } else { "analysisTarget" };
    json!({
        "location": artifact_location(&report.path, here),
        "length": report.size_bytes,
        "roles": [kind],
        "properties": {
            "format": report.format,
            "threatScore": report.threat_score,
            "threatLevel": report.threat_level.name(),
            "maxThreatScore": policy.max_threat_score,
            "verdict": if report.load_allowed() { "allow" } else { "block" },
        },
    })
}

/// What could not be judged (section 3.58).
fn notification(problem: &Unjudged<'_>, here: &Path) -> Value {
    json!({
        "descriptor": { "id": problem.code },
        "level": "error",
        "message": { "text": message(&format!("{} {}", sentence(problem.message), sentence(problem.hint))) },
        "locations": [{
            "physicalLocation": { "artifactLocation": artifact_location(problem.path, here) }
        }],
    })
}

/// Where a file lies (section 3.4): relative to the working directory where it is below it.
fn artifact_location(path: &str, here: &Path) -> Value {
    if path == "-" {
        return json!({ "uri": "urn:secure-torch:standard-input" });
    }
    match below(path, here) {
        Some(relative) => json!({ "uri": encoded(&relative), "uriBaseId": ROOT }),
        None => {
            let absolute = here.join(path);
            let names: Vec<String> = plain_names(&absolute).unwrap_or_default();
            json!({ "uri": format!("file:///{}", encoded(&names.join("/"))) })
        }
    }
}

/// The path from the working directory down to a file, with `/` between its names.
fn below(path: &str, here: &Path) -> Option<String> {
    if here.as_os_str().is_empty() && Path::new(path).has_root() {
        return None;
    }
    let base = plain_names(here)?;
    let names = plain_names(&here.join(path))?;
    let rest = names.strip_prefix(base.as_slice()).filter(|rest| !rest.is_empty())?;
    Some(rest.join("/"))
}

/// The names along a path, without the root, `.` and what `..` takes back; nothing where `..`
/// climbs out. Links are not followed: a report names files as its reader named them.
fn plain_names(path: &Path) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(names.pop()?),
            Component::Prefix(prefix) => {
                names.push(prefix.as_os_str().to_string_lossy().into_owned());
            }
            Component::RootDir | Component::CurDir => {}
        }
    }
    Some(names)
}

/// A path as a URI reference (RFC 3986): all but unreserved characters and `/` as `%XX`.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What tells a result apart from run to run (section 3.27.17): the rule, the file, the member
/// and the subject, but no offset, which a rebuilt file would move. GitHub reads the first name
/// and would otherwise count lines, which a model has none of.
fn fingerprint(parts: &[&str; 4], here: &Path) -> Value {
    let [rule, path, member, subject] = parts;
    let place = below(path, here).unwrap_or_else(|| (*path).to_owned());
    let mut hash = Sha256::new();
    for part in [rule, place.as_str(), member, subject] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "primaryLocationLineHash": hash, "secureTorch/v1": hash })
}

/// Text as a message (section 3.11): braces are doubled, because they mark placeholders, and
/// nothing of a hostile name makes an embedded link.
fn message(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}").replace("](", "] (")
}

/// A clause of ours as a sentence.
fn sentence(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(1));
    let mut characters = text.chars();
    // A first word that is a name stays as it is spelled.
    let word = text.split(' ').next().unwrap_or("");
    if word.chars().all(|c| c.is_ascii_lowercase()) {
        out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
    }
    out.extend(characters);
    if !out.ends_with('.') {
        out.push('.');
    }
    out
}

fn set(value: &mut Value, key: &str, new: Value) {
    if let Some(object) = value.as_object_mut() {
        let object: &mut Map<String, Value> = object;
        object.insert(key.to_owned(), new);
    }
}

#[cfg(test)]
mod tests;
