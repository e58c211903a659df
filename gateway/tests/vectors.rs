//! Runs every test vector of `spec/vectors/`: see its README.
//!
//! All differences are printed at once. `SECURE_TORCH_VECTOR=<part of an id>` runs a few.

#[path = "common/content.rs"]
mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use content::{Step, content, documents, folder};
use secure_torch::{
    Level, LoadError, LoadOptions, Policy, Report, Source, Verdict, load, scan, scan_paths,
};
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
    name: Option<String>,
    input: Option<String>,
    recipe: Option<Vec<Step>>,
    sha256: Option<String>,
    size: Option<usize>,
    /// A folder of files, in place of one.
    tree: Option<Vec<Node>>,
    expect: Expect,
}

/// A name in a folder: bytes, or where a link leads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    input: Option<String>,
    recipe: Option<Vec<Step>>,
    sha256: Option<String>,
    size: Option<usize>,
    link: Option<String>,
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
    load: Option<String>,
}

/// The bytes of base64, or of a recipe, which are those of the hash.
fn bytes(
    id: &str,
    (input, recipe): (&Option<String>, &Option<Vec<Step>>),
    (size, sha256): (Option<usize>, &Option<String>),
) -> Vec<u8> {
    let bytes = content(input.as_deref(), recipe.as_deref());
    let bytes = bytes.unwrap_or_else(|| panic!("{id}: neither input nor recipe, or both"));
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((Some(bytes.len()), Some(&hash)), (size, sha256.as_ref()), "{id}: other bytes");
    bytes
}

impl Node {
    /// Makes it below a folder; whether this machine can.
    fn make(&self, id: &str, folder: &Path) -> bool {
        let path = folder.join(&self.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &self.link {
            None => {
                let content = (&self.input, &self.recipe);
                fs::write(path, bytes(id, content, (self.size, &self.sha256))).unwrap();
                true
            }
            #[cfg(unix)]
            Some(target) => std::os::unix::fs::symlink(target, path).is_ok(),
            #[cfg(not(unix))]
            Some(_) => false,
        }
    }
}

/// What came of a vector: of its file, or of all files of its folder together.
struct Judged {
    verdict: Verdict,
    level: Level,
    /// The breakdowns, one report after another.
    rules: BTreeMap<&'static str, u8>,
    globals: BTreeSet<(String, String)>,
    shown: String,
}

impl Judged {
    fn of(reports: &[Report]) -> Self {
        let blocked = reports.iter().any(|report| report.verdict == Verdict::Block);
        let shown = reports.iter().map(|report| {
            let Report { path, format, threat_score, score_breakdown, .. } = report;
            format!("{path} {format} {threat_score} {score_breakdown:?}")
        });
        Self {
            verdict: if blocked { Verdict::Block } else { Verdict::Allow },
            level: reports.iter().map(|report| report.threat_level).max().unwrap(),
            rules: reports.iter().flat_map(|report| report.score_breakdown.clone()).collect(),
            globals: reports
                .iter()
                .flat_map(|report| &report.globals)
                .map(|global| (global.module.clone(), global.name.clone()))
                .collect(),
            shown: shown.collect::<Vec<_>>().join("\n  "),
        }
    }
}

impl Vector {
    /// Judges the vector; nothing where this machine cannot make its folder.
    fn judge(&self, policy: &Policy) -> Option<Judged> {
        let Some(tree) = &self.tree else {
            let content = (&self.input, &self.recipe);
            let bytes = bytes(&self.id, content, (self.size, &self.sha256));
            let source = Source::from_bytes(self.name.as_deref().unwrap(), bytes);
            return Some(Judged::of(&[scan(&source, policy)]));
        };
        assert!(
            self.name.is_none() && self.input.is_none() && self.recipe.is_none(),
            "{}",
            self.id
        );
        let folder = tempfile::tempdir().unwrap();
        if !tree.iter().all(|node| node.make(&self.id, folder.path())) {
            println!("{}: its links cannot be made here", self.id);
            return None;
        }
        let results = scan_paths(&[folder.path().to_owned()], policy, &());
        // An honest folder is judged whole; what blocks may lie beside what cannot be judged.
        let whole = results.iter().all(|(_, result)| result.is_ok());
        assert!(whole || self.expect.verdict == "block", "{}: {results:?}", self.id);
        let reports: Vec<Report> = results.into_iter().filter_map(|(_, r)| r.ok()).collect();
        Some(Judged::of(&reports))
    }

