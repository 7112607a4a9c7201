//! What may be spent.
//!
//! No account exists yet, so no decision carries charges and nothing is reserved. The step stands in the
//! way of a crossing so that it is never forgotten.

use doorward_core::Decision;

/// Reserves what actions cost.
#[derive(Debug)]
pub struct Budgets;

impl Budgets {
    /// The decision with its charges reserved: all of them, or it is a block.
    pub async fn reserve(&self, decision: Decision) -> Decision {
        decision
    }
}
