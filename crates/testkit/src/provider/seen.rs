//! What the provider was sent, and how each exchange ended.

use std::io;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::http::Request;
use super::script::Script;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Counts up from 1.
    pub id: usize,
    /// The request line's method.
    pub method: String,
    /// The request line's target, untouched.
    pub target: String,
    /// The headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer encoding.
    pub body: Vec<u8>,
    /// The scenario that answered it.
    pub scenario: String,
    /// How the exchange ended.
    pub end: End,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The answer is still being sent.
    Open,
    /// The whole script was sent.
    Sent,
    /// The client closed the connection first.
    ClientClosed,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sent => "sent",
            Self::ClientClosed => "client_closed",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    seen: Mutex<Vec<Seen>>,
}

impl Log {
    pub(super) fn begin(&self, request: &Request, script: &Script) -> usize {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let id = seen.last().map_or(0, |last| last.id) + 1;
        seen.push(Seen {
            id,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            scenario: script.scenario.clone(),
            end: End::Open,
        });
        id
    }

    pub(super) fn end(&self, id: usize, result: &io::Result<()>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = seen.iter_mut().find(|entry| entry.id == id) {
            entry.end = if result.is_ok() { End::Sent } else { End::ClientClosed };
        }
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn as_json(&self) -> String {
        let entries: Vec<_> = self
            .all()
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id,
                    "method": entry.method,
                    "target": entry.target,
                    "headers": entry.headers,
                    "body": String::from_utf8_lossy(&entry.body),
                    "scenario": entry.scenario,
                    "end": entry.end.name(),
                })
            })
            .collect();
        serde_json::Value::from(entries).to_string()
    }
}
