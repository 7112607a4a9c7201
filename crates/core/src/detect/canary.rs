//! Decoys that the operator has planted: where they lie, and what they say.
//!
//! No program of the user's loads them, so whoever touches one was looking for credentials. What they say is random and known
//! by keyed hashes, as registered secrets are ([`Registered`]): it is found in every spelling that those are found in.

use std::sync::Arc;

use super::secrets::registered::{Registered, Registration};

/// The reason when planted content crosses.
pub const CONTENT: &str = "floor.canary-content";

/// The reason when a planted path is touched.
pub const PATH: &str = "floor.canary-path";

/// The most decoys there can be.
pub const MOST: usize = 256;

/// The most pieces of content that are known of one of them.
pub const MOST_PIECES: usize = 64;

/// The shortest piece of content by which a decoy is known, in bytes: a chance hit must be out of the question.
pub const SHORTEST_PIECE: usize = 16;

/// Where a decoy lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// An absolute path.
    pub path: String,
    /// What the decoy is called in receipts.
    pub name: Arc<str>,
}

/// The decoys that are planted.
#[derive(Clone, Debug, Default)]
pub struct Canaries {
    places: Vec<Place>,
    contents: Registered,
}

impl Canaries {
    /// None yet. `key` is what their content was hashed with.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { places: Vec::new(), contents: Registered::new(key) }
    }

    /// Adds the decoy `name`, which lies at `paths` (one file, in several spellings) and says `pieces`.
    pub fn add(
        &mut self,
        name: &str,
        paths: impl IntoIterator<Item = String>,
        pieces: impl IntoIterator<Item = Registration>,
    ) {
        let name: Arc<str> = name.into();
        for path in paths {
            self.places.push(Place { path, name: Arc::clone(&name) });
        }
        for piece in pieces {
            self.contents.add(&name, piece);
        }
    }

    /// Where they lie.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What they say.
    pub(crate) const fn contents(&self) -> &Registered {
        &self.contents
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty() && self.contents.is_empty()
    }

    /// What tells this set from others.
    pub(crate) fn fingerprint(&self) -> String {
        let mut text: String =
            self.places.iter().map(|place| format!("{} {}\n", place.name, place.path)).collect();
        text.push_str(&self.contents.fingerprint());
        text
    }
}
