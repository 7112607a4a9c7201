//! The JSON Schema of policies, for editors: completion, and red lines while one types. It is looser than the language
//! where a schema cannot say it (patterns, zones, what may stand together); `doorward policy check` has the last word.
//!
//! Words come from the tables that the parser reads with. That the keys are those the parser knows is kept by a test,
//! which asks the parser for each kind of mapping.

use super::limit::Per;
use super::parse;
use super::prices::{KEYS, MOST_PRICES};
use super::rule::{Direction, Extent, Verb};
use super::{Default, Profile, layers};
use crate::action::{AssetClass, Capability, Door, Source};
use crate::decision::Verdict;
use crate::detect::destination::Class;
use crate::session::Mode;
use crate::syntax::json::quoted;

/// The schema, as indented JSON with a line feed at its end (JSON Schema, draft 2020-12).
#[must_use]
pub fn schema() -> String {
    let words = |default: &[&str]| choice(default.iter().copied());
    let policy = Mapping::new()
        .key("version", "{\"const\":1}", "of the language; may be left out")
        .key("agent", TEXT, "a label, for people; it restricts nothing")
        .key(
            "default",
            &words(&[Default::Allow.as_str(), Default::Deny.as_str()]),
            "what happens to a call, URL or outbound text that no rule speaks about",
        )
        .key(
            "mode",
            &words(&[layers::mode_word(Mode::Block), layers::mode_word(Mode::Monitor)]),
            "left out: enforce",
        )
        .key(
            "profile",
            &words(&[Profile::Balanced.as_str(), Profile::Strict.as_str()]),
            "how what was not read completely is treated; left out: balanced",
        )
        .key("include", &one_or_more(TEXT), "further files, relative to this one")
        .key(
            "assets",
            &array("#/$defs/asset", parse::MOST_ENTRIES),
            "what kind of thing paths and places are",
        )
        .key("destinations", &reference("destinations"), "lists of places where data may go, or not")
        .key("rules", &array("#/$defs/rule", parse::MOST_RULES), "all of them are in force, in no order")
        .key("prices", &array("#/$defs/price", MOST_PRICES), "what models cost, for limits in money")
        .key("tests", &array("#/$defs/test", parse::MOST_TESTS), "actions, and what the rules are to say")
        .members();
    let defs = [
        ("asset", asset()),
        ("destinations", destinations()),
        ("rule", rule()),
        ("matcher", matcher().end("\"additionalProperties\":false")),
        (
            "suppress",
            matcher().end("\"additionalProperties\":false,\"minProperties\":2,\"required\":[\"finding\"]"),
        ),
        ("limit", limit()),
        ("price", price()),
        ("condition", condition()),
        ("header", header()),
        ("test", test()),
    ];
    let defs: Vec<String> = defs.iter().map(|(name, schema)| format!("\"{name}\":{schema}")).collect();
    indented(&format!(
        "{{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Doorward policy\",{policy},\
         \"additionalProperties\":false,\"$defs\":{{{}}}}}",
        defs.join(",")
    ))
}

const TEXT: &str = "{\"type\":\"string\"}";
const TRUTH: &str = "{\"type\":\"boolean\"}";
const NUMBER: &str = "{\"type\":\"number\"}";
const ANY: &str = "true";

