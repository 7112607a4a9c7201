//! `doorward forensics`: what was blocked, for who has the key.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_core::syntax::json;
use doorward_store::forensics::{Archive, Listed, Opened, Recipient, Stretching, public};
use doorward_store::{Home, Secret32};
use zeroize::Zeroizing;

use crate::cli::{Cli, ForensicsArgs, ForensicsCommand};
use crate::serve::now;
use crate::terminal::{clean, config_error, counted, print, say, text};
use crate::{config, secret_input, when};
use doorward_core::syntax::hex;

/// The shortest passphrase, in bytes. Argon2id makes guessing dear and no short one good.
const SHORTEST: usize = 12;

/// The longest, in bytes.
const LONGEST: usize = 1024;

/// What a key file says before its 64 hexadecimal digits.
const MARK: &str = "doorward-forensics-key-1 ";

/// Runs the command: 1 if there is no such record.
///
/// # Errors
/// If the key is wrong, or records cannot be read.
pub fn run(cli: &Cli, args: &ForensicsArgs) -> anyhow::Result<ExitCode> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    let archive = Archive::of(&home);
    match &args.command {
        ForensicsCommand::Init { key_file, replace } => init(&archive, key_file.as_deref(), *replace),
        ForensicsCommand::Stop => {
            let was = archive.retire()?;
            say(if was { "nothing more is kept; what was kept stays" } else { "nothing was kept" });
            Ok(if was { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ForensicsCommand::List { json } => list(&archive, *json),
        ForensicsCommand::Open { receipt, key_file, raw } => {
            open(&archive, receipt, key_file.as_deref(), *raw)
        }
        ForensicsCommand::Purge { older, all } => purge(&archive, older.as_deref(), *all),
    }
}

fn init(archive: &Archive, key_file: Option<&Path>, replace: bool) -> anyhow::Result<ExitCode> {
    if archive.recipient()?.is_some() && !replace {
        say("there is a key already; give --replace to keep what is blocked for another one from now on");
        return Ok(ExitCode::FAILURE);
    }
    let recipient = match key_file {
        Some(file) => {
            let secret = Secret32::random()?;
            write_key(file, &secret)?;
            Recipient { public: public(&secret), stretching: None }
        }
        None => {
            let passphrase = new_passphrase()?;
            let stretching = Stretching::fresh()?;
            Recipient {
                public: public(&stretching.secret(passphrase.as_bytes())?),
                stretching: Some(stretching),
            }
        }
    };
    archive.set_recipient(&recipient)?;
    print("what is blocked is kept from now on; this machine can write it and not read it");
    match key_file {
        Some(file) => {
            say(&format!("move {} to another place: whoever has it can read everything", file.display()))
        }
        None => say("the passphrase is kept nowhere: without it nobody can read what is kept"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the key to a file that was not there, private from the first byte.
fn write_key(file: &Path, secret: &Secret32) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let line = Zeroizing::new(format!("{MARK}{}\n", Zeroizing::new(hex(secret.expose())).as_str()));
    let mut written = options
        .open(file)
        .map_err(|error| config_error(format!("cannot make the key file {}: {error}", file.display())))?;
    written.write_all(line.as_bytes()).and_then(|()| written.sync_all()).context("cannot write the key file")
}

fn read_key(file: &Path) -> anyhow::Result<Secret32> {
    let wrong = || config_error(format!("{} is no key file of `doorward forensics init`", file.display()));
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|error| config_error(format!("cannot read {}: {error}", file.display())))?;
    let digits = text.trim_end().strip_prefix(MARK).filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    bytes.map(Zeroizing::new).and_then(|bytes| Secret32::from_slice(&bytes)).ok_or_else(wrong)
}

fn new_passphrase() -> anyhow::Result<Zeroizing<String>> {
    let first = secret_input::read("a passphrase, which is not shown; end it with Enter:", LONGEST)?;
    if !(SHORTEST..=LONGEST).contains(&first.len()) {
        return Err(config_error(format!(
            "the passphrase has {} bytes; it needs {SHORTEST} to {LONGEST}, best five words or more",
            first.len()
        )));
    }
    if secret_input::is_typed() && *secret_input::read("the same again:", LONGEST)? != *first {
        return Err(config_error("the two differ"));
    }
    Ok(first)
}

fn list(archive: &Archive, json: bool) -> anyhow::Result<ExitCode> {
    let all = archive.list()?;
    for Listed { receipt, time, length, size, recipient } in &all {
        if json {
            print(&format!(
                "{{\"receipt\":{},\"time\":{time},\"length\":{length},\"size\":{size},\"key\":\"{}\"}}",
                text(receipt),
                hex(recipient.get(..4).unwrap_or_default())
            ));
        } else {
            print(&format!("{}  {receipt}  {length} bytes", when::rfc3339(*time)));
        }
    }
    if all.is_empty() && !json && archive.recipient()?.is_none() {
        say("nothing is kept; to keep what is blocked: doorward forensics init");
    }
    Ok(ExitCode::SUCCESS)
}

fn open(archive: &Archive, receipt: &str, key_file: Option<&Path>, raw: bool) -> anyhow::Result<ExitCode> {
    let Some(listed) = archive.list()?.into_iter().find(|one| one.receipt == receipt) else {
        say(&format!("nothing is kept of `{}`", receipt.escape_debug()));
        return Ok(ExitCode::FAILURE);
    };
    let secret = secret(archive, &listed, key_file)?;
    if public(&secret) != listed.recipient {
        return Err(config_error("this is not the passphrase or key that the record was encrypted to"));
    }
    let Some(opened) = archive.open(receipt, &secret)? else { return Ok(ExitCode::FAILURE) };
    if raw {
        let mut out = std::io::stdout();
        let _ = out.write_all(&opened.content).and_then(|()| out.flush());
    } else {
        tell(&opened);
    }
    Ok(ExitCode::SUCCESS)
}

/// The secret half of the key that a record was encrypted to, be it in use or an earlier one.
fn secret(archive: &Archive, listed: &Listed, key_file: Option<&Path>) -> anyhow::Result<Secret32> {
    if let Some(file) = key_file {
        return read_key(file);
    }
    let in_use = archive.recipient()?.filter(|recipient| recipient.public == listed.recipient);
    let recipient = match in_use {
        Some(recipient) => Some(recipient),
        None => archive.earlier(&listed.recipient)?,
    };
    let stretching = recipient.and_then(|recipient| recipient.stretching);
    let Some(stretching) = stretching else {
        return Err(config_error("this record was encrypted to a key file; name it with --key-file"));
    };
    let passphrase = secret_input::read("the passphrase, which is not shown; end it with Enter:", LONGEST)?;
    Ok(stretching.secret(passphrase.as_bytes())?)
}

/// A record as a person reads it: nothing in it draws on the terminal.
fn tell(opened: &Opened) {
    print(&clean(&opened.about));
    let length = opened.listed.length;
    let content = String::from_utf8_lossy(&opened.content);
    let cut = if length > opened.content.len() as u64 { ", of which this is the beginning" } else { "" };
    print(&format!("--- content, {length} bytes{cut}; byte for byte with --raw"));
    // Its own lines are lines; all else that is no text is written out.
    content.lines().for_each(|line| print(&clean(line)));
    if json::parse(opened.about.as_bytes()).is_err() {
        say("what was decided about it is not as this version of Doorward writes it");
    }
}

fn purge(archive: &Archive, older: Option<&str>, all: bool) -> anyhow::Result<ExitCode> {
    let before = match older {
        Some(when) => when::past(when, now()).map_err(config_error)?,
        None if all => u64::MAX,
        None => return Err(config_error("say what is to be destroyed")),
    };
    let mut removed = 0;
    for one in archive.list()?.into_iter().filter(|one| one.time < before) {
        archive.remove(&one.receipt)?;
        removed += 1;
    }
    print(&format!("{} destroyed", counted(removed, "record")));
    Ok(ExitCode::SUCCESS)
}
