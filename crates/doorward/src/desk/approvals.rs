//! Questions to people, as the control listener tells them.

use std::time::Duration;

use bytes::Bytes;
use doorward_control::{Approver, Fault, FaultKind, Object, Settlement};
use doorward_core::decision::Reason;
use doorward_core::syntax::json::quoted;
use doorward_gateway::hold::{Answer, Ask, Hold, ShownDecoded, ShownRequest, Stage, Unanswered};
use doorward_store::Grant;

/// How many characters of what waits a list has.
const FIRST: usize = 300;

/// What waits and what is allowed, once something has moved if it is watched.
pub async fn list(hold: &Hold, watch: Option<(u64, Duration)>) -> Bytes {
    if let Some((after, wait)) = watch {
        let _watching = hold.watching();
        hold.moved_since(after, wait).await;
        return overview(hold);
    }
    overview(hold)
}

fn overview(hold: &Hold) -> Bytes {
    let overview = hold.overview();
    let asks = overview.asks.iter().map(|(ask, stage)| brief(ask, *stage).end());
    Object::new()
        .number("revision", overview.revision)
        .truth("attended", overview.attended)
        .array("approvals", asks)
        .array("grants", overview.grants.iter().map(grant))
        .end()
        .into()
}

fn brief(ask: &Ask, stage: Stage) -> Object {
    let (content, more) = match ask.content.char_indices().nth(FIRST) {
        Some((end, _)) => (ask.content.get(..end).unwrap_or_default(), true),
        None => (ask.content.as_str(), !ask.whole),
    };
    let head = head(ask, stage).text("content", content).truth("whole", !more);
    match &ask.decoded {
        Some(decoded) => head.raw("decoded", &decoded_of(decoded, FIRST)),
        None => head,
    }
}

/// What packed bytes say, up to so many characters of it.
fn decoded_of(decoded: &ShownDecoded, most: usize) -> Vec<u8> {
    let (text, all) = match decoded.text.char_indices().nth(most) {
        Some((end, _)) => (decoded.text.get(..end).unwrap_or_default(), false),
        None => (decoded.text.as_str(), true),
    };
    Object::new().text("text", text).truth("whole", all && decoded.whole).end()
}

fn head(ask: &Ask, stage: Stage) -> Object {
    let asked = ask.reasons.iter().find(|reason| reason.verdict == doorward_core::Verdict::Ask);
    let object = Object::new()
        .text("id", &ask.id)
        .text("state", stage.as_str())
        .number("since", ask.since)
        .number("until", ask.until)
        .text("agent", &ask.agent)
        .text("session", &ask.session)
        .text("door", ask.door)
        .text("kind", ask.kind)
        .text("source", ask.source)
        .text("upstream", &ask.peer)
        .number("bytes", ask.bytes as u64)
        .number("risk", u64::from(ask.risk))
        .text("why", asked.map_or("", |reason| &reason.message));
    let object = match &ask.tool {
        Some(tool) => object.text("tool", tool),
        None => object,
    };
    match &ask.request {
        Some(request) => object.raw("request", &head_of(request)),
        None => object,
    }
}

fn head_of(request: &ShownRequest) -> Vec<u8> {
    let lines = request
        .headers
        .iter()
        .map(|(name, value)| [b"[", quoted(name).as_slice(), b",", quoted(value).as_slice(), b"]"].concat());
    Object::new().text("method", &request.method).text("url", &request.url).array("headers", lines).end()
}

/// Everything about one question.
pub fn whole(ask: &Ask, stage: Stage) -> Bytes {
    let effects = ask.effects.iter().map(|effect| {
        Object::new()
            .text("capability", effect.capability)
            .text("asset", effect.asset)
            .text("target", &effect.target)
            .text("by", &effect.by)
            .end()
    });
    let head = head(ask, stage).text("content", &ask.content).truth("whole", ask.whole);
    let head = match &ask.decoded {
        Some(decoded) => head.raw("decoded", &decoded_of(decoded, usize::MAX)),
        None => head,
    };
    head.array("commands", ask.commands.iter().map(|command| quoted(command)))
        .array("effects", effects)
        .number("more_effects", ask.more_effects as u64)
        .array("destinations", ask.destinations.iter().map(|place| quoted(place)))
        .array("reasons", ask.reasons.iter().map(reason))
        .text("coverage", &ask.coverage)
        .number("duties", ask.duties as u64)
        .end()
        .into()
}

fn reason(reason: &Reason) -> Vec<u8> {
    Object::new()
        .text("rule", &reason.rule)
        .text("layer", reason.layer.as_str())
        .text("verdict", reason.verdict.as_str())
        .number("severity", u64::from(reason.severity))
        .text("message", &reason.message)
        .text("advice", &reason.advice)
        .end()
}

fn grant(grant: &Grant) -> Vec<u8> {
    Object::new()
        .text("id", &grant.id)
        .text("scope", grant.scope.as_str())
        .text("agent", &grant.agent)
        .text("session", &grant.session)
        .text("what", &grant.what)
        .text("by", &grant.by)
        .number("since", grant.since)
        .number("until", grant.until)
        .array("rules", grant.shown.iter().map(|reason| quoted(&reason.rule)))
        .end()
}

/// Does what a person wants.
pub async fn settle(
    hold: &Hold,
    id: &str,
    settlement: Settlement,
    reason: &str,
    approver: &Approver,
) -> Result<Bytes, Fault> {
    let by = approver.as_str();
    let done = match settlement {
        Settlement::Approve(scope) => answer(hold, id, Answer::Approve(scope), (by, reason)).await,
        Settlement::Deny => answer(hold, id, Answer::Deny, (by, reason)).await,
        Settlement::Revoke => {
            hold.revoke(id, by, reason).await.map(|_| Object::new().text("state", "revoked"))
        }
        Settlement::Reset => hold.reset(id, by, reason).await.map(|_| Object::new().text("state", "reset")),
    };
    let done = done.map_err(|error| fault(&error))?;
    Ok(done.text("id", id).text("approver", by).end().into())
}

async fn answer(
    hold: &Hold,
    id: &str,
    answer: Answer,
    (by, reason): (&str, &str),
) -> Result<Object, Unanswered> {
    let answered = hold.answer(id, answer, by, reason).await?;
    let object = match answer {
        Answer::Approve(scope) => Object::new().text("state", "approved").text("scope", scope.as_str()),
        Answer::Deny => Object::new().text("state", "denied"),
    };
    Ok(object.truth("waited", answered.waiting))
}

fn fault(error: &Unanswered) -> Fault {
    let (kind, code, advice) = match error {
        Unanswered::Unknown(_) => {
            (FaultKind::NotFound, "no_such_approval", "`doorward approvals list` shows what there is")
        }
        Unanswered::Already(..) => (FaultKind::Conflict, "already_answered", ""),
        Unanswered::TooMany => {
            (FaultKind::Conflict, "too_many_grants", "`doorward approvals revoke ID` takes one back")
        }
        Unanswered::Unrecorded(_) => {
            (FaultKind::Unavailable, "ledger_unavailable", "see the log of the process")
        }
    };
    Fault { kind, code, message: error.to_string(), advice: advice.into() }
}
