//! The data listener: connections in, requests routed by the one table.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_core::routes::{self, Found, Listener, RouteId};
use doorward_core::wire::Protocol;
use http::{HeaderValue, Response, StatusCode, Version, header};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::answer::{self, Answer, Body};
use crate::doors::egress::{Caller, Egress};
use crate::doors::model::Crossing;
use crate::forward::Patience;
use crate::incoming::Incoming;
use crate::judge::Gateway;
use crate::memory;
use crate::upstream::Upstream;

/// What all requests together may take while they are read and sent on, in bytes.
const REQUEST_MEMORY: usize = 1 << 30;

mod connection;

pub(crate) mod h1;

/// How the data listener behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most connections at once; further ones wait.
    pub connections: usize,
    /// Host names, besides loopback ones, under which clients may address this listener.
    pub hosts: Vec<String>,
    /// How long upstreams and clients are waited for.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self { connections: 10_000, hosts: Vec::new(), patience: Patience::default() }
    }
}

/// The data listener.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    upstreams: BTreeMap<String, Arc<Upstream>>,
    settings: Settings,
    address: SocketAddr,
    /// Places for connections, and for the streams of HTTP/2 beyond one for each connection.
    room: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    shares: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
    egress: Option<Arc<Egress>>,
}

/// Where a request goes.
enum Way {
    /// Through the model door.
    Model(Crossing),
    /// Through the egress door, as calls of tools.
    Calls(Arc<Egress>),
    /// Through the egress door, as one request.
    Net(Arc<Egress>),
    /// To the egress door, as a question whether a proof is its own.
    Verify(Arc<Egress>),
    /// Nowhere: this is printed, with its content type.
    Printed(&'static str, Vec<u8>),
}

impl Server {
    /// A listener for `gateway` that reaches `upstreams` and nothing else. `address` is what it is bound to.
    #[must_use]
    pub fn new(
        gateway: Arc<Gateway>,
        upstreams: impl IntoIterator<Item = Upstream>,
        settings: Settings,
        address: SocketAddr,
    ) -> Self {
        let upstreams =
            upstreams.into_iter().map(|upstream| (upstream.name.to_string(), Arc::new(upstream))).collect();
        Self {
            room: Arc::new(Semaphore::new(settings.connections)),
            gateway,
            upstreams,
            settings,
            address,
            memory: Arc::new(memory::of(REQUEST_MEMORY)),
            shares: Mutex::default(),
            egress: None,
        }
    }

    /// The same with the egress door open.
    #[must_use]
    pub fn with_egress(self, egress: Egress) -> Self {
        Self { egress: Some(Arc::new(egress)), ..self }
    }

    /// Serves until `stop` turns true, then lets running replies end for `grace`.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>, grace: Duration) {
        let server = Arc::new(self);
        loop {
            let Ok(place) = Arc::clone(&server.room).acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: give connections time to end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (server, stop) = (Arc::clone(&server), stop.clone());
            tokio::spawn(async move {
                connection::serve(server, stream, stop).await;
                drop(place);
            });
        }
        drop(listener);
        server.gateway.hold().stop();
        let all = u32::try_from(server.settings.connections).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(grace, server.room.acquire_many(all)).await;
    }

    async fn request(&self, head: http::request::Parts, body: Incoming, peer: IpAddr) -> Response<Body> {
        let _under_way = self.gateway.recorder().under_way();
        match self.route(&head) {
            // Boxed: a connection keeps room for what this function holds, idle or not, and a crossing holds 7 KB.
            Ok(Way::Model(crossing)) => Box::pin(crossing.handle(head, body)).await,
            Ok(Way::Calls(egress)) => Box::pin(egress.mcp(&head, body, Caller { ip: peer })).await,
            Ok(Way::Net(egress)) => Box::pin(egress.plain(&head, body, Caller { ip: peer })).await,
            Ok(Way::Verify(egress)) => Box::pin(egress.verify_denial(body, Caller { ip: peer })).await,
            Ok(Way::Printed(content_type, text)) => {
                let mut response = Response::new(answer::whole(text.into()));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                response
            }
            Err((answer, protocol)) => {
                let mut response = answer.into_response(protocol);
                // RFC 9110, 15.5.6 wants them named.
                if response.status() == StatusCode::METHOD_NOT_ALLOWED
                    && let Some(allowed) = allowed(&head)
                {
                    response.headers_mut().insert(header::ALLOW, allowed);
                }
                response
            }
        }
    }

