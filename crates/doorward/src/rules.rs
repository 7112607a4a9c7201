//! An operator's own detection rules: the files of the folder `rules` in the home directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::detect::canary::Canaries;
use doorward_core::detect::rules::{RuleSet, shipped};
use doorward_core::engine::examples;
use doorward_core::syntax::{Diagnostic, Source, Span};

use crate::detection::Detection;
use crate::terminal::Faults;
use crate::{canaries, honeytokens, policies, registries, secrets};

/// Most files of rules.
const MOST: usize = 256;

/// Most bytes of all of them together. A set is compiled whole, into one automaton.
const MOST_BYTES: usize = 16 << 20;

/// Where an operator's rules are, and the secrets that are registered.
#[derive(Clone, Debug)]
pub struct RuleFiles {
    home: PathBuf,
    folder: PathBuf,
}

/// Their texts, and what was in the way of reading them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GatheredRules {
    texts: Vec<(String, String)>,
    faults: Vec<(String, String)>,
    /// The home and what it keeps of registered secrets, if it has any.
    secrets: Option<(PathBuf, String)>,
    /// The same of planted decoys.
    canaries: Option<(PathBuf, String)>,
    /// The same of honeytokens.
    honeytokens: Option<(PathBuf, String)>,
    /// What was read: to be watched.
    pub files: Vec<PathBuf>,
}

impl RuleFiles {
    /// The folder `rules` of this home.
    pub fn of(home: &Path) -> Self {
        Self { home: home.to_owned(), folder: home.join("rules") }
    }

    /// Makes the folder if it is not there: an empty one says where rules go, and is watched for the first.
    pub fn make_folder(&self) {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        if let Err(error) = builder.create(&self.folder)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            tracing::warn!(folder = %self.folder.display(), %error, "no folder for detection rules");
        }
    }

    /// Reads every file of the folder whose name ends in `.yaml`, by name, and what is kept of registered secrets. Other
    /// files, and those that begin with a dot, are no rules. Without a folder there are none.
    pub fn read(&self) -> GatheredRules {
        let kept = secrets::file(&self.home);
        let planted = self.home.join("canaries.sealed");
        let bait = self.home.join("honeytokens.sealed");
        let files = vec![self.folder.clone(), kept.clone(), planted.clone(), bait.clone()];
        let mut gathered = GatheredRules { files, ..GatheredRules::default() };
        match secrets::text(&self.home) {
            Ok(text) => gathered.secrets = text.map(|text| (self.home.clone(), text)),
            Err(error) => gathered.fault(&kept, format!("cannot be read: {error}")),
        }
        match canaries::text(&self.home) {
            Ok(text) => gathered.canaries = text.map(|text| (self.home.clone(), text)),
            Err(error) => gathered.fault(&planted, error),
        }
        match honeytokens::text(&self.home) {
            Ok(text) => gathered.honeytokens = text.map(|text| (self.home.clone(), text)),
            Err(error) => gathered.fault(&bait, error),
        }
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return gathered,
            Err(error) => {
                gathered.fault(&self.folder, format!("cannot be read: {error}"));
                return gathered;
            }
        };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            if name.ends_with(".yml") || name.ends_with(".YAML") {
                gathered.fault(&file, "is not read: the name of a rule file ends in `.yaml`".to_owned());
            }
            if name.ends_with(".yaml") {
                gathered.take(file);
            }
        }
        gathered
    }
}

impl GatheredRules {
    /// These files, and nothing else.
    pub fn given(files: &[PathBuf]) -> Self {
        let mut gathered = Self::default();
        files.iter().for_each(|file| gathered.take(file.clone()));
        gathered
    }

    fn take(&mut self, file: PathBuf) {
        let so_far: usize = self.texts.iter().map(|(_, text)| text.len()).sum();
        match policies::read(&file) {
            Ok(_) if self.texts.len() >= MOST => self.fault(&file, format!("is one file more than {MOST}")),
            Ok(text) if so_far + text.len() > MOST_BYTES => {
                self.fault(&file, format!("makes it more than {} MiB of rules", MOST_BYTES >> 20));
            }
            Ok(text) => self.texts.push((file.display().to_string(), text)),
            Err(error) => self.fault(&file, format!("cannot be read: {error}")),
        }
        self.files.push(file);
    }

