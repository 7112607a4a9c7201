//! Registered secrets in requests to a model: where the operator's policy says `redact`, each is replaced by a
//! [placeholder](crate::placeholder).
//!
//! Every request is looked through as a whole each time, whatever the session remembers: clients send the whole
//! conversation, and what was replaced in it once must be replaced each time, by the same. What is seen and cannot be
//! replaced is a finding of its own: a rule is never weaker than it reads.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::action::request::Body;
use crate::action::{Action, ActionKind, Door};
use crate::decision::{Duties, Duty, Field, Redacted};
use crate::detect::Finding;
use crate::detect::rules::{MOST_AUDITED, RuleSet};
use crate::detect::secrets::registered::{Registered, Stretch};
use crate::placeholder::{Issuer, MOST, MOST_BYTES, PREFIX, Secret};
use crate::syntax::spelled::{Spelled, edited};
use crate::syntax::{Node, Span, json};
use crate::wire::redactable::{Step, Text, Touch, each_text, written};

/// What a finding of a registered secret is called.
pub(super) const SEEN: &str = "secret.registered";

/// And of one that could not be taken out.
pub(super) const LEFT: &str = "secret.unredacted";

/// What stays as it is and is longer than this is not looked into, in bytes: those are files and pictures.
const LONGEST_FIXED: usize = 64 * 1024;

/// The most fields that a receipt names.
const MOST_FIELDS: usize = 64;

/// What is to be done about the registered secrets in a request.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Whether it was looked for.
    looked: bool,
    edits: Vec<(Span, String)>,
    redacted: Redacted,
    /// Where one stands that stays, and what it is called.
    left: Vec<(String, Arc<str>)>,
}

impl Plan {
    /// Whether the request was looked through.
    pub const fn has_looked(&self) -> bool {
        self.looked
    }

    /// Whether the request has none.
    fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.left.is_empty()
    }

    /// What the rest of the engine has not seen: that there are some, for the policy to speak about.
    pub fn seen(&self, findings: &[Finding]) -> Option<Finding> {
        let known = findings.iter().any(|finding| finding.rule == SEEN);
        (!known && !self.is_empty()).then(|| finding(SEEN, MOST_AUDITED, "a registered secret".to_owned()))
    }

    /// What is left of them: also what detectors have seen and nobody can replace. `without` says whether a text is free
    /// of them once all of it is replaced that can be.
    pub fn left(&self, action: &Action, findings: &[Finding], rules: &RuleSet) -> Option<Finding> {
        let stays = self
            .left
            .first()
            .map(|(place, name)| format!("the registered secret `{name}` stands in {place}"));
        let hidden = || {
            let of = findings.iter().filter(|finding| finding.rule == SEEN);
            of.filter(|finding| !finding.message.is_empty()).find_map(|finding| match finding.part {
                None if finding.span == UNSEEN => None,
                None => Some(finding.message.clone()),
                Some(part) => {
                    let text = &action.parts.get(part)?.text;
                    rules
                        .holds_registered(&without(text, rules.registered()?), &action.agent)
                        .then(|| format!("{} stands there encoded or in pieces", finding.message))
                }
            })
        };
        let what = stays.or_else(hidden)?;
        Some(finding(LEFT, 80, format!("{what}, where it cannot be taken out")))
    }

    /// Adds what is to be replaced to `duties`, but for what those replace as a whole, and says what was. `rules` asked
    /// for it.
    pub fn carried(mut self, rules: Vec<String>, duties: &mut Duties) -> Redacted {
        let mut taken: Vec<Span> = duties
            .0
            .iter()
            .filter_map(|duty| match duty {
                Duty::Edit(span, _) => Some(*span),
                _ => None,
            })
            .collect();
        taken.sort_unstable();
        let whole = |span: Span| {
            let at = taken.partition_point(|other| other.start <= span.start);
            at.checked_sub(1).and_then(|at| taken.get(at)).is_some_and(|other| span.end <= other.end)
        };
        let before = duties.0.len();
        let edits = self.edits.drain(..).filter(|(span, _)| !whole(*span));
        duties.0.extend(edits.map(|(span, with)| Duty::Edit(span, Bytes::from(with))));
        Redacted { rules, edits: duties.0.len() - before, ..self.redacted }
    }
}

/// The span of what the plan itself has found: the whole.
const UNSEEN: Span = Span { start: 0, end: u32::MAX };

fn finding(rule: &str, severity: u8, message: String) -> Finding {
    Finding {
        rule: rule.to_owned(),
        category: "secret".to_owned(),
        severity,
        part: None,
        span: UNSEEN,
        message,
        advice: "take the value out of the conversation; name where it is kept instead".to_owned(),
    }
}

/// `text` with what can be found in it replaced.
fn without<'t>(text: &'t str, registered: &Registered) -> Cow<'t, str> {
    let stretches = registered.every(text);
    if stretches.is_empty() {
        return Cow::Borrowed(text);
    }
    let spelled = Spelled::plain(text);
    let edit = |stretch: &Stretch| (spelled.span(stretch.start, stretch.end), PREFIX.to_owned());
    Cow::Owned(edited(text, &stretches.iter().map(edit).collect::<Vec<_>>()))
}

