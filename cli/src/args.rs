//! The command line: what may be asked, and how the help explains it.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secure_torch::core::limits::Limits;
use secure_torch::report::RulesInfo;
use secure_torch::{GlobalName, Policy};

/// The version line names the rules too: the same command with other rules judges otherwise.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let rules = RulesInfo::CURRENT;
    format!("{}\nrules {}\nrules sha256 {}", env!("CARGO_PKG_VERSION"), rules.version, rules.sha256)
});

static SHORT_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (rules {})", env!("CARGO_PKG_VERSION"), RulesInfo::CURRENT.version)
});

const ABOUT: &str = "\
Judges PyTorch model files before anything loads them.

A model file is often a program: unpickling one may import any module and call anything in it. \
secure-torch reads the file as data, names every import and call that an unpickler could be \
asked for, scores what it finds by published rules, and allows or blocks the file. Nothing of \
the file is ever executed, imported or built.";

const EXAMPLES: &str = "\
Examples:
  secure-torch scan model.pt                     judge one file
  secure-torch scan models/                      judge every file below a folder
  secure-torch scan - < model.pt                 judge standard input
  secure-torch scan --format json *.pt           one JSON object, for pipelines
  secure-torch scan --allow my_app.Config m.pkl  vouch for one global, exactly
  secure-torch scan --limit archive.depth=2 m.pt set a limit by its name
  secure-torch trace model.pt                    list the pickle's opcodes, annotated
  secure-torch inspect model.pt                  the tensors in it: names, types, shapes, sizes
  secure-torch convert model.pt out.safetensors  keep the tensors in a format that runs nothing
  secure-torch rules                             every rule, its points and its reason
  secure-torch rules explain posix.system        why a global is judged as it is

Exit codes:
  0  every file is allowed
  1  at least one file is blocked
  2  no file is blocked, but something could not be judged, or the command was misused";

const SCAN_EXAMPLES: &str = "\
Examples:
  secure-torch scan model.pt
  secure-torch scan --quiet models/ && start-server     a gate in a script
  secure-torch scan --max-threat-score 15 model.pt      a stricter gate: SAFE and LOW only
  secure-torch scan --allow sklearn.svm._classes.SVC --allow my_app:Outer.Inner model.pkl
  secure-torch scan --limit archive.depth=2 --limit pickle.globals=1000 model.pt
  secure-torch scan --policy ci.toml models/            obey this file and no other
  secure-torch scan --format sarif --output scan.sarif models/   a file for code scanning

Exit codes:
  0  every file is allowed
  1  at least one file is blocked, whether or not others could not be judged
  2  no file is blocked, but something could not be judged";

const TRACE_EXAMPLES: &str = "\
Examples:
  secure-torch trace model.pkl
  secure-torch trace model.pt --member archive/data.pkl
  secure-torch trace model.pt --json | jq 'select(.notes | length > 0)'";

const CONVERT_EXAMPLES: &str = "\
Examples:
  secure-torch convert model.pt model.safetensors
  secure-torch convert checkpoint.pt weights.safetensors --key state_dict
  secure-torch convert checkpoint.pt weights.safetensors --drop-rest
  secure-torch convert - out.safetensors < model.bin

Exit codes:
  0  the file was written, and read back as it was read
  1  the file to convert is blocked; nothing was written
  2  nothing was written for another reason";

const INSPECT_EXAMPLES: &str = "\
Examples:
  secure-torch inspect model.pt
  secure-torch inspect --depth 1 checkpoint.pt          the first keys alone
  secure-torch inspect --format json model.pt | jq '.entries[] | select(.tensor) | .path'
  secure-torch inspect --audit-only suspicious.pt       what a blocked file holds

Exit codes:
  0  the file is allowed, and was listed
  1  the file is blocked
  2  the file could not be judged, or holds what is not read without running it";

const POLICY_EXAMPLES: &str = "\
Examples:
  secure-torch policy check                       validate the file that is in force here
  secure-torch policy check models/               which line decides what for each file
  secure-torch policy check --policy ci.toml models/a.pt

