//! The only module that writes onward: requests to upstreams, replies to clients. It takes permits by
//! value, because they own what may be written.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::decision::Duty;
use doorward_core::engine::NAMED;
use doorward_core::stream::{Held, Ruling};
use doorward_core::syntax::{Span, json};
use doorward_core::wire::Fault;
use doorward_core::wire::splice::{Edit, Piece, splice};

use crate::answer::Answer;
use crate::budgets::Used;
use crate::judge::{Gateway, Refusal};
use crate::record::{Content, Permit, Recorder, Whose};
use crate::upstream::{
    Keep, Place, Reacher, SendError, Terms, Unreached, Upstream, UpstreamBody, request_head,
};

mod reply;
pub use reply::{Begun, Broken, ClientGone, Reading, Reply};

/// Opens permits. Nobody else can make one.
#[derive(Debug)]
pub struct Key(());

/// For tests of what permits own.
#[cfg(test)]
pub(crate) const fn key_of_tests() -> Key {
    Key(())
}

/// How long others are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an upstream may say nothing, until its reply begins and in the middle of it, and a client may
    /// read nothing.
    pub idle: Duration,
    /// How long a reply may take altogether.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: Duration::from_secs(600), total: Duration::from_secs(3600) }
    }
}

/// Why a request did not reach the upstream, or its reply not us.
#[derive(Debug)]
pub enum Unsent {
    /// It may no longer go.
    Refused(Refusal),
    /// The upstream did not answer.
    Upstream(Answer),
}

/// A request as it will be sent: to where, with which head, which bytes.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it goes. The upstream dials its own origin and nothing else.
    pub upstream: Arc<Upstream>,
    /// Method, address and headers.
    pub head: http::request::Parts,
    /// The judged bytes.
    pub body: Bytes,
    /// The same with what had to be replaced, if anything had; then these go.
    pub edited: Option<Bytes>,
    /// How many blocked calls were put back into them.
    pub restored: usize,
}

impl Content for Outgoing {
    const PART: &'static str = "body";

    fn content(&self) -> &[u8] {
        self.edited.as_ref().unwrap_or(&self.body)
    }

    fn edit(&mut self, edits: Vec<Edit>) -> Result<(), Fault> {
        self.edited = None;
        if edits.is_empty() {
            return Ok(());
        }
        let end = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
        let edited = splice(&[Piece { span: Span::new(0, end), bytes: Some(&self.body) }], edits)?;
        json::parse(&edited)
            .map_err(|fault| Fault::new("edit", format!("not strict JSON any more: {fault}")))?;
        self.edited = Some(edited);
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        match self.restored {
            0 => Vec::new(),
            calls => vec![format!("restore {calls}")],
        }
    }
}

/// Sends the judged request. Dropping the future closes the connection, which is how a client that has
/// gone cancels what it asked for.
///
/// With the reply comes what the request used, to be settled when the reply ends.
///
/// # Errors
/// [`Unsent`].
pub(crate) async fn request(
    gateway: &Gateway,
    permit: Permit<Outgoing>,
    patience: Patience,
) -> Result<(http::Response<UpstreamBody>, Option<Used>), Unsent> {
    let permit = gateway.renew(permit).await.map_err(Unsent::Refused)?;
    let receipt = permit.receipt().to_owned();
    let (Outgoing { upstream, head, body, edited, .. }, used) = permit.open(Key(()));
    let body = edited.unwrap_or(body);
    let sending = upstream.send(&head, &body, Key(()));
    let failed = |code, message: String| Unsent::Upstream(Answer::upstream(code, message).under(receipt));
    match tokio::time::timeout(patience.idle, sending).await {
        Ok(Ok(response)) => Ok((response, used)),
        Ok(Err(error)) => {
            let (what, cause) = match &error {
                SendError::Connect(error) => {
                    used.into_iter().for_each(Used::give_back);
                    ("cannot be reached", innermost(error))
                }
                SendError::Exchange(error) => ("broke off before its reply", innermost(error)),
            };
            Err(failed("upstream_unreachable", format!("the upstream `{}` {what}: {cause}", upstream.name)))
        }
        Err(_) => Err(failed(
            "upstream_timeout",
            format!(
                "the upstream `{}` did not answer in {} s (setting `idle_timeout`)",
                upstream.name,
                patience.idle.as_secs()
            ),
        )),
    }
}

