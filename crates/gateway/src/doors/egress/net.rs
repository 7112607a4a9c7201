//! `sphyr_net`: one request, from its arguments to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use doorward_core::account::replay::Reserved;
use doorward_core::action::request::{Body, Header, Request, Unread};
use doorward_core::action::{Action, Bill, KeyEntropy, Part, PartKind, alone};
use doorward_core::session::{Millis, name};
use doorward_core::url::{Url, masked_host};
use doorward_core::wire::sphyr::call::{self, Net};
use doorward_core::wire::sphyr::reply::preflight;
use doorward_core::wire::sphyr::{code, sign};
use doorward_core::{Coverage, Door, Source};
use doorward_store::Alert;
use doorward_store::accounts::{Compromise, Identity, Key};
use doorward_store::kill::DOORWARD;
use http::{HeaderName, HeaderValue, header};

use super::calls::{ALLOWED, Said};
use super::denied::Denial;
use super::sessions::Session;
use super::stages::{freshness, signature};
use super::unpacked::{self, Unpacked};
use super::{Caller, Egress, LARGEST_BODY, keys};
use crate::forward::{self, Elsewhere, Errand};
use crate::hold::Waits;
use crate::record::Nothing;
use crate::upstream::Place;
use crate::webhooks::news;

/// By what a request shows whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shown {
    /// A signature, which has its time and counts once.
    Signature,
    /// The key's credential.
    Credential,
}

/// What became of a request that may go.
pub(super) enum Sent {
    /// It was only checked, under this receipt.
    Checked(String),
    /// It was sent and answered.
    Answered(Box<Elsewhere>),
}

/// What clients call a report that the tools of a server are not what they were.
const DRIFT: &str = "tool-drift";

impl Egress {
    /// Sends a request for who has signed it, and gives back what was answered.
    pub(super) async fn net(&self, net: Net, caller: Caller) -> Result<Said, Denial> {
        let (session, key) = self.session(&net.session, caller)?;
        let sent = self.judged(net, &session, &key, caller).await;
        self.told(&sent, &session, &key, caller).await;
        sent.map_err(|denial| Denial { session: Some(session.token.clone()), ..denial })
    }

    /// Counts what came of a request, and suspends a key with which somebody touched a decoy.
    pub(super) async fn told<T>(
        &self,
        sent: &Result<T, Denial>,
        session: &Session,
        key: &Key,
        caller: Caller,
    ) {
        let refused = sent.as_ref().err();
        let outcome = refused.map_or(ALLOWED, |denial| denial.code.name);
        self.gateway.store().count_usage(&key.id, outcome, self.now());
        let Some((denial, touched)) = refused.and_then(|denial| Some((denial, denial.touched.as_deref()?)))
        else {
            return;
        };
        let compromise = Compromise {
            at: self.now(),
            receipt: denial.receipt.clone().unwrap_or_default(),
            what: touched.what.clone(),
            session: session_of(key, session).to_string(),
            from: self.known_as(caller.ip),
        };
        match touched.suspends {
            true => self.suspend(key, compromise).await,
            // The session is frozen, and a person is told of that.
            false => {
                if let Err(error) = self.gateway.store().note_compromise(&key.id, compromise).await {
                    tracing::error!(%error, id = %key.id, "it is not kept that a decoy was touched with a key");
                }
            }
        }
    }

    /// Lets nothing pass with this key until a person has looked at it: somebody with it touched a decoy.
    async fn suspend(&self, key: &Key, compromise: Compromise) {
        let (id, receipt, what) = (&key.id, &compromise.receipt, &compromise.what);
        let message = format!(
            "the key {id} is suspended: somebody with it touched a decoy: {what} (receipt {receipt})"
        );
        tracing::error!(%id, "ALERT: {message}");
        self.gateway.store().alert(Alert {
            time: compromise.at,
            event: "key_suspended".into(),
            agent: key.agent.to_string(),
            session: compromise.session.clone(),
            message: message.clone(),
            receipt: receipt.clone(),
        });
        // In force at once, whether or not it can be written or recorded.
        if let Err(error) = self.gateway.store().suspend_key(id, compromise).await {
            tracing::error!(%error, "a suspended key would be used again after a restart");
        }
        if let Err(error) = self.gateway.recorder().control("key_suspend", DOORWARD, id, &message).await {
            tracing::error!(%error, "that a key is suspended could not be recorded");
        }
    }

