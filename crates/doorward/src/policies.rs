//! The policy and the rules of a running Doorward: their files, read and compiled, first at the start and then whenever
//! they change.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use doorward_control::{ClassifierStatus, FilesStatus, RefusedFiles};
use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Level, Policy, SHIPPED, Text, Texts};
use doorward_core::session::Mode;
use doorward_core::syntax::{Diagnostic, Span};
use doorward_gateway::{Gateway, InForce};
use doorward_store::{FileWatch, StoreError};
use tokio::runtime::Handle;

use crate::detection::Detection;
use crate::registries;
use crate::rules::{GatheredRules, RuleFiles};
use crate::serve::now;
use crate::terminal::Faults;
use crate::tool_policy::{self, ToolPolicy};

/// The largest policy file. The language has the same bound; a file is not read beyond it.
const LARGEST: u64 = 4 << 20;

/// How much time passes at least between two looks, so that a program that writes a file again and again does not
/// fill the ledger with receipts of it.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a file has been left alone when it is read at the start. Longer than a program takes between two pieces
/// of a file, and short enough for who writes a policy and starts Doorward at once.
const REST: Duration = Duration::from_millis(100);

/// Where the policy is.
#[derive(Clone, Debug)]
pub struct PolicyFiles {
    files: Vec<(Level, PathBuf)>,
    /// Whether nobody named them: then what is shipped is in force until the file is there.
    implied: bool,
    /// What settings say of tools, as a policy.
    tools: Option<String>,
}

/// The texts of a policy, and what was in the way of reading them.
#[derive(Debug)]
pub struct Gathered {
    texts: Texts,
    faults: Vec<Diagnostic>,
    /// What was read or should have been: to be watched.
    files: Vec<PathBuf>,
}

impl PolicyFiles {
    /// The files `named` in the settings, below `home` unless they are absolute; if none is named for the agents,
    /// `policy.yaml`.
    pub fn new(home: &Path, named: &[(Level, PathBuf)]) -> Self {
        let implied = !named.iter().any(|(level, _)| *level == Level::Agent);
        let mut files: Vec<_> = named.iter().map(|(level, file)| (*level, home.join(file))).collect();
        files.sort_by_key(|(level, _)| *level);
        files.extend(implied.then(|| (Level::Agent, home.join("policy.yaml"))));
        Self { files, implied, tools: None }
    }

    /// The same, and what settings say of tools.
    #[must_use]
    pub fn with_tools(self, tools: &ToolPolicy) -> Self {
        Self { tools: tools.text(), ..self }
    }

    /// These files, whatever the settings say.
    pub fn given(files: &[PathBuf]) -> Self {
        Self {
            files: files.iter().map(|file| (Level::Agent, file.clone())).collect(),
            implied: false,
            tools: None,
        }
    }

    /// The file that a rule of this Doorward's own is written to.
    pub fn own(&self) -> Option<&Path> {
        self.files.last().map(|(_, file)| file.as_path())
    }

    /// The file that nobody named and that is not there: then the shipped policy is in force.
    pub fn missing(&self) -> Option<&Path> {
        self.own().filter(|file| self.implied && !file.exists())
    }

    /// Reads all of them for the first time, once nobody has written to any for a moment: half of a policy can be a
    /// policy. Whoever writes without a pause is not waited for; the watch sees the rest.
    fn read_at_rest(&self) -> Gathered {
        let until = Instant::now() + 20 * REST;
        loop {
            let gathered = self.read(false);
            match REST.checked_sub(gathered.age()) {
                Some(left) if Instant::now() < until => std::thread::sleep(left),
                _ => return gathered,
            }
        }
    }

    /// Reads all of them, and what they include. What nobody named and is not there is the shipped policy, unless
    /// there was `another` before: then it is a file that was lost.
    pub fn read(&self, another: bool) -> Gathered {
        self.read_with(another, None)
    }

