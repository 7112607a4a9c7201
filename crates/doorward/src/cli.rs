//! What can be typed: here the commands, in each module what belongs to some of them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod accounts;
pub use accounts::*;

mod bait;
pub use bait::*;

mod evidence;
pub use evidence::*;

mod judging;
pub use judging::*;

mod people;
pub use people::*;

mod sessions;
pub use sessions::*;

mod start;
pub use start::*;

/// The firewall for AI agents.
///
/// Exit status: 0 done, 1 something was found or failed, 2 the command or the configuration is wrong.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Doorward's own directory, instead of `DOORWARD_HOME` or ~/.doorward
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,

    /// Say more (-v, -vv, -vvv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Cli {
    /// -1 for `-q`, else how often `-v` was given.
    pub fn verbosity(&self) -> i8 {
        if self.quiet { -1 } else { i8::try_from(self.verbose).unwrap_or(i8::MAX) }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the firewall stopping a malicious provider, in under a minute
    Demo(DemoArgs),
    /// Start the firewall
    Run(Box<RunArgs>),
    /// Write a commented doorward.yaml and policy.yaml
    Init(InitArgs),
    /// Judge JSON Lines from a file or standard input
    Inspect(InspectArgs),
    /// List, show, export and verify receipts
    Receipts(ReceiptsArgs),
    /// Check and test policies
    Policy(PolicyArgs),
    /// Check and list detection rules
    Rules(RulesArgs),
    /// Register secrets, which are kept as keyed hashes and found wherever they cross
    Secrets(SecretsArgs),
    /// Plant decoys that look like credentials, and see who touches them
    Canary(CanaryArgs),
    /// Bait of your own: values that nobody has a reason to send, domains that nobody has a reason to go to
    Honeytoken(HoneytokenArgs),
    /// Keep what was blocked, encrypted to a key of yours, and look into it
    Forensics(ForensicsArgs),
    /// Say the examples of detection rules in other ways, and see which are missed
    Fuzz(FuzzArgs),
    /// Make a narrow rule that ends of a false alarm, after showing what it changes
    Allow(AllowArgs),
    /// Sessions: their terms, and what a person lets them do
    Session(SessionArgs),
    /// What was held instead of written: look at it, release it, destroy it
    Quarantine(QuarantineArgs),
    /// What untrusted content has left behind: by what, since when, through which steps
    Taint(TaintArgs),
    /// Keys that agents sign their requests with: make them, limit them, stop them
    Key(KeyArgs),
    /// Agents under a key: those that are issued have limits of their own
    Agents(AgentsArgs),
    /// Prepaid credits of keys
    Credits(CreditsArgs),
    /// Be told: of what is blocked, of decoys, of what is stopped, of what waits for a person
    Webhook(WebhookArgs),
    /// What is kept beside the ledger and for how long; keep something from being destroyed
    Retention(RetentionArgs),
    /// Destroy everything of an agent or a key that lies beside the ledger
    Scrub(ScrubArgs),
    /// Exchange the key that signs the ledger
    Ledger(LedgerArgs),
    /// Decide what agents may do: see what waits for a person, say yes or no
    Approvals(ApprovalsArgs),
    /// What the running process does, and whether all is well
    Status(StatusArgs),
    /// Stop everything, one agent, or one session
    Kill(ScopeArgs),
    /// Let everything, one agent, or one session run again
    Resume(ScopeArgs),
}
