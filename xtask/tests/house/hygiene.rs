//! What must not stand in any file: where a contributor's packages come from, and where the checkout lies.
//! A file that says either works on one machine only.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::source::{Source, files, line, root};

/// Where code lives, not packages: lock files name it.
const PUBLIC: [&str; 1] = ["github.com"];

/// Lines that contain one of the forbidden texts.
fn leaks(file: &Source, forbidden: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for text in forbidden {
        found.extend(file.text.match_indices(text.as_str()).map(|(at, _)| {
            format!(
                "{}:{}: names something of the machine it was written on",
                file.path,
                line(&file.text, at)
            )
        }));
    }
    found
}

/// The hosts in a text like a package manager's configuration.
fn hosts(text: &str) -> Vec<String> {
    let after = text.split("://").skip(1);
    let authority = after.map(|rest| rest.split(['/', '"', '\'', ' ', '\n', '?']).next().unwrap_or_default());
    let host = authority
        .map(|name| name.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default());
    let public =
        |host: &str| PUBLIC.iter().any(|known| host == *known || host.ends_with(&format!(".{known}")));
    host.filter(|host| host.contains('.') && !public(host) && !host.starts_with("127."))
        .map(str::to_owned)
        .collect()
}

/// What this machine's package managers use, and where its checkout lies.
fn of_this_machine() -> Vec<String> {
    let mut text = String::new();
    for (name, value) in env::vars() {
        if ["INDEX", "REGISTRY", "REGISTRIES", "FIND_LINKS"].iter().any(|part| name.contains(part)) {
            text.push_str(&value);
            text.push('\n');
        }
    }
    if let Ok(output) = Command::new("pip").args(["config", "list"]).output() {
        text.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    let home = env::var_os("CARGO_HOME")
        .map_or_else(|| env::home_dir().unwrap_or_default().join(".cargo"), Into::into);
    for name in ["config.toml", "config"] {
        text.push_str(&std::fs::read_to_string(Path::new(&home).join(name)).unwrap_or_default());
    }
    let mut forbidden = hosts(&text);
    let checkout = root().to_string_lossy().into_owned();
    // A checkout at the top (`/app`) has a name too short to search for.
    forbidden.extend((checkout.matches('/').count() > 1).then_some(checkout));
    forbidden.extend(home.to_str().filter(|home| home.len() > 8).map(str::to_owned));
    forbidden.sort();
    forbidden.dedup();
    forbidden
}

#[test]
fn no_file_names_this_machine() {
    let forbidden = of_this_machine();
    let findings: Vec<String> = files("")
        .iter()
        .filter(|file| file.path != "Cargo.lock")
        .flat_map(|file| leaks(file, &forbidden))
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn violations_are_found() {
    let forbidden = vec!["mirror.corp.example".to_owned()];
    let check = |text: &str| leaks(&Source::sample("a.toml", text), &forbidden);
    assert_eq!(check("a\nindex = \"https://mirror.corp.example/simple\"\n").len(), 1);
    assert!(check("a\nb https://mirror.corp.example").iter().all(|finding| finding.starts_with("a.toml:2:")));
    assert!(check("index = \"https://example.org/\"").is_empty());
    let text = "index-url='https://user:pw@mirror.corp.example:8443/simple'\nx=sparse+https://github.com/";
    assert_eq!(hosts(text), ["mirror.corp.example"]);
}