Exit codes are those of scan; a policy that is not valid is 2.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "secure-torch",
    version = SHORT_VERSION.as_str(),
    long_version = VERSION.as_str(),
    about = "Judge PyTorch model files before anything loads them",
    long_about = ABOUT,
    after_help = EXAMPLES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colour; NO_COLOR, CLICOLOR and CLICOLOR_FORCE are honoured
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub(crate) color: When,
}

/// When to do something that suits a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless the environment says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge files: a report for each, and an exit code for the gate
    #[command(after_help = SCAN_EXAMPLES)]
    Scan(ScanArgs),
    /// List the opcodes of a file's pickles, with the stack, the imports and the findings
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// List what a file holds: names, types, shapes, sizes, shared storages
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Write the tensors of a file to a safetensors file, without running anything of it
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Validate a policy file, and explain what it decides
    Policy(PolicyCommandArgs),
    /// Print the rules: points, reasons, families, levels, limits
    Rules(RulesArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, of the command or of one subcommand
    Man(ManArgs),
    /// Report the globals of many pickle streams; an interface for tests
    #[command(hide = true)]
    Globals(GlobalsArgs),
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// How the reports of a scan are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanFormat {
    /// For people.
    Text,
    /// One line for each file, and the totals.
    Table,
    /// A summary for a pull request.
    Markdown,
    /// One JSON object, as spec/report.schema.json describes it.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit XML, for test reports.
    Junit,
}

/// `scan`
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files and folders to judge; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// How to print the reports
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,

    /// Write the reports in that format to a file, and print the text report beside it
    ///
    /// The file is written whole or not at all. A file that is judged is never written to.
    #[arg(long, value_name = "FILE", value_parser = output_file)]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// Print one line per blocked file and nothing else
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print a full report for every file, allowed ones too, with every finding
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The parts of the policy that decide whether a file is let through.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// The highest score that is let through, 0 to 100
    ///
    /// The default of 20 allows SAFE, LOW and lower MEDIUM (16-20); 21-35 are MEDIUM and
    /// blocked, HIGH and CRITICAL are blocked.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) max_threat_score: Option<u8>,

    /// Obey this policy file, and look for no other
    ///
    /// Without it, the nearest `secure-torch.toml` counts that lies in the working directory or
    /// above it, and above what is judged. The other switches win over the file.
    #[arg(long, value_name = "FILE", conflicts_with = "no_policy")]
    pub(crate) policy: Option<PathBuf>,

    /// Obey no policy file
    #[arg(long)]
    pub(crate) no_policy: bool,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// `policy`
#[derive(Debug, Args)]
pub(crate) struct PolicyCommandArgs {
    /// What to do with policies.
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Validate a policy file; with paths, explain which line decides what
    #[command(after_help = POLICY_EXAMPLES)]
    Check(CheckArgs),
}

/// `policy check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files and folders to judge; without any, the policy file alone is validated
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The policy file, instead of the one that would be found
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// How to print the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// The parts of the policy that every reading of a file obeys.
#[derive(Debug, Args)]
pub(crate) struct ReadingArgs {
    /// Allow one more global, exactly as the pickle names it (repeatable)
    ///
    /// The last dot separates the module from the name; write MODULE:NAME where the name itself
    /// holds dots. A global that the rules call dangerous stays dangerous.
    #[arg(long, value_name = "MODULE.NAME", value_parser = global_name)]
    pub(crate) allow: Vec<GlobalName>,

    /// Set a limit of the judgement (repeatable); `secure-torch rules` lists them
    ///
    /// The value is a whole number; underscores between its digits are ignored. A higher limit
    /// costs memory and time, a lower one blocks sooner.
    #[arg(long, value_name = "NAME=VALUE", value_parser = limit)]
    pub(crate) limit: Vec<(String, u64)>,
}

impl ReadingArgs {
    /// The default policy with these parts set.
    pub(crate) fn policy(&self) -> Policy {
        self.over(Policy::default())
    }

    /// A policy with these parts set over its own.
    pub(crate) fn over(&self, mut policy: Policy) -> Policy {
        policy.allow.extend(self.allow.iter().cloned());
        for (name, value) in &self.limit {
            // The parser has tried it: name and value are those of a limit.
            policy.limits.set(name, *value);
        }
        policy
    }
}

