//! Changes of rules that would see what walked around them, each tried before it is proposed.
//!
//! A proposal is the whole rule, changed, under an id of its own: beside a shipped rule it adds to it, and what an operator
//! wrote themselves they may replace by it. It stands only if, compiled, every example of the rule still matches, no near
//! miss does, and no ordinary line is hit that the rule does not hit anyway.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use doorward_core::action::{Action, Effect, alone};
use doorward_core::detect::rules::{Example, Rule, RuleSet};
use doorward_core::engine::{Surroundings, examples};
use doorward_core::policy::{Policy, SHIPPED};
use doorward_core::syntax::{Diagnostic, Node, Source, yaml};
use doorward_core::{Engine, Facts};

use super::operators::{Audience, Operator};

mod condition;
use condition::{Widening, encoded};

mod effect;

mod tolerance;
pub use tolerance::Tolerance;

mod written;
use written::{Value, quoted};

/// What developers type all day.
const ORDINARY: &str = include_str!("../../../../core/tests/it/ordinary.txt");

/// The most evasions of one rule that become its examples: more of the same teach nothing.
const MOST_EXAMPLES: usize = 5;

/// The most effects that are tried for one rule.
const MOST_EFFECTS: usize = 24;

/// Of how many changes in each way the proposal is told how many it sees that it was not made for.
const FRESH: u32 = 3;

/// An example said in another way, which its rule does not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evasion {
    /// How it was changed.
    pub operator: Operator,
    /// The example.
    pub example: Example,
    /// What it says now.
    pub text: String,
    /// Whether it is a command whose reading lost an effect.
    pub effect_lost: bool,
}

/// What could be done about the evasions of a rule.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The rule.
    pub rule: String,
    /// The changed rule; `None` if no change could be verified.
    pub change: Option<Change>,
    /// The evasions that it does not see.
    pub left: Vec<Evasion>,
    /// How many there were.
    pub of: usize,
}

impl Proposal {
    /// The same without its change, which did not hold elsewhere.
    #[must_use]
    pub fn refused(mut self) -> Self {
        self.left.splice(0..0, self.change.take().into_iter().flat_map(|change| change.caught));
        self
    }
}

/// A rule that sees more.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its id.
    pub id: String,
    /// What is other about it, in words.
    pub what: Vec<String>,
    /// The evasions that it sees.
    pub caught: Vec<Evasion>,
    /// Of those that were made for the proof alone, how many it sees, and how many there were.
    pub fresh: (usize, usize),
    /// How many ordinary lines it was tried on.
    pub ordinary: usize,
    /// The rule, as an entry of a rule file's list.
    text: String,
}

/// Tries changes of rules.
pub struct Bench<'a> {
    engine: &'a Engine,
    sources: Vec<Source<'a>>,
    policy: Arc<Policy>,
    /// Ordinary lines and near misses of all rules.
    ordinary: Vec<Action>,
}

impl<'a> Bench<'a> {
    /// A bench for the rules of `engine`, which were compiled from `sources`.
    ///
    /// # Errors
    /// The faults of the shipped policy; a test keeps it from having any.
    pub fn new(engine: &'a Engine, sources: Vec<Source<'a>>) -> Result<Self, Vec<Diagnostic>> {
        let lines = ORDINARY.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let lines = lines.filter_map(|line| {
            let (shell, line) = match line.split_once("> ") {
                Some((shell @ ("cmd" | "powershell"), line)) => (Some(shell), line),
                _ => (None, line),
            };
            alone::read("command", line, shell).ok()
        });
        let near = engine.rules().rules().iter().flat_map(|rule| &rule.near_misses);
        let near = near.filter_map(|example| alone::read(example.kind, &example.text, example.shell).ok());
        let policy = Policy::compile(&[Source { name: "shipped policy", text: SHIPPED }])?.into();
        Ok(Self { ordinary: lines.chain(near).collect(), engine, sources, policy })
    }

    /// The change of `rule` that sees most of `evasions`, as far as one can be verified. Ids in `taken` are not given.
    #[must_use]
    pub fn propose(&self, rule: &Rule, evasions: &[Evasion], taken: &BTreeSet<String>) -> Proposal {
        let change = self.subject(rule, evasions, taken).and_then(|subject| subject.best(self));
        let (change, seen) = change.unzip();
        let seen = seen.unwrap_or_default();
        let left = evasions.iter().zip(seen.iter().chain(std::iter::repeat(&false)));
        let left = left.filter(|(_, seen)| !**seen).map(|(evasion, _)| evasion.clone()).collect();
        Proposal { rule: rule.id.clone(), change, left, of: evasions.len() }
    }

