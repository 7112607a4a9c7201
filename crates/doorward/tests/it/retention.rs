//! What is kept beside the ledger: for how long, what is held, what is scrubbed; and the ledger's own key. With a running
//! process and without one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use doorward_store::{Grant, GrantScope, Home, Options, RecordedAction, Secret32, Store};
use serde_json::Value;

use crate::support::{Daemon, User, eventually, lines, listening_upstream, upstream, upstream_calling};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A key with credits: its id and credential.
fn key(user: &User, agent: &str) -> (String, String) {
    let created = json(&user.ok(&["key", "create", "--json", "--agent", agent]));
    (created["key_id"].as_str().unwrap().to_owned(), created["credential"].as_str().unwrap().to_owned())
}

/// Asks for a request to go out, with curl's means, as this agent; the whole answer.
fn net(daemon: &Daemon, (credential, agent): (&str, &str), asked: &Value) -> String {
    let mut stream = TcpStream::connect(daemon.address("data")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = asked.to_string();
    write!(
        stream,
        "POST /v1/net HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {credential}\r\ndoorward-agent: {agent}\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        daemon.address("data"),
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks for one that is refused; its receipt.
fn ask_out(daemon: &Daemon, credential: &str, url: &str) -> String {
    let answer = net(daemon, (credential, "net"), &serde_json::json!({ "url": url }));
    let receipt = answer
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("x-request-id: ").map(str::to_owned));
    receipt.unwrap_or_else(|| panic!("{answer}")).trim().to_ascii_uppercase()
}

fn log_has(user: &User, text: &str) -> bool {
    let folder = user.home().join("log/segments");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// The second verifier's word on the log.
fn second(user: &User, key: &str) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/verify.py");
    let done = Command::new("python3")
        .arg(script)
        .arg(user.home().join("log"))
        .args(["--key", key])
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
}

fn both_verify(user: &User) {
    user.ok(&["receipts", "verify"]);
    let (good, said) = second(user, user.ok(&["receipts", "key", "--first"]).trim());
    assert!(good, "{said}");
}

/// A URL of this machine's network: refused without asking anybody for an address.
const URL: &str = "https://10.0.0.1/reset/9f86d081884c7d659a2feaa0c55ad015?token=hunter2hunter2&page=3#frag";
const SECRETS: [&str; 3] = ["9f86d081884c7d659a2feaa0c55ad015", "hunter2hunter2", "frag"];

#[test]
fn where_a_request_led_is_masked_in_the_store_and_hashed_in_the_ledger() {
    let user = User::new();
    let (_, credential) = key(&user, "alice");
    let daemon = user.start(upstream(), &[]);
    let receipt = ask_out(&daemon, &credential, URL);
    // What is beside the ledger is written a moment after it.
    let shown = (0..100)
        .map(|_| user.ok(&["receipts", "show", &receipt]))
        .inspect(|_| std::thread::sleep(std::time::Duration::from_millis(50)))
        .find(|shown| !shown.contains("url: not kept"));
    let shown = shown.expect("the URL is never kept");
    assert!(shown.contains("url: https://10.0.0.1/reset/(32)?token=(14)&page=(1)#…"), "{shown}");
    let whole = json(&user.ok(&["receipts", "show", &receipt, "--json"]));
    let digests =
        whole["action"]["effects"].as_array().unwrap().iter().filter(|it| it["target_digest"].is_string());
    assert!(digests.count() >= 1, "{whole}");
    assert_eq!(daemon.interrupt(), 0);
    for secret in SECRETS {
        assert!(!log_has(&user, secret), "{secret} stands in the ledger");
        let kept = std::fs::read(user.home().join("store/store.db")).unwrap();
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    // Nor in what policies are tried on, though that is kept.
    let home = Home::open(user.home()).unwrap();
    let reader = doorward_store::Reader::open(&home).unwrap().unwrap();
    let judged = reader.action(&receipt).unwrap().unwrap().judged.unwrap();
    let told = format!("{judged:?}");
    assert!(told.contains("10.0.0.1") && !judged.whole);
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    both_verify(&user);
}

#[test]
fn hashed_leaves_nothing_but_the_digest() {
    let user = User::new();
    let (_, credential) = key(&user, "alice");
    let daemon = user.start(upstream(), &["--urls", "hashed"]);
    let receipt = ask_out(&daemon, &credential, "https://internal-name.example:bad/");
    let other = ask_out(&daemon, &credential, "http://internal-name.example/path");
    for receipt in [receipt, other] {
        assert!(user.ok(&["receipts", "show", &receipt]).contains("url: not kept"));
    }
    assert_eq!(daemon.interrupt(), 0);
    assert!(!log_has(&user, "internal-name"), "the host stands in the ledger");
    let wrong = user.run(&["run", "--urls", "plain"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("masked, hashed"), "{wrong:?}");
}

/// Records as an earlier process left them.
fn leave(user: &User, records: impl Iterator<Item = (String, u64, &'static str, Option<String>)>) {
    let home = Home::open(user.home()).unwrap();
    let lock = home.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&lock, Options { content: true, ..Options::default() }).unwrap();
        for (receipt, time, agent, key) in records {
            let record = RecordedAction {
                receipt,
                time,
                agent: agent.into(),
                session: format!("{agent}/-"),
                door: "egress".into(),
                kind: "url".into(),
                tool: None,
                effects: Vec::new(),
                verdict: "allow".into(),
                rules: Vec::new(),
                key,
                url: Some("https://example.com/".into()),
                salt: Some(Secret32::new([7; 32])),
                content: Some(b"content".to_vec()),
                judged: None,
            };
            store.record(record).await.unwrap();
        }
        store.close().await.unwrap();
    });
}

fn salts(user: &User) -> Vec<String> {
    let home = Home::open(user.home()).unwrap();
    let mut found = Vec::new();
    let reader = doorward_store::Reader::open(&home).unwrap().unwrap();
    reader
        .each(0, |action| {
            let action = action.unwrap();
            found.extend(action.salt.map(|_| action.receipt));
            true
        })
        .unwrap();
    found
}

#[test]
fn what_is_too_old_goes_and_what_is_held_stays() {
    let user = User::new();
    let (id, _) = key(&user, "carol");
    let old = now() - 40 * DAY;
    leave(
        &user,
        [
            ("of-alice".to_owned(), old, "alice", None),
            ("of-bob".to_owned(), old, "bob", None),
            ("of-carol".to_owned(), old, "carol", Some(id.clone())),
            ("of-today".to_owned(), now(), "bob", None),
        ]
        .into_iter(),
    );
    let add = |more: &[&str]| {
        user.run(&[&["retention", "hold", "add", "--json", "--reason", "case 7"], more].concat())
    };
    let held = json(&add(&["--agent", "alice"]).stdout);
    for (wrong, why) in
        [(&[][..], "say what is held"), (&["--key", "nobody"], "id of a key"), (&["--agent", "A B"], "agent")]
    {
        let done = add(wrong);
        assert!(done.code != 0 && done.stderr.contains(why), "{wrong:?}: {done:?}");
    }
    let would = json(&user.ok(&["retention", "run", "--dry-run", "--json"]));
    assert_eq!((&would["actions"], &would["held"]), (&2.into(), &1.into()));
    assert_eq!(salts(&user).len(), 4, "a dry run destroys nothing");
    // With a process: it does so by itself, and takes acts.
    let daemon = user.start(upstream(), &[]);
    eventually("the sweep", || salts(&user) == ["of-alice", "of-today"]);
    let shown = user.ok(&["retention", "show"]);
    assert!(
        shown.contains("kept for 36 days") && shown.contains("agent alice") && shown.contains("case 7"),
        "{shown}"
    );
    user.ok(&["retention", "hold", "release", held["id"].as_str().unwrap()]);
    assert_eq!(user.run(&["retention", "hold", "release", "hold-none"]).code, 1);
    assert!(user.ok(&["retention", "run"]).contains("destroyed: 1 action"), "released");
    assert!(user.ok(&["retention", "run"]).contains("destroyed: nothing"));
    assert_eq!(salts(&user), ["of-today"]);
    assert_eq!(user.ok(&["retention", "hold", "list"]), "");
    assert_eq!(daemon.interrupt(), 0);
    let events = lines(&user.ok(&["receipts", "export", "--json"]));
    let events: Vec<&str> = events.iter().filter_map(|it| it["control"]["event"].as_str()).collect();
    for event in ["hold_add", "hold_release", "retention_run", "credits_snapshot"] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }
    both_verify(&user);
    user.ok(&["credits", "verify"]);
    assert!(user.ok(&["credits", "verify", "--all"]).contains("1 snapshot"));
}

#[test]
fn killed_in_the_middle_of_a_sweep_it_goes_on_and_every_credit_is_there() {
    let user = User::new();
    let (id, _) = key(&user, "alice");
    user.ok(&["credits", "grant", &id, "5"]);
    let old = now() - 40 * DAY;
    leave(&user, (0..6000).map(|n| (format!("R{n}"), old, "alice", None)));
    let mut cut = 0;
    for round in 0..6 {
        let daemon = user.start(upstream(), &[]);
        std::thread::sleep(Duration::from_millis(20 * round));
        // SIGKILL.
        drop(daemon);
        let left = salts(&user).len();
        cut += usize::from((1..6000).contains(&left));
        user.ok(&["credits", "verify"]);
        user.ok(&["credits", "verify", "--all"]);
        if left == 0 {
            break;
        }
    }
    println!("{cut} were killed in the middle");
    user.ok(&["retention", "run"]);
    assert_eq!(salts(&user).len(), 0);
    both_verify(&user);
    user.ok(&["credits", "verify", "--all"]);
}

#[test]
fn a_scrub_takes_an_agents_traces_and_leaves_the_ledger_whole() {
    let user = User::new();
    let (id, _) = key(&user, "bob");
    let daemon = user.start(upstream_calling(&["rm -rf /"]), &["--agent", "alice", "--content", "yes"]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    leave(&user, [("OF-BOB".to_owned(), now(), "bob", Some(id.clone()))].into_iter());
    let before = salts(&user).len();
    assert!(before > 3);
    let unsure = user.run(&["scrub", "--agent", "alice"]);
    assert!(unsure.code == 2 && unsure.stderr.contains("--yes"), "{unsure:?}");
    assert_eq!(user.run(&["scrub", "--yes"]).code, 2);
    let done = json(&user.ok(&["scrub", "--agent", "alice", "--yes", "--json"]));
    assert!(done["actions"].as_u64().unwrap() >= 3 && done["sessions"].as_u64().unwrap() >= 1, "{done}");
    assert_eq!(salts(&user), ["OF-BOB"]);
    assert!(user.ok(&["scrub", "--agent", "alice", "--yes"]).contains("scrubbed: nothing"), "once is enough");
    let events = lines(&user.ok(&["receipts", "export", "--json"]));
    let scrubs: Vec<&Value> = events.iter().filter(|it| it["control"]["event"] == "scrub").collect();
    assert_eq!(scrubs.len(), 1);
    assert!(!scrubs[0].to_string().contains("alice"), "{}", scrubs[0]);
    user.ok(&["retention", "hold", "add", "--key", &id, "--reason", "case 8"]);
    let held = json(&user.ok(&["scrub", "--key", &id, "--yes", "--json"]));
    assert_eq!((&held["actions"], &held["held"]), (&0.into(), &1.into()), "a person holds it");
    both_verify(&user);
    user.ok(&["credits", "verify"]);
}

/// The names that a list of sessions or agents has.
fn named(user: &User, list: &[&str]) -> String {
    user.ok(&[list, &["--json"]].concat())
}

#[test]
fn a_scrub_of_a_key_takes_what_it_alone_has_used() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let policy = "version: 1\ndefault: allow\nrules: []\ndestinations: { allow: [localhost] }\n";
    std::fs::write(user.home().join("policy.yaml"), policy).unwrap();
    let (id, credential) = key(&user, "alice");
    let (other, of_other) = key(&user, "alice");
    user.ok(&["agents", "issue", &id, "issued"]);
    let (heard, site) = listening_upstream();
    let site = site.replace("127.0.0.1", "localhost");
    let order = serde_json::json!({"url": format!("{site}/order"), "method": "POST", "body": "one",
                                   "headers": {"Idempotency-Key": "k-1"}});
    let daemon = user.start(upstream(), &[]);
    let asked = |credential: &str, agent: &str, asked: &Value| net(&daemon, (credential, agent), asked);
    let inside = serde_json::json!({ "url": URL });
    for agent in ["issued", "came-by", "shared"] {
        assert!(asked(&credential, agent, &inside).contains("SSRF_BLOCKED"));
    }
    assert!(asked(&of_other, "shared", &inside).contains("SSRF_BLOCKED"));
    for agent in ["issued", "elsewhere"] {
        let credential = if agent == "issued" { &credential } else { &of_other };
        for _ in 0..2 {
            let answer = asked(credential, agent, &order);
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("msg_1"), "{answer}");
        }
    }
    assert_eq!(heard.try_iter().count(), 2, "each once: the second is answered from memory");
    // What is beside the ledger is written a moment after it.
    eventually("the session", || named(&user, &["session", "list"]).contains("alice/elsewhere"));
    std::thread::sleep(Duration::from_millis(300));
    let before = named(&user, &["session", "list"]);
    for session in ["alice/issued", "alice/came-by", "alice/shared"] {
        assert!(before.contains(session), "{before}");
    }
    assert!(named(&user, &["agents", "list", &id]).contains("came-by"));
    let done = json(&user.ok(&["scrub", "--key", &id, "--yes", "--json"]));
    assert!(done["sessions"] == 2 && done["answers"] == 1 && done["held"] == 0, "{done}");
    // The request and the head of its answer, and three that were refused.
    assert!(done["actions"].as_u64().unwrap() >= 5, "{done}");
    let after = named(&user, &["session", "list"]);
    assert!(!after.contains("alice/issued") && !after.contains("alice/came-by"), "{after}");
    assert!(
        after.contains("alice/shared") && after.contains("alice/elsewhere"),
        "another key's too: {after}"
    );
    let agents = named(&user, &["agents", "list", &id]);
    assert!(agents.contains("issued") && !agents.contains("came-by"), "{agents}");
    // Its answer is gone from memory as well, and it is not done again; the other key's is there.
    let again = asked(&credential, "issued", &order);
    assert!(again.contains("IDEMPOTENCY_CONFLICT") && again.contains("not kept"), "{again}");
    assert!(asked(&of_other, "elsewhere", &order).contains("msg_1"));
    assert_eq!(heard.try_iter().count(), 0);
    assert_eq!(daemon.interrupt(), 0);
    // Nor does a restart know any of it, and nothing of the other key's has gone.
    let daemon = user.start(upstream(), &[]);
    let list = named(&user, &["session", "list"]);
    assert!(!list.contains("alice/came-by") && list.contains("alice/shared"), "{list}");
    assert_eq!(daemon.interrupt(), 0);
    let rest = json(&user.ok(&["scrub", "--key", &other, "--yes", "--json"]));
    assert!(rest["sessions"].as_u64().unwrap() >= 1 && rest["actions"].as_u64().unwrap() >= 2, "{rest}");
    both_verify(&user);
    user.ok(&["credits", "verify"]);
}

