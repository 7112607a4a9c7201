//! The home directory: privacy, tokens, the lock.

use doorward_store::{AgentName, Agents, Home, Options, StoreError, write_atomic};

use crate::place::Place;

#[tokio::test]
async fn everything_is_private_from_its_first_byte() {
    let place = Place::new();
    let home = place.home();
    let lock = home.lock().unwrap();
    let store = doorward_store::Store::open(&lock, Options::default()).unwrap();
    store.agents().token(&AgentName::new("alice").unwrap()).unwrap();
    home.operator_token().unwrap();
    home.ledger_seed().unwrap();
    home.remember_checkpoint("x").unwrap();
    store.record(crate::place::action("r", 1)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(home.warnings(), []);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut seen = 0;
        let mut dirs = vec![home.root().to_owned()];
        while let Some(dir) = dirs.pop() {
            assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{dir:?}");
            for entry in std::fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 8, "only {seen} files");
    }
}

#[cfg(unix)]
#[test]
fn what_is_open_to_others_is_reported_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let home = place.home();
    home.operator_token().unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&home.operator_token_file(), 0o644);
    open(&home.agents_dir(), 0o755);
    let warnings = home.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings.iter().any(|warning| warning.path == home.operator_token_file() && warning.mode == 0o644)
    );
    let text = warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("chmod 600") && text.contains("chmod 700"), "{text}");
}

#[test]
fn one_process_at_a_time() {
    let place = Place::new();
    let lock = place.home().lock().unwrap();
    let error = place.home().lock().unwrap_err();
    assert!(
        matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(lock);
    place.home().lock().unwrap();
}

#[test]
fn secrets_and_tokens_persist() {
    let place = Place::new();
    let home = place.home();
    let (seed, operator) = (home.ledger_seed().unwrap(), home.operator_token().unwrap());
    let agents = Agents::open(&home).unwrap();
    let (alice, bob) = (AgentName::new("alice").unwrap(), AgentName::new("bob").unwrap());
    let token = agents.token(&alice).unwrap();
    assert!(agents.token(&alice).unwrap().matches(token.expose()));
    assert!(!agents.token(&bob).unwrap().matches(token.expose()));
    assert_eq!(agents.resolve(token.expose()), Some(alice.clone()));
    assert_eq!(agents.resolve(operator.expose()), None, "the operator is no agent");
    assert_eq!(agents.resolve(token.expose().get(..45).unwrap()), None);
    assert_eq!(agents.resolve(""), None);

    let home = place.home();
    assert_eq!(home.ledger_seed().unwrap(), seed);
    assert!(home.operator_token().unwrap().matches(operator.expose()));
    let agents = Agents::open(&home).unwrap();
    assert_eq!(agents.resolve(token.expose()), Some(alice.clone()));
    assert_eq!(agents.names(), [alice, bob]);

    std::fs::remove_file(home.agents_dir().join("alice.token")).unwrap();
    agents.reload().unwrap();
    assert_eq!(agents.resolve(token.expose()), None, "a token whose file is gone still opens the door");
}

#[test]
fn a_damaged_token_file_is_an_error_and_not_a_new_token() {
    let place = Place::new();
    let home = place.home();
    for content in ["", "dw_x\n", "hunter2"] {
        std::fs::write(home.operator_token_file(), content).unwrap();
        assert!(matches!(home.operator_token(), Err(StoreError::Malformed { .. })), "{content:?}");
        std::fs::write(home.agents_dir().join("alice.token"), content).unwrap();
        assert!(Agents::open(&home).is_err(), "{content:?}");
    }
}

#[test]
fn a_log_without_its_key_gets_no_new_one() {
    let place = Place::new();
    let home = place.home();
    home.ledger_seed().unwrap();
    std::fs::remove_file(home.ledger_key_file()).unwrap();
    home.ledger_seed().unwrap();
    std::fs::remove_file(home.ledger_key_file()).unwrap();
    std::fs::write(home.log_dir().join("segment"), "x").unwrap();
    assert!(matches!(home.ledger_seed(), Err(StoreError::KeyLost { .. })));
}

#[test]
fn the_checkpoint_is_remembered_and_replaced_whole() {
    let place = Place::new();
    let home = place.home();
    assert_eq!(home.checkpoint_seen().unwrap(), None);
    home.remember_checkpoint("a longer first checkpoint\n").unwrap();
    home.remember_checkpoint("second\n").unwrap();
    assert_eq!(place.home().checkpoint_seen().unwrap().as_deref(), Some("second\n"));
    assert!(home.remember_checkpoint(&"x".repeat(65 * 1024)).is_err());
    assert_eq!(home.checkpoint_seen().unwrap().as_deref(), Some("second\n"));
}

#[test]
fn a_failed_write_leaves_the_old_content_and_no_rubbish() {
    let place = Place::new();
    let home = place.home();
    let target = home.log_dir();
    assert!(write_atomic(&target, b"x").is_err(), "a directory was replaced by a file");
    let names: Vec<_> =
        std::fs::read_dir(home.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

#[test]
fn a_file_in_the_place_of_the_home_is_an_error_that_names_it() {
    let place = Place::new();
    std::fs::write(place.root(), "x").unwrap();
    let error = Home::open(place.root()).unwrap_err().to_string();
    assert!(error.contains("home"), "{error}");
}
