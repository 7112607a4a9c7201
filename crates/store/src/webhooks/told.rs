//! What people were last told of the kill switch, so that acts of a time in which no process ran are told by the next.

use doorward_core::syntax::{Node, json};
use rusqlite::{OptionalExtension as _, params};

use crate::kill::{KillSet, Stop, Stops};
use crate::seal::Column;
use crate::{AgentName, SessionName, Store, StoreError};

/// Under which name it lies.
const ROW: &str = "kill_told";

impl Store {
    /// The kill switch as people were last told of it; `None` if they never were, or it cannot be understood.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn kill_told(&self) -> Result<Option<KillSet>, StoreError> {
        self.ask(|worker| {
            worker.in_one(|connection, sealer| {
                let sql = "SELECT value FROM meta WHERE name = ?1";
                let found = connection.query_row(sql, [ROW], |row| row.get::<_, Vec<u8>>(0));
                let sealed = found.optional().map_err(super::outbox::failed)?;
                let Some(sealed) = sealed else { return Ok(None) };
                Ok(sealer.open(Column::KillTold, ROW, &sealed).ok().and_then(|plain| decode(&plain)))
            })
        })
        .await
    }

    /// Keeps that people were told of `set`, as far as they want to be.
    ///
    /// # Errors
    /// If it cannot be written: the next process tells it again.
    pub async fn note_kill_told(&self, set: &KillSet) -> Result<(), StoreError> {
        let plain = encode(set);
        self.ask(move |worker| {
            worker.in_one(|connection, sealer| {
                let sealed = sealer.seal(Column::KillTold, ROW, &plain)?;
                let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
                connection.execute(sql, params![ROW, sealed]).map(drop).map_err(super::outbox::failed)
            })
        })
        .await
    }
}

/// A list of stops, each `[file?, who, by, reason, since]`; `*` is everybody.
fn encode(set: &KillSet) -> Vec<u8> {
    let mut all = Vec::new();
    for (file, Stops { all: everything, agents, sessions }) in [(false, &set.acts), (true, &set.file)] {
        let mut one = |who: &str, stop: &Stop| {
            let texts = [who, &stop.by, &stop.reason].map(json::quoted).join(&b","[..]);
            let texts = String::from_utf8_lossy(&texts).into_owned();
            all.push(format!("[{file},{texts},{}]", stop.since));
        };
        everything.iter().for_each(|stop| one("*", stop));
        agents.iter().for_each(|(agent, stop)| one(agent.as_str(), stop));
        sessions.iter().for_each(|(session, stop)| one(session.as_str(), stop));
    }
    format!("[{}]", all.join(",")).into_bytes()
}

fn decode(plain: &[u8]) -> Option<KillSet> {
    let node = json::parse(plain).ok()?;
    let mut set = KillSet::default();
    for one in node.elements() {
        let [file, who, by, reason, since] = one.elements() else { return None };
        let text = |node: &Node| node.as_str().map(str::to_owned);
        let stop = Stop { by: text(by)?, reason: text(reason)?, since: since.as_u64()? };
        let stops = if file.as_bool()? { &mut set.file } else { &mut set.acts };
        match who.as_str()? {
            "*" => stops.all = Some(stop),
            who => match (AgentName::new(who), SessionName::new(who)) {
                (Ok(agent), _) => drop(stops.agents.insert(agent, stop)),
                (_, Ok(session)) => drop(stops.sessions.insert(session, stop)),
                _ => return None,
            },
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_as_it_was() {
        let stop = |reason: &str| Stop { by: "operator-token".into(), reason: reason.into(), since: 7 };
        let mut set = KillSet::default();
        assert_eq!(decode(&encode(&set)), Some(KillSet::default()));
        set.acts.all = Some(stop("a \"word\"\n"));
        set.acts.agents.insert(AgentName::new("alice").unwrap(), stop(""));
        set.file.sessions.insert(SessionName::new("alice/one").unwrap(), stop("why"));
        assert_eq!(decode(&encode(&set)), Some(set.clone()));
        assert_eq!(decode(b"[[1]]"), None);
    }
}
