//! The table, without connections.

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{ActionKind, Capability, Effect, Target, ToolUse};
use doorward_core::decision::{Duty, Epoch, Reason};
use doorward_core::syntax::Span;
use doorward_core::{Action, Coverage, Decision, Door, Layer, Verdict};
use doorward_store::{Grant, GrantScope, MAX_GRANTS, Secret32};

use super::ask::{Ask, digest};
use super::table::{DENIALS, Said, Stage, Table};

fn call(session: &str, command: &str) -> Action {
    let mut action = Action::new(Door::Model, ActionKind::ToolCall, "alice".into(), session.into());
    action.tool = Some(ToolUse { name: "Bash".into(), declared: true, call_id: "c".into() });
    action.effects.push(Effect {
        capability: Capability::Execute,
        target: Target::Program(command.into()),
        asset: doorward_core::action::AssetClass::Unknown,
        from: Vec::new(),
        by: "sh".into(),
    });
    action
}

fn asks(rule: &str) -> Reason {
    Reason {
        rule: rule.into(),
        layer: Layer::Policy,
        verdict: Verdict::Ask,
        severity: 60,
        message: format!("{rule} applies"),
        advice: String::new(),
        part: None,
    }
}

fn decision(rules: &[&str]) -> Decision {
    Decision::from_reasons(rules.iter().map(|rule| asks(rule)).collect(), Coverage::Full, Epoch::default())
}

fn grant(id: &str, digest: &str, scope: GrantScope, rules: &[&str]) -> Grant {
    Grant {
        id: id.into(),
        digest: digest.into(),
        scope,
        agent: "alice".into(),
        session: "s".into(),
        what: "Bash".into(),
        by: "operator-token".into(),
        since: 0,
        until: u64::MAX,
        shown: rules.iter().map(|rule| asks(rule)).collect(),
    }
}

fn question(id: &str, session: &str) -> Arc<Ask> {
    let action = call(session, "make");
    let digest = digest(&Secret32::new([1; 32]), &action, b"{}");
    let asked = Ask::of((id.into(), 0, 1), &action, b"{}", &decision(&["policy.care"]), digest);
    Arc::new(asked.ok().expect("small enough"))
}

/// Many threads, one yes for one action.
#[test]
fn a_grant_for_one_action_is_used_once_under_a_race() {
    for _ in 0..200 {
        let mut table = Table::default();
        assert!(table.grant(grant("g", "d", GrantScope::Once, &["policy.care"])));
        let (table, start) = (Mutex::new(table), Barrier::new(8));
        let used: usize = std::thread::scope(|scope| {
            let racer = || {
                start.wait();
                usize::from(table.lock().unwrap().use_grant("d", &decision(&["policy.care"])).is_some())
            };
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(racer)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(used, 1);
    }
}

#[test]
fn a_grant_covers_every_question_or_none() {
    let mut table = Table::default();
    table.grant(grant("g", "d", GrantScope::Session, &["policy.care", "exec.odd"]));
    for (rules, covered) in [
        (&["policy.care"][..], true),
        (&["policy.care", "exec.odd"], true),
        (&["policy.care", "policy.other"], false),
        (&["policy.other"], false),
    ] {
        assert_eq!(table.use_grant("d", &decision(rules)).is_some(), covered, "{rules:?}");
    }
    assert!(table.use_grant("e", &decision(&["policy.care"])).is_none(), "another action");
    let mut other_words = decision(&["policy.care"]);
    other_words.reasons[0].message = "now it is about two hosts".into();
    assert!(table.use_grant("d", &other_words).is_none());
}

#[test]
fn grants_end_are_bounded_and_go_with_their_session() {
    let mut table = Table::default();
    let short = Grant { until: 100, ..grant("short", "d", GrantScope::Once, &["policy.care"]) };
    table.grant(short);
    table.sweep(Instant::now(), 99);
    assert_eq!(table.grants().len(), 1);
    table.sweep(Instant::now(), 100);
    assert!(table.grants().is_empty());
    for number in 0..MAX_GRANTS {
        assert!(table.grant(grant(&number.to_string(), "d", GrantScope::Session, &[])));
    }
    assert!(!table.has_room_for_grant() && !table.grant(grant("more", "d", GrantScope::Session, &[])));
    assert!(table.forget_session("another").is_empty());
    assert_eq!(table.forget_session("s").len(), MAX_GRANTS);
    assert!(table.grants().is_empty());
}

#[test]
fn denials_trip_decay_and_go_with_their_session() {
    let (mut table, now) = (Table::default(), Instant::now());
    let asked = question("q", "s");
    for _ in 1..DENIALS {
        table.deny(&asked, now);
        assert!(table.tripped(&asked.digest).is_none());
    }
    table.deny(&asked, now);
    assert_eq!(table.tripped(&asked.digest).as_deref(), Some("q"));
    assert!(table.tripped(&question("q", "t").digest).is_none(), "another session");
    table.sweep(now + Duration::from_secs(29 * 60), 0);
    assert!(table.tripped(&asked.digest).is_some());
    table.sweep(now + Duration::from_secs(30 * 60), 0);
    assert!(table.tripped(&asked.digest).is_none());
    (0..DENIALS).for_each(|_| table.deny(&asked, now));
    table.forget_session("s");
    assert!(table.tripped(&asked.digest).is_none());
}

#[test]
fn what_has_ended_is_shown_for_a_while_and_is_bounded() {
    let (mut table, now) = (Table::default(), Instant::now());
    for number in 0..100 {
        let asked = question(&format!("q{number:03}"), "s");
        let _told = table.open(Arc::clone(&asked));
        assert!(table.get(&asked.id).is_none(), "nobody sees it before it is recorded");
        assert!(table.step(&asked.id, Stage::Opening, Stage::Waiting, now));
        assert_eq!(table.waiting("alice"), (1, 1));
        assert!(table.step(&asked.id, Stage::Waiting, Stage::TimedOut, now));
        assert!(!table.step(&asked.id, Stage::Waiting, Stage::Gone, now));
    }
    table.sweep(now, 0);
    assert_eq!(table.shown().count(), 64);
    assert!(table.get("q099").is_some() && table.get("q000").is_none(), "the oldest go first");
    table.sweep(now + Duration::from_secs(601), 0);
    assert_eq!(table.shown().count(), 0);
}

#[test]
fn a_yes_that_nobody_hears_comes_back() {
    let (mut table, now) = (Table::default(), Instant::now());
    let asked = question("q", "s");
    drop(table.open(Arc::clone(&asked)));
    let yes = Box::new(grant("q", "d", GrantScope::Once, &[]));
    assert!(matches!(table.tell("q", Said::Yes(yes), now), Err(Said::Yes(_))));
}

/// Whatever differs, a yes is for another action.
#[test]
fn a_yes_is_bound_to_who_what_where_and_to_what_effect() {
    let key = Secret32::new([1; 32]);
    let base = call("s", "make");
    let same = digest(&key, &base, b"{}");
    assert_eq!(same, digest(&key, &call("s", "make"), b"{}"));
    let mut others = vec![
        digest(&key, &base, b"{ }"),
        digest(&key, &call("t", "make"), b"{}"),
        digest(&key, &call("s", "rm"), b"{}"),
        digest(&Secret32::new([2; 32]), &base, b"{}"),
    ];
    type Change = fn(&mut Action);
    let changes: [Change; 7] = [
        |action| action.agent = "bob".into(),
        |action| action.peer = "elsewhere".into(),
        |action| action.kind = ActionKind::Unknown,
        |action| action.tool = None,
        |action| action.effects.clear(),
        |action| action.effects[0].from.push(0),
        |action| action.effects[0].capability = Capability::DeleteFile,
    ];
    for change in changes {
        let mut action = call("s", "make");
        change(&mut action);
        others.push(digest(&key, &action, b"{}"));
    }
    others.push(same);
    let count = others.len();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), count);
}

