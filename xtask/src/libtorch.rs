//! The step of `cargo xtask test` about C++: the layer over the C library, the one over libtorch, the
//! examples of `docs/cpp.md`, and the example server.
//!
//! All of it is one CMake project, `ffi/tests/cpp`, against what `cargo xtask install` puts below a prefix,
//! as any program outside of this tree would be. What needs libtorch uses the libraries and headers of the torch in the cache (`torch.rs`); where that cannot be
//! had, the rest is built and run, and the skip is told.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{env, install, place, shell, torch};

/// Runs the step.
pub(crate) fn test(system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    let python = env::venv(system_packages)?;
    for check in [["check", "--quiet"], ["format", "--check"]] {
        let mut ruff = shell::command(&python);
        ruff.args(["-m", "ruff"]).args(check).args(["--config", "tests/python/pyproject.toml"]);
        shell::run(ruff.args(["--no-cache", "ffi/tests/cpp", "examples/libtorch-server"]))?;
    }
    for (program, package) in [("c++", "g++"), ("curl", "curl")] {
        if place::on_path(program).is_none() {
            env::debian_package(package, system_packages)?;
        }
    }
    let folder = shell::target_folder()?.join("cpp");
    fs::create_dir_all(&folder).context("cannot make a folder for the C++ tests")?;
    let prefix = installed(&folder)?;
    let examples = examples(&folder)?;
    let torch = match needs(system_packages) {
        Ok(torch) => Some(torch),
        Err(error) => {
            skips.add("libtorch", &error);
            None
        }
    };
    let build = build(&folder, &prefix, &examples, torch.as_deref())?;
    run(&build, &python, torch.is_some(), skips)
}

/// The folder of torch, once everything that is built with it is there.
fn needs(system_packages: bool) -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("libtorch is linked on Linux on x86-64 only");
    }
    if !Path::new("/usr/include/boost/beast.hpp").is_file() {
        env::debian_package("libboost-dev", system_packages)?;
    }
    Ok(torch::join_venv()?.join("torch"))
}

/// Installs the library of the dev profile, which everything here is built against.
fn installed(folder: &Path) -> Result<PathBuf> {
    let prefix = folder.join("prefix");
    install::run(&install::Arguments {
        prefix: prefix.clone(),
        libdir: "lib".into(),
        destdir: None,
        profile: "dev".to_owned(),
    })?;
    Ok(prefix)
}

/// Takes the examples out of `docs/cpp.md`, word for word.
fn examples(folder: &Path) -> Result<PathBuf> {
    let into = folder.join("examples");
    fs::create_dir_all(&into)?;
    let text = fs::read_to_string(place::root().join("docs/cpp.md"))?;
    let mut found = 0;
    for part in text.split("<!-- compiled: ").skip(1) {
        let block = part.split_once(" -->\n```cpp\n").and_then(|(name, rest)| {
            rest.split_once("```\n").map(|(code, _)| (into.join(name), code))
        });
        let (file, code) = block.context("an example of docs/cpp.md is no block of C++")?;
        // A file that is the same is not written: it would be compiled again.
        if fs::read_to_string(&file).ok().as_deref() != Some(code) {
            fs::write(file, code)?;
        }
        found += 1;
    }
    ensure!(found == 2, "docs/cpp.md has {found} examples that are marked to be compiled");
    Ok(into)
}

/// Configures and builds; gives the folder of the programs.
fn build(folder: &Path, prefix: &Path, examples: &Path, torch: Option<&Path>) -> Result<PathBuf> {
    let tools = place::venv_python().parent().context("no .venv")?.to_path_buf();
    let into = folder.join("build");
    let define = |name: &str, path: &Path| format!("-D{name}={}", path.display());
    let mut configure = shell::command(tools.join("cmake"));
    configure.args(["-S", "ffi/tests/cpp", "-G", "Ninja", "--log-level=WARNING", "-B"]).arg(&into);
    configure.arg(define("CMAKE_MAKE_PROGRAM", &tools.join("ninja")));
    configure.arg(define("CMAKE_PREFIX_PATH", prefix));
    configure.arg(define("SECURE_TORCH_EXAMPLES", examples));
    configure.arg(define("SECURE_TORCH_LIBTORCH_DIR", torch.unwrap_or(Path::new(""))));
    shell::run(&mut configure)?;
    let mut ninja = shell::command(tools.join("ninja"));
    shell::run(ninja.arg("--quiet").arg("-C").arg(&into))?;
    Ok(into)
}

fn run(build: &Path, python: &Path, torch: bool, skips: &mut env::Skips) -> Result<()> {
    for test in ["cpp_api", "cpp_api_without_exceptions", "cpp_api_sanitized"] {
        shell::run(&mut shell::command(build.join(test)))?;
    }
    if !torch {
        return Ok(());
    }
    let reference = build.join("reference");
    fs::create_dir_all(&reference)?;
    let inputs = place::inputs()?;
    let mut script = shell::command(python);
    script.args(["-W", "ignore", "ffi/tests/cpp/libtorch/reference.py"]);
    shell::run(script.arg(&reference).arg(&inputs))?;
    let programs = build.join("libtorch");
    let said = shell::read(shell::command(programs.join("libtorch_tests")).arg(&reference))?;
    // Without a CUDA device, one line says that moving there was compiled and not run.
    said.lines().for_each(|line| println!("    {line}"));
    let weights = inputs.join("facenet_pytorch-2.6.0/facenet_pytorch/data/pnet.pt");
    if !weights.is_file() {
        let error = anyhow::anyhow!("no real inputs: run `cargo xtask inputs`");
        skips.add("the example server and the examples of docs/cpp.md", &error);
        return Ok(());
    }
    for (example, wanted) in [
        (build.join("cpp_example"), "conv4_2.bias: float32, 4 elements"),
        (programs.join("libtorch_example"), "filled; 0 missing, 11 unexpected\n[1, 10, 6, 6]"),
    ] {
        let said = shell::read(shell::command(&example).arg(&weights))?;
        ensure!(said.contains(wanted), "{} said: {said}", example.display());
    }
    let mut pytest = shell::command(python);
    pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "examples/libtorch-server/tests"]);
    pytest.env("LIBTORCH_SERVER", programs.join("libtorch-server/libtorch-server"));
    shell::run(pytest.env("SECURE_TORCH_INPUTS", inputs).env("PYTHONDONTWRITEBYTECODE", "1"))
}
