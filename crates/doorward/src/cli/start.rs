//! Starting it: the demo, the firewall itself, its files, how it stands.

use clap::Args;

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

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
