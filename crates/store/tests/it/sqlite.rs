//! What only the SQLite file can be asked.

use doorward_store::{Options, Reader, RecordedAction, Scope, Stop, Store, StoreError};

use crate::place::{Place, action, contains};

const CONTENT: Options =
    Options { content: true, judged: true, urls: true, forensics: None, quarantine: HELD, queue: 16 };

const HELD: doorward_store::quarantine::Limits =
    doorward_store::quarantine::Limits { total: 1 << 20, age: 1000 };

#[tokio::test]
async fn nothing_recorded_can_be_read_without_the_key() {
    let place = Place::new();
    let store = place.store(CONTENT);
    for n in 0..50 {
        store.record(action(&format!("receipt-{n}"), 1)).await.unwrap();
        store.remember(1, b"plaintext-memo".to_vec());
    }
    store.flush().await.unwrap();
    for when in ["open", "closed"] {
        let bytes = place.bytes();
        assert!(contains(&bytes, b"receipt-7"), "the test looks at the wrong bytes");
        assert!(!contains(&bytes, b"plaintext"), "{when}");
        assert!(!contains(&bytes, &[0x5a; 32]), "a salt lies open, {when}");
        let _ = store.clone().close().await;
    }
}

/// Not even half of a purged value, which a page keeps when a shorter row takes the place of a longer.
#[tokio::test]
async fn a_purge_leaves_no_trace_on_disk() {
    let place = Place::new();
    let store = place.store(CONTENT);
    for n in 0..100 {
        store.record(action(&format!("r{n}"), 1)).await.unwrap();
        store.remember(1, vec![n; 100]);
    }
    store.flush().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let sql = "SELECT salt FROM actions UNION SELECT content FROM actions UNION SELECT judged FROM actions UNION SELECT url FROM actions UNION SELECT body FROM memos";
    let mut statement = connection.prepare(sql).unwrap();
    let sealed: Vec<Vec<u8>> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    drop(statement);
    drop(connection);
    let pieces: std::collections::HashSet<&[u8]> =
        sealed.iter().flat_map(|value| value.chunks_exact(12)).collect();
    let found = |bytes: &[u8]| bytes.windows(12).filter(|window| pieces.contains(window)).count();
    assert!(found(&place.bytes()) >= 1000, "the test looks at the wrong bytes");
    store.purge(2).await.unwrap();
    assert_eq!(found(&place.bytes()), 0, "pieces of purged values lie on in free space or the log");
}

/// Somebody looks at the database with a tool, and so keeps the old pages alive: a purge must not claim
/// to be done.
#[tokio::test]
async fn a_purge_that_a_reader_holds_up_says_so() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.flush().await.unwrap();
    let reader = rusqlite::Connection::open(place.home().store_db()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM actions").unwrap();
    let error = store.purge(2).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    reader.execute_batch("COMMIT").unwrap();
    // Nothing is left to purge, but the log is still to be emptied.
    assert_eq!(store.purge(2).await.unwrap(), 0);
}

/// Who looks at past actions does it beside the running process.
#[tokio::test]
async fn a_reader_reads_beside_the_store() {
    let place = Place::new();
    assert!(Reader::open(&place.home()).unwrap().is_none());
    let store = place.store(CONTENT);
    for n in 0..1000 {
        store.record(action(&format!("r{n}"), n)).await.unwrap();
    }
    store.flush().await.unwrap();
    let reader = Reader::open(&place.home()).unwrap().unwrap();
    assert_eq!((reader.count(0).unwrap(), reader.count(990).unwrap()), (1000, 10));
    let mut found = Vec::new();
    reader
        .each(300, |action| {
            found.push(action.unwrap());
            true
        })
        .unwrap();
    assert_eq!((found.len(), found[0].receipt.as_str()), (700, "r300"));
    let without_content = |time| RecordedAction { content: None, ..action(&format!("r{time}"), time) };
    assert_eq!(found[699], without_content(999));
    assert_eq!(reader.action("r7").unwrap(), Some(without_content(7)));
    assert_eq!(reader.action("none").unwrap(), None);
    // It keeps nothing alive: a purge beside it is complete.
    assert_eq!(store.purge(500).await.unwrap(), 500);
    assert_eq!(reader.action("r7").unwrap().unwrap().judged, None);
    let mut seen = 0;
    reader
        .each(0, |_| {
            seen += 1;
            seen < 3
        })
        .unwrap();
    assert_eq!(seen, 3, "it stops when told to");
}

