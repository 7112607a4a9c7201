//! The matchers, one by one, in the order of the table in the specification.

use doorward_core::action::{Action, ActionKind, Door, Effect, PartKind, Source, Target};
use doorward_core::detect::Finding;
use doorward_core::detect::destination::Lists;
use doorward_core::syntax::Node;
use doorward_core::url::authority;
use doorward_core::{AssetClass, Capability, Coverage, Facts};

use super::destination::{self, Said};
use super::rule::{Rule, texts};
use super::truth::Truth;
use super::{body, file, glob, host, location, request, window};

/// Everything a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The action.
    pub action: &'a Action,
    /// Its effects, resolved.
    pub effects: &'a [Effect],
    /// The user's home directory.
    pub home: &'a str,
    /// What detectors found.
    pub findings: &'a [Finding],
    /// What else is known.
    pub facts: &'a Facts,
    /// What is known of places.
    pub lists: &'a Lists,
}

/// Conditions that one and the same effect must fulfil.
const ABOUT_EFFECTS: [&str; 7] = ["capability", "asset", "host", "url", "path", "target", "destination"];

/// Conditions on requests.
const ABOUT_REQUESTS: [&str; 3] = ["method", "headers", "body"];

/// What a rule says of each effect (if it is about effects) and of the rest of an action.
#[derive(Clone, Debug)]
pub struct Fit {
    /// What is not about effects.
    pub whole: Truth,
    /// Of each effect; `None` if the rule is not about effects.
    pub effects: Option<Vec<Truth>>,
}

impl Fit {
    /// For a verb that restricts: some effect fulfils all.
    pub fn any(&self) -> Truth {
        let effects = self.effects.as_ref();
        self.whole.and(effects.map_or(Truth::True, |effects| Truth::any(effects.iter().copied())))
    }

    /// For `suppress`: every effect does.
    pub fn every(&self) -> Truth {
        let effects = self.effects.as_ref();
        self.whole.and(effects.map_or(Truth::True, |effects| {
            if effects.is_empty() { Truth::False } else { Truth::all(effects.iter().copied()) }
        }))
    }

    /// Whether effect number `at` surely fits.
    pub fn covers(&self, at: usize) -> bool {
        let effect = self.effects.as_ref().map(|effects| effects.get(at).copied().unwrap_or(Truth::False));
        self.whole.and(effect.unwrap_or(Truth::True)) == Truth::True
    }
}

