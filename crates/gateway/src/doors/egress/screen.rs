//! What is seen in answers: of those that are given back whole, and of those that are passed on as they come.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::action::{Action, ActionKind, Called, Part, PartKind, Returned};
use doorward_core::syntax::Object;
use doorward_core::wire::Fault;
use doorward_core::wire::sphyr::reply::Safety;
use doorward_core::{Coverage, Reason, Source, Verdict};
use http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::repeats::Claim;
use super::reply::Given;
use super::running::OnItsWay;
use crate::doors::relay::Watch;
use crate::encoding::{Coding, Decoder, Progress, STEP};
use crate::judge::Gateway;
use crate::memory::UNIT;
use crate::record::StreamPermit;

/// What an answer has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The flags for the client.
    pub safety: Safety,
    /// Whether something in it speaks to the model so that `strict` holds it back.
    pub grave: bool,
}

/// An answer, and where it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came<'a> {
    pub url: &'a str,
    pub headers: &'a HeaderMap,
    pub bytes: &'a [u8],
}

impl Came<'_> {
    /// Tells the session that this answer is given to the agent: what it names, nobody vouches for.
    pub async fn tell(&self, gateway: &Gateway, permit: &StreamPermit) {
        let of = permit.action();
        let arguments = Object::new().text("url", self.url).end();
        let calls = vec![Arc::new(Called {
            id: "".into(),
            name: "fetch".into(),
            arguments: String::from_utf8_lossy(&arguments).into(),
            free: false,
        })];
        // What is no text names nothing.
        let text = std::str::from_utf8(self.bytes).unwrap_or_default();
        let result = Action {
            parts: vec![Part { kind: PartKind::ToolResult, text: text.into() }],
            returned: vec![Returned { part: 0, calls, call_id: "".into() }],
            peer: Arc::clone(&of.peer),
            source: Source::Web,
            ..Action::new(of.door, ActionKind::ToolResult, Arc::clone(&of.agent), Arc::clone(&of.session))
        };
        gateway.came_back(&result, permit.receipt()).await;
    }
}

/// Looks into what an answer says, and puts what is found on record.
pub(super) async fn look(gateway: &Gateway, permit: &StreamPermit, came: Came<'_>) -> Seen {
    let in_force = gateway.in_force();
    let text: Arc<str> = String::from_utf8_lossy(came.bytes).into();
    let reasons = gateway.noted(&in_force.engine, PartKind::ToolResult, &text).await;
    let of = |prefix: &str| reasons.iter().any(|reason: &Reason| reason.rule.starts_with(prefix));
    let safety =
        Safety { html_body: is_html(came.headers, &text), injection: of("inject."), secret: of("secret.") };
    let grave = reasons.iter().any(|reason| reason.rule.starts_with("inject.") && reason.severity >= 60);
    if reasons.iter().any(|reason| reason.verdict >= Verdict::Audit) {
        gateway.audit(permit, reasons, &text, &in_force).await;
    }
    Seen { safety, grave }
}

/// Whether a browser would take it for a page.
fn is_html(headers: &HeaderMap, text: &str) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = named.is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    let begin: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    named || begin.starts_with("<!doctype html") || begin.starts_with("<html")
}

/// What an answer says that is passed on as it comes, gathered beside it: holds nothing up, changes nothing.
#[derive(Debug)]
struct Beside {
    decoder: Option<Decoder>,
    text: Vec<u8>,
    most: usize,
    /// What all that is gathered together may take, and this part of it.
    memory: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
    /// Why the rest is not looked at.
    unread: Option<String>,
}

impl Beside {
    fn new(headers: &HeaderMap, most: usize, memory: Arc<Semaphore>) -> Self {
        // It holds nothing up, so `deflate` is read as most clients read it rather than not at all.
        let decoder = Coding::of_decoded(headers).and_then(|coding| coding.map(Decoder::new).transpose());
        let (decoder, unread) = match decoder {
            Ok(decoder) => (decoder, None),
            Err(fault) => (None, Some(fault.message)),
        };
        Self { decoder, text: Vec::new(), most, memory, held: Vec::new(), unread }
    }

    fn take(&mut self, piece: &[u8]) {
        if self.unread.is_some() {
            return;
        }
        if let Err(fault) = self.decode(piece) {
            self.unread = Some(fault.message);
        }
        if self.text.len() > self.most {
            self.text.truncate(self.most);
            self.unread = Some(format!("more than {} bytes", self.most));
        }
        if !self.is_covered() {
            self.unread = Some("too many answers are looked at at once".to_owned());
        }
        if self.unread.is_some() {
            self.decoder = None;
        }
    }

    /// Takes its part of the memory. Less than a unit is not counted: the number of connections bounds those.
    fn is_covered(&mut self) -> bool {
        let needed = self.text.len() + self.decoder.as_ref().map_or(0, Decoder::memory);
        while needed / UNIT > self.held.len() {
            let Ok(permit) = Arc::clone(&self.memory).try_acquire_owned() else { return false };
            self.held.push(permit);
        }
        true
    }

    fn decode(&mut self, mut piece: &[u8]) -> Result<(), Fault> {
        let Some(decoder) = &mut self.decoder else {
            let room = self.most.saturating_add(1).saturating_sub(self.text.len());
            self.text.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            return Ok(());
        };
        while self.text.len() <= self.most {
            match decoder.step(&mut piece, &mut self.text, STEP)? {
                Progress::Starved => break,
                Progress::More => {}
            }
        }
        Ok(())
    }

