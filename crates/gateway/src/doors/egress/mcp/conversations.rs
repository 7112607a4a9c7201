//! Sessions of ordinary clients (`Mcp-Session-Id`). They give no right: each message shows its key. What they say is which
//! messages belong together, so nothing is kept of them but which have ended; one is ours if its end is our signature.

use doorward_core::syntax::hex;
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use doorward_core::wire::sphyr::sign;
use doorward_store::{Secret32, StoreError, fill_random};

use super::client::GREETED;

/// The most that are remembered as ended; one that is forgotten goes on, for who has its key.
const MOST: usize = 16_384;

/// The digit of a version that is none of those.
const UNSAID: usize = 15;

/// How many digits are random, but for the first, which says the version.
const RANDOM: usize = 32;

/// All that were begun.
#[derive(Debug)]
pub struct Conversations {
    secret: Secret32,
    ended: Mutex<Ended>,
}

/// Those that have ended, and in which order.
#[derive(Debug, Default)]
struct Ended {
    all: HashSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Conversation(Box<str>);

impl Conversation {
    /// Its name, as the client has it.
    pub(super) fn id(&self) -> &str {
        &self.0
    }

    /// The version that was agreed on, which its first digit says.
    pub(super) fn version(&self) -> Option<&'static str> {
        let digit = self.0.chars().next().and_then(|digit| digit.to_digit(16))?;
        GREETED.get(usize::try_from(digit).ok()?).copied()
    }

    /// What an agent is called that does not say who it is.
    pub(super) fn agent(&self) -> String {
        format!("mcp-{}", self.0.chars().take(12).collect::<String>())
    }
}

impl Conversations {
    /// None yet; their names are signed by `secret`, so that they are known after a restart.
    pub fn new(secret: Secret32) -> Self {
        Self { secret, ended: Mutex::default() }
    }

    /// Begins one for this key, in this version.
    pub(super) fn begin(&self, key: &str, version: &str) -> Result<Conversation, StoreError> {
        let mut bytes = [0; RANDOM / 2];
        fill_random(&mut bytes)?;
        let random = hex(&bytes);
        let number = GREETED.iter().position(|known| *known == version).unwrap_or(UNSAID);
        let random = format!("{number:x}{}", random.get(1..).unwrap_or_default());
        let signature = self.signature(&random, key);
        Ok(Conversation(format!("{random}{signature}").into()))
    }

    /// The one of this name, if it was begun for this key and has not ended.
    pub(super) fn find(&self, id: &str, key: &str) -> Option<Conversation> {
        let (random, signature) = id.split_at_checked(RANDOM)?;
        if !sign::verifies(self.secret.expose(), &signed(random, key), signature) {
            return None;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (!ended.all.contains(id)).then(|| Conversation(id.into()))
    }

    /// Ends one.
    pub(super) fn end(&self, conversation: Conversation) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.order.len() >= MOST
            && let Some(first) = ended.order.pop_front()
        {
            ended.all.remove(&first);
        }
        if ended.all.insert(conversation.0.clone()) {
            ended.order.push_back(conversation.0);
        }
    }

    fn signature(&self, random: &str, key: &str) -> String {
        sign::sign(self.secret.expose(), &signed(random, key))
    }
}

fn signed(random: &str, key: &str) -> Vec<u8> {
    format!("{random}:{key}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_of_its_key_until_it_ends() {
        let conversations = Conversations::new(Secret32::new([3; 32]));
        let one = conversations.begin("key_1", "2025-03-26").unwrap();
        let id = one.id().to_owned();
        assert_eq!(one.version(), Some("2025-03-26"));
        assert_eq!(conversations.begin("key_1", "other").unwrap().version(), None);
        assert!(id.len() == 96 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(conversations.find(&id, "key_1").is_some());
        assert!(conversations.find(&id, "key_2").is_none());
        assert!(conversations.find(id.get(1..).unwrap(), "key_1").is_none());
        assert!(conversations.find("é", "key_1").is_none());
        // After a restart too.
        assert!(Conversations::new(Secret32::new([3; 32])).find(&id, "key_1").is_some());
        assert!(Conversations::new(Secret32::new([4; 32])).find(&id, "key_1").is_none());
        conversations.end(one);
        assert!(conversations.find(&id, "key_1").is_none());
    }
}
