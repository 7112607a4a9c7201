//! What sessions remember of what was done: journals, the workspace's taint, what agents usually do.
//!
//! `core` says what there is to keep, as bytes that only it reads: a whole, and what was added to it since. Here they lie
//! sealed, by owner and number. What all sessions share is read once when the store is opened; what one session has done is
//! read when it is used.

use std::collections::HashMap;

use rusqlite::{Connection, Row, Transaction, params};

use crate::StoreError;
use crate::seal::{Column, Sealer};
use crate::worker::Failed;

/// The longest whole that is kept; beyond it what was added since the last one stays.
pub const MAX_WHOLE: usize = 32 * 1024 * 1024;

/// Whose memory it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// All sessions: artefacts and where they came from.
    Workspace,
    /// One session, by its row.
    Session(u64),
    /// One agent.
    Agent(String),
}

impl Owner {
    fn key(&self) -> String {
        match self {
            Self::Workspace => "workspace".to_owned(),
            Self::Session(row) => format!("session/{row}"),
            Self::Agent(agent) => format!("agent/{agent}"),
        }
    }

    fn parse(key: &str) -> Option<Self> {
        match key.split_once('/') {
            None => (key == "workspace").then_some(Self::Workspace),
            Some(("session", row)) => row.parse().ok().map(Self::Session),
            Some(("agent", agent)) => Some(Self::Agent(agent.to_owned())),
            Some(_) => None,
        }
    }
}

/// What was kept of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The whole, if it was ever written.
    pub whole: Option<Vec<u8>>,
    /// What was added since, in its order.
    pub since: Vec<Vec<u8>>,
    /// The number of the next addition.
    pub next: u64,
}

/// What lies here of a session that nobody has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    /// How many additions there are since the whole.
    pub additions: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// The number of the next addition.
    pub next: u64,
}

/// A change that is to be written.
#[derive(Debug)]
pub(crate) enum Tale {
    /// An addition, under this number; 1 and up.
    Add(Owner, u64, Vec<u8>),
    /// The whole, in the place of everything up to and without this number.
    Whole(Owner, u64, Vec<u8>),
    Forget(Owner),
}

impl Tale {
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Add(_, _, body) | Self::Whole(_, _, body) => body.len(),
            Self::Forget(_) => 0,
        }
    }
}

/// Writes a change, as part of a transaction.
pub(crate) fn write(transaction: &Transaction<'_>, sealer: &Sealer, tale: &Tale) -> Result<(), Failed> {
    let seal =
        |key: &str, number: u64, body: &[u8]| sealer.seal(Column::Story, &format!("{key}#{number}"), body);
    let insert = "INSERT OR REPLACE INTO stories (owner, number, body) VALUES (?1, ?2, ?3)";
    match tale {
        Tale::Add(owner, number, body) => {
            let key = owner.key();
            let sealed = seal(&key, *number, body)?;
            transaction.prepare_cached(insert)?.execute(params![key, signed(*number), sealed])?;
        }
        Tale::Whole(owner, before, body) => {
            let key = owner.key();
            let sealed = seal(&key, 0, body)?;
            let gone = "DELETE FROM stories WHERE owner = ?1 AND number < ?2";
            transaction.prepare_cached(gone)?.execute(params![key, signed(*before)])?;
            transaction.prepare_cached(insert)?.execute(params![key, 0, sealed])?;
        }
        Tale::Forget(owner) => {
            transaction.prepare_cached("DELETE FROM stories WHERE owner = ?1")?.execute([owner.key()])?;
        }
    }
    Ok(())
}

/// Reads everything that sessions share.
///
/// # Errors
/// If something cannot be opened: what was tainted would be clean.
pub(crate) fn read(
    connection: &Connection,
    sealer: &Sealer,
) -> Result<Result<HashMap<Owner, Written>, StoreError>, rusqlite::Error> {
    let sql =
        "SELECT owner, number, body FROM stories WHERE owner NOT GLOB 'session/*' ORDER BY owner, number";
    let rows = connection.prepare(sql)?.query_map([], row)?.collect::<Result<Vec<_>, _>>()?;
    Ok(open(rows, sealer))
}

/// Reads what one owner remembers; nothing if nothing was kept.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_one(
    connection: &Connection,
    sealer: &Sealer,
    owner: &Owner,
) -> Result<Result<Written, StoreError>, rusqlite::Error> {
    let sql = "SELECT owner, number, body FROM stories WHERE owner = ?1 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([owner.key()], row)?.collect::<Result<Vec<_>, _>>()?;
    Ok(open(rows, sealer).map(|mut all| all.remove(owner).unwrap_or_default()))
}

