//! What a person asks about artefacts that untrusted content has left, and how they are forgotten.

use doorward_core::session::taint::{Mark, Step, id};
use doorward_store::StoreError;

use super::Sessions;

/// An artefact, and how it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Its keyed digest.
    pub mark: Mark,
    /// The artefact itself, then what it was made of.
    pub steps: Vec<Step>,
}

/// The artefacts that were seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latest {
    /// The latest first, each without what it was made of.
    pub artefacts: Vec<Artefact>,
    /// How many there are in all.
    pub known: usize,
    /// How many went because there were too many, since the beginning.
    pub dropped: u64,
}

/// What is known of what a person named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What it is itself: a path may be a file that was fetched and one that a page names.
    pub itself: Vec<Artefact>,
    /// The host of a URL, if that is tainted as well.
    pub host: Option<Artefact>,
}

impl Found {
    /// What it is itself, for a receipt, which holds no content: each by kind and digest.
    #[must_use]
    pub fn words(&self) -> String {
        let one = |found: &Artefact| {
            let kind = found.steps.first().map_or("artefact", |step| step.kind.as_str());
            format!("{kind} {}", id(found.mark))
        };
        self.itself.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Sessions {
    /// The artefacts that were seen last, at most `most`; those of one agent if it is named.
    #[must_use]
    pub fn latest_artefacts(&self, agent: Option<&str>, most: usize) -> Latest {
        self.common.look(|workspace| {
            let latest = workspace.latest(agent, most).into_iter();
            let artefacts = latest.map(|(mark, step)| Artefact { mark, steps: vec![step] }).collect();
            Latest { artefacts, known: workspace.len(), dropped: workspace.dropped() }
        })
    }

    /// What is known of `artefact`: a URL, a host, a path, a command line, a tool, or an artefact's id.
    #[must_use]
    pub fn find_artefact(&self, artefact: &str) -> Found {
        self.common.look(|workspace| {
            let looked = workspace.look_up(artefact);
            let tell = |mark: Mark| Artefact { mark, steps: workspace.steps(mark) };
            Found { itself: looked.itself.into_iter().map(tell).collect(), host: looked.host.map(tell) }
        })
    }

    /// Forgets what `found` names itself, and returns once that is on disk: from now on it taints nothing. Untrusted content
    /// that names it anew taints it anew.
    ///
    /// # Errors
    /// If it cannot be written. It is forgotten until a restart then.
    pub async fn forget_artefacts(&self, found: &Found) -> Result<(), StoreError> {
        let marks: Vec<Mark> = found.itself.iter().map(|artefact| artefact.mark).collect();
        self.common.forget(&self.store, &marks);
        self.store.flush().await
    }
}
