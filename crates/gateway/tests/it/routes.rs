//! The route table, walked from the agents' side.

use doorward_core::routes::{Listener, Principal, ROUTES, RouteId};
use doorward_core::wire::Protocol;

use crate::support::{Door, sse};

#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_the_table_opens_without_an_agents_token() {
    let door = Door::before(Protocol::Anthropic, sse("")).await;
    let operator = "op_0000000000000000000000000000000000000000000";
    for route in ROUTES {
        let filled = |token: &str| {
            let pattern = route.pattern.replace("{token}", token).replace("{name}", "anthropic");
            pattern.replace("{id}", "x").replace("{rest}", "v1/messages")
        };
        for token in ["", "x", operator, "%2e%2e"] {
            for method in route.methods {
                let reply = door.send(method, &filled(token), "{}").await;
                // The egress door is closed here, and is opened by signatures: tests/it/egress.rs.
                let closed = printed(route.id) || matches!(route.id, RouteId::Mcp | RouteId::Net);
                let refused = if closed { 404 } else { 401 };
                assert_eq!(reply.status, refused, "{method} {} with {token:?}: {reply:?}", route.pattern);
            }
        }
        match route.listener {
            // A person's route is not served to agents, token or not.
            Listener::Control => {
                let target = format!("/t/{}{}", door.token, filled(""));
                assert_eq!(door.send("GET", &target, "").await.status, 404, "{target}");
            }
            Listener::Data => {
                let principal = if printed(route.id) { Principal::Nobody } else { Principal::Agent };
                assert_eq!(route.principal, principal, "{}", route.pattern);
            }
        }
    }
    assert!(door.asked.lock().unwrap().is_empty());
}

/// What anyone may ask of the egress door.
const fn printed(route: RouteId) -> bool {
    matches!(route, RouteId::ErrorPage | RouteId::DenialKey | RouteId::VerifyDenial)
}
