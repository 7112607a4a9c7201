//! `tests:` of a policy: actions, and what its rules are to say about them.

use super::date;
use super::parse::LONGEST_NAME;
use crate::action::request::Request;
use crate::action::{Action, alone};
use crate::decision::{Decision, Verdict};
use crate::session::Millis;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span, json};

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// The source it stands in.
    pub origin: String,
    /// Where.
    pub span: Span,
    /// What is judged.
    pub action: Action,
    /// When, in milliseconds since the Unix epoch; the epoch itself if it is not said.
    pub now: Millis,
    /// What the rules are to say: the strongest verdict among their reasons, `default` included.
    pub expect: Verdict,
    /// The rules that are to give a reason, no more and no less; `None` if it does not matter which.
    pub rules: Option<Vec<String>>,
}

/// What the rules said instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// The strongest verdict of the policy's reasons.
    pub verdict: Verdict,
    /// The rules that gave a reason.
    pub rules: Vec<String>,
}

impl Case {
    /// Compares a decision about [`Case::action`]. Only what the policy's rules said counts: a detector or the
    /// floor may well block what a policy has nothing against.
    ///
    /// # Errors
    /// What was said instead.
    pub fn check(&self, decision: &Decision) -> Result<(), Surprise> {
        let of_rules = || {
            decision.reasons.iter().filter_map(|reason| Some((reason, reason.rule.strip_prefix("policy.")?)))
        };
        let verdict = of_rules().map(|(reason, _)| reason.verdict).max().unwrap_or_default();
        let mut rules: Vec<String> = of_rules().map(|(_, name)| name.to_owned()).collect();
        rules.sort_unstable();
        rules.dedup();
        let named = self.rules.as_ref().is_none_or(|expected| *expected == rules);
        if verdict == self.expect && named { Ok(()) } else { Err(Surprise { verdict, rules }) }
    }
}

const VERDICTS: [(&str, Verdict); 6] = [
    ("allow", Verdict::Allow),
    ("audit", Verdict::Audit),
    ("redact", Verdict::Redact),
    ("ask", Verdict::Ask),
    ("quarantine", Verdict::Quarantine),
    ("block", Verdict::Block),
];

/// Reads one test. `names` are those of all rules, with `default`.
pub(super) fn read(node: &Node, origin: &str, faults: &mut Vec<Diagnostic>) -> Option<Case> {
    let before = faults.len();
    let mut fields = Fields::of(node, "a test", faults);
    let name = fields.text("name");
    let expect = fields.choice("expect", &VERDICTS);
    let rules = fields.maybe("rules").map(|node| (node, texts(node)));
    let given = fields.present(&["command", "call", "url", "request"]);
    let command = fields.maybe_text("command");
    let shell = fields.maybe_text("shell");
    let url = fields.maybe_text("url");
    let call = fields.maybe("call");
    let request = fields.maybe("request");
    let now = fields.maybe("now").map(|node| moment(node, &mut fields));
    if let Some((node, None)) = rules {
        fields.fault(node.span, "`rules` must be a list of names", "write `rules: []` if none is to speak");
    }
    if node.is_object() && given.len() != 1 {
        let message = if given.is_empty() { "a test of nothing" } else { "a test of more than one action" };
        fields.fault(node.span, message, "give it exactly one of: command, call, url, request");
    }
    fields.finish();
    if name.is_some_and(|name| name.chars().count() > LONGEST_NAME) {
        faults.push(Diagnostic::error(node.span, format!("a name has at most {LONGEST_NAME} characters")));
    }
    let action = match (command, url, call, request) {
        (Some(command), None, None, None) => alone::read("command", command, shell),
        (None, Some(url), None, None) => alone::read("url", url, None),
        (None, None, Some(call), None) => alone::read("tool_call", &called(call, faults)?, None),
        (None, None, None, Some(request)) => Ok(alone::request(Request::written(request, faults)?)),
        _ => return None,
    };
    let action = match action {
        Ok(action) => action,
        Err(error) => {
            faults.push(Diagnostic::error(node.span, error.to_string()));
            return None;
        }
    };
    if faults.len() > before {
        return None;
    }
    let mut rules = rules.and_then(|(_, names)| names);
    if let Some(rules) = &mut rules {
        rules.sort_unstable();
    }
    Some(Case {
        name: name?.to_owned(),
        origin: origin.to_owned(),
        span: node.span,
        action,
        now: now.flatten().unwrap_or_default(),
        expect: expect?,
        rules,
    })
}

/// When a test happens.
fn moment(node: &Node, fields: &mut Fields<'_, '_>) -> Option<Millis> {
    let moment = node.as_str().filter(|text| text.len() > 10).and_then(date::end_of);
    if moment.is_none() {
        fields.fault(node.span, "`now` is no time", "write it as `2026-12-31T18:00:00Z`, in quotes");
    }
    moment
}

fn texts(node: &Node) -> Option<Vec<String>> {
    node.is_array().then_some(())?;
    node.elements().iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// A tool's name and its arguments, as a call of them stands on the wire.
fn called(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<String> {
    let mut fields = Fields::of(node, "`call`", faults);
    let tool = fields.text("tool");
    let arguments = fields.maybe("arguments");
    fields.finish();
    if let Some(arguments) = arguments.filter(|node| !node.is_object()) {
        faults.push(Diagnostic::error(arguments.span, "`arguments` must be a mapping"));
        return None;
    }
    let mut text = b"{\"name\":".to_vec();
    text.extend(json::quoted(tool?));
    text.extend(b",\"arguments\":");
    match arguments {
        Some(arguments) => json::write(arguments, &mut text),
        None => text.extend(b"{}"),
    }
    text.push(b'}');
    String::from_utf8(text).ok()
}
