//! A policy that changes while Doorward runs: real files, the real binary, requests all the while.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Daemon, User, eventually, lines, nobody, path, upstream};

/// What an agent hears while its requests pass: its upstream is dead.
const PASSES: u16 = 502;
const BLOCKED: u16 = 403;

fn denying(name: &str) -> String {
    format!("version: 1\ndefault: allow\nrules:\n  - name: {name}\n    deny: {{}}\n")
}

const OPEN: &str = "version: 1\ndefault: allow\nrules: []\n";

/// Which rule blocks at the moment.
fn blocks(daemon: &Daemon, rule: &str) -> bool {
    let reply = daemon.ask();
    reply.status == BLOCKED && reply.body.contains(&format!("policy.{rule}"))
}

fn status(user: &User) -> (i32, Value) {
    let done = user.run(&["status", "--json"]);
    (done.code, serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

fn controls(user: &User) -> Vec<Value> {
    let receipts = lines(&user.ok(&["receipts", "export", "--json"]));
    receipts.into_iter().filter_map(|receipt| receipt.get("control").cloned()).collect()
}

fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

#[test]
fn a_change_takes_effect_and_a_faulty_one_leaves_the_old_policy() {
    let user = User::new();
    let daemon = user.start(nobody(), &[]);
    let file = user.home().join("policy.yaml");
    assert_eq!(daemon.ask().status, PASSES, "what is shipped");

    std::fs::write(&file, denying("first")).unwrap();
    eventually("the first policy", || blocks(&daemon, "first"));
    let (code, told) = status(&user);
    assert_eq!((code, &told["policy"]["rules"], &told["policy"]["refused"]), (0, &1.into(), &Value::Null));
    let revision = told["policy"]["revision"].clone();

    std::fs::write(&file, denying("second").replace("deny:", "dney:").replace("default", "defualt")).unwrap();
    eventually("the refusal", || status(&user).1["policy"]["refused"].is_object());
    assert!(blocks(&daemon, "first"), "the old policy stands");
    let (code, told) = status(&user);
    assert_eq!((code, &told["policy"]["revision"]), (1, &revision), "{told}");
    let faults = told["policy"]["refused"]["faults"].as_array().unwrap();
    assert!(faults.len() >= 3, "all faults: {faults:?}");
    assert!(faults.iter().any(|fault| fault.as_str().unwrap().contains("policy.yaml:2:1")), "{faults:?}");
    let said = user.run(&["status"]).stdout;
    assert!(said.contains("REFUSED") && said.contains("dney"), "{said}");

    std::fs::write(&file, denying("third")).unwrap();
    eventually("the third policy", || blocks(&daemon, "third"));
    assert_eq!(status(&user).0, 0);

    // Losing the file is a fault, and no way back to what is shipped.
    std::fs::remove_file(&file).unwrap();
    eventually("the loss", || status(&user).1["policy"]["refused"].is_object());
    assert!(blocks(&daemon, "third"));
    replace(&file, OPEN);
    eventually("the open policy", || daemon.ask().status == PASSES);

    assert_eq!(daemon.interrupt(), 0);
    let controls = controls(&user);
    let events: Vec<&str> = controls.iter().map(|control| control["event"].as_str().unwrap()).collect();
    let changed = "policy_changed";
    assert_eq!(events, [changed, "policy_refused", changed, "policy_refused", changed]);
    assert_eq!((&controls[0]["target"], &controls[1]["target"]), (&revision, &revision));
    assert!(controls.iter().all(|control| control["by"] == "file"));
    assert!(controls[1]["message"].as_str().unwrap().contains("faults in all"), "{}", controls[1]);
    assert_eq!(user.run(&["receipts", "verify"]).code, 0);
}

#[test]
fn a_policy_named_in_the_settings_must_be_there() {
    let user = User::new();
    let done =
        user.run(&["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--policy", "mine.yaml"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("mine.yaml"), "{done:?}");
}

#[test]
fn several_files_change_together() {
    let user = User::new();
    let (one, two) = (user.dir.join("one.yaml"), user.dir.join("two.yaml"));
    std::fs::write(&one, OPEN).unwrap();
    std::fs::write(&two, OPEN).unwrap();
    let daemon = user.start(nobody(), &["--policy", path(&one), "--policy", path(&two)]);
    assert_eq!(daemon.ask().status, PASSES);
    replace(&two, &denying("in-two"));
    eventually("the rule of the second file", || blocks(&daemon, "in-two"));
    replace(&one, &denying("in-one"));
    eventually("the rule of the first file", || blocks(&daemon, "in-one"));
    // A name that both give is a fault of the two together.
    replace(&one, &denying("in-two"));
    eventually("the refusal", || status(&user).1["policy"]["refused"].is_object());
    assert!(blocks(&daemon, "in-one"));
}

#[test]
fn included_files_and_levels_are_followed() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let [own, more, org] = ["policy.yaml", "more.yaml", "org.yaml"].map(|name| user.home().join(name));
    std::fs::write(&own, format!("include: more.yaml\n{OPEN}")).unwrap();
    std::fs::write(&more, "rules: []\n").unwrap();
    std::fs::write(&org, OPEN).unwrap();
    let mut command = user.command(&["run", "--json", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
    let upstream = format!("http://{}", nobody());
    command.args(["--upstream", &upstream, "--protocol", "anthropic"]);
    command.env("DOORWARD_POLICY_ORGANISATION", "org.yaml");
    let daemon = Daemon::spawn(command);
    assert_eq!(daemon.ask().status, PASSES);
    replace(&more, "rules: [{ name: in-more, deny: {} }]\n");
    eventually("the included rule", || blocks(&daemon, "in-more"));
    replace(&more, "rules: []\n");
    replace(&org, &denying("in-org"));
    eventually("the organisation's rule", || blocks(&daemon, "in-org"));
    // A file that is included and not there is waited for.
    replace(&org, OPEN);
    replace(&more, "rules: [{ name: in-more, deny: {} }]\n");
    eventually("the included rule again", || blocks(&daemon, "in-more"));
    replace(&own, &format!("include: [more.yaml, later.yaml]\n{OPEN}"));
    eventually("the refusal", || status(&user).1["policy"]["refused"].is_object());
    assert!(blocks(&daemon, "in-more"));
    replace(&user.home().join("later.yaml"), "rules: [{ name: in-later, deny: {} }]\n");
    eventually("the recovery", || status(&user).1["policy"]["rules"] == 2);
    assert_eq!(status(&user).0, 0);
}

#[cfg(unix)]
#[test]
fn a_mount_that_swaps_links() {
    use std::os::unix::fs::symlink;
    let user = User::new();
    let mount = user.dir.join("mount");
    let version = |name: &str, text: &str| {
        std::fs::create_dir_all(mount.join(name)).unwrap();
        std::fs::write(mount.join(name).join("policy.yaml"), text).unwrap();
        symlink(name, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..v1", &denying("v1"));
    symlink("..data/policy.yaml", mount.join("policy.yaml")).unwrap();
    let daemon = user.start(nobody(), &["--policy", path(&mount.join("policy.yaml"))]);
    assert!(blocks(&daemon, "v1"));
    for name in ["..v2", "..v3"] {
        let began = Instant::now();
        version(name, &denying(name.trim_start_matches('.')));
        eventually(name, || blocks(&daemon, name.trim_start_matches('.')));
        println!("{name} after {:?}", began.elapsed());
    }
    std::fs::remove_dir_all(mount.join("..v1")).unwrap();
    assert!(blocks(&daemon, "v3"));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_any_more_is_a_fault() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let file = user.home().join("policy.yaml");
    std::fs::write(&file, denying("first")).unwrap();
    let daemon = user.start(nobody(), &[]);
    let permit = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    permit(0);
    if std::fs::read(&file).is_ok() {
        println!("not tested: this user may read everything");
        return;
    }
    eventually("the refusal", || status(&user).1["policy"]["refused"].is_object());
    assert!(blocks(&daemon, "first"));
    permit(0o600);
    eventually("the recovery", || status(&user).1["policy"]["refused"].is_null());
}

/// Half of this file is a policy too: one that denies less.
#[test]
fn a_file_is_not_read_before_it_is_written_to_the_end() {
    use std::io::Write as _;
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let file = user.home().join("policy.yaml");
    std::fs::write(&file, denying("first")).unwrap();
    let daemon = user.start(nobody(), &[]);
    // The watch begins a moment after the listeners.
    replace(&file, &denying("before"));
    eventually("the watch runs", || blocks(&daemon, "before"));
    let mut writer = std::fs::File::create(&file).unwrap();
    writer.write_all(b"version: 1\ndefault: allow\nrules:\n  - { name: one, deny: { tool: x } }\n").unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        assert!(blocks(&daemon, "before"), "half of the file was read");
    }
    writer.write_all(b"  - { name: last, deny: {} }\n").unwrap();
    drop(writer);
    eventually("the whole file", || blocks(&daemon, "last"));
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(controls(&user).len(), 2, "one change, not one for each half");
}

/// The same where Doorward starts in the midst of it.
#[test]
fn a_file_is_not_read_at_the_start_before_it_is_written_to_the_end() {
    use std::io::Write as _;
    // A writer that the machine holds up for longer than anybody waits is tried again.
    let held_up = (0..10).all(|_| {
        let user = User::new();
        std::fs::create_dir_all(user.home()).unwrap();
        let mut file = std::fs::File::create(user.home().join("policy.yaml")).unwrap();
        file.write_all(OPEN.trim_end_matches("[]\n").as_bytes()).unwrap();
        let writer = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            for n in 0..60 {
                let began = Instant::now();
                std::thread::sleep(Duration::from_millis(10));
                let last = if n == 59 { "deny: {}" } else { "audit: {}" };
                file.write_all(format!("\n  - {{ name: r{n}, {last} }}").as_bytes()).unwrap();
                longest = longest.max(began.elapsed());
            }
            longest
        });
        let daemon = user.start(nobody(), &[]);
        let whole = blocks(&daemon, "r59");
        let longest = writer.join().unwrap();
        assert!(whole || longest > Duration::from_millis(90), "half of the file was in force");
        !whole
    });
    assert!(!held_up, "the machine is too busy to tell");
}

/// Each decision must be of one policy: its rule, its mode, its revision and its number belong together.
#[test]
fn no_request_sees_half_a_policy() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let file = user.home().join("policy.yaml");
    let policies =
        [denying("dry").replace("default: allow", "default: allow\nmode: dry_run"), denying("wet")];
    std::fs::write(&file, &policies[0]).unwrap();
    let daemon = user.start(upstream(), &[]);
    let ended = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let reply = daemon.ask();
                        // A reply that was opened in a dry run cannot be altered: if its call is blocked meanwhile,
                        // it ends there.
                        let code = reply.header("doorward-code").unwrap_or_default();
                        let moved = matches!(code, "monitor.stopped" | "policy_changed");
                        assert!(matches!(reply.status, 200 | BLOCKED) || moved, "{reply:?}");
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        for n in 1..=24 {
            replace(&file, &policies[n % 2]);
            std::thread::sleep(Duration::from_millis(150));
        }
        ended.store(true, Ordering::Relaxed);
        agents.into_iter().map(|agent| agent.join().unwrap()).sum::<u32>()
    });
    assert_eq!(daemon.interrupt(), 0);
    let receipts = lines(&user.ok(&["receipts", "export", "--json"]));
    let mut kinds = std::collections::BTreeMap::<_, u32>::new();
    for decision in receipts.iter().filter_map(|receipt| receipt.get("decision")) {
        let rules = decision["reasons"].as_array().unwrap().iter();
        let rules = rules.filter_map(|reason| reason["rule"].as_str()?.strip_prefix("policy."));
        let rules: Vec<&str> = rules.collect();
        let mode = decision["mode"].as_str().unwrap();
        let odd = decision["epoch"]["policy"].as_u64().unwrap() % 2;
        *kinds.entry((decision["policy"].as_str().unwrap(), rules.join(","), mode, odd)).or_default() += 1;
    }
    println!("{asked} requests: {kinds:?}");
    assert_eq!(kinds.len(), 2, "{kinds:#?}");
    let of = |rule: &str| kinds.keys().find(|(_, rules, ..)| rules == rule).unwrap();
    assert_eq!((of("dry").2, of("wet").2), ("monitor", "block"));
    let changes = receipts.iter().filter(|receipt| receipt["control"]["event"] == "policy_changed").count();
    // On a busy machine two changes may be seen as one.
    assert!((8..=24).contains(&changes), "{changes} changes");
}

