//! The search, compared with one that tries everything.

use proptest::prelude::*;

use super::*;
use crate::action::{AssetClass, Capability, Source as Cause};

fn event(at: Millis, capability: Capability, mark: Mark) -> Event {
    Event {
        at,
        seq: at,
        capability,
        asset: AssetClass::Project,
        source: Cause::Model,
        flags: Flags::default(),
        places: Classes::NONE,
        by: "x".into(),
        call: 0,
        marks: vec![mark],
    }
}

const WORDS: [(Capability, &str); 3] = [
    (Capability::ReadFile, "read:file"),
    (Capability::WriteFile, "write:file"),
    (Capability::Execute, "execute:shell"),
];

/// A chain of three steps; which of them share, and how near the last has to be.
fn chain(kinds: [usize; 3], shares: [bool; 2], within: u64) -> Chains {
    let step = |at: usize| {
        let shared = if at > 0 && shares[at - 1] { format!(", shares: s{}", at - 1) } else { String::new() };
        let within = if at == 2 { format!(", within: {within}s") } else { String::new() };
        format!("      - {{ name: s{at}, capability: {}{shared}{within} }}\n", WORDS[kinds[at]].1)
    };
    let text = format!(
        "chains:\n  - id: c\n    severity: 50\n    verdict: {{ balanced: audit, strict: ask }}\n    description: d\n    \
         advice: a\n    window: 60s\n    half_life: 1h\n    steps:\n{}{}{}    examples:\n      - - command: a\n    \
         near_misses:\n      - - command: b\n",
        step(0),
        step(1),
        step(2)
    );
    Chains::compile(&[Source { name: "c", text: &text }]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Every triple there is.
fn naive(events: &[Event], kinds: [usize; 3], shares: [bool; 2], within: u64) -> bool {
    let Some(now) = events.last().map(|event| event.at) else { return false };
    let last = events.len() - 1;
    let fits = |at: usize, step: usize| events[at].capability == WORDS[kinds[step]].0;
    let shared = |a: usize, b: usize| events[a].marks[0] == events[b].marks[0];
    (0..last).any(|a| {
        (a + 1..last).any(|b| {
            let in_time = now - events[a].at <= 60_000 && now - events[b].at <= (within * 1000).min(60_000);
            let kinds = fits(a, 0) && fits(b, 1) && fits(last, 2);
            kinds && in_time && (!shares[0] || shared(a, b)) && (!shares[1] || shared(b, last))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn finds_what_trying_everything_finds(
        kinds in [0usize..3, 0usize..3, 0usize..3],
        shares in [any::<bool>(), any::<bool>()],
        within in 1u64..40,
        work in proptest::collection::vec((0usize..3, 0u64..3, 0u64..20), 1..14),
    ) {
        let mut at = 1_000_000;
        let events: Vec<Event> = work.iter().map(|(kind, mark, gap)| {
            at += gap * 1000;
            event(at, WORDS[*kind].0, mark + 1)
        }).collect();
        let (own, before) = events.split_last().unwrap();
        let before: Vec<&Event> = before.iter().collect();
        let among = before.iter().fold(Among::default(), |among, event| among.with(event));
        let found = chain(kinds, shares, within).completed(&before, among, std::slice::from_ref(own), 1);
        prop_assert_eq!(!found.is_empty(), naive(&events, kinds, shares, within));
        for one in &found {
            prop_assert_eq!(one.steps.len(), 3);
            prop_assert!(one.steps.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }
    }
}

#[test]
fn what_is_shipped_has_no_faults() {
    let source = Source { name: "chains", text: SHIPPED };
    assert!(
        Chains::compile(&[source]).is_ok_and(|chains| chains.all().len() == Chains::shipped().all().len())
    );
    assert!(Chains::shipped().all().len() >= 20);
}
