//! Every route of both listeners: who may come, with which method, to which path.
//!
//! A route that is served but not listed cannot exist: both listeners ask [`find`] and dispatch by an
//! exhaustive `match` on [`RouteId`]. So one table answers the question an auditor asks first, which
//! doors an agent's token opens, and one test walks it.
//!
//! Paths are compared byte for byte. Nothing is decoded, merged or resolved before the comparison: a
//! listener that normalises what the next reader does not is how `/t/x/%2e%2e/v1/kill` gets through.

/// Which socket a route is served on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Where agents come.
    Data,
    /// Where people come.
    Control,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Anyone who reaches the socket. Health, and on the data listener what is printed in every refusal and whether it is
    /// ours: such an answer tells nothing else.
    Nobody,
    /// An agent, by the token in its path, or by what it signs its calls with.
    Agent,
    /// A person, by the operator's token. Never an agent's.
    Operator,
}

/// What a route is for. Listeners match on it exhaustively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteId {
    /// The model door, Anthropic's protocol.
    Anthropic,
    /// The model door, OpenAI's protocol.
    Openai,
    /// The model door, Gemini's protocol.
    Gemini,
    /// The model door, an upstream by the name it has in the configuration.
    Upstream,
    /// The egress door: tools over JSON-RPC.
    Mcp,
    /// The egress door: one request.
    Net,
    /// The page about a code of the egress door.
    ErrorPage,
    /// The key by which proofs of refusals are checked.
    DenialKey,
    /// Whether a proof of a refusal is ours.
    VerifyDenial,
    /// The process is alive.
    Health,
    /// The process can do its work: the ledger appends.
    Ready,
    /// Stop everything or one agent.
    Kill,
    /// Let it run again.
    Resume,
    /// What is in force.
    Status,
    /// The latest receipts.
    Receipts,
    /// One receipt.
    Receipt,
    /// Sessions, and what is done to one.
    Sessions,
    /// Artefacts that untrusted content has left, and what is done about one.
    Taint,
    /// What waits for a person, and what people have allowed.
    Approvals,
    /// What is held instead of written, and what people do about it.
    Quarantine,
    /// One thing that is held, whole.
    Held,
    /// One question to a person, whole.
    Approval,
    /// A person says yes.
    Approve,
    /// A person says no.
    Deny,
    /// A person takes a yes back.
    Revoke,
    /// Keys and credits, and what a person does to them.
    Keys,
    /// Webhooks and their messages, and what a person does to them.
    Webhooks,
    /// A webhook gets another secret.
    WebhookRotate,
    /// What is kept and for how long, and what a person does about it.
    Upkeep,
    /// A person wants to be asked again what they denied repeatedly.
    Reset,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it is for.
    pub id: RouteId,
    /// Where it is served.
    pub listener: Listener,
    /// Who may use it.
    pub principal: Principal,
    /// The methods it takes, in upper case. Methods are case-sensitive (RFC 9110, 9.1).
    pub methods: &'static [&'static str],
    /// The path. `{token}`, `{name}` and `{id}` stand for one plain segment each (see [`find`]),
    /// a last `{rest}` for anything at all, slashes and the empty text included.
    pub pattern: &'static str,
}

/// What a model provider's interface uses; `CONNECT`, `OPTIONS` and `TRACE` have no business there.
const FORWARDED: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

const fn data(id: RouteId, pattern: &'static str) -> Route {
    Route { id, listener: Listener::Data, principal: Principal::Agent, methods: FORWARDED, pattern }
}

const fn calls(id: RouteId, pattern: &'static str) -> Route {
    Route { id, listener: Listener::Data, principal: Principal::Agent, methods: &["POST"], pattern }
}

const fn printed(id: RouteId, pattern: &'static str) -> Route {
    Route { id, listener: Listener::Data, principal: Principal::Nobody, methods: &["GET"], pattern }
}

const fn control(
    id: RouteId,
    principal: Principal,
    methods: &'static [&'static str],
    pattern: &'static str,
) -> Route {
    Route { id, listener: Listener::Control, principal, methods, pattern }
}

