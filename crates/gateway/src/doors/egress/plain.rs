//! `POST /v1/net`: one request, for people with curl and programs without the SDK. The key's credential stands in
//! `Authorization`; the answer comes back as it is, byte for byte, as it comes.

use std::sync::Arc;
use std::time::Instant;

use doorward_core::Coverage;
use doorward_core::stream::Outcome;
use doorward_core::syntax::json;
use doorward_core::wire::Fault;
use doorward_core::wire::sphyr::{call, code, reply, sign};
use doorward_store::accounts::{Key, parse_credential};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::denied::Denial;
use super::mcp::{REQUEST_ID, status};
use super::net::{Answered, Sent, Shown, busy, whose_plain};
use super::repeats::Claim;
use super::reply::Given;
use super::running::OnItsWay;
use super::screen::{Came, Looking};
use super::sessions::Session;
use super::{Caller, Egress, first};
use crate::answer::{Body, whole};
use crate::doors::body::counted_body;
use crate::doors::relay;
use crate::forward::Elsewhere;
use crate::incoming::Incoming;
use crate::record::{Closing, StreamPermit};
use crate::upstream::forwarded_headers;

/// The most bytes of what is asked for: a body of 1 MiB, escaped or in base64.
const LARGEST: usize = 4 << 20;

/// In which an agent names itself; it need not.
const AGENT: HeaderName = HeaderName::from_static("doorward-agent");

impl Egress {
    /// Sends a request and passes on what is answered.
    pub async fn plain(&self, head: &Parts, body: Incoming, caller: Caller) -> Response<Body> {
        let mut known = None;
        let done = self.passed_on(head, body, caller, &mut known).await;
        let mut response = match done {
            Ok(response) => response,
            Err(denial) => {
                let denial = match known.as_ref() {
                    Some((key, agent)) => denial.said_of(whose_plain(key, agent)),
                    None => denial,
                };
                let denial = self.unrecorded(denial).await;
                let code = StatusCode::from_u16(denial.code.status).unwrap_or(StatusCode::FORBIDDEN);
                let mut response = status(code, self.denied(&denial));
                let headers = response.headers_mut();
                if let Some(wait) = denial.retry_after {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
                }
                name_receipt(headers, denial.request());
                response
            }
        };
        if let Some((key, agent)) = known {
            self.left_of(&key, &agent, caller).put(response.headers_mut(), self.now());
        }
        response
    }

    async fn passed_on(
        &self,
        head: &Parts,
        body: Incoming,
        caller: Caller,
        known: &mut Option<(Arc<Key>, Box<str>)>,
    ) -> Result<Response<Body>, Denial> {
        // Who is known has limits of their own.
        let key = match self.shown(head) {
            Ok(key) => key,
            Err(unknown) => return Err(self.stranger(caller.ip).err().unwrap_or(unknown)),
        };
        *known = Some((Arc::clone(&key), UNNAMED.into()));
        self.arrived(&key, caller.ip)?;
        let session = self.plain_session(&key, head, UNNAMED, caller)?;
        *known = Some((Arc::clone(&key), session.agent.clone()));
        let wrong = |message: String| Denial::new(code::ARGUMENTS_INVALID, message);
        if self.is_secret(&session.agent) {
            return Err(wrong("`Doorward-Agent` looks like a secret; ids stand in receipts".to_owned()));
        }
        let bytes =
            counted_body(body, LARGEST, &self.memory).await.map_err(|answer| wrong(answer.message))?;
        let tree =
            json::parse(&bytes).map_err(|fault| wrong(format!("the body is not strict JSON: {fault}")))?;
        let net = call::plain(&tree).map_err(|wrong| Denial::new(wrong.code, wrong.message))?;
        // Taken before anything is sent: what is answered must find its place.
        let busy = || {
            busy("as many answers are being passed on as may be for this key or agent (`streams_per_key`)")
        };
        let place = self.passed_on.one_more(&key.id, &session.agent).ok_or_else(busy)?;
        let sent = self.send(net, &session, &key, (caller, Shown::Credential)).await;
        let answer = match sent {
            Ok(Sent::Checked(receipt)) => {
                let mut response = status(StatusCode::OK, reply::preflight(&receipt));
                name_receipt(response.headers_mut(), Some(&receipt));
                Ok(response)
            }
            Ok(Sent::Again(given)) => Ok(given.response()),
            Ok(Sent::Answered(answered)) if self.holds_answers() => {
                self.reply(*answered, &session, &key).await.map(|given| given.response())
            }
            Ok(Sent::Answered(answered)) => self.relayed(*answered, &session, &key, place).await,
            Err(denial) => Err(denial),
        };
        self.told(answer.as_ref().err(), &session, &key, caller).await;
        answer
    }

