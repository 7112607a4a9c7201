//! Limits, use by use: a list of all uses and no more, gone through each time.
//!
//! That a limit has at most 10,000 counters is not here.

use std::collections::{BTreeMap, BTreeSet};

use doorward_core::Verdict;
use doorward_core::action::{ActionKind, Capability, Target};
use doorward_core::syntax::{Kind, Node};
use doorward_core::url::{Url, authority};
use doorward_core::usage::Asked;

use super::destination::Said;
use super::matcher::Situation;
use super::rule::{Rule, Verb};
use super::truth::Truth;
use super::{Reference, body, glob, goes_out, request};

/// Every use so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    uses: Vec<Use>,
    /// The latest time of each limit's counters.
    latest: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
struct Use {
    counter: String,
    slot: u64,
    amount: u128,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// The strongest verdict of all rules, limits among them.
    pub verdict: Verdict,
    /// Every rule that gives a reason.
    pub speaks: BTreeSet<String>,
}

/// A request whose reply has not ended: the limits that count it then.
#[derive(Clone, Debug, Default)]
pub struct Running(Vec<(Charge, Option<[u128; 4]>)>);

/// Tokens: all input, cached input, input written to a cache, output.
pub type Tokens = [u128; 4];

#[derive(Clone, Debug)]
struct Charge {
    rule: String,
    counter: String,
    group: String,
    window: u64,
    most: u128,
    amount: u128,
}

const UNITS: [&str; 4] = ["calls", "bytes", "tokens", "money"];

const WINDOWS: [(&str, u64); 4] =
    [("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];

/// "A window is divided into 50 equal slots."
const SLOTS: u64 = 50;

impl Reference {
    /// What becomes of an action, and if it goes on, counts it.
    pub fn count(&self, tally: &mut Tally, here: &Situation<'_>) -> (Ruled, Running) {
        let answer = self.judge(here);
        let mut ruled = Ruled { verdict: answer.verdict, speaks: answer.speaks };
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for rule in self.limits_on(here) {
            let (unit, window, most) = rate(rule);
            let asks = here.action.asked != Asked::Nothing;
            match unit {
                "tokens" | "money" if !asks => continue,
                "money" if self.price(&here.action.asked).is_none() => {
                    ruled.verdict = Verdict::Block;
                    ruled.speaks.insert(rule.name.clone());
                    continue;
                }
                _ => {}
            }
            let bytes: usize = here.action.parts.iter().map(|part| part.text.len()).sum();
            let amount = match unit {
                "calls" => 1,
                "bytes" => bytes as u128,
                _ => 0,
            };
            let group = group(rule, unit, window);
            for key in keys(rule, here, &self.destinations) {
                let (counter, group) = (format!("{group} {key}"), group.clone());
                let charge = Charge { rule: rule.name.clone(), counter, group, window, most, amount };
                match unit {
                    "tokens" => later.push((charge.clone(), None)),
                    "money" => later.push((charge.clone(), self.price(&here.action.asked))),
                    _ => {}
                }
                now.push(charge);
            }
        }
        if ruled.verdict >= Verdict::Redact {
            return (ruled, Running::default());
        }
        let time = here.facts.now;
        for charge in &now {
            if tally.used(charge, time) + charge.amount.max(1) > charge.most {
                ruled.verdict = Verdict::Block;
                ruled.speaks.insert(charge.rule.clone());
            }
        }
        if ruled.verdict == Verdict::Block {
            return (ruled, Running::default());
        }
        // Limits that share counters see each use once.
        let mut by_counter: BTreeMap<&str, &Charge> = BTreeMap::new();
        for charge in &now {
            let known = by_counter.entry(&charge.counter).or_insert(charge);
            if charge.amount > known.amount {
                *known = charge;
            }
        }
        by_counter.values().for_each(|charge| tally.add(charge, charge.amount, time));
        (ruled, Running(later))
    }

    fn limits_on<'a>(&'a self, here: &'a Situation<'_>) -> impl Iterator<Item = &'a Rule> {
        let fits = |rule: &&Rule| {
            rule.verb == Verb::Limit
                && goes_out(here.action.kind)
                && here.fit(rule, &self.destinations).any() != Truth::False
        };
        self.rules.iter().filter(fits)
    }

    /// Billionths for a million tokens, in the order of [`Tokens`]: of all that name the model the highest.
    fn price(&self, asked: &Asked) -> Option<[u128; 4]> {
        let Asked::Model(model) = asked else { return None };
        let of_price = |price: &Node| -> Option<[u128; 4]> {
            let input = billionths(price.get("input")?)?;
            let or_input = |key| price.get(key).map_or(Some(input), billionths);
            glob::fits(price.text("model")?, model).then_some(())?;
            Some([
                input,
                or_input("cached_input")?,
                or_input("cache_write")?,
                billionths(price.get("output")?)?,
            ])
        };
        let all = self.prices.iter().filter_map(of_price);
        all.reduce(|a, b| std::array::from_fn(|at| a.get(at).max(b.get(at)).copied().unwrap_or_default()))
    }
}

