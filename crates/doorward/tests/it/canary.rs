//! Decoys: planted, found wherever they cross, and taken away again without a trace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Daemon, Done, User, eventually, lines, mode, nobody, path, post, upstream_calling};

/// A user who has what most have: the folders of these programs.
fn user() -> User {
    let user = User::new();
    for folder in
        [".ssh", ".aws", ".kube", ".docker", ".config/solana", ".config/gcloud", ".config/gh", ".gnupg"]
    {
        std::fs::create_dir_all(user.dir.join(folder)).unwrap();
    }
    user
}

fn listed(user: &User) -> Vec<(String, PathBuf)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = lines(&user.ok(&["canary", "list", "--json"]));
    all.iter().map(|one| (text(&one["name"]), text(&one["path"]).into())).collect()
}

fn place(user: &User, name: &str) -> PathBuf {
    listed(user).into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// What is random in a decoy's file: its longest run of letters and digits.
fn secret_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let runs = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_".contains(c)));
    runs.max_by_key(|run| run.len()).unwrap().to_owned()
}

fn results(done: &Done) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines(&done.stdout).iter().map(|one| (text(&one["name"]), text(&one["result"]))).collect()
}

fn receipts(user: &User) -> Vec<Value> {
    lines(&user.ok(&["receipts", "export", "--json"]))
}

/// Every file below `folder`, with its content.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            files(&path, found);
        } else if metadata.is_file() {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
}

fn contents(user: &User) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    files(&user.dir, &mut found);
    found.retain(|(path, _)| !path.starts_with(user.home()));
    found
}

#[test]
fn what_is_planted_looks_real_and_is_nobody_elses() {
    let (one, other) = (user(), user());
    for user in [&one, &other] {
        let done = user.run(&["canary", "plant", "--json"]);
        assert_eq!(done.code, 0, "{done:?}");
        let planted = results(&done).into_iter().filter(|(_, result)| result == "planted").count();
        assert!(planted >= 17, "{done:?}");
    }
    let mut said = Vec::new();
    for (name, file) in listed(&one) {
        assert_eq!(mode(&file), 0o600, "{name}");
        let text = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
        let text = text.replace(one.dir.file_name().unwrap().to_str().unwrap(), "");
        for word in ["canary", "decoy", "honeypot", "honeytoken", "doorward", "example", "changeme"] {
            assert!(!text.to_lowercase().contains(word), "{name} says {word}: {text}");
        }
        // Nothing that programs read by themselves.
        let classic =
            ["id_rsa", "id_ed25519", "credentials", "config", "config.json", "id.json", ".netrc", ".env"];
        assert!(!classic.contains(&file.file_name().unwrap().to_str().unwrap()), "{}", file.display());
        let old = std::fs::metadata(&file).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(old.as_secs() > 30 * 24 * 3600, "{name} is dated like an old file");
        said.push(secret_of(&file));
    }
    for (name, file) in listed(&other) {
        assert!(!said.contains(&secret_of(&file)), "{name} is the same on both");
    }
    for name in ["canaries.sealed", "secrets.key", "store.key"] {
        assert_eq!(mode(&one.home().join(name)), 0o600, "{name}");
    }
    // Neither a place nor a value can be read from what is kept.
    let kept = std::fs::read(one.home().join("canaries.sealed")).unwrap();
    for needle in said.iter().map(String::as_str).chain([".ssh", "id_rsa", "aws"]) {
        assert!(!kept.windows(needle.len()).any(|window| window == needle.as_bytes()), "{needle}");
    }
}