fn asset() -> String {
    let words = |classes: Vec<(&'static str, _)>| choice(classes.into_iter().map(|(word, _)| word));
    let patterns = one_or_more(TEXT);
    Mapping::new()
        .key("class", &words(parse::asset_classes()), "what it is")
        .key("instead_of", &one_or_more(&words(parse::replaceable_classes())), "what it is not, though it looks so")
        .key("paths", &patterns, "patterns for paths, as in rules, or with a drive")
        .key("places", &patterns, "hosts or URLs, as in rules")
        .end("\"additionalProperties\":false,\"required\":[\"class\"],\"anyOf\":[{\"required\":[\"paths\"]},{\"required\":[\"places\"]}]")
}

fn destinations() -> String {
    let list = format!(
        "{{\"anyOf\":[{TEXT},{{\"type\":\"array\",\"minItems\":1,\"maxItems\":{},\"items\":{TEXT}}}]}}",
        parse::MOST_PLACES
    );
    Mapping::new()
        .key("allow", &list, "hosts or URLs, as in rules: known to be what they seem")
        .key("block", &list, "hosts or URLs, as in rules: nothing goes there")
        .key("block_unknown_post", TRUTH, "nothing is sent to where no list says anything; left out: false")
        .end("\"additionalProperties\":false,\"minProperties\":1")
}

fn rule() -> String {
    let mut rule = Mapping::new()
        .key(
            "name",
            &format!("{{\"type\":\"string\",\"maxLength\":{}}}", parse::LONGEST_NAME),
            "once in the whole policy",
        )
        .key("reason", TEXT, "for people")
        .key("expires", TEXT, "of allow and suppress: 2026-12-31, or a time by RFC 3339");
    for verb in Verb::ALL {
        let of = match verb {
            Verb::Limit => "limit",
            Verb::Suppress => "suppress",
            _ => "matcher",
        };
        rule = rule.key(verb.as_str(), &reference(of), "");
    }
    let verbs = Verb::ALL.map(|verb| format!("{{\"required\":[\"{}\"]}}", verb.as_str()));
    let rule = requests(rule.key("url", &one_or_more(TEXT), "beside the verb or in its matcher"));
    rule.end(&format!(
        "\"additionalProperties\":false,\"required\":[\"name\"],\"oneOf\":[{}]",
        verbs.join(",")
    ))
}

/// Conditions on requests, which may also stand beside the verb.
fn requests(mapping: Mapping) -> Mapping {
    mapping
        .key("method", &one_or_more(TEXT), "of a request, in upper case")
        .key("headers", &one_or_more(&reference("header")), "all must hold")
        .key("body", &one_or_more(&reference("condition")), "of a request: all must hold")
        .key("time_outside", TEXT, "HH:MM-HH:MM: the rule holds outside of it")
        .key("timezone", TEXT, "of time_outside: Europe/Berlin, +02:00")
}

fn matcher() -> Mapping {
    let texts = one_or_more(TEXT);
    let words = |words: Vec<&str>| one_or_more(&choice(words.into_iter()));
    let mapping = Mapping::new()
        .key("tool", &texts, "the tool's name; *, **, ?")
        .key("arguments", &one_or_more(&reference("condition")), "of a tool call: all must hold")
        .key(
            "capability",
            &words(Capability::ALL.map(Capability::as_str).to_vec()),
            "of an effect: what is done",
        )
        .key(
            "asset",
            &words(AssetClass::ALL.map(AssetClass::as_str).to_vec()),
            "of an effect: to what kind of thing",
        )
        .key("host", &texts, "of an effect: a name, *.suffix, an address, or a range")
        .key("url", &texts, "of an effect: [scheme://]host[:port]/path[?query]")
        .key(
            "destination",
            &words(Class::ALL.map(Class::as_str).to_vec()),
            "of an effect: what the place is that it leads to",
        )
        .key("path", &texts, "of an effect: from /, ~/ or **/")
        .key("target", &texts, "of an effect: what is no path and no host")
        .key("source", &words(Source::ALL.map(Source::as_str).to_vec()), "who caused it")
        .key("tainted", TRUTH, "whether untrusted content shaped it")
        .key("finding", &texts, "ids or categories of detector rules")
        .key("direction", &words(Direction::WORDS.map(|(word, _)| word).to_vec()), "")
        .key(
            "door",
            &words([Door::Model, Door::Tools, Door::Egress, Door::Library].map(Door::as_str).to_vec()),
            "",
        )
        .key("coverage", &words(Extent::WORDS.map(|(word, _)| word).to_vec()), "how much could be read")
        .key("principal", &texts, "the agent's name");
    requests(mapping)
}

fn limit() -> String {
    let most = "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000000000000}";
    let mut limit = matcher();
    let money = "{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":1000000000}";
    for (rate, is_money) in parse::rates() {
        limit = limit.key(rate, if is_money { money } else { most }, "");
    }
    let rates: Vec<String> =
        parse::rates().map(|(rate, _)| format!("{{\"required\":[\"{rate}\"]}}")).collect();
    limit
        .key(
            "per",
            &choice(Per::ALL.map(Per::as_str).into_iter()),
            "one counter for each of these; left out: global",
        )
        .key("field", TEXT, "with per: body_field, a path")
        .key("shared", TEXT, "limits of one name count together")
        .end(&format!("\"additionalProperties\":false,\"oneOf\":[{}]", rates.join(",")))
}

