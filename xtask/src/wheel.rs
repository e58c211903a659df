//! The steps of `cargo xtask test` about the Python package: its wheel, tested as it is installed,
//! and its types.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{env, place, shell, torch};

const PACKAGE: &str = "bindings/python";

/// Builds the wheel, installs it where nothing else is, and runs its tests there: without torch,
/// then with it.
pub(crate) fn wheel(system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    let python = env::venv(system_packages)?;
    let target = shell::target_folder()?;
    let wheel = build(&python, &target.join("wheels"))?;
    let installed = install(&python, &wheel, &target.join("wheel-venv"))?;

    // With `-I`, nothing is there but the standard library and the wheel.
    let alone = "import secure_torch, sys; assert secure_torch.load(b'\\x80\\x02}.') == {}; \
                 assert not {'torch', 'numpy'} & set(sys.modules)";
    shell::run(shell::command(&installed).args(["-I", "-c", alone]))?;
    shell::read(shell::command(script(&installed)).arg("--version"))?;

    let packages = env::site_packages(&python)?;
    test(&installed, &[&packages], &["test_report.py", "test_numpy.py"])?;
    match torch::folder() {
        Ok(torch) => test(&installed, &[&packages, &torch], &["."]),
        Err(error) => {
            skips.add("torch", &error);
            Ok(())
        }
    }
}

/// Checks the package's types, and its stubs against the native half.
pub(crate) fn types(system_packages: bool) -> Result<()> {
    let python = env::venv(system_packages)?;
    let package = place::root().join(PACKAGE);
    let cache = shell::target_folder()?.join("mypy");
    let mut mypy = shell::command(&python);
    mypy.current_dir(&package).args(["-m", "mypy", "--cache-dir"]).arg(&cache);
    shell::run(&mut mypy)?;
    let installed = place::python_of(&shell::target_folder()?.join("wheel-venv"));
    if !installed.is_file() {
        bail!("the wheel is not installed: run `cargo xtask test wheel`");
    }
    let mut stubtest = shell::command(&python);
    stubtest.current_dir(&package).args(["-m", "mypy.stubtest", "secure_torch._native"]);
    shell::run(stubtest.env("PYTHONPATH", env::site_packages(&installed)?))
}

/// The wheel, in a folder that holds no other.
fn build(python: &Path, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove old wheels")?;
    }
    let mut maturin = shell::command(python);
    maturin.args(["-m", "maturin", "build", "--quiet", "--profile", "dev", "--manifest-path"]);
    maturin.arg(format!("{PACKAGE}/Cargo.toml")).arg("--out").arg(folder);
    shell::run(&mut maturin)?;
    let mut files = fs::read_dir(folder).context("no wheel was built")?;
    let file = files.next().context("no wheel was built")??;
    Ok(file.path())
}

/// An interpreter that has the wheel, and nothing else.
fn install(python: &Path, wheel: &Path, folder: &Path) -> Result<PathBuf> {
    let mut venv = shell::command(python);
    shell::read(venv.args(["-m", "venv", "--clear", "--without-pip"]).arg(folder))?;
    let installed = place::python_of(folder);
    let mut pip = shell::command(python);
    pip.args(["-m", "pip", "--python"]).arg(&installed);
    pip.args(["install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    shell::run(pip.args(["--no-deps", "--no-index"]).arg(wheel))?;
    Ok(installed)
}

fn test(python: &Path, paths: &[&Path], tests: &[&str]) -> Result<()> {
    let folder = place::root().join(PACKAGE).join("tests");
    let mut pytest = shell::command(python);
    pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--strict-markers"]);
    pytest.args(tests.iter().map(|test| folder.join(test)));
    let paths: OsString = std::env::join_paths(paths).context("odd path of a package")?;
    pytest.env("PYTHONPATH", paths).env("PYTHONDONTWRITEBYTECODE", "1");
    shell::run(pytest.env("SECURE_TORCH_INPUTS", place::inputs()?))
}

/// The command that the wheel brings, beside the interpreter that it was installed for.
fn script(python: &Path) -> PathBuf {
    python.with_file_name(format!("secure-torch{}", std::env::consts::EXE_SUFFIX))
}