/// A request to wherever it was allowed to go.
#[derive(Debug)]
pub struct Errand {
    /// Where.
    pub place: Place,
    /// Method, address and headers.
    pub head: http::request::Parts,
    /// The judged bytes.
    pub body: Bytes,
}

impl Content for Errand {
    const PART: &'static str = "body";

    fn content(&self) -> &[u8] {
        &self.body
    }

    /// A path or a header carries data out as well as a body does.
    fn leaves(&self) -> usize {
        request_head(&self.head, self.body.len()).len() + self.body.len()
    }
}

/// What a place has answered, as far as its head.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    /// Head, and body to be read.
    pub reply: http::Response<UpstreamBody>,
    /// What the request used, to be settled when the reply has ended.
    pub used: Option<Used>,
    /// The receipt of the request.
    pub receipt: String,
    /// The place, as receipts name it.
    pub peer: Arc<str>,
}

/// Why nothing was answered.
#[derive(Debug)]
pub(crate) enum NotThere {
    /// It may no longer go.
    Refused(Refusal),
    /// Nobody was reached, or did not answer; the receipt of the request.
    Unreached(Unreached, String),
}

/// Records, dropped before it is emptied, that a request went and who wanted the answer has gone.
struct Gone(Option<(Recorder, Whose, String)>);

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some((recorder, whose, receipt)) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime
                .spawn(async move { recorder.unanswered(&whose, &receipt, "client_gone", None, None).await });
        }
    }
}

/// Sends the judged request to the place it names. Only here, with a permit, is anybody asked for an address.
///
/// # Errors
/// [`NotThere`]; its outcome is on record then, and what it used is given back unless it may have been seen.
pub(crate) async fn elsewhere(
    gateway: &Gateway,
    permit: Permit<Errand>,
    reacher: &Reacher,
    patience: Patience,
) -> Result<Elsewhere, NotThere> {
    let permit = gateway.renew(permit).await.map_err(NotThere::Refused)?;
    if permit.is_only_checked() {
        let receipt = permit.receipt().to_owned();
        gateway.recorder().ended(permit, "not_sent", None).await;
        return Err(NotThere::Unreached(Unreached::Exchange("it was only checked".to_owned()), receipt));
    }
    let named = dials_named(&permit);
    let (receipt, told, epoch) = (permit.receipt().to_owned(), permit.told(), permit.epoch());
    // Whoever asked may go before there is an answer; the future ends where it is then.
    let mut gone = Gone(Some((gateway.recorder().clone(), told.clone(), receipt.clone())));
    let (Errand { place, head, body }, mut used) = permit.open(Key(()));
    let still = || gateway.epoch() == epoch;
    let keep = Some(Keep { whose: &told.session, still: &still });
    let sending = reacher.send(&place, Terms { anywhere: named, keep }, (&head, &body), Key(()));
    let late = || Unreached::Exchange(format!("no answer came in {} s", patience.idle.as_secs()));
    let sent = tokio::time::timeout(patience.idle, sending).await.unwrap_or_else(|_| Err(late()));
    gone.0 = None;
    match sent {
        Ok(reply) => Ok(Elsewhere { reply, used, receipt, peer: told.peer }),
        Err(why) => {
            // Nothing was answered, so nothing is paid; limits have counted what may have been seen.
            let held = used.as_mut().and_then(Used::take_held);
            if !matches!(why, Unreached::Exchange(_)) {
                used.into_iter().for_each(Used::give_back);
            }
            let fault = Fault::new("egress.unreached", why.to_string());
            gateway.recorder().unanswered(&told, &receipt, "failed", Some(&fault), held).await;
            Err(NotThere::Unreached(why, receipt))
        }
    }
}

