//! Policies and actions from bytes, over alphabets so small that rules do meet actions. The first choice of each
//! is the plainest, so that fewer and smaller bytes make a smaller case.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use doorward_core::action::request::{Body, Header, Request, Unread};
use doorward_core::action::{
    self, Action, ActionKind, AssetClass, Capability, Door, Effect, Part, PartKind, Target, ToolUse,
};
use doorward_core::decision::{Coverage, Verdict};
use doorward_core::detect::Finding;
use doorward_core::detect::destination::{Lists, Registry};
use doorward_core::detect::rules::RuleSet;
use doorward_core::session::{Facts, Remembered};
use doorward_core::syntax::{Source, Span};
use doorward_core::url::host_of;

use super::words::*;

/// The home directory of the user in all cases.
pub const HOME: &str = "/home/dev";

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// A policy in YAML. The engine may refuse it.
    pub policy: String,
    /// What is judged.
    pub action: Action,
    /// What was found in it.
    pub findings: Vec<Finding>,
    /// What else is known.
    pub facts: Facts,
}

/// Choices by bytes; without any left, the first.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte)) % count.max(1)
    }

    fn pick<T: Copy>(&mut self, first: T, others: &[T]) -> T {
        match self.below(others.len() + 1).checked_sub(1) {
            Some(at) => others.get(at).copied().unwrap_or(first),
            None => first,
        }
    }

    fn text(&mut self, from: &[&'static str]) -> &'static str {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or_default()
    }

    /// One time in `count`.
    fn seldom(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }
}

/// The case that these bytes stand for.
#[must_use]
pub fn case(bytes: &[u8]) -> Case {
    let choices = &mut Choices(bytes.iter());
    // One in three is about what a request carries, and about nothing else: there is the most to get wrong.
    let about_a_body = choices.below(3) == 2;
    let policy = if about_a_body { probe(&body(choices, "body")) } else { policy(choices) };
    let findings = if choices.seldom(4) { vec![finding(choices)] } else { Vec::new() };
    let remembered = choices.pick(None, &[None, None, Some(0), Some(60)]);
    let facts = Facts {
        remembered: vec![remembered.map(|risk| Remembered { verdict: Verdict::Audit, risk })],
        now: choices.pick(0, &[43_200_000, 1_774_746_000_000, 1_774_749_600_000, 1_792_893_000_000]),
        tainted: choices.pick(None, &[Some(true), Some(false)]),
        source: choices.pick(None, &[Some(action::Source::Web), Some(action::Source::User)]),
        ..Facts::default()
    };
    let action = if about_a_body { sending(choices) } else { action(choices) };
    Case { policy, action, findings, facts }
}

fn policy(choices: &mut Choices<'_>) -> String {
    if choices.seldom(5) {
        return things(choices);
    }
    if choices.below(2) == 1 {
        return probe(&conditions(choices).join(", "));
    }
    let mut out = format!("default: {}\n", choices.text(&["allow", "deny"]));
    out.push_str(&destinations(choices));
    out.push_str("rules:\n");
    let count = 1 + choices.below(4);
    for number in 0..count {
        let verb = choices.text(&[
            "deny",
            "allow",
            "audit",
            "allow",
            "ask",
            "limit",
            "suppress",
            "redact",
            "quarantine",
        ]);
        let mut conditions = conditions(choices);
        let mut beside = String::new();
        match verb {
            "limit" => conditions.insert(0, "calls_per_minute: 5".to_owned()),
            "suppress" => {
                conditions.retain(|condition| !condition.starts_with("finding"));
                conditions
                    .insert(0, format!("finding: {}", choices.text(&["exec.run", "'exec.*'", "other"])));
                beside = ", reason: known".to_owned();
            }
            _ => {}
        }
        if verb == "suppress" || verb == "allow" && choices.seldom(8) {
            let _ = write!(
                beside,
                ", expires: {}",
                choices.text(&["'2099-12-31'", "'1970-01-01'", "'2026-03-29T01:00:00Z'"])
            );
        }
        let _ = writeln!(out, "- {{name: r{number}, {verb}: {{{}}}{beside}}}", conditions.join(", "));
    }
    out
}

/// What things are, and a rule about each class that comes of it.
fn things(choices: &mut Choices<'_>) -> String {
    let mut out = String::from("default: allow\nassets:\n");
    for _ in 0..=choices.below(3) {
        let class = if choices.below(2) == 0 {
            format!("class: {}", choices.text(&["credential", "wallet", "config", "temp", "startup"]))
        } else {
            let instead = choices.text(&[
                "external",
                "[project-secret, unknown]",
                "[credential, browser-data, config]",
            ]);
            format!(
                "class: {}, instead_of: {instead}",
                choices.text(&["internal", "project", "temp", "wallet"])
            )
        };
        let about = match choices.below(2) {
            0 => format!("paths: ['{}', '{}']", choices.text(ASSET_PATHS), choices.text(ASSET_PATHS)),
            _ => format!("places: [{}]", choices.text(PLACES)),
        };
        let _ = writeln!(out, "- {{{class}, {about}}}");
    }
    out.push_str("rules:\n");
    for class in AssetClass::ALL {
        let class = class.as_str();
        let _ = writeln!(out, "- {{name: {class}, audit: {{asset: {class}}}}}");
    }
    out
}

/// Patterns of what operators may say a kind of.
const ASSET_PATHS: &[&str] = &[
    "~/.ssh/**",
    "/etc/**",
    "/etc/passwd",
    "**/.env",
    "**/*.key",
    "**/src/**",
    "/?tc/p*",
    "~/*/id",
    "/*/passwd",
    "/e**/.env",
    "~/x",
    "~/.s*/id",
    "**/a/*.env",
    "/home/dev/a/**",
    "C:/Users/dev/**",
    "/ho",
    "/\u{130}/**",
];

/// Lists of places, one time in three.
fn destinations(choices: &mut Choices<'_>) -> String {
    if !choices.seldom(3) {
        return String::new();
    }
    let mut said = Vec::new();
    for key in ["allow", "block"] {
        let count = choices.below(3);
        let places: Vec<&str> = (0..count).map(|_| choices.text(PLACES)).collect();
        if !places.is_empty() {
            said.push(format!("{key}: [{}]", places.join(", ")));
        }
    }
    if said.is_empty() || choices.seldom(2) {
        said.push(format!("block_unknown_post: {}", choices.text(&["true", "false"])));
    }
    format!("destinations: {{{}}}\n", said.join(", "))
}

/// What is known of places in all cases.
#[must_use]
pub fn lists() -> &'static Lists {
    static RULES: OnceLock<Option<RuleSet>> = OnceLock::new();
    // That there are some is for a test to say.
    static NONE: OnceLock<Lists> = OnceLock::new();
    let compiled = || {
        let rules = RuleSet::compile(&[Source { name: "lists", text: LISTS }]).ok()?;
        let registries = REGISTRIES.iter().filter_map(|(host, port)| {
            Some(Registry { host: host_of(host)?, port: *port, from: String::new() })
        });
        Some(rules.with_registries(registries))
    };
    let rules = RULES.get_or_init(compiled).as_ref();
    rules.map_or_else(|| NONE.get_or_init(Lists::default), RuleSet::lists)
}

