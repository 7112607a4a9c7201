//! `sphyr_net`: one request, from its arguments to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::Source;
use doorward_core::account::replay::Reserved;
use doorward_core::action::{Action, Bill, KeyEntropy};
use doorward_core::session::{Millis, name};
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::reply::preflight;
use doorward_core::wire::sphyr::{code, sign};
use doorward_store::Alert;
use doorward_store::accounts::{Compromise, Identity, Key};
use doorward_store::kill::DOORWARD;

use super::calls::{ALLOWED, Said};
use super::denied::Denial;
use super::errand::{action, errand};
use super::repeats::{Claim, Claimed};
use super::reply::Given;
use super::running::OnItsWay;
use super::sessions::Session;
use super::stages::{freshness, signature};
use super::{Caller, Egress, LARGEST_BODY, keys, redirects, unpacked};
use crate::forward::{self, Elsewhere, Errand};
use crate::hold::Waits;
use crate::record::Nothing;
use crate::webhooks::news;

/// By what a request shows whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A signature, which has its time and counts once.
    Signature,
    /// The key's credential.
    Credential,
    /// It follows a redirect of one that has shown it.
    Before,
}

/// What became of a request that may go.
pub(super) enum Sent {
    /// It was only checked, under this receipt.
    Checked(String),
    /// It was done before, and this is what was answered.
    Again(Arc<Given>),
    /// It was sent and answered.
    Answered(Box<Answered>),
}

/// What clients call a report that the tools of a server are not what they were.
const DRIFT: &str = "tool-drift";

/// What was answered, as far as its head.
pub(super) struct Answered {
    /// Head, and body to be read.
    pub there: Elsewhere,
    /// Where the request went that was answered.
    pub url: String,
    /// How many requests it took.
    pub credits: u64,
    /// Whether it must not be done twice.
    pub once: bool,
    /// To be told what comes of it.
    pub claim: Option<Claim>,
    /// Its place among those that are on their way, until it is read.
    pub place: Option<OnItsWay>,
}

/// A request that may be judged.
struct Ready {
    action: Action,
    /// Its place among the calls that passed.
    place: Option<Reserved>,
    errand: Errand,
}

impl Egress {
    /// Sends a request for who has signed it, and gives back what was answered.
    pub(super) async fn net(&self, net: Net, caller: Caller) -> Result<Said, Denial> {
        let (session, key) = self.session(&net.session, caller)?;
        let sent = self.judged(net, &session, &key, caller).await;
        self.told(sent.as_ref().err(), &session, &key, caller).await;
        sent.map_err(|denial| Denial { session: Some(session.token.clone()), ..denial })
    }

    /// Counts what came of a request, and suspends a key with which somebody touched a decoy.
    pub(super) async fn told(&self, refused: Option<&Denial>, session: &Session, key: &Key, caller: Caller) {
        let outcome = refused.map_or(ALLOWED, |denial| denial.code.name);
        self.gateway.store().count_usage(&key.id, outcome, self.now());
        let Some((denial, touched)) = refused.and_then(|denial| Some((denial, denial.touched.as_deref()?)))
        else {
            return;
        };
        let compromise = Compromise {
            at: self.now(),
            receipt: denial.receipt.as_deref().unwrap_or_default().to_owned(),
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
            Sent::Again(given) => {
                Ok(Said { json: given.for_sdk(&session.nonce), receipt: Some(given.receipt.to_string()) })
            }
            Sent::Answered(answered) => {
                let receipt = Some(answered.there.receipt.clone());
                Ok(Said { json: self.reply(*answered, session, key).await?.for_sdk(&session.nonce), receipt })
            }
        }
    }

    /// Judges a request and sends it, if it may go and is not only to be checked; follows redirects as far as it is asked
    /// to, each a request that is judged by itself.
    pub(super) async fn send(
        &self,
        net: Net,
        session: &Session,
        key: &Key,
        (caller, shown): (Caller, Shown),
    ) -> Result<Sent, Denial> {
        let busy = || busy("as many requests are on their way as may be");
        let place = Some(self.running.one_more(&key.id, &session.agent).ok_or_else(busy)?);
        let ready = self.ready(&net, session, key, (caller, shown)).await?;
        if checked_only(&net, key) {
            return self.checked(ready, &net, session, key).await;
        }
        let mut claim = match self.repeats.claim(&net, session, || self.at()).await {
            Ok(Some(Claimed::First(claim))) => Some(claim),
            Ok(Some(Claimed::Again(given))) => return self.once_more(ready, given).await,
            Ok(None) => None,
            Err(denial) => {
                self.forget(ready.place);
                return Err(self.turned_away(ready.action, denial).await);
            }
        };
        let once = claim.is_some() || !is_idempotent(&net.method);
        match Box::pin(self.followed(net, ready, (session, key), caller, &mut claim)).await {
            Ok(answered) => Ok(Sent::Answered(Box::new(Answered { claim, once, place, ..answered }))),
            Err(denial) => {
                let denial = Denial { seen: denial.seen && once, ..denial };
                if let Some(claim) = claim {
                    claim.refused(&denial);
                }
                Err(denial)
            }
        }
    }