    fn fault(&mut self, file: &Path, message: String) {
        self.faults.push((file.display().to_string(), message));
    }

    /// These, and one more that is called `name`.
    pub fn and(mut self, name: &str, text: String) -> Self {
        self.texts.push((name.to_owned(), text));
        self
    }

    /// What they are compiled from: the shipped rules, and these.
    pub fn sources(&self) -> Vec<Source<'_>> {
        let own = self.texts.iter().map(|(name, text)| Source { name, text });
        shipped().iter().copied().chain(own).collect()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether a source of this name is one of them.
    pub fn has(&self, origin: &str) -> bool {
        self.texts.iter().any(|(name, _)| name == origin)
    }

    /// They and the shipped rules as one set, in which every one of their examples matches and no near miss does. It
    /// looks for credentials as `detection` says, and for what is registered.
    ///
    /// # Errors
    /// All faults, of reading as well.
    pub fn compile(&self, detection: &Detection) -> Result<Arc<RuleSet>, Vec<Diagnostic>> {
        let unread = self.faults.iter().map(|(origin, message)| {
            Diagnostic::error(Span::default(), message.as_str()).in_origin(origin.as_str())
        });
        let mut faults: Vec<Diagnostic> = unread.collect();
        let sources = self.sources();
        let registries = registries::learnt().registries.iter().cloned();
        let mut known = detection.secrets();
        if let Some((home, text)) = &self.secrets {
            match secrets::registered(home, text) {
                Ok(registered) => known = known.with_registered(registered),
                Err(found) => {
                    let origin = secrets::file(home).display().to_string();
                    faults.extend(found.into_iter().map(|fault| fault.in_origin(origin.as_str())));
                }
            }
        }
        if let Some(planted) = self.planted(detection, &mut faults) {
            known = known.with_canaries(planted);
        }
        match RuleSet::with(&sources, Some(known))
            .map(|rules| Arc::new(detection.complete(rules.with_registries(registries))))
        {
            Ok(rules) => {
                faults.extend(examples::mistaken(&rules, |origin| self.has(origin)));
                if faults.is_empty() { Ok(rules) } else { Err(faults) }
            }
            Err(found) => Err([faults, found].concat()),
        }
    }

    /// Decoys and honeytokens, those of the settings as well.
    fn planted(&self, detection: &Detection, faults: &mut Vec<Diagnostic>) -> Option<Canaries> {
        let mut read = |home: &Path, name: &str, read: Result<Canaries, Vec<Diagnostic>>| match read {
            Ok(planted) => Some(planted),
            Err(found) => {
                let origin = home.join(name).display().to_string();
                faults.extend(found.into_iter().map(|fault| fault.in_origin(origin.as_str())));
                None
            }
        };
        let decoys = self.canaries.as_ref();
        let mut planted =
            decoys.and_then(|(home, text)| read(home, "canaries.sealed", canaries::canaries(home, text)));
        if let Some((home, text)) = &self.honeytokens {
            planted = read(home, "honeytokens.sealed", honeytokens::add(home, text, planted));
        }
        honeytokens::add_named(&detection.bait, planted)
    }

    /// What was found, by the file it was found in.
    pub fn faults(&self, found: Vec<Diagnostic>) -> Faults {
        Faults::by_origin(found, |origin| self.text(origin))
    }

    /// The text of the file called `origin`, empty if there is none.
    pub fn text(&self, origin: &str) -> &str {
        let text = self.texts.iter().find(|(name, _)| name == origin).map(|(_, text)| text);
        let kept =
            || self.secrets.as_ref().filter(|(home, _)| secrets::file(home).display().to_string() == origin);
        text.or_else(|| kept().map(|(_, text)| text)).map_or("", String::as_str)
    }
}
