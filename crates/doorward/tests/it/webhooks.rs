//! `doorward webhook`: with a running process and without one, the same.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{User, upstream_calling};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// An endpoint that answers everything with this status.
fn endpoint(status: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, came) = (listener.local_addr().unwrap(), Arc::default());
    let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&came);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = vec![0; 8192];
            let mut length = 0;
            // The body is one JSON object, sent right behind the head.
            while !bytes[..length].ends_with(b"}") {
                match stream.read(&mut bytes[length..]) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => length += read,
                }
            }
            kept.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (at, came)
}

fn add(user: &User, url: &str, more: &[&str]) -> Value {
    json(&user.ok(&[&["webhook", "add", url, "--json"], more].concat()))
}

#[test]
fn webhooks_are_made_and_changed_while_it_runs_and_while_it_does_not() {
    let user = User::new();
    user.ok(&["init"]);
    let (at, came) = endpoint("204 No Content");
    let url = format!("http://{at}/in?token=hidden");
    let first = add(&user, &url, &["--local", "--events", "kill.changed,action.blocked"]);
    let id = first["webhook"].as_str().unwrap();
    let (secret, whsec) = (first["secret"].as_str().unwrap(), first["whsec"].as_str().unwrap());
    assert!(secret.len() == 64 && whsec.starts_with("whsec_"));
    let unsent = user.run(&["webhook", "test", id]);
    assert!(unsent.code == 1 && unsent.stderr.contains("doorward run"), "{unsent:?}");

    let daemon = user.start(upstream_calling(&[]), &[]);
    let shown = json(&user.ok(&["webhook", "show", id, "--json"]));
    assert_eq!((&shown["url"], &shown["state"]), (&url.as_str().into(), &"active".into()));
    assert!(shown.get("secret").is_none() && shown.get("whsec").is_none());
    assert!(!user.ok(&["webhook", "list"]).contains("hidden"));
    let sent = json(&user.ok(&["webhook", "test", id, "--json"]));
    let message = came.lock().unwrap().pop().unwrap();
    assert!(message.contains(sent["id"].as_str().unwrap()) && message.contains("webhook.test"), "{message}");

    // What is said while it is paused goes afterwards.
    user.ok(&["webhook", "pause", id]);
    user.ok(&["kill", "--agent", "nobody"]);
    let waiting = || user.ok(&["webhook", "deliveries", id]);
    wait(|| waiting().contains("kill.changed") && waiting().contains("WAITING"));
    assert!(came.lock().unwrap().is_empty());
    user.ok(&["webhook", "resume", id]);
    wait(|| waiting().contains("ARRIVED"));
    let message = json(&user.ok(&["webhook", "deliveries", "--json"]));
    let again = user.ok(&["webhook", "redeliver", message["id"].as_str().unwrap()]);
    assert!(again.contains("1 message to be sent again"), "{again}");
    wait(|| came.lock().unwrap().len() == 2);
    assert_eq!(user.run(&["webhook", "redeliver", "msg_none"]).code, 1);
    assert_eq!(user.run(&["webhook", "redeliver"]).code, 2);
    assert!(user.ok(&["webhook", "redeliver", "--all-failed"]).contains("0 messages"));

    let rotated = json(&user.ok(&["webhook", "rotate", id, "--overlap", "24h", "--json"]));
    assert!(rotated["secret"] != first["secret"] && rotated["old_secret_until"].is_string());
    assert_eq!(daemon.interrupt(), 0);
    let kept = json(&user.ok(&["webhook", "show", id, "--json"]));
    assert_eq!(kept["old_secret_until"], rotated["old_secret_until"]);
    user.ok(&["webhook", "remove", id]);
    assert_eq!(user.ok(&["webhook", "list"]), "");
    assert_eq!(user.run(&["webhook", "show", id]).code, 1);
    let receipts = user.ok(&["receipts", "export", "--json"]);
    for event in [
        "webhook_add",
        "webhook_pause",
        "webhook_resume",
        "webhook_rotate",
        "webhook_redeliver",
        "webhook_remove",
    ] {
        assert!(receipts.contains(event), "{event}");
    }
    assert!(!receipts.contains("hidden") && !receipts.contains(secret));
}

#[test]
fn where_messages_may_not_go_is_said_at_once() {
    let user = User::new();
    user.ok(&["init"]);
    for (arguments, word) in [
        (&["http://hooks.example/"][..], "https://"),
        (&["https://127.0.0.1/"], "--local"),
        (&["https://[::ffff:192.168.0.1]/"], "--local"),
        (&["http://169.254.169.254/", "--local"], "metadata"),
        (&["https://user@hooks.example/"], "user information"),
        (&["https://hooks.example/", "--events", "action.blocked,made.up"], "there is no event"),
    ] {
        let refused = user.run(&[&["webhook", "add"], arguments].concat());
        assert!(refused.code == 1 && refused.stderr.contains(word), "{arguments:?}: {refused:?}");
    }
    assert_eq!(user.ok(&["webhook", "list"]), "");
    // A message to ourselves, however we are called, goes nowhere.
    let daemon = user.start(upstream_calling(&[]), &[]);
    let listener = daemon.address("data");
    let ours = add(&user, &format!("http://localhost:{}/v1/kill", listener.port()), &["--local"]);
    let told = user.run(&["webhook", "test", ours["webhook"].as_str().unwrap()]);
    assert!(told.code == 1 && told.stdout.contains("Doorward itself"), "{told:?}");
}

#[test]
fn who_is_gone_stands_in_the_status() {
    let user = User::new();
    user.ok(&["init"]);
    let (at, _) = endpoint("410 Gone");
    let hook = add(&user, &format!("http://{at}/"), &["--local"]);
    let _daemon = user.start(upstream_calling(&[]), &[]);
    user.ok(&["kill", "--agent", "nobody"]);
    wait(|| user.ok(&["webhook", "list"]).contains("GONE"));
    let status = user.run(&["status"]).stdout;
    assert!(status.contains("1 webhook gone") && status.contains("1 message failed"), "{status}");
    user.ok(&["webhook", "resume", hook["webhook"].as_str().unwrap()]);
    assert!(user.ok(&["webhook", "list"]).contains("ACTIVE"));
}

fn wait(is: impl Fn() -> bool) {
    for _ in 0..150 {
        if is() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it did not come");
}
