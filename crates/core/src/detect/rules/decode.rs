//! From YAML to rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::effects::{EffectCondition, Names, TargetKind};
use super::expression::Expression;
use super::text::{HiddenKind, TextCondition};
use super::{AssetClass, Capability, Example, Glob, PartKind, Rule, When};
use crate::detect::destination::{self, Lists};
use crate::detect::injection::Builder;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Source, Span, yaml};

/// How deep conditions may nest.
const MAX_DEPTH: u32 = 8;

/// The shortest literal: shorter ones stand in every text and would make the regex run always.
const SHORTEST_LITERAL: usize = 3;

const PARTS: [(&str, PartKind); 9] = [
    ("command", PartKind::Command),
    ("arguments", PartKind::Arguments),
    ("tool_result", PartKind::ToolResult),
    ("user", PartKind::UserText),
    ("system", PartKind::SystemText),
    ("assistant", PartKind::AssistantText),
    ("tool_definition", PartKind::ToolDefinition),
    ("outbound", PartKind::Outbound),
    ("url", PartKind::Url),
];

const SAMPLES: [&str; 5] = ["command", "tool_call", "tool_result", "outbound", "url"];

/// The rules in `source`, or its lists of places. Their text conditions are appended to `conditions`, its
/// concepts and signals to `injection`; `known` are ids in use.
pub(super) fn rules(
    source: &Source<'_>,
    conditions: &mut Vec<TextCondition>,
    lists: &mut Lists,
    known: &mut HashSet<String>,
    injection: &mut Builder,
    faults: &mut Vec<Diagnostic>,
) -> Vec<Rule> {
    let node = match yaml::parse(source.text.as_bytes()) {
        Ok(node) => node,
        Err(found) => {
            faults.extend(found);
            return Vec::new();
        }
    };
    if ["destinations", "sensitive_paths"].iter().any(|key| node.get(key).is_some()) {
        destination::decode(&node, &source.name.into(), lists, known, faults);
        return Vec::new();
    }
    let mut fields = Fields::of(&node, "a rule file", faults);
    let (concepts, signals) = (fields.list("concepts"), fields.list("signals"));
    if fields.present(&["concepts", "signals"]).is_empty() {
        fields.need("rules");
    }
    let list = fields.list("rules");
    let expressions = fields.maybe("expressions");
    let shipped = super::shipped().contains(source);
    let named = HashMap::new();
    let mut reader =
        Reader { origin: source.name.into(), shipped, named, conditions, faults: fields.faults() };
    reader.name(expressions);
    let rules = list.iter().filter_map(|node| reader.rule(node, known)).collect();
    fields.finish();
    injection.add(source.name, concepts, signals, faults);
    rules
}

