//! Artefacts, as people are told of them.

use doorward_control::{Artefacts, TaintFound, TaintStep, TaintedArtefact};
use doorward_core::session::taint::id;
use doorward_gateway::sessions::{Artefact, Found, Sessions};

/// The event of a receipt that says that artefacts were cleared.
pub const CLEAR: &str = "taint_clear";

/// The artefacts that were seen last.
pub fn latest(sessions: &Sessions, agent: Option<&str>, limit: usize) -> Artefacts {
    let latest = sessions.latest_artefacts(agent, limit);
    let artefacts = latest.artefacts.iter().map(artefact).collect();
    Artefacts { artefacts, known: latest.known as u64, dropped: latest.dropped }
}

/// What was found, and whether it is cleared.
pub fn told(found: &Found, cleared: bool) -> TaintFound {
    let artefacts = found.itself.iter().map(artefact).collect();
    TaintFound { artefacts, host: found.host.as_ref().map(artefact), cleared }
}

fn artefact(one: &Artefact) -> TaintedArtefact {
    let steps = one.steps.iter().map(|step| TaintStep {
        kind: step.kind.as_str(),
        source: step.source.as_str(),
        by: step.by.clone(),
        place: step.place.clone(),
        first: step.first,
        last: step.last,
        agents: step.agents,
    });
    TaintedArtefact { id: id(one.mark), steps: steps.collect() }
}