    /// Sends a request, and what it is redirected to, as far as that is to be followed.
    async fn followed(
        &self,
        mut net: Net,
        ready: Ready,
        (session, key): (&Session, &Key),
        caller: Caller,
        claim: &mut Option<Claim>,
    ) -> Result<Answered, Denial> {
        let mut there = self.go(ready, claim.as_mut()).await?;
        let mut credits = 1;
        for _ in 0..net.follow.unwrap_or(key.settings.follow_redirects) {
            let status = there.reply.status();
            let Some(url) = redirects::target(&net.url, status, there.reply.headers()) else { break };
            self.passed_by(there, session, key).await?;
            net = redirects::follow(&net, status, url);
            let ready = self.ready(&net, session, key, (caller, Shown::Before));
            let hop = async { self.go(ready.await?, None).await };
            there = Box::pin(hop).await.map_err(|denial| redirects::refused(denial, &net.url))?;
            credits += 1;
        }
        Ok(Answered { there, url: net.url, credits, once: true, claim: None, place: None })
    }

    /// Looks at what stands before judging, and makes what is judged and what is sent.
    async fn ready(
        &self,
        net: &Net,
        session: &Session,
        key: &Key,
        (caller, shown): (Caller, Shown),
    ) -> Result<Ready, Denial> {
        let unpacked = unpacked::of(net);
        // Where a redirect leads, the site has chosen.
        let source = if shown == Shown::Before { Source::Web } else { Source::Model };
        let said = unpacked.as_ref().ok().and_then(Option::as_ref);
        let mut action = action(net, (key, session), said, source);
        action.only_checked = checked_only(net, key);
        action.bill = Some(self.bill(key, session));
        action.entropy = self.entropy(key);
        let looked = self.look(net, session, key, (caller, shown)).and_then(|looked| match unpacked {
            Ok(_) => Ok(looked),
            Err(denial) => {
                self.forget(looked.0);
                Err(denial)
            }
        });
        match looked {
            Ok((place, errand)) => Ok(Ready { action, place, errand }),
            Err(denial) => Err(self.turned_away(action, denial).await),
        }
    }

    /// Judges a request and sends it.
    async fn go(&self, ready: Ready, claim: Option<&mut Claim>) -> Result<Elsewhere, Denial> {
        let Ready { action, place, errand } = ready;
        let permit = match self.gateway.pass(action, errand, &Waits::default()).await {
            Ok(permit) => permit,
            Err(refusal) => {
                self.forget(place);
                return Err(refusal.into());
            }
        };
        // From here on it may be seen: its place stays taken, and stands in the store.
        if let Some(claim) = claim
            && let Err(denial) = claim.going().await
        {
            let receipt = permit.receipt().to_owned();
            self.gateway.recorder().ended(permit, "not_sent", None).await;
            self.forget(place);
            return Err(denial.under(receipt));
        }
        Ok(forward::elsewhere(&self.gateway, permit, &self.reacher, self.settings.patience).await?)
    }

    /// Judges a request that is not sent, and says what would come of it: nobody is asked about it, nobody is connected to, and
    /// nothing is used up.
    async fn checked(&self, ready: Ready, net: &Net, session: &Session, key: &Key) -> Result<Sent, Denial> {
        let Ready { mut action, place, errand } = ready;
        let done = match self.repeats.check(net, session, self.at()) {
            Ok(done) => {
                let bill = action.bill.take();
                action.bill = if done { bill.map(free) } else { bill };
                done
            }
            Err(denial) => {
                self.forget(place);
                return Err(self.turned_away(action, denial).await);
            }
        };
        let passed = self.gateway.pass(action, errand, &Waits::default()).await;
        if net.preflight && net.category == DRIFT {
            let receipt =
                passed.as_ref().map_or_else(|refusal| refusal.receipt.as_deref(), |it| Some(it.receipt()));
            let whose = (key.agent.as_str(), &*session_of(key, session), &*key.id);
            news::drifted(self.gateway.store(), whose, &net.body, receipt.unwrap_or_default(), self.now());
        }
        // Only checked, it may be checked again.
        self.forget(place);
        let permit = passed?;
        if done {
            // It would be answered from memory: nobody would be asked for an address.
            let receipt = permit.receipt().to_owned();
            self.gateway.recorder().ended(permit, "preflight", None).await;
            return Ok(Sent::Checked(receipt));
        }
        Ok(Sent::Checked(Box::pin(forward::looked(&self.gateway, permit, &self.reacher)).await?))
    }

