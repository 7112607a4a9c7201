//! Sessions as they are kept: name, task and terms. What a session remembers of its actions is not here.
//!
//! A row is sealed; only its number and when it was last used can be read without the key.

use std::fmt;
use std::sync::Arc;

use doorward_core::session::{Grant, Granted, Millis, Said, SessionMode, Terms, name};
use doorward_core::syntax::{Node, json};
use rusqlite::{Connection, Row, Transaction, params};

use crate::seal::{Column, Sealer};
use crate::worker::Failed;
use crate::{AgentName, StoreError};

/// Most sessions that are kept; beyond it those used longest ago go.
pub const MAX_SESSIONS: usize = 4096;

/// Most bytes of a task's description.
pub const MAX_TASK: usize = 1000;

/// The name of a session: `<agent>/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName(Arc<str>);

impl SessionName {
    /// Checks `name`: an agent's name, `/`, and an id ([`name::is_id`]) or `-`.
    ///
    /// # Errors
    /// [`StoreError::BadName`] with what is allowed of an agent; [`StoreError::BadSession`].
    pub fn new(name: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::BadSession(name.chars().take(240).collect());
        let (agent, id) = name.split_once('/').ok_or_else(bad)?;
        AgentName::new(agent)?;
        if name::is_id(id) || id == name::NOBODYS { Ok(Self(name.into())) } else { Err(bad()) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whose session it is.
    #[must_use]
    pub fn agent(&self) -> &str {
        name::parts(&self.0).0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its row.
    pub id: u64,
    /// Its name.
    pub name: SessionName,
    /// What it is about, in the words of who began it; may be empty.
    pub task: String,
    /// Who said which session it is.
    pub said: Said,
    /// When it began.
    pub began: Millis,
    /// When it was last used, as far as that was written.
    pub used: Millis,
    /// The terms on which it works.
    pub terms: Terms,
}

impl SessionRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = b"{\"v\":\"1\"".to_vec();
        let mut raw = |key: &str, value: &[u8]| {
            out.push(b',');
            out.extend_from_slice(&json::quoted(key));
            out.push(b':');
            out.extend_from_slice(value);
        };
        raw("name", &json::quoted(self.name.as_str()));
        raw("task", &json::quoted(&self.task));
        raw("said", &json::quoted(self.said.as_str()));
        raw("began", self.began.to_string().as_bytes());
        raw("mode", &json::quoted(self.terms.mode.as_str()));
        let mut grants = b"[".to_vec();
        for (index, Granted { grant, until, by }) in self.terms.grants.iter().enumerate() {
            grants.extend_from_slice(if index == 0 { b"[" } else { b",[" });
            grants.extend_from_slice(&json::quoted(grant.as_str()));
            grants.push(b',');
            let until = until.map_or_else(|| "null".to_owned(), |until| until.to_string());
            grants.extend_from_slice(until.as_bytes());
            grants.push(b',');
            grants.extend_from_slice(&json::quoted(by));
            grants.push(b']');
        }
        grants.push(b']');
        raw("grants", &grants);
        out.push(b'}');
        out
    }

    /// What [`Self::encode`] wrote; `None` if it is something else.
    fn decode(id: u64, used: Millis, encoded: &[u8]) -> Option<Self> {
        let node = json::parse(encoded).ok()?;
        let grants = node.get("grants")?.elements().iter().map(granted).collect::<Option<_>>()?;
        Some(Self {
            id,
            name: SessionName::new(node.text("name")?).ok()?,
            task: node.text("task")?.to_owned(),
            said: Said::parse(node.text("said")?)?,
            began: node.get("began")?.as_u64()?,
            used,
            terms: Terms { mode: SessionMode::parse(node.text("mode")?)?, grants },
        })
    }
}

fn granted(node: &Node) -> Option<Granted> {
    let [grant, until, by] = node.elements() else { return None };
    let until = if until.is_null() { None } else { Some(until.as_u64()?) };
    Some(Granted { grant: Grant::parse(grant.as_str()?)?, until, by: by.as_str()?.into() })
}

/// Writes a session, as part of a transaction.
pub(crate) fn write(
    transaction: &Transaction<'_>,
    sealer: &Sealer,
    session: &SessionRecord,
) -> Result<(), Failed> {
    let sealed = sealer.seal(Column::Session, &session.id.to_string(), &session.encode())?;
    let sql = "INSERT OR REPLACE INTO sessions (id, used, body) VALUES (?1, ?2, ?3)";
    transaction.prepare_cached(sql)?.execute(params![number(session.id), number(session.used), sealed])?;
    Ok(())
}

/// Removes a session.
pub(crate) fn forget(transaction: &Transaction<'_>, id: u64) -> Result<(), Failed> {
    transaction.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([number(id)])?;
    Ok(())
}

/// Reads all sessions, the one used last first. What is beyond [`MAX_SESSIONS`] is removed.
///
/// # Errors
/// If one cannot be read: its terms are a person's word, and a mode that is forgotten would be another one.
pub(crate) fn read(
    connection: &Connection,
    sealer: &Sealer,
) -> Result<Result<Vec<SessionRecord>, StoreError>, rusqlite::Error> {
    let beyond = "DELETE FROM sessions WHERE id NOT IN (SELECT id FROM sessions ORDER BY used DESC LIMIT ?1)";
    connection.execute(beyond, [i64::try_from(MAX_SESSIONS).unwrap_or(i64::MAX)])?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows: Vec<(i64, i64, Vec<u8>)> = connection
        .prepare("SELECT id, used, body FROM sessions ORDER BY used DESC, id DESC")?
        .query_map([], row)?
        .collect::<Result<_, _>>()?;
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let opened = rows.into_iter().map(|(id, used, body)| {
        let plain = sealer.open(Column::Session, &id.to_string(), &body)?;
        SessionRecord::decode(unsigned(id), unsigned(used), &plain)
            .ok_or_else(|| StoreError::Unavailable(format!("session {id} in the store is damaged")))
    });
    Ok(opened.collect())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SessionRecord {
        let grant = |grant, until| Granted { grant, until, by: "operator-token".into() };
        SessionRecord {
            id: 7,
            name: SessionName::new("alice/54c1-x").unwrap(),
            task: "a \"task\"\n".into(),
            said: Said::Client,
            began: 3,
            used: 9,
            terms: Terms {
                mode: SessionMode::Observe,
                grants: vec![grant(Grant::EnvRead, Some(12)), grant(Grant::ConfigWrite, None)],
            },
        }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(SessionRecord::decode(7, 9, &record().encode()), Some(record()));
        for bad in ["", "{}", "[]", "{\"v\":\"1\",\"name\":\"alice\"}"] {
            assert_eq!(SessionRecord::decode(7, 9, bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_name_has_an_agent_and_an_id() {
        for good in ["alice/x", "a.b/54c1eb09-bc4c-4d2f", "default/-", "a/A:b_c.d"] {
            assert_eq!(SessionName::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", "alice", "/x", "alice/", "alice/x/y", "Alice/x", "alice/-x", "alice/x y", "*/x", "alice/.."]
        {
            assert!(SessionName::new(bad).is_err(), "{bad}");
        }
        assert_eq!(SessionName::new("alice/x").unwrap().agent(), "alice");
    }

    #[test]
    fn reading_is_bounded_and_the_newest_stay() {
        let sealer = Sealer::new(&crate::Secret32::new([7; 32]));
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let transaction = connection.transaction().unwrap();
        for id in 0..(MAX_SESSIONS as u64 + 2) {
            assert!(write(&transaction, &sealer, &SessionRecord { id, used: id, ..record() }).is_ok());
        }
        transaction.commit().unwrap();
        let kept = read(&connection, &sealer).unwrap().unwrap();
        assert_eq!((kept.len(), kept[0].id), (MAX_SESSIONS, MAX_SESSIONS as u64 + 1));
        assert!(kept.iter().all(|session| session.id > 1));
        // One that was tampered with is not passed over.
        connection.execute("UPDATE sessions SET body = x'00' WHERE id = 9", []).unwrap();
        assert!(read(&connection, &sealer).unwrap().is_err());
    }
}
