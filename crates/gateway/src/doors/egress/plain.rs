//! `POST /v1/net`: one request, for people with curl and programs without the SDK. The key's credential stands in
//! `Authorization`; the answer comes back as it is, byte for byte, as it comes.

use std::sync::Arc;

use doorward_core::action::{Action, ActionKind};
use doorward_core::session::Millis;
use doorward_core::syntax::json;
use doorward_core::wire::sphyr::{call, code, reply, sign};
use doorward_core::{Coverage, Door, Source};
use doorward_store::accounts::{Key, parse_credential};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::denied::Denial;
use super::mcp::{REQUEST_ID, status};
use super::net::{Sent, Shown, session_of};
use super::sessions::Session;
use super::{Caller, Egress};
use crate::answer::Body;
use crate::doors::body::counted_body;
use crate::doors::relay;
use crate::forward::Elsewhere;
use crate::incoming::Incoming;
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
                if denial.receipt.is_none() {
                    self.unknown.note(&denial, self.ticks(), self.gateway.recorder()).await;
                }
                let code = StatusCode::from_u16(denial.code.status).unwrap_or(StatusCode::FORBIDDEN);
                let mut response = status(code, self.denied(&denial));
                let headers = response.headers_mut();
                if let Some(wait) = denial.retry_after {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
                }
                name_receipt(headers, denial.receipt.as_deref());
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
            Err(unknown) => return Err(self.backstop().err().unwrap_or(unknown)),
        };
        let session = session(&key, head, caller, self.now())?;
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
        let sent = self.send(net, &session, &key, (caller, Shown::Credential)).await;
        self.told(&sent, &session, &key, caller).await;
        match sent? {
            Sent::Checked(receipt) => {
                let mut response = status(StatusCode::OK, reply::preflight(&receipt));
                name_receipt(response.headers_mut(), Some(&receipt));
                Ok(response)
            }
            Sent::Answered(answered) => self.relayed(*answered, &session, &key).await,
        }
    }

    /// Passes an answer on under a receipt of its own, which says that nobody has looked into it.
    async fn relayed(
        &self,
        answered: Elsewhere,
        session: &Session,
        key: &Key,
    ) -> Result<Response<Body>, Denial> {
        let Elsewhere { reply, used, receipt, peer } = answered;
        let mut action = Action::new(
            Door::Egress,
            ActionKind::ModelResponse,
            key.agent.shared(),
            session_of(key, session),
        );
        (action.peer, action.source) = (peer, Source::Web);
        action.coverage = Coverage::None("the answer is passed on as it comes".to_owned());
        let permit = self.gateway.open_after(action, used, Some(receipt.as_str().into())).await?;
        let (mut head, body) = reply.into_parts();
        head.headers = forwarded_headers(&head.headers);
        head.version = Version::HTTP_11;
        name_receipt(&mut head.headers, Some(&receipt));
        Ok(relay::opaque(Arc::clone(&self.gateway), permit, head, body, self.settings.patience))
    }

    /// The key whose credential is shown.
    fn shown(&self, head: &Parts) -> Result<Arc<Key>, Denial> {
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
        let salt = self.gateway.store().key_for("credentials shown");
        let digest = sign::sign(salt.expose(), secret.as_bytes());
        let fits = key.secrets(self.now()).filter(|own| sign::verifies(salt.expose(), own.as_bytes(), &digest));
        if fits.count() > 0 { Ok(key) } else { Err(unknown()) }
    }
}

/// What stands for a session where there was no handshake.
fn session(key: &Key, head: &Parts, caller: Caller, now: Millis) -> Result<Session, Denial> {
    let mut lines = head.headers.get_all(AGENT).iter();
    let agent = match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (None, _) => "net",
        (Some(Ok(agent)), None) if doorward_store::accounts::is_agent_id(agent) => agent,
        _ => {
            let message = "`Doorward-Agent` must be 1 to 64 letters, digits, `_` and `-`";
            return Err(Denial::new(code::ARGUMENTS_INVALID, message));
        }
    };
    Ok(Session {
        token: "".into(),
        nonce: "".into(),
        key: Arc::clone(&key.id),
        agent: agent.into(),
        ip: caller.ip,
        issued: now,
        expires: now,
    })
}

fn name_receipt(headers: &mut http::HeaderMap, receipt: Option<&str>) {
    if let Some(id) = receipt.and_then(|receipt| HeaderValue::from_str(receipt).ok()) {
        headers.insert(REQUEST_ID, id);
    }
}