/// `trace`
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The file whose pickles are listed; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// List only this pickle of an archive, named as in a report
    #[arg(long, value_name = "PATH")]
    pub(crate) member: Option<String>,

    /// Print one JSON object per instruction
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// `inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The file to list; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// How to print the list
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// List no more than this many keys deep; the totals count everything
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u32>,

    /// List what a blocked file holds, too
    ///
    /// The list is read as data either way. The exit code of a blocked file stays 1.
    #[arg(long)]
    pub(crate) audit_only: bool,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

/// `convert`
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The file to convert; `-` is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    /// The safetensors file to write; it is written whole or not at all
    #[arg(value_name = "OUT", value_parser = read_back_file)]
    pub(crate) output: PathBuf,

    /// Convert the part under this key alone; keys are joined by dots
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Leave out what is no tensor, such as numbers and texts, and say how much that was
    ///
    /// Without it, such values are an error. No tensor is ever left out.
    #[arg(long)]
    pub(crate) drop_rest: bool,

    /// Write a tensor that has several names once for each of them
    ///
    /// Without it, it is written under the first of its names, and the metadata says which other
    /// names stand for it, as `save_model` of the package safetensors does.
    #[arg(long)]
    pub(crate) duplicate_shared: bool,

    /// Replace OUT if it exists
    #[arg(long)]
    pub(crate) force: bool,

    /// Work on a copy of IN that nobody can change meanwhile
    #[arg(long)]
    pub(crate) sealed: bool,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

/// `rules`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RulesArgs {
    /// What to print instead of everything.
    #[command(subcommand)]
    pub(crate) only: Option<RulesCommand>,

    /// How to print the rules
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A part of the rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Explain a rule, a family or a limit, or judge a global
    Explain {
        /// A rule (pickle.extension), a family (os), a limit (archive.ratio), or a global
        /// (posix.system, module:Outer.Inner)
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The subcommand whose page is wanted
    #[arg(value_name = "SUBCOMMAND")]
    pub(crate) subcommand: Option<String>,
}

/// `globals`
#[derive(Debug, Args)]
pub(crate) struct GlobalsArgs {
    /// Read frames from standard input: a length as four little-endian bytes, then the stream
    #[arg(long, required = true)]
    pub(crate) stdin_frames: bool,
}

fn global_name(text: &str) -> Result<GlobalName, String> {
    text.parse::<GlobalName>().map_err(|_| "not MODULE.NAME or MODULE:NAME".to_owned())
}

/// Reads the name of a file to write to.
fn output_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("no name of a file".to_owned()),
        "-" => Err("without `--output`, the reports go to standard output".to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}

/// Reads the name of a file that is written and then read back.
fn read_back_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("what is written is read back, which standard output cannot be".to_owned()),
        text => output_file(text),
    }
}

/// Reads `NAME=VALUE` where it sets a limit.
fn limit(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    if !Limits::TABLE.iter().any(|(known, _, _)| *known == name) {
        return Err("no limit has that name; `secure-torch rules` lists them".to_owned());
    }
    // `parse` takes a sign, and no limit has one.
    let digits = Some(value.replace('_', "")).filter(|digits| !digits.starts_with('+'));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number) if Limits::default().set(name, number) => Ok((name.to_owned(), number)),
        _ => Err(format!("not a whole number that fits `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_limit_is_a_known_name_and_a_number_that_fits() {
        assert_eq!(limit("archive.depth=2"), Ok(("archive.depth".to_owned(), 2)));
        assert_eq!(limit("pickle.marks=65_536"), Ok(("pickle.marks".to_owned(), 65_536)));
        for bad in [
            "archive.depth",
            "depth=2",
            "archive.depth=",
            "archive.depth=-1",
            "archive.depth=+1",
            "archive.depth=4294967296",
            "archive.total_bytes=18446744073709551616",
        ] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_limit_of_the_table_can_be_set_unless_it_is_fixed() {
        for (name, value, _) in Limits::TABLE {
            let set = limit(&format!("{name}={value}"));
            if Limits::FIXED.contains(name) {
                assert!(set.is_err(), "{name}");
            } else {
                assert_eq!(set, Ok(((*name).to_owned(), *value)));
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