    /// What an address is called where it must not be read: by a key that is not there. A setting has it as it is.
    fn known_as(&self, ip: IpAddr) -> String {
        if self.settings.plain_ip {
            return ip.to_canonical().to_string();
        }
        let key = self.gateway.store().key_for("addresses of clients");
        let digest = sign::sign(key.expose(), ip.to_canonical().to_string().as_bytes());
        digest.chars().take(16).collect()
    }

    async fn judged(&self, net: Net, session: &Session, key: &Key, caller: Caller) -> Result<Said, Denial> {
        match self.send(net, session, key, (caller, Shown::Signature)).await? {
            Sent::Checked(receipt) => Ok(Said { json: preflight(&receipt), receipt: Some(receipt) }),
            Sent::Answered(answered) => {
                let receipt = Some(answered.receipt.clone());
                Ok(Said { json: self.reply(*answered, session, key).await?, receipt })
            }
        }
    }

    /// Judges a request and sends it, if it may go and is not only to be checked.
    pub(super) async fn send(
        &self,
        net: Net,
        session: &Session,
        key: &Key,
        (caller, shown): (Caller, Shown),
    ) -> Result<Sent, Denial> {
        let busy = || {
            let message = "as many requests are on their way as may be";
            Denial { retry_after: Some(1000), ..Denial::new(code::RATE_LIMITED, message) }
        };
        let _running = self.running.one_more(&key.id).ok_or_else(busy)?;
        let unpacked = unpacked::of(&net);
        let mut action = action(&net, key, session, unpacked.as_ref().ok().and_then(Option::as_ref));
        action.bill = Some(self.bill(&net, key, session));
        action.entropy = self.entropy(key);
        let looked = self.look(&net, session, key, (caller, shown)).and_then(|looked| match unpacked {
            Ok(_) => Ok(looked),
            Err(denial) => {
                self.forget(looked.0);
                Err(denial)
            }
        });
        let (place, errand) = match looked {
            Ok(looked) => looked,
            Err(denial) => return Err(self.turned_away(action, denial).await),
        };
        let passed = self.gateway.pass(action, errand, &Waits::default()).await;
        if net.preflight && net.category == DRIFT {
            let receipt =
                passed.as_ref().map_or_else(|refusal| refusal.receipt.as_deref(), |it| Some(it.receipt()));
            let whose = (key.agent.as_str(), &*session_of(key, session), &*key.id);
            news::drifted(self.gateway.store(), whose, &net.body, receipt.unwrap_or_default(), self.now());
        }
        let permit = match passed {
            Ok(permit) => permit,
            Err(refusal) => {
                self.forget(place);
                return Err(refusal.into());
            }
        };
        if checked_only(&net, key) {
            let receipt = permit.receipt().to_owned();
            self.gateway.recorder().ended(permit, "preflight", None).await;
            // Only checked, it may be checked again.
            self.forget(place);
            return Ok(Sent::Checked(receipt));
        }
        // From here on it may have been seen: its place stays taken.
        let sent = forward::elsewhere(&self.gateway, permit, &self.reacher, self.settings.patience).await;
        Ok(Sent::Answered(Box::new(sent?)))
    }

    fn forget(&self, place: Option<Reserved>) {
        if let Some(place) = place {
            self.replays().release(place);
        }
    }

    /// The session of `token` and its key, as far as they may be used from there.
    pub(super) fn session(&self, token: &str, caller: Caller) -> Result<(Arc<Session>, Arc<Key>), Denial> {
        let unknown = || Denial::new(code::SESS_INVALID, "the session is unknown or has ended");
        let session = self.sessions.find(token, self.now()).ok_or_else(unknown)?;
        let key = self.accounts().key(&session.key).ok_or_else(unknown)?;
        let bound = key.settings.bind_ip.unwrap_or(self.settings.bind_ip);
        if bound && session.ip.to_canonical() != caller.ip.to_canonical() {
            let message = "the session was opened from another address";
            return Err(Denial::new(code::SESS_IP_MISMATCH, message));
        }
        Ok((session, key))
    }

