//! Asking another judge.

use doorward_store::Secret32;

use super::{Gateway, Judged};
use crate::opinion::SecondOpinion;

/// The other judge, and the key under which its answers are remembered.
#[derive(Debug)]
pub(super) struct Opinion {
    pub judge: SecondOpinion,
    pub key: Secret32,
}

impl Gateway {
    /// What is decided once another judge was heard, if there is one and it is to be asked.
    pub(super) async fn second_opinion(&self, judged: Judged) -> Judged {
        match &self.opinion {
            // Rare, and large: it is not to make every crossing's future larger.
            Some(opinion) if opinion.judge.concerns(&judged) => {
                Box::pin(opinion.judge.weigh(judged, &opinion.key)).await
            }
            _ => judged,
        }
    }
}