impl Tally {
    /// The reply to a request has ended at `time`, having used so much.
    pub fn ended(&mut self, running: &Running, [input, cached, written, output]: Tokens, time: u64) {
        for (charge, price) in &running.0 {
            let amount = match price {
                None => input + output,
                Some([plain, from_cache, to_cache, out]) => {
                    let rest = input - cached - written;
                    (rest * plain + cached * from_cache + written * to_cache + output * out)
                        .div_ceil(1_000_000)
                }
            };
            self.add(charge, amount, time);
        }
    }

    fn used(&self, charge: &Charge, time: u64) -> u128 {
        let now = time.max(self.latest.get(&charge.group).copied().unwrap_or_default());
        let width = charge.window / SLOTS;
        // "Until all of the slot is older than the window."
        let counts = |used: &&Use| used.slot * width + (width - 1) + charge.window >= now;
        let own = self.uses.iter().filter(|used| used.counter == charge.counter);
        own.filter(counts).map(|used| used.amount).sum()
    }

    fn add(&mut self, charge: &Charge, amount: u128, time: u64) {
        if amount == 0 {
            return;
        }
        // "Time that goes backwards stands still."
        let latest = self.latest.entry(charge.group.clone()).or_default();
        *latest = time.max(*latest);
        let slot = *latest / (charge.window / SLOTS);
        self.uses.push(Use { counter: charge.counter.clone(), slot, amount });
    }
}

/// Unit, window and how much.
fn rate(rule: &Rule) -> (&'static str, u64, u128) {
    for unit in UNITS {
        for (word, window) in WINDOWS {
            if let Some(most) = rule.get(&format!("{unit}_per_{word}")) {
                let most = if unit == "money" { billionths(most) } else { most.as_u64().map(u128::from) };
                return (unit, window, most.unwrap_or_default());
            }
        }
    }
    ("calls", 1_000, 0)
}

/// Whose counters: its own, or those it shares.
fn group(rule: &Rule, unit: &str, window: u64) -> String {
    let text = |key| rule.get(key).and_then(Node::as_str).unwrap_or_default();
    let whose = match rule.get("shared").and_then(Node::as_str) {
        Some(shared) => format!("shared {shared:?}"),
        None => format!("own {:?}", rule.name),
    };
    format!("{whose} {unit} {window} {:?} {:?}", text("per"), text("field"))
}

/// Which of its counters.
fn keys(rule: &Rule, here: &Situation<'_>, said: &[Said]) -> BTreeSet<String> {
    match rule.get("per").and_then(Node::as_str).unwrap_or("global") {
        "agent" | "key" => [here.action.agent.to_string()].into(),
        "session" => [here.action.session.to_string()].into(),
        "endpoint" => endpoints(rule, here, said),
        "body_field" => {
            let field = rule.get("field").and_then(Node::as_str).unwrap_or_default();
            [value(field, here).map_or("none".to_owned(), |value| format!("value {value}"))].into()
        }
        _ => [String::new()].into(),
    }
}

fn endpoints(rule: &Rule, here: &Situation<'_>, said: &[Said]) -> BTreeSet<String> {
    let fit = here.fit(rule, said);
    let is_about = |at: usize| {
        fit.effects.as_ref().is_none_or(|effects| effects.get(at).is_none_or(|truth| *truth != Truth::False))
    };
    let mut found = BTreeSet::new();
    for (at, effect) in here.effects.iter().enumerate() {
        let place = match &effect.target {
            _ if !is_about(at) => continue,
            Target::Url(text) => Url::parse(text).ok().and_then(|url| {
                let mut readings = url.path.readings();
                let (first, second) = (readings.next()?, readings.next());
                let path = first.iter().collect::<Vec<_>>().join("/").to_lowercase();
                second.is_none().then(|| format!("url {} {path}", url.host))
            }),
            Target::Host(text) => authority(text).map(|at| format!("host {}", at.host)),
            // What reaches a host, or may, and names none; but for what a provider does.
            _ if reaches(effect.capability) && here.action.kind != ActionKind::ModelRequest => None,
            _ => continue,
        };
        found.insert(place.unwrap_or_else(|| "unreadable".to_owned()));
    }
    if found.is_empty() {
        found.insert(match &here.action.tool {
            Some(tool) => format!("tool {}", tool.name),
            None => format!("peer {}", here.action.peer),
        });
    }
    found
}

const fn reaches(capability: Capability) -> bool {
    use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
    matches!(capability, NetworkFetch | NetworkPost | BrowserNavigate | BrowserDownload | Unknown)
}

/// The value of a field, if it is one that can be read.
fn value(field: &str, here: &Situation<'_>) -> Option<String> {
    match &here.action.request {
        Some(request) => body::single(field, request::content(request)),
        None => {
            let part = here.action.parts.iter();
            let mut part = part.filter(|part| part.kind == doorward_core::action::PartKind::Arguments);
            body::single(field, body::of_arguments(&part.next()?.text))
        }
    }
}

/// A decimal of the policy in billionths.
fn billionths(node: &Node) -> Option<u128> {
    let Kind::Number(text) = &node.kind else { return None };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 9 + exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    if shift >= 0 { digits.checked_mul(power) } else { Some(digits / power) }
}
