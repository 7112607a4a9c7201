//! Content blocks this session has already judged. Clients resend the whole conversation each turn;
//! a block is judged once, and a resent one costs a digest and a lookup.

use std::collections::{HashMap, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::action::{Action, ActionKind, Part};
use crate::decision::Verdict;

/// The most blocks remembered in one session; beyond it the oldest are judged again.
const MOST: usize = 16_384;

/// What was found in a block when it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The strongest verdict any of its findings asked for.
    pub verdict: Verdict,
    /// The severity of the worst finding, 0 to 100.
    pub risk: u8,
}

type Digest = [u8; 16];

/// The blocks judged so far, by keyed digest.
#[derive(Debug)]
pub struct Memory {
    key: Hmac<Sha256>,
    judged: HashMap<Digest, Remembered>,
    order: VecDeque<Digest>,
}

impl Memory {
    /// An empty memory under `key`.
    #[must_use]
    pub(super) fn new(key: [u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let key = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Self { key, judged: HashMap::new(), order: VecDeque::new() }
    }

    /// For each part of a request, what was found when it was judged before.
    pub(super) fn recall(&self, action: &Action) -> Vec<Option<Remembered>> {
        if action.kind != ActionKind::ModelRequest || self.judged.is_empty() {
            return Vec::new();
        }
        action.parts.iter().map(|part| self.judged.get(&self.digest(part)).cloned()).collect()
    }

    /// Remembers what was found in the parts judged now.
    pub(super) fn remember(&mut self, action: &Action, found: &[(usize, Remembered)]) {
        for (index, remembered) in found {
            let Some(part) = action.parts.get(*index) else { continue };
            let digest = self.digest(part);
            if self.judged.insert(digest, remembered.clone()).is_none() {
                self.order.push_back(digest);
            }
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.judged.remove(&oldest);
            }
        }
    }

    /// The same text said by someone else is another block: a tool result is not a user's word.
    fn digest(&self, part: &Part) -> Digest {
        let mut mac = self.key.clone();
        mac.update(&[part.kind as u8]);
        mac.update(part.text.as_bytes());
        let full = mac.finalize().into_bytes();
        full.first_chunk().copied().unwrap_or_default()
    }
}
