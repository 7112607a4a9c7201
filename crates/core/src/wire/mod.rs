//! What crosses the wire: parsed strictly, kept byte for byte, re-emitted unchanged or with the
//! smallest edits.
//!
//! A firewall that reads bytes differently from the client behind it can be walked around. So a
//! format's reader here either reads what every client would read, or names a [`Fault`].

pub mod sse;

pub mod frame;

mod provider_tools;

mod stray;

pub(crate) mod template;

pub mod text_tools;

pub mod splice;

pub mod jsonrpc;

pub mod sphyr;

pub mod redactable;

pub(crate) mod restored;

pub mod request;

mod session;

pub mod toolset;

pub mod dialect;

mod anthropic;

mod openai_chat;

mod gemini;

mod completions;

pub mod batch;

pub(crate) mod lines;

pub mod openai_responses;

pub mod unknown;

mod usage;

/// What is wrong with bytes from the wire. Whose fault it is depends on who sent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// A stable name, such as `sse.bare-cr`.
    pub code: &'static str,
    /// What was found, for a person; quotes nothing of the content.
    pub message: String,
}

impl Fault {
    /// The fault `code`, explained.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<crate::syntax::json::Fault> for Fault {
    fn from(fault: crate::syntax::json::Fault) -> Self {
        use crate::syntax::json::FaultKind;
        let code = match fault.kind {
            FaultKind::DuplicateKey => "json.duplicate-key",
            FaultKind::Utf8 => "json.utf8",
            FaultKind::ByteOrderMark => "json.bom",
            FaultKind::Depth => "json.depth",
            FaultKind::Nodes => "json.nodes",
            FaultKind::Truncated => "json.truncated",
            _ => "json.syntax",
        };
        Self::new(code, format!("not strict JSON: {fault}"))
    }
}

/// Which protocol a door speaks with its upstream. Set by configuration and path, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    OpenAi,
    /// Gemini `generateContent`.
    Gemini,
}

impl Protocol {
    /// The word in settings and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
        }
    }

    /// The protocol of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Anthropic, Self::OpenAi, Self::Gemini].into_iter().find(|protocol| protocol.as_str() == word)
    }

    /// An error as clients of this protocol read it: `status` is the reply's, `code` a stable name.
    #[must_use]
    pub fn error_body(self, status: u16, code: &str, message: &str) -> Vec<u8> {
        match self {
            Self::Anthropic => anthropic::error_body(anthropic::error_kind(status), message),
            Self::OpenAi => openai_chat::error_body(code, message),
            Self::Gemini => gemini::error_body(status, message),
        }
    }
}
