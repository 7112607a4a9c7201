//! What Doorward keeps beside its ledger.
//!
//! The ledger says what happened and is for everyone to verify. This crate holds what must survive a
//! restart and is nobody else's business: credentials, the kill switch, and for each receipt the salt
//! that its digests are keyed with (and, by setting, the content), encrypted, so that they can be
//! destroyed while the log stays whole.
//!
//! - [`home`]: the directory everything lies in, its files, their privacy, one process at a time.
//! - [`Store`]: recorded actions, memos and what limits counted, on SQLite, written in batches by a thread of their own.
//! - [`Agents`]: a token per agent, resolved without a lock.
//! - [`accounts`]: keys, the agents issued under them, and their credits.
//! - [`signals`]: what moved (kill, policy, key, approval, pin), and the kill state, read without a lock.
//! - [`forensics`]: what was blocked, encrypted to a key that is not here.
//! - [`webhooks`]: whom people want told of what, and what is still to be told.
//! - [`quarantine`]: what was held instead of written, and where nothing is run because of it.
//! - [`retention`]: what is too old goes, unless it is held; and what is scrubbed.
//! - [`kill`]: what is stopped, by an act or by the file `kill`; [`watch`]: files that people change.
//!
//! Order of a start: [`Home::open`], [`Home::lock`], [`Store::open`], [`KillWatch::start`], then serve.
//! If any of them fails, nothing is served.

pub mod accounts;

pub mod forensics;

pub mod home;

pub mod kill;

pub mod quarantine;

pub mod retention;

pub mod signals;

pub mod watch;

pub mod webhooks;

mod agents;
mod alert;
mod approvals;
mod batch;
mod counted;
mod error;
mod judged;
mod memo;
mod once;
mod private;
mod reader;
mod record;
mod schema;
mod seal;
mod sealed;
mod secret;
mod sessions;
mod store;
mod stories;
mod worker;

pub use agents::{AgentName, Agents};
pub use alert::{ALERT_STANDS, Alert};
pub use approvals::{Grant, GrantScope, MAX_GRANTS};
pub use counted::{Counted, Kept, Owed};
pub use error::StoreError;
pub use home::{Home, HomeLock, Warning, write_atomic};
pub use judged::{Judged, JudgedReason, MAX_JUDGED};
pub use kill::{KillSet, Scope, Stop, Stops};
pub use memo::{MAX_MEMO, Memo};
pub use once::{Came, Handshake, OnceKept, OnceOnly};
pub use reader::Reader;
pub use record::{MAX_CONTENT, MAX_LISTED, RecordedAction, RecordedEffect};
pub use secret::{Secret32, Token, TokenKind, fill_random};
pub use sessions::{MAX_SESSIONS, MAX_TASK, SessionName, SessionRecord};
pub use signals::{Signal, Signals};
pub use store::{Options, Store};
pub use stories::{Lying, MAX_WHOLE, Owner, Written};
pub use watch::{FileWatch, KillWatch};
