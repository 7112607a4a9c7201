//! `doorward receipts`: read, hand out and check what was recorded. Works with and without a running
//! process, because reading needs no lock.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_core::syntax::{Node, json};
use doorward_ledger::{Receipt, Report, VerifyingKey, View, project, verify_bundle, verify_log};
use doorward_store::{Home, Reader};

use crate::cli::{Cli, ReceiptsArgs, ReceiptsCommand};
use crate::config;
use crate::ledger_key::{self, Known};
use crate::terminal::{clean, print};

/// Runs the command.
///
/// # Errors
/// If the ledger cannot be read. A failed verification is no error: it is reported, with exit status 1.
pub fn run(cli: &Cli, args: &ReceiptsArgs) -> anyhow::Result<ExitCode> {
    // Reading must not create it.
    let home = || config::home_that_is_there(cli.home.as_deref());
    if let ReceiptsCommand::Verify { path, key, since, json } = &args.command {
        let since = since.as_deref().map(read_file).transpose()?;
        return match (path, key) {
            (Some(path), Some(key)) => verify(path, &VerifyingKey::parse(key)?, since, *json),
            (Some(path), None) => verify(path, &first_key(&home()?)?, since, *json),
            (None, key) => verify_own(&home()?, key.as_deref(), since, *json),
        };
    }
    let home = home()?;
    if let ReceiptsCommand::Key { first } = args.command {
        let key = if first { first_key(&home)? } else { own_key(&home)? };
        print(&key.vkey());
        return Ok(ExitCode::SUCCESS);
    }
    if !has_log(&home) {
        if matches!(args.command, ReceiptsCommand::List { json: false, .. }) {
            print("no receipts yet");
        }
        return Ok(ExitCode::SUCCESS);
    }
    read(&home, &View::open(&home.log_dir(), &own_key(&home)?)?, &args.command)
}

fn has_log(home: &Home) -> bool {
    home.log_dir().join("segments").is_dir()
}

/// The key of this home, which reading must not create either: a new key would make the log look forged.
fn own_key(home: &Home) -> anyhow::Result<VerifyingKey> {
    let file = home.ledger_key_file();
    anyhow::ensure!(
        file.exists(),
        "{} is not there: this home has never signed a receipt; give --key",
        file.display()
    );
    Ok(ledger_key::signing_key(home)?.public().clone())
}

/// The first key of this home, by which its whole log is verified.
fn first_key(home: &Home) -> anyhow::Result<VerifyingKey> {
    match Known::of(home)?.first() {
        Some(first) => Ok(first.clone()),
        None => own_key(home),
    }
}