#[test]
fn a_scrub_takes_what_people_had_allowed() {
    let user = User::new();
    let home = Home::open(user.home()).unwrap();
    let keep = |agents: &[&str]| {
        let lock = home.lock().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&lock, Options::default()).unwrap();
            for agent in agents {
                let grant = Grant {
                    id: format!("g-{agent}"),
                    digest: "d".into(),
                    scope: GrantScope::Session,
                    agent: (*agent).into(),
                    session: format!("{agent}/-"),
                    what: "rm -rf build".into(),
                    by: "tester".into(),
                    since: now(),
                    until: now() + DAY,
                    shown: Vec::new(),
                };
                store.keep_grant(grant).await.unwrap();
            }
            store.close().await.unwrap();
        });
    };
    keep(&["alice", "bob"]);
    let done = json(&user.ok(&["scrub", "--agent", "alice", "--yes", "--json"]));
    assert_eq!((&done["grants"], &done["held"]), (&1.into(), &0.into()), "{done}");
    user.ok(&["retention", "hold", "add", "--agent", "bob", "--reason", "case 9"]);
    let held = json(&user.ok(&["scrub", "--agent", "bob", "--yes", "--json"]));
    assert_eq!((&held["grants"], &held["held"]), (&0.into(), &1.into()), "{held}");
}

