//! Rules about what a request to a model is and says.

use std::sync::Arc;

use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::wire::Protocol;

use crate::support::{Door, message_end, message_start, sse, text};

/// Whether an ordinary request passes a policy with this single rule.
async fn passes(rule: &str) -> bool {
    let answer = sse(&[message_start(), text(0, "hello"), message_end()].concat());
    let door = Door::before(Protocol::Anthropic, answer).await;
    let text = format!("default: allow\nrules: [{{ name: r, deny: {rule} }}]\n");
    let policy = Policy::compile(&[Source { name: "policy.yaml", text: &text }])
        .unwrap_or_else(|faults| panic!("{rule}: {faults:?}"));
    let rules = RuleSet::shipped().unwrap();
    let engine = Engine::new(rules.into(), policy.into(), Surroundings::default());
    door.gateway.put_in_force(Arc::new(engine), Mode::Block);
    let status = door.ask(Protocol::Anthropic, true, &[]).await.status;
    assert_eq!(door.asked.lock().unwrap().len(), usize::from(status == 200));
    status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_can_be_about_requests_to_models() {
    for rule in [
        "{ method: DELETE }",
        "{ body: { jsonpath: $.model, exact: another } }",
        "{ body: { jsonpath: $.max_tokens, min: 1000000 } }",
        "{ body: { jsonpath: '$.messages[99]' } }",
        "{ headers: { name: content-type, prefix: text/ } }",
        "{ headers: { name: x-debug } }",
        "{ headers: { name: doorward-token } }",
    ] {
        assert!(passes(rule).await, "{rule}");
    }
    for rule in [
        "{ method: POST }",
        "{ body: { jsonpath: $.model } }",
        "{ body: { jsonpath: '$.messages[0].role', exact: user } }",
        "{ body: { jsonpath: $.nothing, present: false } }",
        "{ headers: { name: content-type, prefix: application/json } }",
        "{ headers: { name: host } }",
    ] {
        assert!(!passes(rule).await, "{rule}");
    }
}