    fn subject<'b>(
        &'b self,
        rule: &'b Rule,
        evasions: &'b [Evasion],
        taken: &BTreeSet<String>,
    ) -> Option<Subject<'b>> {
        let source = self.sources.iter().find(|source| *source.name == *rule.origin)?;
        let file = yaml::parse(source.text.as_bytes()).ok()?;
        let id_is = |node: &&Node| node.text("id") == Some(&rule.id);
        let node = file.get("rules")?.elements().iter().find(id_is)?.clone();
        let named = file.get("expressions").map(Node::members).unwrap_or_default().iter();
        let named = named
            .filter_map(|member| Some((member.key.as_str().to_owned(), member.value.as_str()?.to_owned())));
        let names: BTreeSet<&str> = self.engine.rules().rules().iter().map(|rule| rule.id.as_str()).collect();
        let stem = rule.id.rsplit_once("-widened").map_or(rule.id.as_str(), |(stem, _)| stem);
        let mut ids =
            std::iter::once(format!("{stem}-widened")).chain((2..).map(|n| format!("{stem}-widened-{n}")));
        let id = ids.find(|id| !names.contains(id.as_str()) && !taken.contains(id))?;
        Some(Subject { rule, node, named: named.collect(), evasions, id })
    }

    /// The rules of `text`, alone, in force; `None` if they are faulty, or one of their examples is.
    fn tried(&self, text: &str) -> Option<Engine> {
        let rules = Arc::new(RuleSet::compile(&[Source { name: "proposal", text }]).ok()?);
        let sound = examples::mistaken(&rules, |_| true).is_empty();
        sound.then(|| Engine::new(rules, Arc::clone(&self.policy), Surroundings::default()))
    }

    /// Whether no ordinary line is hit by rule `id` of `engine` that `rule` does not hit anyway.
    fn spares_ordinary(&self, engine: &Engine, id: &str, rule: &str) -> bool {
        self.ordinary.iter().all(|action| !hits(engine, action, id) || hits(self.engine, action, rule))
    }
}

fn hits(engine: &Engine, action: &Action, rule: &str) -> bool {
    engine.decide(action, &Facts::default()).reasons.iter().any(|reason| reason.rule == rule)
}

/// One rule and what walked around it.
struct Subject<'a> {
    rule: &'a Rule,
    node: Node,
    named: HashMap<String, String>,
    evasions: &'a [Evasion],
    id: String,
}

/// A condition on its way to a proposal.
#[derive(Clone, Default)]
struct Draft {
    tolerances: Vec<Tolerance>,
    /// What stands beside the widened condition, each with its name.
    beside: Vec<(String, Value)>,
    seen: Vec<bool>,
}

impl Draft {
    fn count(&self) -> usize {
        self.seen.iter().filter(|seen| **seen).count()
    }
}

