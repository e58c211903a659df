//! The step of `cargo xtask test` about the C ABI: its header, its libraries, and the C tests of them.
//!
//! The libraries are installed below the target folder in the dev profile, and every program is built
//! against what was installed. The tests run as they are, linked statically, under AddressSanitizer with
//! UBSan, under Valgrind, and under ThreadSanitizer with the Rust side instrumented as well; a race that
//! is made on purpose shows that the last would tell.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::install::{self, Arguments};
use crate::{env, header, place, shell};

/// A published model that the tests walk: small, and a `state_dict` in the legacy layout.
const MODEL: &str = "lpips_models/alex.pth";

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Runs the step.
pub(crate) fn test(system_packages: bool, skips: &mut env::Skips) -> Result<()> {
    header::run(&header::Arguments { check: true })?;
    let python = env::venv(system_packages)?;
    let cmake = python.with_file_name("cmake");
    let folder = shell::target_folder()?.join("c");
    let prefix = folder.join("prefix");
    if prefix.exists() {
        fs::remove_dir_all(&prefix)?;
    }
    let options = |prefix: &Path, libdir: &str| Arguments {
        prefix: prefix.to_path_buf(),
        libdir: libdir.into(),
        destdir: None,
        profile: "dev".to_owned(),
    };
    install::run(&options(&prefix, "lib"))?;
    exports(&prefix)?;

    let example = folder.join("example.c");
    fs::write(&example, documented()?)?;
    let model = model();
    if let Err(error) = &model {
        skips.add("a published model in C", error);
    }
    let model = model.ok();
    let tests =
        Tests { cmake: &cmake, prefix: &prefix, example: &example, model: model.as_deref() };
    tests.run(&folder.join("shared"), "secure_torch", "")?;
    tests.run(&folder.join("static"), "static", "")?;
    tests.run(&folder.join("asan"), "static", "address,undefined")?;
    outside(&cmake, &folder, &example, |prefix| install::run(&options(prefix, "lib/odd/place")))?;
    if let Err(error) = valgrind(&folder, model.as_deref(), system_packages) {
        // What it found is a failure; that it is not there is not.
        if place::on_path("valgrind").is_some() {
            return Err(error);
        }
        skips.add("valgrind", &error);
    }
    if let Err(error) = rust_source() {
        skips.add("thread sanitizer", &error);
        return Ok(());
    }
    threads(&tests, &folder)
}

struct Tests<'t> {
    cmake: &'t Path,
    prefix: &'t Path,
    example: &'t Path,
    model: Option<&'t Path>,
}

impl Tests<'_> {
    fn run(&self, folder: &Path, link: &str, sanitize: &str) -> Result<()> {
        self.build(folder, link, sanitize)?;
        let mut ctest = shell::command(self.cmake.with_file_name("ctest"));
        ctest.args(["--output-on-failure", "--no-tests=error", "--test-dir"]).arg(folder);
        let output = ctest.env("UBSAN_OPTIONS", "print_stacktrace=1").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(output.status.success(), "C tests ({name}): {}\n{said}", output.status);
        let summary = said.lines().find(|line| line.contains("tests passed")).unwrap_or("");
        println!("    {name}: {}", summary.trim());
        Ok(())
    }

    fn build(&self, folder: &Path, link: &str, sanitize: &str) -> Result<()> {
        let mut configure = shell::command(self.cmake);
        configure.arg("-S").arg(place::root().join("ffi/tests")).arg("-B").arg(folder);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display()));
        configure.args([format!("-DLINK={link}"), format!("-DSANITIZE={sanitize}")]);
        configure.arg(format!("-DEXAMPLE={}", self.example.display()));
        let model = self.model.map(|model| model.display().to_string()).unwrap_or_default();
        shell::read(configure.arg(format!("-DMODEL={model}")))?;
        shell::read(shell::command(self.cmake).arg("--build").arg(folder).args(["-j", "2"]))?;
        Ok(())
    }
}

