//! `cargo xtask vectors`: the committed test vectors, made from their descriptions.
//!
//! Reads `spec/vectors/src/*.toml` and writes `spec/vectors/<group>.json`, byte for byte the
//! same on every machine. It refuses a vector whose id repeats, whose threat or rule nobody
//! lists, or whose expectation contradicts itself.

mod assemble;
mod deflate;
mod lzma;
mod packed;
mod pickle;
mod rope;
mod script;
mod sevenz;
mod source;
mod tar;
mod zip;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::place;
use assemble::Assembler;
use rope::Rope;
use source::{Expect, Vector};

/// Inputs up to this many bytes stand in the JSON as base64.
const INLINE: usize = 4_096;

/// Choices on the command line of `vectors`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a committed file is stale.
    #[arg(long)]
    check: bool,
    /// Write the input of this vector to standard output, and nothing else.
    #[arg(long, value_name = "ID", conflicts_with = "check")]
    dump: Option<String>,
    /// Write every input into this folder, named by id and file name.
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    unpack: Option<PathBuf>,
}

/// A vector with its bytes, for whoever runs it.
pub(crate) struct Input {
    pub(crate) id: String,
    pub(crate) comment: String,
    /// `block` or `allow`
    pub(crate) verdict: String,
    /// Its names, each with what it is.
    pub(crate) files: Vec<(String, Made)>,
    /// Whether it is a folder, and not one file.
    pub(crate) is_folder: bool,
}

/// What a name of a vector stands for.
pub(crate) enum Made {
    Bytes(Vec<u8>),
    Link(String),
}

/// Makes every vector anew, one after another.
pub(crate) fn each(mut take: impl FnMut(Input) -> Result<()>) -> Result<()> {
    let folder = place::root().join("spec/vectors/src");
    let library = fs::read_to_string(folder.join("macros.txt")).context("no macros")?;
    let assembler = Assembler::new(&library)?;
    let made = |file: &source::Node| {
        let made = match &file.link {
            Some(link) => Made::Link(link.clone()),
            None => Made::Bytes(rope(&assembler, file)?.flatten()),
        };
        anyhow::Ok((file.name.clone(), made))
    };
    for vector in source::load(&folder)?.into_iter().flat_map(|group| group.vectors) {
        let (nodes, is_folder) = match &vector.content {
            source::Content::File(file) => (std::slice::from_ref(file), false),
            source::Content::Tree(files) => (files.as_slice(), true),
        };
        let files = nodes.iter().map(made).collect::<Result<_>>();
        let files = files.with_context(|| format!("vector `{}`", vector.id))?;
        let Vector { id, comment, expect, .. } = vector;
        take(Input { id, comment, verdict: expect.verdict, files, is_folder })?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'s> {
    schema: &'static str,
    group: &'s str,
    about: &'s str,
    generated_by: &'static str,
    vectors: Vec<Entry<'s>>,
}

#[derive(Serialize)]
struct Entry<'s> {
    id: &'s str,
    comment: &'s str,
    threat: &'s [String],
    #[serde(flatten)]
    content: Content<'s>,
    expect: &'s Expect,
}

