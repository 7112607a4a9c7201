//! Answers: JSON, never cached, an error always in the same shape.

use bytes::Bytes;
use doorward_core::syntax::json;
use doorward_store::{Alert, KillSet, Stop, Stops};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::desk::{Approver, ClassifierStatus, Fault, FaultKind, FilesStatus, Status, WebhooksStatus};
use doorward_core::syntax::Object;

pub(crate) type Answer = Response<Full<Bytes>>;

/// A 200 with this object.
pub(crate) fn ok(object: Object) -> Answer {
    json_answer(StatusCode::OK, object.end())
}

/// A 200 with this JSON value as it is.
pub(crate) fn ok_raw(value: &[u8]) -> Answer {
    json_answer(StatusCode::OK, value.to_vec())
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str, advice: &str) -> Answer {
    let error = Object::new().text("code", code).text("message", message).text("advice", advice).end();
    json_answer(status, Object::new().raw("error", &error).end())
}

pub(crate) fn fault(fault: &Fault) -> Answer {
    let status = match fault.kind {
        FaultKind::Request => StatusCode::BAD_REQUEST,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, fault.code, &fault.message, &fault.advice)
}

fn json_answer(status: StatusCode, mut body: Vec<u8>) -> Answer {
    body.push(b'\n');
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Most faults of refused files that are told; the log has them all.
const MOST_FAULTS: usize = 50;

fn files(files: &FilesStatus) -> Vec<u8> {
    let refused = files.refused.as_ref().map_or_else(
        || b"null".to_vec(),
        |refused| {
            let faults = refused.faults.iter().take(MOST_FAULTS).map(|fault| json::quoted(fault));
            let count = refused.faults.len() as u64;
            Object::new().number("at", refused.at).number("count", count).array("faults", faults).end()
        },
    );
    Object::new()
        .text("revision", &files.revision)
        .number("rules", files.rules as u64)
        .number("since", files.since)
        .raw("refused", &refused)
        .end()
}

fn classifier(status: Option<&ClassifierStatus>) -> Vec<u8> {
    let json = |status: &ClassifierStatus| {
        Object::new().text("file", &status.file).truth("loaded", status.loaded).end()
    };
    status.map_or_else(|| b"null".to_vec(), json)
}

/// What is stopped, by whom and why.
fn kill(set: &KillSet) -> Vec<u8> {
    Object::new()
        .number("revision", set.revision)
        .truth("all", set.all().is_some())
        .raw("acts", &stops(&set.acts))
        .raw("file", &stops(&set.file))
        .end()
}

fn stops(stops: &Stops) -> Vec<u8> {
    let agents = stops
        .agents
        .iter()
        .fold(Object::new(), |object, (agent, why)| object.raw(agent.as_str(), &stop(why)));
    let sessions = stops
        .sessions
        .iter()
        .fold(Object::new(), |object, (session, why)| object.raw(session.as_str(), &stop(why)));
    let all = stops.all.as_ref().map_or_else(|| b"null".to_vec(), stop);
    Object::new().raw("all", &all).raw("agents", &agents.end()).raw("sessions", &sessions.end()).end()
}

pub(crate) fn stop(stop: &Stop) -> Vec<u8> {
    Object::new().text("by", &stop.by).text("reason", &stop.reason).number("since", stop.since).end()
}

pub(crate) fn acted(set: &KillSet, approver: &Approver) -> Answer {
    ok_raw(&acted_json(set, approver))
}

/// What an act is answered with: `{"kill": what is stopped now, "approver": who}`. Public so that an act
/// done without a running process is answered alike.
#[must_use]
pub fn acted_json(set: &KillSet, approver: &Approver) -> Vec<u8> {
    Object::new().raw("kill", &kill(set)).text("approver", approver.as_str()).end()
}

pub(crate) fn status(status: &Status, ready: &Result<(), Fault>) -> Answer {
    let reason = ready.as_ref().err().map_or_else(|| b"null".to_vec(), |fault| json::quoted(&fault.message));
    ok(Object::new()
        .text("version", &status.version)
        .text("mode", &status.mode)
        .raw("policy", &files(&status.policy))
        .raw("rules", &files(&status.rules))
        .raw("classifier", &classifier(status.classifier.as_ref()))
        .number("started", status.started)
        .truth("ready", ready.is_ok())
        .raw("not_ready", &reason)
        .number("receipts", status.receipts)
        .array("agents", status.agents.iter().map(|agent| json::quoted(agent)))
        .raw("kill", &kill(&status.kill))
        .array("alerts", status.alerts.iter().map(alert))
        .raw("webhooks", &webhooks(&status.webhooks)))
}

fn webhooks(status: &WebhooksStatus) -> Vec<u8> {
    let WebhooksStatus { count, gone, waiting, failed, lost } = *status;
    let object = Object::new().number("count", count).number("gone", gone).number("waiting", waiting);
    object.number("failed", failed).number("lost", lost).end()
}

fn alert(alert: &Alert) -> Vec<u8> {
    Object::new()
        .number("time", alert.time)
        .text("event", &alert.event)
        .text("agent", &alert.agent)
        .text("session", &alert.session)
        .text("message", &alert.message)
        .text("receipt", &alert.receipt)
        .end()
}