/// The shared library exports the functions of the header, and nothing else.
fn exports(prefix: &Path) -> Result<()> {
    let library = prefix.join("lib/libsecure_torch.so");
    let listed = shell::read(shell::command("nm").args(["-D", "--defined-only"]).arg(&library))?;
    let mut found: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let header = fs::read_to_string(prefix.join("include/secure_torch.h"))?;
    let comment = |line: &str| line.starts_with("//") || line.starts_with('*');
    let declared = header.lines().filter(|line| !comment(line.trim_start()));
    let mut wanted: Vec<&str> = declared
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("secure_torch_"))
        .collect();
    found.sort_unstable();
    wanted.sort_unstable();
    for name in &found {
        ensure!(wanted.contains(name), "the shared library exports `{name}` beside the header");
    }
    ensure!(found == wanted, "the header declares functions that the library does not have");
    let soname = shell::read(shell::command("readelf").arg("-d").arg(&library))?;
    ensure!(soname.contains("[libsecure_torch.so.0]"), "the soname is another");
    println!("    {} functions are exported, and nothing else", found.len());
    Ok(())
}

/// The first C program of `docs/c.md`, as it stands there.
fn documented() -> Result<String> {
    let text = fs::read_to_string(place::root().join("docs/c.md"))?;
    let program = text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(program.context("docs/c.md has no program in C")?.to_owned())
}

fn model() -> Result<PathBuf> {
    let folder = place::inputs()?;
    let index =
        fs::read_to_string(folder.join("index.json")).context("run `cargo xtask inputs`")?;
    let index: serde_json::Value =
        serde_json::from_str(&index).context("index.json is not json")?;
    let mut strings = Vec::new();
    collect(&index, &mut strings);
    let found = strings.into_iter().find(|text| text.ends_with(MODEL));
    let found = PathBuf::from(found.with_context(|| format!("`{MODEL}` is not there"))?);
    let found = if found.is_absolute() { found } else { folder.join(found) };
    ensure!(found.is_file(), "`{MODEL}` is not there");
    Ok(found)
}

/// Every text that stands under a key `path`.
fn collect<'v>(value: &'v serde_json::Value, strings: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, strings)),
        serde_json::Value::Object(fields) => {
            strings.extend(fields.get("path").and_then(serde_json::Value::as_str));
            fields.values().for_each(|item| collect(item, strings));
        }
        _ => {}
    }
}

/// A project of somebody else's, against a prefix that was moved after it was installed.
fn outside(
    cmake: &Path,
    folder: &Path,
    example: &Path,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = folder.join("outside");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    install(&folder.join("first"))?;
    let prefix = folder.join("moved");
    fs::rename(folder.join("first"), &prefix)?;
    let project = folder.join("project");
    fs::create_dir_all(&project)?;
    fs::copy(example, project.join("main.c"))?;
    let lists = "ffi/tests/outside/CMakeLists.txt";
    fs::copy(place::root().join(lists), project.join("CMakeLists.txt"))?;

    let library = prefix.join("lib/odd/place");
    let build = folder.join("build");
    let mut configure = shell::command(cmake);
    configure.arg("-S").arg(&project).arg("-B").arg(&build);
    shell::read(
        configure.arg(format!("-Dsecure_torch_DIR={}/cmake/secure_torch", library.display())),
    )?;
    shell::read(shell::command(cmake).arg("--build").arg(&build))?;
    let mut programs = vec![build.join("shared"), build.join("static")];
    if place::on_path("pkg-config").is_some() {
        for kind in ["shared", "static"] {
            let program = folder.join(format!("pkg-config-{kind}"));
            let mut compile = shell::command("cc");
            compile.arg("-std=c99").arg(project.join("main.c")).arg("-o").arg(&program);
            compile.args(flags(&library, kind == "static")?);
            shell::read(&mut compile)?;
            programs.push(program);
        }
    }
    let file = folder.join("evil.pkl");
    fs::write(&file, "cposix\nsystem\n(S'echo hello'\ntR.")?;
    for program in &programs {
        let mut run = Command::new(program);
        let output = run.arg(&file).env("LD_LIBRARY_PATH", &library).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let blocked =
            output.status.code() == Some(1) && said.contains("is blocked: the threat score 80 ");
        ensure!(blocked, "`{}` let a hostile file through: {said}", program.display());
    }
    println!(
        "    outside: {} programs, by CMake and pkg-config, in a moved prefix",
        programs.len()
    );
    Ok(())
}

