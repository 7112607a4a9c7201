//! Keys of the egress door, their agents and credits.

use clap::{Args, Subcommand};

/// Keys. A key belongs to one of Doorward's agents.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and show its credential, once
    Create {
        /// Whose
        #[arg(long, value_name = "NAME", default_value = "default")]
        agent: String,
        /// How many credits it begins with [default: the setting `new_key_credits`]
        #[arg(long, value_name = "COUNT")]
        credits: Option<u64>,
        /// A setting, as `key set` takes it
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
        /// Write the credential to `~/.sphyr/config.json`, where the SDK looks for it, and do not show it
        #[arg(long)]
        write_sphyr_config: bool,
        /// Also if another credential stands there
        #[arg(long, requires = "write_sphyr_config")]
        replace: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All keys
    List {
        /// Only those with which somebody touched a decoy
        #[arg(long)]
        compromised: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One key: its settings, its agents, its credits
    Show {
        /// Which [default: the one of `SPHYR_CREDENTIAL` or `~/.sphyr/config.json`]
        #[arg(value_name = "KEY")]
        key: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let nothing pass with it for now
    Pause {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let it be used again, after a pause or after it was suspended
    Resume {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give it another secret and show the credential, once
    Rotate {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// Until when the secret before holds as well: in 2h, 7d, or with a day, 2026-11-28 [default: not at all]
        #[arg(long, value_name = "WHEN")]
        overlap: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End it for ever
    Revoke {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change its settings
    Set {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// Such as `dry_run=true`, `rate_key=50`, `budget_key_calls_per_hour=1000`; `default` as a value undoes one
        #[arg(value_name = "NAME=VALUE", required = true)]
        settings: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Agents under a key.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AgentsCommand,
}

/// What to do with agents under a key.
#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// Issue an agent: it has limits of its own from now on
    Issue {
        /// Under which key
        #[arg(value_name = "KEY")]
        key: String,
        /// Its id: 1 to 64 letters, digits, `_` and `-`
        #[arg(value_name = "AGENT")]
        agent: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The agents of a key: those that are issued, and the latest that nobody issued
    List {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take it back: the id shares the limits of all that nobody issued
    Revoke {
        /// Under which key
        #[arg(value_name = "KEY")]
        key: String,
        /// Its id
        #[arg(value_name = "AGENT")]
        agent: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Credits.
#[derive(Debug, Args)]
pub struct CreditsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: CreditsCommand,
}

/// What to do with credits.
#[derive(Debug, Subcommand)]
pub enum CreditsCommand {
    /// Give a key credits
    Grant {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// How many
        #[arg(value_name = "COUNT")]
        amount: u64,
        /// For how many months of the calendar
        #[arg(long, value_name = "COUNT", default_value_t = 12)]
        months: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What a key has left
    Show {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All that a key was granted, and what is used of it
    History {
        /// Which
        #[arg(value_name = "KEY")]
        key: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Count credits anew from the receipts since the newest snapshot, and see whether the store says the same
    Verify {
        /// From the first receipt on; each snapshot is held against the receipts before it
        #[arg(long)]
        all: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}
