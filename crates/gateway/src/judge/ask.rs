//! Letting a person decide what the decision leaves to them.

use std::sync::Arc;

use doorward_core::decision::Layer;
use doorward_core::{Reason, Verdict};

use super::{Gateway, Judged, Refusal};
use crate::hold::{Outcome, Waits};

/// How many questions one action may raise, one after the other.
const QUESTIONS: usize = 4;

impl Gateway {
    /// Asks, and judges again by what is in force and known then: while a person thought, the kill switch, the policy
    /// and the session may have moved. A yes lifts only the questions that were shown; if others have come up, they are
    /// put as well.
    pub(super) async fn settle(
        &self,
        mut judged: Judged,
        content: &[u8],
        waits: &Waits,
    ) -> Result<Judged, Refusal> {
        let mut given = Given::default();
        for _ in 0..QUESTIONS {
            if !judged.asks() {
                return Ok(judged);
            }
            // Rare, and large: it is not to make every crossing's future larger.
            let shown = judged.seen.facts.judged(&judged.action);
            let asking = Box::pin(self.hold.ask(&shown, content, &judged.decision, waits));
            let outcome = match asking.await {
                Ok(outcome) => outcome,
                Err(why) => return Err(judged.refused(why)),
            };
            if outcome.waited() {
                judged = given.lift(self.judge_again(judged).await?);
            }
            judged = match outcome {
                Outcome::No { reason, id, .. } => return Ok(judged.following(id).and(*reason)),
                Outcome::Yes { shown, words, id, .. } => given.and(shown, words, judged.following(Some(id))),
            };
        }
        if !judged.asks() {
            return Ok(judged);
        }
        let severity = judged.decision.risk;
        Ok(judged.and(Reason {
            rule: "hold.other-questions".into(),
            layer: Layer::Policy,
            verdict: Verdict::Block,
            severity,
            message: "each time a person said yes, another question had come up".to_owned(),
            advice: "Try again".to_owned(),
            part: None,
        }))
    }
}

/// What a person has allowed of one action so far: the questions they were shown, and words that say who.
#[derive(Default)]
struct Given(Vec<(Vec<Reason>, String)>);

impl Given {
    /// One more, lifted at once.
    fn and(&mut self, shown: Vec<Reason>, words: String, judged: Judged) -> Judged {
        let judged = lift(judged, &shown, &words);
        self.0.push((shown, words));
        judged
    }

    /// All of it, in what was judged again.
    fn lift(&self, judged: Judged) -> Judged {
        self.0.iter().fold(judged, |judged, (shown, words)| lift(judged, shown, words))
    }
}

fn lift(mut judged: Judged, shown: &[Reason], words: &str) -> Judged {
    judged.decision = judged.decision.approved(shown, words);
    judged.and(Reason {
        rule: "hold.approved".into(),
        layer: Layer::Policy,
        verdict: Verdict::Audit,
        severity: 0,
        message: words.to_owned(),
        advice: String::new(),
        part: None,
    })
}

impl Judged {
    /// After the receipt of a question, if there was one.
    fn following(mut self, question: Option<Arc<str>>) -> Self {
        self.seen.follows = question;
        self
    }
}
