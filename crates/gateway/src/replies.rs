//! What later requests may need of earlier replies: calls that were blocked, and which tools were declared; and which
//! blocks of earlier requests were replaced.
//!
//! Kept per agent and upstream, bounded, in memory: that is what requests are answered from. The side store
//! has a copy of each, sealed, which is written without anybody waiting and read when the process starts.
//! Where it is gone, a conversation that had a blocked call goes on with the message that the agent was given
//! in its place, and tools behind a stored reply are not known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use doorward_core::session::Millis;
use doorward_core::stream::Origin;
use doorward_core::wire::openai_responses::restore::{Memory, Suppressed};
use doorward_core::wire::request::Declared;
use doorward_store::Store;

use crate::judge::now;

mod blocks;
pub(crate) use blocks::Blocks;

mod book;
use book::{Blocked, Book, MOST_BYTES, Memo};

mod memo;
use memo::{Call, Said, Tools};

/// The longest id that is remembered.
const LONGEST_ID: usize = 256;

const HOUR: Millis = 60 * 60 * 1000;

/// How long something is remembered after it was last of use. As long as OpenAI keeps a stored reply.
const AGE: Millis = 30 * 24 * HOUR;

/// An agent and an upstream.
type Whose = (Arc<str>, Arc<str>);

/// What is remembered of replies, by agent and upstream.
#[derive(Debug)]
pub(crate) struct Replies {
    books: Mutex<HashMap<Whose, Arc<Mutex<Book>>>>,
    blocks: Blocks,
    store: Store,
    /// When it was last looked for what is too old.
    swept: AtomicU64,
}

impl Replies {
    /// What `store` has kept.
    pub fn open(store: Store) -> Self {
        let mut books: HashMap<Whose, Book> = HashMap::new();
        let blocks = Blocks::new(store.clone());
        let mut count = 0_usize;
        for kept in store.take_memos() {
            let memo = Memo { id: Some(kept.id), used: kept.used };
            let Some((whose, said)) = memo::read(&kept.body) else {
                tracing::warn!(memo = kept.id, "a memo of the store is not understood and forgotten");
                store.forget(kept.id);
                continue;
            };
            let gone = match said {
                Said::Call(call) => books.entry(whose).or_default().keep_call(call, memo),
                Said::Tools(tools) => books.entry(whose).or_default().keep_tools(tools, memo),
                Said::Block(block) => blocks.take_in(&whose.0, block, memo),
            };
            gone.into_iter().for_each(|id| store.forget(id));
            count += 1;
        }
        tracing::debug!(count, "remembered blocked calls, declared tools and replaced blocks");
        let books = books.into_iter().map(|(whose, book)| (whose, Arc::new(Mutex::new(book)))).collect();
        let replies = Self { books: Mutex::new(books), blocks, store, swept: AtomicU64::new(0) };
        replies.sweep(now());
        replies
    }

    /// What is remembered for this agent and upstream.
    pub fn of(&self, agent: &Arc<str>, upstream: &Arc<str>) -> Remembered {
        self.sweep(now());
        let whose = (Arc::clone(agent), Arc::clone(upstream));
        let book = Arc::clone(self.books().entry(whose.clone()).or_default());
        Remembered { book, whose, store: self.store.clone() }
    }

    /// Forgets all of an agent. What the store has of it is not touched.
    pub fn forget(&self, agent: &str) {
        self.books().retain(|(own, _), _| &**own != agent);
        self.blocks.forget(agent);
    }

    /// Which blocks of requests were replaced.
    pub const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn books(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Mutex<Book>>>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is too old, once an hour.
    fn sweep(&self, now: Millis) {
        let before = self.swept.load(Ordering::Relaxed);
        if now.saturating_sub(before) < HOUR
            || self.swept.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        self.blocks.expire(now.saturating_sub(AGE));
        for book in self.books().values() {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.expire(now.saturating_sub(AGE)).into_iter().for_each(|id| self.store.forget(id));
        }
    }
}

/// What is remembered for one agent and one upstream.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    book: Arc<Mutex<Book>>,
    whose: Whose,
    store: Store,
}

impl Remembered {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent and the upstream.
    pub const fn whose(&self) -> (&Arc<str>, &Arc<str>) {
        (&self.whose.0, &self.whose.1)
    }

    /// Whether no blocked call is remembered.
    pub fn is_empty(&self) -> bool {
        self.book().calls.is_empty()
    }