/// Checks this home's log, against the newest checkpoint it remembers unless another is given.
fn verify_own(
    home: &Home,
    key: Option<&str>,
    since: Option<Vec<u8>>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let remembered = home.checkpoint_seen()?;
    if !has_log(home) && remembered.is_none() && since.is_none() {
        print(if as_json {
            "{\"ok\":true,\"entries\":0,\"problems\":[]}"
        } else {
            "no receipts yet: nothing to verify"
        });
        return Ok(ExitCode::SUCCESS);
    }
    let key = match key {
        Some(key) => VerifyingKey::parse(key)?,
        None => first_key(home)?,
    };
    verify(&home.log_dir(), &key, since.or(remembered.map(String::into_bytes)), as_json)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read(home: &Home, view: &View, command: &ReceiptsCommand) -> anyhow::Result<ExitCode> {
    match command {
        ReceiptsCommand::List { count, json } => list(view, *count, *json),
        ReceiptsCommand::Show { id, json } => show(home, view, id, *json),
        ReceiptsCommand::Export { json: true, .. } => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            for entry in view.entries(0..view.size()) {
                let (_, entry) = entry?;
                if out.write_all(&entry).and_then(|()| out.write_all(b"\n")).is_err() {
                    break;
                }
            }
            let _ = out.flush();
            Ok(ExitCode::SUCCESS)
        }
        ReceiptsCommand::Export { id: Some(id), out, .. } => export_one(home, view, id, out.as_deref()),
        ReceiptsCommand::Export { id: None, out, .. } => {
            let out = out.as_deref().context("say where to: --out DIRECTORY")?;
            project(view, out)?;
            print(&format!("{} receipts in {}", view.size(), out.display()));
            print(&format!(
                "check them anywhere: doorward receipts verify {} --key {}",
                out.display(),
                first_key(home)?.vkey()
            ));
            Ok(ExitCode::SUCCESS)
        }
        ReceiptsCommand::Verify { .. } | ReceiptsCommand::Key { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn list(view: &View, count: usize, as_json: bool) -> anyhow::Result<ExitCode> {
    let newest = view.latest(count)?;
    if !as_json && newest.is_empty() {
        print("no receipts yet");
    }
    for (index, entry) in newest {
        if as_json {
            print(&String::from_utf8_lossy(&entry));
        } else {
            print(&line(index, &entry));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One receipt as one line for a person.
pub fn line(index: u64, entry: &[u8]) -> String {
    let Ok(node) = json::parse(entry) else { return format!("{index:>7}  (unreadable)") };
    let action = node.get("action");
    let decision = node.get("decision");
    let text =
        |node: Option<&Node>, key: &str| node.and_then(|node| node.text(key)).unwrap_or_default().to_owned();
    let what = match node.text("kind") {
        Some("outcome") => format!("outcome   {}", text(node.get("outcome"), "result")),
        Some("control") => {
            let control = node.get("control");
            format!("control   {} {}", text(control, "event"), text(control, "target"))
        }
        _ => {
            let tool = text(action, "tool");
            let rule = decision
                .and_then(|decision| decision.get("reasons")?.elements().first()?.text("rule"))
                .unwrap_or_default();
            let tool = if tool.is_empty() { tool } else { format!(" `{tool}`") };
            let enforced = decision.and_then(|decision| decision.get("enforced")?.as_bool()) != Some(false);
            let note = if enforced { "" } else { "  (not enforced)" };
            format!("{:<9} {}{tool}  {rule}{note}", text(decision, "verdict"), text(action, "kind"))
        }
    };
    let id = node.text("id").unwrap_or_default();
    let agent = node.text("agent").unwrap_or("-");
    clean(&format!("{index:>7}  {id}  {agent:<12}  {}", what.trim_end()))
}

fn find(view: &View, id: &str) -> anyhow::Result<(u64, Vec<u8>)> {
    view.find(id)?
        .with_context(|| format!("there is no receipt {id}; `doorward receipts list` shows the newest"))
}

fn show(home: &Home, view: &View, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let (index, entry) = find(view, id)?;
    if as_json {
        print(&String::from_utf8_lossy(&entry));
        return Ok(ExitCode::SUCCESS);
    }
    Receipt::parse(&entry)?;
    print(&line(index, &entry));
    let node = json::parse(&entry)?;
    pretty(&node, 1);
    if node.text("door") == Some("egress") && node.get("action").is_some() {
        print(&format!("  url: {}", url(home, id)?));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a request of the egress door led, as far as that is still kept.
fn url(home: &Home, id: &str) -> anyhow::Result<String> {
    let action = Reader::open(home)?.map(|reader| reader.action(id)).transpose()?.flatten();
    Ok(match action {
        Some(action) if action.salt.is_none() => "purged".to_owned(),
        Some(action) => action.url.map_or_else(|| "not kept".to_owned(), |url| clean(&url)),
        None => "not kept".to_owned(),
    })
}

/// Prints a tree as indented lines.
fn pretty(node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    for member in node.members() {
        match member.value.scalar() {
            Some(text) => print(&format!("{indent}{}: {}", &*member.key, clean(&text))),
            None => {
                print(&format!("{indent}{}:", &*member.key));
                pretty(&member.value, depth + 1);
                for element in member.value.elements() {
                    match element.scalar() {
                        Some(text) => print(&format!("{indent}  - {}", clean(&text))),
                        None => {
                            print(&format!("{indent}  -"));
                            pretty(element, depth + 2);
                        }
                    }
                }
            }
        }
    }
}

fn export_one(home: &Home, view: &View, id: &str, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (index, _) = find(view, id)?;
    let bundle = view.bundle_with(index, &Known::of(home)?.rotations())?.to_json();
    match out.filter(|out| out.as_os_str() != "-") {
        None => print(&bundle),
        Some(out) => {
            std::fs::write(out, format!("{bundle}\n"))
                .with_context(|| format!("cannot write {}", out.display()))?;
            let key = first_key(home)?.vkey();
            print(&format!("check it anywhere: doorward receipts verify {} --key {key}", out.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(
    path: &Path,
    key: &VerifyingKey,
    since: Option<Vec<u8>>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let report: Report = if path.is_dir() {
        let since = since.map(String::from_utf8).transpose().context("the checkpoint is not text")?;
        verify_log(path, key, since.as_deref())
    } else {
        verify_bundle(&read_file(path)?, key)
    };
    if as_json {
        print(&report.to_json());
    } else {
        print(report.to_string().trim_end());
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
