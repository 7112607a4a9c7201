//! `doorward quarantine`: with a running process and without one, the same.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{self, Daemon, Reply, User, lines, post, upstream_calling};

/// `\x7fELF…`
const ENCODED: &str = "f0VMRgIBAQAAAAAAAAAAAAIAPgAB8P+A";

fn asks(daemon: &Daemon) -> Reply {
    let request = json!({
        "model": "m", "max_tokens": 9, "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "go on"}],
    });
    post(&format!("{}/v1/messages", daemon.text("anthropic_base_url")), &request.to_string())
}

/// A place below the temporary directory, that is of this test alone.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let folder = folder.join(format!("doorward-quarantine-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn listed(user: &User) -> Vec<Value> {
    lines(&user.ok(&["quarantine", "list", "--json"]))
}

fn content() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.extend([0; 9]);
    bytes.extend([2, 0, 0x3e, 0, 1, 0xf0, 0xff, 0x80]);
    bytes
}

#[test]
fn what_is_held_is_released_purged_and_forgotten_with_a_process_and_without() {
    let (user, place) = (User::new(), Place::new("acts"));
    let path = place.at("tool");
    let write = format!("echo {ENCODED} | base64 -d > {path}");
    let daemon = user.start(upstream_calling(&[&write]), &[]);
    let held = asks(&daemon).body;
    assert!(held.contains("quarantine.native-binary") && !held.contains("base64"), "{held}");
    let hint = held.split("doorward quarantine show ").nth(1).expect("the notice names the command");
    let id = hint.split('`').next().unwrap().to_owned();
    told(&user, &id, &path);

    refused(&user, &id, &place, &path);
    let released = user.ok(&["quarantine", "release", &id]);
    assert!(released.contains(&path) && released.contains("may not be run"), "{released}");
    assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (content(), 0o600));
    assert_eq!(listed(&user)[0]["state"], "released");
    let other = place.at("runs");
    user.ok(&["quarantine", "release", &id, "--to", &other, "--executable"]);
    assert_eq!((std::fs::read(&other).unwrap(), mode(&other)), (content(), 0o700));

    // What comes once more is held once more; and then without a process.
    asks(&daemon);
    assert_eq!(daemon.interrupt(), 0);
    told(&user, &id, &path);
    refused(&user, &id, &place, &other);
    let third = place.at("third");
    user.ok(&["quarantine", "release", &id, "--to", &third]);
    assert_eq!(std::fs::read(&third).unwrap(), content());
    assert!(user.ok(&["quarantine", "purge", &id]).contains("released"));
    assert_eq!(user.run(&["quarantine", "release", &id, "--to", &place.at("fourth")]).code, 1);
    assert!(!Path::new(&place.at("fourth")).exists());
    let shown = user.ok(&["quarantine", "show", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["content"], shown["done"].as_array().unwrap().len()), (&json!(false), 4), "{shown}");
    assert_eq!(user.run(&["quarantine", "clear"]).code, 2);
    assert!(user.ok(&["quarantine", "clear", "--all"]).contains("1 record"));
    assert_eq!((listed(&user).len(), user.run(&["quarantine", "clear", &id]).code), (0, 1));

    let acts = lines(&user.ok(&["receipts", "export", "--json"]));
    let events: Vec<&str> = acts.iter().filter_map(|one| one["control"]["event"].as_str()).collect();
    let of = |name: &str| events.iter().filter(|event| **event == name).count();
    assert_eq!((of("quarantine_release"), of("quarantine_purge"), of("quarantine_clear")), (3, 1, 1));
    let told = acts.iter().map(Value::to_string).collect::<String>();
    assert!(!told.contains(&id) && !told.contains("doorward-quarantine-acts"), "no content, no place");
    user.ok(&["receipts", "verify"]);
}

