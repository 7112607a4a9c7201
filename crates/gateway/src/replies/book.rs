//! What is remembered of one agent and one upstream, within bounds.

use std::collections::VecDeque;
use std::sync::Arc;

use doorward_core::session::Millis;

use super::memo::{Call, Tools};

/// The most blocked calls, and their bytes.
pub(super) const MOST_CALLS: usize = 256;
pub(super) const MOST_BYTES: usize = 4 << 20;

/// The most replies whose declared tools are remembered, and their bytes.
pub(super) const MOST_REPLIES: usize = 256;
pub(super) const MOST_NAMES: usize = 4 << 20;

/// Used longest ago first.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub calls: VecDeque<Blocked>,
    pub bytes: usize,
    pub replies: VecDeque<Answered>,
    pub names: usize,
}

#[derive(Debug)]
pub(super) struct Blocked {
    pub call: Call,
    /// The id of the message in its place.
    pub place: Option<String>,
    pub memo: Memo,
}

#[derive(Debug)]
pub(super) struct Answered {
    pub tools: Tools,
    pub memo: Memo,
}

/// The copy in the side store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memo {
    /// `None` if there is none.
    pub id: Option<u64>,
    /// When it was last of use, as far as that was written there.
    pub used: Millis,
}

impl Book {
    /// Takes a call in. Gives the memos of what had to go for it.
    pub fn keep_call(&mut self, call: Call, memo: Memo) -> Vec<u64> {
        self.bytes += call.size();
        let place = call.suppressed.place();
        self.calls.push_back(Blocked { call, place, memo });
        let mut gone = Vec::new();
        while self.calls.len() > MOST_CALLS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.calls.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.call.size());
            gone.extend(oldest.memo.id);
        }
        gone
    }

    /// Takes out the call that came as this item of this reply.
    pub fn take_call(&mut self, response: &str, item: &[u8]) -> Option<Blocked> {
        let known =
            |blocked: &Blocked| &*blocked.call.response == response && blocked.call.suppressed.item == item;
        let blocked = self.calls.iter().position(known).and_then(|at| self.calls.remove(at))?;
        self.bytes = self.bytes.saturating_sub(blocked.call.size());
        Some(blocked)
    }

    /// Takes the tools of a reply in. Gives the memos of what had to go for it.
    pub fn keep_tools(&mut self, mut tools: Tools, memo: Memo) -> Vec<u64> {
        // Most requests of a conversation declare the same tools.
        let last = self.replies.back().map(|answered| &answered.tools.declared);
        if let Some(same) = last.filter(|last| **last == tools.declared) {
            tools.declared = Arc::clone(same);
        }
        self.names += tools.size();
        self.replies.push_back(Answered { tools, memo });
        let mut gone = Vec::new();
        while self.replies.len() > MOST_REPLIES || self.names > MOST_NAMES {
            let Some(oldest) = self.replies.pop_front() else { break };
            self.names = self.names.saturating_sub(oldest.tools.size());
            gone.extend(oldest.memo.id);
        }
        gone
    }

    /// Takes out the tools of this reply.
    pub fn take_tools(&mut self, response: &str) -> Option<Answered> {
        let at = self.replies.iter().position(|answered| &*answered.tools.response == response)?;
        let answered = self.replies.remove(at)?;
        self.names = self.names.saturating_sub(answered.tools.size());
        Some(answered)
    }

    /// Forgets what was last of use before `limit`. Gives their memos.
    pub fn expire(&mut self, limit: Millis) -> Vec<u64> {
        let mut gone = Vec::new();
        while let Some(old) = self.calls.pop_front_if(|blocked| blocked.memo.used < limit) {
            self.bytes = self.bytes.saturating_sub(old.call.size());
            gone.extend(old.memo.id);
        }
        while let Some(old) = self.replies.pop_front_if(|answered| answered.memo.used < limit) {
            self.names = self.names.saturating_sub(old.tools.size());
            gone.extend(old.memo.id);
        }
        gone
    }
}