/// A process that is killed leaves everything that was flushed.
#[tokio::test]
async fn what_was_flushed_survives_a_crash() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.remember(1, b"memo".to_vec());
    store.flush().await.unwrap();
    let copy = Place::new();
    for file in ["store/store.db", "store/store.db-wal", "store.key"] {
        std::fs::create_dir_all(copy.root().join("store")).unwrap();
        std::fs::copy(place.root().join(file), copy.root().join(file)).unwrap();
    }
    let store = copy.store(CONTENT);
    assert_eq!(store.action("r1").await.unwrap(), Some(action("r1", 1)));
    assert_eq!(store.take_memos()[0].body, b"memo");
}

/// Nobody has to ask for it: a memo is written as soon as records are.
#[tokio::test]
async fn a_memo_is_written_within_milliseconds() {
    let place = Place::new();
    let store = place.store(CONTENT);
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let count =
        || -> i64 { connection.query_row("SELECT count(*) FROM memos", [], |row| row.get(0)).unwrap() };
    for n in 1..=20 {
        store.remember(1, b"memo".to_vec());
        let begin = std::time::Instant::now();
        while count() < n {
            assert!(begin.elapsed() < std::time::Duration::from_secs(2), "memo {n} was not written");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn memos_that_cannot_be_written_are_kept_in_order() {
    let place = Place::new();
    let store = place.store(CONTENT);
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let fault = "CREATE TRIGGER full BEFORE INSERT ON memos BEGIN SELECT raise(ABORT, 'disk full'); END";
    connection.execute(fault, []).unwrap();
    let first = store.remember(1, b"one".to_vec());
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(_))));
    // While it fails, more comes than one batch has.
    let second = store.remember(2, b"two".to_vec());
    store.forget(first);
    let third = store.remember(3, b"three".to_vec());
    assert!(store.record(action("r1", 3)).await.is_err(), "like any record that cannot be written");
    connection.execute("DROP TRIGGER full", []).unwrap();
    for _ in 0..100 {
        if store.trouble().is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Without a further command: what lay in the outbox meanwhile must not wait for one.
    drop(connection);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let mut statement = connection.prepare("SELECT id FROM memos ORDER BY id").unwrap();
    let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(ids, [second, third].map(|id| i64::try_from(id).unwrap()));
}

#[tokio::test]
async fn a_memo_moved_to_another_row_is_dropped() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.remember(1, b"one".to_vec());
    store.remember(2, b"two".to_vec());
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    connection.execute("UPDATE memos SET body = (SELECT body FROM memos WHERE time = 2)", []).unwrap();
    drop(connection);
    let store = place.store(CONTENT);
    assert_eq!(store.take_memos().iter().map(|memo| memo.body.as_slice()).collect::<Vec<_>>(), [b"two"]);
    store.close().await.unwrap();
    assert_eq!(place.store(CONTENT).take_memos().len(), 1);
}

/// A home of before memos is taken over as it is.
#[tokio::test]
async fn a_store_of_schema_1_is_migrated() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let later =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('meta', 'actions', 'kill')";
    let mut statement = connection.prepare(later).unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.len() >= 4, "{tables:?}");
    for table in tables {
        connection.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    let step = "ALTER TABLE actions DROP COLUMN judged; ALTER TABLE actions DROP COLUMN url; PRAGMA user_version = 1";
    connection.execute_batch(step).unwrap();
    drop(statement);
    drop(connection);
    let why = Reader::open(&place.home()).unwrap_err().to_string();
    assert!(why.contains("older version"), "a reader changes nothing: {why}");
    let store = place.store(CONTENT);
    assert_eq!(
        store.action("r1").await.unwrap(),
        Some(RecordedAction { judged: None, url: None, ..action("r1", 1) })
    );
    store.remember(1, b"memo".to_vec());
    store.close().await.unwrap();
    assert_eq!(place.store(CONTENT).take_memos().len(), 1);
}

