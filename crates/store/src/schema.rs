//! The database's shape and how it gets from one version to the next.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::StoreError;
use crate::home::Home;
use crate::private;
use crate::seal::{Column, Sealer};

/// Step `n` leads from schema `n` to `n + 1`. Steps are never changed once released, only added.
pub(crate) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    -- Everything but the receipt's id and its time is encrypted. Salt and content go when purged.
    CREATE TABLE actions (
        seq     INTEGER PRIMARY KEY,
        receipt TEXT NOT NULL UNIQUE,
        time    INTEGER NOT NULL,
        action  BLOB NOT NULL,
        salt    BLOB,
        content BLOB
    ) STRICT;
    CREATE INDEX actions_purge ON actions (time) WHERE salt IS NOT NULL OR content IS NOT NULL;
    -- agent '*': everything.
    CREATE TABLE kill (
        agent  TEXT PRIMARY KEY,
        by     TEXT NOT NULL,
        reason TEXT NOT NULL,
        since  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE memos (
        id   INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        used INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
",
    // What a policy can be tried on. Goes when purged, and is never there without a salt.
    "ALTER TABLE actions ADD COLUMN judged BLOB;",
    // What limits counted: see counted.rs.
    "
    CREATE TABLE counters (tag BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE counter_uses (
        tag    BLOB NOT NULL,
        slot   INTEGER NOT NULL,
        amount INTEGER NOT NULL,
        until  INTEGER NOT NULL,
        PRIMARY KEY (tag, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX counter_uses_until ON counter_uses (until);
    CREATE TABLE owed (receipt TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
",
    // Names and terms of sessions: see sessions.rs. A stopped session is a row of `kill`, by its name.
    // What they remember: see stories.rs.
    "
    CREATE TABLE sessions (id INTEGER PRIMARY KEY, used INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE stories (
        owner  TEXT NOT NULL,
        number INTEGER NOT NULL,
        body   BLOB NOT NULL,
        PRIMARY KEY (owner, number)
    ) STRICT, WITHOUT ROWID;
",
    // What people have allowed for a session: see approvals.rs.
    "CREATE TABLE grants (id TEXT PRIMARY KEY, until INTEGER NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;",
    // What a person has to know of: see alert.rs.
    "CREATE TABLE alerts (receipt TEXT PRIMARY KEY, time INTEGER NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;",
    // Keys, their credits, and what actions hold of those: see accounts.
    "
    CREATE TABLE keys (id TEXT PRIMARY KEY, body BLOB NOT NULL, secret BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE lots (
        key      TEXT NOT NULL,
        number   INTEGER NOT NULL,
        amount   INTEGER NOT NULL,
        used     INTEGER NOT NULL,
        granted  INTEGER NOT NULL,
        expires  INTEGER NOT NULL,
        receipt  TEXT NOT NULL,
        by       TEXT NOT NULL,
        standing INTEGER NOT NULL,
        PRIMARY KEY (key, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE held (
        receipt  TEXT PRIMARY KEY,
        since    INTEGER NOT NULL,
        spending TEXT NOT NULL,
        settled  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // Webhooks, and the messages to them: see webhooks.
    "
    CREATE TABLE webhooks (
        id     TEXT PRIMARY KEY,
        body   BLOB NOT NULL,
        secret BLOB NOT NULL,
        lost   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE deliveries (
        id      TEXT PRIMARY KEY,
        hook    TEXT NOT NULL,
        stage   INTEGER NOT NULL,
        due     INTEGER NOT NULL,
        created INTEGER NOT NULL,
        tries   INTEGER NOT NULL,
        size    INTEGER NOT NULL,
        body    BLOB NOT NULL,
        told    BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_due ON deliveries (hook, stage, due, size);
",
    // What came of the calls of keys, by quarter of an hour: see accounts/usage.rs.
    "
    CREATE TABLE usage (
        key     TEXT NOT NULL,
        slot    INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        count   INTEGER NOT NULL,
        PRIMARY KEY (key, slot, outcome)
    ) STRICT, WITHOUT ROWID;
",
    // Where an action of the egress door led, masked. Goes when purged.
    "ALTER TABLE actions ADD COLUMN url BLOB;",
    // What people keep from being destroyed: see retention.
    "CREATE TABLE holds (id TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    // What must not happen twice: see once.rs.
    "
    CREATE TABLE handshakes (
        digest BLOB PRIMARY KEY,
        key    TEXT NOT NULL,
        second INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX handshakes_second ON handshakes (second);
    CREATE TABLE once (
        tag     TEXT PRIMARY KEY,
        key     TEXT NOT NULL,
        request TEXT NOT NULL,
        until   INTEGER NOT NULL,
        done    INTEGER NOT NULL,
        answer  BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX once_until ON once (until);
",
];

/// What the key check says once it is decrypted.
const KEY_CHECK: &[u8] = b"doorward store";

/// Opens the database of `home`, creates or migrates it, and makes sure that its key is the right one.
pub(crate) fn open(home: &Home) -> Result<(Connection, Sealer), StoreError> {
    let db = home.store_db();
    home.move_store_in()?;
    let sealer = Sealer::new(&home.store_key()?);
    // SQLite would create it with the umask's mode, and gives its side files the mode of the database.
    drop(private::open_or_create(&db).map_err(crate::error::at("open", &db))?);
    let failed = |error| StoreError::Database { db: db.clone(), error };
    let mut connection = Connection::open(&db).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    migrate(&mut connection, &db)?;
    check_key(&connection, &sealer, home)?;
    Ok((connection, sealer))
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    // Only a person with a database tool can be in the way: one doorward per home.
    connection.busy_timeout(Duration::from_secs(2))?;
    // One batch has a dozen; what is thrown out is compiled anew each time.
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In WAL mode a killed process loses nothing; only a power cut may cost the last batches.
    connection.pragma_update(None, "synchronous", "normal")?;
    // A purged salt must not lie on in a free page.
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "trusted_schema", "off")?;
    connection.pragma_update(None, "foreign_keys", "on")
}

fn migrate(connection: &mut Connection, db: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Database { db: db.to_owned(), error };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if !(0..=known).contains(&found) {
        return Err(StoreError::NewerSchema { db: db.to_owned(), found, known });
    }
    for (version, step) in (1_i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(step).map_err(failed)?;
        transaction.pragma_update(None, "user_version", version).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

/// A foreign key would be noticed only at the first read, after much had been written with it.
fn check_key(connection: &Connection, sealer: &Sealer, home: &Home) -> Result<(), StoreError> {
    let failed = |error| StoreError::Database { db: home.store_db(), error };
    let row = "key_check";
    let found: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [row], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    let Some(sealed) = found else {
        let sealed = sealer.seal(Column::KeyCheck, row, KEY_CHECK)?;
        connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![row, sealed]).map_err(failed)?;
        return Ok(());
    };
    match sealer.open(Column::KeyCheck, row, &sealed) {
        Ok(plain) if plain.as_slice() == KEY_CHECK => Ok(()),
        _ => Err(StoreError::WrongKey { db: home.store_db(), key: home.store_key_file() }),
    }
}
