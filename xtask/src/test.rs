//! `cargo xtask test`: everything that must hold, in one command.
//!
//! Installs what the tests need into ignored folders (see `env.rs`), runs every
//! step even after a failure, and closes with one table. The exit code is not
//! zero if a step failed, or if something was skipped and `CI=true`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::{capi, doors, env, inputs, libtorch, node, place, shell, torch, web, wheel};

/// Choices on the command line of `test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only the steps whose name contains one of these.
    steps: Vec<String>,
    /// Fetch and scan the large real inputs too.
    #[arg(long)]
    large: bool,
    /// May use the system's package manager (through `sudo` when not root).
    #[arg(long)]
    system_packages: bool,
}

type Action = fn(&Arguments, &mut env::Skips) -> Result<()>;

const STEPS: [(&str, Action); 18] = [
    ("format", |_, _| shell::run(shell::cargo().args(["fmt", "--all", "--check"]))),
    ("clippy", |_, _| {
        let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"];
        shell::run(shell::cargo().args(lints))
    }),
    ("spec", |_, _| own("spec")),
    ("vectors", |_, _| own("vectors")),
    ("bare core", bare_core),
    // Before the tests that read them.
    ("real inputs", |arguments, skips| {
        env::venv(arguments.system_packages)?;
        let found = inputs::collect(arguments.large, |_| true, skips)?;
        println!("    {} files in {}", found.len(), place::inputs()?.display());
        Ok(())
    }),
    ("rust tests", rust_tests),
    ("doc tests", |_, _| {
        shell::run(shell::cargo().args(["test", "--workspace", "--doc", "--quiet"]))
    }),
    ("command", |_, _| {
        shell::run(shell::cargo().args(["build", "--quiet", "--package", "secure-torch-cli"]))?;
        let listing = ["--package", "secure-torch", "--example", "zip_listing"];
        shell::run(shell::cargo().args(["build", "--quiet"]).args(listing))
    }),
    ("python lint", python_lint),
    ("python tests", python_tests),
    ("wheel", |arguments, skips| wheel::wheel(arguments.system_packages, skips)),
    // After the wheel, whose stubs it looks at.
    ("python types", |arguments, _| wheel::types(arguments.system_packages)),
    ("c abi", |arguments, skips| capi::test(arguments.system_packages, skips)),
    ("libtorch", |arguments, skips| libtorch::test(arguments.system_packages, skips)),
    ("node", |arguments, skips| node::test(arguments.system_packages, skips)),
    ("web", |arguments, skips| web::test(arguments.system_packages, skips)),
    // After all doors were built.
    ("doors", |arguments, skips| doors::test(arguments.system_packages, skips)),
];

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut skips = env::Skips::default();
    let mut done = Vec::new();
    for (name, action) in STEPS {
        let wanted = |part: &String| name.contains(part.as_str());
        if !arguments.steps.is_empty() && !arguments.steps.iter().any(wanted) {
            continue;
        }
        println!("==> {name}");
        let start = Instant::now();
        let result = action(arguments, &mut skips);
        if let Err(error) = &result {
            println!("    failed: {error:#}");
        }
        let taken = start.elapsed();
        println!("    {:.1} s", taken.as_secs_f32());
        done.push((name, result.is_ok(), taken));
    }
    close(&done, &skips)
}

fn close(done: &[(&str, bool, Duration)], skips: &env::Skips) -> Result<()> {
    println!("\n{:<14} {:<7} {:>8}", "step", "result", "seconds");
    for (name, passed, taken) in done {
        let result = if *passed { "passed" } else { "FAILED" };
        println!("{name:<14} {result:<7} {:>8.1}", taken.as_secs_f32());
    }
    let total: Duration = done.iter().map(|(_, _, taken)| *taken).sum();
    println!("{:<14} {:<7} {:>8.1}\n", "all", "", total.as_secs_f32());
    let failed = done.iter().filter(|(_, passed, _)| !passed).count();
    let closing = skips.close();
    if done.is_empty() {
        bail!("no step has such a name");
    }
    if failed > 0 {
        bail!("{failed} of {} steps failed", done.len());
    }
    closing
}

/// A chore of ours that compares committed files with what makes them.
fn own(chore: &str) -> Result<()> {
    let xtask = std::env::current_exe().context("cannot find this program")?;
    shell::run(shell::command(xtask).args([chore, "--check"]))
}