/// While records cannot be written their callers are told so, and none is lost once they can again.
#[tokio::test]
async fn a_store_that_cannot_write_refuses_and_recovers() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.flush().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    let fault = "CREATE TRIGGER full BEFORE INSERT ON actions BEGIN SELECT raise(ABORT, 'disk full'); END";
    connection.execute(fault, []).unwrap();

    store.record(action("r2", 2)).await.unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(_))));
    assert!(store.trouble().unwrap().contains("disk full"));
    let refused = store.record(action("r3", 3)).await.unwrap_err();
    assert!(refused.to_string().contains("disk full"), "{refused}");

    connection.execute("DROP TRIGGER full", []).unwrap();
    for _ in 0..100 {
        if store.trouble().is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(store.action("r2").await.unwrap().is_some(), "a salt was lost");
    store.record(action("r3", 3)).await.unwrap();
    store.flush().await.unwrap();
}

#[tokio::test]
async fn a_value_moved_to_another_row_is_damaged() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.record(action("r2", 2)).await.unwrap();
    store.flush().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    connection
        .execute("UPDATE actions SET salt = (SELECT salt FROM actions WHERE receipt = 'r2')", [])
        .unwrap();
    let error = store.action("r1").await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(store.action("r2").await.is_ok());
}

fn open(place: &Place) -> StoreError {
    Store::open(&place.home().lock().unwrap(), CONTENT).unwrap_err()
}

#[tokio::test]
async fn the_wrong_key_or_none_is_noticed_at_once() {
    let place = Place::new();
    place.store(CONTENT).close().await.unwrap();
    let key = place.root().join("store.key");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, [9; 32]).unwrap();
    assert!(matches!(open(&place), StoreError::WrongKey { .. }));
    std::fs::write(&key, [9; 31]).unwrap();
    assert!(matches!(open(&place), StoreError::Malformed { .. }));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(open(&place), StoreError::KeyLost { .. }));
    assert!(!key.exists(), "a new key was made for old data");
    std::fs::write(&key, good).unwrap();
    place.store(CONTENT).close().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let place = Place::new();
    place.store(CONTENT).close().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = open(&place).to_string();
    assert!(error.contains("schema 99"), "{error}");
}

#[tokio::test]
async fn a_kill_state_that_cannot_be_read_starts_nothing() {
    let place = Place::new();
    place.store(CONTENT).close().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    connection.execute("DROP TABLE kill", []).unwrap();
    drop(connection);
    assert!(matches!(open(&place), StoreError::Database { .. }));
}

/// Somebody wrote a row that names no agent: better everything stands than nothing.
#[tokio::test]
async fn an_unknown_row_in_the_kill_table_stops_everything() {
    let place = Place::new();
    let store = place.store(CONTENT);
    let stop = Stop { by: "x".into(), reason: "y".into(), since: 1 };
    store.kill(Scope::Agent(doorward_store::AgentName::new("a").unwrap()), stop).await.unwrap();
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(place.home().store_db()).unwrap();
    connection.execute("UPDATE kill SET agent = 'NO NAME'", []).unwrap();
    drop(connection);
    assert!(place.store(CONTENT).signals().is_killed("anyone"));
}

/// Not a benchmark; prints what a record costs so that a change by an order of magnitude is seen.
#[tokio::test]
async fn records_are_written_in_batches() {
    let place = Place::new();
    let store = place.store(Options::default());
    let count = 5000;
    let start = std::time::Instant::now();
    for n in 0..count {
        store.record(action(&format!("r{n}"), n)).await.unwrap();
    }
    let queued = start.elapsed();
    store.flush().await.unwrap();
    println!("{count} records: queued in {queued:?}, written in {:?}", start.elapsed());
    assert_eq!(store.latest(usize::MAX, None).await.unwrap().len() as u64, count);
}

