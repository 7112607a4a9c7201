//! Doorward's policy alone: no floor, no detectors.

use std::time::{Duration, Instant};

use doorward_core::action::request::{Body, Header, Request};
use doorward_core::action::{Action, alone};
use doorward_core::decision::Verdict;
use doorward_core::detect::destination::Lists;
use doorward_core::policy::{Given, Policy};
use doorward_core::session::Facts;
use doorward_core::syntax::Source;

use super::{Case, Taken, body, timed, yaml};

pub fn run(case: Case, rules: usize, budget: Duration) -> anyhow::Result<Taken> {
    let text = yaml(case, rules);
    let begun = Instant::now();
    let policy = Policy::compile(&[Source { name: "policy", text: &text }])
        .map_err(|faults| anyhow::anyhow!("{} faults, the first: {:?}", faults.len(), faults.first()))?;
    let prepared = begun.elapsed();
    let url = format!("https://{}/v1/charges", case.host(rules));
    let body = body();
    let facts = Facts::default();
    let fresh = || -> Action {
        let kind = Header { name: "content-type".into(), value: (*b"application/json").into() };
        alone::request(Request::new("POST", &url, vec![kind], Body::Whole(body.clone().into())))
    };
    let lists = Lists::default();
    timed(case, prepared, budget, fresh, |action| {
        let given = Given { effects: &action.effects, home: "/home/dev", findings: &[], facts: &facts, lists: &lists };
        let reasons = policy.evaluate(action, &given);
        Ok(reasons.iter().any(|reason| reason.verdict == Verdict::Block))
    })
}
