//! What later requests may need of earlier replies: calls that were blocked, and which tools were declared.
//!
//! Kept per agent and upstream, in memory, bounded; after a restart it is empty. Then a conversation that had
//! a blocked call goes on with the message that the agent was given in its place, and tools behind a stored
//! reply are not known.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use doorward_core::stream::Origin;
use doorward_core::wire::openai_responses::restore::{Memory, Suppressed};
use doorward_core::wire::request::Declared;

/// The most blocked calls remembered for one agent and upstream, and their bytes.
const MOST_CALLS: usize = 256;
const MOST_BYTES: usize = 4 << 20;

/// The most replies whose declared tools are remembered for one agent and upstream.
const MOST_REPLIES: usize = 256;

/// The longest id that is remembered.
const LONGEST_ID: usize = 256;

/// What is remembered of replies, by agent and upstream.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    books: Mutex<HashMap<Whose, Arc<Mutex<Book>>>>,
}

/// An agent and an upstream.
type Whose = (Arc<str>, Arc<str>);

/// Of one agent and one upstream.
#[derive(Debug, Default)]
struct Book {
    calls: VecDeque<Blocked>,
    bytes: usize,
    declared: VecDeque<(String, Arc<Declared>)>,
}

#[derive(Debug)]
struct Blocked {
    response: Arc<str>,
    /// The conversation it belongs to, until the upstream was given an output.
    conversation: Option<Arc<str>>,
    suppressed: Suppressed,
    /// The id of the message in its place.
    place: Option<String>,
}

impl Replies {
    /// What is remembered for this agent and upstream.
    pub fn of(&self, agent: &Arc<str>, upstream: &Arc<str>) -> Remembered {
        let key = (Arc::clone(agent), Arc::clone(upstream));
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        Remembered(Arc::clone(books.entry(key).or_default()))
    }
}

/// What is remembered for one agent and one upstream.
#[derive(Debug, Clone)]
pub(crate) struct Remembered(Arc<Mutex<Book>>);

impl Remembered {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no blocked call is remembered.
    pub fn is_empty(&self) -> bool {
        self.book().calls.is_empty()
    }

    /// Remembers a call in whose place the agent is told `notice`.
    pub fn blocked(&self, origin: Origin, conversation: Option<Arc<str>>, notice: String) {
        let mut book = self.book();
        let known =
            |blocked: &Blocked| blocked.response == origin.response && blocked.suppressed.item == origin.item;
        let conversation = match book.calls.iter().position(known).and_then(|at| book.calls.remove(at)) {
            // A stored reply that is fetched again: only its newest notice can come back for sure, but what
            // the upstream was told already stands.
            Some(before) => {
                book.bytes = book.bytes.saturating_sub(size(&before));
                before.conversation
            }
            None => conversation,
        };
        // A copy of its own: a slice would keep the whole event.
        let suppressed = Suppressed { item: Bytes::copy_from_slice(&origin.item), notice };
        let place = suppressed.place();
        let blocked = Blocked { response: origin.response, conversation, suppressed, place };
        if size(&blocked) > MOST_BYTES {
            return;
        }
        book.bytes += size(&blocked);
        book.calls.push_back(blocked);
        while book.calls.len() > MOST_CALLS || book.bytes > MOST_BYTES {
            let Some(oldest) = book.calls.pop_front() else { break };
            book.bytes = book.bytes.saturating_sub(size(&oldest));
        }
    }

    /// Forgets that a conversation waits for outputs: it was given them.
    pub fn answered(&self, conversation: &str) {
        for blocked in &mut self.book().calls {
            if blocked.conversation.as_deref() == Some(conversation) {
                blocked.conversation = None;
            }
        }
    }

    /// Remembers which tools were declared for the reply with this id.
    pub fn declared(&self, id: &str, declared: &Arc<Declared>) {
        if id.is_empty() || id.len() > LONGEST_ID {
            return;
        }
        let mut book = self.book();
        // Most requests of a conversation declare the same tools.
        let same = book.declared.back().map(|(_, last)| last).filter(|last| *last == declared);
        let declared = Arc::clone(same.unwrap_or(declared));
        book.declared.retain(|(known, _)| known != id);
        book.declared.push_back((id.to_owned(), declared));
        if book.declared.len() > MOST_REPLIES {
            book.declared.pop_front();
        }
    }

    /// Which tools were declared for the reply with this id, if that is remembered.
    pub fn declared_for(&self, id: &str) -> Option<Arc<Declared>> {
        let book = self.book();
        book.declared.iter().find(|(known, _)| known == id).map(|(_, declared)| Arc::clone(declared))
    }

    /// One call that a client has sent something of.
    fn one(&self, which: impl Fn(&Blocked) -> bool) -> Option<Suppressed> {
        let mut book = self.book();
        let at = book.calls.iter().position(which)?;
        // What a client still sends is what it will send again.
        let blocked = book.calls.remove(at)?;
        let suppressed = blocked.suppressed.clone();
        book.calls.push_back(blocked);
        Some(suppressed)
    }

    fn all(&self, which: impl Fn(&Blocked) -> bool) -> Vec<Suppressed> {
        let book = self.book();
        book.calls.iter().filter(|blocked| which(blocked)).map(|blocked| blocked.suppressed.clone()).collect()
    }
}

