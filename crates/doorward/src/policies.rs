//! The policy of a running Doorward: its files, read and compiled, first at the start and then whenever they change.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use doorward_control::{PolicyStatus, RefusedPolicy};
use doorward_core::Engine;
use doorward_core::detect::rules::{self, RuleSet};
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::session::Mode;
use doorward_core::syntax::{Diagnostic, Source};
use doorward_gateway::{Gateway, InForce};
use doorward_store::{FileWatch, StoreError};
use tokio::runtime::Handle;

use crate::serve::now;
use crate::terminal::Faults;

/// The largest policy file. The language has the same bound; a file is not read beyond it.
const LARGEST: u64 = 4 << 20;

/// How much time passes at least between two looks, so that a program that writes a file again and again does not
/// fill the ledger with receipts of it.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the policy is.
#[derive(Clone, Debug)]
pub struct PolicyFiles {
    files: Vec<PathBuf>,
    /// Whether nobody named them: then what is shipped is in force until the file is there.
    implied: bool,
}

/// The texts of a policy, each with the name of its file.
#[derive(Clone, Debug, Hash)]
pub struct Texts(Vec<(String, String)>);

impl PolicyFiles {
    /// The files `named` in the settings, below `home` unless they are absolute; without any, `policy.yaml`.
    pub fn new(home: &Path, named: &[PathBuf]) -> Self {
        if named.is_empty() {
            return Self { files: vec![home.join("policy.yaml")], implied: true };
        }
        Self { files: named.iter().map(|file| home.join(file)).collect(), implied: false }
    }

    /// All of them.
    pub fn paths(&self) -> &[PathBuf] {
        &self.files
    }

    /// The file that nobody named and that is not there: then the shipped policy is in force.
    pub fn missing(&self) -> Option<&Path> {
        self.files.first().map(PathBuf::as_path).filter(|file| self.implied && !file.exists())
    }

    /// Reads all of them, or says of each what is wrong with it. What nobody named and is not there is the shipped
    /// policy, unless there was `another` before: then it is a file that was lost.
    fn read(&self, another: bool) -> Result<Texts, Faults> {
        let mut texts = Vec::new();
        let mut faults = Faults::default();
        for file in &self.files {
            let name = file.display().to_string();
            match read(file) {
                Ok(text) => texts.push((name, text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.implied && !another => {
                    texts.push(("shipped policy".to_owned(), SHIPPED.to_owned()));
                }
                Err(error) => faults.add_plain(&name, &format!("cannot be read: {error}"), ""),
            }
        }
        if faults.is_empty() { Ok(Texts(texts)) } else { Err(faults) }
    }
}

/// A policy file as text.
///
/// # Errors
/// If it cannot be read, is no regular file, or is longer than a policy may be.
pub fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    // A named pipe would block the reader for ever.
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    std::fs::File::open(file)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(std::io::Error::other("longer than 4 MiB"));
    }
    Ok(text)
}

impl Texts {
    /// Compiles them into one policy.
    fn compile(&self) -> Result<Policy, Faults> {
        let sources: Vec<Source<'_>> = self.0.iter().map(|(name, text)| Source { name, text }).collect();
        Policy::compile(&sources).map_err(|found| self.faults(found))
    }

    fn faults(&self, found: Vec<Diagnostic>) -> Faults {
        let mut faults = Faults::default();
        for (name, text) in &self.0 {
            let of_this = found.iter().filter(|diagnostic| diagnostic.origin == *name).cloned().collect();
            faults.add(name, text, of_this);
        }
        faults
    }

    fn warn(&self, policy: &Policy) {
        for line in self.faults(policy.warnings().to_vec()).lines() {
            tracing::warn!("{line}");
        }
    }
}

/// What an engine stands on besides its policy.
#[derive(Debug)]
pub struct Ground {
    rules: Arc<RuleSet>,
    around: Surroundings,
}

impl Ground {
    /// The shipped rules, for a Doorward that stands in `around`.
    ///
    /// # Errors
    /// If they do not compile, which a test keeps from happening.
    pub fn new(around: Surroundings) -> anyhow::Result<Self> {
        let rules = RuleSet::compile(rules::shipped());
        let rules = rules.map_err(|_| anyhow::anyhow!("the shipped rules do not compile"))?;
        Ok(Self { rules: Arc::new(rules), around })
    }

    fn engine(&self, policy: Policy) -> Arc<Engine> {
        Arc::new(Engine::new(Arc::clone(&self.rules), Arc::new(policy), self.around.clone()))
    }
}

/// A policy that can be put in force, and what is needed to follow its files.
pub struct Loaded {
    /// The engine over it.
    pub engine: Arc<Engine>,
    /// What is enforced.
    pub mode: Mode,
    ground: Ground,
    files: PolicyFiles,
    process: Mode,
    texts: Texts,
}

impl Loaded {
    /// Reads and compiles the policy for the first time. `process` is the mode that the settings say.
    ///
    /// # Errors
    /// All faults of all its files.
    pub fn read(files: PolicyFiles, ground: Ground, process: Mode) -> anyhow::Result<Self> {
        let compiled = files.read(false).and_then(|texts| Ok((texts.compile()?, texts)));
        let (policy, texts) = match compiled {
            Ok(compiled) => compiled,
            Err(faults) => return Err(faults.into_error().into()),
        };
        texts.warn(&policy);
        let mode = weakest(process, policy.mode());
        Ok(Self { engine: ground.engine(policy), mode, ground, files, process, texts })
    }

