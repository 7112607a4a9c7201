//! The kill switch: what a person has stopped, by an act or by the file `kill`.
//!
//! The two are kept apart and both count: taking back the act does not undo the file, and the other way
//! round. Whatever cannot be understood about the file stops everything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use doorward_core::session::{Kill, Millis, name};

use crate::{AgentName, SessionName};

/// A kill file of more than this is not read: everything stops.
const MAX_KILL_FILE: u64 = 64 * 1024;

/// What an act of killing or resuming is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything. Resuming everything takes back all acts, those about one agent too.
    All,
    /// This agent.
    Agent(AgentName),
    /// This session.
    Session(SessionName),
}

/// Who stops a session that did what no session may go on after.
pub const DOORWARD: &str = "doorward";

/// Why something is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Who did it: a principal such as `operator-token`, or `file`.
    pub by: String,
    /// Why, in that person's words; for the file, what it said.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch; for the file, when it was last written, 0 if that is
    /// not known.
    pub since: Millis,
}

/// What one source has stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// Everything is.
    pub all: Option<Stop>,
    /// These agents are.
    pub agents: BTreeMap<AgentName, Stop>,
    /// These sessions are.
    pub sessions: BTreeMap<SessionName, Stop>,
}

impl Stops {
    /// Puts a stop of `scope` in force.
    pub(crate) fn stop_it(&mut self, scope: &Scope, stop: Stop) {
        match scope {
            Scope::All => self.all = Some(stop),
            Scope::Agent(agent) => drop(self.agents.insert(agent.clone(), stop)),
            Scope::Session(session) => drop(self.sessions.insert(session.clone(), stop)),
        }
    }

    /// Takes stops back: of everything, all of them; of an agent, those of its sessions too.
    pub(crate) fn resume(&mut self, scope: &Scope) {
        match scope {
            Scope::All => *self = Self::default(),
            Scope::Agent(agent) => {
                self.agents.remove(agent);
                self.sessions.retain(|session, _| session.agent() != agent.as_str());
            }
            Scope::Session(session) => drop(self.sessions.remove(session)),
        }
    }

    /// The stop of an agent, or of a session or its agent.
    fn stop(&self, who: &str) -> Option<&Stop> {
        let agent = name::parts(who).0;
        let of_session = || self.sessions.iter().find(|(session, _)| session.as_str() == who);
        let session = if self.sessions.is_empty() { None } else { of_session().map(|(_, stop)| stop) };
        self.all.as_ref().or_else(|| self.agents.get(agent)).or(session)
    }

    /// Whether Doorward stopped a session of `agent` before `began`.
    fn froze(&self, agent: &str, began: Millis) -> bool {
        let froze = |(session, stop): (&SessionName, &Stop)| {
            session.agent() == agent && stop.by == DOORWARD && stop.since <= began
        };
        self.sessions.iter().any(froze)
    }

    fn everything(reason: impl Into<String>, since: Millis) -> Self {
        let stop = Stop { by: "file".into(), reason: reason.into(), since };
        Self { all: Some(stop), ..Self::default() }
    }
}

/// The state of the kill switch at one revision. Immutable; a new state is a new value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillSet {
    /// Grows with every change. Belongs to this process: it says whether something moved, and orders
    /// nothing across restarts.
    pub revision: u64,
    /// What acts have stopped.
    pub acts: Stops,
    /// What the file `kill` has stopped.
    pub file: Stops,
}

impl KillSet {
    /// Whether an agent, or a session by its name, may not do anything.
    #[must_use]
    pub fn is_killed(&self, who: &str) -> bool {
        self.stop(who).is_some()
    }

    /// Why an agent, or a session by its name, is stopped; `None` if it is not.
    #[must_use]
    pub fn stop(&self, who: &str) -> Option<&Stop> {
        self.acts.stop(who).or_else(|| self.file.stop(who))
    }

    /// Whether everything is stopped.
    #[must_use]
    pub fn all(&self) -> Option<&Stop> {
        self.acts.all.as_ref().or(self.file.all.as_ref())
    }

    /// The fact about `agent` that an engine judges with.
    #[must_use]
    pub fn for_agent(&self, agent: &str) -> Kill {
        if self.all().is_some() {
            Kill::All
        } else if self.is_killed(agent) {
            Kill::Agent
        } else {
            Kill::Running
        }
    }

    /// The fact about a session that began at `began`. After Doorward has frozen one session of an agent, a fresh name
    /// is no way out: those that began later are stopped too, and those that went on beside it are not.
    #[must_use]
    pub fn for_session(&self, session: &str, began: Millis) -> Kill {
        let agent = name::parts(session).0;
        match self.for_agent(agent) {
            Kill::Running => {}
            stopped => return stopped,
        }
        match self.stop(session) {
            Some(stop) if stop.by == DOORWARD => Kill::Frozen,
            Some(_) => Kill::Session,
            None if self.acts.froze(agent, began) => Kill::Frozen,
            None => Kill::Running,
        }
    }
}

