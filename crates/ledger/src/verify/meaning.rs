//! Do the receipts make sense together: ids unique, references backward, every outcome of something, once.

use super::report::{Code, MAX_LISTED, Problem, Report};
use crate::receipt::{Kind, Receipt, VERSION};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// An id, shortened by hashing so that memory per receipt does not depend on its length. Ids come from the log under
/// verification, so the hash must be one that nobody can make collide on purpose.
type IdHash = [u8; 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Expects an outcome; its key in [`Meaning::open`].
    Open(usize),
    /// May have an outcome.
    Decided,
    /// Had its outcome.
    Closed,
    /// Neither has nor takes one.
    Other,
}

/// The receipts seen so far. About 50 bytes each.
#[derive(Default)]
pub(super) struct Meaning {
    seen: HashMap<IdHash, State>,
    /// Ids of open receipts, to name them in the end.
    open: BTreeMap<usize, String>,
}

fn id_hash(id: &str) -> IdHash {
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    digest.first_chunk::<16>().copied().unwrap_or_default()
}

impl Meaning {
    /// Takes in one entry in its order.
    pub(super) fn see(&mut self, index: u64, entry: &[u8], file: &str, offset: u64, report: &mut Report) {
        let receipt = match Receipt::parse(entry) {
            Ok(receipt) => receipt,
            Err(error) => {
                let problem = Problem::new(Code::BadReceipt, error.to_string());
                return report.problem(problem.at_index(index).at(file, offset));
            }
        };
        self.see_alone(&receipt, report);
        if let Some((code, message)) = self.relate(&receipt) {
            report.problem(Problem::new(code, message).at_index(index).at(file, offset));
        }
        let id = id_hash(receipt.id());
        if self.seen.contains_key(&id) {
            let message = format!("the id {} is used before", receipt.id());
            return report.problem(Problem::new(Code::DuplicateId, message).at_index(index).at(file, offset));
        }
        let state = match receipt.kind() {
            Kind::Opened => {
                // Numbered as they come: in a tampered log the same index may come twice.
                let number = self.seen.len();
                self.open.insert(number, receipt.id().to_owned());
                State::Open(number)
            }
            Kind::Decision => State::Decided,
            _ => State::Other,
        };
        self.seen.insert(id, state);
    }

    /// What a receipt says by itself.
    pub(super) fn see_alone(&mut self, receipt: &Receipt, report: &mut Report) {
        if let Kind::Other(word) = receipt.kind() {
            *report.unknown_kinds.entry(word.clone()).or_default() += 1;
        }
        if receipt.version() > VERSION {
            *report.unknown_kinds.entry(format!("v{} {}", receipt.version(), receipt.kind())).or_default() +=
                1;
        }
    }

    /// Follows `of`. An outcome closes what it names.
    fn relate(&mut self, receipt: &Receipt) -> Option<(Code, String)> {
        let outcome = *receipt.kind() == Kind::Outcome;
        let Some(of) = receipt.of() else {
            return outcome
                .then(|| (Code::OutcomeWithoutOpened, "the outcome does not say of what".to_owned()));
        };
        let state = self.seen.get_mut(&id_hash(of));
        if !outcome {
            let message = || format!("it refers to {of}, which does not precede it");
            return state.is_none().then(|| (Code::UnknownReference, message()));
        }
        match state {
            None => Some((
                Code::OutcomeWithoutOpened,
                format!("it is the outcome of {of}, which does not precede it"),
            )),
            Some(State::Closed) => Some((Code::OutcomeTwice, format!("{of} already has an outcome"))),
            Some(State::Other) => {
                Some((Code::OutcomeWithoutOpened, format!("it is the outcome of {of}, which takes none")))
            }
            Some(state) => {
                if let State::Open(at) = *state {
                    self.open.remove(&at);
                }
                *state = State::Closed;
                None
            }
        }
    }

    /// Names what stayed open.
    pub(super) fn finish(self, report: &mut Report) {
        report.open_count = self.open.len() as u64;
        report.open = self.open.into_values().take(MAX_LISTED).collect();
    }
}
