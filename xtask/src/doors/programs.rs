//! The doors, and how the program of each is started that judges a list.
//!
//! Each is what its own step of the tests has built, and is told apart from one that fails: what is
//! not there is said by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{env, place, shell, test, web};

/// How the program gives an input to its door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A name and bytes.
    Bytes,
    /// A path.
    Path,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Path => "path",
        }
    }
}

/// A language, and its program.
pub(crate) struct Door {
    pub(crate) name: &'static str,
    /// A browser has no paths.
    pub(crate) takes_paths: bool,
    /// The program, without its arguments.
    pub(crate) program: fn() -> Result<Command>,
}

/// All but Rust, which they are compared with, and the command, which prints one document.
pub(crate) const DOORS: [Door; 5] = [
    Door { name: "C", takes_paths: true, program: || compiled("c") },
    Door { name: "C++", takes_paths: true, program: || compiled("c++") },
    Door {
        name: "Python",
        takes_paths: true,
        program: || Ok(with(python()?, "bindings/python/tests/doors.py")),
    },
    Door { name: "Node", takes_paths: true, program: addon },
    Door { name: "browser", takes_paths: false, program: browser },
];

/// Rust itself.
pub(crate) fn rust() -> Result<PathBuf> {
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--package", "secure-torch", "--example", "doors"]);
    shell::run(&mut build)?;
    built(&format!("examples/doors{}", std::env::consts::EXE_SUFFIX))
}

/// The command, which is built by a step of its own.
pub(crate) fn command() -> Result<PathBuf> {
    test::built_command()
}

/// Something in the folder of the dev profile.
fn built(name: &str) -> Result<PathBuf> {
    let file = shell::target_folder()?.join("debug").join(name);
    ensure!(file.is_file(), "`{name}` was not built");
    Ok(file)
}

/// The program in C or C++.
fn compiled(language: &str) -> Result<Command> {
    let source = if language == "c" { "ffi/tests/doors.c" } else { "ffi/tests/cpp/doors.cpp" };
    let program = shell::target_folder()?.join("doors").join(format!("doors-{language}"));
    compile(language, &place::root().join(source), &program)
}

/// Compiles a program against the headers and the static library of the tree.
pub(crate) fn compile(language: &str, source: &Path, program: &Path) -> Result<Command> {
    let (compiler, standard) =
        if language == "c" { ("cc", "-std=c99") } else { ("c++", "-std=c++17") };
    ensure!(source.is_file(), "there is no `{}`", source.display());
    place::on_path(compiler).with_context(|| format!("no `{compiler}` on the path"))?;
    let mut library = shell::cargo();
    shell::run(library.args(["build", "--quiet", "--package", "secure-torch-ffi"]))?;
    let mut compile = shell::command(compiler);
    compile.args([standard, "-O1", "-Wall", "-Werror", "-Iffi/include"]).arg(source);
    compile.arg("-o").arg(program);
    compile.arg(built("libsecure_torch_ffi.a")?).args(["-lpthread", "-ldl", "-lm"]);
    shell::run(&mut compile)?;
    Ok(shell::command(program))
}

/// The wheel, as it was installed by its step.
pub(crate) fn python() -> Result<Command> {
    let folder = shell::target_folder()?.join("wheel-venv");
    let python = place::python_of(&folder);
    ensure!(python.is_file(), "the wheel is not installed: run `cargo xtask test wheel`");
    let mut command = shell::command(python);
    command.arg("-I");
    Ok(command)
}

/// Node itself.
pub(crate) fn node() -> Result<Command> {
    Ok(shell::command(place::on_path("node").context("no `node` on the path")?))
}

/// A command with one argument more.
fn with(mut command: Command, script: &str) -> Command {
    command.arg(place::root().join(script));
    command
}

/// The Node package in the tree, which its step builds.
fn addon() -> Result<Command> {
    let package = place::root().join("bindings/node");
    ensure!(
        package.join("dist/index.js").is_file(),
        "the Node package is not built: run `cargo xtask test node`"
    );
    Ok(with(node()?, "bindings/node/tests/doors.mjs"))
}

fn browser() -> Result<Command> {
    let package = web::package()?;
    ensure!(package.is_dir(), "the browser build is not there: run `cargo xtask test web`");
    let mut command = with(node()?, "bindings/wasm/tests/doors.mjs");
    command.env("SECURE_TORCH_WASM", package);
    Ok(command)
}

/// A door that cannot be had is a skip, and under `CI=true` a failure.
pub(crate) fn found(door: &Door, skips: &mut env::Skips) -> Option<Command> {
    match (door.program)() {
        Ok(command) => Some(command),
        Err(error) => {
            skips.add(&format!("the door {}", door.name), &error);
            None
        }
    }
}
