//! Actions that wait for a person.
//!
//! Nobody can be asked yet, so the wait is over at once, and a wait that ends without an answer is a
//! block. The verdict that asked stays among the reasons.

use doorward_core::{Action, Decision, Layer, Reason, Verdict};

/// Settles what a person has to decide.
#[derive(Debug)]
pub struct Hold;

impl Hold {
    /// The decision once a person has answered, or has not.
    pub async fn settle(&self, _action: &Action, decision: Decision) -> Decision {
        if decision.verdict != Verdict::Ask {
            return decision;
        }
        let asked = decision.decisive().cloned();
        decision.and(Reason {
            rule: "hold.nobody-to-ask".into(),
            layer: Layer::Policy,
            verdict: Verdict::Block,
            severity: asked.as_ref().map_or(60, |reason| reason.severity),
            message: asked.map_or_else(
                || "this needs a person's consent".into(),
                |reason| format!("{}; this needs a person's consent and nobody can be asked", reason.message),
            ),
            advice: "Ask your user to do this themselves.".into(),
            part: None,
        })
    }
}
