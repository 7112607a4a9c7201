//! One crossing of a boundary, in one shape, whichever door it came through.

use std::sync::Arc;

use crate::decision::{Coverage, Reason};
use crate::syntax::Span;
use crate::usage::Asked;

pub mod alone;

pub mod asset;

pub mod request;

pub mod shell;

pub mod tools;

mod effect;
pub use effect::{AssetClass, Capability, Effect, Flow, Target};

pub mod returned;
pub use returned::{Called, Returned};

/// Where traffic enters Doorward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Between an agent and its model.
    Model,
    /// Between an agent and tool servers.
    Tools,
    /// Between an agent and the network.
    Egress,
    /// Inside the agent's process.
    Library,
}

impl Door {
    /// The word in policies and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tools => "tools",
            Self::Egress => "egress",
            Self::Library => "library",
        }
    }
}

/// Who caused an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A person typed its target.
    User,
    /// The model proposed it, with a tool the agent declared.
    Model,
    /// The provider sent it unasked: no such tool was declared.
    Provider,
    /// Its arguments came from a web page.
    Web,
    /// Its arguments came from a tool server.
    Mcp,
    /// Its arguments came from a file.
    LocalFile,
    /// Doorward itself.
    Internal,
    /// Nobody knows.
    Unknown,
}

impl Source {
    /// Every source, for tables and messages.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Model,
        Self::Provider,
        Self::Web,
        Self::Mcp,
        Self::LocalFile,
        Self::Internal,
        Self::Unknown,
    ];

    /// The word in policies and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Web => "web",
            Self::Mcp => "mcp",
            Self::LocalFile => "local_file",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// What kind of crossing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// The agent asks its model.
    ModelRequest,
    /// The model's answer as a stream or body; its receipt opens it.
    ModelResponse,
    /// A call the agent would run.
    ToolCall,
    /// A call the provider runs or ran itself: recorded, never replaced.
    ProviderCall,
    /// What a tool gave back.
    ToolResult,
    /// Text leaving for somewhere.
    Outbound,
    /// A URL to be fetched.
    Url,
    /// Something Doorward does not know, held because it could be a call.
    Unknown,
    /// A request on an endpoint that carries no calls, passed on without a look inside.
    Opaque,
}

impl ActionKind {
    /// The word in policies and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelRequest => "model_request",
            Self::ModelResponse => "model_response",
            Self::ToolCall => "tool_call",
            Self::ProviderCall => "provider_call",
            Self::ToolResult => "tool_result",
            Self::Outbound => "outbound",
            Self::Url => "url",
            Self::Unknown => "unknown",
            Self::Opaque => "opaque",
        }
    }
}

/// What a [`Part`] of an action is, which tells detectors who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// A command line for a shell.
    Command,
    /// A tool call's arguments as JSON text.
    Arguments,
    /// What a tool gave back: a stranger speaks.
    ToolResult,
    /// What a person typed.
    UserText,
    /// The operator's instructions.
    SystemText,
    /// What the model wrote.
    AssistantText,
    /// A tool's name, description and schema.
    ToolDefinition,
    /// Text leaving for somewhere.
    Outbound,
    /// A URL.
    Url,
    /// Ids, names and labels beside a conversation.
    Label,
}

/// One piece of content of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who speaks.
    pub kind: PartKind,
    /// The text, decoded from its wire form.
    pub text: Arc<str>,
}

/// Where the text of a part stands in the body that an action goes on with: one JSON string, its quotes included. A
/// tool's definition has one for each description in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which part, by index.
    pub part: usize,
    /// Where.
    pub span: Span,
}

/// What the bytes of an action say that are packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// As text; what is no UTF-8 is replaced in it.
    pub text: Arc<str>,
    /// Whether that is all of it.
    pub whole: bool,
}

/// The tool of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUse {
    /// Its name, as the agent's runtime will look it up: case matters.
    pub name: Arc<str>,
    /// Whether the agent declared it in the request that led here.
    pub declared: bool,
    /// The call's id on the wire, empty if it has none.
    pub call_id: Arc<str>,
}

/// A file that a call writes, as far as the call holds what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The path, spelled as a [`Target::Path`] is.
    pub path: Arc<str>,
    /// Whether all of the path is known.
    pub exact: bool,
    /// The bytes that will stand there; of a file that is changed in places, those that are known.
    pub content: Arc<[u8]>,
    /// Whether that is all of the file.
    pub whole: bool,
}

