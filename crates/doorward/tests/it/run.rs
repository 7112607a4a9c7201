//! `doorward run`.

use std::net::{TcpListener, TcpStream};

use crate::support::{EVIL, User, get, nobody, upstream};

#[test]
fn it_tells_where_it_is_and_is_there() {
    let user = User::new();
    let daemon = user.start(nobody(), &[]);
    for listener in ["data", "control"] {
        TcpStream::connect(daemon.address(listener)).unwrap();
    }
    println!("both listeners up after {} ms", daemon.took.as_millis());
    let data = daemon.address("data");
    for (key, end) in [
        ("anthropic_base_url", "/anthropic"),
        ("openai_base_url", "/openai/v1"),
        ("gemini_base_url", "/gemini"),
    ] {
        let url = daemon.text(key);
        assert!(url.starts_with(&format!("http://{data}/t/")) && url.ends_with(end), "{url}");
    }
    let control = daemon.address("control");
    assert_eq!(get(&format!("http://{control}/healthz")).status, 200);
    assert_eq!(get(&format!("http://{control}/readyz")).status, 200);
    assert_eq!(get(&format!("http://{data}/healthz")).status, 401, "health is for people");
    assert_eq!(daemon.interrupt(), 0);
}

#[test]
fn the_lines_it_prints_are_the_ones_to_use() {
    let user = User::new();
    let mut child =
        user.command(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let anthropic =
        lines.find_map(|line| Some(line.unwrap().strip_prefix("export ANTHROPIC_BASE_URL=")?.to_owned()));
    let openai =
        lines.find_map(|line| Some(line.unwrap().strip_prefix("export OPENAI_BASE_URL=")?.to_owned()));
    let gemini =
        lines.find_map(|line| Some(line.unwrap().strip_prefix("export GOOGLE_GEMINI_BASE_URL=")?.to_owned()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(anthropic.unwrap().ends_with("/anthropic") && openai.unwrap().ends_with("/openai/v1"));
    assert!(gemini.unwrap().ends_with("/gemini"));
}

#[test]
fn the_token_lasts_and_a_wrong_one_is_told_what_to_do() {
    let user = User::new();
    let token = |url: &str| url.split('/').nth(4).unwrap().to_owned();
    let daemon = user.start(nobody(), &[]);
    let first = token(daemon.text("anthropic_base_url"));
    let data = daemon.address("data");
    let reply = crate::support::post(&format!("http://{data}/t/wrong/anthropic/v1/messages"), "{}");
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("export ANTHROPIC_BASE_URL="), "{reply:?}");
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(token(user.start(nobody(), &[]).text("anthropic_base_url")), first);
}

#[test]
fn a_blocked_call_is_replaced_and_named_by_its_receipt() {
    let user = User::new();
    let daemon = user.start(upstream(), &[]);
    let reply = daemon.ask();
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains(EVIL) && reply.body.contains("[doorward] Blocked"), "{reply:?}");
    assert_eq!(reply.json()["stop_reason"], "end_turn");
    let receipt = reply.header("doorward-receipt").unwrap().to_owned();
    assert!(user.ok(&["receipts", "show", &receipt]).contains(&receipt));
}

#[test]
fn monitor_alters_nothing() {
    let user = User::new();
    let daemon = user.start(upstream(), &["--mode", "monitor"]);
    let reply = daemon.ask();
    assert!(reply.body.contains(EVIL), "{reply:?}");
    assert!(user.ok(&["receipts", "list"]).contains("block"), "but it is judged");
}

#[test]
fn a_taken_port_is_said_plainly() {
    let user = User::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = user.run(&["run", "--listen", &address, "--control", "127.0.0.1:0"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains(&address) && done.stderr.contains("--listen"), "{done:?}");
    let done = user.run(&["run", "--control", &address, "--listen", "127.0.0.1:0"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("--control"), "{done:?}");
}

#[test]
fn a_second_process_on_the_same_home_is_refused() {
    let user = User::new();
    let first = user.start(nobody(), &[]);
    let done = user.run(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains(".doorward"), "{done:?}");
    assert!(done.stderr.contains(&first.pid().to_string()), "it names the other process: {done:?}");
    assert_eq!(first.ask().status, 502, "the first one goes on");
}

#[test]
fn only_loopback_is_listened_on() {
    let user = User::new();
    let done = user.run(&["run", "--listen", "0.0.0.0:0"]);
    assert_eq!(done.code, 2, "{done:?}");
}
