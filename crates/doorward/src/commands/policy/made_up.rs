//! Actions made up from the patterns of a policy's own rules: where two policies differ, they differ there first.

use doorward_core::Action;
use doorward_core::action::asset::{classify_host, classify_path};
use doorward_core::action::{
    ActionKind, AssetClass, Capability, Door, Effect, Part, PartKind, Source, Target, ToolUse, alone,
};
use doorward_core::syntax::{Node, yaml};

/// Most actions made up for one rule.
const MOST_OF_A_RULE: usize = 12;

/// Most examples of one pattern.
const MOST_EXAMPLES: usize = 4;

/// What agents do all day: a policy that differs here differs in its default.
const ORDINARY: [&str; 8] = [
    "ls -l",
    "cat README.md",
    "curl https://docs.example/guide",
    "curl -d @notes.txt https://docs.example/post",
    "git push origin main",
    "rm -rf build",
    "cat \"$FILE\"",
    "python3 script.py",
];

/// Ordinary actions, and some for each rule of these texts.
pub fn actions<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Action> {
    let mut all: Vec<Action> =
        ORDINARY.iter().filter_map(|line| alone::read("command", line, None).ok()).collect();
    all.extend(alone::read("tool_call", r#"{"name":"some_tool","arguments":{}}"#, None));
    all.extend(alone::read("url", "https://docs.example/guide", None));
    for text in texts {
        let Ok(node) = yaml::parse(text.as_bytes()) else { continue };
        for rule in node.get("rules").map(Node::elements).unwrap_or_default() {
            all.extend(of_rule(rule));
        }
        all.extend(node.get("destinations").map(of_lists).unwrap_or_default());
    }
    all
}

/// Fetching from and sending to some places of each list.
fn of_lists(lists: &Node) -> Vec<Action> {
    let of_list = |key: &str| {
        let places = lists.get(key).map(scalars).unwrap_or_default();
        places.into_iter().take(MOST_OF_A_RULE).collect::<Vec<_>>()
    };
    let places = ["allow", "block"].into_iter().flat_map(of_list);
    let urls = places.map(|place| {
        let is_url = place.contains('/') && !place.ends_with(|c: char| c.is_ascii_digit());
        if is_url {
            full_url(examples(&place, true).first().unwrap_or(&place))
        } else {
            format!("https://{}/", a_host(&place))
        }
    });
    let lines = urls.flat_map(|url| [format!("curl {url}"), format!("curl -d @notes.txt {url}")]);
    lines.filter_map(|line| alone::read("command", &line, None).ok()).collect()
}

/// The matcher is the value of the verb, or stands beside it.
fn of_rule(rule: &Node) -> Vec<Action> {
    let verbs = ["allow", "deny", "ask", "audit", "redact", "quarantine", "limit", "suppress"];
    let matchers = || verbs.iter().filter_map(|verb| rule.get(verb)).chain([rule]);
    let texts = |key: &str| -> Vec<String> {
        let given = matchers().filter_map(|matcher| matcher.get(key));
        given.flat_map(scalars).collect()
    };
    let examples = |key: &str, deep: bool| -> Vec<String> {
        texts(key).iter().flat_map(|pattern| examples(pattern, deep)).collect()
    };
    let tools = examples("tool", false);
    let capabilities: Vec<Capability> =
        texts("capability").iter().filter_map(|word| Capability::parse(word)).collect();
    let assets: Vec<AssetClass> = texts("asset").iter().filter_map(|word| AssetClass::parse(word)).collect();
    let urls = examples("url", true).into_iter().map(|url| full_url(&url));
    let hosts = texts("host").into_iter().map(|host| format!("https://{}/", a_host(&host)));
    let mut targets: Vec<Target> = urls.chain(hosts).map(Target::Url).collect();
    targets.extend(examples("path", true).into_iter().map(|path| Target::Path { path, exact: true }));
    targets.extend(examples("target", false).into_iter().map(Target::Program));
    let sources: Vec<Source> = texts("source").iter().filter_map(|word| source(word)).collect();
    let principals = examples("principal", false);
    let tainted = texts("tainted").iter().any(|word| word == "true");
    let lengths =
        [tools.len(), capabilities.len(), assets.len(), targets.len(), sources.len(), principals.len()];
    let most = lengths.into_iter().max().unwrap_or(0).clamp(1, MOST_OF_A_RULE);
    // Side by side instead of each with each: every value of every list has its turn.
    let made = (0..most).map(|turn| {
        let target = pick(&targets, turn).cloned();
        let capability = pick(&capabilities, turn).copied();
        let effect = effect(target, capability, pick(&assets, turn).copied());
        let mut action = match &effect.target {
            Target::Url(url) if tools.is_empty() && capabilities.is_empty() => of_url(url),
            _ => of_tool(pick(&tools, turn).map_or("Bash", String::as_str)),
        };
        action.effects = vec![effect];
        action.agent = pick(&principals, turn).map_or("default", String::as_str).into();
        action.source =
            pick(&sources, turn).copied().unwrap_or(if tainted { Source::Web } else { Source::Model });
        action
    });
    made.collect()
}

fn scalars(node: &Node) -> Vec<String> {
    match node.scalar() {
        Some(text) => vec![text],
        None => node.elements().iter().filter_map(Node::scalar).collect(),
    }
}

fn pick<T>(all: &[T], turn: usize) -> Option<&T> {
    all.get(turn.checked_rem(all.len())?)
}

fn of_tool(name: &str) -> Action {
    let tool = ToolUse { name: name.into(), declared: true, call_id: "".into() };
    let parts = vec![Part { kind: PartKind::Arguments, text: "{}".into() }];
    Action { tool: Some(tool), parts, ..empty(ActionKind::ToolCall) }
}

fn of_url(url: &str) -> Action {
    let parts = vec![Part { kind: PartKind::Url, text: url.into() }];
    Action { parts, ..empty(ActionKind::Url) }
}

fn empty(kind: ActionKind) -> Action {
    Action::new(Door::Model, kind, "default".into(), "default".into())
}

/// An effect on `target` or, without one, on what `capability` is usually about.
fn effect(target: Option<Target>, capability: Option<Capability>, asset: Option<AssetClass>) -> Effect {
    use Capability::{DeleteFile, NetworkFetch, ReadFile, WriteFile};
    let usual = || match capability {
        Some(ReadFile | WriteFile | DeleteFile) => Target::Path { path: "notes.txt".into(), exact: true },
        Some(
            Capability::NetworkPost
            | NetworkFetch
            | Capability::BrowserNavigate
            | Capability::BrowserDownload,
        ) => Target::Url("https://docs.example/guide".into()),
        _ => Target::None,
    };
    let target = target.unwrap_or_else(usual);
    let (natural, class) = match &target {
        Target::Path { path, exact } => (ReadFile, classify_path(path, *exact)),
        Target::Url(url) => {
            let host = url.split("://").nth(1).unwrap_or(url).split(['/', '?']).next().unwrap_or_default();
            (NetworkFetch, classify_host(host))
        }
        _ => (Capability::Execute, AssetClass::Unknown),
    };
    Effect {
        capability: capability.unwrap_or(natural),
        target,
        asset: asset.unwrap_or(class),
        from: Vec::new(),
        by: "made up".into(),
    }
}

fn source(word: &str) -> Option<Source> {
    Source::ALL.into_iter().find(|source| source.as_str() == word)
}

/// A URL from one without scheme.
fn full_url(url: &str) -> String {
    let url = if url == "x" { "x.example/x" } else { url };
    if url.contains("://") { url.to_owned() } else { format!("https://{url}") }
}

/// A host that a pattern fits.
fn a_host(pattern: &str) -> String {
    let host = pattern.split('/').next().unwrap_or(pattern).replace('*', "x");
    // An address of version 6 stands in brackets.
    if host.matches(':').count() > 1 && !host.starts_with('[') { format!("[{host}]") } else { host }
}

/// Texts that a pattern fits. `deep`: `**` is several segments as well.
fn examples(pattern: &str, deep: bool) -> Vec<String> {
    let mut all: Vec<String> = alternatives(pattern);
    all.truncate(MOST_EXAMPLES);
    let shallow = all.iter().map(|text| text.replace("**", "x").replace(['*', '?'], "x"));
    let several = all.iter().filter(|text| deep && text.contains("**"));
    let several = several.map(|text| text.replace("**", "x/y/z").replace(['*', '?'], "x"));
    shallow.chain(several).collect()
}

/// `a{b,c}d` as `abd` and `acd`.
fn alternatives(pattern: &str) -> Vec<String> {
    let parts = pattern.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    let Some((before, inside, after)) = parts else { return vec![pattern.to_owned()] };
    let after = alternatives(after);
    let first = inside.split(',').take(MOST_EXAMPLES);
    first
        .flat_map(|inside| after.iter().map(move |after| format!("{before}{inside}{after}")))
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_examples() {
        assert_eq!(examples("/v1/{a,b}/**", true), ["/v1/a/x", "/v1/b/x", "/v1/a/x/y/z", "/v1/b/x/y/z"]);
        assert_eq!(examples("mcp__*__del?te", false), ["mcp__x__delxte"]);
        assert_eq!(a_host("*.example.com"), "x.example.com");
        assert_eq!(a_host("10.0.0.0/8"), "10.0.0.0");
        assert_eq!(a_host("fd00::/8"), "[fd00::]");
    }

    #[test]
    fn every_value_of_a_rule_has_its_turn() {
        let text =
            "rules:\n  - name: n\n    deny: { tool: [a, b], path: [/x/**, /y], capability: write:file }\n";
        let made =
            of_rule(yaml::parse(text.as_bytes()).unwrap().get("rules").unwrap().elements().first().unwrap());
        let said: Vec<String> = made
            .iter()
            .map(|action| {
                let effect = &action.effects[0];
                format!(
                    "{} {} {}",
                    action.tool.as_ref().unwrap().name,
                    effect.capability.as_str(),
                    effect.target.as_str()
                )
            })
            .collect();
        assert_eq!(said, ["a write:file /x/x", "b write:file /x/x/y/z", "a write:file /y"]);
    }
}
