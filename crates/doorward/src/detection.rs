//! What an operator sets about detection, for all agents and for single ones.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_control::ClassifierStatus;
use doorward_core::detect::canary;
use doorward_core::detect::injection::classifier::Classifier;
use doorward_core::detect::rules::RuleSet;
use doorward_core::detect::secrets::Secrets;
use doorward_core::detect::secrets::entropy::{Allowed, Limits, MOST_ALLOWED};
use doorward_core::syntax::Node;
use doorward_core::syntax::decode::Fields;

use crate::classifier;
use crate::terminal::config_error;

/// What is wrong with a setting, and what to do.
type Wrong = (String, String);

/// Settings of detection.
#[derive(Clone, Debug, Default)]
pub struct Detection {
    /// For all agents.
    pub entropy: Entropy,
    /// For single agents, by name: what is set here takes the place of what is set for all.
    pub of: BTreeMap<String, Entropy>,
    /// Domains that nobody has a reason to go to.
    pub bait: Vec<String>,
    /// The file of the classifier that the settings name.
    pub classifier: Option<PathBuf>,
    /// The classifier itself, once it is loaded.
    loaded: Option<Arc<dyn Classifier>>,
}

/// What is set about entropy.
#[derive(Clone, Debug, Default)]
pub struct Entropy {
    threshold: Option<f32>,
    allowed: Option<Vec<Allowed>>,
}

impl Detection {
    /// The same with its classifier loaded, which is asked from now on by the rules that are compiled with it. Where its
    /// file is not there the signals decide alone, and the log says so.
    ///
    /// # Errors
    /// What is wrong with the classifier's files: what is there and cannot be used is used by nobody unnoticed.
    pub fn load(mut self, home: &Path) -> anyhow::Result<Self> {
        let Some(file) = self.classifier.as_ref().map(|file| home.join(file)) else { return Ok(self) };
        if is_missing(&file) {
            tracing::warn!(
                file = %file.display(),
                "THE CLASSIFIER IS MISSING: no model is asked, the signals decide alone; put the file there and start again, or take out the setting `classifier`"
            );
        } else {
            let loaded = classifier::load(&file);
            self.loaded =
                Some(loaded.map_err(|error| config_error(format!("setting `classifier`: {error:#}")))?);
        }
        self.classifier = Some(file);
        Ok(self)
    }

    /// Whether the classifier that the settings name is asked; `None` if they name none.
    pub fn classifier_status(&self) -> Option<ClassifierStatus> {
        let file = self.classifier.as_ref()?.display().to_string();
        Some(ClassifierStatus { file, loaded: self.loaded.is_some() })
    }

    /// `rules`, which ask the classifier if there is one.
    pub fn complete(&self, rules: RuleSet) -> RuleSet {
        match &self.loaded {
            Some(classifier) => rules.with_classifier(Arc::clone(classifier)),
            None => rules,
        }
    }

    /// Adds honeytokens' domains, separated by commas.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn add_bait(&mut self, text: &str) -> Result<(), Wrong> {
        for one in text.split(',').map(str::trim) {
            let advice = "name a domain that is yours and that nothing uses, such as trap.example.com";
            let domain = canary::domain(one)
                .map_err(|why| (format!("`{}`: {why}", one.escape_debug()), advice.to_owned()))?;
            if self.bait.contains(&domain) {
                continue;
            }
            if self.bait.len() >= canary::MOST_DOMAINS {
                let message = format!("more than {} domains", canary::MOST_DOMAINS);
                return Err((message, "name one, and what lies below it counts as well".to_owned()));
            }
            self.bait.push(domain);
        }
        Ok(())
    }

    /// What is known of credentials under these settings.
    pub fn secrets(&self) -> Secrets {
        let of = self.of.iter().map(|(agent, own)| (agent.clone(), own.limits(&self.entropy)));
        let of: HashMap<String, Limits> = of.collect();
        Secrets::shipped().with_limits(self.entropy.limits(&Entropy::default()), of)
    }
}

/// Whether there is nothing under this name. What cannot be looked at is there: why, loading it says.
fn is_missing(file: &Path) -> bool {
    matches!(std::fs::metadata(file), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

impl Entropy {
    /// Reads what `fields` say about it.
    pub fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut own = Self::default();
        if let Some(node) = fields.maybe("entropy_threshold")
            && let Err((message, advice)) = own.set_threshold(&node.scalar().unwrap_or_default())
        {
            fields.fault(node.span, message, advice);
        }
        own.read_allowed(fields);
        own
    }

    /// Reads the exceptions that `fields` name; an empty list is one without any.
    pub fn read_allowed(&mut self, fields: &mut Fields<'_, '_>) {
        let Some(node) = fields.maybe("entropy_allowlist") else { return };
        let allowed = self.allowed.insert(Vec::new());
        for one in if node.is_array() { node.elements() } else { std::slice::from_ref(node) } {
            match pattern(one, allowed.len()) {
                Ok(pattern) => allowed.push(pattern),
                Err((message, advice)) => fields.fault(one.span, message, advice),
            }
        }
    }

    /// Sets the threshold from its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set_threshold(&mut self, text: &str) -> Result<(), Wrong> {
        let known = text.parse().ok().filter(|bits: &f32| (0.0..=8.0).contains(bits));
        let Some(bits) = known else {
            let message = format!("`{}` is no number of bits per character", text.escape_debug());
            return Err((message, "use a number from 0 to 8, such as 4.5".to_owned()));
        };
        self.threshold = Some(bits);
        Ok(())
    }

    fn limits(&self, all: &Self) -> Limits {
        let shipped = Limits::default();
        let allowed = self.allowed.as_ref().or(all.allowed.as_ref());
        Limits {
            threshold: self.threshold.or(all.threshold).unwrap_or(shipped.threshold),
            allowed: allowed.cloned().unwrap_or(shipped.allowed),
        }
    }
}

fn pattern(node: &Node, before: usize) -> Result<Allowed, Wrong> {
    if before >= MOST_ALLOWED {
        return Err((format!("more than {MOST_ALLOWED} exceptions"), "join some with `|`".to_owned()));
    }
    let advice = "write a regular expression for the whole text, in quotes: \"^build-[0-9a-f]{40}$\"";
    let text = node.as_str().ok_or_else(|| ("an exception is text".to_owned(), advice.to_owned()))?;
    Allowed::new(text).map_err(|why| (format!("this exception cannot be used: {why}"), advice.to_owned()))
}