/// One file, or a folder of some.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'s> {
    File(Node<'s>),
    Tree { tree: Vec<Node<'s>> },
}

/// A name with its bytes, or with where it leads.
#[derive(Serialize)]
#[serde(untagged)]
enum Node<'s> {
    File {
        name: &'s str,
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        recipe: Option<Vec<rope::Step>>,
        sha256: String,
        size: usize,
    },
    Link {
        name: &'s str,
        link: &'s str,
    },
}

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = place::root().join("spec/vectors");
    let groups = source::load(&folder.join("src"))?;
    let library = fs::read_to_string(folder.join("src/macros.txt")).context("no macros")?;
    let assembler = Assembler::new(&library)?;
    let known = Known::read(&folder)?;

    let mut ids = BTreeSet::new();
    let mut threats = BTreeSet::new();
    let mut stale = Vec::new();
    let mut total = 0;
    for group in &groups {
        let mut entries = Vec::new();
        for vector in &group.vectors {
            let within = || format!("{}: vector `{}`", group.name, vector.id);
            ensure!(ids.insert(vector.id.clone()), "{}: the id repeats", within());
            known.check(vector).with_context(within)?;
            threats.extend(vector.threat.iter().cloned());
            let content = match &vector.content {
                source::Content::File(file) => {
                    let rope = rope(&assembler, file).with_context(within)?;
                    if arguments.dump.as_ref() == Some(&vector.id) {
                        return write(&mut std::io::stdout(), &rope);
                    }
                    if let Some(folder) = &arguments.unpack {
                        let file = file.name.replace('/', "_");
                        fs::create_dir_all(folder)?;
                        fs::write(folder.join(format!("{}--{file}", vector.id)), rope.flatten())?;
                    }
                    Content::File(node(file, &rope))
                }
                source::Content::Tree(files) => {
                    if arguments.dump.as_ref() == Some(&vector.id) {
                        bail!("`{}` is a folder: take `--unpack`", vector.id);
                    }
                    let mut tree = Vec::new();
                    for file in files {
                        let rope = rope(&assembler, file).with_context(within)?;
                        if let Some(folder) = &arguments.unpack {
                            unpack(&folder.join(&vector.id), file, &rope)?;
                        }
                        tree.push(node(file, &rope));
                    }
                    Content::Tree { tree }
                }
            };
            let Vector { id, comment, threat, expect, .. } = vector;
            entries.push(Entry { id, comment, threat, content, expect });
        }
        total += entries.len();
        let document = Document {
            schema: "schema.json",
            group: &group.name,
            about: &group.about,
            generated_by: "cargo xtask vectors",
            vectors: entries,
        };
        let text = serde_json::to_string_pretty(&document)? + "\n";
        let path = folder.join(format!("{}.json", group.name));
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            stale.push(group.name.clone());
            if !arguments.check {
                fs::write(&path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    if let Some(id) = &arguments.dump {
        bail!("no vector is called `{id}`");
    }
    let idle: Vec<_> = known.threats.difference(&threats).cloned().collect();
    ensure!(idle.is_empty(), "no vector shows {}", idle.join(", "));
    let orphans = orphans(&folder, &groups)?;
    ensure!(orphans.is_empty(), "no source makes {}", orphans.join(", "));
    if arguments.check && !stale.is_empty() {
        bail!("stale: {}; regenerate with `cargo xtask vectors`", stale.join(", "));
    }
    println!("{total} vectors in {} groups, {} files written", groups.len(), stale.len());
    Ok(())
}

fn write(out: &mut impl std::io::Write, rope: &Rope) -> Result<()> {
    out.write_all(&rope.flatten())?;
    Ok(())
}

/// The bytes of a file; a link has none.
fn rope(assembler: &Assembler, file: &source::Node) -> Result<Rope> {
    let script = file.input.as_deref().unwrap_or_default();
    assembler.assemble(script).with_context(|| format!("in `{}`", file.name))
}

/// Writes a file of a folder. Links are not made: they may lead anywhere.
fn unpack(folder: &Path, file: &source::Node, rope: &Rope) -> Result<()> {
    let path = folder.join(&file.name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    if file.link.is_none() {
        fs::write(path, rope.flatten())?;
    }
    Ok(())
}

fn node<'s>(file: &'s source::Node, rope: &Rope) -> Node<'s> {
    let name = &file.name;
    if let Some(link) = &file.link {
        return Node::Link { name, link };
    }
    let bytes = rope.flatten();
    let recipe = rope.recipe();
    let by_recipe = bytes.len() > INLINE && recipe.len() > 1;
    Node::File {
        name,
        input: (!by_recipe).then(|| base64::engine::general_purpose::STANDARD.encode(&bytes)),
        recipe: by_recipe.then_some(recipe),
        sha256: rope::hex(&Sha256::digest(&bytes)),
        size: bytes.len(),
    }
}

/// Committed JSON that no source makes any more.
fn orphans(folder: &Path, groups: &[source::Group]) -> Result<Vec<String>> {
    let mut orphans = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix(".json")
            && stem != "schema"
            && groups.iter().all(|group| group.name != stem)
        {
            orphans.push(name);
        }
    }
    Ok(orphans)
}

/// What a vector may name.
struct Known {
    threats: BTreeSet<String>,
    rules: BTreeSet<String>,
}

impl Known {
    fn read(folder: &Path) -> Result<Self> {
        let readme = fs::read_to_string(folder.join("README.md")).context("no README.md")?;
        let threats = readme.lines().filter_map(threat_of_row).map(str::to_owned).collect();
        let path = place::root().join("spec/scoring.toml");
        let scoring: toml::Table = toml::from_str(&fs::read_to_string(path)?)?;
        let rules = scoring.get("rule").and_then(toml::Value::as_array).context("no rules")?;
        let id = |rule: &toml::Value| Some(rule.get("id")?.as_str()?.to_owned());
        Ok(Self { threats, rules: rules.iter().filter_map(id).collect() })
    }

    fn check(&self, vector: &Vector) -> Result<()> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ensure!(vector.id.bytes().all(word), "the id is not in kebab case");
        ensure!(!vector.comment.trim().is_empty(), "a comment is missing");
        for threat in &vector.threat {
            ensure!(self.threats.contains(threat), "README.md lists no threat `{threat}`");
        }
        let expect = &vector.expect;
        for rule in expect.rules.iter().chain(&expect.not_rules) {
            ensure!(self.rules.contains(rule), "spec/scoring.toml has no rule `{rule}`");
        }
        let both = expect.rules.iter().find(|rule| expect.not_rules.contains(rule));
        ensure!(both.is_none(), "a rule is both wanted and unwanted");
        let blocked = expect.verdict == "block";
        let refused = expect.load.as_ref().is_some_and(|load| load != "ok");
        let hostile = blocked || refused;
        ensure!(hostile != vector.threat.is_empty(), "a threat is missing, or not one");
        ensure!(!(blocked && expect.rules.is_empty()), "a blocked vector names its rule");
        Ok(())
    }
}

/// The id of a threat, where a line of README.md is its row: `| A1.2 | … |`.
fn threat_of_row(line: &str) -> Option<&str> {
    let id = line.strip_prefix("| ")?.split(" |").next()?;
    let (item, part) = id.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let letter = item.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    (letter && digits(&item[1..]) && digits(part)).then_some(id)
}
