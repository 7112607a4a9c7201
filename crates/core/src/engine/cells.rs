//! What the capability matrix says of an action, as reasons.

use super::{Engine, acts, reason};
use crate::action::{Action, AssetClass, Capability, Effect};
use crate::decision::{Layer, Reason, Verdict};
use crate::policy::matrix::{Because, Cell, Matrix};
use crate::session::Facts;

/// The most cells that become reasons; the strongest do.
const MOST: usize = 4;

impl Engine {
    /// The cell of each effect of `action`, and what it says in this session under the policy's profile.
    #[must_use]
    pub fn matrix(&self, action: &Action, effects: &[Effect], facts: &Facts) -> Vec<(Cell, Verdict)> {
        let because = Because::of(facts.source_of(action));
        let (matrix, profile) = (Matrix::shipped(), self.policy.profile());
        let cells = effects.iter().map(|effect| matrix.cell(effect, because));
        cells.map(|cell| (cell, cell.verdict(profile, facts.standing.grants))).collect()
    }

    /// The reasons that the matrix gives, one for each kind of thing that is done. What would only be noted is noted
    /// where nothing else is: a finding about the same thing says more, and one that was suppressed is not to come back
    /// under another name.
    pub(super) fn cells(
        &self,
        action: &Action,
        effects: &[Effect],
        facts: &Facts,
        others: &[Reason],
    ) -> Vec<Reason> {
        let least = if others.is_empty() { Verdict::Allow } else { Verdict::Audit };
        if !acts(action.kind) {
            return Vec::new();
        }
        let because = Because::of(facts.source_of(action));
        let (matrix, profile) = (Matrix::shipped(), self.policy.profile());
        let mut said: Vec<(Verdict, Capability, AssetClass, Cell)> = Vec::new();
        for effect in effects {
            let cell = matrix.cell(effect, because);
            let verdict = cell.verdict(profile, facts.standing.grants);
            let (capability, asset) = (effect.capability, effect.asset);
            let known = said.iter().any(|(_, c, a, _)| (*c, *a) == (capability, asset));
            if verdict > least && !known {
                said.push((verdict, capability, asset, cell));
            }
        }
        said.sort_by_key(|(verdict, ..)| std::cmp::Reverse(*verdict));
        said.into_iter().take(MOST).map(|case| told(case, because)).collect()
    }
}

fn told(
    (verdict, capability, asset, cell): (Verdict, Capability, AssetClass, Cell),
    because: Because,
) -> Reason {
    let severity = match verdict {
        Verdict::Allow | Verdict::Audit | Verdict::Redact => 30,
        Verdict::Ask => 60,
        Verdict::Quarantine | Verdict::Block => 80,
    };
    let whose = match because {
        Because::Person => "a person named it",
        Because::Model => "the model proposed it",
        Because::Stranger => "content from elsewhere led to it",
    };
    let (what, of) = (capability.as_str(), asset.as_str());
    let message = format!("it does {what} to what is {of}; {whose} (matrix, line {})", cell.line);
    let advice = match (verdict, cell.grant) {
        (Verdict::Audit, _) => String::new(),
        (_, Some(grant)) => format!("ask the user to grant {} to this session", grant.as_str()),
        (_, None) => "ask the user to do this, or to name exactly what is wanted".to_owned(),
    };
    reason(&format!("matrix.{what}"), Layer::Policy, verdict, severity, message, &advice)
}
