//! What a place has answered, read whole, looked at, and given back.

use doorward_core::syntax::hex;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use doorward_core::action::{Action, ActionKind, Bill};
use doorward_core::policy::Profile;
use doorward_core::stream::Outcome;
use doorward_core::wire::Fault;
use doorward_core::wire::sphyr::reply::{self, Safety};
use doorward_core::wire::sphyr::{code, sign};
use doorward_core::{Coverage, Door, Source};
use doorward_store::accounts::Key;
use doorward_store::fill_random;
use http::{HeaderMap, header};

use super::denied::Denial;
use super::net::{Answered, session_of};
use super::screen::{self, Came};
use super::sessions::Session;
use super::{Egress, redirects};
use crate::budgets::Used;
use crate::doors::body::small_body;
use crate::encoding::{Coding, Decoder};
use crate::forward::{Elsewhere, NotThere};
use crate::record::{Closing, Recorder, StreamPermit};
use crate::upstream::{Unreached, UpstreamBody};

/// An answer, whole: decoded and looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// The status.
    pub status: u16,
    /// Its header lines, without those that are about its bytes.
    pub headers: HeaderMap,
    /// What it says.
    pub bytes: Bytes,
    /// What was seen in it.
    pub safety: Safety,
    /// The receipt of the request.
    pub receipt: Box<str>,
    /// How many requests it took.
    pub credits: u64,
    /// Where it redirects to.
    pub redirect: Option<Box<str>>,
}

/// The permit of an answer that is still to come: dropped with it, because whoever waits for it has gone, it leaves that as its
/// outcome.
struct Awaited {
    recorder: Recorder,
    permit: Option<StreamPermit>,
    status: u16,
    began: Instant,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (recorder, status) = (self.recorder.clone(), self.status);
            let closing = Closing { result: "client_gone", status, millis, ..Closing::default() };
            runtime.spawn(async move { recorder.close(permit, closing).await });
        }
    }
}

impl From<NotThere> for Denial {
    fn from(not: NotThere) -> Self {
        match not {
            NotThere::Refused(refusal) => refusal.into(),
            NotThere::Unreached(why, receipt) => {
                let seen = matches!(why, Unreached::Exchange(_));
                let code = match why {
                    Unreached::Forbidden(_) | Unreached::Ourselves => code::SSRF_BLOCKED,
                    Unreached::NoName(_) => code::DNS_FAILED,
                    Unreached::Connect(_) | Unreached::Exchange(_) => code::FETCH_ERROR,
                };
                Self { seen, ..Self::new(code, why.to_string()) }.under(receipt)
            }
        }
    }
}

