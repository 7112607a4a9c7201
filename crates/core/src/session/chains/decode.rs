//! From YAML to chains, reporting all faults at once.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Chain, Chains, MOST_CHAINS, MOST_STEPS, Play, Step};
use crate::action::{AssetClass, Capability, Source as Cause};
use crate::decision::Verdict;
use crate::detect::destination::{Class, Classes};
use crate::session::Millis;
use crate::session::journal::{Flags, LONGEST_CHAIN};
use crate::syntax::decode::{Fields, one_of};
use crate::syntax::{Diagnostic, Node, Source, Span, yaml};

const VERDICTS: [(&str, Verdict); 3] =
    [("audit", Verdict::Audit), ("ask", Verdict::Ask), ("block", Verdict::Block)];

const FLAGS: [(&str, Flags); 7] = [
    ("tainted", Flags::TAINTED),
    ("returned", Flags::RETURNED),
    ("build-file", Flags::BUILD_FILE),
    ("archive", Flags::ARCHIVE),
    ("fetched", Flags::FETCHED),
    ("late", Flags::LATE),
    ("called", Flags::RETURNED),
];

const NOVEL: [(&str, Flags); 3] =
    [("capability", Flags::NEW_CAPABILITY), ("asset", Flags::NEW_ASSET), ("late", Flags::LATE)];

/// Places that nobody vouches for.
const PLACES: [(&str, Classes); 2] =
    [("outside", Classes::of(Class::Unknown).or(Classes::of(Class::Blocked))), ("anywhere", Classes::ANY)];

pub(super) fn chains(sources: &[Source<'_>]) -> Result<Chains, Vec<Diagnostic>> {
    let (mut set, mut faults, mut known) = (Chains::default(), Vec::new(), HashSet::new());
    for source in sources {
        let (node, mut found) = yaml::read(source.text.as_bytes());
        if let Some(node) = node {
            let mut fields = Fields::of(&node, "a file of chains", &mut found);
            for node in fields.list("chains") {
                if let Some(chain) = chain(node, fields.faults()) {
                    if !known.insert(chain.id.clone()) {
                        fields.fault(node.span, format!("there are two chains `{}`", chain.id), "");
                    }
                    set.chains.push(Arc::new(chain));
                }
            }
            fields.finish();
        }
        faults.extend(found.into_iter().map(|fault| fault.in_origin(source.name)));
    }
    if set.chains.len() > MOST_CHAINS {
        let span = Span::new(0, 0);
        faults.push(Diagnostic::error(span, format!("there are more than {MOST_CHAINS} chains")));
    }
    if faults.is_empty() { Ok(set) } else { Err(faults) }
}

fn chain(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Chain> {
    let mut fields = Fields::of(node, "a chain", faults);
    let id = fields.text("id");
    if let (Some(id), Some(at)) = (id, fields.place("id"))
        && id.len() > LONGEST_CHAIN
    {
        fields.fault(at, format!("`id` is longer than {LONGEST_CHAIN} bytes"), "");
    }
    let severity = fields.whole("severity", 1..=100);
    let verdicts = fields.need("verdict").map(|node| {
        let mut fields = Fields::of(node, "`verdict`", fields.faults());
        let both = (fields.choice("balanced", &VERDICTS), fields.choice("strict", &VERDICTS));
        fields.finish();
        both
    });
    let description = fields.text("description");
    let advice = fields.text("advice");
    let attack: Vec<String> = fields.texts("attack").into_iter().map(|(id, _)| id.to_owned()).collect();
    let window = duration(&mut fields, "window");
    let half_life = duration(&mut fields, "half_life");
    let any_order = fields.maybe_bool("any_order").unwrap_or(false);
    let steps: Vec<Step> = fields.list("steps").iter().map(|node| step(node, fields.faults())).collect();
    let (span, count) = (fields.span(), steps.len());
    if !(1..=MOST_STEPS).contains(&count) {
        fields.fault(span, format!("a chain has 1 to {MOST_STEPS} steps"), "");
    }
    check_steps(&steps, any_order, span, &mut fields);
    let mut plays = |key: &'static str| -> Vec<Vec<Play>> {
        fields.list(key).iter().map(|node| playbook(node, fields.faults())).collect()
    };
    let (examples, near_misses) = (plays("examples"), plays("near_misses"));
    if examples.is_empty() || near_misses.is_empty() {
        fields.fault(span, "a chain needs examples and near misses", "add what it must and must not hit");
    }
    fields.finish();
    let (balanced, strict) = verdicts?;
    Some(Chain {
        id: id?.to_owned(),
        severity: u8::try_from(severity?).ok()?,
        balanced: balanced?,
        strict: strict?,
        description: description?.to_owned(),
        advice: advice?.to_owned(),
        attack,
        window: window?,
        half_life: half_life.unwrap_or(60 * 60 * 1000),
        any_order,
        steps,
        examples,
        near_misses,
    })
}

/// What cannot be looked for as it is written.
fn check_steps(steps: &[Step], any_order: bool, span: Span, fields: &mut Fields<'_, '_>) {
    let Some((last, before)) = steps.split_last() else { return };
    if before.iter().any(|step| step.after > 0 || step.dwell > 0) {
        fields.fault(span, "only the last step may have `after` or `dwell`", "");
    }
    if steps.first().is_some_and(|first| first.shares.is_some() || first.within.is_some() || first.after > 0)
    {
        fields.fault(span, "there is no step before the first that it could refer to", "");
    }
    let named = |name: &str| before.iter().any(|step| step.name == name);
    if any_order {
        let timed = steps.iter().any(|step| step.within.is_some() || step.after > 0);
        if timed
            || before.iter().any(|step| step.shares.is_some())
            || !last.shares.as_deref().is_none_or(named)
        {
            let message = "where steps come in any order only the last may refer to one of them";
            fields.fault(span, message, "leave out `any_order`");
        }
        return;
    }
    for pair in steps.windows(2) {
        let [before, step] = pair else { continue };
        if step.shares.as_deref().is_some_and(|name| name != before.name) {
            fields.fault(span, "`shares` names the step before", format!("write `shares: {}`", before.name));
        }
    }
}

fn step(node: &Node, faults: &mut Vec<Diagnostic>) -> Step {
    let mut fields = Fields::of(node, "a step", faults);
    let words = |all: Vec<&'static str>| -> Vec<(&'static str, u32)> {
        (0u32..).zip(all).map(|(at, word)| (word, 1 << at)).collect()
    };
    let set = |bits: Vec<u32>| bits.into_iter().fold(0, |set, bit| set | bit);
    let capabilities = words(Capability::ALL.iter().map(|one| one.as_str()).collect());
    let assets = words(AssetClass::ALL.iter().map(|one| one.as_str()).collect());
    let sources = words(Cause::ALL.iter().map(|one| one.as_str()).collect());
    let (mut flags, mut without) = (Flags::default(), Vec::new());
    for (word, span) in fields.texts("is") {
        match FLAGS.iter().find(|(known, _)| *known == word) {
            // What was called and has not given anything back yet.
            Some(("called", flag)) => without.push(*flag),
            Some((_, flag)) => flags = flags.or(*flag),
            None => fields.fault(span, format!("`{word}` is no value of `is`"), known(&FLAGS)),
        }
    }
    let place = fields.maybe("place");
    let step = Step {
        name: fields.text("name").unwrap_or_default().to_owned(),
        capabilities: set(fields.choices("capability", &capabilities)),
        assets: set(fields.choices("asset", &assets)),
        sources: set(fields.choices("source", &sources)),
        flags,
        novel: fields.choices("novel", &NOVEL),
        without,
        places: place.and_then(|node| one_of(node, "place", &PLACES, fields.faults())),
        by: fields.texts("by").into_iter().map(|(text, _)| text.to_owned()).collect(),
        shares: fields.maybe_text("shares").map(str::to_owned),
        within: maybe_duration(&mut fields, "within"),
        after: maybe_duration(&mut fields, "after").unwrap_or(0),
        dwell: maybe_duration(&mut fields, "dwell").unwrap_or(0),
    };
    fields.finish();
    step
}