    /// Passes an answer on as it comes, under a receipt of its own. What it says is looked at beside it; what is found
    /// stands in a receipt, since nothing can be said any more to who has the bytes.
    async fn relayed(
        &self,
        answered: Answered,
        session: &Session,
        key: &Key,
        place: OnItsWay,
    ) -> Result<Response<Body>, Denial> {
        let Answered { there, url, credits, claim, once, .. } = answered;
        let Elsewhere { reply, used, receipt, peer } = there;
        let began = Instant::now();
        let coverage = Coverage::Partial("looked at while it is passed on".to_owned());
        let permit = self.opened((used, &receipt, peer), session, key, coverage).await?;
        let (mut head, body) = reply.into_parts();
        let begun = first::begun(&head.headers, body);
        let (permit, begun) = self.unless_gone((permit, head.status.as_u16(), began), begun).await?;
        let Ok(body) = begun else {
            return Err(self.broke_off((permit, began), head.status, (claim, once)).await.under(receipt));
        };
        let given = Given::of(&head, &url, &receipt, credits);
        let gateway = Arc::clone(&self.gateway);
        let bounds = (self.settings.largest_reply, Arc::clone(&self.looking));
        // Before its first byte: all of it, if it has come; otherwise what it says is told when it has passed.
        let plain = !head.headers.contains_key(header::CONTENT_ENCODING);
        let whole = body.whole().filter(|whole| plain && whole.len() <= self.settings.largest_reply);
        Came { url: &url, headers: &head.headers, bytes: whole.map_or(&[], |whole| whole) }
            .tell(&gateway, &permit)
            .await;
        let told = whole.is_some();
        let looking =
            Looking::new(Arc::clone(&gateway), (url, &head.headers), (given, claim), (bounds, place));
        let looking = if told { looking.told() } else { looking };
        head.headers = forwarded_headers(&head.headers);
        head.version = Version::HTTP_11;
        name_receipt(&mut head.headers, Some(&receipt));
        Ok(relay::opaque(gateway, permit, head, body, (self.settings.patience, looking)))
    }

    /// Records that an answer broke off before its first byte, so that nothing of it was passed on.
    async fn broke_off(
        &self,
        (permit, began): (StreamPermit, Instant),
        status: StatusCode,
        (claim, once): (Option<Claim>, bool),
    ) -> Denial {
        let message = "the answer broke off before its first byte";
        let denial = Denial { seen: once, ..Denial::new(code::FETCH_ERROR, message) };
        let closing = Closing {
            result: "failed",
            outcome: Outcome { fault: Some(Fault::new("egress.reply", message)), ..Outcome::default() },
            status: status.as_u16(),
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Closing::default()
        };
        self.gateway.recorder().close(permit, closing).await;
        if let Some(claim) = claim {
            claim.refused(&denial);
        }
        denial
    }

    /// The key whose credential is shown.
    pub(super) fn shown(&self, head: &Parts) -> Result<Arc<Key>, Denial> {
        let unknown = || {
            let message = "show the credential of a key: `Authorization: Bearer sphyr_v1_…`";
            Denial::new(code::AUTH_FAILED, message)
        };
        let mut lines = head.headers.get_all(header::AUTHORIZATION).iter();
        let line = lines.next().and_then(|line| line.to_str().ok()).filter(|_| lines.next().is_none());
        let credential = line.and_then(|line| line.strip_prefix("Bearer ")).ok_or_else(unknown)?;
        let (id, secret) = parse_credential(credential).ok_or_else(unknown)?;
        let key = self.accounts().key(id).ok_or_else(unknown)?;
        // Compared by digests under a key that nobody has, so that time tells nothing.
        let salt = self.shown.expose();
        let digest = sign::sign(salt, secret.as_bytes());
        let fits = key.secrets(self.now()).filter(|own| sign::verifies(salt, own.as_bytes(), &digest));
        if fits.count() > 0 { Ok(key) } else { Err(unknown()) }
    }
}

impl Egress {
    /// What stands for a session where there was no handshake; `unnamed` is the agent that does not say who it is. A key has as many
    /// agents at once as with handshakes: one is there for as long as a session would last since its last call.
    pub(super) fn plain_session(
        &self,
        key: &Key,
        head: &Parts,
        unnamed: &str,
        caller: Caller,
    ) -> Result<Session, Denial> {
        let mut lines = head.headers.get_all(AGENT).iter();
        let named = match (lines.next().map(HeaderValue::to_str), lines.next()) {
            (None, _) => None,
            (Some(Ok(agent)), None) if doorward_store::accounts::is_agent_id(agent) => Some(agent),
            _ => {
                let message = "`Doorward-Agent` must be 1 to 64 letters, digits, `_` and `-`";
                return Err(Denial::new(code::ARGUMENTS_INVALID, message));
            }
        };
        let (now, agents) = (self.now(), self.agents_of(key));
        // All that do not say who they are count as one, however many conversations they begin.
        let counted = self.sessions.at_work(&key.id, (named.unwrap_or_default(), agents), now);
        counted.map_err(|why| why.denial(agents))?;
        Ok(Session {
            token: "".into(),
            nonce: "".into(),
            key: Arc::clone(&key.id),
            agent: named.unwrap_or(unnamed).into(),
            ip: caller.ip,
            issued: now,
            expires: now,
        })
    }
}

impl Given {
    /// As it was answered, decoded.
    fn response(&self) -> Response<Body> {
        let mut response = Response::new(whole(self.bytes.clone()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = forwarded_headers(&self.headers);
        name_receipt(response.headers_mut(), Some(&self.receipt));
        response
    }
}

/// What an agent is called that does not say who it is.
const UNNAMED: &str = "net";

pub(super) fn name_receipt(headers: &mut http::HeaderMap, receipt: Option<&str>) {
    if let Some(id) = receipt.and_then(|receipt| HeaderValue::from_str(receipt).ok()) {
        headers.insert(REQUEST_ID, id);
    }
}
