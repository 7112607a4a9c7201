//! `doorward secrets`: what must not leave, told to Doorward once and kept as keyed hashes.

use std::process::ExitCode;

use anyhow::Context as _;
use doorward_core::detect::secrets::registered::{LONGEST, MOST, Registered, SHORTEST};
use doorward_core::syntax::json::quoted;
use doorward_store::Home;
use zeroize::Zeroizing;

use crate::cli::{Cli, SecretsArgs, SecretsCommand};
use crate::secret_input;
use crate::secrets::{self, Entry};
use crate::serve::now;
use crate::terminal::{Faults, config_error, counted, print, say};
use crate::{config, when};

/// Runs the command: 1 if there is no secret of that name to remove, or one already to add.
///
/// # Errors
/// If what is registered cannot be read or written, or the value is none.
pub fn run(cli: &Cli, args: &SecretsArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    match &args.command {
        SecretsCommand::Add { name, replace } => add(&Home::open(home)?, name, *replace),
        SecretsCommand::Remove { name } => remove(&Home::open(home)?, name),
        SecretsCommand::List { json } => {
            list(&known(&home)?, *json);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn known(home: &std::path::Path) -> anyhow::Result<Vec<Entry>> {
    let file = secrets::file(home);
    let text = secrets::text(home).with_context(|| format!("cannot read {}", file.display()))?;
    let Some(text) = text else { return Ok(Vec::new()) };
    secrets::read(&text).map_err(|found| {
        let mut faults = Faults::default();
        faults.add(&file.display().to_string(), &text, found);
        faults.into_error().into()
    })
}

fn add(home: &Home, name: &str, replace: bool) -> anyhow::Result<ExitCode> {
    if !secrets::is_name(name) {
        let message =
            "a secret is called by 1 to 64 letters, digits, `-`, `_` and `.`: its name, never its value";
        return Err(config_error(message));
    }
    let value = value(name)?;
    let _lock = home.lock_secrets()?;
    let mut entries = known(home.root())?;
    let before = entries.iter().position(|entry| entry.name == name);
    if before.is_some() && !replace {
        say(&format!("`{name}` is registered; give it another value with --replace"));
        return Ok(ExitCode::FAILURE);
    }
    if before.is_none() && entries.len() >= MOST {
        return Err(config_error(format!("{MOST} secrets are registered, and there are no more")));
    }
    let key = home.secrets_key()?;
    let Some(registration) = Registered::new(key.expose()).registration(&value) else {
        return Err(config_error(format!(
            "the value has {} bytes; a registered secret has {SHORTEST} to {LONGEST}",
            value.len()
        )));
    };
    let entry = Entry { name: name.to_owned(), added: now(), registration };
    match before.and_then(|at| entries.get_mut(at)) {
        Some(known) => *known = entry,
        None => entries.push(entry),
    }
    secrets::write(home, &entries)?;
    print(&format!("`{name}` is registered, {} in all", counted(entries.len(), "secret")));
    Ok(ExitCode::SUCCESS)
}

fn remove(home: &Home, name: &str) -> anyhow::Result<ExitCode> {
    let _lock = home.lock_secrets()?;
    let mut entries = known(home.root())?;
    let before = entries.len();
    entries.retain(|entry| entry.name != name);
    if entries.len() == before {
        say(&format!("no secret called `{}` is registered", name.escape_debug()));
        return Ok(ExitCode::FAILURE);
    }
    secrets::write(home, &entries)?;
    print(&format!("`{name}` is forgotten, {} left", counted(entries.len(), "secret")));
    Ok(ExitCode::SUCCESS)
}

fn list(entries: &[Entry], json: bool) {
    for Entry { name, added, .. } in entries {
        if json {
            print(&format!("{{\"name\":{},\"added\":{added}}}", String::from_utf8_lossy(&quoted(name))));
        } else {
            print(&format!("{}  {name}", when::rfc3339(*added)));
        }
    }
}

/// The value, from standard input: what is typed as an argument every process can read, and shells keep it.
fn value(name: &str) -> anyhow::Result<Zeroizing<String>> {
    let ask = format!("the value of `{name}`, which is not shown; end it with Enter:");
    let value = secret_input::read(&ask, LONGEST)?;
    if value.trim().is_empty() {
        return Err(config_error(format!(
            "there is no value on standard input; give it as in: doorward secrets add {name} < FILE"
        )));
    }
    Ok(value)
}
