//! What a place has answered, read whole, looked at, and given back.

use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use doorward_core::action::{Action, ActionKind, PartKind};
use doorward_core::policy::Profile;
use doorward_core::stream::Outcome;
use doorward_core::wire::Fault;
use doorward_core::wire::sphyr::reply::{Answered, Safety};
use doorward_core::wire::sphyr::{code, sign};
use doorward_core::{Door, Reason, Source, Verdict};
use doorward_store::accounts::Key;
use doorward_store::fill_random;
use http::{HeaderMap, header};

use super::Egress;
use super::denied::Denial;
use super::net::session_of;
use super::sessions::Session;
use crate::doors::body::small_body;
use crate::encoding::{Coding, Decoder};
use crate::forward::{Elsewhere, NotThere};
use crate::record::{Closing, StreamPermit};
use crate::upstream::Unreached;

impl From<NotThere> for Denial {
    fn from(not: NotThere) -> Self {
        match not {
            NotThere::Refused(refusal) => refusal.into(),
            NotThere::Unreached(why, receipt) => {
                let code = match why {
                    Unreached::Forbidden(_) | Unreached::Ourselves => code::SSRF_BLOCKED,
                    Unreached::NoName(_) => code::DNS_FAILED,
                    Unreached::Connect(_) | Unreached::Exchange(_) => code::FETCH_ERROR,
                };
                Self::new(code, why.to_string()).under(receipt)
            }
        }
    }
}

impl Egress {
    /// Reads the reply and gives it back under a receipt of its own.
    pub(super) async fn reply(
        &self,
        sent: Elsewhere,
        session: &Session,
        key: &Key,
    ) -> Result<Vec<u8>, Denial> {
        let Elsewhere { reply, used, receipt, peer } = sent;
        let began = Instant::now();
        let mut action = Action::new(
            Door::Egress,
            ActionKind::ModelResponse,
            key.agent.shared(),
            session_of(key, session),
        );
        (action.peer, action.source) = (peer, Source::Web);
        let permit = self.gateway.open_after(action, used, Some(receipt.as_str().into())).await?;
        let (head, body) = reply.into_parts();
        let read = self.read(&head.headers, body).await;
        let status = head.status.as_u16();
        let judged = match read {
            Ok(bytes) => self.screen(&permit, &head.headers, bytes).await,
            Err(denial) => Err(denial),
        };
        let given = judged.map(|(bytes, safety)| {
            (given_back(&head, &bytes, safety, session, &receipt), bytes.len() as u64)
        });
        let fault = given.as_ref().err().map(|denial| Fault::new("egress.reply", denial.message.clone()));
        let closing = Closing {
            result: if given.is_ok() { "completed" } else { "failed" },
            outcome: Outcome { fault, whole: given.is_ok(), ..Outcome::default() },
            status,
            bytes: given.as_ref().map_or(0, |(_, bytes)| *bytes),
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.gateway.recorder().close(permit, closing).await;
        given.map(|(given, _)| given).map_err(|denial| denial.under(receipt))
    }

    /// All of a reply, decoded.
    async fn read(&self, headers: &HeaderMap, body: crate::upstream::UpstreamBody) -> Result<Bytes, Denial> {
        let unsafe_one = |message: String| Denial::new(code::INBOUND_SAFETY_BLOCKED, message);
        let coding = Coding::of(headers).and_then(|coding| coding.map(Decoder::new).transpose());
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
    async fn screen(
        &self,
        permit: &StreamPermit,
        headers: &HeaderMap,
        bytes: Bytes,
    ) -> Result<(Bytes, Safety), Denial> {
        let in_force = self.gateway.in_force();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let engine = &in_force.engine;
        let reasons = if text.len() > crate::judge::LARGE {
            tokio::task::block_in_place(|| engine.audit_text(PartKind::ToolResult, &text))
        } else {
            engine.audit_text(PartKind::ToolResult, &text)
        };
        let of = |prefix: &str| reasons.iter().any(|reason: &Reason| reason.rule.starts_with(prefix));
        let safety =
            Safety { html_body: is_html(headers, &text), injection: of("inject."), secret: of("secret.") };
        let grave = reasons.iter().any(|reason| reason.rule.starts_with("inject.") && reason.severity >= 60);
        if reasons.iter().any(|reason| reason.verdict >= Verdict::Audit) {
            self.gateway.audit(permit, reasons, &text, &in_force).await;
        }
        if grave && engine.policy().profile() == Profile::Strict {
            let message = "the answer speaks to the model as only the user or the system may";
            return Err(Denial::new(code::INBOUND_SAFETY_BLOCKED, message));
        }
        Ok((bytes, safety))
    }
}

/// The answer as the SDK reads it, with what it has no place for beside it.
fn given_back(
    head: &http::response::Parts,
    bytes: &Bytes,
    safety: Safety,
    session: &Session,
    receipt: &str,
) -> Vec<u8> {
    let mut salt = [0; 16];
    // Without random bytes the salt is empty, and the signature of the flags holds all the same.
    let salt = fill_random(&mut salt).map(|()| hex(&salt)).unwrap_or_default();
    let signature = sign::sign(session.nonce.as_bytes(), &safety.signed(&salt));
    let text = std::str::from_utf8(bytes);
    let base64 = text.is_err().then(|| base64::engine::general_purpose::STANDARD.encode(bytes));
    // What is given back is decoded, and whole.
    let framing = [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let headers: Vec<(&str, String)> = head
        .headers
        .iter()
        .filter(|(name, _)| !framing.contains(name))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let answered = Answered {
        status: head.status.as_u16(),
        body: &String::from_utf8_lossy(bytes),
        base64: base64.as_deref(),
        headers: &headers,
        request: receipt,
        credits: 1,
        safety,
        salt: &salt,
        signature: &signature,
    };
    answered.json()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a browser would take it for a page.
fn is_html(headers: &HeaderMap, text: &str) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = named.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("html")
    });
    let begin: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    named || begin.starts_with("<!doctype html") || begin.starts_with("<html")
}
