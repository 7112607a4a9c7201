//! What people have allowed: grants that last, so that a restart does not ask again what was answered.
//!
//! A grant is bound to one action of one session by a keyed digest, and to the reasons that a person was shown. It is
//! sealed: its reasons speak of what the agent wanted to do. Grants for one single action are never kept here; they
//! end with the process.

use doorward_core::decision::{Layer, Reason, Verdict};
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::seal::{Column, Sealer};

/// Most grants that are kept.
pub const MAX_GRANTS: usize = 1024;

/// How long a grant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantScope {
    /// For one action: the first that uses it.
    Once,
    /// For the session, as often as the same action comes.
    Session,
}

impl GrantScope {
    /// The word in receipts and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
        }
    }
}

/// What a person has allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names it: the id of the receipt of what was asked.
    pub id: String,
    /// Of which action it is: a keyed digest of who, what and in which session.
    pub digest: String,
    /// How long it holds.
    pub scope: GrantScope,
    /// Whose action it is.
    pub agent: String,
    /// In which session.
    pub session: String,
    /// What it does, in a few words, for lists.
    pub what: String,
    /// Who allowed it: `operator-token`, or `unauthenticated`.
    pub by: String,
    /// Since when.
    pub since: Millis,
    /// Until when at most.
    pub until: Millis,
    /// The reasons that the person was shown: these and no others are lifted.
    pub shown: Vec<Reason>,
}

impl Grant {
    /// As it lies in the database: a list, the reasons last.
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![b'['];
        for text in [&self.digest, &self.agent, &self.session, &self.what, &self.by] {
            out.extend_from_slice(&json::quoted(text));
            out.push(b',');
        }
        out.extend_from_slice(format!("{},{},[", self.since, self.until).as_bytes());
        for (at, reason) in self.shown.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
            for text in [&reason.rule, reason.layer.as_str(), &reason.message, &reason.advice] {
                out.extend_from_slice(&json::quoted(text));
                out.push(b',');
            }
            let part = reason.part.map_or_else(|| "null".to_owned(), |part| part.to_string());
            out.extend_from_slice(format!("{},{part}]", reason.severity).as_bytes());
        }
        out.extend_from_slice(b"]]");
        out
    }

    /// What was encoded; `None` if another version wrote it in a form that is not understood.
    fn decode(id: &str, body: &[u8]) -> Option<Self> {
        let node = json::parse(body).ok()?;
        let [digest, agent, session, what, by, since, until, shown] = node.elements() else { return None };
        let text = |node: &Node| node.as_str().map(str::to_owned);
        let number = |node: &Node| node.as_u64();
        let reason = |node: &Node| {
            let [rule, layer, message, advice, severity, part] = node.elements() else { return None };
            let layer = layer.as_str()?;
            let part = if part.is_null() { None } else { Some(usize::try_from(number(part)?).ok()?) };
            Some(Reason {
                rule: text(rule)?,
                layer: LAYERS.into_iter().find(|known| known.as_str() == layer)?,
                verdict: Verdict::Ask,
                severity: u8::try_from(number(severity)?).ok()?,
                message: text(message)?,
                advice: text(advice)?,
                part,
            })
        };
        Some(Self {
            id: id.to_owned(),
            digest: text(digest)?,
            scope: GrantScope::Session,
            agent: text(agent)?,
            session: text(session)?,
            what: text(what)?,
            by: text(by)?,
            since: number(since)?,
            until: number(until)?,
            shown: shown.elements().iter().map(reason).collect::<Option<_>>()?,
        })
    }
}

/// Where a question can come from; the floor asks nobody.
const LAYERS: [Layer; 4] = [Layer::Policy, Layer::Detect, Layer::Session, Layer::Budget];

/// Keeps a grant, durably once the statement is committed.
pub(crate) fn keep(connection: &Connection, sealer: &Sealer, grant: &Grant) -> Result<(), StoreError> {
    let sealed = sealer.seal(Column::Grant, &grant.id, &grant.encode())?;
    let until = i64::try_from(grant.until).unwrap_or(i64::MAX);
    let sql = "INSERT OR REPLACE INTO grants (id, until, body) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![grant.id, until, sealed]).map(drop).map_err(unwritten)
}

/// Takes grants back.
pub(crate) fn forget(connection: &Connection, ids: &[String]) -> Result<(), StoreError> {
    for id in ids {
        connection.execute("DELETE FROM grants WHERE id = ?1", [id]).map_err(unwritten)?;
    }
    Ok(())
}

fn unwritten(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("a grant cannot be written: {error}"))
}

/// Reads the grants that hold still at `now`, oldest first. What has ended, does not decrypt or is not understood is
/// destroyed: then a person is asked again.
pub(crate) fn read(
    connection: &Connection,
    sealer: &Sealer,
    now: Millis,
) -> Result<Vec<Grant>, rusqlite::Error> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    connection.execute("DELETE FROM grants WHERE until <= ?1", [now])?;
    let rows: Vec<(String, Vec<u8>)> = connection
        .prepare("SELECT id, body FROM grants ORDER BY id LIMIT ?1")?
        .query_map([i64::try_from(MAX_GRANTS).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut grants = Vec::new();
    for (id, sealed) in rows {
        let body = sealer.open(Column::Grant, &id, &sealed).ok();
        match body.and_then(|body| Grant::decode(&id, &body)) {
            Some(grant) => grants.push(grant),
            None => {
                tracing::warn!(id, "a grant cannot be read any more; a person will be asked again");
                connection.execute("DELETE FROM grants WHERE id = ?1", [&id])?;
            }
        }
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    fn grant(id: &str, until: Millis) -> Grant {
        let reason = |part| Reason {
            rule: "policy.care".into(),
            layer: Layer::Policy,
            verdict: Verdict::Ask,
            severity: 60,
            message: "says \"wait\"\n".into(),
            advice: "é".into(),
            part,
        };
        Grant {
            id: id.into(),
            digest: "ab".into(),
            scope: GrantScope::Session,
            agent: "alice".into(),
            session: "s".into(),
            what: "Bash".into(),
            by: "operator-token".into(),
            since: 1,
            until,
            shown: vec![reason(None), reason(Some(3))],
        }
    }

    #[test]
    fn grants_come_back_as_they_were_until_they_end() {
        let sealer = Sealer::new(&Secret32::new([7; 32]));
        let connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        for made in [grant("g1", 100), grant("g2", 50), grant("g3", 200)] {
            keep(&connection, &sealer, &made).unwrap();
        }
        assert_eq!(read(&connection, &sealer, 50).unwrap(), [grant("g1", 100), grant("g3", 200)]);
        forget(&connection, &["g3".into(), "unknown".into()]).unwrap();
        // One that was moved to another row does not open, and goes.
        connection.execute("UPDATE grants SET id = 'g9'", []).unwrap();
        assert_eq!(read(&connection, &sealer, 50).unwrap(), []);
        let left: i64 = connection.query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }
}
