//! What rules can be about at every door, and that the unknown restricts and never allows.

use doorward_core::action::{Action, ActionKind, AssetClass, Capability, Door, Source, Target};
use doorward_core::decision::{Coverage, Decision, Epoch, Verdict};
use doorward_core::detect::Finding;
use doorward_core::session::{Facts, Remembered};
use doorward_core::syntax::Span;

use crate::policy::{call, effect, faults, fetch, policy, read, reasons, reasons_given, verdict};

/// Whether a matcher denies `action`, and whether it allows it under `default: deny`.
fn says(matcher: &str, action: &Action) -> (bool, bool) {
    says_given(matcher, action, &[], &Facts::default())
}

fn says_given(matcher: &str, action: &Action, findings: &[Finding], facts: &Facts) -> (bool, bool) {
    let blocks = |text: String| {
        let policy = policy(&text);
        let reasons = reasons_given(&policy, action, findings, facts);
        reasons.iter().any(|reason| reason.verdict == Verdict::Block)
    };
    (
        blocks(format!("default: allow\nrules: [{{ name: a, deny: {matcher} }}]\n")),
        !blocks(format!("default: deny\nrules: [{{ name: a, allow: {matcher} }}]\n")),
    )
}

const NO: (bool, bool) = (false, false);
const UNKNOWN: (bool, bool) = (true, false);
const YES: (bool, bool) = (true, true);

#[test]
fn ranges_fit_addresses_however_they_are_spelled() {
    let at = |url: &str| call("Fetch", vec![fetch(url)]);
    for (matcher, url, expected) in [
        ("{ host: 10.0.0.0/8 }", "http://10.1.2.3/", YES),
        ("{ host: 10.0.0.0/8 }", "http://167838211/", YES),
        ("{ host: 10.0.0.0/8 }", "http://[::ffff:10.1.2.3]/", YES),
        ("{ host: 10.0.0.0/8 }", "http://11.1.2.3/", NO),
        ("{ host: ['fd00::/8', a.test] }", "http://[fd12::1]:8080/", YES),
        ("{ host: ['fd00::/8', a.test] }", "http://a.test/", YES),
        ("{ host: 10.0.0.0/8 }", "http://ten.test/", NO),
        ("{ host: 10.0.0.0/8 }", "http://x@10.1.2.3/", UNKNOWN),
    ] {
        assert_eq!(says(matcher, &at(url)), expected, "{matcher} {url}");
    }
    let found = faults(
        "default: allow\nrules: [{ name: a, deny: { host: [10.0.0.1/8, 'a.test/8', 10.0.0.0/99] } }]\n",
    );
    assert_eq!(
        found[0],
        "2:35: `10.0.0.1/8` has bits behind its prefix / write `10.0.0.0/8`, or the address alone"
    );
    assert!(found[1].contains("a host pattern with a path"));
    assert!(found[2].contains("no range of addresses"));
}

#[test]
fn doors_directions_and_coverage() {
    let mut action = call("Bash", vec![]);
    for (matcher, expected) in [
        ("{ door: model }", YES),
        ("{ door: [tools, egress] }", NO),
        ("{ direction: in }", YES),
        ("{ direction: out }", NO),
        ("{ coverage: full }", YES),
        ("{ coverage: [partial, none] }", NO),
    ] {
        assert_eq!(says(matcher, &action), expected, "{matcher}");
    }
    action.door = Door::Tools;
    action.coverage = Coverage::Partial("depth".into());
    for (matcher, expected) in [
        ("{ door: tools, direction: out, coverage: partial }", YES),
        ("{ door: tools, direction: in }", NO),
        ("{ door: model, direction: out }", NO),
    ] {
        assert_eq!(says(matcher, &action), expected, "{matcher}");
    }
    let request = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
    assert!(says("{ direction: out }", &request).0);
    let result = Action::new(Door::Model, ActionKind::ToolResult, "a".into(), "s".into());
    assert!(!says("{ direction: out }", &result).0);
}