    /// What stands before judging, in order; the first that is wrong ends it. What comes of it is a place among the calls that
    /// passed, and the request as it will be sent.
    fn look(
        &self,
        net: &Net,
        session: &Session,
        key: &Key,
        (caller, shown): (Caller, Shown),
    ) -> Result<(Option<Reserved>, Errand), Denial> {
        if let Some(why) = keys::stopped(key) {
            return Err(Denial::new(code::KEY_PAUSED, why));
        }
        let now = self.now();
        let place = match shown {
            Shown::Signature => {
                signature::check(net, session, key, now)?;
                freshness::check(&net.time, now)?;
                Some(self.first(net, session, now)?)
            }
            Shown::Credential => None,
        };
        let rest = self.rated(key, &session.agent, caller.ip).and_then(|()| {
            self.payable(net, key, now)?;
            own_secret(net, key, now)?;
            errand(net, self.settings.largest_body.min(LARGEST_BODY))
        });
        match rest {
            Ok(errand) => Ok((place, errand)),
            Err(denial) => {
                self.forget(place);
                Err(denial)
            }
        }
    }

    /// What it pays: one credit, once it is answered.
    fn bill(&self, net: &Net, key: &Key, session: &Session) -> Bill {
        let issued = self.accounts().identify(key, &session.agent) == Identity::Issued;
        let agent = if issued { &session.agent } else { "" };
        let credits = if checked_only(net, key) { 0 } else { 1 };
        Bill { key: Arc::clone(&key.id), agent: agent.into(), credits }
    }

    /// What is set about entropy for a key, if that is anything.
    fn entropy(&self, key: &Key) -> Option<Arc<KeyEntropy>> {
        let own = &key.settings;
        let noted = own.entropy_noted.unwrap_or(self.settings.entropy_noted);
        let (threshold, allowed) = (own.entropy_threshold, &own.entropy_allow);
        let any = noted || threshold.is_some() || !allowed.is_empty();
        any.then(|| Arc::new(KeyEntropy { threshold, allowed: Arc::clone(allowed), noted }))
    }

    /// Whether a call that is only checked could be paid; what is sent pays when it is judged.
    fn payable(&self, net: &Net, key: &Key, now: Millis) -> Result<(), Denial> {
        if checked_only(net, key) && self.accounts().remaining(&key.id, now).credits == 0 {
            return Err(Denial::new(code::INSUFFICIENT_CREDITS, "the key has no credits left"));
        }
        Ok(())
    }

    /// Records who may not come in, with what they wanted.
    async fn turned_away(&self, mut action: Action, denial: Denial) -> Denial {
        action.at_door.push(denial.reason());
        match self.gateway.pass(action, Nothing, &Waits::default()).await {
            // Not in any mode: such a reason is the door's own.
            Ok(permit) => denial.under(permit.receipt()),
            Err(refusal) => Denial { receipt: refusal.receipt, ..denial },
        }
    }
}

/// Whether the key's own secret is in what is sent: nobody out there needs it.
fn own_secret(net: &Net, key: &Key, now: Millis) -> Result<(), Denial> {
    let holds = |secret: &str| {
        let in_body = net.body.windows(secret.len()).any(|window| window == secret.as_bytes());
        in_body || net.url.contains(secret) || net.headers.iter().any(|(_, value)| value.contains(secret))
    };
    match key.secrets(now).any(holds) {
        true => Err(Denial::new(code::ENTROPY_BLOCKED, "the request carries the secret of its own key")),
        false => Ok(()),
    }
}

/// Whether nothing is to be sent, and nothing spent.
const fn checked_only(net: &Net, key: &Key) -> bool {
    net.preflight || key.settings.dry_run
}

/// The session of Doorward's that a session of a key belongs to: one for each id that an agent gives itself.
pub(super) fn session_of(key: &Key, session: &Session) -> Arc<str> {
    name::name(key.agent.as_str(), &session.agent)
}

