//! The classifier that a setting names: a model in a file of the operator's own, on a thread of its own.
//!
//! Nothing is ever fetched. What can run a model is in builds with the feature `classifier` alone; in any other a file
//! that is there is refused, because an operator who set it believes that it works. Whether it is there, `detection.rs` asks.

use std::path::Path;
use std::sync::Arc;

use doorward_core::detect::injection::classifier::Classifier;

#[cfg(feature = "classifier")]
mod model;

#[cfg(feature = "classifier")]
mod thread;

/// The classifier in the file `model`, with the words it knows in `tokenizer.json` beside it.
///
/// # Errors
/// What is wrong with either, and in a build that cannot run models: that.
#[cfg(feature = "classifier")]
pub fn load(model: &Path) -> anyhow::Result<Arc<dyn Classifier>> {
    let model = model.to_owned();
    Ok(Arc::new(thread::Thread::start(move || model::Model::load(&model))?))
}

/// The classifier in the file `model`, with the words it knows in `tokenizer.json` beside it.
///
/// # Errors
/// That this build cannot run models.
#[cfg(not(feature = "classifier"))]
pub fn load(model: &Path) -> anyhow::Result<Arc<dyn Classifier>> {
    let advice = "build it with `cargo build --release --features classifier`, or take the setting out";
    anyhow::bail!("{}: this build of Doorward cannot run a classifier; {advice}", model.display())
}
