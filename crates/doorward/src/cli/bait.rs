//! Values that are watched for: secrets, decoys, honeytokens.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct SecretsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SecretsCommand,
}

/// What to do with registered secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Register a secret. Its value is read from standard input, or asked for without showing it
    Add {
        /// What it is called in findings and receipts: never the value itself
        #[arg(value_name = "NAME")]
        name: String,
        /// Take the place of the one of this name
        #[arg(long)]
        replace: bool,
    },
    /// The names of all, and when they were registered
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Forget one
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct CanaryArgs {
    /// What to do
    #[command(subcommand)]
    pub command: CanaryCommand,
}

/// What to do with decoys.
#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    /// Plant decoys where nobody has a reason to look and no program loads them
    Plant {
        /// Only these kinds; their folders are made where there are none [default: all whose folder is there]
        #[arg(value_name = "KIND")]
        kinds: Vec<String>,
        /// At the very place where programs look for such a file: they will load it as their own
        #[arg(long)]
        classic: bool,
        /// The directory to plant in, instead of the user's home
        #[arg(long = "where", value_name = "DIR")]
        place: Option<PathBuf>,
        /// Say what would be planted
        #[arg(long)]
        dry_run: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Every decoy: when it was planted, what it is called, where it lies
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Which are missing, changed, or have been read since. Exit status 1 if any is
    Check {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Take decoys away whose file still says what was planted, and the folders that were made for them
    #[command(group(clap::ArgGroup::new("which").required(true).args(["names", "all"])))]
    Remove {
        /// Their names or paths
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Of a file that says something else by now: forget the decoy, leave the file
        #[arg(long)]
        forget: bool,
        /// Say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct HoneytokenArgs {
    /// What to do
    #[command(subcommand)]
    pub command: HoneytokenCommand,
}

/// What to do with honeytokens.
#[derive(Debug, Subcommand)]
pub enum HoneytokenCommand {
    /// Make one known. Its value is read from standard input, or asked for without showing it
    Add {
        /// What it is called in receipts and alerts: never the value itself
        #[arg(value_name = "NAME")]
        name: String,
        /// A domain instead of a value, with all below it
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// When it is touched: freeze the session, and let the key be used on
        #[arg(long)]
        freeze_only: bool,
        /// Take the place of the one of this name
        #[arg(long)]
        replace: bool,
    },
    /// All of them: when they were added, their names, domains, and what is done; no values
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Forget one
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}
