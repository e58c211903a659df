//! The command line: what may be asked, and how the help explains it.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secure_torch::GlobalName;
use secure_torch::report::RulesInfo;

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
  secure-torch trace model.pt                    list the pickle's opcodes, annotated
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

Exit codes:
  0  every file is allowed
  1  at least one file is blocked, whether or not others could not be judged
  2  no file is blocked, but something could not be judged";

const TRACE_EXAMPLES: &str = "\
Examples:
  secure-torch trace model.pkl
  secure-torch trace model.pt --member archive/data.pkl
  secure-torch trace model.pt --json | jq 'select(.notes | length > 0)'";

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

/// `scan`
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files and folders to judge; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// How to print the reports; JSON follows spec/report.schema.json
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// Print one line per blocked file and nothing else
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Print full reports for allowed files too, and every finding
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The parts of the policy that the command line sets.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// The highest score that is let through, 0 to 100
    ///
    /// The default of 20 allows SAFE, LOW and lower MEDIUM (16-20); 21-35 are MEDIUM and
    /// blocked, HIGH and CRITICAL are blocked.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) max_threat_score: Option<u8>,

    /// Allow one more global, exactly as the pickle names it (repeatable)
    ///
    /// The last dot separates the module from the name; write MODULE:NAME where the name itself
    /// holds dots. A global that the rules call dangerous stays dangerous.
    #[arg(long, value_name = "MODULE.NAME", value_parser = global_name)]
    pub(crate) allow: Vec<GlobalName>,
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

    /// Allow one more global, exactly as the pickle names it (repeatable)
    #[arg(long, value_name = "MODULE.NAME", value_parser = global_name)]
    pub(crate) allow: Vec<GlobalName>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