/// Looks through the request that `action` is; nothing if it is none to a model, or nobody knows its body.
pub(super) fn plan(action: &Action, rules: &RuleSet) -> Plan {
    let body = action.request.as_deref().map(|request| request.body());
    let (Some(registered), Some(Body::Whole(body))) = (rules.registered(), body) else {
        return Plan::default();
    };
    if action.kind != ActionKind::ModelRequest || action.door != Door::Model {
        return Plan::default();
    }
    let (Ok(request), Some(issuer)) = (json::parse(body), registered.issuer(&action.agent, &action.session))
    else {
        return Plan::default();
    };
    let mut search = Search {
        registered,
        issuer,
        body,
        plan: Plan { looked: true, ..Plan::default() },
        issued: HashSet::new(),
        bytes: 0,
    };
    each_text(&request, &mut |path, text| search.text(path, &text));
    std::mem::take(&mut search.plan)
}

struct Search<'a> {
    registered: &'a Registered,
    issuer: Issuer,
    body: &'a [u8],
    plan: Plan,
    /// The placeholders of the values met so far.
    issued: HashSet<String>,
    bytes: usize,
}

impl Search<'_> {
    fn text(&mut self, path: &[Step<'_>], text: &Text<'_>) {
        match text.touch {
            Touch::Never => self.never(path, text),
            Touch::Free => {
                // Half a surrogate pair is one character here, as in `Spelled`.
                let spelled = (!text.text.is_well_formed()).then(|| Spelled::of(self.body, text.span));
                let said = spelled.as_ref().map_or(text.text.as_str(), Spelled::text);
                let stretches = self.registered.every(said);
                if !stretches.is_empty() {
                    let spelled = Spelled::of(self.body, text.span);
                    self.replace(path, spelled.text(), stretches, |start, end| spelled.span(start, end));
                }
            }
            Touch::Arguments => self.arguments(path, text),
        }
    }

    fn never(&mut self, path: &[Step<'_>], text: &Text<'_>) {
        if text.text.len() > LONGEST_FIXED {
            return;
        }
        if let Some(stretch) = self.registered.every(text.text).into_iter().next() {
            self.leave(path, stretch.name);
        }
    }

    /// JSON within a string: what stands in its strings is what a tool is given.
    fn arguments(&mut self, path: &[Step<'_>], text: &Text<'_>) {
        let outer = Spelled::of(self.body, text.span);
        let Ok(node) = json::parse(outer.text().as_bytes()) else {
            return self.text(path, &Text { touch: Touch::Free, ..*text });
        };
        let mut literals = Vec::new();
        literals_of(&node, &mut literals);
        for literal in literals {
            let inner = Spelled::of(outer.text().as_bytes(), literal);
            let stretches = self.registered.every(inner.text());
            self.replace(path, inner.text(), stretches, |start, end| {
                let span = inner.span(start, end);
                outer.span(span.start as usize, span.end as usize)
            });
        }
    }

    fn replace(
        &mut self,
        path: &[Step<'_>],
        text: &str,
        stretches: Vec<Stretch>,
        place: impl Fn(usize, usize) -> Span,
    ) {
        for Stretch { start, end, name } in stretches {
            let value = text.get(start..end).unwrap_or_default();
            let placeholder = self.issuer.placeholder(value);
            if !self.issued.contains(&placeholder) {
                if self.issued.len() >= MOST || self.bytes + value.len() > MOST_BYTES {
                    self.leave(path, name);
                    continue;
                }
                self.bytes += value.len();
                self.issued.insert(placeholder.clone());
                self.plan.redacted.issued.push((placeholder.clone(), Secret::new(&name, value)));
            }
            self.plan.edits.push((place(start, end), placeholder));
            self.note(path, name);
        }
    }

    fn note(&mut self, path: &[Step<'_>], name: Arc<str>) {
        let Redacted { fields, more, .. } = &mut self.plan.redacted;
        let place = written(path);
        let here = |field: &&mut Field| field.place == place;
        if let Some(field) = fields.iter_mut().rev().take_while(here).find(|field| field.name == name) {
            field.count += 1;
        } else if fields.len() < MOST_FIELDS {
            fields.push(Field { place, name, count: 1 });
        } else {
            *more += 1;
        }
    }

    fn leave(&mut self, path: &[Step<'_>], name: Arc<str>) {
        if self.plan.left.len() < MOST_FIELDS {
            self.plan.left.push((written(path), name));
        }
    }
}

/// Where the strings and keys of `node` stand.
fn literals_of(node: &Node, out: &mut Vec<Span>) {
    if node.as_str().is_some() {
        out.push(node.span);
    }
    node.elements().iter().for_each(|one| literals_of(one, out));
    for member in node.members() {
        out.push(member.key_span);
        literals_of(&member.value, out);
    }
}

#[cfg(test)]
mod tests;