/// What lies here of sessions, by row.
pub(crate) fn lying(connection: &Connection) -> Result<HashMap<u64, Lying>, rusqlite::Error> {
    let sql = "SELECT owner, max(number), sum(number > 0), sum(iif(number > 0, length(body), 0))
               FROM stories WHERE owner GLOB 'session/*' GROUP BY owner";
    let row = |row: &Row<'_>| {
        let number = |at| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        Ok((row.get(0)?, Lying { next: number(1)? + 1, additions: number(2)?, bytes: number(3)? }))
    };
    let rows: Vec<(String, Lying)> =
        connection.prepare(sql)?.query_map([], row)?.collect::<Result<_, _>>()?;
    let of = |(key, lying): (String, Lying)| match Owner::parse(&key)? {
        Owner::Session(row) => Some((row, lying)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

type Sealed = (String, i64, Vec<u8>);

fn row(row: &Row<'_>) -> Result<Sealed, rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn open(rows: Vec<Sealed>, sealer: &Sealer) -> Result<HashMap<Owner, Written>, StoreError> {
    let mut all: HashMap<Owner, Written> = HashMap::new();
    for (key, number, body) in rows {
        let damaged = || StoreError::Unavailable(format!("what is kept of {key} is damaged"));
        let owner = Owner::parse(&key).ok_or_else(damaged)?;
        let plain = sealer.open(Column::Story, &format!("{key}#{number}"), &body).map_err(|_| damaged())?;
        let told = all.entry(owner).or_default();
        let number = u64::try_from(number).unwrap_or(0);
        told.next = told.next.max(number + 1);
        match number {
            0 => told.whole = Some(plain.to_vec()),
            _ => told.since.push(plain.to_vec()),
        }
    }
    Ok(all)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tales: &[Tale]) -> (Connection, Sealer) {
        let sealer = Sealer::new(&crate::Secret32::new([7; 32]));
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let transaction = connection.transaction().unwrap();
        assert!(tales.iter().all(|tale| write(&transaction, &sealer, tale).is_ok()));
        transaction.commit().unwrap();
        (connection, sealer)
    }

    #[test]
    fn a_whole_takes_the_place_of_what_came_before_it() {
        let (workspace, session) = (Owner::Workspace, Owner::Session(3));
        let add = |owner: &Owner, number, body: &[u8]| Tale::Add(owner.clone(), number, body.to_vec());
        let (connection, sealer) = written(&[
            add(&workspace, 1, b"a"),
            add(&workspace, 2, b"b"),
            add(&session, 1, b"s"),
            Tale::Whole(workspace.clone(), 3, b"ab".to_vec()),
            add(&workspace, 3, b"c"),
            Tale::Whole(Owner::Agent("alice".into()), 1, b"base".to_vec()),
            add(&Owner::Session(9), 1, b"gone"),
            Tale::Forget(Owner::Session(9)),
        ]);
        let all = read(&connection, &sealer).unwrap().unwrap();
        assert_eq!(all.len(), 2);
        let want = Written { whole: Some(b"ab".to_vec()), since: vec![b"c".to_vec()], next: 4 };
        assert_eq!(all[&workspace], want);
        let of = |owner| read_one(&connection, &sealer, &owner).unwrap().unwrap();
        assert_eq!(of(session), Written { whole: None, since: vec![b"s".to_vec()], next: 2 });
        assert_eq!(of(Owner::Session(9)), Written::default());
        let lying = lying(&connection).unwrap();
        assert_eq!((lying.len(), lying[&3].additions, lying[&3].next), (1, 1, 2));
        assert_eq!(all[&Owner::Agent("alice".into())].whole.as_deref(), Some(&b"base"[..]));
    }

    #[test]
    fn what_was_moved_or_altered_is_not_read() {
        for alter in [
            "UPDATE stories SET number = 2 WHERE number = 1",
            "UPDATE stories SET owner = 'session/4'",
            "UPDATE stories SET body = x'00'",
            "UPDATE stories SET owner = 'other'",
        ] {
            let (connection, sealer) = written(&[Tale::Add(Owner::Session(3), 1, b"s".to_vec())]);
            connection.execute(alter, []).unwrap();
            let all = read(&connection, &sealer).unwrap().is_err();
            let one = |row| read_one(&connection, &sealer, &Owner::Session(row)).unwrap().is_err();
            assert!(all || one(3) || one(4), "{alter}");
        }
    }
}
