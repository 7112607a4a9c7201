//! What the door has to know of keys.

use std::sync::Arc;

use doorward_core::wire::sphyr::sign::{Form, verifies};
use zeroize::Zeroizing;

/// Who knows the keys.
pub trait Keys: std::fmt::Debug + Send + Sync {
    /// The key of this id. Asked for each call: no lock, no file.
    fn key(&self, id: &str) -> Option<Arc<Key>>;

    /// Whether this agent's id was issued under the key.
    fn is_issued(&self, key: &str, agent: &str) -> bool;

    /// How many credits it has left; `None` if it cannot be told now.
    fn balance(&self, id: &str) -> Option<u64>;
}

/// A key.
pub struct Key {
    /// Its id.
    pub id: Arc<str>,
    /// Whose it is.
    pub agent: Arc<str>,
    /// What its calls are signed with: the newest first; an older one only while it still holds.
    pub secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Why it may not be used at present, in words.
    pub stopped: Option<String>,
    /// How its calls are signed.
    pub form: Form,
    /// Whether its calls are only checked.
    pub dry_run: bool,
    /// What the SDK does about tools that have changed: `LOG` or `BLOCK`.
    pub drift: &'static str,
    /// Whether its sessions belong to the address they were opened from.
    pub bind_ip: bool,
    /// Calls a second of the key, and of one agent under it, if they are others than everybody's.
    pub rates: [Option<u32>; 2],
}

impl Key {
    /// Whether `signature` is that of `payload` by one of its secrets.
    pub(super) fn signed(&self, payload: &[u8], signature: &str) -> bool {
        // All of them, so that time does not tell which.
        let fits = self.secrets.iter().filter(|secret| verifies(secret, payload, signature));
        fits.count() > 0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("agent", &self.agent).finish_non_exhaustive()
    }
}