/// What the engine judges: the request as it will be sent.
fn action(net: &Net, key: &Key, session: &Session, unpacked: Option<&Unpacked>) -> Action {
    let lines = net
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().into(), value: value.as_bytes().into() });
    // As the server reads it.
    let body = match unpacked {
        Some(Unpacked { said: true, whole: false, .. }) => Body::Unknown(Unread::Oversize),
        Some(Unpacked { said: true, bytes, .. }) => Body::Whole(bytes.clone()),
        _ => Body::Whole(net.body.clone().into()),
    };
    let request = Request::new(&net.method, &net.url, lines.collect(), body);
    let peer = Url::parse(&net.url).map(|url| masked_host(&url.host.to_string())).unwrap_or_default();
    let said = unpacked.map(|unpacked| Part {
        kind: PartKind::Outbound,
        text: String::from_utf8_lossy(&unpacked.bytes).into(),
    });
    let plain = alone::request(request);
    Action {
        parts: plain.parts.iter().cloned().chain(said).collect(),
        coverage: match unpacked {
            Some(Unpacked { whole: false, .. }) => Coverage::Partial("packed body beyond 1 MiB".to_owned()),
            _ => Coverage::Full,
        },
        door: Door::Egress,
        source: Source::Model,
        agent: key.agent.shared(),
        session: session_of(key, session),
        peer: peer.into(),
        ..plain
    }
}

/// Headers that are not the client's to set: they say where a request ends, where it goes, or what becomes of the connection.
const OURS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "http2-settings",
];

/// The request as it will be sent.
fn errand(net: &Net, most: usize) -> Result<Errand, Denial> {
    let url = Url::parse(&net.url)
        .map_err(|fault| Denial::new(code::INVALID_URL, format!("the URL cannot be read: {fault}")))?;
    let place = Place::of(&url)
        .ok_or_else(|| Denial::new(code::INVALID_URL, "the URL is of neither https nor http"))?;
    let host = match url.host {
        doorward_core::url::Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        ref host => host.to_string(),
    };
    if net.body.len() > most {
        let message = format!("the body has more than {most} bytes");
        return Err(Denial::new(code::ARGUMENTS_INVALID, message));
    }
    let unsendable =
        || Denial::new(code::INVALID_URL, "the URL has characters in it that have to be escaped");
    let scheme = if place.is_secure() { "https" } else { "http" };
    let port = match (url.port, place.is_secure()) {
        (Some(443), true) | (Some(80), false) | (None, _) => String::new(),
        (Some(port), _) => format!(":{port}"),
    };
    let (path, query) = target(&net.url);
    if !path.is_ascii() || !query.is_ascii() {
        return Err(unsendable());
    }
    let uri = format!("{scheme}://{host}{port}{path}{query}");
    let request = http::Request::builder().method(net.method.as_str()).uri(uri).body(());
    let (mut head, ()) = request.map_err(|_| unsendable())?.into_parts();
    call::sendable(&net.headers).map_err(|wrong| Denial::new(wrong.code, wrong.message))?;
    for (name, value) in &net.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            return Err(Denial::new(code::HEADER_INVALID, "a header cannot stand in a request"));
        };
        // Some servers take `_` for `-`.
        let read = name.as_str().replace('_', "-");
        let ours = |prefix: &&str| read.starts_with(prefix);
        if OURS.contains(&read.as_str()) || ["doorward-", "proxy-"].iter().any(ours) {
            let message = "a header is given that only Doorward sets, or that belongs to the connection";
            return Err(Denial::new(code::HEADER_COLLISION, message));
        }
        head.headers.insert(name, value);
    }
    if !head.headers.contains_key(header::ACCEPT_ENCODING) {
        head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(Errand { place, head, body: Bytes::from(net.body.clone()) })
}

/// Path and query of a URL that was read, as they were written.
fn target(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/");
    match rest.find('?') {
        Some(0) => ("/", rest),
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_go_as_they_were_written() {
        for (url, sent) in [
            ("https://a.example", ("/", "")),
            ("https://a.example?x=/y", ("/", "?x=/y")),
            ("https://a.example/b/../c?d#e", ("/b/../c", "?d")),
            ("https://a.example/%2e%2E//", ("/%2e%2E//", "")),
        ] {
            assert_eq!(target(url), sent, "{url}");
        }
    }
}