struct Reader<'a> {
    origin: Arc<str>,
    /// Whether it is a shipped file: a test compiles all expressions of those.
    shipped: bool,
    /// The file's `expressions`: what several of its rules look for.
    named: HashMap<String, Expression>,
    conditions: &'a mut Vec<TextCondition>,
    faults: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Span, message: impl Into<String>, advice: &str) {
        self.faults.push(Diagnostic::error(span, message).advise(advice));
    }

    fn name(&mut self, expressions: Option<&Node>) {
        let Some(expressions) = expressions else { return };
        if !expressions.is_object() {
            self.fault(expressions.span, "`expressions` must be names with one expression each", "");
        }
        for member in expressions.members() {
            if let Some(expression) = self.regex(&member.value) {
                self.named.insert(member.key.as_str().to_owned(), expression);
            }
        }
    }

    fn rule(&mut self, node: &Node, known: &mut HashSet<String>) -> Option<Rule> {
        let mut fields = Fields::of(node, "a rule", self.faults);
        let id = fields.text("id");
        let category = fields.text("category");
        let severity = fields.whole("severity", 1..=100);
        let description = fields.text("description");
        let advice = fields.text("advice");
        let attack = fields.texts("attack");
        let audit_in = fields.choices("audit_in", &PARTS);
        let when = fields.need("when");
        let (examples, near_misses) = (fields.list("examples"), fields.list("near_misses"));
        fields.finish();

        let when = when.and_then(|node| self.when(node, 0));
        let examples: Vec<_> = examples.iter().filter_map(|node| example(node, self.faults)).collect();
        let near_misses: Vec<_> = near_misses.iter().filter_map(|node| example(node, self.faults)).collect();
        let id = id?;
        let place = node.get("id").map_or(node.span, |node| node.span);
        self.check_id(id, place, known);
        if examples.is_empty() || near_misses.is_empty() {
            self.fault(place, format!("`{id}` needs at least one example and one near miss"), "");
        }
        for (technique, span) in &attack {
            if !is_technique(technique) {
                self.fault(*span, "not an ATT&CK technique", "write it like `T1059` or `T1059.004`");
            }
        }
        let when = when?;
        Some(Rule {
            id: id.to_owned(),
            category: category?.to_owned(),
            severity: u8::try_from(severity?).unwrap_or(100),
            description: description?.to_owned(),
            advice: advice?.to_owned(),
            attack: attack.into_iter().map(|(technique, _)| technique.to_owned()).collect(),
            examples,
            near_misses,
            origin: Arc::clone(&self.origin),
            by_text: when.needs_text(),
            capabilities: when.capabilities(),
            audit_in,
            when,
        })
    }

    fn check_id(&mut self, id: &str, place: Span, known: &mut HashSet<String>) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = id.split('.').count() == 2
            && id.split('.').all(|part| !part.is_empty() && part.bytes().all(plain));
        if !good {
            let advice = "use lower-case letters, digits, `-` and one `.`";
            self.fault(place, "`id` must be like `area.what-it-is`", advice);
        }
        if !known.insert(id.to_owned()) {
            self.fault(place, format!("a rule `{id}` exists already"), "give it another id");
        }
    }

    fn when(&mut self, node: &Node, depth: u32) -> Option<When> {
        if depth > MAX_DEPTH {
            self.fault(node.span, format!("conditions nested deeper than {MAX_DEPTH} levels"), "");
            return None;
        }
        let mut fields = Fields::of(node, "a condition", self.faults);
        let given = fields.present(&["effect", "text", "all", "any", "not"]).len();
        let (effect, text) = (fields.maybe("effect"), fields.maybe("text"));
        let (all, any, not) = (fields.maybe("all"), fields.maybe("any"), fields.maybe("not"));
        if given != 1 {
            let span = fields.span();
            fields.fault(span, "a condition has exactly one of `effect`, `text`, `all`, `any`, `not`", "");
        }
        fields.finish();
        if let Some(node) = effect {
            return Some(When::Effect(self.effects(node, depth + 1)));
        }
        if let Some(node) = text {
            let condition = self.text(node)?;
            self.conditions.push(condition);
            return Some(When::Text(self.conditions.len() - 1));
        }
        if let Some(node) = not {
            return Some(When::Not(Box::new(self.when(node, depth + 1)?)));
        }
        let list = all.or(any)?;
        if list.elements().is_empty() {
            self.fault(list.span, "must be a list of conditions", "");
            return None;
        }
        let inner: Vec<When> = list.elements().iter().filter_map(|node| self.when(node, depth + 1)).collect();
        Some(if all.is_some() { When::All(inner) } else { When::Any(inner) })
    }

    /// One condition or a list of alternatives.
    fn effects(&mut self, node: &Node, depth: u32) -> Vec<EffectCondition> {
        if depth > MAX_DEPTH {
            self.fault(node.span, format!("conditions nested deeper than {MAX_DEPTH} levels"), "");
            return Vec::new();
        }
        if node.is_array() && node.elements().is_empty() {
            self.fault(node.span, "an empty list of effects", "");
        }
        let one = std::slice::from_ref(node);
        let nodes = if node.is_array() { node.elements() } else { one };
        nodes.iter().map(|node| self.effect(node, depth)).collect()
    }

    fn effect(&mut self, node: &Node, depth: u32) -> EffectCondition {
        let capabilities = Capability::ALL.map(|capability| (capability.as_str(), capability));
        let assets = AssetClass::ALL.map(|asset| (asset.as_str(), asset));
        let globs =
            |texts: Vec<(&str, Span)>| texts.into_iter().map(|(text, _)| Glob::any_case(text)).collect();
        let mut fields = Fields::of(node, "an effect", self.faults);
        let mut condition = EffectCondition {
            capability: fields.choices("capability", &capabilities),
            asset: fields.choices("asset", &assets),
            kind: fields.choices("kind", &TargetKind::WORDS),
            target: globs(fields.texts("target")),
            host: fields.texts("host").into_iter().map(|(host, _)| host.to_lowercase()).collect(),
            by: Names::new(fields.texts("by").into_iter().map(|(name, _)| name)),
            exact: fields.maybe_bool("exact"),
            ..EffectCondition::default()
        };
        let matches = fields.maybe("matches");
        let (from, except) = (fields.maybe("from"), fields.maybe("except"));
        fields.finish();
        if node.is_object() && node.members().is_empty() {
            self.fault(node.span, "an effect that could be anything", "say what it must be");
        }
        condition.matches = matches.and_then(|node| self.regex(node));
        condition.from = from.map(|node| self.effects(node, depth + 1)).unwrap_or_default();
        condition.except = except.map(|node| self.effects(node, depth + 1)).unwrap_or_default();
        condition
    }

    fn text(&mut self, node: &Node) -> Option<TextCondition> {
        let mut fields = Fields::of(node, "a text condition", self.faults);
        let within = fields.choices("in", &PARTS);
        let literals = fields.texts("literals");
        let hidden = fields.choices("hidden", &HiddenKind::WORDS);
        let (regex, unless) = (fields.maybe("regex"), fields.maybe("unless"));
        let span = fields.span();
        fields.finish();
        if within.is_empty() {
            self.fault(span, "`in` is missing in a text condition", "say in which kinds of parts to look");
        }
        if literals.is_empty() == hidden.is_empty() {
            let advice = "a regular expression is only tried where one of its literals stands";
            self.fault(span, "a text condition needs either `literals` or `hidden`", advice);
        }
        for (literal, span) in &literals {
            if literal.len() < SHORTEST_LITERAL {
                self.fault(*span, format!("a literal needs at least {SHORTEST_LITERAL} bytes"), "");
            }
        }
        if unless.is_some() && regex.is_none() {
            self.fault(span, "`unless` needs a `regex`", "");
        }
        let regex = regex.map(|node| self.regex(node));
        let unless = unless.map(|node| self.regex(node));
        if matches!(regex, Some(None)) || matches!(unless, Some(None)) {
            return None;
        }
        Some(TextCondition {
            within,
            literals: literals.into_iter().map(|(literal, _)| literal.to_owned()).collect(),
            regex: regex.flatten(),
            unless: unless.flatten(),
            hidden,
        })
    }

    fn regex(&mut self, node: &Node) -> Option<Expression> {
        let Some(pattern) = node.as_str() else {
            self.fault(node.span, "a regular expression must be text", "put it in single quotes");
            return None;
        };
        // `$` in front of a word could match nothing, so it is free to say: the one of this name.
        if let Some(name) = pattern.strip_prefix('$').filter(|rest| !rest.is_empty()) {
            let named = self.named.get(name).cloned();
            if named.is_none() {
                let advice = "name it under `expressions`, at the top of this file";
                self.fault(node.span, format!("there is no expression `{name}`"), advice);
            }
            return named;
        }
        if self.shipped {
            return Some(Expression::known(pattern));
        }
        match Expression::checked(pattern) {
            Ok(expression) => Some(expression),
            Err(message) => {
                self.fault(node.span, message, "");
                None
            }
        }
    }
}

/// One sample beside a rule or a list.
pub(in crate::detect) fn example(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Example> {
    let mut fields = Fields::of(node, "an example", faults);
    let kinds = fields.present(&SAMPLES);
    let shells = ["sh", "powershell", "cmd"].map(|shell| (shell, shell));
    let shell = fields.maybe_choice("shell", &shells);
    let text = SAMPLES.iter().fold(None, |found, kind| found.or(fields.maybe_text(kind)));
    if kinds.len() != 1 {
        let span = fields.span();
        fields.fault(span, "an example has exactly one kind", format!("one of: {}", SAMPLES.join(", ")));
    }
    fields.finish();
    let (kind, _) = kinds.first()?;
    Some(Example { kind, text: text?.to_owned(), shell, span: node.span })
}

/// `T` and four digits, perhaps `.` and three more.
pub(in crate::detect) fn is_technique(text: &str) -> bool {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('T') else { return false };
    match rest.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(rest, 4),
    }
}
