//! The README's examples, which do the same thing in every language, run as they stand there.
//!
//! That of Rust stands in the documentation of the crate too, where `cargo test --doc` runs it
//! (`tests/python/test_documents.py` compares the two).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::programs;
use crate::{env, place, shell, web};

/// What each prints.
const SAID: &str = "block 80\n";

/// A language, and how its example is run from a folder in which it may write.
type Run = fn(&Path, &str) -> Result<Command>;

const EXAMPLES: [(&str, Run); 5] = [
    ("c", |folder, text| compiled(folder, "c", text)),
    ("c++", |folder, text| compiled(folder, "c++", text)),
    ("python", |folder, text| {
        let mut python = programs::python()?;
        python.arg(written(folder, "example.py", text)?);
        Ok(python)
    }),
    ("node", |folder, text| {
        let mut node = programs::node()?;
        // The package under its name, as npm would put it there.
        let modules = folder.join("node_modules");
        fs::create_dir_all(&modules)?;
        inputs_link(&place::root().join("bindings/node"), &modules.join("secure-torch"))?;
        node.arg(written(folder, "example.mjs", text)?);
        Ok(node)
    }),
    ("browser", |folder, text| {
        written(folder, "example.js", text)?;
        let mut node = programs::node()?;
        node.arg(place::root().join("bindings/wasm/tests/example.mjs")).arg(folder);
        let package = web::package()?;
        ensure!(package.is_dir(), "the browser build is not there: run `cargo xtask test web`");
        node.env("SECURE_TORCH_WASM", package);
        Ok(node)
    }),
];

/// Runs them all; what cannot be run here is a skip.
pub(super) fn run(folder: &Path, only: &str, skips: &mut env::Skips) -> Result<()> {
    let readme = fs::read_to_string(place::root().join("README.md")).context("no README.md")?;
    let mut passed = Vec::new();
    for (language, run) in EXAMPLES {
        if !language.contains(only) {
            continue;
        }
        let text = example(&readme, language)?;
        let folder = folder.join(format!("readme-{language}"));
        fs::create_dir_all(&folder)?;
        let mut command = match run(&folder, text) {
            Ok(command) => command,
            Err(error) => {
                skips.add(&format!("the README's example for {language}"), &error);
                continue;
            }
        };
        let said = shell::read(&mut command)?;
        ensure!(said == SAID, "the README's example for {language} says `{said}`, not `{SAID}`");
        passed.push(language);
    }
    println!("    the README's examples say `{}`: {}", SAID.trim(), passed.join(", "));
    Ok(())
}

/// The block behind the mark of a language.
fn example<'r>(readme: &'r str, language: &str) -> Result<&'r str> {
    let mark = format!("<!-- runs: {language} -->\n```");
    let (_, rest) = readme.split_once(&mark).with_context(|| format!("no `{language}` in it"))?;
    let (_, rest) = rest.split_once('\n').context("a block has lines")?;
    let (text, _) = rest.split_once("\n```\n").context("a block has an end")?;
    Ok(text)
}

fn compiled(folder: &Path, language: &str, text: &str) -> Result<Command> {
    let name = if language == "c" { "example.c" } else { "example.cpp" };
    let source = written(folder, name, text)?;
    programs::compile(language, &source, &folder.join("example"))
}

fn written(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, format!("{text}\n"))?;
    Ok(path)
}

fn inputs_link(target: &Path, path: &Path) -> Result<()> {
    super::inputs::link(&target.to_string_lossy(), path).context("cannot link to the package")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_behind_its_mark() {
        let readme = "a\n```c\nno\n```\n<!-- runs: c -->\n```c\none\ntwo\n```\nb\n```c\nno\n```\n";
        assert_eq!(example(readme, "c").unwrap(), "one\ntwo");
        assert!(example(readme, "c++").is_err());
    }
}
