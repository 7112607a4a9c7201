//! The model door: between an agent and its model.
//!
//! ```text
//! request ─▶ endpoint ─▶ read strictly ─▶ pass ─▶ forward::request ─▶ reply head ─▶ open ─▶ relay
//! ```

use std::sync::Arc;

use doorward_core::action::request as http_request;
use doorward_core::session::{Mode, name};
use http::request::Parts;
use http::{Response, StatusCode, header};
use tokio::sync::Semaphore;

use super::body::{Gathered, whole_body};
use super::relay;
use crate::answer::{Answer, Body};
use crate::forward::{self, Outgoing, Patience, Unsent};
use crate::hold::Waits;
use crate::incoming::Incoming;
use crate::judge::{Gateway, Refusal, Why, now};
use crate::sessions::Session;
use crate::turns::LARGE;
use crate::upstream::Upstream;

mod endpoint;

mod request;
use request::{Asked, as_sent};

mod reply;

mod session;

/// One request on its way to one upstream.
pub struct Crossing {
    /// What judges it.
    pub gateway: Arc<Gateway>,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// Whose it is.
    pub agent: Arc<str>,
    /// The session it belongs to, once that is known.
    pub session: Option<Arc<Session>>,
    /// Where the client reached it: our address, and the path down to `rest`. Holds the agent's token.
    pub door: Arc<str>,
    /// Path below the upstream's base, and query.
    pub rest: String,
    /// What all requests together, and those of this agent, may take ([`crate::memory`]).
    pub memory: [Arc<Semaphore>; 2],
    /// How long the upstream and the client are waited for.
    pub patience: Patience,
}

impl Crossing {
    /// Takes a request through and gives the client its reply.
    pub async fn handle(self, head: Parts, body: Incoming) -> Response<Body> {
        let protocol = self.upstream.protocol;
        match self.cross(head, body).await {
            Ok(response) => response,
            Err(answer) => answer.into_response(protocol),
        }
    }

    async fn cross(mut self, mut head: Parts, body: Incoming) -> Result<Response<Body>, Answer> {
        let memory = self.memory.clone();
        let Gathered { bytes, read, mut shares } =
            whole_body(&head, body, memory.each_ref().map(|share| &**share)).await?;
        let Asked { endpoint, request, mut action, wrong, body, history, session, mode } =
            if read.as_ref().is_ok_and(|read| read.len() > LARGE) {
                tokio::task::block_in_place(|| self.read(&head, read.as_ref()))
            } else {
                self.read(&head, read.as_ref())
            }?;
        self.session = Some(session);
        let decoded = body.clone();
        let body = match body {
            // What was judged is what goes on, not what another decoder could make of the coded bytes.
            Some(body) if mode == Mode::Block => {
                head.headers.remove(header::CONTENT_ENCODING);
                body
            }
            _ => bytes,
        };
        let method = head.method.clone();
        let onward = self.upstream.head(&head, &self.rest).map_err(|why| bad_request("path", why))?;
        let asked = as_sent(&onward, decoded);
        if self.gateway.in_force().engine.policy().looks_into_bodies() {
            shares.cover_more(kept_of(&asked))?;
        }
        action.request = Some(Arc::new(asked));
        let key = self.gateway.request_key(&action, (&method, &self.rest), &body);
        let outgoing = Outgoing {
            upstream: Arc::clone(&self.upstream),
            head: onward,
            body,
            edited: None,
            restored: history.restored,
        };
        let permit = match self.gateway.pass(action, outgoing, &Waits::default()).await {
            Ok(permit) => permit,
            Err(Refusal { receipt, why: Why::Blocked, decision }) => {
                let answer = Answer::from(Refusal { receipt: receipt.clone(), why: Why::Blocked, decision });
                // The block stands in the ledger; the agent is told what is wrong with its request.
                return Err(wrong.map_or(answer, |wrong| wrong.under(receipt.unwrap_or_default())));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        if self.mode() != mode {
            return Err(Answer::moved().under(permit.receipt()));
        }
        let receipt = permit.receipt().to_owned();
        // Monitor lets pass what is wrong, but an odd path could leave the upstream's base and take the
        // configured key along, and nobody is there to speak WebSocket.
        if let Some(wrong) = wrong.filter(|wrong| matches!(wrong.code, "path" | "websocket")) {
            return Err(wrong.under(receipt));
        }
        if let Some((key, tape)) = key.as_ref().and_then(|key| self.kept(key)) {
            // It asked upstream already.
            drop(permit);
            let again = self.again(key, tape).await;
            return again
                .map_err(|answer| if answer.receipt.is_some() { answer } else { answer.under(receipt) });
        }
        let session = self.session_name();
        let reply = tokio::select! {
            reply = forward::request(&self.gateway, permit, self.patience) => reply,
            () = relay::killed(&self.gateway, &session) => return Err(relay::stopped().under(receipt.as_str())),
        };
        drop(shares);
        let (reply, used) = reply.map_err(|unsent| match unsent {
            Unsent::Refused(refusal) => Answer::from(refusal),
            Unsent::Upstream(answer) => answer,
        })?;
        let answered = self.reply(endpoint, &method, (request, history, key), (reply, used)).await;
        answered.map_err(|answer| if answer.receipt.is_some() { answer } else { answer.under(receipt) })
    }
}

impl Crossing {
    /// The name of its session.
    fn session_name(&self) -> Arc<str> {
        self.session.as_ref().map_or_else(|| name::nobodys(&self.agent), |session| session.name())
    }

    /// How much is enforced at this moment: the weakest of what process, policy and session say.
    fn mode(&self) -> Mode {
        let mode = self.gateway.mode();
        self.session.as_ref().map_or(mode, |session| session.standing(now()).mode.weaken(mode))
    }
}

/// How much memory the body of `request` takes once rules have looked into it: it is kept until the request has gone
/// on, which may wait for its receipt.
fn kept_of(request: &http_request::Request) -> usize {
    let read = || {
        request.content();
        request.memory()
    };
    let large = matches!(request.body(), http_request::Body::Whole(bytes) if bytes.len() > LARGE);
    if large { tokio::task::block_in_place(read) } else { read() }
}

fn bad_request(code: &'static str, message: String) -> Answer {
    Answer::agent(StatusCode::BAD_REQUEST, code, message)
}