/// What a blocked call takes.
fn size(blocked: &Blocked) -> usize {
    blocked.suppressed.item.len() + blocked.suppressed.notice.len() + blocked.response.len() + 256
}

impl Memory for Remembered {
    fn told(&self, notice: &str) -> Option<Suppressed> {
        self.one(|blocked| blocked.suppressed.notice == notice)
    }

    fn referred(&self, id: &str) -> Option<Suppressed> {
        self.one(|blocked| blocked.place.as_deref() == Some(id))
    }

    fn of_reply(&self, id: &str) -> Vec<Suppressed> {
        self.all(|blocked| !id.is_empty() && &*blocked.response == id)
    }

    fn of_conversation(&self, id: &str) -> Vec<Suppressed> {
        self.all(|blocked| blocked.conversation.as_deref() == Some(id))
    }
}

/// One reply, and what is to be remembered of it.
#[derive(Debug, Clone)]
pub(crate) struct Remembering {
    pub memory: Remembered,
    /// The conversation it belongs to.
    pub conversation: Option<Arc<str>>,
    /// The tools its request declared; `None` if nobody here saw the request.
    pub declared: Option<Arc<Declared>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered() -> Remembered {
        Replies::default().of(&"agent".into(), &"openai".into())
    }

    fn origin(response: &str, item: &str) -> Origin {
        Origin { response: response.into(), item: Bytes::copy_from_slice(item.as_bytes()) }
    }

    #[test]
    fn calls_are_found_by_notice_reply_and_conversation() {
        let memory = remembered();
        memory.blocked(origin("resp_1", "{1}"), Some("conv".into()), "one".into());
        memory.blocked(origin("resp_1", "{2}"), None, "two".into());
        assert_eq!(memory.told("one").unwrap().item, "{1}");
        assert!(memory.told("on").is_none() && memory.told("").is_none());
        assert_eq!(memory.of_reply("resp_1").len(), 2);
        assert!(memory.of_reply("").is_empty() && memory.of_reply("resp_2").is_empty());
        assert_eq!(memory.of_conversation("conv").len(), 1);
        memory.answered("conv");
        assert!(memory.of_conversation("conv").is_empty());
        assert_eq!(memory.of_reply("resp_1").len(), 2);
        // Fetched again, under another receipt.
        memory.blocked(origin("resp_1", "{1}"), Some("conv".into()), "three".into());
        assert_eq!(memory.of_reply("resp_1").len(), 2);
        assert!(memory.of_conversation("conv").is_empty(), "it was answered");
        assert_eq!(memory.told("three").unwrap().item, "{1}");
    }

    #[test]
    fn a_call_is_found_by_the_id_of_its_message() {
        let memory = remembered();
        memory.blocked(origin("resp_1", r#"{"id":"fc_1"}"#), None, "one".into());
        memory.blocked(origin("resp_1", "{}"), None, "two".into());
        assert_eq!(memory.referred("msg_1").unwrap().notice, "one");
        assert!(memory.referred("fc_1").is_none() && memory.referred("").is_none());
    }

    #[test]
    fn agents_and_upstreams_are_apart() {
        let replies = Replies::default();
        replies.of(&"a".into(), &"x".into()).blocked(origin("r", "{}"), None, "n".into());
        assert!(replies.of(&"a".into(), &"x".into()).told("n").is_some());
        assert!(replies.of(&"b".into(), &"x".into()).told("n").is_none());
        assert!(replies.of(&"a".into(), &"y".into()).told("n").is_none());
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let memory = remembered();
        memory.blocked(origin("resp_first", "{}"), None, "first".into());
        for n in 0..MOST_CALLS * 2 {
            assert!(memory.told("first").is_some(), "{n}");
            memory.blocked(origin(&format!("resp_{n}"), &n.to_string()), None, n.to_string());
        }
        assert_eq!(memory.book().calls.len(), MOST_CALLS);
        assert!(memory.told("0").is_none());
        memory.blocked(origin("resp_huge", &"x".repeat(MOST_BYTES)), None, "huge".into());
        assert!(memory.told("huge").is_none() && memory.told("first").is_some());
        for n in 0..8 {
            memory.blocked(origin(&format!("big_{n}"), &"x".repeat(MOST_BYTES / 4)), None, format!("big{n}"));
        }
        let book = memory.book();
        assert!(book.bytes <= MOST_BYTES && book.calls.len() < 8);
        assert_eq!(book.bytes, book.calls.iter().map(size).sum::<usize>());
    }

    #[test]
    fn declared_tools_are_remembered_by_reply() {
        let memory = remembered();
        let tools =
            |name: &str| Arc::new(Declared { tools: [name.to_owned()].into(), ..Declared::default() });
        for n in 0..MOST_REPLIES + 1 {
            memory.declared(&format!("resp_{n}"), &tools("Bash"));
        }
        memory.declared("resp_9", &tools("Read"));
        assert!(memory.declared_for("resp_9").unwrap().tools.contains("Read"));
        assert!(memory.declared_for("resp_0").is_none(), "the oldest is forgotten");
        memory.declared(&"x".repeat(LONGEST_ID + 1), &tools("Bash"));
        memory.declared("", &tools("Bash"));
        assert_eq!(memory.book().declared.len(), MOST_REPLIES);
        let book = memory.book();
        assert!(Arc::ptr_eq(&book.declared[0].1, &book.declared[1].1), "shared where equal");
    }
}
