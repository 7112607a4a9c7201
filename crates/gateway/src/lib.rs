//! The data plane: where agents' traffic crosses.
//!
//! Read [`judge`] first: the whole firewall is [`Gateway::pass`], and it fits on one screen. A door
//! ([`doors`]) turns bytes into an [`Action`](doorward_core::Action) and asks for a [`Permit`]; only
//! [`forward`] writes onward, and it takes a permit by value. A permit owns the judged bytes and comes
//! into being in one place, in [`record`], after the receipt of its decision is in the ledger.
//!
//! ```text
//! server ─▶ doors/model ─▶ judge::pass ─▶ record ─▶ Permit ─▶ forward ─▶ upstream
//!                │                                                          │
//! client ◀─ forward ◀─ StreamPermit + Permit<Held> ◀─ judge::pass ◀─ core::stream
//! ```
//!
//! Everything that goes wrong is a refusal that says whose fault it is ([`answer`]).

pub mod server;

mod incoming;

pub mod doors;

pub mod judge;

mod clock;
pub use clock::Clock;

pub mod in_force;

pub mod sessions;

pub mod hold;

mod opinion;

mod kept;

mod fields;

mod issued;

mod alarm;

pub mod webhooks;

mod budgets;

pub mod accounts;

mod replies;

mod conversations;

pub mod record;

pub mod forward;

pub mod upstream;

mod http1;

mod memory;

mod turns;

mod encoding;

pub mod answer;

mod id;

pub use id::fresh_id;

pub use forward::Patience;
pub use hold::Approvals;
pub use in_force::InForce;
pub use judge::{Gateway, Refusal, Why};
pub use opinion::{OpinionSettings, SecondOpinion, WIDEST as OPINION_BAND};
pub use record::{Permit, Recorder, StreamPermit};
pub use server::{Server, Settings};
pub use upstream::{KeyHeader, Upstream, UpstreamSettings};
