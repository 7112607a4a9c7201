//! What the gateway consists of, for doors and commands.

use std::sync::Arc;

use doorward_core::Action;
use doorward_core::session::Mode;
use doorward_core::wire::text_tools::TextTools;
use doorward_store::Store;

use super::Gateway;
use crate::conversations::Conversations;
use crate::hold::Hold;
use crate::in_force::InForce;
use crate::issued::Issued;
use crate::kept::{Kept, RequestKey};
use crate::record::Recorder;
use crate::replies::Replies;
use crate::sessions::Sessions;

impl Gateway {
    /// What is in force: engine, mode and policy of one moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// What later requests may need of earlier replies.
    pub(crate) const fn replies(&self) -> &Replies {
        &self.replies
    }

    /// What the calls of conversations have left behind.
    pub(crate) const fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// Sessions and their terms.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Where decisions are recorded.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Agents, kill state, side store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The mode in force.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.in_force.load().mode
    }

    /// What waits for a person, and what people do about it.
    #[must_use]
    pub const fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Replies whose clients gave up while a person was asked.
    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Which placeholders stand for registered secrets.
    pub(crate) const fn issued(&self) -> &Issued {
        &self.issued
    }

    /// What the request that becomes `action` is known by, where its reply may have to be kept or is.
    pub(crate) fn request_key(
        &self,
        action: &Action,
        head: (&http::Method, &str),
        body: &[u8],
    ) -> Option<RequestKey> {
        let needed = !self.kept.is_empty() || self.hold.is_attended();
        needed.then(|| RequestKey::new(self.store.approvals_key(), action, head, body))
    }

    /// How `agent` reads calls from text.
    #[must_use]
    pub fn text_tools(&self, agent: &str) -> TextTools {
        self.text_tools.get(agent).copied().unwrap_or_default()
    }
}