    /// What was looked at of an answer that came to its end, or did not.
    fn coverage(&self, whole: bool) -> Coverage {
        let broken = (!whole).then(|| "the answer did not come to its end".to_owned());
        let unended =
            || self.decoder.as_ref().and_then(|decoder| decoder.end().err()).map(|fault| fault.message);
        match self.unread.clone().or(broken).or_else(unended) {
            None => Coverage::Full,
            Some(why) if self.text.is_empty() => Coverage::None(why),
            Some(why) => Coverage::Partial(why),
        }
    }
}

/// Looks into an answer while it is passed on, and keeps it if the same is to be answered again.
#[derive(Debug)]
pub(super) struct Looking {
    gateway: Arc<Gateway>,
    beside: Beside,
    url: String,
    /// The answer without its bytes.
    given: Given,
    claim: Option<Claim>,
    /// Whether its session knows what it says already.
    told: bool,
    /// Its place among those that are passed on, until it has ended.
    _place: OnItsWay,
}

impl Looking {
    /// Looks at no more than `most` bytes of the answer to a request of `url`, as far as there is `memory` for them.
    pub(super) fn new(
        gateway: Arc<Gateway>,
        (url, headers): (String, &HeaderMap),
        (given, claim): (Given, Option<Claim>),
        ((most, memory), place): ((usize, Arc<Semaphore>), OnItsWay),
    ) -> Self {
        let beside = Beside::new(headers, most, memory);
        Self { gateway, beside, url, given, claim, told: false, _place: place }
    }

    /// The same of one of which its session knows what it says.
    pub(super) fn told(self) -> Self {
        Self { told: true, ..self }
    }
}

impl Watch for Looking {
    fn take(&mut self, piece: &Bytes) {
        self.beside.take(piece);
    }

    async fn end(self, permit: &StreamPermit, whole: bool) -> Coverage {
        let Self { gateway, beside, url, mut given, claim, told, _place } = self;
        let came = Came { url: &url, headers: &given.headers, bytes: &beside.text };
        if !told {
            came.tell(&gateway, permit).await;
        }
        let seen = look(&gateway, permit, came).await;
        let coverage = beside.coverage(whole);
        if let Some(claim) = claim {
            (given.safety, given.bytes) = (seen.safety, beside.text.into());
            claim.answered((coverage == Coverage::Full).then(|| Arc::new(given)));
        }
        coverage
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn headers(coding: &str) -> HeaderMap {
        [(header::CONTENT_ENCODING, coding.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn what_is_looked_at_is_said() {
        let text = "a sentence, and another one. ".repeat(20);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let mut framed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        framed.write_all(text.as_bytes()).unwrap();
        let framed = framed.finish().unwrap();
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        bare.write_all(text.as_bytes()).unwrap();
        let bare = bare.finish().unwrap();
        let plain = HeaderMap::new();
        for (headers, bytes, most, whole, looked, coverage) in [
            (&plain, text.as_bytes(), 1000, true, 580, "full"),
            (&plain, text.as_bytes(), 580, true, 580, "full"),
            (&plain, text.as_bytes(), 579, true, 579, "partial(more than 579 bytes)"),
            (&plain, text.as_bytes(), 1000, false, 580, "partial(the answer did not come to its end)"),
            (&plain, b"", 1000, true, 0, "full"),
            (&headers("gzip"), &packed, 1000, true, 580, "full"),
            (&headers("gzip"), &packed, 100, true, 100, "partial(more than 100 bytes)"),
            (&headers("gzip"), packed.split_last().unwrap().1, 1000, true, 580, "partial("),
            (&headers("gzip"), b"plain text", 1000, true, 0, "none("),
            (&headers("deflate"), &framed, 1000, true, 580, "full"),
            (&headers("deflate"), &bare, 1000, true, 580, "full"),
            (&headers("deflate"), framed.split_last().unwrap().1, 1000, true, 580, "partial("),
            (&headers("rot13"), text.as_bytes(), 1000, true, 0, "none("),
        ] {
            for size in [1, 7, 10_000] {
                let mut beside = Beside::new(headers, most, Arc::new(crate::memory::of(UNIT)));
                bytes.chunks(size).for_each(|piece| beside.take(piece));
                assert_eq!(beside.text.len(), looked, "{coverage} {size}");
                let said = beside.coverage(whole).to_string();
                assert!(said.starts_with(coverage), "{said} {coverage} {size}");
            }
        }
    }

    #[test]
    fn all_that_is_gathered_is_bounded() {
        let memory = Arc::new(crate::memory::of(3 * UNIT));
        let plain = HeaderMap::new();
        let piece = vec![b'x'; 2 * UNIT];
        let beside = || Beside::new(&plain, 1 << 20, Arc::clone(&memory));
        let (mut one, mut other, mut small) = (beside(), beside(), beside());
        one.take(&piece);
        other.take(&piece);
        small.take(b"less than is counted");
        assert_eq!(one.coverage(true), Coverage::Full);
        assert_eq!(other.coverage(true).to_string(), "partial(too many answers are looked at at once)");
        assert_eq!(small.coverage(true), Coverage::Full);
        drop((one, other));
        assert_eq!(memory.available_permits(), 3);
    }
}