impl Situation<'_> {
    /// What `rule` says here.
    pub fn fit(&self, rule: &Rule, said: &[Said]) -> Fit {
        // A request that is made later is that of one effect.
        let later = self.action.request.is_none()
            && !matches!(self.action.kind, ActionKind::ModelRequest | ActionKind::Opaque);
        let of_effects = |key: &str| {
            // A request to a model has no tool of its own: each effect of what the provider does has one.
            ABOUT_EFFECTS.contains(&key)
                || key == "tool" && self.action.kind == ActionKind::ModelRequest
                || later && ABOUT_REQUESTS.contains(&key)
        };
        let (effects, whole): (Vec<_>, Vec<_>) = rule.conditions.iter().partition(|(key, _)| of_effects(key));
        let (requests, whole): (Vec<_>, Vec<_>) =
            whole.into_iter().partition(|(key, _)| ABOUT_REQUESTS.contains(&key.as_str()));
        Fit {
            whole: Truth::all(whole.iter().map(|(key, value)| self.of_action(key, value, rule)))
                .and(self.of_request(&requests)),
            effects: (!effects.is_empty()).then(|| {
                let one = |effect| {
                    Truth::all(effects.iter().map(|(key, value)| match key.as_str() {
                        "destination" => self.destination(value, rule, said, effect),
                        key => self.of_effect(key, value, effect),
                    }))
                };
                self.effects.iter().map(one).collect()
            }),
        }
    }

    fn is_call(&self) -> bool {
        matches!(self.action.kind, ActionKind::ToolCall | ActionKind::ProviderCall)
    }

    /// Conditions on the request that an action is.
    fn of_request(&self, conditions: &[(&String, &Node)]) -> Truth {
        match &self.action.request {
            _ if conditions.is_empty() => Truth::True,
            Some(request) => {
                Truth::all(conditions.iter().map(|(key, value)| request::condition(key, value, request)))
            }
            None => Truth::Unknown,
        }
    }

    fn of_action(&self, key: &str, value: &Node, rule: &Rule) -> Truth {
        match key {
            "tool" => self.tool(value),
            "arguments" => self.arguments(value),
            "time_outside" => window::outside(value, rule.get("timezone"), self.facts.now),
            "source" => self.source(value),
            "tainted" => self.tainted(value),
            // In `suppress` this says which findings, and is no condition.
            "finding" if rule.verb == super::rule::Verb::Suppress => Truth::True,
            "finding" => self.finding(value),
            "direction" => Truth::sure(texts(value).contains(&self.direction())),
            "door" => Truth::sure(texts(value).contains(&self.action.door.as_str())),
            "coverage" => Truth::sure(texts(value).contains(&match self.action.coverage {
                Coverage::Full => "full",
                Coverage::Partial(_) => "partial",
                Coverage::None(_) => "none",
            })),
            "principal" => self.principal(value),
            // `timezone` belongs to the window; the rest is what a limit counts and how.
            _ => Truth::True,
        }
    }

    fn tool(&self, value: &Node) -> Truth {
        let Some(tool) = &self.action.tool else { return Truth::False };
        named(value, &tool.name)
    }

    fn principal(&self, value: &Node) -> Truth {
        if self.action.agent.is_empty() { Truth::Unknown } else { named(value, &self.action.agent) }
    }

    fn arguments(&self, value: &Node) -> Truth {
        if !self.is_call() {
            return Truth::False;
        }
        let part = self.action.parts.iter().find(|part| part.kind == PartKind::Arguments);
        match part {
            Some(part) => body::arguments(value, &part.text),
            None => Truth::Unknown,
        }
    }

    fn source(&self, value: &Node) -> Truth {
        let source = self.facts.source.unwrap_or(self.action.source);
        let listed = texts(value).contains(&source.as_str());
        Truth::known(listed, source == Source::Unknown)
    }

    fn tainted(&self, value: &Node) -> Truth {
        let tainted = self.facts.tainted.or(match self.facts.source.unwrap_or(self.action.source) {
            Source::Web | Source::Mcp | Source::Provider => Some(true),
            Source::User | Source::Internal => Some(false),
            Source::Model | Source::LocalFile | Source::Unknown => None,
        });
        match tainted {
            Some(tainted) => Truth::sure(value.as_bool() == Some(tainted)),
            None => Truth::Unknown,
        }
    }

    fn finding(&self, value: &Node) -> Truth {
        let found = self.findings.iter().any(|finding| names(value, finding));
        // What was judged in an earlier turn is not looked at again; what was found there is not remembered.
        let earlier = self.facts.remembered.iter().flatten().any(|block| block.risk > 0);
        Truth::known(found, matches!(self.action.coverage, Coverage::None(_)) || earlier)
    }

    fn direction(&self) -> &'static str {
        let leaves = match self.action.kind {
            ActionKind::ModelRequest | ActionKind::Opaque | ActionKind::Outbound | ActionKind::Url => true,
            ActionKind::ToolCall => self.action.door != Door::Model,
            ActionKind::ProviderCall
            | ActionKind::ModelResponse
            | ActionKind::ToolResult
            | ActionKind::Unknown => false,
        };
        if leaves { "out" } else { "in" }
    }

    fn destination(&self, value: &Node, rule: &Rule, said: &[Said], effect: &Effect) -> Truth {
        let words = texts(value);
        let classes = destination::classes(self, said, rule.level, effect);
        if classes.is_empty() {
            return Truth::False;
        }
        Truth::agree(classes.iter().map(|class| Truth::sure(words.contains(class))))
    }

    fn of_effect(&self, key: &str, value: &Node, effect: &Effect) -> Truth {
        let patterns = texts(value);
        // A tool nobody knows may do anything.
        let anything = Truth::known(false, effect.capability == Capability::Unknown);
        match (key, &effect.target) {
            ("capability", _) => Truth::sure(patterns.contains(&effect.capability.as_str())).or(anything),
            ("asset", target) => Truth::known(
                patterns.contains(&effect.asset.as_str()),
                effect.asset == AssetClass::Unknown && may_be_of_any_class(effect.capability, target),
            ),
            ("host", Target::Url(text) | Target::Host(text)) => match authority(text) {
                Some(at) => Truth::sure(patterns.iter().any(|pattern| host::fits(pattern, &at.host))),
                None => Truth::Unknown,
            },
            ("url", Target::Url(text)) => {
                Truth::any(patterns.iter().map(|pattern| location::fits(pattern, text)))
            }
            ("url", Target::Host(text)) => match authority(text) {
                Some(at) => Truth::known(false, patterns.iter().any(|p| location::is_at(p, &at.host))),
                None => Truth::Unknown,
            },
            // What reaches a host and names none may reach any; what a provider does reaches none of ours.
            ("host" | "url", _) => Truth::known(
                false,
                reaches_hosts(effect.capability) && self.action.kind != ActionKind::ModelRequest,
            ),
            ("path", Target::Path { path, exact }) => {
                Truth::any(patterns.iter().map(|p| file::fits(p, path, *exact, self.home)))
            }
            ("path", _) => anything,
            ("target", Target::Code(_) | Target::Input) => Truth::Unknown,
            ("target", Target::Program(name)) => {
                let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
                named(value, name).or(named(value, last))
            }
            ("target", Target::Process(name) | Target::Other(name)) => named(value, name),
            ("target", Target::None) => anything,
            ("target", _) => Truth::False,
            (key, _) if ABOUT_REQUESTS.contains(&key) => later_request(key, value, effect),
            // `tool`, of what a provider does.
            _ => named(value, &effect.by),
        }
    }
}

