//! What agents have done and on which terms they work: sessions, taint, quarantine, the kill switch.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Sessions. A session is named AGENT/ID.
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SessionCommand,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Begin a session on terms, and say how a client names it
    Init {
        /// Whose
        #[arg(long, value_name = "NAME", default_value = "default")]
        agent: String,
        /// Its id [default: a fresh one]
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// What it is about
        #[arg(long, value_name = "TEXT", default_value = "")]
        task: String,
        /// `enforce`, `correct`, `observe` or `off`
        #[arg(long, value_name = "MODE", default_value = "enforce")]
        mode: String,
        /// What it may do: `repo_read`, `repo_write`, `env_read`, `outbound_network`, `config_write`
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<String>,
        /// When its grants end: in 2h, 7d, or with a day, 2026-11-28
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All sessions, the one used last first
    List {
        /// Only this agent's
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One session
    Show {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let it do something
    Grant {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// What: `repo_read`, `repo_write`, `env_read`, `outbound_network`, `config_write`
        #[arg(value_name = "GRANT")]
        grant: String,
        /// When that ends: in 2h, 7d, or with a day, 2026-11-28 [default: when it is revoked]
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a grant back
    Revoke {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// What
        #[arg(value_name = "GRANT")]
        grant: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Enforce more or less of what is decided
    Mode {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// `enforce`; `correct`: blocks with advice what would be asked; `observe`: alters nothing; `off`: looks at nothing
        #[arg(value_name = "MODE")]
        mode: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget what it has done so far; its terms stay
    Clear {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop it; `doorward resume --session` lets it run again
    Kill {
        /// Which
        #[arg(value_name = "AGENT/ID")]
        session: String,
        /// Why, for the receipt
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// What is stopped now, as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Artefacts that untrusted content has named or brought.
#[derive(Debug, Args)]
pub struct TaintArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TaintCommand,
}

/// What to do with artefacts.
#[derive(Debug, Subcommand)]
pub enum TaintCommand {
    /// Those seen last, the latest first. An artefact itself is not kept: what is shown is its id and where it came from
    List {
        /// Only those that this agent has met
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// How many at most, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// What brought one, since when, and through which steps; exit status 1 if nothing untrusted did
    Show {
        /// A URL, a host, a path, a command line, a tool, or the id that a notice names
        #[arg(value_name = "ARTEFACT")]
        artefact: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget one: it taints no longer, until untrusted content names it anew
    Clear {
        /// A URL, a host, a path, a command line, a tool, or the id that a notice names
        #[arg(value_name = "ARTEFACT")]
        artefact: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// What agents were to write and Doorward held.
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    /// What to do
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What to do with what is held.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// All of it, what was last to be written first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Where one was to go, by whom, why, what it is, and what an archive holds; exit status 1 if there is none
    Show {
        /// Its digest, eight digits of it or more, or the receipt of the decision
        #[arg(value_name = "DIGEST")]
        item: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write it where a person wants it, its digest checked, over nothing and through no link; its paths are held no more
    Release {
        /// Its digest, eight digits of it or more, or the receipt of the decision
        #[arg(value_name = "DIGEST")]
        item: String,
        /// Where to [default: where it was to go]
        #[arg(long, value_name = "PATH")]
        to: Option<PathBuf>,
        /// Let its owner run it
        #[arg(long)]
        executable: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Destroy its content; the record stays, and its paths are held on
    Purge {
        /// Its digest, eight digits of it or more, or the receipt of the decision
        #[arg(value_name = "DIGEST")]
        item: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget it: content, record and the paths that it holds
    Clear {
        /// Its digest, eight digits of it or more, or the receipt of the decision
        #[arg(value_name = "DIGEST", conflicts_with = "all")]
        item: Option<String>,
        /// Forget everything
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("scope").required(true).args(["agent", "session", "all"])))]
pub struct ScopeArgs {
    /// One agent, with all its sessions
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// One session, as `doorward session list` names it
    #[arg(long, value_name = "AGENT/ID")]
    pub session: Option<String>,
    /// Everything
    #[arg(long)]
    pub all: bool,
    /// Why, for the receipt
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// What is stopped now, as JSON
    #[arg(long)]
    pub json: bool,
}