/// What pkg-config says, the static library by its own name.
fn flags(library: &Path, is_static: bool) -> Result<Vec<String>> {
    let mut ask = shell::command("pkg-config");
    ask.env("PKG_CONFIG_PATH", library.join("pkgconfig"));
    ask.args(if is_static { ["--static"].as_slice() } else { &[] });
    let said = shell::read(ask.args(["--cflags", "--libs", "secure_torch"]))?;
    let own = |flag: &str| match flag {
        "-lsecure_torch" if is_static => "-l:libsecure_torch.a".to_owned(),
        flag => flag.to_owned(),
    };
    Ok(said.split_whitespace().map(own).collect())
}

fn valgrind(folder: &Path, model: Option<&Path>, system_packages: bool) -> Result<()> {
    if place::on_path("valgrind").is_none() {
        env::debian_package("valgrind", system_packages)?;
    }
    let built = folder.join("shared");
    let file = built.join("valgrind.safetensors").into_os_string();
    let mut runs = vec![("api", vec![file]), ("errors", vec![])];
    if let Some(model) = model {
        runs.push(("walk", vec![model.as_os_str().to_owned()]));
    }
    for (name, arguments) in &runs {
        let mut run = shell::command("valgrind");
        // The pool of threads stays until the process ends, and is reachable.
        run.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
        run.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]);
        shell::run(run.arg(built.join(name)).args(arguments))?;
    }
    println!("    valgrind: {} programs, no error", runs.len());
    Ok(())
}

/// The source of the standard library, which has to be instrumented too.
fn rust_source() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("the standard library is instrumented on Linux on x86-64 only");
    }
    let sysroot = shell::read(shell::command("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").is_dir() {
        return Ok(());
    }
    shell::read(shell::command("rustup").args(["component", "add", "rust-src"])).map(drop)
}

/// Eight threads under ThreadSanitizer, and two of them in a race.
fn threads(tests: &Tests<'_>, folder: &Path) -> Result<()> {
    let target = folder.join("tsan-rust");
    let mut build = shell::cargo();
    build.args(["build", "--quiet", "--package", "secure-torch-ffi", "--target", TRIPLE]);
    // The pinned toolchain, which takes its unstable options when it is told to ("bootstrap" in the
    // unstable book): a nightly would be another compiler.
    build.args(["-Zbuild-std=std,panic_unwind"]).env("RUSTC_BOOTSTRAP", "1");
    // Few bytes are read, and many crates compiled.
    for crates in ["profile.dev.opt-level=0", "profile.dev.package.\"*\".opt-level=0"] {
        build.args(["--config", crates]);
    }
    build.env("RUSTFLAGS", "-Zsanitizer=thread").env("CARGO_TARGET_DIR", &target);
    shell::run(build.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only"))?;
    let prefix = folder.join("tsan-prefix");
    let library = prefix.join("lib/libsecure_torch.a");
    shell::read(shell::command("cp").args(["-rT"]).arg(tests.prefix).arg(&prefix))?;
    let built = target.join(TRIPLE).join("debug/libsecure_torch_ffi.a");
    fs::copy(built, library).context("cannot copy the instrumented library")?;

    let built = folder.join("tsan");
    let tests = Tests { prefix: &prefix, ..*tests };
    tests.build(&built, "static", "thread")?;
    let run = |race: &[&str]| {
        let mut run = Command::new(built.join("threads"));
        run.arg(built.join("threads.safetensors")).args(race);
        run.env("TSAN_OPTIONS", "halt_on_error=1:exitcode=66").output()
    };
    let calm = run(&[])?;
    let said = String::from_utf8_lossy(&calm.stderr);
    ensure!(calm.status.success(), "eight threads: {}\n{said}", calm.status);
    // The first race is in memory that the library gave out, the second in its own code.
    for race in ["write", "set"] {
        let raced = run(&[race])?;
        let said = String::from_utf8_lossy(&raced.stderr);
        let told = raced.status.code() == Some(66) && said.contains("data race");
        ensure!(told, "the race `{race}` was not told: {}", raced.status);
    }
    println!("    tsan: eight threads, no race; two on purpose are told");
    Ok(())
}