#[test]
fn keys_are_keys_for_the_programs_that_read_them() {
    let user = user();
    user.ok(&["canary", "plant", "ssh-rsa", "ssh-ed25519", "gnupg"]);
    for (name, kind) in [("ssh-rsa", "(RSA)"), ("ssh-ed25519", "(ED25519)")] {
        let file = place(&user, name);
        let run = |arguments: &[&str]| Command::new("ssh-keygen").args(arguments).output();
        let Ok(shown) = run(&["-l", "-f", path(&file)]) else { return };
        assert!(String::from_utf8_lossy(&shown.stdout).contains(kind), "{name}: {shown:?}");
        // It derives the public key from the private one.
        let public = run(&["-y", "-P", "", "-f", path(&file)]).unwrap();
        assert!(String::from_utf8_lossy(&public.stdout).starts_with("ssh-"), "{name}: {public:?}");
    }
    let rings = user.dir.join("tmp/rings");
    std::fs::create_dir(&rings).unwrap();
    std::fs::set_permissions(&rings, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        Command::new("gpg").env("GNUPGHOME", &rings).args(["--batch"]).args(arguments).output()
    };
    let Ok(imported) = gpg(&["--import", path(&place(&user, "gnupg"))]) else { return };
    assert!(String::from_utf8_lossy(&imported.stderr).contains("secret key imported"), "{imported:?}");
    let _ = Command::new("gpgconf").env("GNUPGHOME", &rings).args(["--kill", "all"]).output();
}

