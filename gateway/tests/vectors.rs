//! Runs every test vector of `spec/vectors/`: see its README.
//!
//! All differences are printed at once. `SECURE_TORCH_VECTOR=<part of an id>` runs a few.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use base64::Engine;
use secure_torch::{Level, Policy, Report, Source, Verdict, scan};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Document {
    group: String,
    generated_by: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: String,
    comment: String,
    threat: Vec<String>,
    name: String,
    input: Option<String>,
    recipe: Option<Vec<Step>>,
    sha256: String,
    size: usize,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Hex(String, String),
    Repeat(String, String, usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    verdict: String,
    level: Vec<String>,
    rules: Vec<String>,
    #[serde(default)]
    not_rules: Vec<String>,
    #[serde(default)]
    globals: Vec<(String, String)>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}

fn documents() -> Vec<Document> {
    let mut paths: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_some_and(|name| name != "schema.json"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        let bytes = match (&self.input, &self.recipe) {
            (Some(input), None) => base64::engine::general_purpose::STANDARD.decode(input).unwrap(),
            (None, Some(steps)) => steps.iter().flat_map(Step::expand).collect(),
            _ => panic!("{}: neither input nor recipe, or both", self.id),
        };
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((bytes.len(), &hash), (self.size, &self.sha256), "{}: other bytes", self.id);
        bytes
    }

    /// Everything in which the report is not as expected.
    fn differences(&self, report: &Report) -> Vec<String> {
        let mut wrong = Vec::new();
        let verdict = match report.verdict {
            Verdict::Allow => "allow",
            Verdict::Block => "block",
        };
        if verdict != self.expect.verdict {
            wrong.push(format!("verdict {verdict}, not {}", self.expect.verdict));
        }
        let level = match report.threat_level {
            Level::Safe => "safe",
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        };
        if !self.expect.level.iter().any(|wanted| wanted == level) {
            wrong.push(format!("level {level}, not {}", self.expect.level.join(" or ")));
        }
        for rule in &self.expect.rules {
            if !report.score_breakdown.contains_key(rule.as_str()) {
                wrong.push(format!("{rule} is not hit"));
            }
        }
        for rule in &self.expect.not_rules {
            if report.score_breakdown.contains_key(rule.as_str()) {
                wrong.push(format!("{rule} is hit"));
            }
        }
        for (module, name) in &self.expect.globals {
            let mut globals = report.globals.iter();
            if !globals.any(|global| global.module == *module && global.name == *name) {
                wrong.push(format!("{module:?} {name:?} is not reported"));
            }
        }
        wrong
    }
}

impl Step {
    fn expand(&self) -> Vec<u8> {
        match self {
            Self::Hex(kind, digits) if kind == "hex" => unhex(digits),
            Self::Repeat(kind, digits, count) if kind == "repeat" => unhex(digits).repeat(*count),
            Self::Hex(kind, ..) | Self::Repeat(kind, ..) => panic!("no such step: {kind}"),
        }
    }
}

#[test]
fn every_vector_is_judged_as_expected() {
    let only = std::env::var("SECURE_TORCH_VECTOR").unwrap_or_default();
    let policy = Policy::default();
    let (mut table, mut failures) = (String::new(), String::new());
    let (mut total, mut failed) = (0, 0);
    for document in documents() {
        assert_eq!(document.generated_by, "cargo xtask vectors");
        let (mut count, mut bad) = (0, 0);
        for vector in document.vectors.iter().filter(|vector| vector.id.contains(&only)) {
            count += 1;
            let report = scan(&Source::from_bytes(&vector.name, vector.bytes()), &policy);
            let wrong = vector.differences(&report);
            if wrong.is_empty() {
                continue;
            }
            bad += 1;
            let Vector { id, comment, .. } = vector;
            writeln!(failures, "\n{id} ({})\n  {comment}", document.group).unwrap();
            for line in wrong {
                writeln!(failures, "  - {line}").unwrap();
            }
            let (score, breakdown) = (report.threat_score, &report.score_breakdown);
            writeln!(failures, "  {} {score} {breakdown:?}", report.format).unwrap();
        }
        writeln!(table, "{:<24} {count:>6} {bad:>7}", document.group).unwrap();
        total += count;
        failed += bad;
    }
    println!("{:<24} {:>6} {:>7}", "group", "count", "failed");
    println!("{table}{:<24} {total:>6} {failed:>7}\n{failures}", "all");
    assert_eq!(failed, 0, "{failed} of {total} vectors are misjudged");
    assert!(total > 0, "no vectors");
}

#[test]
fn every_rule_is_expected_by_a_vector() {
    let path = folder().join("../scoring.toml");
    let table: toml::Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let rules = table["rule"].as_array().unwrap();
    let rules: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let documents = documents();
    let vectors = documents.iter().flat_map(|document| &document.vectors);
    let hit = vectors.flat_map(|vector| &vector.expect.rules).map(String::as_str).collect();
    let idle: Vec<_> = rules.difference(&hit).collect();
    assert!(idle.is_empty(), "no vector expects {idle:?}");
}

#[test]
fn every_threat_has_a_vector() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, list) = readme.split_once("## Threats").unwrap();
    let listed: BTreeSet<_> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|id| id.contains('.'))
        .map(str::to_owned)
        .collect();
    let mut shown = BTreeSet::new();
    for vector in documents().into_iter().flat_map(|document| document.vectors) {
        let honest = vector.expect.verdict == "allow";
        assert_eq!(honest, vector.threat.is_empty(), "{}: a threat, or none", vector.id);
        shown.extend(vector.threat);
    }
    assert!(!listed.is_empty());
    assert_eq!(listed, shown);
}