    /// Everything in which the judgement is not as expected.
    fn differences(&self, judged: &Judged) -> Vec<String> {
        let mut wrong = Vec::new();
        let verdict = match judged.verdict {
            Verdict::Allow => "allow",
            Verdict::Block => "block",
        };
        if verdict != self.expect.verdict {
            wrong.push(format!("verdict {verdict}, not {}", self.expect.verdict));
        }
        let level = match judged.level {
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
            if !judged.rules.contains_key(rule.as_str()) {
                wrong.push(format!("{rule} is not hit"));
            }
        }
        for rule in &self.expect.not_rules {
            if judged.rules.contains_key(rule.as_str()) {
                wrong.push(format!("{rule} is hit"));
            }
        }
        for global in &self.expect.globals {
            if !judged.globals.contains(global) {
                wrong.push(format!("{:?} {:?} is not reported", global.0, global.1));
            }
        }
        wrong
    }
}

#[test]
fn every_vector_is_judged_as_expected() {
    let only = std::env::var("SECURE_TORCH_VECTOR").unwrap_or_default();
    let policy = Policy::default();
    let (mut table, mut failures) = (String::new(), String::new());
    let (mut total, mut failed) = (0, 0);
    for document in documents::<Document>() {
        assert_eq!(document.generated_by, "cargo xtask vectors");
        let (mut count, mut bad) = (0, 0);
        for vector in document.vectors.iter().filter(|vector| vector.id.contains(&only)) {
            count += 1;
            let Some(judged) = vector.judge(&policy) else { continue };
            let wrong = vector.differences(&judged);
            if wrong.is_empty() {
                continue;
            }
            bad += 1;
            let Vector { id, comment, .. } = vector;
            writeln!(failures, "\n{id} ({})\n  {comment}", document.group).unwrap();
            for line in wrong {
                writeln!(failures, "  - {line}").unwrap();
            }
            writeln!(failures, "  {}", judged.shown).unwrap();
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

/// Loading under the default policy refuses what is blocked; under one that lets everything through
/// it gives what the vector says, panics on nothing, and hands out storages that are there.
#[test]
fn every_vector_loads_as_expected() {
    let only = std::env::var("SECURE_TORCH_VECTOR").unwrap_or_default();
    let strict = Policy::default();
    let open = Policy { max_threat_score: 100, ..Policy::default() };
    let (mut failures, mut told, mut loaded) = (Vec::new(), 0, 0);
    let documents: Vec<Document> = documents();
    let vectors = documents.iter().flat_map(|document| &document.vectors);
    for vector in vectors.filter(|vector| vector.id.contains(&only) && vector.tree.is_none()) {
        let Vector { id, name, expect, .. } = vector;
        let bytes = bytes(id, (&vector.input, &vector.recipe), (vector.size, &vector.sha256));
        let source = || Source::from_bytes(name.as_deref().unwrap(), bytes.clone());
        let code = |result: Result<_, LoadError>| match result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.error.code().name().to_owned(),
        };
        let options = LoadOptions::default();
        let enforced = code(load(source(), &strict, &options).map(drop));
        if (enforced == "model-blocked") != (expect.verdict == "block") {
            failures.push(format!("{id}: {enforced}, and its verdict is {}", expect.verdict));
        }
        let result = load(source(), &open, &options);
        if let Ok((checkpoint, _)) = &result {
            loaded += 1;
            for index in 0..checkpoint.storages().len() {
                let storage = checkpoint.storage_id(index).unwrap();
                let length = checkpoint.storages()[index].bytes;
                match checkpoint.storage_bytes(storage) {
                    Ok(bytes) => assert_eq!(bytes.len() as u64, length, "{id}: storage {index}"),
                    Err(error) => assert_eq!(error.code().name(), "model-malformed", "{id}"),
                }
            }
        }
        let seen = code(result.map(drop));
        if let Some(wanted) = &expect.load {
            told += 1;
            if *wanted != seen {
                failures.push(format!("{id}: {seen}, not {wanted}"));
            }
        }
    }
    println!("{loaded} load, {told} say how");
    assert!(failures.is_empty(), "{}\n{} in all", failures.join("\n"), failures.len());
    assert!(loaded > 0 && told > 0 || !only.is_empty());
}

#[test]
fn every_rule_is_expected_by_a_vector() {
    let path = folder().join("../scoring.toml");
    let table: toml::Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let rules = table["rule"].as_array().unwrap();
    let rules: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    let documents: Vec<Document> = documents();
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
    for vector in documents::<Document>().into_iter().flat_map(|document| document.vectors) {
        let loads = vector.expect.load.is_none_or(|load| load == "ok");
        let honest = vector.expect.verdict == "allow" && loads;
        assert_eq!(honest, vector.threat.is_empty(), "{}: a threat, or none", vector.id);
        shown.extend(vector.threat);
    }
    assert!(!listed.is_empty());
    assert_eq!(listed, shown);
}
