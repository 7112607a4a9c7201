//! `doorward status`: what the running process does, in the words of its control listener.

use std::process::ExitCode;

use doorward_core::syntax::{Node, json};
use doorward_store::StoreError;

use crate::cli::{Cli, StatusArgs};
use crate::terminal::{clean, counted, print};
use crate::{client, config, when};

/// Runs the command: 0 if all is well, 1 if no process runs, if it cannot record, if something is stopped, if the
/// files of policy or rules hold something that was refused, or if there was an alert within a day.
///
/// # Errors
/// If there is no home directory, or the process does not answer.
pub fn run(cli: &Cli, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Ok(_) => {
            print(if args.json { "{\"running\":false}" } else { "not running; start it with: doorward run" });
            return Ok(ExitCode::FAILURE);
        }
        Err(StoreError::Locked { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let answer = client::ask(&home, "GET", "/v1/status", b"")?;
    let status = json::parse(answer.as_bytes())?;
    let fine = is_fine(&status);
    if args.json {
        print(answer.trim_end());
    } else {
        tell(&status);
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refused<'a>(status: &'a Node, what: &str) -> Option<&'a Node> {
    status.get(what)?.some("refused")
}

fn stopped(status: &Node) -> bool {
    let stops = |source: &str| {
        let of = status.get("kill").and_then(|kill| kill.get(source));
        of.is_some_and(|of| {
            let some = |of_whom| of.get(of_whom).is_some_and(|of_whom: &Node| !of_whom.members().is_empty());
            of.some("all").is_some() || some("agents") || some("sessions")
        })
    };
    stops("acts") || stops("file")
}

fn is_fine(status: &Node) -> bool {
    let as_said = ["policy", "rules"].iter().all(|what| refused(status, what).is_none());
    // What two agents have met is worth a look; it stops nothing.
    let grave = |alert: &Node| alert.text("event") != Some("artefact_shared");
    let quiet = status.get("alerts").is_none_or(|alerts| !alerts.elements().iter().any(grave));
    status.get("ready").and_then(Node::as_bool) == Some(true) && as_said && !stopped(status) && quiet
}

fn tell(status: &Node) {
    let text = |node: Option<&Node>, key: &str| {
        clean(&node.and_then(|node| node.get(key)?.scalar()).unwrap_or_default())
    };
    let status_text = |key| text(Some(status), key);
    print(&format!(
        "doorward {} is up, mode {}, {} receipts",
        status_text("version"),
        status_text("mode"),
        status_text("receipts")
    ));
    if status.get("ready").and_then(Node::as_bool) != Some(true) {
        print(&format!("NOT READY: {}", status_text("not_ready")));
    }
    for what in ["policy", "rules"] {
        let files = status.get(what);
        let revision = text(files, "revision");
        let short = revision.get(..12).unwrap_or(&revision);
        let name = if what == "rules" { "detection" } else { what };
        print(&format!("{name} {short}: {} rules", text(files, "rules")));
        let Some(refused) = refused(status, what) else { continue };
        print(&format!(
            "REFUSED: the files say something else since, with {} faults; what is above stays in force",
            text(Some(refused), "count")
        ));
        for fault in refused.get("faults").map(Node::elements).unwrap_or_default() {
            print(&format!("  {}", clean(&fault.scalar().unwrap_or_default())));
        }
    }
    if let Some(classifier) = status.some("classifier") {
        let file = text(Some(classifier), "file");
        print(&if classifier.get("loaded").and_then(Node::as_bool) == Some(true) {
            format!("classifier {file}")
        } else {
            format!("CLASSIFIER MISSING: {file} was not there at the start; the signals decide alone")
        });
    }
    for alert in status.get("alerts").map(Node::elements).unwrap_or_default() {
        let time = alert.get("time").and_then(Node::scalar).and_then(|time| time.parse().ok());
        print(&format!(
            "ALERT {}: {}",
            when::rfc3339(time.unwrap_or_default()),
            text(Some(alert), "message")
        ));
    }
    let webhooks = status.get("webhooks");
    for (name, of, what) in [
        ("gone", "webhook", "gone: they answered 410 (doorward webhook list)"),
        ("failed", "message", "failed to arrive (doorward webhook deliveries --failed)"),
        ("lost", "message", "LOST for lack of room (doorward webhook list)"),
    ] {
        let count = webhooks.and_then(|all| all.get(name)?.as_u64()).unwrap_or(0);
        if count > 0 {
            let count = counted(usize::try_from(count).unwrap_or(usize::MAX), of);
            print(&format!("WEBHOOKS: {count} {what}"));
        }
    }
    let kill = status.get("kill");
    for source in ["acts", "file"] {
        let Some(of) = kill.and_then(|kill| kill.get(source)) else { continue };
        if let Some(all) = of.some("all") {
            print(&format!(
                "STOPPED: everything, by {}: {}",
                text(Some(all), "by"),
                text(Some(all), "reason")
            ));
        }
        let members = |of_whom| of.get(of_whom).map(Node::members).unwrap_or_default();
        for member in members("agents").iter().chain(members("sessions")) {
            let stop = Some(&member.value);
            print(&format!(
                "STOPPED: {}, by {}: {}",
                clean(&member.key),
                text(stop, "by"),
                text(stop, "reason")
            ));
        }
    }
}
