//! From YAML to limits.

use std::collections::HashMap;

use super::super::limit::{Counts, Limit, Per, Unit};
use super::super::prices::money;
use super::super::request::Field;
use super::matcher::keys_beside;
use crate::session::Millis;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Kind, Member, Node, Span, json};

/// The largest limit.
const LARGEST: u64 = 1_000_000_000_000_000;

const MINUTE: Millis = 60_000;

/// What is counted within which time, by its key.
const AMOUNTS: [(&str, Unit, Millis); 16] = [
    ("calls_per_second", Unit::Calls, 1_000),
    ("calls_per_minute", Unit::Calls, MINUTE),
    ("calls_per_hour", Unit::Calls, 60 * MINUTE),
    ("calls_per_day", Unit::Calls, 24 * 60 * MINUTE),
    ("bytes_per_second", Unit::Bytes, 1_000),
    ("bytes_per_minute", Unit::Bytes, MINUTE),
    ("bytes_per_hour", Unit::Bytes, 60 * MINUTE),
    ("bytes_per_day", Unit::Bytes, 24 * 60 * MINUTE),
    ("tokens_per_second", Unit::Tokens, 1_000),
    ("tokens_per_minute", Unit::Tokens, MINUTE),
    ("tokens_per_hour", Unit::Tokens, 60 * MINUTE),
    ("tokens_per_day", Unit::Tokens, 24 * 60 * MINUTE),
    ("money_per_second", Unit::Money, 1_000),
    ("money_per_minute", Unit::Money, MINUTE),
    ("money_per_hour", Unit::Money, 60 * MINUTE),
    ("money_per_day", Unit::Money, 24 * 60 * MINUTE),
];

/// The keys that say how much of what, and whether that is money.
pub(super) fn rates() -> impl Iterator<Item = (&'static str, bool)> {
    AMOUNTS.iter().map(|(key, unit, _)| (*key, *unit == Unit::Money))
}

/// The keys of a limit that are no conditions.
const BESIDE: [&str; 3] = ["per", "field", "shared"];

/// What a limit says, as written.
pub(super) struct RawLimit {
    counts: Counts,
    most: u64,
    field: Option<Field>,
    shared: Option<String>,
    span: Span,
}

impl RawLimit {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let span = fields.span();
        let keys = AMOUNTS.map(|(key, ..)| key);
        let given = fields.present(&keys);
        let amounts = AMOUNTS.map(|(key, unit, window)| {
            let most = match unit {
                Unit::Money => fields.maybe(key).and_then(|node| money(key, node, 1, fields)),
                Unit::Calls | Unit::Bytes | Unit::Tokens => fields.maybe_whole(key, 1..=LARGEST),
            };
            Some((unit, window, most?))
        });
        if given.len() > 1 {
            let second = given.get(1).map_or(span, |(_, span)| *span);
            fields.fault(second, "a limit of more than one amount", "write a rule for each");
        } else if given.is_empty() {
            fields.fault(span, "a limit of nothing", format!("give it one of: {}", keys.join(", ")));
        }
        let per = per(fields);
        let (field, path) = field(fields, per);
        let shared = fields.maybe_text("shared").map(str::to_owned);
        let (unit, window, most) = amounts.into_iter().flatten().next()?;
        let counts = Counts { unit, window, per: per?, field: path };
        Some(Self { counts, most, field, shared, span })
    }
}

/// Whose counters; `None` if it is a word that is none.
fn per(fields: &mut Fields<'_, '_>) -> Option<Per> {
    let given = fields.place("per").is_some();
    let per = fields.maybe_choice("per", &Per::ALL.map(|per| (per.as_str(), per)));
    if given { per } else { Some(Per::Global) }
}

/// The field whose values have counters, and its path as written.
fn field(fields: &mut Fields<'_, '_>, per: Option<Per>) -> (Option<Field>, String) {
    let node = fields.maybe("field");
    match (node, per == Some(Per::BodyField)) {
        (Some(node), true) => {
            (Field::read(node, fields.faults()), node.as_str().unwrap_or_default().to_owned())
        }
        (None, true) => {
            let span = fields.span();
            fields.fault(
                span,
                "`per: body_field` without a `field`",
                "add `field:` with the path of the value",
            );
            (None, String::new())
        }
        (Some(node), false) => {
            if per.is_some() {
                let advice = "remove it, or count per body_field";
                fields.fault(node.span, "`field` without `per: body_field`", advice);
            }
            (None, String::new())
        }
        (None, false) => (None, String::new()),
    }
}

/// What all limits said so far.
#[derive(Default)]
pub(super) struct Limits {
    /// Name by what they are about and count.
    said: HashMap<String, String>,
    /// What those of one shared name count.
    shared: HashMap<String, Counts>,
}

impl Limits {
    /// The limit, unless it contradicts another.
    pub(super) fn check(
        &mut self,
        name: &str,
        raw: RawLimit,
        (node, rule): (&Node, &Node),
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Limit> {
        let before = faults.len();
        let counts = &raw.counts;
        match &raw.shared {
            Some(shared) => {
                if self.shared.entry(shared.clone()).or_insert_with(|| counts.clone()) != counts {
                    let message = format!("limits that share `{shared}` count different things");
                    faults.push(
                        Diagnostic::error(raw.span, message)
                            .advise("give them the same unit, window and `per`"),
                    );
                }
            }
            None => {
                let about = format!("{}|{counts:?}", conditions(node, rule));
                if let Some(first) = self.said.insert(about, name.to_owned()) {
                    let message =
                        format!("this limit and \"{first}\" count the same with different counters");
                    faults.push(Diagnostic::error(raw.span, message).advise("keep the smaller one"));
                }
            }
        }
        let own = raw.shared.as_deref().unwrap_or(name);
        let group = Limit::group_of(own, raw.shared.is_some(), counts);
        (faults.len() == before).then_some(Limit {
            unit: counts.unit,
            window: counts.window,
            most: raw.most,
            per: counts.per,
            field: raw.field,
            group,
        })
    }
}

/// The conditions of a limit, also those beside its verb, written in one way.
fn conditions(node: &Node, rule: &Node) -> String {
    let is_condition =
        |key: &str| !BESIDE.contains(&key) && !AMOUNTS.iter().any(|(amount, ..)| *amount == key);
    let inside = node.members().iter().filter(|member| is_condition(&member.key));
    let beside = rule.members().iter().filter(|member| keys_beside().any(|key| key == &*member.key));
    let written = |member: &Member| format!("{}={}", &*member.key, canonical(&member.value));
    let mut members: Vec<String> = inside.chain(beside).map(written).collect();
    members.sort_unstable();
    members.join(";")
}

/// A value, written in one way: mappings sorted by key, lists by value, a list of one as that one.
pub(super) fn canonical(node: &Node) -> String {
    match &node.kind {
        Kind::Array(nodes) => match nodes.as_slice() {
            [one] => canonical(one),
            nodes => {
                let mut values: Vec<String> = nodes.iter().map(canonical).collect();
                values.sort_unstable();
                format!("[{}]", values.join(","))
            }
        },
        Kind::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|member| format!("{}:{}", &*member.key, canonical(&member.value)))
                .collect();
            members.sort_unstable();
            format!("{{{}}}", members.join(","))
        }
        _ => {
            let mut text = Vec::new();
            json::write(node, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    }
}