/// Whether something of class `unknown` may be of another: what is known and of no class is not.
fn may_be_of_any_class(capability: Capability, target: &Target) -> bool {
    match target {
        Target::Path { exact, .. } => !exact,
        Target::Url(text) | Target::Host(text) => authority(text).is_none(),
        Target::None | Target::Input | Target::Other(_) => capability != Capability::Execute,
        Target::Program(_) | Target::Process(_) | Target::Code(_) => false,
    }
}

const fn reaches_hosts(capability: Capability) -> bool {
    fetches(capability) || matches!(capability, Capability::NetworkPost | Capability::Unknown)
}

const fn fetches(capability: Capability) -> bool {
    use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch};
    matches!(capability, NetworkFetch | BrowserNavigate | BrowserDownload)
}

/// What is known of the request that an effect will make: never that it fits.
fn later_request(key: &str, value: &Node, effect: &Effect) -> Truth {
    let fits = match key {
        "method" if fetches(effect.capability) => {
            let asks = |method: &&str| {
                ["GET", "HEAD", "OPTIONS"].iter().any(|asking| asking.eq_ignore_ascii_case(method))
            };
            Truth::sure(texts(value).iter().any(asks))
        }
        "body" if fetches(effect.capability) => body::absent(value),
        _ => Truth::sure(reaches_hosts(effect.capability)),
    };
    fits.and(Truth::Unknown)
}

/// Whether a name is one of the patterns. What allows minds case and slashes: for it only what is certain counts.
fn named(patterns: &Node, name: &str) -> Truth {
    let patterns = texts(patterns);
    Truth::known(
        patterns.iter().any(|pattern| glob::fits(pattern, name)),
        patterns.iter().any(|pattern| glob::loosely_fits(pattern, name)),
    )
}

/// Whether `value` (ids or categories) names the rule of `finding`.
pub fn names(value: &Node, finding: &Finding) -> bool {
    texts(value)
        .iter()
        .any(|pattern| glob::fits(pattern, &finding.rule) || glob::fits(pattern, &finding.category))
}