    /// Judges a request that was done before: it is not done again, and costs nothing.
    async fn once_more(&self, ready: Ready, given: Arc<Given>) -> Result<Sent, Denial> {
        let Ready { mut action, place, errand } = ready;
        action.bill = action.bill.map(free);
        match self.gateway.pass(action, errand, &Waits::default()).await {
            Ok(permit) => {
                self.gateway.recorder().ended(permit, "answered_before", None).await;
                Ok(Sent::Again(given))
            }
            Err(refusal) => {
                self.forget(place);
                Err(refusal.into())
            }
        }
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
            return Err(Denial::new(code::SESS_IP_MISMATCH, message).said_of(whose(&session, &key)));
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
            Shown::Credential | Shown::Before => None,
        };
        let rest = self.rated(key, &session.agent, (caller.ip, shown)).and_then(|()| {
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

    /// What it pays: one credit, once it is answered; what is only checked, none.
    fn bill(&self, key: &Key, session: &Session) -> Bill {
        let issued = self.accounts().identify(key, &session.agent) == Identity::Issued;
        let agent = if issued { &session.agent } else { "" };
        Bill { key: Arc::clone(&key.id), agent: agent.into(), credits: 1 }
    }

    /// What is set about entropy for a key, if that is anything.
    fn entropy(&self, key: &Key) -> Option<Arc<KeyEntropy>> {
        let own = &key.settings;
        let noted = own.entropy_noted.unwrap_or(self.settings.entropy_noted);
        let (threshold, allowed) = (own.entropy_threshold, &own.entropy_allow);
        let any = noted || threshold.is_some() || !allowed.is_empty();
        any.then(|| Arc::new(KeyEntropy { threshold, allowed: Arc::clone(allowed), noted }))
    }

    /// Records who may not come in, with what they wanted.
    async fn turned_away(&self, mut action: Action, denial: Denial) -> Denial {
        let mut reason = denial.reason();
        // That it is from this session, it only says.
        if denial.code == code::SIG_INVALID {
            let (named, due) = self.named(denial.clone().said_of(format!("session {}", action.session)));
            let Some(more) = due else { return named };
            reason.message.push_str(&more);
        }
        action.at_door.push(reason);
        match self.gateway.pass(action, Nothing, &Waits::default()).await {
            // Not in any mode: such a reason is the door's own.
            Ok(permit) => denial.under(permit.receipt()),
            Err(refusal) => Denial { receipt: refusal.receipt.map(Into::into), ..denial },
        }
    }
}

/// Whether the key's own secret is in what is sent: nobody out there needs it.
fn own_secret(net: &Net, key: &Key, now: Millis) -> Result<(), Denial> {
    let holds = |secret: &str| {
        // By its first byte: comparing at each place took longer than most of what else is looked at here.
        let begins = |at: usize| net.body.get(at..).is_some_and(|rest| rest.starts_with(secret.as_bytes()));
        let first = secret.as_bytes().first();
        let in_body = net.body.iter().enumerate().any(|(at, byte)| Some(byte) == first && begins(at));
        in_body || net.url.contains(secret) || net.headers.iter().any(|(_, value)| value.contains(secret))
    };
    match key.secrets(now).any(holds) {
        true => Err(Denial::new(code::ENTROPY_BLOCKED, "the request carries the secret of its own key")),
        false => Ok(()),
    }
}

/// There is no room now, and will be soon.
pub(super) fn busy(message: &str) -> Denial {
    Denial { retry_after: Some(1000), ..Denial::new(code::RATE_LIMITED, message) }
}

/// For nothing: what was done before is answered from memory.
fn free(bill: Bill) -> Bill {
    Bill { credits: 0, ..bill }
}

/// Whether nothing is to be sent, and nothing spent.
const fn checked_only(net: &Net, key: &Key) -> bool {
    net.preflight || key.settings.dry_run
}

/// The session of Doorward's that a session of a key belongs to: one for each id that an agent gives itself.
pub(super) fn session_of(key: &Key, session: &Session) -> Arc<str> {
    name::name(key.agent.as_str(), &session.agent)
}

/// Key and session, for a receipt that people read.
pub(super) fn whose(session: &Session, key: &Key) -> Box<str> {
    whose_plain(key, &session.agent)
}

/// The same of an agent that shows the key in each call.
pub(super) fn whose_plain(key: &Key, agent: &str) -> Box<str> {
    format!("key {}, session {}", key.id, name::name(key.agent.as_str(), agent)).into()
}

/// Whether doing it twice is as good as once (RFC 9110, 9.2.2).
fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "PUT" | "DELETE")
}