/// The same for requests: their method, URL and headers count as well, but for the headers of a model's client.
#[test]
fn a_yes_for_a_request_is_bound_to_its_head() {
    let key = Secret32::new([1; 32]);
    let with = |door: Door, method: &str, url: &str, lines: &[(&str, &str)]| {
        let lines =
            lines.iter().map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().into() });
        let request = Request::new(method, url, lines.collect(), Body::Absent);
        // What it would do is the same: only its head tells.
        let action = Action { door, request: Some(Arc::new(request)), ..call("s", "make") };
        digest(&key, &action, b"{}")
    };
    let (place, lines) = ("https://a.example/", [("A", "1"), ("B", "2")]);
    let same = with(Door::Egress, "GET", place, &lines);
    assert_eq!(same, with(Door::Egress, "GET", place, &[("b", "2"), ("a", "1")]));
    let mut others = vec![
        same.clone(),
        with(Door::Egress, "HEAD", place, &lines),
        with(Door::Egress, "GET", "https://a.example/b", &lines),
        with(Door::Egress, "GET", place, &lines[..1]),
        with(Door::Egress, "GET", place, &[("A", "1"), ("B", "3")]),
        with(Door::Egress, "GET", place, &[("A", "1"), ("C", "2")]),
        with(Door::Egress, "GET", place, &[("A", "1B"), ("", "2")]),
        with(Door::Model, "GET", place, &lines),
        with(Door::Model, "GET", "https://a.example/b", &lines),
        with(Door::Model, "HEAD", place, &lines),
    ];
    let count = others.len();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), count);
    assert_eq!(with(Door::Model, "GET", place, &lines), with(Door::Model, "GET", place, &[]));
}

/// Which addresses may be dialled alters nothing of what is sent.
#[test]
fn only_what_is_altered_counts_as_altered() {
    let mut decision = decision(&["policy.care"]);
    let count = |decision: &Decision| {
        let asked =
            Ask::of(("q".into(), 0, 1), &call("s", "make"), b"{}", decision, String::new()).ok().unwrap();
        asked.duties
    };
    decision.duties.0.extend([Duty::Dial("public".into()), Duty::Inject("key".into()), Duty::Limit(1)]);
    assert_eq!(count(&decision), 0);
    decision.duties.0.extend([Duty::Divert([0; 32]), Duty::Edit(Span::new(0, 1), b"x"[..].into())]);
    assert_eq!(count(&decision), 2);
}

#[test]
fn what_cannot_all_be_shown_is_not_asked() {
    let action = call("s", "make");
    let of = |content: &[u8], decision: &Decision| {
        Ask::of(("q".into(), 0, 1), &action, content, decision, String::new()).is_ok()
    };
    assert!(of(&vec![b'x'; 256 * 1024], &decision(&["policy.care"])));
    assert!(!of(&vec![b'x'; 256 * 1024 + 1], &decision(&["policy.care"])));
    let many: Vec<String> = (0..64).map(|number| format!("r{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(of(b"{}", &decision(&many[..63])) && !of(b"{}", &decision(&many)));
}