/// The same conditions twice: in an `allow`, which only what is certain answers, and in an `audit`, which the unknown
/// does too.
fn probe(conditions: &str) -> String {
    format!(
        "default: deny\nrules:\n- {{name: sure, allow: {{{conditions}}}}}\n- {{name: perhaps, audit: {{{conditions}}}}}\n"
    )
}

/// Some conditions, of each key one, and of those that exclude one another one.
fn conditions(choices: &mut Choices<'_>) -> Vec<String> {
    let mut all = Vec::new();
    let count = choices.below(4);
    let mut groups = Vec::new();
    for _ in 0..count {
        // Bodies and places have the most to get wrong.
        let group = match choices.below(26) {
            24.. => 16,
            16..20 => 1,
            20..22 => 0,
            22.. => 7,
            group => group,
        };
        if groups.contains(&group) {
            continue;
        }
        groups.push(group);
        all.push(match group {
            0 => place(choices),
            1 => body(choices, "body"),
            2 => list(choices, "tool", TOOL_PATTERNS),
            3 => list(choices, "capability", CAPABILITIES),
            4 => list(choices, "asset", ASSETS),
            5 => list(choices, "method", METHOD_PATTERNS),
            6 => header(choices),
            7 => body(choices, "arguments"),
            8 => format!("time_outside: '{}', timezone: {}", choices.text(WINDOWS), choices.text(ZONES)),
            9 => list(choices, "source", SOURCES),
            10 => format!("tainted: {}", choices.text(&["true", "false"])),
            11 => list(choices, "finding", &["'exec.*'", "exec.run", "running", "other"]),
            12 => list(choices, "direction", &["in", "out"]),
            13 => list(choices, "door", &["model", "tools", "egress", "library"]),
            14 => list(choices, "coverage", &["full", "partial", "none"]),
            16 => list(choices, "destination", CLASSES),
            _ => list(choices, "principal", &["ops", "'op*'", "OPS", "'?ps'"]),
        });
    }
    all
}

