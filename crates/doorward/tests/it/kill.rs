//! `doorward kill`, `doorward resume` and the file `kill`.

use crate::support::{User, eventually, lines, nobody};

/// What an agent hears while it may run: its upstream is dead.
const RUNS: u16 = 502;
/// What it hears while it is stopped.
const STOPPED: u16 = 403;

#[test]
fn through_the_running_process() {
    let user = User::new();
    let daemon = user.start(nobody(), &[]);
    assert_eq!(daemon.ask().status, RUNS);
    assert!(user.ok(&["kill", "--agent", "default", "--reason", "lunch"]).contains("`default` is stopped"));
    let reply = daemon.ask();
    assert_eq!(reply.status, STOPPED);
    assert!(reply.body.contains("floor.kill"), "{reply:?}");
    user.ok(&["resume", "--agent", "default"]);
    assert_eq!(daemon.ask().status, RUNS);
    let told = lines(&user.ok(&["kill", "--all", "--json"]));
    assert_eq!(told[0]["kill"]["all"], true, "{told:?}");
    assert_eq!(daemon.ask().status, STOPPED);
    user.ok(&["resume", "--all"]);
    assert_eq!(daemon.ask().status, RUNS);
    user.ok(&["kill", "--agent", "somebody-else"]);
    assert_eq!(daemon.ask().status, RUNS, "another agent's stop is not ours");
    assert_eq!(daemon.interrupt(), 0);
    let acts: Vec<String> = lines(&user.ok(&["receipts", "export", "--json"]))
        .iter()
        .filter_map(|receipt| {
            let control = receipt.get("control")?;
            Some(format!("{} {}", control["event"].as_str()?, control["target"].as_str()?))
        })
        .collect();
    assert_eq!(acts, ["kill default", "resume default", "kill all", "resume all", "kill somebody-else"]);
}

#[test]
fn with_no_process_the_next_one_finds_it() {
    let user = User::new();
    let told = lines(&user.ok(&["kill", "--all", "--json"]));
    assert_eq!(told[0]["kill"]["all"], true);
    let daemon = user.start(nobody(), &[]);
    assert_eq!(daemon.ask().status, STOPPED);
    assert_eq!(daemon.interrupt(), 0);
    user.ok(&["resume", "--all"]);
    assert_eq!(user.start(nobody(), &[]).ask().status, RUNS);
    assert_eq!(user.run(&["receipts", "verify"]).code, 0);
}

#[test]
fn the_file_stops_everything_or_the_agents_in_it() {
    let user = User::new();
    let daemon = user.start(nobody(), &[]);
    let file = user.home().join("kill");
    std::fs::write(&file, "").unwrap();
    eventually("the stop", || daemon.ask().status == STOPPED);
    let resumed = user.ok(&["resume", "--all"]);
    assert!(resumed.contains("kill") && resumed.contains("remove it"), "{resumed}");
    assert_eq!(daemon.ask().status, STOPPED, "the file still stands");
    std::fs::remove_file(&file).unwrap();
    eventually("the resumption", || daemon.ask().status == RUNS);
    std::fs::write(&file, "somebody-else\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(daemon.ask().status, RUNS);
    std::fs::write(&file, "somebody-else\ndefault\n").unwrap();
    eventually("the agent's stop", || daemon.ask().status == STOPPED);
}

#[test]
fn an_agents_token_is_worth_nothing_there() {
    let user = User::new();
    let daemon = user.start(nobody(), &[]);
    let token = daemon.text("anthropic_base_url").split('/').nth(4).unwrap().to_owned();
    let control = daemon.address("control");
    for path in ["v1/resume".to_owned(), format!("t/{token}/v1/resume")] {
        let reply =
            crate::support::post(&format!("http://{control}/{path}"), r#"{"agent":null,"reason":""}"#);
        assert!(matches!(reply.status, 401 | 404), "{reply:?}");
    }
}

#[test]
fn a_name_that_is_none_is_refused() {
    let user = User::new();
    let done = user.run(&["kill", "--agent", "no such\nname"]);
    assert_ne!(done.code, 0);
    assert!(!done.stderr.is_empty());
}