#[tokio::test]
async fn a_database_of_an_earlier_version_is_moved_to_its_place_with_what_its_log_holds() {
    let place = Place::new();
    let store = place.store(CONTENT);
    store.record(action("r1", 1)).await.unwrap();
    store.flush().await.unwrap();
    // As if the process had been killed: what was written is still in the write-ahead log.
    let (root, dir) = (place.home().root().to_owned(), place.home().store_dir());
    let old = root.join("old");
    std::fs::create_dir(&old).unwrap();
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(dir.join(file), old.join(file)).unwrap();
    }
    assert!(std::fs::metadata(old.join("store.db-wal")).unwrap().len() > 0);
    store.close().await.unwrap();
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(dir.join(file));
    }
    // Moved as far as the log when it was cut off.
    std::fs::rename(old.join("store.db"), root.join("store.db")).unwrap();
    std::fs::rename(old.join("store.db-wal"), dir.join("store.db-wal")).unwrap();
    let store = place.store(CONTENT);
    assert!(store.action("r1").await.unwrap().is_some());
    assert!(!root.join("store.db").exists());
}

/// Not run by itself: it measures. In release:
/// `cargo test --release -p doorward-store --test it sqlite::what_opening_costs -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_opening_costs() {
    for (count, size) in [(0, 0), (256, 16 << 10), (64, 64 << 10), (4096, 1 << 10), (2048, 32 << 10)] {
        let place = Place::new();
        let store = place.store(Options::default());
        for n in 0..count {
            store.remember(n, vec![7; size]);
        }
        store.close().await.unwrap();
        let began = std::time::Instant::now();
        let store = place.store(Options::default());
        let took = began.elapsed();
        let memos = store.take_memos();
        println!("{count} memos of {size} bytes: opened in {took:?}");
        assert_eq!(memos.len() as u64, count);
        store.close().await.unwrap();
    }
}

/// What sessions are called, on which terms they work and what they remember outlives the process, and nobody else reads it.
#[tokio::test]
async fn sessions_and_stories_are_found_again_and_sealed() {
    use doorward_core::session::{Said, SessionMode, Terms};
    use doorward_store::{Owner, SessionName, SessionRecord};

    let place = Place::new();
    let store = place.store(CONTENT);
    let key = store.key_for("session 3");
    assert_ne!(key.expose(), store.key_for("session 4").expose());
    let record = SessionRecord {
        id: 3,
        name: SessionName::new("alice/needle-in-a-name").unwrap(),
        task: "needle-in-a-task".into(),
        said: Said::Client,
        began: 1,
        used: 2,
        terms: Terms { mode: SessionMode::Correct, ..Terms::default() },
    };
    store.set_session(record.clone()).await.unwrap();
    store.add_to_story(Owner::Session(3), 1, b"needle-in-a-story".to_vec());
    store.add_to_story(Owner::Session(3), 2, b"more".to_vec());
    store.keep_story(Owner::Workspace, 1, b"needle-in-a-whole".to_vec());
    store.forget_story(Owner::Session(9));
    store.close().await.unwrap();
    for file in ["store.db", "store.db-wal"] {
        let bytes = std::fs::read(place.home().store_db().with_file_name(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"needle"), "{file}");
    }
    let store = place.store(CONTENT);
    assert_eq!(store.take_sessions(), [record]);
    let stories = store.take_stories();
    let of_session = store.story(Owner::Session(3)).await.unwrap();
    assert_eq!(of_session.since, [b"needle-in-a-story".to_vec(), b"more".to_vec()]);
    let lying = store.take_lying();
    assert_eq!((lying.len(), lying[&3].additions, lying[&3].next), (1, 2, 3));
    assert_eq!(stories[&Owner::Workspace].whole.as_deref(), Some(&b"needle-in-a-whole"[..]));
    assert_eq!(store.key_for("session 3").expose(), key.expose());
}
