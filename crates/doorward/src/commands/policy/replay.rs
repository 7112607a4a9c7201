//! `doorward policy replay`: what another policy says of past actions.

use std::process::ExitCode;

use super::Files;
use crate::cli::{Cli, ReplayArgs};
use crate::past::{self, Counts, Past, Saying, number};
use crate::terminal::{self, clean, print, say, text};
use crate::{config, serve, when};

/// An action that is decided differently.
struct Change {
    past: Past,
    before: Saying,
    now: Saying,
}

/// Runs the command: 0 if every past action passes that passed, and no other; 1 if not.
///
/// # Errors
/// If the policy is faulty or the store cannot be read.
pub fn run(cli: &Cli, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    let files = Files::read_all(cli, &args.files)?;
    let since = match &args.since {
        Some(since) => when::past(since, serve::now()).map_err(terminal::config_error)?,
        None => 0,
    };
    let engine = config::engine_of(&home, files.compiled()?)?;
    let reader = past::reader(&home)?;
    let (mut changes, mut noted) = (Vec::new(), 0_u64);
    let counts = past::each(&reader, since, |past| {
        let (before, now) = (past.before(), past.now(&engine));
        if before.passes() != now.passes() {
            changes.push(Change { past, before, now });
        } else if before.verdict != now.verdict {
            noted += 1;
        }
        Ok(())
    })?;
    let (blocked, passing): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| !change.now.passes());
    if args.json {
        print(&to_json(&blocked, &passing, noted, counts));
    } else {
        tell(&blocked, &passing, noted, counts, args.limit);
    }
    let same = blocked.is_empty() && passing.is_empty();
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(blocked: &[Change], passing: &[Change], noted: u64, counts: Counts, limit: usize) {
    let of = number(counts.judged);
    let count = |changes: &[Change]| number(changes.len() as u64);
    print(&format!("{} of {of} past actions would now be blocked", count(blocked)));
    list(blocked, limit, |change| &change.now);
    if !passing.is_empty() {
        print(&format!("{} of {of} were blocked and would now pass", count(passing)));
        list(passing, limit, |change| &change.before);
    }
    if noted > 0 {
        print(&format!("{} would be noted or asked about differently", number(noted)));
    }
    left_out(counts);
}

fn list(changes: &[Change], limit: usize, by: impl Fn(&Change) -> &Saying) {
    for change in changes.iter().take(limit) {
        let Change { past, .. } = change;
        let (what, words) = (clean(past.what()), past.first_words());
        print(&format!("  {}  {what}  {words}\n      {}", past.receipt, by(change).by()));
    }
    if changes.len() > limit {
        print(&format!("  … and {} more: --limit, or --json", number((changes.len() - limit) as u64)));
    }
}

/// Says what could not be judged again.
pub fn left_out(counts: Counts) {
    if counts.not_kept > 0 {
        let of = number(counts.not_kept);
        say(&format!(
            "{of} more were recorded without what is needed to judge them (setting `replay`), or it was purged"
        ));
    }
    if counts.in_part > 0 {
        let of = number(counts.in_part);
        say(&format!(
            "of {of} not all is kept (requests, very long calls): what detectors found in them is taken over"
        ));
    }
    if counts.damaged > 0 {
        say(&format!("{} could not be read", number(counts.damaged)));
    }
}

fn to_json(blocked: &[Change], passing: &[Change], noted: u64, counts: Counts) -> String {
    let list = |changes: &[Change]| changes.iter().map(change_json).collect::<Vec<_>>().join(",");
    format!(
        "{{\"judged\":{},\"in_part\":{},\"not_kept\":{},\"damaged\":{},\"noted_differently\":{noted},\
         \"now_blocked\":[{}],\"now_passing\":[{}]}}",
        counts.judged,
        counts.in_part,
        counts.not_kept,
        counts.damaged,
        list(blocked),
        list(passing)
    )
}

fn change_json(change: &Change) -> String {
    let Change { past, before, now } = change;
    let tool = past.judged.action.tool.as_ref().map_or("null".to_owned(), |tool| text(&tool.name));
    format!(
        "{{\"receipt\":{},\"time_ms\":{},\"agent\":{},\"kind\":\"{}\",\"tool\":{tool},\"first_words\":{},\
         \"before\":{},\"now\":{}}}",
        text(&past.receipt),
        past.time,
        text(&past.judged.action.agent),
        past.judged.action.kind.as_str(),
        text(&past.first_words()),
        saying_json(before),
        saying_json(now)
    )
}

/// `{"verdict": …, "rules": […]}`.
pub fn saying_json(saying: &Saying) -> String {
    let rules: Vec<String> = saying.rules.iter().map(|rule| text(rule)).collect();
    format!("{{\"verdict\":\"{}\",\"rules\":[{}]}}", saying.verdict.as_str(), rules.join(","))
}
