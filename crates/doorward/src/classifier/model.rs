//! A model in ONNX that takes tokens and gives logits, as classifiers of text are published.

use std::path::Path;

use anyhow::Context as _;
use rten::ValueOrView;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use rten_text::tokenizer::{EncodeOptions, Tokenizer};

use super::thread::Rate;

/// The largest file that is read, in bytes. Classifiers have some hundred million weights at most.
const LARGEST: u64 = 2 << 30;

/// The most tokens that are looked at: as many as models of this kind have places for.
const TOKENS: usize = 512;

/// A model and the words it knows.
pub struct Model {
    model: rten::Model,
    tokenizer: Tokenizer,
    inputs: Vec<(rten::NodeId, Input)>,
}

/// What a model is given.
#[derive(Clone, Copy)]
enum Input {
    Tokens,
    Mask,
    Types,
}

impl Model {
    /// Reads the model, and `tokenizer.json` beside it, and asks it once.
    ///
    /// # Errors
    /// What is wrong with either, in the user's words.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        let words = file.with_file_name("tokenizer.json");
        let text =
            String::from_utf8(read(&words)?).with_context(|| format!("{} is not text", words.display()))?;
        let tokenizer = Tokenizer::from_json(&text).map_err(|error| {
            anyhow::anyhow!("{} is no tokenizer that is known here: {error}", words.display())
        })?;
        let model = rten::Model::load(read(file)?)
            .map_err(|error| anyhow::anyhow!("{} is no model that can be run: {error}", file.display()))?;
        let mut inputs = Vec::new();
        for id in model.input_ids() {
            let info = model.node_info(*id);
            let name = info.as_ref().and_then(|info| info.name()).unwrap_or_default();
            inputs.push((*id, match name {
                "input_ids" => Input::Tokens,
                "attention_mask" => Input::Mask,
                "token_type_ids" => Input::Types,
                name => anyhow::bail!(
                    "{} wants an input `{name}`; a classifier of text takes input_ids, attention_mask and token_type_ids",
                    file.display()
                ),
            }));
        }
        let model = Self { model, tokenizer, inputs };
        let answer = model.ask("a text").with_context(|| format!("{} cannot be asked", file.display()))?;
        anyhow::ensure!(answer.is_finite(), "{} does not answer with a number", file.display());
        Ok(model)
    }

    /// The share of all labels but the first: they say what is wrong with a text.
    fn ask(&self, text: &str) -> anyhow::Result<f32> {
        let options = EncodeOptions { max_chunk_len: Some(TOKENS), ..EncodeOptions::default() };
        let encoded =
            self.tokenizer.encode(text, Some(options)).map_err(|error| anyhow::anyhow!("{error}"))?;
        let tokens: Vec<i32> =
            encoded.token_ids().iter().take(TOKENS).filter_map(|id| i32::try_from(*id).ok()).collect();
        anyhow::ensure!(!tokens.is_empty(), "no word of it is known");
        let count = tokens.len();
        let given = |input: Input| {
            let values = match input {
                Input::Tokens => tokens.clone(),
                Input::Mask => vec![1; count],
                Input::Types => vec![0; count],
            };
            ValueOrView::from(NdTensor::from_data([1, count], values))
        };
        let inputs = self.inputs.iter().map(|(id, input)| (*id, given(*input))).collect();
        let first = self.model.output_ids().first().copied().context("it has no output")?;
        let outputs = self.model.run(inputs, &[first], None).map_err(|error| anyhow::anyhow!("{error}"))?;
        let logits = outputs.into_iter().next().and_then(|value| value.into_tensor::<f32>());
        let logits = logits.context("its output is no list of numbers")?.to_vec();
        match logits.as_slice() {
            [] => anyhow::bail!("its output is empty"),
            [one] => Ok(1.0 / (1.0 + (-one).exp())),
            [first, ..] => {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let all: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
                Ok(1.0 - (first - most).exp() / all)
            }
        }
    }
}

impl Rate for Model {
    fn rate(&self, text: &str) -> Option<f32> {
        match self.ask(text) {
            Ok(likely) => Some(likely),
            Err(error) => {
                tracing::warn!(%error, "the classifier has no answer");
                None
            }
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let at = || format!("cannot read {}", file.display());
    let metadata = std::fs::metadata(file).with_context(at)?;
    anyhow::ensure!(metadata.is_file(), "{} is not a regular file", file.display());
    anyhow::ensure!(metadata.len() <= LARGEST, "{} is larger than 2 GiB", file.display());
    std::fs::read(file).with_context(at)
}
