//! Reads the side store beside a running process, without its lock and without writing.

use rusqlite::{Connection, OpenFlags, params};

use crate::StoreError;
use crate::home::Home;
use crate::record::RecordedAction;
use crate::schema::MIGRATIONS;
use crate::seal::Sealer;
use crate::worker::Stored;

/// How many actions are read in one go. Between two of them nothing is held: who reads for long would keep purged
/// values in the write-ahead log.
const PAGE: i64 = 256;

/// A reader of recorded actions.
pub struct Reader {
    home: Home,
    connection: Connection,
    sealer: Sealer,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("home", &self.home.root()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the store of `home`; `None` if nothing was ever recorded there.
    ///
    /// # Errors
    /// If the database cannot be read, is of another version, or belongs to another key.
    pub fn open(home: &Home) -> Result<Option<Self>, StoreError> {
        let db = home.store_db();
        if !db.exists() {
            return Ok(None);
        }
        let failed = |error| StoreError::Database { db: db.clone(), error };
        // It is there, so this makes no key.
        let sealer = Sealer::new(&home.store_key()?);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&db, flags).map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(2)).map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(StoreError::NewerSchema { db, found, known });
        }
        if found < known {
            let why = "it is of an older version; start `doorward run` once, which brings it up to date";
            return Err(StoreError::Unavailable(why.into()));
        }
        Ok(Some(Self { home: home.clone(), connection, sealer }))
    }

    /// How many actions were recorded at `since` (milliseconds since the Unix epoch) or later.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn count(&self, since: u64) -> Result<u64, StoreError> {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let sql = "SELECT count(*) FROM actions WHERE time >= ?1";
        let count: i64 =
            self.connection.query_row(sql, [since], |row| row.get(0)).map_err(|error| self.failed(error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Hands every action recorded at `since` or later to `each`, oldest first, until it says `false`. One that
    /// cannot be decrypted is an error in its place.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn each(
        &self,
        since: u64,
        mut each: impl FnMut(Result<RecordedAction, StoreError>) -> bool,
    ) -> Result<(), StoreError> {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let sql = "SELECT receipt, time, action, salt, NULL, judged, url, seq FROM actions
                   WHERE seq > ?1 AND time >= ?2 ORDER BY seq LIMIT ?3";
        let mut last = i64::MIN;
        loop {
            let rows: Vec<(Stored, i64)> = self
                .connection
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let read = |row: &rusqlite::Row<'_>| Ok((Stored::read(row)?, row.get(7)?));
                    statement.query_map(params![last, since, PAGE], read)?.collect()
                })
                .map_err(|error| self.failed(error))?;
            let Some((_, newest)) = rows.last() else { return Ok(()) };
            last = *newest;
            for (row, _) in rows {
                if !each(row.open(&self.sealer)) {
                    return Ok(());
                }
            }
        }
    }

    /// What was recorded for a receipt; `None` if nothing was.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn action(&self, receipt: &str) -> Result<Option<RecordedAction>, StoreError> {
        let sql = "SELECT receipt, time, action, salt, NULL, judged, url FROM actions WHERE receipt = ?1";
        let found: Result<Vec<Stored>, rusqlite::Error> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map([receipt], Stored::read)?.collect());
        let row = found.map_err(|error| self.failed(error))?.into_iter().next();
        row.map(|row| row.open(&self.sealer)).transpose()
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::Database { db: self.home.store_db(), error }
    }
}
