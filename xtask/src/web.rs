//! The npm package `secure-torch-wasm`, and the step of `cargo xtask test` about it and its page,
//! in headless Chromium.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{env, place, shell, test};

const PACKAGE: &str = "bindings/wasm";
const TARGET: &str = "wasm32-unknown-unknown";

/// What `cargo xtask web` is asked for.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only build the package; serve nothing.
    #[arg(long)]
    build: bool,
    /// The port to serve the page at.
    #[arg(long, default_value_t = 8321)]
    port: u16,
}

/// Builds the package and the page, and serves them to this machine.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let site = site(&build()?)?;
    if arguments.build {
        return Ok(());
    }
    let server = place::root().join(PACKAGE).join("tests/serve.mjs");
    let mut serve = shell::command(node()?);
    shell::run(serve.arg(server).arg(site).arg(arguments.port.to_string()))
}

/// Runs the step.
pub(crate) fn test(system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    let package = build()?;
    let tests = place::root().join(PACKAGE).join("tests");
    let mut install = shell::command(npm()?);
    install.current_dir(&tests).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    shell::read(&mut install)?;
    let mut types = shell::command(node()?);
    types.current_dir(&tests).args(["node_modules/typescript/bin/tsc", "--project", "."]);
    shell::run(types.env("SECURE_TORCH_WASM", &package))?;
    let chromium = match chromium(system_packages) {
        Ok(chromium) => chromium,
        Err(error) => {
            skips.add("the page in Chromium", &error);
            PathBuf::new()
        }
    };
    let mut node = shell::command(node()?);
    node.current_dir(&tests).args([
        "--test",
        "--test-reporter=spec",
        "package.test.mjs",
        "page.test.mjs",
    ]);
    node.env("SECURE_TORCH_WASM", &package);
    node.env("SECURE_TORCH_CHROMIUM", chromium);
    node.env("SECURE_TORCH_INPUTS", place::inputs()?);
    node.env("SECURE_TORCH_BIN", test::built_command()?);
    shell::run(&mut node)
}

/// Where the built package is.
pub(crate) fn package() -> Result<PathBuf> {
    Ok(shell::target_folder()?.join("npm").join("secure-torch-wasm"))
}

/// Builds the package: the engine, what `wasm-bindgen` writes beside it, and our own JavaScript.
pub(crate) fn build() -> Result<PathBuf> {
    env::rust_target(TARGET)?;
    let target = shell::target_folder()?;
    let mut engine = shell::cargo();
    engine.args(["build", "--quiet", "--profile", "wasm", "--package", "secure-torch-wasm"]);
    shell::run(engine.args(["--target", TARGET]))?;

    let mut bindgen = shell::cargo();
    bindgen.args(["build", "--quiet", "--locked", "--manifest-path"]);
    bindgen.arg(format!("{PACKAGE}/bindgen/Cargo.toml"));
    let tools = target.join("wasm-bindgen");
    shell::run(bindgen.arg("--target-dir").arg(&tools))?;

    let package = package()?;
    if package.exists() {
        fs::remove_dir_all(&package).context("cannot remove the old package")?;
    }
    fs::create_dir_all(&package).context("cannot make the package's folder")?;
    let name = format!("secure-torch-wasm-bindgen{}", std::env::consts::EXE_SUFFIX);
    let module = target.join(TARGET).join("wasm").join("secure_torch_wasm.wasm");
    let mut write = shell::command(tools.join("debug").join(name));
    shell::run(write.arg(module).arg(&package))?;

    let root = place::root();
    let ours = fs::read_dir(root.join(PACKAGE).join("npm")).context("the package has no source")?;
    for file in ours {
        copy(&file?.path(), &package)?;
    }
    copy(&root.join("LICENSE"), &package)?;
    let size = fs::metadata(package.join("engine_bg.wasm")).context("no engine was written")?.len();
    println!("    engine: {size} bytes, in {}", package.display());
    Ok(package)
}

/// The page with the package beside it, for any static server.
fn site(package: &Path) -> Result<PathBuf> {
    let site = shell::target_folder()?.join("web");
    if site.exists() {
        fs::remove_dir_all(&site).context("cannot remove the old page")?;
    }
    copy_all(&place::root().join("examples/web"), &site)?;
    copy_all(package, &site.join("secure-torch-wasm"))?;
    println!("    page: {}", site.display());
    Ok(site)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for file in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let file = file?.path();
        if file.is_dir() {
            copy_all(&file, &to.join(file.file_name().context("a folder has a name")?))?;
        } else {
            copy(&file, to)?;
        }
    }
    Ok(())
}

fn copy(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name))
        .map(drop)
        .with_context(|| format!("cannot copy `{}`", file.display()))
}

fn node() -> Result<PathBuf> {
    place::on_path("node").context("no node on the path: install Node 18 or newer")
}

fn npm() -> Result<PathBuf> {
    place::on_path("npm").context("no npm on the path: it comes with Node")
}

/// A Chromium: `$SECURE_TORCH_CHROMIUM`, or one on the path, or Debian's.
fn chromium(system_packages: bool) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("SECURE_TORCH_CHROMIUM") {
        return Ok(PathBuf::from(given));
    }
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = || names.iter().find_map(|name| place::on_path(name));
    if found().is_none() {
        env::debian_package("chromium", system_packages)?;
    }
    let Some(found) = found() else { bail!("no chromium on the path: install it") };
    Ok(found)
}
