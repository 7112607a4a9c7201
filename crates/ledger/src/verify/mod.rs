//! Offline verification: what is wrong with a log, an exported log or a bundle, and where exactly.

mod meaning;
mod report;
mod segments;
mod tiles;

pub use report::{Code, MAX_LISTED, Place, Problem, Report};

use crate::bundle::Bundle;
use crate::keys::VerifyingKey;
use crate::storage;
use std::path::Path;

/// Verifies the log in `dir`, be it a log directory or an exported tile directory. Nothing is written, no index is
/// used, every byte is read. `since` is the text of a checkpoint remembered from earlier: the log must continue it.
pub fn verify_log(dir: &Path, trusted: &VerifyingKey, since: Option<&str>) -> Report {
    if storage::is_log_dir(dir) {
        segments::verify(dir, trusted, since)
    } else {
        tiles::verify(dir, trusted, since)
    }
}

/// Verifies a bundle.
pub fn verify_bundle(json: &[u8], trusted: &VerifyingKey) -> Report {
    let mut report = Report::new("bundle");
    match Bundle::parse(json) {
        Ok(bundle) => {
            report.entries = 1;
            report.checkpoints = 1;
            let mut meaning = meaning::Meaning::default();
            meaning.see_alone(bundle.receipt(), &mut report);
            bundle.verify(trusted).into_iter().for_each(|problem| report.problem(problem));
            report.newest = Some(bundle.checkpoint().to_owned());
        }
        Err(problem) => report.problem(problem),
    }
    report
}