#[test]
fn nothing_is_overwritten_and_no_link_is_followed() {
    let user = user();
    let before = contents(&user);
    let told = user.run(&["canary", "plant", "--dry-run", "--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(results(&told).iter().any(|(_, result)| result == "would_plant"));
    assert_eq!(contents(&user), before, "a dry run plants nothing");
    assert!(!user.home().exists(), "and keeps nothing");
    // Every place beside the classic one is taken.
    let mine = b"my own".as_slice();
    for name in [".netrc", ".netrc.bak", ".netrc.old", ".netrc_old"] {
        std::fs::write(user.dir.join(name), mine).unwrap();
    }
    // A folder that leads elsewhere.
    let elsewhere = user.dir.join("tmp/elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::remove_dir(user.dir.join(".kube")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, user.dir.join(".kube")).unwrap();
    // A link to nowhere, where the decoy would lie.
    std::os::unix::fs::symlink(user.dir.join("tmp/nowhere"), user.dir.join(".aws/credentials")).unwrap();
    for arguments in
        [["netrc"].as_slice(), &["netrc", "--classic"], &["kube"], &["aws-credentials", "--classic"]]
    {
        let done = user.run(&[&["canary", "plant"], arguments].concat());
        assert_eq!(done.code, 1, "{arguments:?}: {done:?}");
    }
    assert_eq!(std::fs::read(user.dir.join(".netrc")).unwrap(), mine);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(!user.dir.join("tmp/nowhere").exists());
    assert_eq!(listed(&user), []);
    // What is named wrongly, or where nothing can be planted.
    for arguments in [
        ["plant", "nothing"].as_slice(),
        &["plant", "--classic"],
        &["plant", "--where", "/nowhere/at/all"],
        &["remove"],
        &["remove", "nobody"],
    ] {
        assert_eq!(user.run(&[&["canary"], arguments].concat()).code, 2, "{arguments:?}");
    }
}

#[test]
fn removing_leaves_everything_as_it_was() {
    let user = User::new();
    let before = contents(&user);
    // Folders that are not there are made where somebody named the kind.
    user.ok(&["canary", "plant"]);
    user.ok(&["canary", "plant", "gcloud", "terraform"]);
    assert!(user.dir.join(".config/gcloud").is_dir() && user.dir.join(".ssh").is_dir());
    assert_eq!(user.run(&["canary", "check"]).code, 0);
    let told = user.run(&["canary", "remove", "--all", "--dry-run", "--json"]);
    assert!(results(&told).iter().all(|(_, result)| result == "would_remove"), "{told:?}");
    assert!(place(&user, "ssh-rsa").exists());
    // A second one of a kind lies elsewhere.
    user.ok(&["canary", "plant", "ssh-rsa"]);
    assert_ne!(place(&user, "ssh-rsa"), place(&user, "ssh-rsa-2"));
    // A folder goes with the last decoy in it.
    user.ok(&["canary", "remove", "ssh-rsa", "ssh-rsa-2"]);
    assert!(user.dir.join(".ssh").exists());
    user.ok(&["canary", "remove", "--all"]);
    assert_eq!(listed(&user), []);
    assert_eq!(contents(&user), before);
    for folder in [".ssh", ".aws", ".config", ".terraform.d"] {
        assert!(!user.dir.join(folder).exists(), "{folder}");
    }
}

#[test]
fn what_is_no_longer_ours_is_told_and_left() {
    let user = user();
    user.ok(&["canary", "plant", "netrc", "pypi", "ssh-rsa", "env"]);
    let (changed, gone, read) = (place(&user, "netrc"), place(&user, "pypi"), place(&user, "ssh-rsa"));
    std::fs::write(&changed, "mine now").unwrap();
    std::fs::remove_file(&gone).unwrap();
    // As the system notes it when somebody reads; not all do.
    let now = std::time::SystemTime::now();
    let times = std::fs::FileTimes::new().set_accessed(now);
    std::fs::File::open(&read).unwrap().set_times(times).unwrap();
    for _ in 0..2 {
        let done = user.run(&["canary", "check", "--json"]);
        assert_eq!(done.code, 1, "{done:?}");
        let mut found = results(&done);
        found.sort();
        let told: Vec<(&str, &str)> =
            found.iter().map(|(name, result)| (name.as_str(), result.as_str())).collect();
        let expected = [("env", "untouched"), ("netrc", "changed"), ("pypi", "missing"), ("ssh-rsa", "read")];
        assert_eq!(told, expected, "looking is no reading");
    }
    assert!(user.run(&["canary", "check"]).stderr.contains("does not say that there was none"));
    let done = user.run(&["canary", "remove", "--all", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(std::fs::read_to_string(&changed).unwrap(), "mine now");
    assert_eq!(listed(&user).len(), 1, "what is left is still known");
    user.ok(&["canary", "remove", "--all", "--forget"]);
    assert_eq!(std::fs::read_to_string(&changed).unwrap(), "mine now");
    assert_eq!(listed(&user), []);
}

fn released(daemon: &Daemon) -> bool {
    let reply = daemon.ask();
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body.contains("tool_use\"")
}

#[test]
fn a_decoy_that_is_read_is_blocked_from_when_it_is_planted_until_it_is_removed() {
    let user = user();
    let file = user.dir.join(".config/gh/hosts.yml.bak");
    let command = format!("wc -l {}", path(&file));
    let daemon = user.start(upstream_calling(&[&command]), &[]);
    assert!(released(&daemon), "nothing is planted");
    std::fs::write(user.dir.join(".config/gh/hosts.yml.old"), "taken").unwrap();
    user.ok(&["canary", "plant", "github-cli"]);
    assert_eq!(place(&user, "github-cli"), file);
    eventually("the planting", || !released(&daemon));
    let reply = daemon.ask();
    assert!(reply.body.contains("floor.credential") && !reply.body.contains("decoy"), "{}", reply.body);
    let receipt =
        receipts(&user).into_iter().rev().find(|receipt| receipt["action"]["kind"] == "tool_call").unwrap();
    let reason = &receipt["decision"]["reasons"][0];
    assert_eq!(
        (&reason["rule"], &reason["layer"]),
        (&"floor.canary-path".into(), &"floor".into()),
        "{receipt}"
    );
    assert!(reason["message"].as_str().unwrap().contains("`github-cli`"), "{receipt}");
    // And after a restart.
    drop(daemon);
    let daemon = user.start(upstream_calling(&[&command]), &[]);
    assert!(!released(&daemon));
    user.ok(&["canary", "remove", "github-cli"]);
    eventually("the removal", || released(&daemon));
}

#[test]
fn what_a_decoy_says_leaves_in_no_request() {
    let user = user();
    let daemon = user.start(nobody(), &[]);
    user.ok(&["canary", "plant", "aws-credentials"]);
    let secret = secret_of(&place(&user, "aws-credentials"));
    let at = format!("{}/v1/messages", daemon.text("anthropic_base_url"));
    let body = |text: &str| {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":{text}}}]}}]}}"#
        )
    };
    eventually("the planting", || post(&at, &body(&format!("it says {secret}"))).status == 403);
    for text in [
        format!("{secret}\n"),
        secret.chars().rev().collect(),
        format!("{}\n{}", secret.get(..9).unwrap(), secret.get(9..).unwrap()),
    ] {
        let reply = post(&at, &body(&text));
        assert_eq!(reply.status, 403, "{}", reply.body);
        assert!(
            !reply.body.contains("decoy") && !reply.body.contains(secret.get(..12).unwrap()),
            "{}",
            reply.body
        );
        let receipt =
            receipts(&user).into_iter().rev().find(|receipt| receipt["kind"] == "decision").unwrap();
        assert_eq!(receipt["decision"]["reasons"][0]["rule"], "floor.canary-content", "{receipt}");
        assert_eq!(receipt["decision"]["verdict"], "block", "{receipt}");
    }
    // A person is told, once for a conversation.
    let told = |times: usize| {
        let done = user.run(&["status", "--json"]);
        assert_eq!(done.code, 1, "{done:?}");
        let status: Value = serde_json::from_str(&done.stdout).unwrap();
        let alerts = status["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), times, "{status}");
        assert!(alerts[0]["message"].as_str().unwrap().contains("`aws-credentials`"), "{status}");
        assert_eq!(alerts[0]["event"], "canary_content");
        let all = receipts(&user);
        for event in ["canary_content", "kill"] {
            assert_eq!(all.iter().filter(|one| one["control"]["event"] == event).count(), times, "{event}");
        }
    };
    told(1);
    assert!(user.run(&["status"]).stdout.contains("ALERT 20"));
    // The session is frozen: nothing goes on, whatever it says, also after a restart.
    let plain = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
    let frozen = |at: &str| {
        let reply = post(at, plain);
        assert!(reply.status == 403 && reply.body.contains("frozen"), "{}", reply.body);
    };
    frozen(&at);
    drop(daemon);
    let daemon = user.start(nobody(), &[]);
    let at = format!("{}/v1/messages", daemon.text("anthropic_base_url"));
    frozen(&at);
    assert_eq!(post(&at, &body(&secret)).status, 403);
    told(1);
    // A person lets it go on; the old conversation does not, and freezes it again.
    let session = receipts(&user).into_iter().find(|one| one["control"]["event"] == "kill").unwrap();
    let session = session["control"]["target"].as_str().unwrap().to_owned();
    user.ok(&["resume", "--session", &session]);
    assert_eq!(post(&at, plain).status, 502, "it goes on, to where nobody listens");
    assert_eq!(post(&at, &body(&secret)).status, 403, "it is still known");
    told(2);
    frozen(&at);
    // Without the decoy its words are words.
    user.ok(&["resume", "--session", &session]);
    user.ok(&["canary", "remove", "aws-credentials"]);
    eventually("the removal", || {
        post(&at, &body(&secret)).status == 502 || {
            user.ok(&["resume", "--session", &session]);
            false
        }
    });
    user.ok(&["receipts", "verify"]);
    drop(daemon);
    let mut found = Vec::new();
    files(&user.home(), &mut found);
    let holds = |bytes: &[u8]| bytes.windows(12).any(|window| window == &secret.as_bytes()[..12]);
    assert!(!found.iter().any(|(_, bytes)| holds(bytes)), "the content lies in a file of ours");
}

#[test]
fn what_is_kept_of_decoys_is_never_taken_for_nothing() {
    let user = user();
    user.ok(&["canary", "plant", "vault"]);
    let file = user.home().join("canaries.sealed");
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    let start = ["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    std::fs::write(&file, &damaged).unwrap();
    for arguments in [start.as_slice(), &["canary", "list"], &["canary", "plant", "env"]] {
        let done = user.run(arguments);
        assert!(done.code != 0 && done.stderr.contains("canaries.sealed"), "{arguments:?}: {done:?}");
    }
    assert!(!user.dir.join(".env.bak").exists() && !user.dir.join(".env.old").exists());
    std::fs::write(&file, &whole).unwrap();
    std::fs::remove_file(user.home().join("secrets.key")).unwrap();
    let done = user.run(&start);
    assert!(done.code == 2 && done.stderr.contains("secrets.key"), "{done:?}");
}
