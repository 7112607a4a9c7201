//! A second opinion: another judge, which an operator may name, is asked about calls whose findings are of middling
//! severity ([why so](../../../../docs/decisions/0011-second-opinion.md)).
//!
//! What it says can make a decision stricter. Only where the operator wants it can it make a finding of its band that asks one that is
//! noted. What does not answer, in time and in the one form that counts, has no opinion, and everything stays as it was.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::action::{ActionKind, Part, PartKind};
use doorward_core::decision::{Coverage, Layer};
use doorward_core::session::{Kill, SessionMode};
use doorward_core::{Reason, Verdict};
use doorward_ledger::receipt::Salt;
use doorward_store::{Secret32, fill_random};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::Semaphore;

use crate::forward::consult;
use crate::judge::Judged;
use crate::upstream::{Upstream, UpstreamError, UpstreamSettings};

mod book;
use book::Book;

mod question;
use question::Question;

mod word;
use word::Word;

/// The findings that may be in the band: below they are not even noted, above they block.
pub const WIDEST: RangeInclusive<u8> = 30..=79;

/// The most bytes of a call that are sent. Of a longer one no opinion is wanted: a part of it could be anything.
const MOST_CONTENT: usize = 16 * 1024;

/// The most bytes of an answer.
const MOST_ANSWER: usize = 64 * 1024;

/// Who is asked, about what, and what that may change.
#[derive(Debug)]
pub struct OpinionSettings {
    /// Where: what speaks `POST {base}/chat/completions` as OpenAI does.
    pub upstream: UpstreamSettings,
    /// Which model.
    pub model: String,
    /// How long it may take, waiting for others included.
    pub timeout: Duration,
    /// The severities of findings that are asked about, within [`WIDEST`].
    pub band: RangeInclusive<u8>,
    /// How many questions there may be on one day (UTC).
    pub daily: u32,
    /// How many at the same time.
    pub at_once: usize,
    /// Whether what calls say is sent. Otherwise only what was found in them is.
    pub content: bool,
    /// Whether it may make a finding that asks one that is noted.
    pub lowers: bool,
}

/// The other judge.
#[derive(Debug)]
pub struct SecondOpinion {
    upstream: Upstream,
    model: String,
    timeout: Duration,
    band: RangeInclusive<u8>,
    content: bool,
    lowers: bool,
    slots: Semaphore,
    book: Mutex<Book>,
}

/// What came of it.
struct Heard {
    word: Result<Word, &'static str>,
    took: Duration,
    known: bool,
}

impl SecondOpinion {
    /// The judge of `settings`. Nothing is connected yet.
    ///
    /// # Errors
    /// If its address or key cannot be used.
    pub fn new(settings: OpinionSettings) -> Result<Self, UpstreamError> {
        let OpinionSettings { upstream, model, timeout, band, daily, at_once, content, lowers } = settings;
        Ok(Self {
            upstream: Upstream::new(upstream)?,
            model,
            timeout,
            band,
            content,
            lowers: lowers && content,
            slots: Semaphore::new(at_once.max(1)),
            book: Mutex::new(Book::new(daily)),
        })
    }

    /// Whether it is to be asked about `judged`.
    pub(crate) fn concerns(&self, judged: &Judged) -> bool {
        let acts =
            matches!(judged.action.kind, ActionKind::ToolCall | ActionKind::Outbound | ActionKind::Url);
        acts && !judged.action.only_checked
            && judged.enforces()
            && judged.seen.facts.kill == Kill::Running
            && judged.decision.verdict < Verdict::Quarantine
            && judged.decision.reasons.iter().any(|reason| self.is_of_band(reason))
    }

    fn is_of_band(&self, reason: &Reason) -> bool {
        reason.layer == Layer::Detect
            && matches!(reason.verdict, Verdict::Audit | Verdict::Ask)
            && self.band.contains(&reason.severity)
    }

    /// Asks about `judged` and returns what is decided then. `key` keys the digests under which answers are remembered.
    pub(crate) async fn weigh(&self, judged: Judged, key: &Secret32) -> Judged {
        let began = Instant::now();
        let question = match self.question(&judged) {
            Ok(question) => question,
            Err(why) => {
                return self.apply(judged, Heard { word: Err(why), took: began.elapsed(), known: false });
            }
        };
        let digest = Salt::new(key.expose()).digest("opinion", &question.known_by()).to_string();
        if let Some(word) = self.book().known(&digest, began) {
            return self.apply(judged, Heard { word: Ok(word), took: began.elapsed(), known: true });
        }
        let word = match tokio::time::timeout(self.timeout, self.ask(&question)).await {
            Ok(word) => word,
            Err(_) => Err("it did not answer in time"),
        };
        self.book().heard(digest, &word, Instant::now());
        self.apply(judged, Heard { word, took: began.elapsed(), known: false })
    }