    /// The same, with another text for one file.
    pub fn read_with(&self, another: bool, instead: Option<(&Path, &str)>) -> Gathered {
        let (mut roots, mut faults, mut files) = (Vec::new(), Vec::new(), Vec::new());
        let read = |file: &Path| match instead.filter(|(other, _)| *other == file) {
            Some((_, text)) => Ok(text.to_owned()),
            None => read(file),
        };
        if let Some(tools) = &self.tools {
            let (level, name) = (Level::Organisation, tool_policy::NAME.to_owned());
            roots.push(Text { level, name, text: tools.clone(), included: false });
        }
        for (level, file) in &self.files {
            files.push(file.clone());
            let name = canonical(file).display().to_string();
            let text = |name: &str, text: String| Text {
                level: *level,
                name: name.to_owned(),
                text,
                included: false,
            };
            match read(file) {
                Ok(found) => roots.push(text(&name, found)),
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotFound && self.is_implied(file) && !another =>
                {
                    roots.push(text(SHIPPED_NAME, SHIPPED.to_owned()));
                }
                Err(error) => {
                    let fault = Diagnostic::error(Span::default(), format!("cannot be read: {error}"));
                    faults.push(fault.in_origin(name));
                }
            }
        }
        let (texts, found) = Texts::gather(roots, &mut |from, wanted| {
            let file = Path::new(from).parent().unwrap_or(Path::new("")).join(wanted);
            files.push(file.clone());
            let text = read(&file).map_err(|error| error.to_string())?;
            Ok((canonical(&file).display().to_string(), text))
        });
        faults.extend(found);
        Gathered { texts, faults, files }
    }

    fn is_implied(&self, file: &Path) -> bool {
        self.implied && self.own() == Some(file)
    }
}

/// What the shipped policy is called in messages.
const SHIPPED_NAME: &str = "shipped policy";

/// One name for all spellings of a file.
fn canonical(file: &Path) -> PathBuf {
    std::fs::canonicalize(file)
        .unwrap_or_else(|_| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))
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

impl Gathered {
    /// Compiles them into one policy that is to judge beside `rules`.
    ///
    /// # Errors
    /// All faults, of reading as well.
    pub fn compile(&self, rules: &RuleSet) -> Result<Policy, Vec<Diagnostic>> {
        let compiled = self.texts.compile().and_then(|policy| {
            // Which findings there are only the rules know that judge beside it.
            policy.check_findings(rules.names())?;
            Ok(policy)
        });
        match compiled {
            Ok(policy) if self.faults.is_empty() => Ok(policy),
            // Without the files that could not be read, what else is missing says nothing.
            Ok(_) => Err(self.faults.clone()),
            Err(_) if self.texts.all().is_empty() => Err(self.faults.clone()),
            Err(found) => Err(self.faults.iter().cloned().chain(found).collect()),
        }
    }

    /// The text called `name`, empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.texts.text(name)
    }

    /// All texts.
    pub fn all(&self) -> &[Text] {
        self.texts.all()
    }

    /// What was found, by the file it was found in.
    pub fn faults(&self, found: Vec<Diagnostic>) -> Faults {
        Faults::by_origin(found, |origin| self.text(origin))
    }

    /// Everything that is accepted and deserves a look.
    pub fn warnings(policy: &Policy) -> Vec<Diagnostic> {
        [policy.warnings(), &policy.ended(now())].concat()
    }

    fn warn(&self, policy: &Policy) {
        for line in self.faults(Self::warnings(policy)).lines() {
            tracing::warn!("{line}");
        }
    }

    /// How long ago one of the files was written to; a file that is not there or not yet born counts as old.
    fn age(&self) -> Duration {
        let written = self.files.iter().filter_map(|file| std::fs::metadata(file).ok()?.modified().ok());
        written.filter_map(|at| at.elapsed().ok()).min().unwrap_or(Duration::MAX)
    }

    /// Tells one from another: the same is not tried twice.
    fn hash(&self, hasher: &RandomState) -> u64 {
        let faults: Vec<_> = self.faults.iter().map(|fault| (&fault.origin, &fault.message)).collect();
        hasher.hash_one((&self.texts, faults))
    }
}

/// What an engine stands on besides its policy.
#[derive(Debug)]
pub struct Ground {
    files: RuleFiles,
    detection: Detection,
    texts: GatheredRules,
    rules: Arc<RuleSet>,
    around: Surroundings,
}