impl Subject<'_> {
    /// What sees most, and which evasions it sees.
    fn best(&self, bench: &Bench<'_>) -> Option<(Change, Vec<bool>)> {
        let mut best = Draft { seen: vec![false; self.evasions.len()], ..Draft::default() };
        let operators: BTreeSet<Operator> = self.evasions.iter().map(|evasion| evasion.operator).collect();
        let wanted: BTreeSet<Tolerance> =
            operators.iter().filter_map(|operator| Tolerance::against(*operator)).collect();
        // Twice, because one may help only beside another.
        for tolerance in wanted.iter().chain(&wanted) {
            if best.tolerances.contains(tolerance) || best.seen.iter().all(|seen| *seen) {
                continue;
            }
            let mut draft = best.clone();
            draft.tolerances.push(*tolerance);
            self.keep_if_better(bench, draft, &mut best);
        }
        for operator in operators {
            let of = self.evasions.iter().filter(|evasion| evasion.operator == operator);
            let examples: Vec<&str> = of.map(|evasion| evasion.example.text.as_str()).collect();
            let Some(arm) =
                self.node.get("when").and_then(|when| encoded(when, operator, self.kind(), &examples))
            else {
                continue;
            };
            let mut draft = best.clone();
            draft.beside.push((format!("what it looks for as {}", operator.as_str()), arm));
            self.keep_if_better(bench, draft, &mut best);
        }
        for arm in self.effects(&best) {
            if best.seen.iter().all(|seen| *seen) {
                break;
            }
            let mut draft = best.clone();
            draft.beside.push(("an effect".to_owned(), arm));
            self.keep_if_better(bench, draft, &mut best);
        }
        if best.count() == 0 { None } else { self.finished(bench, best) }
    }

    fn kind(&self) -> &'static str {
        self.evasions.first().map_or("command", |evasion| evasion.example.kind)
    }

    fn keep_if_better(&self, bench: &Bench<'_>, mut draft: Draft, best: &mut Draft) {
        let Some(engine) = self.when(&draft).and_then(|when| bench.tried(&self.file(&when, &[]))) else {
            return;
        };
        draft.seen = self.evasions.iter().map(|evasion| self.sees(&engine, evasion)).collect();
        if draft.count() > best.count() && bench.spares_ordinary(&engine, &self.id, &self.rule.id) {
            *best = draft;
        }
    }

    fn sees(&self, engine: &Engine, evasion: &Evasion) -> bool {
        self.sees_text(engine, &evasion.example, &evasion.text)
    }

    fn sees_text(&self, engine: &Engine, example: &Example, text: &str) -> bool {
        alone::read(example.kind, text, example.shell).is_ok_and(|action| hits(engine, &action, &self.id))
    }

    /// Effects of examples that could be named beside what the rule looks for.
    fn effects(&self, best: &Draft) -> Vec<Value> {
        let read = |example: &Example, text: &str| -> Vec<Effect> {
            alone::read(example.kind, text, example.shell).map(|action| action.effects).unwrap_or_default()
        };
        let mut found: Vec<Value> = Vec::new();
        for (evasion, _) in self.evasions.iter().zip(&best.seen).filter(|(_, seen)| !**seen) {
            let example = read(&evasion.example, &evasion.example.text);
            for candidate in effect::candidates(&example, &read(&evasion.example, &evasion.text)) {
                if !found.contains(&candidate) && found.len() < MOST_EFFECTS {
                    found.push(candidate);
                }
            }
        }
        found
    }

    /// The condition of a draft; `None` if it is what it was.
    fn when(&self, draft: &Draft) -> Option<Value> {
        let when = self.node.get("when")?;
        let examples: Vec<&str> = self.evasions.iter().map(|evasion| evasion.example.text.as_str()).collect();
        let evasions: Vec<&str> = self.evasions.iter().map(|evasion| evasion.text.as_str()).collect();
        let widening = Widening {
            tolerances: &draft.tolerances,
            audience: self.evasions.first().and_then(|evasion| Audience::of(&evasion.example))?,
            part: self.kind(),
            named: &self.named,
            examples: &examples,
            evasions: &evasions,
        };
        let wide = widening.of(when);
        if wide.is_none() && draft.beside.is_empty() {
            return None;
        }
        let wide = wide.unwrap_or_else(|| widening.as_it_is(when));
        if draft.beside.is_empty() {
            return Some(wide);
        }
        let arms = std::iter::once(wide).chain(draft.beside.iter().map(|(_, arm)| arm.clone()));
        Some(Value::map([("any", Value::List(arms.collect()))]))
    }

    /// The rule with another condition, and with `more` examples.
    fn entry(&self, when: &Value, more: &[&Evasion]) -> String {
        let rule = self.rule;
        let mut members = vec![
            ("id".to_owned(), Value::text(&self.id)),
            ("category".to_owned(), Value::text(&rule.category)),
            ("severity".to_owned(), Value::Plain(rule.severity.to_string())),
            ("description".to_owned(), Value::text(&rule.description)),
            ("advice".to_owned(), Value::text(&rule.advice)),
            ("attack".to_owned(), Value::texts(rule.attack.iter())),
        ];
        members.extend(self.node.get("audit_in").map(|node| ("audit_in".to_owned(), Value::of(node))));
        members.push(("when".to_owned(), when.clone()));
        let sample = |example: &Example, text: &str| {
            let mut members = vec![(example.kind.to_owned(), Value::text(text))];
            members.extend(example.shell.map(|shell| ("shell".to_owned(), Value::text(shell))));
            Value::Map(members)
        };
        let own = rule.examples.iter().map(|example| sample(example, &example.text));
        let more = more.iter().map(|evasion| sample(&evasion.example, &evasion.text));
        members.push(("examples".to_owned(), Value::List(own.chain(more).collect())));
        let near = rule.near_misses.iter().map(|example| sample(example, &example.text));
        members.push(("near_misses".to_owned(), Value::List(near.collect())));
        let mut out = String::new();
        Value::List(vec![Value::Map(members)]).below(2, &mut out);
        out
    }

    fn file(&self, when: &Value, more: &[&Evasion]) -> String {
        format!("rules:\n{}", self.entry(when, more))
    }

    fn finished(&self, bench: &Bench<'_>, best: Draft) -> Option<(Change, Vec<bool>)> {
        let when = self.when(&best)?;
        let caught = self.evasions.iter().zip(&best.seen).filter(|(_, seen)| **seen);
        let caught: Vec<&Evasion> = caught.map(|(evasion, _)| evasion).collect();
        let more = caught.get(..MOST_EXAMPLES).unwrap_or(&caught);
        // Evasions are examples as well only where they come to what the rule's own examples come to.
        let with_more = bench.tried(&self.file(&when, more)).map(|engine| (engine, more));
        let (engine, more) =
            with_more.or_else(|| Some((bench.tried(&self.file(&when, &[]))?, Default::default())))?;
        let mut what: Vec<String> = best.tolerances.iter().map(|one| one.as_str().to_owned()).collect();
        what.extend(best.beside.iter().map(|(name, _)| name.clone()));
        what.dedup();
        let change = Change {
            id: self.id.clone(),
            what,
            caught: caught.iter().map(|evasion| (*evasion).clone()).collect(),
            fresh: self.fresh(bench, &engine),
            ordinary: bench.ordinary.len(),
            text: self.entry(&when, more),
        };
        Some((change, best.seen))
    }

    /// Of evasions that nobody has seen yet, how many `engine` sees.
    fn fresh(&self, bench: &Bench<'_>, engine: &Engine) -> (usize, usize) {
        let (mut seen, mut all) = (0, 0);
        let is_known = |text: &str| self.evasions.iter().any(|evasion| evasion.text == text);
        super::run(
            bench.engine,
            |rule| rule.id == self.rule.id,
            u64::MAX,
            FRESH,
            |trial| {
                if trial.fate == super::Fate::Missed && !is_known(&trial.text) {
                    all += 1;
                    seen += usize::from(self.sees_text(engine, trial.example, &trial.text));
                }
                true
            },
        );
        (seen, all)
    }
}

