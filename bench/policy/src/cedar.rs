//! Cedar: one `forbid` for each rule. The request and its context are made beforehand and not counted.

use std::fmt::Write as _;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use super::{Case, Taken, body, timed};

pub fn run(case: Case, rules: usize, budget: Duration) -> anyhow::Result<Taken> {
    let mut text = String::from("permit(principal, action, resource);\n");
    for n in 0..rules {
        let _ = match case {
            Case::Body => writeln!(
                text,
                "forbid(principal, action, resource == Endpoint::\"api.example.com/v1/charges\") when {{ context.amount >= {} }};",
                50_001 + n
            ),
            _ => writeln!(
                text,
                "forbid(principal, action, resource == Endpoint::\"api{n}.example.com/v1/charges\");"
            ),
        };
    }
    let begun = Instant::now();
    let policies = PolicySet::from_str(&text)?;
    let prepared = begun.elapsed();
    let authorizer = Authorizer::new();
    let entities = Entities::empty();
    let uid = |text: &str| EntityUid::from_str(text);
    let resource = format!("Endpoint::\"{}/v1/charges\"", case.host(rules));
    let context = Context::from_json_value(serde_json::from_str(&body())?, None)?;
    let request =
        Request::new(uid("Agent::\"a\"")?, uid("Action::\"POST\"")?, uid(&resource)?, context, None)?;
    timed(
        case,
        prepared,
        budget,
        || (),
        |()| {
            let response = authorizer.is_authorized(&request, &policies, &entities);
            Ok(response.decision() == Decision::Deny)
        },
    )
}