impl Ground {
    /// The shipped rules and those of `home`, which look for credentials as `detection` says, for a Doorward that
    /// stands in `around`.
    ///
    /// # Errors
    /// All faults of the home's rules.
    pub fn new(home: &Path, detection: Detection, around: Surroundings) -> anyhow::Result<Self> {
        let detection = detection.load(home)?;
        let files = RuleFiles::of(home);
        files.make_folder();
        let texts = files.read();
        let rules = texts.compile(&detection).map_err(|found| texts.faults(found).into_error())?;
        for note in &registries::learnt().notes {
            tracing::warn!("package registries: {note}");
        }
        tracing::info!(registries = rules.lists().registries().len(), "learnt from package clients");
        Ok(Self { files, detection, texts, rules, around })
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
    texts: Gathered,
}

impl Loaded {
    /// Reads and compiles the policy for the first time. `process` is the mode that the settings say.
    ///
    /// # Errors
    /// All faults of all its files.
    pub fn read(files: PolicyFiles, ground: Ground, process: Mode) -> anyhow::Result<Self> {
        let texts = files.read_at_rest();
        let policy = texts.compile(&ground.rules).map_err(|found| texts.faults(found).into_error())?;
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
        let said = Arc::new([Said::from_now(), Said::from_now()]);
        let files = [self.texts.files.clone(), self.ground.texts.files.clone()].concat();
        let hasher = RandomState::new();
        let classifier = self.ground.detection.classifier_status();
        let mut following = Following {
            tried: self.texts.hash(&hasher),
            lost: self.texts.text(SHIPPED_NAME).is_empty(),
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
        let mut stepped_back = false;
        let watch = FileWatch::start("doorward-policy", files, move || {
            if !std::mem::replace(&mut stepped_back, true) {
                step_back();
            }
            following.look()
        })?;
        Ok(Follower { classifier, said, gateway, _watch: watch })
    }
}

/// Lets this thread, and those it starts, work only where no other wants the core: compiling a large policy takes tens of milliseconds,
/// and what crosses a door meanwhile is not to wait for them. Of a machine of two cores that is half.
pub fn step_back() {
    // On Linux "this process" is the thread that asks; elsewhere it would be all of them.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "policies are compiled with the priority of all else");
    }
}

/// The effective mode is the weaker of what the process and the policy say.
fn weakest(process: Mode, policy: Mode) -> Mode {
    process.min(policy)
}

/// Follows the files of policy and rules until dropped.
pub struct Follower {
    /// What there is to say of the classifier, which is read at the start and not again.
    classifier: Option<ClassifierStatus>,
    said: Arc<[Said; 2]>,
    gateway: Arc<Gateway>,
    _watch: FileWatch,
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Policy,
    Rules,
}

impl Subject {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Rules => "rules",
        }
    }
}

/// What there is to say of the policy, or of the rules.
struct Said {
    since: Mutex<u64>,
    refused: Mutex<Option<RefusedFiles>>,
}

impl Said {
    fn from_now() -> Self {
        Self { since: Mutex::new(now()), refused: Mutex::new(None) }
    }

    fn of(all: &[Self; 2], subject: Subject) -> &Self {
        let [policy, rules] = all;
        match subject {
            Subject::Policy => policy,
            Subject::Rules => rules,
        }
    }

    fn status(&self, revision: &str, rules: usize) -> FilesStatus {
        let refused = lock(&self.refused).clone();
        FilesStatus { revision: revision.to_owned(), rules, since: *lock(&self.since), refused }
    }
}

impl Follower {
    /// Which policy is in force, and whether its files say something else.
    pub fn policy(&self) -> FilesStatus {
        let policy = self.gateway.in_force();
        let policy = policy.engine.policy();
        Said::of(&self.said, Subject::Policy).status(policy.revision(), policy.rules())
    }

    /// The classifier that the settings name, and whether it is asked.
    pub fn classifier(&self) -> Option<ClassifierStatus> {
        self.classifier.clone()
    }

    /// The same of the detection rules.
    pub fn rules(&self) -> FilesStatus {
        let rules = self.gateway.in_force();
        let rules = rules.engine.rules();
        Said::of(&self.said, Subject::Rules).status(rules.revision(), rules.rules().len())
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
    said: Arc<[Said; 2]>,
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
        self.look_at_rules();
        let texts = self.files.read(self.lost);
        let hash = texts.hash(&self.hasher);
        if std::mem::replace(&mut self.tried, hash) != hash {
            match texts.compile(&self.ground.rules) {
                Ok(policy) => self.accept(policy, &texts),
                Err(found) => self.refuse(Subject::Policy, &texts.faults(found)),
            }
        }
        self.looked = Some(Instant::now());
        [texts.files, self.ground.texts.files.clone()].concat()
    }