/// The core without features, where there is no standard library to lean on.
fn bare_core(_: &Arguments, skips: &mut env::Skips) -> Result<()> {
    for target in env::BARE_TARGETS {
        if let Err(error) = env::rust_target(target) {
            skips.add(target, &error);
            continue;
        }
        let mut build = shell::cargo();
        build.args(["build", "--quiet", "--package", "secure-torch-core", "--no-default-features"]);
        shell::run(build.args(["--target", target]))?;
        println!("    {target}: builds");
    }
    Ok(())
}

fn rust_tests(_: &Arguments, skips: &mut env::Skips) -> Result<()> {
    let mut tests = if env::has_nextest() {
        let quiet = ["--status-level=fail", "--final-status-level=slow", "--no-fail-fast"];
        let mut nextest = env::nextest();
        nextest.args(["run", "--workspace", "--cargo-quiet"]).args(quiet);
        nextest
    } else {
        println!("    note: no cargo-nextest here, so `cargo test` runs the same tests");
        let mut test = shell::cargo();
        test.args(["test", "--quiet", "--workspace", "--lib", "--bins", "--tests"]);
        test.arg("--no-fail-fast");
        test
    };
    // Without them these have nothing to read and pass all the same.
    let inputs = place::inputs()?;
    if inputs.join("index.json").is_file() {
        tests.env("SECURE_TORCH_ARCHIVES", &inputs).env("SECURE_TORCH_INPUTS", inputs);
    } else {
        for test in ["honest_archives_are_quiet", "real_models_are_judged_alike_or_refused"] {
            skips.add(test, &anyhow!("no real inputs: run `cargo xtask inputs`"));
        }
    }
    shell::run(&mut tests)
}

fn python_lint(arguments: &Arguments, _: &mut env::Skips) -> Result<()> {
    let python = env::venv(arguments.system_packages)?;
    for check in [["check", "--quiet"], ["format", "--check"]] {
        let mut ruff = shell::command(&python);
        let folders = ["tests/python", "bindings/python"];
        shell::run(ruff.args(["-m", "ruff"]).args(check).arg("--no-cache").args(folders))?;
        // These have no settings of their own.
        let mut ruff = shell::command(&python);
        ruff.args(["-m", "ruff"]).args(check).args(["--no-cache", "--config"]);
        ruff.arg("tests/python/pyproject.toml").args(["bindings/node", "ffi", "examples"]);
        shell::run(&mut ruff)?;
    }
    Ok(())
}

fn python_tests(arguments: &Arguments, skips: &mut env::Skips) -> Result<()> {
    let python = env::venv(arguments.system_packages)?;
    if let Err(error) = torch::join_venv() {
        skips.add("torch", &error);
    }
    let records = match torch::records() {
        Ok(program) => program.into_os_string(),
        Err(error) => {
            skips.add("libtorch's archive reader", &error);
            OsString::new()
        }
    };
    let mut pytest = shell::command(python);
    pytest.args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "tests/python"]);
    shell::run(pytest.envs(python_environment()?).env("SECURE_TORCH_RECORDS", records))
}

/// What the Python tests are told through the environment.
fn python_environment() -> Result<BTreeMap<&'static str, OsString>> {
    let pythons = env::pythons().into_iter().map(|(_, python)| python);
    Ok(BTreeMap::from([
        ("SECURE_TORCH_BIN", built_command()?.into_os_string()),
        ("SECURE_TORCH_INPUTS", place::inputs()?.into_os_string()),
        ("SECURE_TORCH_PYTHONS", std::env::join_paths(pythons).context("odd path of a python")?),
        ("SECURE_TORCH_ZIP_LISTING", zip_listing()?.into_os_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
    ]))
}

/// The example that says what the `zip` crate sees.
fn zip_listing() -> Result<PathBuf> {
    let name = format!("zip_listing{}", std::env::consts::EXE_SUFFIX);
    let file = shell::target_folder()?.join("debug/examples").join(name);
    if !file.is_file() {
        bail!("the example `zip_listing` was not built");
    }
    Ok(file)
}

/// The `secure-torch` command of the dev profile.
pub(crate) fn built_command() -> Result<PathBuf> {
    let name = format!("secure-torch{}", std::env::consts::EXE_SUFFIX);
    let file = shell::target_folder()?.join("debug").join(name);
    if !file.is_file() {
        bail!("the `secure-torch` command was not built");
    }
    Ok(file)
}
