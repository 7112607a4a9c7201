//! Doing to a body what its decision says.

use doorward_core::decision::{Duty, Layer};
use doorward_core::wire::splice::Edit;
use doorward_core::{Reason, Verdict};

use super::{Gateway, Judged};
use crate::record::Content;

impl Gateway {
    /// Does to the body what the decision's duties say, and remembers it. What cannot be done is a block. Where nothing is
    /// altered nothing is done, and the receipt says that it was not.
    pub(super) fn carry_out<B: Content>(&self, judged: Judged, mut body: B) -> (Judged, B) {
        let edits = judged.decision.duties.0.iter().filter_map(|duty| match duty {
            Duty::Edit(span, with) => Some(Edit::replace(*span, with.clone())),
            _ => None,
        });
        let edits = if judged.enforces() { edits.collect() } else { Vec::new() };
        if let Err(fault) = body.edit(edits) {
            let reason = Reason {
                rule: "floor.edit".into(),
                layer: Layer::Floor,
                verdict: Verdict::Block,
                severity: 100,
                message: format!("what has to be taken out cannot be: {fault}"),
                advice: String::new(),
                part: None,
            };
            return (judged.and(reason), body);
        }
        if judged.enforces() && !judged.action.only_checked {
            self.replies.blocks().remember(&judged.action, &judged.decision);
            self.issued.remember(&judged.action, &judged.decision.redacted);
        }
        (judged, body)
    }
}