/// Not run by itself: it measures. In release:
/// `cargo test --release -p doorward --test it reload::what_a_reload_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_a_reload_costs() {
    let user = User::new();
    std::fs::create_dir_all(user.home()).unwrap();
    let file = user.home().join("policy.yaml");
    let large = |turn: usize| {
        let rules = (0..5000).map(|n| {
            format!("  - {{ name: r{n}-{turn}, deny: {{ tool: t{n}, url: \"h{n}.example/v{turn}/{{a,b}}/**\" }} }}\n")
        });
        format!("version: 1\ndefault: allow\nrules:\n{}", rules.collect::<String>())
    };
    std::fs::write(&file, large(0)).unwrap();
    let daemon = user.start(nobody(), &[]);
    let measure = |what: &str, reloads: usize| {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let agent = scope.spawn(|| {
                let mut took = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let _ = daemon.ask();
                    took.push(began.elapsed());
                }
                took
            });
            for turn in 1..=reloads.max(20) {
                if reloads > 0 {
                    replace(&file, &large(turn));
                }
                std::thread::sleep(Duration::from_millis(300));
            }
            ended.store(true, Ordering::Relaxed);
            let mut took = agent.join().unwrap();
            took.sort_unstable();
            let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
            println!(
                "{what}: {} requests, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
                took.len(),
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0)
            );
        });
    };
    measure("still", 0);
    measure("20 reloads of 5,000 rules", 20);
    measure("still again", 0);
    println!("{}", status(&user).1["policy"]);
}
