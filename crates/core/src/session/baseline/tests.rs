//! What is learnt, and what is told of it.

use super::*;
use crate::action::Target;

fn effect(capability: Capability, asset: AssetClass) -> Effect {
    Effect { capability, target: Target::None, asset, from: Vec::new(), by: String::new() }
}

fn learnt() -> Baseline {
    let mut baseline = Baseline::default();
    for n in 0..LEARNING_CALLS {
        baseline.learn(&[effect(Capability::ReadFile, AssetClass::Project)], 1_000_000 + n * 20_000);
    }
    baseline
}

const LATER: Millis = 1_000_000 + LEARNING_CALLS * 20_000;

fn score(
    baseline: &Baseline,
    capability: Capability,
    asset: AssetClass,
    source: Source,
    tainted: bool,
) -> u8 {
    baseline.judge(&[effect(capability, asset)], source, tainted, LATER, Learning::default()).score
}

#[test]
fn it_learns_for_so_long_and_so_many_actions() {
    let learning = Learning::default();
    let mut baseline = Baseline::default();
    assert!(baseline.is_learning(u64::MAX, learning));
    // Many at once are no habit, and neither are few over years.
    for _ in 0..100 {
        baseline.learn(&[], 5);
    }
    assert!(
        baseline.is_learning(5 + LEARNING - 1, learning) && !baseline.is_learning(5 + LEARNING, learning)
    );
    let mut few = Baseline::default();
    few.learn(&[], 5);
    assert!(few.is_learning(5 + 1000 * LEARNING, learning));
    let anything = [effect(Capability::Execute, AssetClass::Wallet)];
    assert_eq!(few.judge(&anything, Source::Web, true, 5 + LEARNING, learning), Anomaly::default());
}

#[test]
fn the_score_has_named_parts_and_needs_something_new() {
    let baseline = learnt();
    use AssetClass::{Project, Wallet};
    use Capability::{NetworkPost, ReadFile, WriteFile};
    assert_eq!(score(&baseline, ReadFile, Project, Source::Web, true), 0);
    assert_eq!(score(&baseline, WriteFile, Project, Source::Model, false), 30);
    assert_eq!(score(&baseline, NetworkPost, Project, Source::Model, false), 50);
    assert_eq!(score(&baseline, ReadFile, Wallet, Source::Model, false), 40);
    assert_eq!(score(&baseline, NetworkPost, Wallet, Source::Web, true), 100);
    let all = baseline.judge(&[effect(NetworkPost, Wallet)], Source::Web, true, LATER, Learning::default());
    assert_eq!(all.parts.iter().map(|(_, share)| u32::from(*share)).sum::<u32>(), 115);
    assert!(all.escalates);
}

#[test]
fn what_is_new_is_told_once() {
    let mut baseline = learnt();
    let new = [effect(Capability::NetworkPost, AssetClass::External)];
    assert!(baseline.judge(&new, Source::Model, false, LATER, Learning::default()).score > 0);
    baseline.learn(&new, LATER);
    assert_eq!(baseline.judge(&new, Source::Model, false, LATER, Learning::default()).score, 0);
    assert_eq!(baseline.capabilities().collect::<Vec<_>>(), [Capability::ReadFile, Capability::NetworkPost]);
    assert_eq!(baseline.assets().collect::<Vec<_>>(), [AssetClass::External, AssetClass::Project]);
    assert_eq!(Baseline::decode(&baseline.encode()), Ok(baseline));
    assert!(Baseline::decode(&[&baseline.encode()[..], &[0]].concat()).is_err());
}
