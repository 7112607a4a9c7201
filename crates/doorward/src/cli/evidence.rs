//! What is kept, shown and forgotten: receipts, forensics, retention, the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct ReceiptsArgs {
    #[command(subcommand)]
    pub command: ReceiptsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReceiptsCommand {
    /// The newest receipts
    List {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        count: usize,
        /// One JSON receipt a line
        #[arg(long)]
        json: bool,
    },
    /// One receipt, whole
    Show {
        /// Its id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A receipt with its proof, or the whole log, to hand out
    Export {
        /// The receipt; without it, the whole log
        id: Option<String>,
        /// Where to: a file for a receipt (`-` for standard output), a new directory for the log
        #[arg(short, long, value_name = "PATH")]
        out: Option<PathBuf>,
        /// Every receipt as one JSON object a line, to standard output
        #[arg(long, conflicts_with_all = ["id", "out"])]
        json: bool,
    },
    /// Check a log or an exported receipt, offline, and say precisely what is wrong with it
    Verify {
        /// A log directory, an exported log or an exported receipt; without it, this home's log
        path: Option<PathBuf>,
        /// The key it must be signed with, as `doorward receipts key` prints it; without it, this home's
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A file with a checkpoint seen before, which the log must still contain
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        /// The report as JSON
        #[arg(long)]
        json: bool,
    },
    /// The public key that receipts of this home are signed with
    Key {
        /// The first one: by it the whole log is verified, whatever keys came after it
        #[arg(long)]
        first: bool,
    },
}

#[derive(Debug, Args)]
pub struct ForensicsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ForensicsCommand,
}

/// What to do with what was blocked.
#[derive(Debug, Subcommand)]
pub enum ForensicsCommand {
    /// Keep what is blocked from now on, for whoever has a passphrase or a key file
    Init {
        /// Make a new key file here, in the place of a passphrase, which is read from standard input or asked for
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// Take the place of the key in use; what was kept for that one stays so
        #[arg(long)]
        replace: bool,
    },
    /// Keep nothing from now on. What was kept stays
    Stop,
    /// Every record: when, which receipt, how long
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One record in the clear. The passphrase is read from standard input, or asked for
    Open {
        /// The receipt
        #[arg(value_name = "RECEIPT")]
        receipt: String,
        /// The key file
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// The content alone, byte for byte
        #[arg(long)]
        raw: bool,
    },
    /// Destroy records
    #[command(group(clap::ArgGroup::new("which").required(true).args(["older", "all"])))]
    Purge {
        /// What is older than this: 24h, 7d, or before a day, 2026-11-28
        #[arg(long, value_name = "WHEN")]
        older: Option<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// What is kept beside the ledger, and for how long.
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RetentionCommand,
}

/// What to do about what is kept.
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// How long what is kept, what is held, and what a sweep would destroy
    Show {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Destroy what is too old, now; a running process does it every hour by itself
    Run {
        /// Only count it
        #[arg(long)]
        dry_run: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Keep something from being destroyed
    Hold(HoldArgs),
}

/// Legal holds. A hold covers what is all that it names.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// What to do
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// What to do about holds.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Keep what is of an agent, a session or a key, or of a time
    Add {
        /// Of this agent
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// Of this session
        #[arg(long, value_name = "AGENT/ID")]
        session: Option<String>,
        /// Of what came with this key
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// From then on: `2026-11-21`, or `7d` ago
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Before then
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// Why
        #[arg(long, value_name = "WORDS")]
        reason: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// All holds
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Let one go
    Release {
        /// Its name
        #[arg(value_name = "HOLD")]
        hold: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Destroy everything of an agent or a key that lies beside the ledger.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["agent", "key"]))]
pub struct ScrubArgs {
    /// Everything of this agent
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Everything that came with this key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// It is meant
    #[arg(long)]
    pub yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// The ledger itself.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// What to do
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Go on under a fresh key; both keys sign that it is so, and the old one is destroyed
    RotateKey {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}