fn list(choices: &mut Choices<'_>, key: &str, words: &[&'static str]) -> String {
    let first = choices.text(words);
    if choices.seldom(3) {
        format!("{key}: [{first}, {}]", choices.text(words))
    } else {
        format!("{key}: {first}")
    }
}

fn place(choices: &mut Choices<'_>) -> String {
    match choices.below(4) {
        0 => list(choices, "host", HOST_PATTERNS),
        1 => format!("url: '{}'", url_pattern(choices)),
        2 => list(choices, "path", PATH_PATTERNS),
        _ => list(choices, "target", TARGET_PATTERNS),
    }
}

fn url_pattern(choices: &mut Choices<'_>) -> String {
    if choices.seldom(12) {
        return choices.text(&["*", "**"]).to_owned();
    }
    let (scheme, host) = (choices.text(SCHEMES), choices.text(URL_HOST_PATTERNS));
    let (port, path) = (choices.text(PORTS), choices.text(URL_PATH_PATTERNS));
    format!("{scheme}{host}{port}{path}{}", choices.text(QUERY_PATTERNS))
}

fn url(choices: &mut Choices<'_>) -> String {
    if choices.seldom(10) {
        return choices.text(ODD_URLS).to_owned();
    }
    let (scheme, host) = (choices.text(SCHEMES), choices.text(URL_HOSTS));
    let (port, path) = (choices.text(PORTS), choices.text(URL_PATHS));
    format!("{scheme}{host}{port}{path}{}", choices.text(QUERIES))
}

fn body(choices: &mut Choices<'_>, key: &str) -> String {
    let one = |choices: &mut Choices<'_>| {
        let path = json_path(choices);
        let operators = choices.below(3);
        let mut asked: Vec<&str> = Vec::new();
        for _ in 0..operators {
            let next = choices.text(OPERATORS);
            let key = next.split(':').next();
            if !asked.iter().any(|other| other.split(':').next() == key) {
                asked.push(next);
            }
        }
        let asked: String = asked.iter().map(|next| format!(", {next}")).collect();
        format!("{{jsonpath: \"{}\"{asked}}}", path.replace('"', "\\\""))
    };
    let first = one(choices);
    if choices.seldom(5) { format!("{key}: [{first}, {}]", one(choices)) } else { format!("{key}: {first}") }
}

/// A path of those that have a point, or one put together.
fn json_path(choices: &mut Choices<'_>) -> String {
    if choices.below(2) == 0 {
        return choices.text(JSON_PATHS).to_owned();
    }
    let count = 1 + choices.below(3);
    (0..count).fold("$".to_owned(), |path, _| path + choices.text(SEGMENTS))
}