/// It is listed, and shown by its digest and by its receipt.
fn told(user: &User, id: &str, path: &str) {
    let [item] = listed(user).try_into().unwrap();
    assert!(item["sha256"].as_str().unwrap().starts_with(id) && item["state"] == "held", "{item}");
    assert_eq!((&item["size"], &item["places"][0]["path"]), (&json!(24), &json!(path)));
    let shown = user.ok(&["quarantine", "show", id]);
    assert!(shown.contains("Executable and Linkable") && shown.contains(path), "{shown}");
    let receipt = item["places"][0]["receipt"].as_str().unwrap();
    assert_eq!(user.ok(&["quarantine", "show", receipt]), shown);
    for (unknown, code) in [("0000000000", 1), ("abc", 1)] {
        assert_ne!(user.run(&["quarantine", "show", unknown]).code, 0, "{unknown} {code}");
        assert_ne!(user.run(&["quarantine", "purge", unknown]).code, 0, "{unknown} {code}");
    }
    assert!(user.ok(&["quarantine", "list"]).contains("1 record, 24 of"));
}

/// Nothing is written over anything, and through no link; and what was not written was not released.
fn refused(user: &User, id: &str, place: &Place, path: &str) {
    let kept = std::fs::read(path).ok();
    std::fs::write(path, "mine").unwrap();
    let done = user.run(&["quarantine", "release", id, "--to", path]);
    assert!(done.code != 0 && done.stderr.contains("nothing is overwritten"), "{done:?}");
    assert_eq!(std::fs::read(path).unwrap(), b"mine");
    std::fs::remove_file(path).unwrap();
    #[cfg(unix)]
    {
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(place.at(to), place.at(at)).unwrap();
        link("nowhere", "dangling");
        std::fs::create_dir(place.at("real")).unwrap();
        link("real", "folder");
        for through in ["dangling", "folder/x", "real/../folder/x", "missing/x"] {
            let done = user.run(&["quarantine", "release", id, "--to", &place.at(through)]);
            assert_ne!(done.code, 0, "{through}");
        }
        assert!(!place.0.join("nowhere").exists() && !place.0.join("real/x").exists());
        std::fs::remove_file(place.at("dangling")).unwrap();
        std::fs::remove_file(place.at("folder")).unwrap();
        std::fs::remove_dir(place.at("real")).unwrap();
    }
    kept.into_iter().for_each(|kept| std::fs::write(path, kept).unwrap());
    assert_eq!(listed(user)[0]["state"], "held");
}

#[cfg(unix)]
fn mode(path: &str) -> u32 {
    support::mode(Path::new(path))
}

#[test]
fn what_an_archive_holds_is_listed_and_its_names_cannot_draw() {
    let (user, place) = (User::new(), Place::new("archive"));
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["a.txt", "\x1b[2Jb"] {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(3);
        header.set_cksum();
        tar.append(&header, &b"abc"[..]).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &tar.into_inner().unwrap()).unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, gzip.finish().unwrap());
    let path = place.at("a.tgz");
    let policy = place.at("policy.yaml");
    std::fs::write(
        &policy,
        format!(
            "version: 1\ndefault: allow\nrules:\n  - {{ name: held, quarantine: {{ capability: 'write:file', path: '{path}' }} }}\n"
        ),
    )
    .unwrap();
    let write = format!("echo {encoded} | base64 -d > {path}");
    let daemon = user.start(upstream_calling(&[&write]), &["--policy", &policy]);
    let held = asks(&daemon).body;
    assert!(held.contains("rule policy.held"), "{held}");
    let sha = listed(&user)[0]["sha256"].as_str().unwrap().to_owned();
    let shown = user.ok(&["quarantine", "show", &sha]);
    assert!(shown.contains("gzip with tar") && shown.contains("a.txt  file, 3 bytes"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let as_json: Value = serde_json::from_str(&user.ok(&["quarantine", "show", &sha, "--json"])).unwrap();
    assert_eq!(as_json["listing"]["members"].as_array().unwrap().len(), 2);
    assert_eq!(daemon.interrupt(), 0);
    assert_eq!(user.ok(&["quarantine", "show", &sha]), shown);
}