#[test]
fn the_ledgers_key_is_exchanged_and_the_log_verified_from_the_first() {
    let user = User::new();
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    let first = user.ok(&["receipts", "key"]).trim().to_owned();
    // While it runs, and while it does not.
    let second_key = json(&user.ok(&["ledger", "rotate-key", "--json"]))["key"].as_str().unwrap().to_owned();
    daemon.ask();
    let newest =
        lines(&user.ok(&["receipts", "list", "-n", "1", "--json"]))[0]["id"].as_str().unwrap().to_owned();
    let bundle = user.work().join("one.json");
    user.ok(&["receipts", "export", &newest, "--out", bundle.to_str().unwrap()]);
    assert_eq!(daemon.interrupt(), 0);
    user.ok(&["ledger", "rotate-key"]);
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(user.ok(&["receipts", "key", "--first"]).trim(), first);
    let newest_key = user.ok(&["receipts", "key"]).trim().to_owned();
    assert!(newest_key != first && newest_key != second_key);
    both_verify(&user);
    // Whoever has only the first key follows the others.
    user.ok(&["receipts", "verify", bundle.to_str().unwrap(), "--key", &first]);
    user.ok(&["receipts", "verify", bundle.to_str().unwrap(), "--key", &second_key]);
    let out = user.work().join("tiles");
    user.ok(&["receipts", "export", "--out", out.to_str().unwrap()]);
    user.ok(&["receipts", "verify", out.to_str().unwrap(), "--key", &first]);
    let (good, said) = second(&user, &newest_key);
    assert!(!good && said.contains("foreign_key"), "{said}");
    assert_eq!(
        std::fs::read_dir(user.home())
            .unwrap()
            .filter(|it| { it.as_ref().unwrap().file_name().to_string_lossy().contains(".next") })
            .count(),
        0,
        "the seed of a rotation is left"
    );
}