/// Proposals as a rule file: what could be verified as rules, all else in comments.
#[must_use]
pub fn file(proposals: &[Proposal]) -> String {
    let mut out = String::from(
        "# Proposals of `doorward fuzz`: rules that see what walked around others. Nothing reads this file until a person\n\
         # puts it into the folder `rules` of DOORWARD_HOME. Read each change first. Beside a shipped rule the changed one\n\
         # adds to it; a rule of your own may as well take over the new `when`. `doorward rules check FILE` tries it all.\n",
    );
    let changed: Vec<_> =
        proposals.iter().filter_map(|proposal| Some((proposal, proposal.change.as_ref()?))).collect();
    out.push_str(if changed.is_empty() { "rules: []\n" } else { "rules:\n" });
    for (proposal, change) in &changed {
        let _ = writeln!(
            out,
            "  # Of {}, changed: {}.\n  # Sees {} of {} evasions that were found, and {} of {} others; none of {} ordinary lines and near misses more.",
            quoted(&proposal.rule),
            change.what.join(", "),
            change.caught.len(),
            proposal.of,
            change.fresh.0,
            change.fresh.1,
            change.ordinary
        );
        let _ = writeln!(out, "{}", change.text);
    }
    if proposals.iter().any(|proposal| !proposal.left.is_empty()) {
        out.push_str("# What no change sees that could be verified:\n");
    }
    for proposal in proposals {
        for evasion in &proposal.left {
            let why = if evasion.effect_lost {
                "; its reading has lost an effect, which is no matter of the rule"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "# - {} ({}{why}): {}",
                quoted(&proposal.rule),
                evasion.operator.as_str(),
                quoted(&evasion.text)
            );
        }
    }
    out
}
