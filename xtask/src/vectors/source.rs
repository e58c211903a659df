//! The TOML sources of the vectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// One file of sources, one file of vectors.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) vectors: Vec<Vector>,
}

/// One vector.
#[derive(Debug)]
pub(super) struct Vector {
    pub(super) id: String,
    pub(super) comment: String,
    pub(super) threat: Vec<String>,
    pub(super) content: Content,
    pub(super) expect: Expect,
}

/// What is judged.
#[derive(Debug)]
pub(super) enum Content {
    /// One file.
    File(Node),
    /// A folder of files.
    Tree(Vec<Node>),
}

/// One name of a folder, or the only one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: String,
    /// The script of its bytes.
    pub(super) input: Option<String>,
    /// Where it leads, if it is a symbolic link.
    pub(super) link: Option<String>,
}

/// What every implementation must say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Expect {
    pub(super) verdict: String,
    /// The threat level is one of these.
    pub(super) level: Vec<String>,
    /// All of these rules are hit.
    pub(super) rules: Vec<String>,
    /// None of these rules is hit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_rules: Vec<String>,
    /// All of these globals are reported, as the file spells them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) globals: Vec<[String; 2]>,
    /// What loading gives where the judgement is not enforced: `ok`, or a code of
    /// `spec/errors.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    #[serde(default)]
    defaults: Row,
    #[serde(default)]
    vector: Vec<Row>,
    /// The script of each callable, with `${module}` and `${name}` open.
    #[serde(default)]
    template: BTreeMap<String, String>,
    #[serde(default)]
    callable: Vec<Callable>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: Option<String>,
    comment: Option<String>,
    threat: Option<Vec<String>>,
    name: Option<String>,
    input: Option<String>,
    files: Option<Vec<Node>>,
    #[serde(default)]
    expect: Wanted,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    verdict: Option<String>,
    level: Option<Vec<String>>,
    rules: Option<Vec<String>>,
    not_rules: Option<Vec<String>>,
    globals: Option<Vec<[String; 2]>>,
    load: Option<String>,
}

/// A row of a table of callables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Callable {
    module: String,
    name: String,
    /// Who published it: an advisory, or what shows it.
    source: String,
}

/// Reads every source of the folder, in the order of their names.
pub(super) fn load(folder: &Path) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for file in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let group = read(&name, &fs::read_to_string(&path)?).with_context(|| name.clone())?;
            groups.push(group);
        }
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

fn read(name: &str, text: &str) -> Result<Group> {
    let mut file: File = toml::from_str(text)?;
    for callable in &file.callable {
        file.vector.push(row_of(callable, &file.template)?);
    }
    let vectors = file.vector.into_iter().map(|row| row.over(&file.defaults));
    Ok(Group { name: name.to_owned(), about: file.about, vectors: vectors.collect::<Result<_>>()? })
}

/// The vector of a published callable. A dotted name is looked up by parts from protocol 4 on,
/// and under no older one; hence the two templates.
fn row_of(callable: &Callable, template: &BTreeMap<String, String>) -> Result<Row> {
    let Callable { module, name, source } = callable;
    let kind = if name.contains('.') { "dotted" } else { "plain" };
    let script = template.get(kind).with_context(|| format!("no template `{kind}`"))?;
    let kebab = |text: &str| {
        let parts = text.split('.').flat_map(|part| {
            let private = part.starts_with('_').then_some("private");
            private.into_iter().chain(part.split('_').filter(|word| !word.is_empty()))
        });
        parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
    };
    Ok(Row {
        id: Some(format!("published-{}--{}", kebab(module), kebab(name))),
        comment: Some(format!("Calls {module}.{name}, a published attack ({source}).")),
        input: Some(script.replace("${module}", module).replace("${name}", name)),
        expect: Wanted { globals: Some(vec![[module.clone(), name.clone()]]), ..Wanted::default() },
        ..Row::default()
    })
}

impl Row {
    fn over(self, defaults: &Self) -> Result<Vector> {
        let id = self.id.context("a vector without an id")?;
        let (own, base) = (self.expect, &defaults.expect);
        let verdict = own.verdict.or(base.verdict.clone()).unwrap_or_else(|| "block".to_owned());
        let level = match own.level.or(base.level.clone()) {
            Some(level) => level,
            None if verdict == "block" => ["medium", "high", "critical"].map(str::to_owned).into(),
            None => ["safe", "low"].map(str::to_owned).into(),
        };
        match verdict.as_str() {
            "block" => ensure!(!level.iter().any(|level| level == "safe" || level == "low")),
            "allow" => ensure!(!level.iter().any(|level| level == "high" || level == "critical")),
            _ => bail!("`{id}`: no such verdict"),
        }
        let content = match (self.files, self.input) {
            (Some(files), None) => Content::Tree(tree(files).with_context(|| id.clone())?),
            (None, Some(input)) => {
                let name = self.name.or(defaults.name.clone());
                let name = name.with_context(|| format!("`{id}`: no name"))?;
                Content::File(Node { name, input: Some(input), link: None })
            }
            _ => bail!("`{id}`: neither input nor files, or both"),
        };
        let comment = self.comment.or(defaults.comment.clone()).unwrap_or_default();
        Ok(Vector {
            comment: comment.split_whitespace().collect::<Vec<_>>().join(" "),
            threat: self.threat.or(defaults.threat.clone()).unwrap_or_default(),
            content,
            expect: Expect {
                verdict,
                level,
                rules: own.rules.or(base.rules.clone()).unwrap_or_default(),
                not_rules: own.not_rules.or(base.not_rules.clone()).unwrap_or_default(),
                globals: own.globals.or(base.globals.clone()).unwrap_or_default(),
                load: own.load.or(base.load.clone()),
            },
            id,
        })
    }
}

/// The names of a folder, each below it, and each a file or a link.
fn tree(files: Vec<Node>) -> Result<Vec<Node>> {
    ensure!(!files.is_empty(), "a folder without files");
    let mut names = BTreeSet::new();
    for file in &files {
        let name = &file.name;
        let inside = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
        ensure!(inside, "`{name}` does not lie below the folder");
        ensure!(names.insert(name), "`{name}` is there twice");
        ensure!(file.input.is_some() != file.link.is_some(), "`{name}`: an input or a link");
    }
    Ok(files)
}