/// The table.
///
/// The routes of the model door stand here twice, with and without a token: a client that was given
/// the bare address is answered 401 with the line to use, instead of a 404 that explains nothing.
pub const ROUTES: &[Route] = &[
    data(RouteId::Anthropic, "/t/{token}/anthropic/{rest}"),
    data(RouteId::Openai, "/t/{token}/openai/{rest}"),
    data(RouteId::Gemini, "/t/{token}/gemini/{rest}"),
    data(RouteId::Upstream, "/t/{token}/upstreams/{name}/{rest}"),
    data(RouteId::Anthropic, "/anthropic/{rest}"),
    data(RouteId::Openai, "/openai/{rest}"),
    data(RouteId::Gemini, "/gemini/{rest}"),
    data(RouteId::Upstream, "/upstreams/{name}/{rest}"),
    Route { methods: &["POST", "DELETE"], ..calls(RouteId::Mcp, "/mcp") },
    calls(RouteId::Net, "/v1/net"),
    Route { principal: Principal::Nobody, ..calls(RouteId::VerifyDenial, "/v1/verify-denial") },
    printed(RouteId::ErrorPage, "/docs/errors/{name}"),
    printed(RouteId::DenialKey, "/.well-known/sphyr-signing-key.json"),
    control(RouteId::Health, Principal::Nobody, &["GET"], "/healthz"),
    control(RouteId::Ready, Principal::Nobody, &["GET"], "/readyz"),
    control(RouteId::Kill, Principal::Operator, &["POST"], "/v1/kill"),
    control(RouteId::Resume, Principal::Operator, &["POST"], "/v1/resume"),
    control(RouteId::Status, Principal::Operator, &["GET"], "/v1/status"),
    control(RouteId::Receipts, Principal::Operator, &["GET"], "/v1/receipts"),
    control(RouteId::Receipt, Principal::Operator, &["GET"], "/v1/receipts/{id}"),
    control(RouteId::Sessions, Principal::Operator, &["GET", "POST"], "/v1/sessions"),
    control(RouteId::Taint, Principal::Operator, &["GET", "POST"], "/v1/taint"),
    control(RouteId::Quarantine, Principal::Operator, &["GET", "POST"], "/v1/quarantine"),
    control(RouteId::Held, Principal::Operator, &["GET"], "/v1/quarantine/{id}"),
    control(RouteId::Keys, Principal::Operator, &["GET", "POST"], "/v1/keys"),
    control(RouteId::Webhooks, Principal::Operator, &["GET", "POST"], "/v1/webhooks"),
    control(RouteId::WebhookRotate, Principal::Operator, &["POST"], "/v1/console/webhooks/{id}/rotate"),
    control(RouteId::Upkeep, Principal::Operator, &["POST"], "/v1/upkeep"),
    control(RouteId::Approvals, Principal::Operator, &["GET"], "/v1/approvals"),
    control(RouteId::Approval, Principal::Operator, &["GET"], "/v1/approvals/{id}"),
    control(RouteId::Approve, Principal::Operator, &["POST"], "/v1/approvals/{id}/approve"),
    control(RouteId::Deny, Principal::Operator, &["POST"], "/v1/approvals/{id}/deny"),
    control(RouteId::Revoke, Principal::Operator, &["POST"], "/v1/approvals/{id}/revoke"),
    control(RouteId::Reset, Principal::Operator, &["POST"], "/v1/approvals/{id}/reset"),
];

/// A route and what its pattern captured, as slices of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched<'p> {
    /// The line of the table.
    pub route: &'static Route,
    /// The agent's token; `None` on the routes without one. Not verified here. A secret.
    pub token: Option<&'p str>,
    /// The upstream's name.
    pub name: Option<&'p str>,
    /// The id of a receipt, of a question, or of something held.
    pub id: Option<&'p str>,
    /// Everything behind the fixed part, without its leading slash. Whoever forwards it judges it.
    pub rest: Option<&'p str>,
}

/// What [`find`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// This route.
    Route(Matched<'p>),
    /// The path is known, the method is not; these are, for the `Allow` header (RFC 9110, 10.2.1).
    MethodNotAllowed(&'static [&'static str]),
    /// No such path.
    NotFound,
}

/// Finds the route of a request.
///
/// `path` is the path as it came on the wire, without query: not decoded, not normalised. Captured
/// segments are of 1 to 128 unreserved characters (RFC 3986, 2.3), so without percent escapes, and are
/// not `.` or `..`; only `{rest}` is free. Costs one pass over the path per route, allocates nothing.
#[must_use]
pub fn find<'p>(listener: Listener, method: &str, path: &'p str) -> Found<'p> {
    let mut allowed = None;
    for route in ROUTES.iter().filter(|route| route.listener == listener) {
        let Some(matched) = match_path(route, path) else { continue };
        if route.methods.contains(&method) {
            return Found::Route(matched);
        }
        allowed = allowed.or(Some(route.methods));
    }
    allowed.map_or(Found::NotFound, Found::MethodNotAllowed)
}

fn match_path<'p>(route: &'static Route, path: &'p str) -> Option<Matched<'p>> {
    let mut matched = Matched { route, token: None, name: None, id: None, rest: None };
    let (mut pattern, mut path) = (route.pattern.strip_prefix('/')?, path.strip_prefix('/')?);
    loop {
        if pattern == "{rest}" {
            matched.rest = Some(path);
            return Some(matched);
        }
        let (want, more_pattern) = first_segment(pattern);
        let (have, more_path) = first_segment(path);
        match want {
            "{token}" => matched.token = Some(plain(have)?),
            "{name}" => matched.name = Some(plain(have)?),
            "{id}" => matched.id = Some(plain(have)?),
            fixed if fixed == have => {}
            _ => return None,
        }
        match (more_pattern, more_path) {
            (None, None) => return Some(matched),
            (Some(next_pattern), Some(next_path)) => (pattern, path) = (next_pattern, next_path),
            _ => return None,
        }
    }
}