fn known(words: &[(&str, Flags)]) -> String {
    format!("one of: {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "))
}

fn duration(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Millis> {
    let text = fields.text(key)?;
    as_duration(text, key, fields)
}

fn maybe_duration(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Millis> {
    let text = fields.maybe_text(key)?;
    as_duration(text, key, fields)
}

fn as_duration(text: &str, key: &'static str, fields: &mut Fields<'_, '_>) -> Option<Millis> {
    let found = millis(text);
    if let (None, Some(at)) = (found, fields.place(key)) {
        fields.fault(at, format!("`{key}` is no time"), "write `30s`, `5m`, `24h` or `3d`");
    }
    found
}

/// `30s`, `5m`, `24h`, `3d`; at most a year.
fn millis(text: &str) -> Option<Millis> {
    const UNITS: [(char, Millis); 4] = [('s', 1000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let (_, unit) = UNITS.iter().find(|(unit, _)| text.ends_with(*unit))?;
    let number: Millis = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
    number.checked_mul(*unit).filter(|millis| (1..=366 * 86_400_000).contains(millis))
}

fn playbook(node: &Node, faults: &mut Vec<Diagnostic>) -> Vec<Play> {
    if !node.is_array() || node.elements().is_empty() {
        faults.push(Diagnostic::error(node.span, "a playbook is a list of what happens"));
    }
    let mut plays = Vec::new();
    for node in node.elements() {
        let mut fields = Fields::of(node, "a line of a playbook", faults);
        let mut text = |key: &'static str| fields.maybe_text(key).map(str::to_owned);
        let play = [
            text("typed").map(Play::Typed),
            text("command").map(Play::Command),
            text("call").map(Play::Call),
            text("result").map(Play::Result),
            text("wait").and_then(|text| millis(&text)).map(Play::Wait),
            text("learned").map(Play::Learned),
        ];
        let mut said = play.into_iter().flatten();
        match (said.next(), said.next()) {
            (Some(play), None) => plays.push(play),
            _ => {
                let span = fields.span();
                fields.fault(span, "a line of a playbook is one thing that happens", "");
            }
        }
        fields.finish();
    }
    plays
}