/// Whether the operator named the place, so that its addresses need not be public.
fn dials_named(permit: &Permit<Errand>) -> bool {
    permit.decision().duties.0.iter().any(|duty| matches!(duty, Duty::Dial(rule) if rule == NAMED))
}

/// Looks at where a request that is only checked would go: its name is asked for and every address looked at, as in [`elsewhere`]; nobody is
/// connected to, nothing is sent, and nothing is used. Returns its receipt.
///
/// # Errors
/// [`NotThere`]; its outcome is on record then.
pub(crate) async fn looked(
    gateway: &Gateway,
    permit: Permit<Errand>,
    reacher: &Reacher,
) -> Result<String, NotThere> {
    let permit = gateway.renew(permit).await.map_err(NotThere::Refused)?;
    let named = dials_named(&permit);
    let (receipt, told) = (permit.receipt().to_owned(), permit.told());
    let mut gone = Gone(Some((gateway.recorder().clone(), told.clone(), receipt.clone())));
    let (Errand { place, .. }, used) = permit.open(Key(()));
    used.into_iter().for_each(Used::give_back);
    let found = reacher.look(&place, named, Key(())).await;
    gone.0 = None;
    let fault = found.as_ref().err().map(|why| Fault::new("egress.unreached", why.to_string()));
    let result = if fault.is_some() { "failed" } else { "preflight" };
    gateway.recorder().unanswered(&told, &receipt, result, fault.as_ref(), None).await;
    match found {
        Ok(()) => Ok(receipt),
        Err(why) => Err(NotThere::Unreached(why, receipt)),
    }
}

/// Asks a judge that an operator named ([`crate::opinion`]) and waits for the head of its answer. It is no crossing: what is sent is
/// Doorward's own, goes where the configuration says and nowhere else, and holds what a call says only if the operator
/// wants that.
///
/// # Errors
/// [`SendError`].
pub(crate) async fn consult(
    judge: &Upstream,
    head: &http::request::Parts,
    question: &Bytes,
) -> Result<http::Response<UpstreamBody>, SendError> {
    judge.send(head, question, Key(())).await
}

/// Sends a message to a webhook that an operator named ([`crate::webhooks`]) and waits for the head of its answer. It is no crossing: what is
/// sent is Doorward's own, says what receipts say, and goes where the operator wants and nowhere else. `local`: there the
/// operator allows addresses that are not public.
///
/// # Errors
/// [`Unreached`].
pub(crate) async fn notify(
    reacher: &Reacher,
    place: &Place,
    local: bool,
    (head, message): (&http::request::Parts, &Bytes),
) -> Result<http::Response<UpstreamBody>, Unreached> {
    reacher.send(place, Terms { anywhere: local, keep: None }, (head, message), Key(())).await
}

/// The innermost cause of an error: the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The ruling on a held call: its bytes back, or what the agent is told.
pub async fn ruling(gateway: &Gateway, judged: Result<Permit<Held>, Refusal>, tool: &str) -> Ruling {
    let permit = match judged {
        Ok(permit) => gateway.renew(permit).await,
        Err(refusal) => Err(refusal),
    };
    match permit {
        Ok(permit) => Ruling::Release(permit.open(Key(())).0),
        Err(refusal) => Ruling::Replace(notice(&refusal, tool)),
    }
}

fn notice(refusal: &Refusal, tool: &str) -> String {
    // The name is the provider's word: cut, and without what could make it more than a name.
    let tool: String = tool.chars().filter(|c| !c.is_control() && *c != '`').take(80).collect();
    match &refusal.why {
        crate::Why::Blocked => {
            let receipt = refusal.receipt.as_deref().unwrap_or_default();
            format!("{} (receipt {receipt})", refusal.decision.notice(&format!("the call to `{tool}`")))
        }
        _ => format!(
            "[doorward] The call to `{tool}` was withheld because its decision could not be recorded. Do not retry now; tell your user that Doorward needs attention."
        ),
    }
}
