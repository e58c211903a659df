//! `cargo xtask header`: makes `ffi/include/secure_torch.h` of the extern functions in `ffi/src`.
//!
//! cbindgen writes what the source says. The numbers of results and dtypes are put before it, from the
//! tables that hold them: `spec/errors.toml` and the core's dtypes. With `--check` nothing is written,
//! and a header that is not up to date fails the run.
//!
//! It refuses a function or type whose name does not start with `secure_torch_`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use secure_torch_core::checkpoint::Dtype;
use serde::Deserialize;

use crate::place;

const HEADER: &str = "ffi/include/secure_torch.h";

/// What a program that knows DLPack has from `dlpack.h`.
const DLPACK: &str =
    "\n// Of dlpack.h, 1.0 or later, where it is included.\nstruct DLManagedTensorVersioned;\n";

/// What `cargo xtask header` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail when the header is stale.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Deserialize)]
struct Errors {
    error: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    code: String,
    number: u32,
    message: String,
}

/// Makes the header, or with `--check` compares it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let path = place::root().join(HEADER);
    let text = text()?;
    let before = fs::read_to_string(&path).unwrap_or_default();
    if before == text {
        return Ok(());
    }
    if arguments.check {
        let same = before.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
        bail!("{HEADER} is stale from line {} on; run `cargo xtask header`", same + 1);
    }
    fs::write(&path, text).with_context(|| format!("cannot write {HEADER}"))?;
    println!("wrote {HEADER}");
    Ok(())
}

fn text() -> Result<String> {
    let folder = place::root().join("ffi");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))
        .map_err(|error| anyhow::anyhow!("cannot read ffi/cbindgen.toml: {error}"))?;
    config.after_includes = Some(results()? + &dtypes() + DLPACK);
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_crate(folder)
        .generate()
        .context("cbindgen cannot read `ffi/src`")?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = String::from_utf8(bytes).context("the header is not UTF-8")?;
    // A comment for people of Rust; the header says it once for all.
    let text = without_safety(&text);
    names(&text)?;
    Ok(text)
}

/// The sections `# Safety` of the source say to Rust what the header says for all at its top.
fn without_safety(text: &str) -> String {
    let mut out = String::new();
    let mut skipping = false;
    for line in text.lines() {
        skipping = (skipping || line.trim_end() == "// # Safety") && line.starts_with("//");
        if skipping {
            // The empty line of the comment that leads up to it.
            while out.ends_with("\n//\n") {
                out.truncate(out.len() - "//\n".len());
            }
        } else {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

fn results() -> Result<String> {
    let table = fs::read_to_string(place::root().join("spec/errors.toml"))?;
    let table: Errors = toml::from_str(&table).context("cannot parse spec/errors.toml")?;
    let mut text = String::new();
    writeln!(text, "\n// The numbers of results (spec/errors.toml). They are permanent.")?;
    writeln!(text, "\n// Done.\n#define SECURE_TORCH_RESULT_OK 0")?;
    for Row { code, number, message } in &table.error {
        let name = code.to_uppercase().replace('-', "_");
        writeln!(text, "// {message}\n#define SECURE_TORCH_RESULT_{name} {number}")?;
    }
    Ok(text)
}

fn dtypes() -> String {
    let mut text = String::from(
        "\n// The numbers of dtypes: those of c10::ScalarType. They are permanent.\n\n",
    );
    for dtype in Dtype::ALL {
        let name = dtype.name().to_uppercase();
        let _ = writeln!(text, "#define SECURE_TORCH_DTYPE_{name} {}", dtype.number());
    }
    text
}

fn names(header: &str) -> Result<()> {
    for line in header.lines() {
        let defined = line
            .strip_prefix("typedef struct ")
            .or_else(|| line.strip_prefix("typedef "))
            .map(|rest| rest.trim_end_matches([';', '{', ' ']))
            .and_then(|rest| rest.split_whitespace().last());
        if let Some(name) = defined {
            let ours = name.starts_with("secure_torch_");
            ensure!(ours, "the header defines `{name}`: give it a name in ffi/cbindgen.toml");
        }
    }
    Ok(())
}