#[test]
fn whose_action_it_is() {
    let mut action = call("Bash", vec![]);
    action.agent = "sales-7".into();
    assert_eq!(says("{ principal: 'sales-*' }", &action), YES);
    assert_eq!(says("{ principal: [ops, sales-8] }", &action), NO);
    // What restricts minds no case, what allows does.
    assert_eq!(says("{ principal: SALES-7 }", &action), UNKNOWN);
    action.agent = "".into();
    assert_eq!(says("{ principal: sales-7 }", &action), UNKNOWN);
}

#[test]
fn who_caused_it_and_what_shaped_it() {
    let mut action = call("Bash", vec![]);
    for (source, is_web, is_user, tainted, clean) in [
        (Source::Web, YES, NO, YES, NO),
        (Source::User, NO, YES, NO, YES),
        (Source::Model, NO, NO, UNKNOWN, UNKNOWN),
        (Source::Unknown, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    ] {
        action.source = source;
        assert_eq!(says("{ source: web }", &action), is_web, "{source:?}");
        assert_eq!(says("{ source: [user, internal] }", &action), is_user, "{source:?}");
        assert_eq!(says("{ tainted: true }", &action), tainted, "{source:?}");
        assert_eq!(says("{ tainted: false }", &action), clean, "{source:?}");
    }
    let facts = Facts { tainted: Some(true), ..Facts::default() };
    action.source = Source::User;
    assert_eq!(says_given("{ tainted: true }", &action, &[], &facts), YES);
}

#[test]
fn what_was_found() {
    let found = [Finding {
        rule: "exec.download-and-run".into(),
        category: "download-exec".into(),
        severity: 90,
        part: None,
        span: Span::default(),
        message: String::new(),
        advice: String::new(),
    }];
    let mut action = call("Bash", vec![]);
    let facts = Facts::default();
    for (matcher, with, without) in [
        ("{ finding: exec.download-and-run }", YES, NO),
        ("{ finding: 'exec.*' }", YES, NO),
        ("{ finding: download-exec }", YES, NO),
        ("{ finding: cred.file-read }", NO, NO),
        ("{ finding: 'exec.*', tool: Read }", NO, NO),
    ] {
        assert_eq!(says_given(matcher, &action, &found, &facts), with, "{matcher}");
        assert_eq!(says_given(matcher, &action, &[], &facts), without, "{matcher}");
    }
    // What was found in an earlier turn is found no second time, and is not forgotten.
    let earlier = |risk| Facts {
        remembered: vec![None, Some(Remembered { verdict: Verdict::Audit, risk })],
        ..Facts::default()
    };
    assert_eq!(says_given("{ finding: 'exec.*' }", &action, &[], &earlier(70)), UNKNOWN);
    assert_eq!(says_given("{ finding: 'exec.*' }", &action, &[], &earlier(0)), NO);
    action.coverage = Coverage::None("opaque".into());
    assert_eq!(says("{ finding: 'exec.*' }", &action), UNKNOWN);
}

#[test]
fn targets_that_are_neither_paths_nor_hosts() {
    let at = |target: Target| call("Bash", vec![effect(Capability::Execute, target, AssetClass::Unknown)]);
    for (target, expected) in [
        (Target::Program("terraform".into()), YES),
        (Target::Program("/usr/local/bin/terraform".into()), YES),
        (Target::Program("C:\\tools\\terraform".into()), YES),
        (Target::Program("terraform-docs".into()), NO),
        (Target::Program("ls".into()), NO),
        (Target::Process("terraform".into()), YES),
        (Target::Code("import os".into()), UNKNOWN),
        (Target::Input, UNKNOWN),
        (Target::None, NO),
    ] {
        assert_eq!(says("{ target: terraform }", &at(target.clone())), expected, "{target:?}");
    }
    let unknown = effect(Capability::Unknown, Target::None, AssetClass::Unknown);
    assert_eq!(says("{ target: 'terra*' }", &call("x", vec![unknown])), UNKNOWN);
    assert_eq!(says("{ target: 'terra*' }", &call("x", vec![read("terraform", true)])), NO);
}

#[test]
fn to_what_restricts_a_star_is_any_name() {
    assert_eq!(says("{ tool: '*' }", &call("a/b", vec![])), UNKNOWN);
    assert_eq!(says("{ tool: '**' }", &call("a/b", vec![])), YES);
    assert_eq!(says("{ tool: 'a?b' }", &call("a/b", vec![])), UNKNOWN);
    let program = effect(Capability::Execute, Target::Process("/usr/bin/x".into()), AssetClass::Unknown);
    assert_eq!(says("{ target: '*' }", &call("Bash", vec![program])), UNKNOWN);
}

#[test]
fn who_deletes_a_directory_deletes_what_is_in_it() {
    for (pattern, path, expected) in [
        ("/etc/**", "/etc", UNKNOWN),
        ("~/.ssh/**", "~/.ssh", UNKNOWN),
        ("~/.ssh/**", "/home/dev/.ssh", UNKNOWN),
        ("/etc/**", "/etc/passwd", YES),
        ("/etc/**", "/etcetera", NO),
        ("/etc/*", "/etc", NO),
    ] {
        let action = call("Bash", vec![read(path, true)]);
        assert_eq!(says(&format!("{{ path: '{pattern}' }}"), &action), expected, "{pattern} {path}");
    }
}

#[test]
fn a_pattern_for_anywhere_is_about_the_working_directory() {
    for (pattern, path, expected) in [
        ("**/.env", ".env", YES),
        ("**/.env", "src/.env", YES),
        ("**/src/.env", "src/.env", YES),
        ("**/.env", "x.env", NO),
        ("**/etc/passwd", "/x/passwd", NO),
        ("**/.env", "../.env", UNKNOWN),
    ] {
        let action = call("Bash", vec![read(path, true)]);
        assert_eq!(says(&format!("{{ path: '{pattern}' }}"), &action), expected, "{pattern} {path}");
    }
}

#[test]
fn a_window_of_time_holds_for_requests_that_nobody_saw() {
    let request = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
    let at = |now| Facts { now, ..Facts::default() };
    let matcher = "{ method: GET, time_outside: '09:00-17:00' }";
    assert!(says_given(matcher, &request, &[], &at(0)).0);
    assert!(!says_given(matcher, &request, &[], &at(12 * 3_600_000)).0);
}

#[test]
fn redact_and_quarantine_do_not_pass() {
    for (verb, expected) in
        [("redact", Verdict::Redact), ("quarantine", Verdict::Quarantine), ("ask", Verdict::Ask)]
    {
        let rules = policy(&format!(
            "default: allow\nrules: [{{ name: a, {verb}: {{ tool: Bash }}, reason: private }}]\n"
        ));
        let reasons = reasons(&rules, &call("Bash", vec![]));
        assert_eq!(reasons[0].verdict, expected);
        assert!(reasons[0].message.contains(": private"), "{}", reasons[0].message);
        assert!(!Decision::from_reasons(reasons, Coverage::Full, Epoch::default()).passes(), "{verb}");
    }
}

#[test]
fn only_allow_answers_the_default() {
    for verb in ["audit", "redact"] {
        let rules = policy(&format!("default: deny\nrules: [{{ name: a, {verb}: {{}} }}]\n"));
        assert_eq!(verdict(&rules, &call("Bash", vec![])), Verdict::Block, "{verb}");
    }
}

#[test]
fn an_allow_that_has_ended_allows_nothing() {
    let rules = policy("default: deny\nrules: [{ name: a, allow: { tool: Bash }, expires: 2026-12-31 }]\n");
    let blocked = |now| {
        let facts = Facts { now, ..Facts::default() };
        !reasons_given(&rules, &call("Bash", vec![]), &[], &facts).is_empty()
    };
    assert!(!blocked(1_798_761_599_999));
    assert!(blocked(1_798_761_600_000));
    let found = faults(
        "default: deny\nrules: [{ name: a, deny: {}, expires: 2026-12-31 }, { name: b, allow: {}, expires: soon }]\n",
    );
    assert!(found[0].contains("`deny` does not expire"), "{found:?}");
    assert!(found[1].contains("`expires` is no date"), "{found:?}");
}

#[test]
fn a_rule_that_can_never_match_is_a_fault() {
    for (matcher, says) in [
        ("{ path: '~/x', host: a.test }", "about a path or about a host"),
        ("{ path: '~/x', url: 'a.test/**' }", "about a path or about a host"),
        ("{ target: ls, path: '/x' }", "neither a path nor a host"),
        ("{ host: a.test, url: 'b.test/**' }", "none of its URLs is at one of its hosts"),
        ("{ host: '*.a.test', url: 'a.test/**' }", "none of its URLs is at one of its hosts"),
        ("{ host: a.test, asset: [credential, wallet] }", "none of these assets is a host"),
    ] {
        let found = faults(&format!("default: allow\nrules: [{{ name: a, deny: {matcher} }}]\n"));
        assert_eq!(found.len(), 1, "{matcher}: {found:?}");
        assert!(found[0].contains("can never match") && found[0].contains(says), "{matcher}: {found:?}");
    }
    for matcher in [
        "{ host: '*.a.test', url: ['b.a.test/**', 'c.test/**'] }",
        "{ host: ['*.a.test'], url: '*.b.a.test/**' }",
        "{ host: 10.0.0.0/8, url: '10.1.1.1/**' }",
        "{ host: a.test, asset: [credential, external] }",
    ] {
        policy(&format!("default: allow\nrules: [{{ name: a, deny: {matcher} }}]\n"));
    }
}

#[test]
fn a_call_that_will_make_a_request_is_not_known_not_to_be_the_one() {
    let post = effect(Capability::NetworkPost, Target::Url("https://a.test/v1".into()), AssetClass::External);
    let (posts, gets, reads) = (
        call("Bash", vec![post]),
        call("Bash", vec![fetch("https://a.test/v1")]),
        call("Read", vec![read("x", true)]),
    );
    for (matcher, posting, getting) in [
        ("{ method: [DELETE] }", UNKNOWN, NO),
        ("{ method: [DELETE, GET] }", UNKNOWN, UNKNOWN),
        ("{ method: [DELETE], url: 'a.test/**' }", UNKNOWN, NO),
        ("{ method: [DELETE], url: 'b.test/**' }", NO, NO),
        ("{ body: { jsonpath: $.amount, max: 5 } }", UNKNOWN, NO),
        ("{ headers: { name: x-a, exact: b } }", UNKNOWN, UNKNOWN),
    ] {
        assert_eq!(says(matcher, &posts), posting, "{matcher}");
        assert_eq!(says(matcher, &gets), getting, "{matcher}");
        assert_eq!(says(matcher, &reads), NO, "{matcher}");
    }
    let request = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
    assert!(says("{ body: { jsonpath: $.model, exact: x } }", &request).0);
}

#[test]
fn a_home_is_that_of_one_user() {
    let policy =
        policy("default: allow\nrules:\n- {name: r, deny: {path: ['/home/devname/**', '/\u{130}/x/**']}}\n");
    for (path, expected) in [
        ("/home/devname/x", Verdict::Block),
        // The home of the user `name`, and not the directory beside ours.
        ("~name/x", Verdict::Allow),
        // A letter that is two when it is small.
        ("/\u{130}/x/y", Verdict::Block),
        ("/\u{130}/y", Verdict::Allow),
    ] {
        assert_eq!(verdict(&policy, &call("Read", vec![read(path, true)])), expected, "{path}");
    }
    let unknown =
        [("/\u{130}/${X}", Verdict::Block), ("/i/${X}", Verdict::Block), ("/j/${X}", Verdict::Allow)];
    for (path, expected) in unknown {
        assert_eq!(verdict(&policy, &call("Read", vec![read(path, false)])), expected, "{path}");
    }
}
