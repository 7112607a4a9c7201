//! Keeping aside what is held instead of written, before its decision is recorded: what cannot be kept is blocked, and its
//! path is held all the same.

use std::sync::{Arc, PoisonError, RwLock};

use doorward_core::decision::{Duty, Layer};
use doorward_core::session::Held;
use doorward_core::{Engine, Reason, Verdict};
use doorward_store::quarantine::{NotKept, Place, Quarantine};
use sha2::{Digest as _, Sha256};

use super::{Gateway, Judged, now};
use crate::record::Content;

/// The rule of what could not be kept.
const UNKEPT: &str = "floor.quarantine-unkept";

/// The paths of held content, as an engine compares them; made anew when they move.
#[derive(Debug, Default)]
pub(super) struct Shelf(RwLock<(u64, Held)>);

impl Shelf {
    /// Those of `quarantine` now.
    pub fn held(&self, quarantine: &Quarantine, engine: &Engine) -> Held {
        let revision = quarantine.revision();
        {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if known.0 == revision {
                return known.1.clone();
            }
        }
        let paths = quarantine.held_paths();
        let held = engine.held(paths.iter().map(String::as_str));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (revision, held.clone());
        held
    }
}

/// One content to keep, and where it was to go; no path if it was not a file.
struct Kept {
    content: Arc<[u8]>,
    path: String,
}

impl Gateway {
    /// Keeps what the decision's duties divert. Of a call of which nobody knows what it writes, and of anything else, what
    /// was to go is kept whole.
    pub(super) async fn divert<B: Content>(&self, mut judged: Judged, body: &B) -> Judged {
        let holds = |reason: &&Reason| reason.verdict == Verdict::Quarantine;
        let keeps = judged.enforces() && !judged.action.only_checked;
        let Some(reason) = judged.decision.reasons.iter().find(holds).filter(|_| keeps) else {
            return judged;
        };
        let rule = reason.rule.clone();
        let digests: Vec<[u8; 32]> = judged.decision.diverted().copied().collect();
        let digest = |content: &[u8]| <[u8; 32]>::from(Sha256::digest(content));
        let written = judged.action.written.iter().filter(|file| digests.contains(&digest(&file.content)));
        let mut kept: Vec<Kept> = written
            .map(|file| Kept { content: Arc::clone(&file.content), path: file.path.to_string() })
            .filter(|file| !is_directory(&file.path))
            .collect();
        if kept.is_empty() {
            let content: Arc<[u8]> = body.content().into();
            judged.decision.duties.0.push(Duty::Divert(digest(&content)));
            kept.push(Kept { content, path: String::new() });
        }
        // Rare, and large: it is not to make every crossing's future larger.
        let failed = Box::pin(self.keep(kept, &judged, rule)).await;
        let Some(failed) = failed else { return judged };
        judged.decision.duties.0.retain(|duty| !matches!(duty, Duty::Divert(_)));
        judged.and(Reason {
            rule: UNKEPT.into(),
            layer: Layer::Floor,
            verdict: Verdict::Block,
            severity: 100,
            message: format!("what was to be held could not be kept: {failed}"),
            advice: "tell the user, who makes room or finds the cause".to_owned(),
            part: None,
        })
    }

    /// The first thing that went wrong, if anything did.
    async fn keep(&self, kept: Vec<Kept>, judged: &Judged, rule: String) -> Option<NotKept> {
        let place = Place {
            time: now(),
            agent: judged.action.agent.to_string(),
            session: judged.action.session.to_string(),
            tool: judged.action.tool.as_ref().map(|tool| tool.name.to_string()).unwrap_or_default(),
            rule,
            ..Place::default()
        };
        let quarantine = Arc::clone(self.store.quarantine());
        let all = move || {
            // All of them, whatever becomes of one: each path is to be held.
            let one = |Kept { content, path }| quarantine.keep(&content, Place { path, ..place.clone() });
            let done: Vec<Result<(), NotKept>> = kept.into_iter().map(one).collect();
            done.into_iter().find_map(Result::err)
        };
        let done = tokio::task::spawn_blocking(all).await;
        done.unwrap_or_else(|_| Some(NotKept::Failed("the thread that keeps it has failed".to_owned())))
    }

    /// Notes under which receipt something is held.
    pub(super) async fn note_receipt(&self, digests: Vec<[u8; 32]>, receipt: &str) {
        if digests.is_empty() {
            return;
        }
        let (quarantine, receipt) = (Arc::clone(self.store.quarantine()), receipt.to_owned());
        let note = move || digests.iter().for_each(|digest| quarantine.decided(digest, &receipt));
        let _ = tokio::task::spawn_blocking(note).await;
    }
}

/// Whether a path is a directory by its name: `cp x ~/.local/bin` reads as if it wrote that file as well.
fn is_directory(path: &str) -> bool {
    const NAMES: [&str; 11] =
        ["bin", "sbin", "tmp", "temp", "lib", "libexec", "shm", "cache", "local", "~", ""];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    NAMES.contains(&name.as_str())
}
