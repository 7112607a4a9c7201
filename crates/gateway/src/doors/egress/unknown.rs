//! Calls of which nobody knows whose they are: those that are refused before there is a session. A flood of them shares a
//! receipt a second, with how many there were; each would be a way to fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use doorward_core::account::gcra::Ticks;

use super::denied::Denial;
use crate::record::Recorder;

/// How long refusals with one code share a receipt, in milliseconds.
const SHARED: Ticks = 1000;

/// Since when, by code, and how many there were that no receipt has told of.
#[derive(Debug, Default)]
pub struct Unknown(Mutex<HashMap<&'static str, (Ticks, u64)>>);

impl Unknown {
    /// Notes a refusal, and records it if none with this code was recorded within the last second.
    pub async fn note(&self, denial: &Denial, now: Ticks, recorder: &Recorder) {
        let Some(untold) = self.due(denial.code.name, now) else { return };
        let more =
            if untold == 0 { String::new() } else { format!("; {untold} more since the last such receipt") };
        let message = format!("{}{more}", denial.message);
        if let Err(error) = recorder.control("egress_refused", "doorward", denial.code.name, &message).await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }

    /// How many were not told of, if it is time to tell.
    fn due(&self, code: &'static str, now: Ticks) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(code) {
            Some((since, untold)) if now < since.saturating_add(SHARED) => {
                *untold = untold.saturating_add(1);
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                known.insert(code, (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_shares_a_receipt_a_second() {
        let unknown = Unknown::default();
        assert_eq!(unknown.due("A", 5), Some(0));
        for now in 5..1005 {
            assert_eq!(unknown.due("A", now), None);
        }
        assert_eq!(unknown.due("B", 6), Some(0));
        assert_eq!(unknown.due("A", 1005), Some(1000));
        assert_eq!(unknown.due("A", 3000), Some(0));
    }
}