fn price() -> String {
    let amount = "{\"type\":\"number\",\"minimum\":0,\"maximum\":1000000000}";
    let mut price = Mapping::new().key("model", TEXT, "the model's name; *, **, ?");
    for (key, _, about) in KEYS {
        price = price.key(key, amount, about);
    }
    let needed = KEYS.iter().filter(|(_, needed, _)| *needed).map(|(key, ..)| format!(",\"{key}\""));
    let needed: String = needed.collect();
    price.end(&format!("\"additionalProperties\":false,\"required\":[\"model\"{needed}]"))
}

fn texts_operators(mapping: Mapping) -> Mapping {
    mapping
        .key("present", TRUTH, "")
        .key("exact", ANY, "")
        .key("in", "{\"type\":\"array\",\"minItems\":1}", "")
        .key("prefix", TEXT, "")
        .key("suffix", TEXT, "")
        .key("contains", TEXT, "")
        .key("regex", TEXT, "")
}

fn condition() -> String {
    let mapping = texts_operators(Mapping::new().key("jsonpath", TEXT, "RFC 9535: $.amount"));
    let mapping = mapping.key("max", NUMBER, "exact decimals").key("min", NUMBER, "exact decimals");
    mapping.end("\"additionalProperties\":false,\"required\":[\"jsonpath\"]")
}

fn header() -> String {
    let mapping = texts_operators(Mapping::new().key("name", TEXT, "in any case"));
    mapping.end("\"additionalProperties\":false,\"required\":[\"name\"]")
}

fn test() -> String {
    let verdicts =
        [Verdict::Allow, Verdict::Audit, Verdict::Redact, Verdict::Ask, Verdict::Quarantine, Verdict::Block];
    let actions =
        ["command", "url", "call", "request"].map(|action| format!("{{\"required\":[\"{action}\"]}}"));
    let call = Mapping::new().key("tool", TEXT, "").key("arguments", "{\"type\":\"object\"}", "");
    Mapping::new()
        .key("name", TEXT, "")
        .key(
            "expect",
            &choice(verdicts.map(Verdict::as_str).into_iter()),
            "the strongest verdict of the rules",
        )
        .key(
            "rules",
            "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
            "the rules that are to give a reason",
        )
        .key("command", TEXT, "a command line")
        .key("shell", &choice(["sh", "powershell", "cmd"].into_iter()), "what reads the command")
        .key("url", TEXT, "a URL that is fetched")
        .key("call", &call.end("\"additionalProperties\":false,\"required\":[\"tool\"]"), "a tool call")
        .key("request", "{\"type\":\"object\"}", "an HTTP request")
        .key("now", TEXT, "when it is judged")
        .end(&format!(
            "\"additionalProperties\":false,\"required\":[\"name\",\"expect\"],\"oneOf\":[{}]",
            actions.join(",")
        ))
}

/// A mapping whose keys are known.
struct Mapping(Vec<String>);

impl Mapping {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn key(mut self, key: &str, schema: &str, description: &str) -> Self {
        let description = String::from_utf8_lossy(&quoted(description)).into_owned();
        let schema = match schema.strip_prefix('{') {
            Some(rest) if description.len() > 2 => format!("{{\"description\":{description},{rest}"),
            _ => schema.to_owned(),
        };
        self.0.push(format!("\"{key}\":{schema}"));
        self
    }

    fn members(&self) -> String {
        format!("\"type\":\"object\",\"properties\":{{{}}}", self.0.join(","))
    }

    fn end(&self, more: &str) -> String {
        format!("{{{},{more}}}", self.members())
    }
}

fn reference(name: &str) -> String {
    format!("{{\"$ref\":\"#/$defs/{name}\"}}")
}

fn array(items: &str, most: usize) -> String {
    format!("{{\"type\":\"array\",\"maxItems\":{most},\"items\":{{\"$ref\":\"{items}\"}}}}")
}

fn choice<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    format!("{{\"enum\":[{}]}}", words.join(","))
}

fn one_or_more(schema: &str) -> String {
    format!("{{\"anyOf\":[{schema},{{\"type\":\"array\",\"items\":{schema}}}]}}")
}

/// JSON without white space, with two spaces for each level and one member a line.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    for c in json.chars() {
        if in_text {
            in_text = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
}
