//! Real tasks against a real server, many rounds: what may happen once happens once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::wire::Protocol;
use doorward_gateway::Approvals;
use doorward_gateway::hold::{Answer, Stage};
use doorward_store::GrantScope;

use crate::approvals::{CARE, ONCE, ask, proposing, waiting};
use crate::benign::provider;
use crate::support::{Door, sse};

async fn door(policy: &str) -> (Arc<Door>, Arc<Mutex<Vec<u8>>>) {
    let answer = Arc::default();
    let base = provider(Arc::clone(&answer)).await;
    let approvals = Approvals { always: false, timeout: Duration::from_secs(60) };
    let door = Door::asking(policy, Door::untrusted(Protocol::Anthropic, base), approvals).await;
    (Arc::new(door), answer)
}

/// Asks so often at the same moment; how many got what the provider said.
async fn released(door: &Arc<Door>, times: usize, said: &str) -> usize {
    let asking: Vec<_> = (0..times).map(|_| ask(door)).collect();
    let mut released = 0;
    for asking in asking {
        released += usize::from(asking.await.unwrap().body == said);
    }
    released
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_identical_calls_one_gets_the_one_yes() {
    let (door, answer) = door(CARE).await;
    for round in 0..24 {
        let said = proposing(&format!("make deploy-{round}"));
        *answer.lock().unwrap() = sse(&said);
        // Nobody is there: it is blocked, and allowed afterwards.
        assert_eq!(released(&door, 1, &said).await, 0);
        let (asked, stage) = door.gateway.hold().overview().asks.pop().unwrap();
        assert_eq!(stage, Stage::Missed);
        let answer = door.gateway.hold().answer(&asked.id, ONCE, "unauthenticated", "").await;
        assert!(!answer.unwrap().waiting);
        assert_eq!(released(&door, 6, &said).await, 1, "round {round}");
    }
}

/// Several people answer at the same moment, some yes and some no: one answer counts, and the call does what it says.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_answers_to_one_question_one_counts() {
    let (door, answer) = door(CARE).await;
    let _person = door.gateway.hold().watching();
    let mut yes = 0;
    for round in 0..24 {
        let said = proposing(&format!("make deploy-{round}"));
        *answer.lock().unwrap() = sse(&said);
        let asking = ask(&door);
        let asked = waiting(&door, 1).await;
        let answers: Vec<_> = (0..6)
            .map(|person| {
                let (door, id) = (Arc::clone(&door), asked[0].id.to_string());
                let answer = if (person + round) % 2 == 0 { ONCE } else { Answer::Deny };
                tokio::spawn(async move {
                    door.gateway
                        .hold()
                        .answer(&id, answer, "unauthenticated", "")
                        .await
                        .is_ok()
                        .then_some(answer)
                })
            })
            .collect();
        let mut counted = Vec::new();
        for answer in answers {
            counted.extend(answer.await.unwrap());
        }
        let released = asking.await.unwrap().body == said;
        match counted[..] {
            [Answer::Approve(_)] => assert!(released, "round {round}"),
            [Answer::Deny] => assert!(!released, "round {round}"),
            // A late yes to what was denied is for the next try.
            [Answer::Deny, Answer::Approve(_)] | [Answer::Approve(_), Answer::Deny] if !released => {
                assert_eq!(self::released(&door, 1, &said).await, 1, "round {round}");
            }
            _ => panic!("round {round}: {counted:?}, released: {released}"),
        }
        yes += usize::from(released);
        // What was allowed for the next try is not left for another round.
        assert!(door.gateway.hold().overview().grants.is_empty(), "round {round}");
    }
    assert!((1..24).contains(&yes), "both happened: {yes}");
}

/// While a grant is taken back, calls that use it pass or wait for a person; afterwards none passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_taken_back_lets_nothing_pass_afterwards() {
    let (door, answer) = door(CARE).await;
    for round in 0..8 {
        let said = proposing(&format!("make deploy-{round}"));
        *answer.lock().unwrap() = sse(&said);
        assert_eq!(released(&door, 1, &said).await, 0);
        let (asked, _) = door.gateway.hold().overview().asks.pop().unwrap();
        let session = Answer::Approve(GrantScope::Session);
        door.gateway.hold().answer(&asked.id, session, "unauthenticated", "").await.unwrap();
        let calls: Vec<_> = (0..4).map(|_| ask(&door)).collect();
        let grant = door.gateway.hold().overview().grants[0].id.clone();
        let revoked: Vec<_> = (0..3)
            .map(|_| {
                let (door, grant) = (Arc::clone(&door), grant.clone());
                tokio::spawn(async move {
                    door.gateway.hold().revoke(&grant, "unauthenticated", "").await.is_ok()
                })
            })
            .collect();
        let mut taken = 0;
        for revoked in revoked {
            taken += usize::from(revoked.await.unwrap());
        }
        assert_eq!(taken, 1, "round {round}");
        assert_eq!(released(&door, 3, &said).await, 0, "round {round}");
        for call in calls {
            let reply = call.await.unwrap();
            assert!(
                reply.body == said || reply.body.contains("nobody is there"),
                "round {round}: {}",
                reply.body
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_as_many_pass_as_a_limit_allows() {
    let policy = "default: allow\nrules:\n- { name: l, limit: { calls_per_day: 5, per: agent } }\n";
    for round in 0..4 {
        let (door, answer) = door(policy).await;
        let said = proposing("ls");
        *answer.lock().unwrap() = sse(&said);
        // The call in a reply counts as well as the request for it.
        let passed = released(&door, 12, &said).await;
        let again = released(&door, 2, &said).await;
        let receipts = door.receipts_since(0);
        let allowed = receipts.iter().filter(|receipt| receipt["kind"] == "decision");
        let allowed = allowed.filter(|receipt| receipt["decision"]["verdict"] != "block").count();
        assert!(passed <= 5 && again == 0 && allowed == 5, "round {round}: {passed} {again} {allowed}");
    }
}
