//! What people can be told of.

use doorward_core::session::Millis;

/// A kind of event. Its word is the `type` of a message, and what `doorward webhook add --events` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// An action did not go on.
    Blocked,
    /// Somebody touched a decoy.
    Honeytoken,
    /// Something was stopped, or runs again.
    Kill,
    /// A key has few credits left.
    Credits,
    /// A client says that tools of a server are not what they were.
    Drift,
    /// An action waits for a person, or would have if one had been there.
    Approval,
    /// A person wants to see whether messages arrive.
    Test,
}

impl EventKind {
    /// All that can be wished for, in the order in which people read them.
    pub const WISHED: [Self; 6] =
        [Self::Blocked, Self::Honeytoken, Self::Kill, Self::Credits, Self::Drift, Self::Approval];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "action.blocked",
            Self::Honeytoken => "honeytoken.touched",
            Self::Kill => "kill.changed",
            Self::Credits => "credits.low",
            Self::Drift => "tool.drift",
            Self::Approval => "approval.waiting",
            Self::Test => "webhook.test",
        }
    }

    /// The kind with this word, of those that can be wished for.
    #[must_use]
    pub fn wished(word: &str) -> Option<Self> {
        Self::WISHED.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something that happened and that somebody wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// The `type` of the message: the word of its kind, or that of a summary.
    pub word: &'static str,
    /// When.
    pub time: Millis,
    /// What is told of it: a JSON object. Holds no secret, and nothing that receipts do not say.
    pub data: Vec<u8>,
}