    fn look_at_rules(&mut self) {
        let texts = self.ground.files.read();
        if texts == self.ground.texts {
            return;
        }
        match texts.compile(&self.ground.detection) {
            Ok(rules) if rules.revision() == self.ground.rules.revision() => self.recover(Subject::Rules),
            Ok(rules) => match self.gateway.in_force().engine.policy().check_findings(rules.names()) {
                Ok(()) => self.accept_rules(rules),
                // A policy is not to lose what it speaks about while it is in force.
                Err(found) => self.refuse(Subject::Rules, &self.files.read(self.lost).faults(found)),
            },
            Err(found) => self.refuse(Subject::Rules, &texts.faults(found)),
        }
        self.ground.texts = texts;
    }

    fn accept(&mut self, policy: Policy, texts: &Gathered) {
        texts.warn(&policy);
        self.lost = true;
        let (revision, rules) = (policy.revision().to_owned(), policy.rules());
        let mode = weakest(self.process, policy.mode());
        // First: whoever sees what is in force now must not be told that it was refused.
        self.recover(Subject::Policy);
        let before = self.put_in_force(self.ground.engine(policy), mode);
        let message = format!("{rules} rules, mode {}; before it {}", mode.as_str(), before.policy());
        tracing::warn!(revision, rules, mode = mode.as_str(), "another policy is in force");
        self.record(Subject::Policy, "changed", &revision, &message);
        // It may be what other rules had to wait for.
        if lock(&Said::of(&self.said, Subject::Rules).refused).is_some() {
            self.ground.texts = GatheredRules::default();
            self.look_at_rules();
        }
    }

    fn accept_rules(&mut self, rules: Arc<RuleSet>) {
        let (revision, count) = (rules.revision().to_owned(), rules.rules().len());
        self.ground.rules = Arc::clone(&rules);
        let in_force = self.gateway.in_force();
        self.recover(Subject::Rules);
        let before = self.put_in_force(Arc::new(in_force.engine.with_rules(rules)), in_force.mode);
        let message = format!("{count} rules; before them {}", before.engine.rules().revision());
        tracing::warn!(revision, rules = count, "other detection rules are in force");
        self.record(Subject::Rules, "changed", &revision, &message);
        // A policy that was refused may have named a rule that was not there.
        if lock(&Said::of(&self.said, Subject::Policy).refused).is_some() {
            self.tried = !self.tried;
        }
    }

    fn put_in_force(&mut self, engine: Arc<Engine>, mode: Mode) -> Arc<InForce> {
        let before = self.gateway.put_in_force(engine, mode);
        self.retired.push(Arc::clone(&before));
        before
    }

    /// The files say what is in force.
    fn recover(&self, subject: Subject) {
        let said = Said::of(&self.said, subject);
        *lock(&said.refused) = None;
        *lock(&said.since) = now();
    }

    fn refuse(&self, subject: Subject, faults: &Faults) {
        let lines = faults.lines();
        let in_force = self.gateway.in_force();
        let revision = match subject {
            Subject::Policy => in_force.policy(),
            Subject::Rules => in_force.engine.rules().revision(),
        };
        *lock(&Said::of(&self.said, subject).refused) =
            Some(RefusedFiles { at: now(), faults: lines.clone() });
        for rendered in faults.rendered() {
            tracing::error!("{rendered}");
        }
        match subject {
            Subject::Policy => {
                tracing::error!(in_force = revision, "the new policy is refused; the one in force stays");
            }
            Subject::Rules => {
                tracing::error!(
                    in_force = revision,
                    "the new detection rules are refused; those in force stay"
                );
            }
        }
        let more = if lines.len() > 1 { format!("; {} faults in all", lines.len()) } else { String::new() };
        let first = lines.into_iter().next().unwrap_or_default();
        self.record(subject, "refused", revision, &format!("{first}{more}"));
    }

    fn record(&self, subject: Subject, what: &str, target: &str, message: &str) {
        let event = format!("{}_{what}", subject.as_str());
        let recorded =
            self.runtime.block_on(self.gateway.recorder().control(&event, "file", target, message));
        if let Err(error) = recorded {
            tracing::error!(%error, event, "a change of what is in force could not be recorded");
        }
    }
}