    /// Where a request goes, and whose it is.
    fn route(&self, head: &http::request::Parts) -> Result<Way, (Answer, Protocol)> {
        let path = head.uri.path();
        let protocol = spoken_at(path);
        let refuse = |status, code, message: String| Err((Answer::agent(status, code, message), protocol));
        if let Err(message) = one_length(head) {
            return refuse(StatusCode::BAD_REQUEST, "framing", message);
        }
        if let Err(message) = self.addressed_to_us(head) {
            return refuse(StatusCode::FORBIDDEN, "not_for_us", message);
        }
        let found = match routes::find(Listener::Data, head.method.as_str(), path) {
            Found::Route(found) => found,
            Found::MethodNotAllowed(allowed) => {
                let message =
                    format!("the method {} is not used here; allowed: {}", head.method, allowed.join(", "));
                return refuse(StatusCode::METHOD_NOT_ALLOWED, "method", message);
            }
            Found::NotFound if self.agent_of(path).is_none() => {
                return refuse(StatusCode::UNAUTHORIZED, "no_token", self.how_to_come_in(None));
            }
            Found::NotFound => {
                let message = "no such path; use /t/<token>/anthropic, /t/<token>/openai/v1, /t/<token>/gemini or \
                               /t/<token>/upstreams/<name>, as `doorward run` prints them";
                return refuse(StatusCode::NOT_FOUND, "no_such_path", message.to_owned());
            }
        };
        if let Some(way) = self.without_token(&found) {
            return way.ok_or_else(|| {
                let message = "nothing is served here: the egress door is closed, or there is no such page";
                (Answer::agent(StatusCode::NOT_FOUND, "no_such_path", message), protocol)
            });
        }
        let Some(agent) = found.token.and_then(|token| self.gateway.store().agents().resolve(token)) else {
            return refuse(StatusCode::UNAUTHORIZED, "no_token", self.how_to_come_in(Some(found.route.id)));
        };
        let name = match found.route.id {
            RouteId::Anthropic => "anthropic",
            RouteId::Openai => "openai",
            RouteId::Gemini => "gemini",
            RouteId::Upstream => found.name.unwrap_or_default(),
            RouteId::Health
            | RouteId::Ready
            | RouteId::Kill
            | RouteId::Resume
            | RouteId::Status
            | RouteId::Receipts
            | RouteId::Receipt
            | RouteId::Sessions
            | RouteId::Taint
            | RouteId::Quarantine
            | RouteId::Held
            | RouteId::Keys
            | RouteId::Webhooks
            | RouteId::WebhookRotate
            | RouteId::Upkeep
            | RouteId::Approvals
            | RouteId::Approval
            | RouteId::Approve
            | RouteId::Deny
            | RouteId::Revoke
            | RouteId::Reset
            | RouteId::Mcp
            | RouteId::Net
            | RouteId::ErrorPage
            | RouteId::DenialKey
            | RouteId::VerifyDenial => {
                return refuse(StatusCode::NOT_FOUND, "no_such_path", "this is not served here".to_owned());
            }
        };
        let Some(upstream) = self.upstreams.get(name) else {
            let known: Vec<&str> = self.upstreams.keys().map(String::as_str).collect();
            let message = format!("no upstream is called `{name}`; configured: {}", known.join(", "));
            return refuse(StatusCode::NOT_FOUND, "no_such_upstream", message);
        };
        // Where HTTP/2 says it, and where HTTP/1.1 does; both are checked by now.
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = head.uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or_default();
        let below = path.strip_suffix(found.rest.unwrap_or_default()).unwrap_or(path).trim_end_matches('/');
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Way::Model(Crossing {
            gateway: Arc::clone(&self.gateway),
            upstream: Arc::clone(upstream),
            agent: agent.shared(),
            session: None,
            door: format!("http://{host}{below}").into(),
            rest: format!("{}{query}", found.rest.unwrap_or_default()),
            memory: [Arc::clone(&self.memory), self.share_of(&agent.shared())],
            patience: self.settings.patience,
        }))
    }

    /// What is served to who shows no token in the path; the inner `None` if there is nothing there.
    fn without_token(&self, found: &routes::Matched<'_>) -> Option<Option<Way>> {
        let egress = self.egress.as_ref();
        match found.route.id {
            RouteId::Mcp => Some(egress.map(|egress| Way::Calls(Arc::clone(egress)))),
            RouteId::Net => Some(egress.map(|egress| Way::Net(Arc::clone(egress)))),
            RouteId::VerifyDenial => Some(egress.map(|egress| Way::Verify(Arc::clone(egress)))),
            RouteId::ErrorPage => {
                let page = found.name.and_then(Egress::page);
                Some(page.map(|page| Way::Printed("text/markdown; charset=utf-8", page.into_bytes())))
            }
            RouteId::DenialKey => {
                let key = egress.and_then(|egress| egress.signing_key());
                Some(key.map(|key| Way::Printed("application/json", key)))
            }
            _ => None,
        }
    }

    /// What the requests of one agent may take: half of what all may, so that nobody starves the others.
    fn share_of(&self, agent: &Arc<str>) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share =
            shares.entry(Arc::clone(agent)).or_insert_with(|| Arc::new(memory::of(REQUEST_MEMORY / 2)));
        Arc::clone(share)
    }

    /// The agent whose token the path begins with, whatever follows.
    fn agent_of(&self, path: &str) -> Option<doorward_store::AgentName> {
        let token = path.strip_prefix("/t/")?.split('/').next()?;
        self.gateway.store().agents().resolve(token)
    }

    /// Refuses requests that a page in a browser, or a client that takes us for a proxy, has sent.
    fn addressed_to_us(&self, head: &http::request::Parts) -> Result<(), String> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
        let several = hosts.next().is_some();
        // HTTP/2 says it in `:authority`, and in `Host` the same or nothing (RFC 9113, 8.3.1).
        let host = match (head.uri.authority(), head.version) {
            (None, _) => host.unwrap_or_default(),
            (Some(authority), Version::HTTP_2) => {
                let authority = authority.as_str();
                if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
                    return Err("the request names two hosts, in `:authority` and in `Host`".to_owned());
                }
                authority
            }
            (Some(_), _) => {
                return Err(
                    "this is not a forward proxy: send a path, not a whole URL; the configured upstream is the \
                     only place requests go to"
                        .to_owned(),
                );
            }
        };
        if several || !self.is_our_host(host) {
            let host = host.escape_debug();
            return Err(format!("the Host `{host}` is not this listener; add it to `hosts` if it should be"));
        }
        if let Some(origin) = head.headers.get(header::ORIGIN) {
            let ours = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
            if !ours.is_some_and(|host| self.is_our_host(host)) {
                return Err(
                    "the request comes from a web page (foreign Origin); pages may not use an agent's door"
                        .into(),
                );
            }
        }
        Ok(())
    }

    fn is_our_host(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, port)
            }
            _ => (host, "80"),
        };
        if port != self.address.port().to_string() {
            return false;
        }
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]")
            || name == self.address.ip().to_string()
            || self.settings.hosts.contains(&name)
    }

    fn how_to_come_in(&self, route: Option<RouteId>) -> String {
        let anthropic = format!("export ANTHROPIC_BASE_URL=http://{}/t/<token>/anthropic", self.address);
        let openai = format!("export OPENAI_BASE_URL=http://{}/t/<token>/openai/v1", self.address);
        let gemini = format!("export GOOGLE_GEMINI_BASE_URL=http://{}/t/<token>/gemini", self.address);
        let line = match route {
            Some(RouteId::Anthropic) => anthropic,
            Some(RouteId::Openai) => openai,
            Some(RouteId::Gemini) => gemini,
            Some(_) => format!("http://{}/t/<token>/upstreams/<name>", self.address),
            None => format!("{anthropic} or {openai} or {gemini}"),
        };
        format!("the address has no valid agent token; use the line that `doorward run` printed: {line}")
    }
}

/// The methods that are used where this request went.
fn allowed(head: &http::request::Parts) -> Option<HeaderValue> {
    match routes::find(Listener::Data, head.method.as_str(), head.uri.path()) {
        Found::MethodNotAllowed(allowed) => HeaderValue::from_str(&allowed.join(", ")).ok(),
        Found::Route(_) | Found::NotFound => None,
    }
}

/// The protocol in which whoever comes to `path` reads an error.
fn spoken_at(path: &str) -> Protocol {
    let named = |protocol: &Protocol| path.contains(&format!("/{}/", protocol.as_str()));
    [Protocol::Anthropic, Protocol::Gemini].into_iter().find(named).unwrap_or(Protocol::OpenAi)
}

/// Refuses a request whose length is told more than once (RFC 9112, 6.3): whoever reads the other one
/// sees another request.
fn one_length(head: &http::request::Parts) -> Result<(), String> {
    let lengths = head.headers.get_all(header::CONTENT_LENGTH).iter().count();
    let codings = head.headers.get_all(header::TRANSFER_ENCODING).iter().count();
    if lengths + codings > 1 {
        return Err("the request tells its length more than once".into());
    }
    Ok(())
}

/// Returns when the process is to end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