/// The text before the first slash, and what follows it; `None` if there is no slash.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, more)) => (segment, Some(more)),
        None => (path, None),
    }
}

/// The segment, if every reader would read it alike.
fn plain(segment: &str) -> Option<&str> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let fits = (1..=128).contains(&segment.len()) && segment.bytes().all(unreserved);
    (fits && segment != "." && segment != "..").then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(listener: Listener, method: &str, path: &'static str) -> Matched<'static> {
        match find(listener, method, path) {
            Found::Route(matched) => matched,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn example(pattern: &str) -> String {
        pattern
            .replace("{token}", "dw_x")
            .replace("{name}", "lab")
            .replace("{id}", "r1")
            .replace("{rest}", "v1/x")
    }

    #[test]
    fn captures_are_slices_of_the_path() {
        let matched = route(Listener::Data, "POST", "/t/dw_a-B_9/anthropic/v1/messages");
        assert_eq!(matched.route.id, RouteId::Anthropic);
        assert_eq!((matched.token, matched.rest), (Some("dw_a-B_9"), Some("v1/messages")));
        let matched = route(Listener::Data, "POST", "/t/dw_a/upstreams/lab/v1//../x%2f");
        assert_eq!((matched.name, matched.rest), (Some("lab"), Some("v1//../x%2f")));
        assert_eq!(route(Listener::Data, "GET", "/t/dw_a/openai/").rest, Some(""));
        assert_eq!(route(Listener::Control, "GET", "/v1/receipts/01J").id, Some("01J"));
    }

    #[test]
    fn a_model_route_without_token_is_an_agents_route() {
        for path in [
            "/anthropic/v1/messages",
            "/openai/v1/chat/completions",
            "/gemini/v1beta/models",
            "/upstreams/lab/v1",
        ] {
            let matched = route(Listener::Data, "POST", path);
            assert_eq!((matched.token, matched.route.principal), (None, Principal::Agent), "{path}");
        }
    }

    #[test]
    fn paths_that_readers_could_read_differently_are_unknown() {
        for path in [
            "",
            "v1/kill",
            "//v1/kill",
            "/v1//kill",
            "/v1/kill/",
            "/v1/./kill",
            "/v1/x/../kill",
            "/v1%2fkill",
            "/v1/%6bill",
            "/V1/kill",
            "/v1/kill?x",
            "/v1/kill;x",
            "/v1/receipts/",
            "/v1/receipts/..",
            "/v1/receipts/a%2eb",
            "/v1/receipts/a/b",
            "/healthz/",
            "/\\healthz",
            "/v1\\kill",
        ] {
            for method in ["GET", "POST"] {
                assert_eq!(find(Listener::Control, method, path), Found::NotFound, "{path}");
            }
        }
        for path in
            ["/t//anthropic/x", "/t/a%2fb/anthropic/x", "/t/./anthropic/x", "/t/a/anthropic", "/t/a/b/x"]
        {
            assert_eq!(find(Listener::Data, "POST", path), Found::NotFound, "{path}");
        }
        let long = format!("/t/{}/anthropic/x", "a".repeat(129));
        assert_eq!(find(Listener::Data, "POST", &long), Found::NotFound);
    }

    #[test]
    fn every_line_is_found_by_its_own_listener_and_methods_only() {
        for line in ROUTES {
            let path = example(line.pattern);
            let other = match line.listener {
                Listener::Data => Listener::Control,
                Listener::Control => Listener::Data,
            };
            assert_eq!(find(other, line.methods[0], &path), Found::NotFound, "{path}");
            for method in
                ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"]
            {
                match find(line.listener, method, &path) {
                    Found::Route(found) => {
                        assert_eq!(found.route, line, "shadowed by another line");
                        assert!(line.methods.contains(&method));
                    }
                    Found::MethodNotAllowed(methods) => {
                        assert_eq!(methods, line.methods);
                        assert!(!line.methods.contains(&method), "{method} {path}");
                    }
                    Found::NotFound => panic!("{path}"),
                }
            }
        }
    }

    /// The law the table stands for. Health and printed pages are all that anyone may ask; no agent's token opens anything
    /// on the control listener, no operator's credential is ever taken on the data listener.
    #[test]
    fn principals_keep_to_their_listener() {
        for line in ROUTES {
            match (line.listener, line.principal) {
                (Listener::Data, Principal::Agent) | (Listener::Control, Principal::Operator) => {}
                (Listener::Control, Principal::Nobody) => {
                    assert!(matches!(line.id, RouteId::Health | RouteId::Ready), "{}", line.pattern);
                }
                (Listener::Data, Principal::Nobody) => {
                    let printed =
                        matches!(line.id, RouteId::ErrorPage | RouteId::DenialKey | RouteId::VerifyDenial);
                    assert!(printed, "{}", line.pattern);
                }
                _ => panic!("{} on {:?} for {:?}", line.pattern, line.listener, line.principal),
            }
        }
    }
}