/// A value, at most so deep.
fn json_value(choices: &mut Choices<'_>, depth: usize) -> String {
    let count = |choices: &mut Choices<'_>| 1 + choices.below(3);
    match choices.below(if depth == 0 { 1 } else { 3 }) {
        1 => {
            let elements: Vec<_> = (0..count(choices)).map(|_| json_value(choices, depth - 1)).collect();
            format!("[{}]", elements.join(", "))
        }
        2 => json_object(choices, depth - 1),
        _ => choices.text(JSON_SCALARS).to_owned(),
    }
}

fn json_object(choices: &mut Choices<'_>, depth: usize) -> String {
    let count = 1 + choices.below(3);
    let mut members: Vec<(&str, String)> = Vec::new();
    for _ in 0..count {
        let key = choices.text(JSON_KEYS);
        let value = json_value(choices, depth);
        if !members.iter().any(|(other, _)| *other == key) {
            members.push((key, value));
        }
    }
    let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

/// A body of JSON, or none that is any.
fn json_body(choices: &mut Choices<'_>) -> String {
    if choices.below(2) == 0 { choices.text(JSON_BODIES).to_owned() } else { json_object(choices, 2) }
}

fn form_body(choices: &mut Choices<'_>) -> String {
    if choices.below(2) == 0 {
        return choices.text(FORMS).to_owned();
    }
    let count = 1 + choices.below(3);
    let fields = (0..count).map(|_| format!("{}={}", choices.text(FIELD_NAMES), choices.text(FIELD_VALUES)));
    fields.collect::<Vec<_>>().join("&")
}

fn multipart_body(choices: &mut Choices<'_>) -> String {
    let count = 1 + choices.below(2);
    let parts = (0..count).map(|_| {
        let (head, name) = (choices.text(PART_HEADS), choices.text(FIELD_NAMES));
        format!("--b\r\n{}\r\n\r\n{}\r\n", head.replace("NAME", name), choices.text(FIELD_VALUES))
    });
    let parts: String = parts.collect();
    parts + choices.text(&["--b--", "--b--\r\n", "--b", "--b--x"])
}

fn header(choices: &mut Choices<'_>) -> String {
    format!(
        "headers: {{name: {}{}}}",
        choices.text(&["x-a", "X-A", "x_a", "x-b"]),
        choices.text(HEADER_OPERATORS)
    )
}

fn finding(choices: &mut Choices<'_>) -> Finding {
    Finding {
        rule: choices.text(&["exec.run", "exec.fetch", "cred.read"]).to_owned(),
        category: choices.text(&["running", "other"]).to_owned(),
        severity: 80,
        part: None,
        span: Span::default(),
        message: String::new(),
        advice: String::new(),
    }
}

/// A request with a body.
fn sending(choices: &mut Choices<'_>) -> Action {
    let (content_type, body) = match choices.below(3) {
        0 => ("application/json", json_body(choices)),
        1 => ("application/x-www-form-urlencoded", form_body(choices)),
        _ => ("application/json", json_object(choices, 3)),
    };
    let header = Header { name: "Content-Type".into(), value: content_type.as_bytes().into() };
    let request = Request::new("POST", "https://a.test/v1/x", vec![header], Body::Whole(body.into()));
    let mut action = Action::new(Door::Egress, ActionKind::Url, "ops".into(), "session".into());
    action.effects = request.effects();
    action.request = Some(Arc::new(request));
    action
}

fn action(choices: &mut Choices<'_>) -> Action {
    let kind = choices.pick(
        ActionKind::ToolCall,
        &[
            ActionKind::Url,
            ActionKind::ToolCall,
            ActionKind::Url,
            ActionKind::ModelRequest,
            ActionKind::Outbound,
            ActionKind::ToolResult,
            ActionKind::ModelResponse,
            ActionKind::ProviderCall,
            ActionKind::Unknown,
            ActionKind::Opaque,
        ],
    );
    let door = choices.pick(Door::Model, &[Door::Tools, Door::Egress, Door::Library]);
    let agent: Arc<str> = choices.text(&["ops", "", "OPS", "dev"]).into();
    let mut action = Action::new(door, kind, agent, "session".into());
    action.source = choices.pick(action::Source::Model, &action::Source::ALL);
    match choices.below(8) {
        6 => action.coverage = Coverage::Partial("some".into()),
        7 => action.coverage = Coverage::None("all".into()),
        _ => {}
    }
    match kind {
        ActionKind::Url if !choices.seldom(4) => {
            let request = request(choices);
            action.effects = request.effects();
            action.request = Some(Arc::new(request));
        }
        ActionKind::ToolCall | ActionKind::ProviderCall | ActionKind::Unknown | ActionKind::ToolResult => {
            let name = choices.text(TOOLS).into();
            action.tool = Some(ToolUse { name, declared: true, call_id: "".into() });
            if !choices.seldom(6) {
                let text = json_body(choices).into();
                action.parts = vec![Part { kind: PartKind::Arguments, text }];
            }
            let count = choices.below(4);
            action.effects = (0..count).map(|_| effect(choices)).collect();
        }
        _ => {
            let count = choices.below(2);
            action.effects = (0..count).map(|_| effect(choices)).collect();
        }
    }
    action
}

fn effect(choices: &mut Choices<'_>) -> Effect {
    let target = match choices.below(9) {
        0 => Target::Url(url(choices)),
        1 => {
            let path = choices.text(PATHS).to_owned();
            Target::Path { exact: !path.contains('$'), path }
        }
        2 => {
            let user = choices.text(&["", "", "me@", "a.test@"]);
            Target::Host(format!("{user}{}{}", choices.text(URL_HOSTS), choices.text(PORTS)))
        }
        3 => Target::Program(choices.text(TARGETS).to_owned()),
        4 => Target::Process(choices.text(TARGETS).to_owned()),
        5 if choices.seldom(2) => Target::Other(choices.text(NAMED).to_owned()),
        5 => Target::Other(choices.text(TARGETS).to_owned()),
        6 => Target::Code("import os".to_owned()),
        7 => Target::Input,
        _ => Target::None,
    };
    let (capability, asset) = (choices.below(Capability::ALL.len()), choices.below(AssetClass::ALL.len()));
    Effect {
        capability: Capability::ALL.get(capability).copied().unwrap_or(Capability::Unknown),
        target,
        asset: AssetClass::ALL.get(asset).copied().unwrap_or(AssetClass::Unknown),
        from: if choices.seldom(4) { vec![0] } else { Vec::new() },
        by: "tool".to_owned(),
    }
}

fn request(choices: &mut Choices<'_>) -> Request {
    let method = choices.text(METHODS);
    let url = url(choices);
    let mut headers = Vec::new();
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.as_bytes().into() };
    for _ in 0..choices.below(3) {
        headers.push(header(
            choices.text(&["x-a", "X-A", "x_a", "x-b", "x-http-method-override", "X_Method_Override"]),
            choices.text(&["one", "One", "two", "GET", "delete", "caf\u{e9}", ""]),
        ));
    }
    let (content_type, body) = match choices.below(8) {
        0 => (None, Body::Absent),
        1 => (None, Body::Unknown(Unread::Oversize)),
        2 | 3 => {
            let types =
                ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=utf-8"];
            (Some(choices.text(&types)), Body::Whole(form_body(choices).into()))
        }
        4 => (Some(choices.text(TYPES)), Body::Whole(json_body(choices).into())),
        5 => {
            let types = [
                "multipart/form-data; boundary=b",
                "multipart/form-data;boundary=\"b\"",
                "multipart/form-data",
            ];
            (Some(choices.text(&types)), Body::Whole(multipart_body(choices).into()))
        }
        _ => (Some("application/json"), Body::Whole(json_body(choices).into())),
    };
    headers.extend(content_type.map(|value| header("Content-Type", value)));
    Request::new(method, &url, headers, body)
}
