//! Domains that nobody has a reason to go to.

use crate::action::{Effect, Target};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::canary::{Canaries, DOMAIN, Domain, FREEZES, Response, domain_told};
use crate::url::{authority, host_of};

/// The reason, if an effect leads to such a domain or below it: it would be asked for, whatever is done there.
pub(in crate::engine) fn led_to(effects: &[Effect], canaries: Option<&Canaries>) -> Option<Reason> {
    let canaries = canaries.filter(|canaries| !canaries.domains().is_empty())?;
    let found: Vec<&Domain> = effects.iter().filter_map(|effect| bait(effect, canaries)).collect();
    // Of several the one that more is done for.
    let strict = found.iter().find(|own| own.response == Response::Suspend);
    let domain = strict.or(found.first())?;
    let rule = match domain.response {
        Response::Suspend => DOMAIN,
        Response::Freeze => FREEZES,
    };
    Some(Reason {
        rule: rule.to_owned(),
        layer: Layer::Floor,
        verdict: Verdict::Block,
        severity: 100,
        message: format!("an address of {}", domain_told(domain)),
        advice: String::new(),
        part: None,
    })
}

fn bait<'c>(effect: &Effect, canaries: &'c Canaries) -> Option<&'c Domain> {
    let host = match &effect.target {
        Target::Url(url) => authority(url)?.host.into_owned(),
        Target::Host(host) => {
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            host_of(name).or_else(|| host_of(host))?.into_owned()
        }
        _ => return None,
    };
    canaries.domain_of(&host)
}