/// What the kill file says.
///
/// Not there: nothing is stopped. Empty, or nothing but white space and comments (`#`): everything.
/// Otherwise one agent's name per line. A file that is there and cannot be read, is no file, is longer
/// than 64 KiB, or has a line that cannot name an agent: everything, since a person wanted a stop and it
/// is unclear of what.
#[must_use]
pub fn read_kill_file(path: &Path) -> Stops {
    // Presence first and without following links: a dangling link is a file that cannot be read.
    let since = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.modified().map_or(0, millis),
        Err(error) if error.kind() == io::ErrorKind::NotFound && home_is_there(path) => {
            return Stops::default();
        }
        Err(error) => return Stops::everything(format!("the kill file cannot be examined: {error}"), 0),
    };
    match read(path) {
        Ok(text) => parse(&text, since),
        Err(error) => Stops::everything(format!("the kill file cannot be read: {error}"), since),
    }
}

/// If the whole directory went away, so did the operator's switch: that is no permission to go on.
fn home_is_there(path: &Path) -> bool {
    path.parent().is_some_and(Path::is_dir)
}

fn read(path: &Path) -> io::Result<String> {
    // A named pipe would block the reader for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_KILL_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_KILL_FILE {
        return Err(io::Error::other("larger than 64 KiB"));
    }
    Ok(text)
}

fn parse(text: &str, since: Millis) -> Stops {
    let mut stops = Stops::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let Ok(agent) = AgentName::new(line) else {
            let reason = format!("line {} of the kill file cannot name an agent", number + 1);
            return Stops::everything(reason, since);
        };
        let reason = "named in the kill file".to_owned();
        stops.agents.insert(agent, Stop { by: "file".into(), reason, since });
    }
    if stops.agents.is_empty() { Stops::everything("the kill file is there", since) } else { stops }
}

pub(crate) fn millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).ok().and_then(|age| u64::try_from(age.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unclear_stops_everything() {
        for text in ["", "\n\n", "# later\n", "alice\nBob\n", "alice bob", "../x", "alice\0"] {
            assert!(parse(text, 7).all.is_some(), "{text:?}");
        }
        let stops = parse("# lunch\nalice\r\n  bob # why\n\ncarol", 7);
        assert!(stops.all.is_none());
        let names: Vec<&str> = stops.agents.keys().map(AgentName::as_str).collect();
        assert_eq!(names, ["alice", "bob", "carol"]);
    }

    #[test]
    fn a_home_that_is_gone_stops_everything() {
        let home = std::env::temp_dir().join(format!("doorward-kill-{}", std::process::id()));
        std::fs::create_dir(&home).unwrap();
        assert_eq!(read_kill_file(&home.join("kill")), Stops::default());
        std::fs::remove_dir(&home).unwrap();
        assert!(read_kill_file(&home.join("kill")).all.is_some());
    }

    #[test]
    fn a_session_is_stopped_alone_and_frozen_with_those_that_began_later() {
        let session = |name| Scope::Session(SessionName::new(name).unwrap());
        let stop = |by: &str| Stop { by: by.into(), reason: String::new(), since: 100 };
        let mut set = KillSet::default();
        set.acts.stop_it(&session("alice/x"), stop("operator-token"));
        assert_eq!(set.for_session("alice/x", 1), Kill::Session);
        for other in ["alice/y", "alice/-", "bob/x", "alice/x2"] {
            assert_eq!(set.for_session(other, 200), Kill::Running, "{other}");
            assert!(!set.is_killed(other));
        }
        assert!(set.is_killed("alice/x") && !set.is_killed("alice"));
        set.acts.stop_it(&session("alice/x"), stop(DOORWARD));
        assert_eq!(set.for_session("alice/x", 1), Kill::Frozen);
        assert_eq!(set.for_session("alice/y", 99), Kill::Running);
        assert_eq!(set.for_session("alice/fresh", 100), Kill::Frozen);
        assert_eq!(set.for_session("bob/fresh", 100), Kill::Running);
        set.acts.resume(&session("alice/x"));
        assert_eq!(set.for_session("alice/fresh", 100), Kill::Running);
        // Resuming an agent resumes its sessions.
        set.acts.stop_it(&session("alice/x"), stop(DOORWARD));
        set.acts.stop_it(&session("bob/x"), stop("operator-token"));
        set.acts.resume(&Scope::Agent(AgentName::new("alice").unwrap()));
        assert_eq!(set.for_session("alice/x", 1), Kill::Running);
        assert_eq!(set.for_session("bob/x", 1), Kill::Session);
        set.file = parse("bob", 1);
        assert_eq!(set.for_session("bob/y", 1), Kill::Agent);
    }

    #[test]
    fn both_sources_count() {
        let mut set = KillSet { file: parse("alice", 1), ..KillSet::default() };
        assert_eq!(set.for_agent("alice"), Kill::Agent);
        assert_eq!(set.for_agent("bob"), Kill::Running);
        set.acts = Stops::everything("x", 2);
        assert_eq!(set.for_agent("bob"), Kill::All);
        set.file = Stops::default();
        assert!(set.is_killed("alice"));
    }
}