impl Egress {
    /// Reads the reply and gives it back under a receipt of its own.
    pub(super) async fn reply(
        &self,
        answered: Answered,
        session: &Session,
        key: &Key,
    ) -> Result<Arc<Given>, Denial> {
        let Answered { there, url, credits, once, claim, place: _place } = answered;
        let Elsewhere { reply, used, receipt, peer } = there;
        let began = Instant::now();
        let permit = self.opened((used, &receipt, peer), session, key, Coverage::Full).await?;
        let (head, body) = reply.into_parts();
        let given = Given::of(&head, &url, &receipt, credits);
        let read = self.read(&head.headers, body);
        let (permit, read) = self.unless_gone((permit, head.status.as_u16(), began), read).await?;
        let judged = match read {
            Ok(bytes) => self.screen(&permit, &url, Given { bytes, ..given }).await,
            Err(denial) => Err(denial),
        };
        let fault = judged.as_ref().err().map(|denial| Fault::new("egress.reply", denial.message.clone()));
        let closing = Closing {
            result: if judged.is_ok() { "completed" } else { "failed" },
            outcome: Outcome { fault, whole: judged.is_ok(), ..Outcome::default() },
            status: head.status.as_u16(),
            bytes: judged.as_ref().map_or(0, |given| given.bytes.len() as u64),
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.gateway.recorder().close(permit, closing).await;
        let judged = judged.map(Arc::new).map_err(|denial| Denial { seen: once, ..denial }.under(receipt));
        match (claim, &judged) {
            (Some(claim), Ok(given)) => claim.answered(Some(Arc::clone(given))),
            (Some(claim), Err(denial)) => claim.refused(denial),
            (None, _) => {}
        }
        judged
    }

    /// Waits for `work` on an answer. Whoever waits for that may go; then this is dropped, and it is the answer's outcome.
    ///
    /// # Errors
    /// Never: the permit is there until this has ended.
    pub(super) async fn unless_gone<T>(
        &self,
        (permit, status, began): (StreamPermit, u16, Instant),
        work: impl Future<Output = T>,
    ) -> Result<(StreamPermit, T), Denial> {
        let recorder = self.gateway.recorder().clone();
        let mut awaited = Awaited { recorder, permit: Some(permit), status, began };
        let done = work.await;
        let nobody = || Denial::new(code::FETCH_ERROR, "nobody waits for this answer any more");
        awaited.permit.take().map(|permit| (permit, done)).ok_or_else(nobody)
    }

    /// The permit under which an answer is given back.
    pub(super) async fn opened(
        &self,
        (used, receipt, peer): (Option<Used>, &str, Arc<str>),
        session: &Session,
        key: &Key,
        coverage: Coverage,
    ) -> Result<StreamPermit, Denial> {
        let (agent, session) = (key.agent.shared(), session_of(key, session));
        let mut action = Action::new(Door::Egress, ActionKind::ModelResponse, agent, session);
        (action.peer, action.source, action.coverage) = (peer, Source::Web, coverage);
        // Paid with its request; whose it is stands beside its receipt.
        action.bill = Some(Bill { key: Arc::clone(&key.id), agent: "".into(), credits: 0 });
        Ok(self.gateway.open_after(action, used, Some(receipt.into())).await?)
    }

    /// Puts an answer on record that is not given back because its redirect is followed.
    pub(super) async fn passed_by(
        &self,
        there: Elsewhere,
        session: &Session,
        key: &Key,
    ) -> Result<(), Denial> {
        let Elsewhere { reply, used, receipt, peer } = there;
        let coverage = Coverage::None("a redirect that is followed; its body is not read".to_owned());
        let permit = self.opened((used, &receipt, peer), session, key, coverage.clone()).await?;
        let outcome = Outcome { coverage, whole: true, ..Outcome::default() };
        let closing =
            Closing { result: "redirected", outcome, status: reply.status().as_u16(), ..Closing::default() };
        self.gateway.recorder().close(permit, closing).await;
        Ok(())
    }

    /// All of a reply, decoded.
    async fn read(&self, headers: &HeaderMap, body: UpstreamBody) -> Result<Bytes, Denial> {
        let unsafe_one = |message: String| Denial::new(code::INBOUND_SAFETY_BLOCKED, message);
        let coding = Coding::of_decoded(headers).and_then(|coding| coding.map(Decoder::new).transpose());
        let decoder = coding.map_err(|fault| unsafe_one(fault.message))?;
        let reading = small_body(decoder, body, self.settings.largest_reply);
        match tokio::time::timeout(self.settings.patience.total, reading).await {
            Ok(Ok(Ok(bytes))) => Ok(bytes),
            Ok(Ok(Err(fault))) => Err(unsafe_one(fault.message)),
            Ok(Err(answer)) if answer.code == "too_large" => {
                let most = self.settings.largest_reply;
                Err(unsafe_one(format!("the answer has more than {most} bytes, the most that is given back")))
            }
            Ok(Err(_)) | Err(_) => {
                let message = "the answer broke off, or took longer than 60 s or `total_timeout`";
                Err(Denial::new(code::FETCH_ERROR, message))
            }
        }
    }

    /// What is seen in a reply: flags for the client, a note for people. Under `strict` what speaks to the model does not pass.
    async fn screen(&self, permit: &StreamPermit, url: &str, given: Given) -> Result<Given, Denial> {
        let came = Came { url, headers: &given.headers, bytes: &given.bytes };
        let seen = screen::look(&self.gateway, permit, came).await;
        if seen.grave && self.holds_answers() {
            let message = "the answer speaks to the model as only the user or the system may";
            return Err(Denial::new(code::INBOUND_SAFETY_BLOCKED, message));
        }
        came.tell(&self.gateway, permit).await;
        Ok(Given { safety: seen.safety, ..given })
    }

    /// Whether answers are looked at before they are given back, and some are not.
    pub(super) fn holds_answers(&self) -> bool {
        self.gateway.in_force().engine.policy().profile() == Profile::Strict
    }
}

impl Given {
    /// The answer to a request of `url`, without its bytes.
    pub(super) fn of(head: &http::response::Parts, url: &str, receipt: &str, credits: u64) -> Self {
        let mut headers = head.headers.clone();
        // What is given back is decoded, and whole.
        for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        Self {
            status: head.status.as_u16(),
            redirect: redirects::target(url, head.status, &headers).map(Into::into),
            headers,
            receipt: receipt.into(),
            credits,
            ..Self::default()
        }
    }

    /// Its header lines as text.
    pub(super) fn lines(&self) -> Vec<(&str, String)> {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
    }

    /// Its bytes in base64, if they are no text.
    pub(super) fn base64(&self) -> Option<String> {
        let is_text = std::str::from_utf8(&self.bytes).is_ok();
        (!is_text).then(|| base64::engine::general_purpose::STANDARD.encode(&self.bytes))
    }

    /// As the SDK reads it, with what it has no place for beside it.
    pub(super) fn for_sdk(&self, nonce: &str) -> Vec<u8> {
        let mut salt = [0; 16];
        // Without random bytes the salt is empty, and the signature of the flags holds all the same.
        let salt = fill_random(&mut salt).map(|()| hex(&salt)).unwrap_or_default();
        let signature = sign::sign(nonce.as_bytes(), &self.safety.signed(&salt));
        let (base64, lines) = (self.base64(), self.lines());
        let answered = reply::Answered {
            status: self.status,
            body: &String::from_utf8_lossy(&self.bytes),
            base64: base64.as_deref(),
            headers: &lines,
            request: &self.receipt,
            credits: self.credits,
            safety: self.safety,
            salt: &salt,
            signature: &signature,
            redirect: self.redirect.as_deref(),
        };
        answered.json()
    }
}
