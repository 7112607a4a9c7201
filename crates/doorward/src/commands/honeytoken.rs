//! `doorward honeytoken`: values and domains that nobody has a reason to send or to go to.

use std::process::ExitCode;

use doorward_core::detect::canary::{self, MOST, MOST_DOMAINS, Response, SHORTEST_PIECE};
use doorward_core::detect::secrets::registered::{LONGEST, Registered};
use doorward_store::Home;

use crate::cli::{Cli, HoneytokenArgs, HoneytokenCommand};
use crate::honeytokens::{self, Bait, Entry};
use crate::serve::now;
use crate::terminal::{Faults, config_error, counted, print, say, text};
use crate::{config, secret_input, secrets, when};

/// Runs the command: 1 if there is none of that name to remove, or one already to add.
///
/// # Errors
/// If what is kept cannot be read or written, or the value or domain is none.
pub fn run(cli: &Cli, args: &HoneytokenArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    match &args.command {
        HoneytokenCommand::Add { name, domain, freeze_only, replace } => {
            let response = if *freeze_only { Response::Freeze } else { Response::Suspend };
            add(&Home::open(home)?, name, domain.as_deref(), (response, *replace))
        }
        HoneytokenCommand::List { json } => list(&home, *json),
        HoneytokenCommand::Remove { name } => remove(&Home::open(home)?, name),
    }
}

fn known(home: &std::path::Path) -> anyhow::Result<Vec<Entry>> {
    let file = home.join("honeytokens.sealed");
    let text = honeytokens::text(home).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let Some(text) = text else { return Ok(Vec::new()) };
    honeytokens::read(&text).map_err(|found| {
        let mut faults = Faults::default();
        faults.add(&file.display().to_string(), "", found);
        faults.into_error().into()
    })
}

fn add(
    home: &Home,
    name: &str,
    domain: Option<&str>,
    (response, replace): (Response, bool),
) -> anyhow::Result<ExitCode> {
    if !secrets::is_name(name) {
        let message =
            "a honeytoken is called by 1 to 64 letters, digits, `-`, `_` and `.`: its name, never its value";
        return Err(config_error(message));
    }
    let domain = domain.map(|text| {
        canary::domain(text).map_err(|why| config_error(format!("`{}`: {why}", text.escape_debug())))
    });
    let domain = domain.transpose()?;
    let value = if domain.is_none() { Some(value(name)?) } else { None };
    let _lock = home.lock_secrets()?;
    let mut entries = known(home.root())?;
    let before = entries.iter().position(|entry| entry.name == name);
    if before.is_some() && !replace {
        say(&format!("there is a honeytoken `{name}`; put another in its place with --replace"));
        return Ok(ExitCode::FAILURE);
    }
    let domains = entries.iter().filter(|entry| matches!(entry.bait, Bait::Domain(_))).count();
    if before.is_none() && (entries.len() >= MOST || domain.is_some() && domains >= MOST_DOMAINS) {
        let message = format!("there are {MOST} honeytokens at most, {MOST_DOMAINS} of them domains");
        return Err(config_error(message));
    }
    // Made before anything is kept: what is kept without it is taken for something whose key was lost.
    let key = home.secrets_key()?;
    let bait = match (domain, value) {
        (Some(domain), _) => Bait::Domain(domain),
        (None, value) => {
            let value = value.unwrap_or_default();
            let kept = Registered::new(key.expose()).registration(&value);
            let kept = kept.filter(|_| value.len() >= SHORTEST_PIECE);
            Bait::Value(kept.ok_or_else(|| {
                let (length, least) = (value.len(), SHORTEST_PIECE);
                config_error(format!(
                    "the value has {length} bytes; a honeytoken has {least} to {LONGEST}, so that nobody sends it by chance"
                ))
            })?)
        }
    };
    let entry = Entry { name: name.to_owned(), added: now(), response, bait };
    match before.and_then(|at| entries.get_mut(at)) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
    honeytokens::write(home, &entries)?;
    print(&format!("`{name}` is known, {} in all", counted(entries.len(), "honeytoken")));
    Ok(ExitCode::SUCCESS)
}

fn remove(home: &Home, name: &str) -> anyhow::Result<ExitCode> {
    let _lock = home.lock_secrets()?;
    let mut entries = known(home.root())?;
    let before = entries.len();
    entries.retain(|entry| entry.name != name);
    if entries.len() == before {
        say(&format!("there is no honeytoken `{}`", name.escape_debug()));
        return Ok(ExitCode::FAILURE);
    }
    honeytokens::write(home, &entries)?;
    print(&format!("`{name}` is forgotten, {} left", counted(entries.len(), "honeytoken")));
    Ok(ExitCode::SUCCESS)
}

/// Those that were added, and the domains that the settings name.
fn list(home: &std::path::Path, json: bool) -> anyhow::Result<ExitCode> {
    for entry in known(home)? {
        let domain = match &entry.bait {
            Bait::Value(_) => None,
            Bait::Domain(domain) => Some(domain.as_str()),
        };
        tell(Some(entry.added), &entry.name, domain, entry.response(), json);
    }
    for domain in &config::detection_of(home)?.bait {
        tell(None, domain, Some(domain), "suspend", json);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(added: Option<u64>, name: &str, domain: Option<&str>, response: &str, json: bool) {
    let kind = if domain.is_some() { "domain" } else { "value" };
    if json {
        let added = added.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let domain = domain.map_or_else(|| "null".to_owned(), text);
        print(&format!(
            "{{\"name\":{},\"kind\":\"{kind}\",\"domain\":{domain},\"response\":\"{response}\",\"added\":{added}}}",
            text(name)
        ));
        return;
    }
    let added = added.map_or_else(|| format!("{:<20}", "setting"), when::rfc3339);
    let what = domain.unwrap_or("value");
    print(&format!("{added}  {name:<24} {what}  {response}"));
}

/// The value, from standard input: what is typed as an argument every process can read, and shells keep it.
fn value(name: &str) -> anyhow::Result<zeroize::Zeroizing<String>> {
    let ask = format!("the value of `{name}`, which is not shown; end it with Enter:");
    let value = secret_input::read(&ask, LONGEST)?;
    if value.trim().is_empty() {
        return Err(config_error(format!(
            "there is no value on standard input; give it as in: doorward honeytoken add {name} < FILE, or name a domain with --domain"
        )));
    }
    Ok(value)
}
