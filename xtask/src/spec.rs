//! `cargo xtask spec`: makes every generated file anew from the tables in `spec/`.
//!
//! With `--check` nothing is written: the files are made in memory and compared with those in
//! the tree, and a stale one fails the run with its first differing line. The generated files
//! are committed because a packaged crate has no `../spec` beside it.
//!
//! It refuses tables that contradict themselves: score bands that leave a gap, a rule without
//! a reason, one name in two families, an allowed name that a family claims too, a module of
//! the standard library that nobody has judged, a signature that another one hides.

mod detection;
mod docs;
mod dump;
mod limits;
mod names;
mod opcodes;
mod rules;
mod score;
mod shape;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// The tables that decide a verdict, in the order in which they are hashed.
const JUDGING: [&str; 7] = [
    "spec/rules/allowed.toml",
    "spec/rules/dangerous.toml",
    "spec/rules/renames.toml",
    "spec/rules/names.toml",
    "spec/scoring.toml",
    "spec/limits.toml",
    "spec/detection.toml",
];

/// What `cargo xtask spec` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when a generated file is stale.
    #[arg(long)]
    check: bool,
}

/// A generated file: its path from the workspace's root, and its text.
struct Generated {
    path: &'static str,
    text: String,
}

/// Makes, or with `--check` compares, every generated file.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = root()?;
    let mut stale = Vec::new();
    for file in generate(&root)? {
        let path = root.join(file.path);
        let before = fs::read_to_string(&path).unwrap_or_default();
        if before == file.text {
            continue;
        }
        if arguments.check {
            stale.push(format!("{}: {}", file.path, first_difference(&before, &file.text)));
        } else {
            fs::write(&path, &file.text).with_context(|| format!("cannot write {}", file.path))?;
            println!("wrote {}", file.path);
        }
    }
    ensure!(
        stale.is_empty(),
        "generated files are stale; run `cargo xtask spec`:\n{}",
        stale.join("\n")
    );
    Ok(())
}

fn generate(root: &Path) -> Result<Vec<Generated>> {
    let scoring: score::Table = read(root, "spec/scoring.toml")?;
    let limits: limits::Table = read(root, "spec/limits.toml")?;
    let detection: detection::Table = read(root, "spec/detection.toml")?;
    let rules = rules::Tables {
        allowed: read(root, "spec/rules/allowed.toml")?,
        dangerous: read(root, "spec/rules/dangerous.toml")?,
        renames: read(root, "spec/rules/renames.toml")?,
    };
    let names: names::Table = read(root, "spec/rules/names.toml")?;
    scoring.validate()?;
    names.validate()?;
    limits.validate()?;
    detection.validate(root)?;
    rules.validate()?;
    let hash = hash(root)?;
    Ok(vec![
        Generated {
            path: "core/src/score/generated.rs",
            text: rustfmt(root, &score::rust(&scoring))?,
        },
        Generated { path: "core/src/limits.rs", text: rustfmt(root, &limits::rust(&limits))? },
        Generated {
            path: "core/src/rules/generated.rs",
            text: rustfmt(root, &rules.rust(&scoring.version, &hash)?)?,
        },
        Generated {
            path: "core/src/rules/names/generated.rs",
            text: rustfmt(root, &names::rust(&names))?,
        },
        Generated {
            path: "core/src/format/detect/generated.rs",
            text: rustfmt(root, &detection::rust(&detection)?)?,
        },
        Generated { path: "spec/opcodes.md", text: opcodes::markdown() },
        Generated {
            path: "docs/formats.md",
            text: filled(root, "docs/formats.md", &detection::blocks(&detection)?)?,
        },
        Generated { path: "docs/scoring.md", text: docs::scoring(&scoring, &limits) },
        Generated {
            path: "docs/rules.md",
            text: docs::rules(&rules, &scoring.version, &hash) + &names::markdown(&names),
        },
    ])
}

/// The workspace's root: the folder above this crate.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent folder")?.to_owned())
}

fn read<T: DeserializeOwned>(root: &Path, path: &str) -> Result<T> {
    let text =
        fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    toml::from_str(&text).with_context(|| format!("cannot parse {path}"))
}

/// SHA-256 over each judging table's path, length and bytes. Carriage returns are dropped, so
/// that a checkout with other line ends has the same hash.
fn hash(root: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for path in JUDGING {
        let mut bytes = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        bytes.retain(|&byte| byte != b'\r');
        hasher.update(format!("{path}\n{}\n", bytes.len()));
        hasher.update(&bytes);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Formats generated Rust the way `cargo fmt` would: by the `rustfmt.toml` of the workspace.
fn rustfmt(root: &Path, source: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--quiet"])
        .arg("--config-path")
        .arg(root.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start rustfmt")?;
    let mut stdin = child.stdin.take().context("rustfmt has no standard input")?;
    let input = source.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().context("cannot run rustfmt")?;
    if writer.join().is_err() || !output.status.success() {
        bail!("rustfmt refused the generated source");
    }
    String::from_utf8(output.stdout).context("rustfmt answered with something that is not text")
}

/// A document that people write, with its generated blocks made anew. A block stands between
/// `<!-- generated NAME … -->` and `<!-- end of NAME -->`.
fn filled(root: &Path, path: &str, blocks: &[(&str, String)]) -> Result<String> {
    let mut text =
        fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    for (name, block) in blocks {
        let open = format!("<!-- generated {name} ");
        let close = format!("<!-- end of {name} -->");
        let place = || -> Option<(usize, usize)> {
            let head = text.find(&open)?;
            let start = head + text[head..].find("-->\n")? + "-->\n".len();
            Some((start, start + text[start..].find(&close)?))
        };
        let (start, end) =
            place().with_context(|| format!("{path} has no place for the block `{name}`"))?;
        text.replace_range(start..end, block);
    }
    Ok(text)
}

fn first_difference(before: &str, after: &str) -> String {
    let mut old = before.lines();
    let mut new = after.lines();
    let mut number = 0_usize;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return "only line ends differ".to_owned(),
            (old, new) if old == new => {}
            (old, new) => {
                let show = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
                return format!("line {number}: has `{}`, wants `{}`", show(old), show(new));
            }
        }
    }
}