    /// Follows the files from now on: a policy without fault is put in force in `gateway`, any other is refused and
    /// the one in force stays.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn follow(self, gateway: Arc<Gateway>) -> Result<Follower, StoreError> {
        let said = Arc::new(Said { since: Mutex::new(now()), refused: Mutex::new(None) });
        let files = self.files.files.clone();
        let hasher = RandomState::new();
        let mut following = Following {
            tried: hasher.hash_one(Ok::<_, String>(&self.texts)),
            lost: !self.texts.0.iter().any(|(name, _)| name == "shipped policy"),
            hasher,
            looked: None,
            runtime: Handle::current(),
            retired: Vec::new(),
            ground: self.ground,
            files: self.files,
            process: self.process,
            said: Arc::clone(&said),
            gateway: Arc::clone(&gateway),
        };
        let watch = FileWatch::start("doorward-policy", files, move || following.look())?;
        Ok(Follower { said, gateway, _watch: watch })
    }
}

/// The effective mode is the weaker of what the process and the policy say.
fn weakest(process: Mode, policy: Mode) -> Mode {
    process.min(policy)
}

/// Follows the policy's files until dropped.
pub struct Follower {
    said: Arc<Said>,
    gateway: Arc<Gateway>,
    _watch: FileWatch,
}

struct Said {
    since: Mutex<u64>,
    refused: Mutex<Option<RefusedPolicy>>,
}

impl Follower {
    /// What is in force, and whether its files say something else.
    pub fn status(&self) -> PolicyStatus {
        let refused = lock(&self.said.refused).clone();
        let in_force = self.gateway.in_force();
        PolicyStatus {
            revision: in_force.policy().to_owned(),
            rules: in_force.engine.policy().rules(),
            since: *lock(&self.said.since),
            refused,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of the thread that follows.
struct Following {
    gateway: Arc<Gateway>,
    ground: Ground,
    files: PolicyFiles,
    process: Mode,
    said: Arc<Said>,
    runtime: Handle,
    hasher: RandomState,
    /// A hash of what was read last, faults of reading included: the same is not tried twice.
    tried: u64,
    /// Whether files that are not there any more would be missed.
    lost: bool,
    looked: Option<Instant>,
    /// What was in force before and may still be used by actions that had begun. Dropped here: it takes a
    /// millisecond where there are many rules, and nobody who judges is to spend it.
    retired: Vec<Arc<InForce>>,
}

impl Following {
    /// Looks at the files and does what they say; returns which to watch.
    fn look(&mut self) -> Vec<PathBuf> {
        self.retired.retain(|before| Arc::strong_count(before) > 1);
        if let Some(rest) = self.looked.and_then(|looked| PAUSE.checked_sub(looked.elapsed())) {
            std::thread::sleep(rest);
        }
        let read = self.files.read(self.lost).map_err(|faults| (faults.lines().join("\n"), faults));
        let hash = self.hasher.hash_one(read.as_ref().map_err(|(lines, _)| lines));
        if std::mem::replace(&mut self.tried, hash) != hash {
            match read.map_err(|(_, faults)| faults).and_then(|texts| Ok((texts.compile()?, texts))) {
                Ok((policy, texts)) => self.accept(policy, &texts),
                Err(faults) => self.refuse(faults),
            }
        }
        self.looked = Some(Instant::now());
        self.files.files.clone()
    }

    fn accept(&mut self, policy: Policy, texts: &Texts) {
        texts.warn(&policy);
        self.lost = true;
        let mode = weakest(self.process, policy.mode());
        let (revision, rules) = (policy.revision().to_owned(), policy.rules());
        let before = self.gateway.put_in_force(self.ground.engine(policy), mode);
        *lock(&self.said.refused) = None;
        *lock(&self.said.since) = now();
        let message = format!("{rules} rules, mode {}; before it {}", mode.as_str(), before.policy());
        self.retired.push(before);
        tracing::warn!(revision, rules, mode = mode.as_str(), "another policy is in force");
        self.record("policy_changed", &revision, &message);
    }

    fn refuse(&self, faults: Faults) {
        let lines = faults.lines();
        let in_force = self.gateway.in_force();
        *lock(&self.said.refused) = Some(RefusedPolicy { at: now(), faults: lines.clone() });
        for rendered in faults.rendered() {
            tracing::error!("{rendered}");
        }
        tracing::error!(in_force = in_force.policy(), "the new policy is refused; the one in force stays");
        let more = if lines.len() > 1 { format!("; {} faults in all", lines.len()) } else { String::new() };
        let first = lines.into_iter().next().unwrap_or_default();
        self.record("policy_refused", in_force.policy(), &format!("{first}{more}"));
    }

    fn record(&self, event: &str, target: &str, message: &str) {
        let recorded = self.runtime.block_on(self.gateway.recorder().control(event, "file", target, message));
        if let Err(error) = recorded {
            tracing::error!(%error, event, "a change of the policy could not be recorded");
        }
    }
}
