//! What is told of what happens: what its receipt says, and nothing else. No content, no arguments, no URLs.

use doorward_core::detect::canary::CONTENT;
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, Object, json, json::quoted};
use doorward_core::{Action, Decision, Reason, Verdict};
use doorward_store::webhooks::{Event, EventKind};
use doorward_store::{KillSet, Stop, Stops, Store};

use crate::hold::Ask;

/// Most rules, and most acts on the kill switch, that one message names.
const MOST: usize = 16;

/// Most characters of a stranger's word.
const LONGEST: usize = 80;

/// The bytes that are sent and signed: `{type, timestamp, data}`.
pub(super) fn payload(event: &Event) -> Vec<u8> {
    let object = Object::new().text("type", event.word).text("timestamp", &time(event.time));
    object.raw("data", &event.data).end()
}

fn time(millis: Millis) -> String {
    let millis = i64::try_from(millis).unwrap_or_default();
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    format!("{time:.3}")
}

/// Tells of a decision on record: that something did not go on, that somebody touched a decoy.
pub(crate) fn decided(
    store: &Store,
    (action, decision): (&Action, &Decision),
    receipt: &str,
    now: Millis,
    goes_on: bool,
) {
    let webhooks = store.webhooks();
    if decision.reasons.iter().any(touches) {
        webhooks.tell(EventKind::Honeytoken, &action.agent, now, || {
            about(action, receipt, &decision.reasons).truth("stopped", !goes_on).end()
        });
    }
    if !goes_on {
        webhooks.tell(EventKind::Blocked, &action.agent, now, || {
            about(action, receipt, &decision.reasons)
                .text("verdict", decision.verdict.as_str())
                .number("risk", u64::from(decision.risk))
                .end()
        });
    }
}

/// Tells of what was seen in text that had gone on already.
pub(crate) fn seen(store: &Store, action: &Action, reasons: &[Reason], receipt: &str, now: Millis) {
    if reasons.iter().any(touches) {
        store.webhooks().tell(EventKind::Honeytoken, &action.agent, now, || {
            about(action, receipt, reasons).truth("stopped", false).end()
        });
    }
}

/// Whether somebody touched a decoy; not, if they only saw that it is there.
fn touches(reason: &Reason) -> bool {
    let decoy = reason.rule.starts_with("floor.canary-") || reason.rule.starts_with("floor.honeytoken");
    reason.rule == CONTENT || decoy && reason.verdict == Verdict::Block
}

/// What is told of every action.
fn about(action: &Action, receipt: &str, reasons: &[Reason]) -> Object {
    let object = Object::new()
        .text("receipt", receipt)
        .text("agent", &action.agent)
        .text("session", &action.session)
        .raw("key", &optional(action.bill.as_ref().map(|bill| &*bill.key)))
        .text("door", action.door.as_str())
        .text("kind", action.kind.as_str())
        .raw("tool", &optional(action.tool.as_ref().map(|tool| shown(&tool.name)).as_deref()));
    let peer = (!action.peer.is_empty()).then(|| shown(&action.peer));
    rules(object.raw("destination", &optional(peer.as_deref())), reasons.iter())
}

/// The rules that spoke, the strongest first, each once.
fn rules<'r>(object: Object, reasons: impl Iterator<Item = &'r Reason>) -> Object {
    let mut rules: Vec<&str> = Vec::new();
    for reason in reasons {
        if rules.len() < MOST && !rules.contains(&&*reason.rule) {
            rules.push(&reason.rule);
        }
    }
    object.array("rules", rules.into_iter().map(quoted))
}

/// Tells that an action waits for a person (`held`), or that it was stopped because nobody was there and can be allowed
/// afterwards.
pub(crate) fn waits(store: &Store, ask: &Ask, held: bool) {
    store.webhooks().tell(EventKind::Approval, &ask.agent, ask.since, || {
        let object = Object::new()
            .text("approval", &ask.id)
            .text("agent", &ask.agent)
            .text("session", &ask.session)
            .text("door", ask.door)
            .text("kind", ask.kind)
            .raw("tool", &optional(ask.tool.as_deref().map(shown).as_deref()))
            .number("risk", u64::from(ask.risk))
            .truth("held", held);
        let object = if held { object.text("until", &time(ask.until)) } else { object.raw("until", b"null") };
        rules(object, ask.reasons.iter().filter(|reason| reason.verdict == Verdict::Ask)).end()
    });
}

/// Tells what a client says of the tools of a server: its words, as far as they can be such words.
pub(crate) fn drifted(
    store: &Store,
    (agent, session, key): (&str, &str, &str),
    report: &[u8],
    receipt: &str,
    now: Millis,
) {
    store.webhooks().tell(EventKind::Drift, agent, now, || {
        let report = json::parse(report).ok();
        let word = |name: &str| {
            let said = report.as_ref().and_then(|report: &Node| report.text(name));
            optional(said.map(shown).as_deref())
        };
        let object = Object::new().text("receipt", receipt).text("agent", agent).text("session", session);
        let object = object.text("key", key);
        let names = ["tool_name", "change_type", "baseline_hash", "current_hash"];
        names.iter().fold(object, |object, name| object.raw(name, &word(name))).end()
    });
}

/// Tells what of the kill switch is different; nothing, if nothing is.
pub(super) fn killed(store: &Store, before: &KillSet, after: &KillSet, now: Millis) {
    let (old, new) = (stops(before), stops(after));
    let stopped: Vec<_> = new.iter().filter(|stop| !old.contains(stop)).collect();
    let resumed = old.iter().filter(|(source, scope, name, _)| {
        !new.iter().any(|(its, of, other, _)| (its, of, other) == (source, scope, name))
    });
    let resumed: Vec<_> = resumed.collect();
    if stopped.is_empty() && resumed.is_empty() {
        return;
    }
    store.webhooks().tell(EventKind::Kill, "", now, || {
        let named = |(source, scope, name, _): &&Stopped<'_>| {
            Object::new().text("source", source).text("scope", scope).raw("name", &optional(*name))
        };
        let stop = |stop: &&Stopped<'_>| {
            named(stop).text("by", &stop.3.by).text("reason", &shown(&stop.3.reason)).end()
        };
        Object::new()
            .truth("all_stopped", after.all().is_some())
            .array("stopped", stopped.iter().take(MOST).map(stop))
            .array("resumed", resumed.iter().take(MOST).map(|stop| named(stop).end()))
            .number("more", (stopped.len().saturating_sub(MOST) + resumed.len().saturating_sub(MOST)) as u64)
            .end()
    });
}

/// By act or file, of what, its name, and why.
type Stopped<'s> = (&'static str, &'static str, Option<&'s str>, &'s Stop);

fn stops(set: &KillSet) -> Vec<Stopped<'_>> {
    fn of<'s>(source: &'static str, stops: &'s Stops) -> impl Iterator<Item = Stopped<'s>> {
        let all = stops.all.iter().map(move |stop| (source, "all", None, stop));
        let agents =
            stops.agents.iter().map(move |(name, stop)| (source, "agent", Some(name.as_str()), stop));
        let sessions = stops.sessions.iter();
        all.chain(agents)
            .chain(sessions.map(move |(name, stop)| (source, "session", Some(name.as_str()), stop)))
    }
    of("act", &set.acts).chain(of("file", &set.file)).collect()
}

/// A stranger's word: cut, and without what could make it more than a word.
fn shown(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

fn optional(text: Option<&str>) -> Vec<u8> {
    text.map_or_else(|| b"null".to_vec(), quoted)
}
