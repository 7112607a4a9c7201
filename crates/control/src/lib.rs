//! The control listener: where people steer a running Doorward.
//!
//! It serves the control half of the one route table ([`doorward_core::routes`]) and nothing else. Each
//! request passes the same five checks in the same order, written down in one function (`gate`): the
//! target is a plain path, `Host` and `Origin` are ours (a web page must not reach it through the
//! person's browser, nor by rebinding a name), the table knows path and method, and the operator's token
//! is there if the route wants one. An agent's token is worth nothing here.
//!
//! What the routes do is the binary's to say: it implements [`Desk`] and hands it to [`serve`].
//!
//! Nothing a stranger sends can occupy the listener: one request per connection, 16 KiB of headers and of
//! body, some seconds for each, and when all places are taken the oldest that has not shown the token
//! makes room. The kill switch has to be reachable for a person while an agent is trying to prevent it.

mod answer;
mod approvals;
mod desk;
mod gate;
mod handle;
mod quarantine;
mod serve;
mod sessions;
mod taint;

pub use answer::acted_json;
pub use desk::{
    Act, Approver, ClassifierStatus, Desk, Fault, FaultKind, FilesStatus, RefusedFiles, Settlement, Status,
    WebhooksStatus,
};
pub use doorward_core::syntax::Object;
pub use quarantine::{HeldWish, done_json, held_json, items_json};
pub use serve::{Settings, serve};
pub use sessions::{SessionAct, SessionStatus, SessionWish, Sessions, session_json, sessions_json};
pub use taint::{
    Artefacts, LONGEST_ARTEFACT, MOST_ARTEFACTS, TaintFound, TaintStep, TaintWish, TaintedArtefact,
    artefacts_json, found_json,
};
