//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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

/// Webhooks: messages to an HTTPS endpoint of yours, signed as Standard Webhooks says.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// What to do
    #[command(subcommand)]
    pub command: WebhookCommand,
}

impl WebhookArgs {
    /// Whether some events are named, and not all meant.
    pub fn names_events(&self) -> bool {
        matches!(&self.command, WebhookCommand::Add { events, .. } if !events.is_empty())
    }
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Send messages there, and show the secret that signs them, once
    Add {
        /// Where: https://…
        #[arg(value_name = "URL")]
        url: String,
        /// Which, separated by commas: action.blocked, honeytoken.touched, kill.changed, credits.low, tool.drift,
        /// approval.waiting [default: all]
        #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
        events: Vec<String>,
        /// It is on your own network: http:// and addresses that are not public are allowed
        #[arg(long)]
        local: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All webhooks
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// One webhook, with its whole URL
    Show {
        /// Which
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send one message now and say what came of it: 0 if it arrived, 1 if not
    Test {
        /// Where to
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give it another secret and show that, once
    Rotate {
        /// Which
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// Until when the secret before signs as well: in 2h, 7d, or with a day, 2026-11-28 [default: not at all]
        #[arg(long, value_name = "WHEN")]
        overlap: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let messages gather instead of being sent
    Pause {
        /// Which
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let them go again, after a pause or after it answered 410
    Resume {
        /// Which
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget it, and its messages
    Remove {
        /// Which
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Messages, the newest first: those that wait, those that failed, the last ones that arrived
    Deliveries {
        /// Of one webhook only
        #[arg(value_name = "WEBHOOK")]
        webhook: Option<String>,
        /// Only those that nobody took and that are not tried any more
        #[arg(long)]
        failed: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Send messages again, under the ids they have
    Redeliver {
        /// Which, by its id (msg_…)
        #[arg(
            value_name = "DELIVERY",
            required_unless_present = "all_failed",
            conflicts_with = "all_failed"
        )]
        delivery: Option<String>,
        /// All that failed
        #[arg(long)]
        all_failed: bool,
        /// Of one webhook only
        #[arg(long, value_name = "WEBHOOK", requires = "all_failed")]
        webhook: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

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

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep serving when the show is over
    #[arg(long)]
    pub stay: bool,
    /// One JSON document instead of a show
    #[arg(long)]
    pub json: bool,
}

/// Settings of `run`. Each is also a key of doorward.yaml and an environment variable; what is typed wins
/// over the environment, and that over the file.
#[derive(Debug, Args, Default)]
pub struct RunArgs {
    /// Where agents come [default: 127.0.0.1:7878] [env: `DOORWARD_LISTEN`]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where people come [default: 127.0.0.1:7879] [env: `DOORWARD_CONTROL`]
    #[arg(long, value_name = "ADDRESS")]
    pub control: Option<String>,
    /// `block`, or `monitor`: judge and record, alter nothing [env: `DOORWARD_MODE`]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// A policy file; several are in force together [default: policy.yaml] [env: `DOORWARD_POLICY`, separated by commas]
    #[arg(long = "policy", value_name = "FILE")]
    pub policy: Vec<String>,
    /// The model provider to stand in front of, in the place of the official one [env: `DOORWARD_UPSTREAM`]
    #[arg(long, value_name = "URL", requires = "protocol")]
    pub upstream: Option<String>,
    /// What it speaks: `anthropic` or `openai` [env: `DOORWARD_PROTOCOL`]
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// Whether it is trusted: `yes` or `no` [default: no] [env: `DOORWARD_TRUSTED`]
    #[arg(long, value_name = "YES|NO", requires = "upstream")]
    pub trusted: Option<String>,
    /// What happens to its unknown blocks and endpoints: `block` or `pass` [env: `DOORWARD_UNKNOWN`]
    #[arg(long, value_name = "BLOCK|PASS", requires = "upstream")]
    pub unknown: Option<String>,
    /// A file that holds the key to use with it [env: `DOORWARD_KEY_FILE`]
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub key_file: Option<String>,
    /// An environment variable that holds the key to use with it [env: `DOORWARD_KEY_ENV`]
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub key_env: Option<String>,
    /// Where the key goes: `bearer`, `x-api-key`, `api-key` or `x-goog-api-key` [env: `DOORWARD_KEY_HEADER`]
    #[arg(long, value_name = "HEADER", requires = "upstream")]
    pub key_header: Option<String>,
    /// A host name, besides loopback ones, under which clients come [env: `DOORWARD_HOSTS`, separated by commas]
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// What a receipt survives: `os` (kill -9) or `disk` (power failure) [env: `DOORWARD_DURABILITY`]
    #[arg(long, value_name = "OS|DISK")]
    pub durability: Option<String>,
    /// Whether judged content is kept, encrypted: `yes` or `no` [default: no] [env: `DOORWARD_CONTENT`]
    #[arg(long, value_name = "YES|NO")]
    pub content: Option<String>,
    /// Whether what calls say is kept, encrypted, so that policies can be tried on it: `yes` or `no` [default: yes]
    /// [env: `DOORWARD_REPLAY`]
    #[arg(long, value_name = "YES|NO")]
    pub replay: Option<String>,
    /// What is kept of where requests of the egress door lead: `masked`, or `hashed` and nothing else [default: masked]
    /// [env: `DOORWARD_URLS`]
    #[arg(long, value_name = "HOW")]
    pub urls: Option<String>,
    /// How long salts, content and what calls say are kept, in days, or `forever` [default: 36]
    /// [env: `DOORWARD_RETENTION`]
    #[arg(long, value_name = "DAYS")]
    pub retention: Option<String>,
    /// How long what was blocked is kept for `doorward forensics`, in days, or `forever` [default: 30]
    /// [env: `DOORWARD_FORENSICS_RETENTION`]
    #[arg(long, value_name = "DAYS")]
    pub forensics_retention: Option<String>,
    /// How much of it is kept, in MiB [default: 256] [env: `DOORWARD_FORENSICS_SIZE`]
    #[arg(long, value_name = "MIB")]
    pub forensics_size: Option<String>,
    /// How long what was held instead of written is kept for `doorward quarantine`, in days [default: 30]
    #[arg(long, value_name = "DAYS")]
    pub quarantine_retention: Option<String>,
    /// How much of it, in MiB; what finds no room is blocked and not kept [default: 256]
    #[arg(long, value_name = "MIB")]
    pub quarantine_size: Option<String>,
    /// How long an upstream or a client may be silent [default: 600] [env: `DOORWARD_IDLE_TIMEOUT`]
    #[arg(long, value_name = "SECONDS")]
    pub idle_timeout: Option<String>,
    /// How long a reply may take altogether [default: 3600] [env: `DOORWARD_TOTAL_TIMEOUT`]
    #[arg(long, value_name = "SECONDS")]
    pub total_timeout: Option<String>,
    /// When people can be asked: `watched` (while somebody watches) or `always` [env: `DOORWARD_APPROVALS`]
    #[arg(long, value_name = "WHEN")]
    pub approvals: Option<String>,
    /// How long an action waits for a person's answer [default: 300] [env: `DOORWARD_APPROVAL_TIMEOUT`]
    #[arg(long, value_name = "SECONDS")]
    pub approval_timeout: Option<String>,
    /// The agent whose token is printed [default: default] [env: `DOORWARD_AGENT`]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How that agent reads calls from text: `none`, `xml` or `edit_blocks` [env: `DOORWARD_TEXT_TOOLS`]
    #[arg(long, value_name = "HOW")]
    pub text_tools: Option<String>,
    /// Above how many bits per character a text that leaves is noted: 0 to 8 [default: 4.5] [env:
    /// `DOORWARD_ENTROPY_THRESHOLD`]
    #[arg(long, value_name = "BITS")]
    pub entropy_threshold: Option<String>,
    /// A file with a model (ONNX) that is asked about what may be an injection [env: `DOORWARD_CLASSIFIER`]
    #[arg(long, value_name = "FILE")]
    pub classifier: Option<String>,
    /// What was started, as one line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Say what was written as JSON
    #[arg(long)]
    pub json: bool,
}

/// Exit status: 0 the action passes now, 1 nothing was written.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// The receipt of what was blocked
    pub receipt: String,
    /// When the rule ends: in 24h, 7d, or with a day, 2026-11-28
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    pub expires: String,
    /// Why, for who reads the policy
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not ask, as long as the rule changes nothing else of the past
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ApprovalsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ApprovalsCommand,
}

/// What to do about what waits for a person. Exit status: 0 done, 1 there is no such question, it has been answered
/// already, or no Doorward runs.
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// What waits, and what is allowed
    List {
        /// What has ended lately as well
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One question, whole: exact arguments, effects, destinations, all reasons
    Show {
        /// Its id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say yes
    Approve {
        /// The question's id
        id: String,
        /// What the yes is for
        #[arg(long, value_enum, default_value = "once")]
        scope: ApprovalScope,
        #[command(flatten)]
        words: WordsArgs,
    },
    /// Say no. Your reason is told to the agent
    Deny {
        /// The question's id
        id: String,
        #[command(flatten)]
        words: WordsArgs,
    },
    /// Take a yes for a session back
    Revoke {
        /// The id of the question that it answered
        id: String,
        #[command(flatten)]
        words: WordsArgs,
    },
    /// Let something be asked again that was denied repeatedly
    Reset {
        /// The question's id
        id: String,
        #[command(flatten)]
        words: WordsArgs,
    },
    /// See questions as they come, and answer them; while this runs, somebody is there to be asked
    Watch {
        /// One JSON object a line, and no questions back
        #[arg(long)]
        json: bool,
    },
}

/// What a yes is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ApprovalScope {
    /// This one call
    Once,
    /// The same call, as long as its session lasts
    Session,
    /// This one call, and show a rule that would let it pass from now on. You add it, or not
    Rule,
}

/// An answer's words.
#[derive(Debug, Args)]
pub struct WordsArgs {
    /// Why, for the receipt
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// What came of it, as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

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
    /// Write what is missed to a new file, as examples that a person may add to the rules
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
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
