//! Paths at which nothing is run, because what was to be written there is held in quarantine.

use std::collections::HashMap;
use std::sync::Arc;

/// Those of a workspace, as they are compared: [`crate::Engine::held`] makes them. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Arc<HashMap<Box<str>, Vec<Place>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its names, from the root if that is known.
    pub names: Vec<Box<str>>,
    /// Whether it is.
    pub rooted: bool,
}

impl Held {
    /// `places` by their last names.
    pub(crate) fn of(places: impl Iterator<Item = Place>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<Place>> = HashMap::new();
        for place in places {
            if let Some(last) = place.names.last() {
                by_name.entry(last.clone()).or_default().push(place);
            }
        }
        Self(Arc::new(by_name))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose last name is `name`.
    pub(crate) fn named(&self, name: &str) -> &[Place] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Place> {
        self.0.values().flatten()
    }
}
