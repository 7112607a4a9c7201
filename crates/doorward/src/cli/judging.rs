//! What is judged and by what: texts, policies, rules.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A file of JSON Lines, `-` for standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Only rules of this name; `*` stands for anything
    #[arg(long, value_name = "RULE")]
    pub rule: Option<String>,
    /// How often each example is changed in each way
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub times: u32,
    /// Another number gives other changes; the same gives the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Write changed rules that see what was missed to a new file, a rule file that nothing reads until a person has read it;
    /// with --watch the file is kept up to date
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// Go on until interrupted, slowly, and say each way around a rule once
    #[arg(long)]
    pub watch: bool,
    /// JSON: one document, or with --watch one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say everything that is wrong with a policy
    Check {
        /// Policy files that are in force together; without any, this home's policy.yaml
        files: Vec<PathBuf>,
        /// Warnings are errors
        #[arg(long)]
        strict: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say of one action which rules apply to it, which do not, and why
    Explain {
        /// A policy file, in force together with others given so; without any, this home's policy.yaml
        #[arg(long = "policy", value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        action: ActionArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Propose the smallest policy that denies by default and lets the past pass
    Learn(LearnArgs),
    /// The JSON Schema of policies, for editors
    Schema,
    /// Show the policy as it is in force, with the file and line that each part comes from
    Show {
        /// Policy files that are in force together; without any, this home's
        files: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Judge past actions by another policy, and say which would be decided differently
    Replay(ReplayArgs),
    /// Say what two policies decide differently, with actions that show it
    Diff(DiffArgs),
    /// Run the tests that stand beside the rules
    Test {
        /// Policy files that are in force together; without any, this home's policy.yaml
        files: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Exit status: 0 nothing passes or is blocked that was not, 1 something is, 2 the policy is faulty.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Policy files that would be in force together
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Only actions since then: 24h, 7d, 2026-11-21
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Most actions that are listed of a kind
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: usize,
    /// As JSON, all of them
    #[arg(long)]
    pub json: bool,
}

/// Exit status: 0 all that passed in the past passes under it, 1 a part cannot be covered and is named in it.
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// Only from actions since then: 24h, 7d, 2026-11-21
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
}

/// Exit status: 0 nothing is decided differently, 1 something is, 2 a policy is faulty.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The old policy; several files that are in force together with commas between
    pub old: String,
    /// The new policy; the same
    pub new: String,
    /// Of the past only actions since then: 24h, 7d, 2026-11-21
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Do not look at past actions
    #[arg(long)]
    pub no_past: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("action").required(true).args(["command", "url", "call"])))]
pub struct ActionArgs {
    /// A command line
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
    /// What reads it: `sh`, `powershell` or `cmd`
    #[arg(long, value_name = "SHELL", requires = "command")]
    pub shell: Option<String>,
    /// A URL to be fetched
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A tool call: `{"name": "Bash", "arguments": {…}}`
    #[arg(long, value_name = "JSON")]
    pub call: Option<String>,
}

/// Detection rules: the shipped ones and those of the folder `rules` in the home directory.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check rule files, and that their examples match and their near misses do not
    Check {
        /// Rule files [default: those of the folder `rules` in the home directory]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Every rule: id, severity, what it sees, where it is from
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}
