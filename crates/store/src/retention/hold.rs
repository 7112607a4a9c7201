//! Legal holds: what a person keeps from being destroyed, by whose it is and when it was.

use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::seal::{Column, Sealer};
use crate::secret::fill_random;

/// The most holds.
pub const MOST_HOLDS: usize = 1000;

/// Whose something is. What is `None` is not known, and is covered by every hold that asks for it: rather too much is kept
/// than too little.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// When it was.
    pub time: Millis,
    /// The agent.
    pub agent: Option<&'a str>,
    /// The session.
    pub session: Option<&'a str>,
    /// The key; empty if it came with none.
    pub key: Option<&'a str>,
}

/// A hold. It covers what is all that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// Its name: `hold-` and eight digits.
    pub id: String,
    /// Of this agent only.
    pub agent: Option<String>,
    /// Of this session only.
    pub session: Option<String>,
    /// Of this key only.
    pub key: Option<String>,
    /// From this time on.
    pub from: Option<Millis>,
    /// Before this time.
    pub until: Option<Millis>,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// Since when.
    pub since: Millis,
}

impl Hold {
    /// A fresh id.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn fresh_id() -> Result<String, StoreError> {
        let mut bytes = [0; 4];
        fill_random(&mut bytes)?;
        Ok(format!("hold-{:08x}", u32::from_be_bytes(bytes)))
    }

    /// Whether it keeps what is `whose`.
    #[must_use]
    pub fn covers(&self, whose: &Whose<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found.is_none_or(|found| found == wanted))
        };
        is(&self.agent, whose.agent)
            && is(&self.session, whose.session)
            && is(&self.key, whose.key)
            && self.from.is_none_or(|from| whose.time >= from)
            && self.until.is_none_or(|until| whose.time < until)
    }

    /// What it covers, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let named = [("agent", &self.agent), ("session", &self.session), ("key", &self.key)];
        let named = named.iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)));
        let from = self.from.map(|from| format!("from {from}"));
        let until = self.until.map(|until| format!("until {until}"));
        named.chain(from).chain(until).collect::<Vec<_>>().join(", ")
    }

    fn encode(&self) -> Vec<u8> {
        let text = |text: &str| String::from_utf8_lossy(&json::quoted(text)).into_owned();
        let name = |name: &Option<String>| name.as_deref().map_or_else(|| "null".to_owned(), text);
        let time = |at: Option<Millis>| at.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let named = [&self.agent, &self.session, &self.key].map(name).join(",");
        let times = [time(self.from), time(self.until), self.since.to_string()].join(",");
        format!("[{named},{times},{},{}]", text(&self.reason), text(&self.by)).into_bytes()
    }

    fn decode(id: &str, encoded: &[u8]) -> Option<Self> {
        let node = json::parse(encoded).ok()?;
        let [agent, session, key, from, until, since, reason, by] = node.elements() else { return None };
        let name = |node: &Node| match node.is_null() {
            true => Some(None),
            false => node.as_str().map(|name| Some(name.to_owned())),
        };
        let time = |node: &Node| if node.is_null() { Some(None) } else { node.as_u64().map(Some) };
        Some(Self {
            id: id.to_owned(),
            agent: name(agent)?,
            session: name(session)?,
            key: name(key)?,
            from: time(from)?,
            until: time(until)?,
            since: since.as_u64()?,
            reason: reason.as_str()?.to_owned(),
            by: by.as_str()?.to_owned(),
        })
    }
}

/// Writes a hold.
pub(crate) fn keep(connection: &Connection, sealer: &Sealer, hold: &Hold) -> Result<(), StoreError> {
    let sealed = sealer.seal(Column::Hold, &hold.id, &hold.encode())?;
    let sql = "INSERT OR REPLACE INTO holds (id, body) VALUES (?1, ?2)";
    connection.execute(sql, params![hold.id, sealed]).map(drop).map_err(unwritten)
}

/// Removes one.
pub(crate) fn forget(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection.execute("DELETE FROM holds WHERE id = ?1", [id]).map(drop).map_err(unwritten)
}

fn unwritten(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("a hold cannot be written: {error}"))
}

/// Reads all.
///
/// # Errors
/// If one cannot be read: what it holds would be destroyed.
pub(crate) fn read(
    connection: &Connection,
    sealer: &Sealer,
) -> Result<Result<Vec<Hold>, StoreError>, rusqlite::Error> {
    let rows: Vec<(String, Vec<u8>)> = connection
        .prepare("SELECT id, body FROM holds ORDER BY rowid")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let opened = rows.into_iter().map(|(id, sealed)| {
        let body = sealer.open(Column::Hold, &id, &sealed)?;
        let damaged = || StoreError::Damaged { what: Column::Hold.as_str(), row: id.clone() };
        Hold::decode(&id, &body).ok_or_else(damaged)
    });
    Ok(opened.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold() -> Hold {
        Hold {
            id: "hold-1".into(),
            agent: Some("alice".into()),
            from: Some(10),
            until: Some(20),
            reason: "case \"7\"".into(),
            by: "operator".into(),
            since: 5,
            ..Hold::default()
        }
    }

    #[test]
    fn a_hold_covers_what_is_all_that_it_names() {
        let whose = |agent, time| Whose { time, agent, session: Some("alice/x"), key: Some("") };
        let hold = hold();
        assert!(hold.covers(&whose(Some("alice"), 10)) && hold.covers(&whose(Some("alice"), 19)));
        assert!(hold.covers(&whose(None, 15)), "nobody knows whose it is");
        for (agent, time) in [("alice", 9), ("alice", 20), ("bob", 15)] {
            assert!(!hold.covers(&whose(Some(agent), time)), "{agent} {time}");
        }
        let of_key = Hold { key: Some("key_a".into()), ..Hold::default() };
        assert!(!of_key.covers(&whose(Some("alice"), 1)), "it came with no key");
        assert!(of_key.covers(&Whose { key: Some("key_a"), ..whose(Some("bob"), 1) }));
    }

    #[test]
    fn a_hold_comes_back_as_it_was_and_one_that_is_damaged_is_not_passed_over() {
        let sealer = Sealer::new(&crate::Secret32::new([7; 32]));
        let connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        keep(&connection, &sealer, &hold()).unwrap();
        assert_eq!(read(&connection, &sealer).unwrap().unwrap(), [hold()]);
        connection.execute("UPDATE holds SET id = 'hold-2'", []).unwrap();
        assert!(read(&connection, &sealer).unwrap().is_err());
        forget(&connection, "hold-2").unwrap();
        assert_eq!(read(&connection, &sealer).unwrap().unwrap(), []);
    }
}