/// What a process leaves that is killed at any of the steps.
#[test]
fn a_rotation_that_was_cut_off_is_finished_or_never_was() {
    let user = User::new();
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    let home = user.home();
    let before = std::fs::read(home.join("ledger.key")).unwrap();
    // Killed before the log had it: the next key never signed.
    std::fs::write(home.join("ledger.key.next"), [9; 32]).unwrap();
    let daemon = user.start(upstream(), &[]);
    assert_eq!(daemon.interrupt(), 0);
    assert!(!home.join("ledger.key.next").exists());
    assert_eq!(std::fs::read(home.join("ledger.key")).unwrap(), before);
    // Killed after the log had it: all files are as they were, but for the list with the first key.
    let seen = std::fs::read(home.join("checkpoint.seen")).unwrap();
    user.ok(&["ledger", "rotate-key"]);
    let after = std::fs::read(home.join("ledger.key")).unwrap();
    assert_ne!(before, after);
    let keys = std::fs::read_to_string(home.join("ledger.keys")).unwrap();
    std::fs::write(home.join("ledger.key.next"), &after).unwrap();
    std::fs::write(home.join("ledger.key"), &before).unwrap();
    std::fs::write(home.join("checkpoint.seen"), &seen).unwrap();
    std::fs::write(home.join("ledger.keys"), format!("{}\n", keys.lines().next().unwrap())).unwrap();
    user.ok(&["receipts", "list"]);
    both_verify(&user);
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(std::fs::read(home.join("ledger.key")).unwrap(), after);
    assert_eq!(std::fs::read_to_string(home.join("ledger.keys")).unwrap(), keys);
    both_verify(&user);
    // Killed even later: others had signed on with the next key already.
    std::fs::write(home.join("ledger.key.next"), &after).unwrap();
    std::fs::write(home.join("ledger.key"), &before).unwrap();
    std::fs::write(home.join("ledger.keys"), format!("{}\n", keys.lines().next().unwrap())).unwrap();
    let daemon = user.start(upstream(), &[]);
    daemon.ask();
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(std::fs::read_to_string(home.join("ledger.keys")).unwrap(), keys);
    both_verify(&user);
}