impl Written {
    fn of(path: &str, content: &[u8], whole: bool) -> Self {
        let exact = !path.contains(['*', '?', '[', '$', '%']);
        Self { path: path.into(), exact, content: content.into(), whole }
    }
}

/// The key that an action came with, and what it pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The key's id.
    pub key: Arc<str>,
    /// Which agent under the key it is, as budgets and limits count them: its id if it was issued; empty for all that
    /// nobody issued.
    pub agent: Arc<str>,
    /// How many credits it pays once its upstream has answered.
    pub credits: u64,
}

/// What is set about entropy for the key that an action came with, beside what is set for its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyEntropy {
    /// In the place of the agent's threshold: hundredths of bits per character.
    pub threshold: Option<u16>,
    /// Texts that have no score, beside the agent's; `*` stands for any characters.
    pub allowed: Arc<[String]>,
    /// Whether what is above the threshold is noted and goes on.
    pub noted: bool,
}

/// One crossing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Where it came in.
    pub door: Door,
    /// What it is.
    pub kind: ActionKind,
    /// The agent whose token or session this is.
    pub agent: Arc<str>,
    /// The session it belongs to.
    pub session: Arc<str>,
    /// Who caused it.
    pub source: Source,
    /// Where it goes or comes from: an upstream's name, a host. Empty if nowhere.
    pub peer: Arc<str>,
    /// Whether the operator trusts that peer.
    pub peer_trusted: bool,
    /// The tool, for calls and their results.
    pub tool: Option<ToolUse>,
    /// For an undeclared call: the type of a toolset that the agent declared and that may admit the call, were
    /// it known here which tools it stands for.
    pub unknown_toolset: Option<Arc<str>>,
    /// What calls before it have left behind: it is read as coming after them.
    pub before: shell::State,
    /// What it would do.
    pub effects: Vec<Effect>,
    /// The files it would write, where it holds what it writes.
    pub written: Vec<Written>,
    /// What it says.
    pub parts: Vec<Part>,
    /// What its bytes say, if they are packed: for who looks at them.
    pub decoded: Option<Decoded>,
    /// Where those parts stand that strangers wrote, so that they can be replaced. In the order of the parts.
    pub places: Vec<Place>,
    /// Which of those parts a tool gave back, and the calls they answer. In the order of the parts.
    pub returned: Vec<Returned>,
    /// What of it could be read.
    pub coverage: Coverage,
    /// Which model it asks for a reply.
    pub asked: Asked,
    /// Whether it is only checked and does not happen: it is judged as if it did, and nothing is used up, nobody is asked, and
    /// nothing is remembered of it.
    pub only_checked: bool,
    /// What a key pays for it, if it came with one.
    pub bill: Option<Bill>,
    /// What is set about entropy for the key it came with, if that is anything.
    pub entropy: Option<Arc<KeyEntropy>>,
    /// The HTTP request it is, if the door it came through saw one.
    pub request: Option<Arc<request::Request>>,
    /// What its door found wrong with who came and how, before anything was judged. Of [`crate::decision::Layer::Door`].
    pub at_door: Vec<Reason>,
    /// What is wrong with it on the wire, if anything: a call whose arguments are not one strict JSON
    /// object is blocked whatever it says, because readers would disagree on what it says.
    pub fault: Option<String>,
}

impl Action {
    /// An empty action of this kind, to be filled in.
    #[must_use]
    pub fn new(door: Door, kind: ActionKind, agent: Arc<str>, session: Arc<str>) -> Self {
        Self {
            door,
            kind,
            agent,
            session,
            source: Source::Unknown,
            peer: Arc::from(""),
            peer_trusted: false,
            tool: None,
            unknown_toolset: None,
            before: shell::State::default(),
            effects: Vec::new(),
            written: Vec::new(),
            parts: Vec::new(),
            decoded: None,
            places: Vec::new(),
            returned: Vec::new(),
            coverage: Coverage::Full,
            asked: Asked::Nothing,
            only_checked: false,
            bill: None,
            entropy: None,
            request: None,
            at_door: Vec::new(),
            fault: None,
        }
    }
}
