//! Rules as they stand in the text. That they are well formed is for the engine to say, and no business of this.

use std::collections::BTreeMap;

use doorward_core::policy::Level;
use doorward_core::syntax::Node;

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Answers `default: deny`.
    Allow,
    /// A verdict other than `allow`.
    Restrict(doorward_core::Verdict),
    /// Counts.
    Limit,
    /// Lifts findings.
    Suppress,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub level: Level,
    /// Its verb.
    pub verb: Verb,
    /// Its conditions by key, wherever they stood.
    pub conditions: BTreeMap<String, Node>,
    /// From when on it has no effect, in milliseconds since the Unix epoch.
    pub ends: Option<u64>,
}

const VERBS: [(&str, Verb); 8] = [
    ("allow", Verb::Allow),
    ("audit", Verb::Restrict(doorward_core::Verdict::Audit)),
    ("redact", Verb::Restrict(doorward_core::Verdict::Redact)),
    ("ask", Verb::Restrict(doorward_core::Verdict::Ask)),
    ("quarantine", Verb::Restrict(doorward_core::Verdict::Quarantine)),
    ("deny", Verb::Restrict(doorward_core::Verdict::Block)),
    ("limit", Verb::Limit),
    ("suppress", Verb::Suppress),
];

/// What may stand beside the verb. (`tool` and the like may not.)
const BESIDE: [&str; 6] = ["method", "url", "body", "headers", "time_outside", "timezone"];

impl Rule {
    /// Reads one rule; `None` if it is none.
    pub fn of(node: &Node, level: Level) -> Option<Self> {
        let (verb, matcher) = VERBS.iter().find_map(|(word, verb)| Some((*verb, node.get(word)?)))?;
        let inside = matcher.members().iter();
        let beside = node.members().iter().filter(|member| BESIDE.contains(&&*member.key));
        let conditions = inside.chain(beside).map(|m| (m.key.as_str().to_owned(), m.value.clone()));
        Some(Self {
            name: node.text("name")?.to_owned(),
            level,
            verb,
            conditions: conditions.collect(),
            ends: node.get("expires").and_then(Node::as_str).and_then(ends),
        })
    }

    /// The value of a condition.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.conditions.get(key)
    }

    /// Whether it has ended by `now`.
    pub fn ended(&self, now: u64) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }
}

/// A date lasts until the end of its day in UTC; a time is that time.
fn ends(text: &str) -> Option<u64> {
    let end = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => {
            date.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    u64::try_from(end.as_millisecond()).ok()
}

/// The texts of a list, or of one text alone.
pub fn texts(node: &Node) -> Vec<&str> {
    match node.as_str() {
        Some(text) => vec![text],
        None => node.elements().iter().filter_map(Node::as_str).collect(),
    }
}
