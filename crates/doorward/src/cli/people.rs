//! What people are asked and told: approvals, webhooks.

use clap::{Args, Subcommand};

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