    /// What is asked, or why nothing is.
    fn question(&self, judged: &Judged) -> Result<Question, &'static str> {
        let parts = judged.action.parts.iter().filter(|part| part.kind == PartKind::Arguments);
        let text: String = parts.map(|part: &Part| &*part.text).collect::<Vec<_>>().join("\n");
        if self.content {
            if text.len() > MOST_CONTENT {
                return Err("the call is too long to be sent whole");
            }
            if holds_secrets(judged, &text) {
                return Err("the call holds what must not be sent");
            }
        }
        let findings = judged.decision.reasons.iter().filter(|reason| self.is_of_band(reason));
        let effects = judged.seen.facts.judged(&judged.action);
        let mut random = [0; 16];
        fill_random(&mut random).map_err(|_| "no random bytes were to be had")?;
        Ok(Question::new(
            &self.model,
            (judged.action.tool.as_ref().map(|tool| &*tool.name), &effects.effects),
            findings,
            self.content.then_some(text.as_str()),
            random,
        ))
    }

    /// Asks, if that is not too often.
    async fn ask(&self, question: &Question) -> Result<Word, &'static str> {
        let Ok(_slot) = self.slots.acquire().await else { return Err("nobody is asked any more") };
        self.book().may_ask(Instant::now(), crate::judge::now())?;
        let mut from = http::Request::new(());
        *from.method_mut() = http::Method::POST;
        from.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (from, ()) = from.into_parts();
        let head = self.upstream.head(&from, "chat/completions").map_err(|_| "its address cannot be used")?;
        let body = Bytes::from(question.body());
        let reply = consult(&self.upstream, &head, &body).await.map_err(|_| "it cannot be reached")?;
        let (head, body) = reply.into_parts();
        // A redirect is an answer of somebody else, an error is none.
        if head.status != http::StatusCode::OK {
            return Err("it answered with an error");
        }
        let plain = head.headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !plain || !kind.eq_ignore_ascii_case("application/json") {
            return Err("its answer is no JSON");
        }
        let body = Limited::new(body, MOST_ANSWER)
            .collect()
            .await
            .map_err(|_| "its answer broke off, or is too long")?;
        word::read(&body.to_bytes(), question.check()).ok_or("its answer has another form")
    }

    fn apply(&self, mut judged: Judged, heard: Heard) -> Judged {
        let Heard { word, took, known } = heard;
        let told = if known { "remembered".to_owned() } else { format!("{} ms", took.as_millis()) };
        let whose = format!("`{}`, {told}", self.model);
        let (rule, message) = match word {
            Ok(Word::Malicious) => return self.raise(judged, &whose),
            Ok(Word::Benign) => ("opinion.benign", format!("a second opinion calls it benign ({whose})")),
            Ok(Word::Unsure) => ("opinion.unsure", format!("a second opinion is not sure ({whose})")),
            Err(why) => ("opinion.none", format!("there is no second opinion: {why} ({whose})")),
        };
        // Of what was not read to its end nobody can say that it is harmless.
        if word == Ok(Word::Benign) && self.lowers && judged.action.coverage == Coverage::Full {
            let lowered = |reason: &Reason| self.is_of_band(reason) && reason.verdict == Verdict::Ask;
            judged.decision = judged.decision.noting(lowered, "a second opinion calls it benign");
        }
        judged.and(reason(rule, Verdict::Audit, 0, message, ""))
    }

    /// One step up: what was noted is asked about, what was asked about is blocked.
    fn raise(&self, judged: Judged, whose: &str) -> Judged {
        let message = format!("a second opinion calls it malicious ({whose})");
        let asks = judged.decision.verdict < Verdict::Ask
            // There nobody is asked.
            && judged.seen.facts.standing.mode != SessionMode::Correct;
        let (verdict, severity) = if asks { (Verdict::Ask, 65) } else { (Verdict::Block, 80) };
        judged.and(reason(
            "opinion.malicious",
            verdict,
            severity,
            message,
            "ask your user whether they want this",
        ))
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is something in it that leaves this machine to nobody: a registered secret, a credential, what a decoy
/// said. Where reasons were cut, nobody knows.
fn holds_secrets(judged: &Judged, text: &str) -> bool {
    let told = |reason: &Reason| reason.rule.starts_with("secret.") || reason.layer == Layer::Floor;
    let reasons = &judged.decision.reasons;
    let engine = &judged.seen.in_force.engine;
    reasons.len() >= doorward_core::engine::MOST_REASONS
        || reasons.iter().any(told)
        || engine.audit_text(PartKind::UserText, text).iter().any(told)
}

fn reason(rule: &str, verdict: Verdict, severity: u8, message: String, advice: &str) -> Reason {
    let (rule, advice) = (rule.to_owned(), advice.to_owned());
    Reason { rule, layer: Layer::Detect, verdict, severity, message, advice, part: None }
}
