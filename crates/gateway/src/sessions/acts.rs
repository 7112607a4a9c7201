//! What a person does to a session.

use std::sync::Arc;

use doorward_core::session::{Grant, Granted, Millis, Said, SessionMode};
use doorward_store::{Owner, SessionName, SessionRecord, StoreError};

use super::{Session, Sessions, Told, lock};

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Begin it, on these terms.
    Begin {
        /// What it is about, in that person's words.
        task: String,
        /// How much is enforced.
        mode: SessionMode,
        /// What is granted.
        grants: Vec<Granted>,
    },
    /// Grant it something.
    Grant(Granted),
    /// Take a grant back.
    Revoke(Grant),
    /// Enforce more or less of what is decided.
    Mode(SessionMode),
    /// Forget what it has done so far; its terms stay.
    Clear,
}

impl Act {
    /// The event of its receipt.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Begin { .. } => "session_init",
            Self::Grant(_) => "session_grant",
            Self::Revoke(_) => "session_revoke",
            Self::Mode(_) => "session_mode",
            Self::Clear => "session_clear",
        }
    }

    /// What was done, for the receipt.
    #[must_use]
    pub fn words(&self) -> String {
        let until = |granted: &Granted| match granted.until {
            None => granted.grant.as_str().to_owned(),
            Some(until) => format!("{} until {until}", granted.grant.as_str()),
        };
        match self {
            Self::Begin { mode, grants, .. } => {
                let grants = grants.iter().map(|granted| format!(", {}", until(granted)));
                format!("{}{}", mode.as_str(), grants.collect::<String>())
            }
            Self::Grant(granted) => until(granted),
            Self::Revoke(grant) => grant.as_str().to_owned(),
            Self::Mode(mode) => mode.as_str().to_owned(),
            Self::Clear => String::new(),
        }
    }
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// There is no such session.
    #[error("there is no session {0}")]
    Unknown(SessionName),
    /// There is one already.
    #[error("there is a session {0} already")]
    Exists(SessionName),
    /// It has no such grant.
    #[error("session {0} was not granted {1}")]
    NotGranted(SessionName, &'static str),
    /// It is in force, but a restart would forget it.
    #[error("it is in force, but could not be kept: {0}")]
    Unkept(#[from] StoreError),
    /// It has no name.
    #[error("{0}")]
    Failed(String),
}

impl Sessions {
    /// Does `act` to the session `name`; returns what is known of it then, once that is on disk.
    ///
    /// # Errors
    /// [`NotDone`].
    pub async fn act(&self, name: &SessionName, act: Act, now: Millis) -> Result<SessionRecord, NotDone> {
        let known = lock(&self.known).by_name.get(name.as_str()).cloned();
        if let (Act::Clear, Some(session)) = (&act, &known) {
            self.wake(session).await?;
        }
        let session = self.done(name, act, now)?;
        drop(known);
        let record = session.record();
        self.store.set_session(record.clone()).await?;
        // What has a permit and has not gone yet is judged again on the new terms.
        self.store.signals().bump(doorward_store::Signal::Kill);
        Ok(record)
    }

    /// Under the lock of all: two acts on one session come after one another.
    fn done(&self, name: &SessionName, act: Act, now: Millis) -> Result<Arc<Session>, NotDone> {
        let mut known = lock(&self.known);
        let session = known.by_name.get(name.as_str()).cloned();
        if let Act::Begin { task, mode, grants } = act {
            if session.is_some() {
                return Err(NotDone::Exists(name.clone()));
            }
            let begun = self.begun(&mut known, name.as_str(), Said::Header, now).map_err(NotDone::Failed)?;
            let mut told = Told { task, ..Told::default() };
            told.terms.mode = mode;
            grants.into_iter().for_each(|granted| told.terms.grant(granted));
            begun.told.store(Arc::new(told));
            return Ok(begun);
        }
        let session = session.ok_or_else(|| NotDone::Unknown(name.clone()))?;
        let mut told = Told::clone(&session.told.load());
        match act {
            Act::Begin { .. } => {}
            Act::Grant(granted) => told.terms.grant(granted),
            Act::Revoke(grant) => {
                if !told.terms.revoke(grant) {
                    return Err(NotDone::NotGranted(name.clone(), grant.as_str()));
                }
            }
            Act::Mode(mode) => told.terms.mode = mode,
            Act::Clear => {
                let mut state = lock(&session.state);
                let cleared = state.value.clear();
                let owner = Owner::Session(session.row);
                state.add(&self.store, &owner, cleared, |state| state.journal().encode());
                self.asleep.weigh(&session, state.value.journal());
            }
        }
        session.told.store(Arc::new(told));
        Ok(session)
    }
}