    // The store is told under the book's lock, so that it hears of changes in their order. It does not wait.

    /// Remembers a call in whose place the agent is told `notice`.
    pub fn blocked(&self, origin: Origin, conversation: Option<Arc<str>>, notice: String) {
        let mut book = self.book();
        let conversation = match book.take_call(&origin.response, &origin.item) {
            // A stored reply that is fetched again: only its newest notice can come back for sure, but what
            // the upstream was told already stands.
            Some(before) => {
                before.memo.id.into_iter().for_each(|id| self.store.forget(id));
                before.call.conversation
            }
            None => conversation,
        };
        // A copy of its own: a slice would keep the whole event.
        let suppressed = Suppressed { item: Bytes::copy_from_slice(&origin.item), notice };
        let call = Call { response: origin.response, conversation, suppressed };
        if call.size() > MOST_BYTES {
            return;
        }
        let used = now();
        let id = Some(self.store.remember(used, call.write(&self.whose)));
        self.forget(book.keep_call(call, Memo { id, used }));
    }

    /// Forgets that a conversation waits for outputs: it was given them.
    pub fn answered(&self, conversation: &str) {
        for Blocked { call, memo, .. } in &mut self.book().calls {
            if call.conversation.as_deref() == Some(conversation) {
                call.conversation = None;
                memo.id.into_iter().for_each(|id| self.store.rewrite_memo(id, call.write(&self.whose)));
            }
        }
    }

    /// Remembers which tools were declared for the reply with this id, also after a restart if the reply is
    /// `stored` by the upstream.
    pub fn declared(&self, id: &str, declared: &Arc<Declared>, stored: bool) {
        if id.is_empty() || id.len() > LONGEST_ID {
            return;
        }
        let mut book = self.book();
        if let Some(before) = book.take_tools(id) {
            self.forget(before.memo.id.into_iter().collect());
        }
        let tools = Tools { response: id.into(), declared: Arc::clone(declared) };
        let used = now();
        let id = stored.then(|| self.store.remember(used, tools.write(&self.whose)));
        self.forget(book.keep_tools(tools, Memo { id, used }));
    }

    /// Which tools were declared for the reply with this id, if that is remembered.
    pub fn declared_for(&self, id: &str) -> Option<Arc<Declared>> {
        let book = self.book();
        let tools = book.replies.iter().map(|answered| &answered.tools);
        tools.into_iter().find(|tools| &*tools.response == id).map(|tools| Arc::clone(&tools.declared))
    }

    fn forget(&self, memos: Vec<u64>) {
        memos.into_iter().for_each(|id| self.store.forget(id));
    }

    /// One call that a client has sent something of.
    fn one(&self, which: impl Fn(&Blocked) -> bool) -> Option<Suppressed> {
        let mut book = self.book();
        let at = book.calls.iter().position(which)?;
        // What a client still sends is what it will send again.
        let mut blocked = book.calls.remove(at)?;
        let now = now();
        // To the hour: every request of a conversation uses all of its calls.
        if now.saturating_sub(blocked.memo.used) >= HOUR {
            blocked.memo.used = now;
            blocked.memo.id.into_iter().for_each(|id| self.store.memo_used(id, now));
        }
        let suppressed = blocked.call.suppressed.clone();
        book.calls.push_back(blocked);
        Some(suppressed)
    }

    fn all(&self, which: impl Fn(&Call) -> bool) -> Vec<Suppressed> {
        let book = self.book();
        let calls = book.calls.iter().map(|blocked| &blocked.call);
        calls.filter(|call| which(call)).map(|call| call.suppressed.clone()).collect()
    }
}

impl Memory for Remembered {
    fn told(&self, notice: &str) -> Option<Suppressed> {
        self.one(|blocked| blocked.call.suppressed.notice == notice)
    }

    fn referred(&self, id: &str) -> Option<Suppressed> {
        self.one(|blocked| blocked.place.as_deref() == Some(id))
    }

    fn of_reply(&self, id: &str) -> Vec<Suppressed> {
        self.all(|call| !id.is_empty() && &*call.response == id)
    }

    fn of_conversation(&self, id: &str) -> Vec<Suppressed> {
        self.all(|call| call.conversation.as_deref() == Some(id))
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
    /// Whether the upstream keeps the reply.
    pub stored: bool,
}

#[cfg(test)]
mod tests;
