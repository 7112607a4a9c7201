//! A scripted model provider on a real TCP port.
//!
//! The scenario stands in the request's `model`: `scripted:<scenario>[;option…]`, for instance
//! `scripted:parallel;split=7;delay=2`; the options stand in `script.rs`, the scenarios there and in
//! `anthropic.rs`, `openai.rs` and `hostile.rs`. Every answer is built as bytes, because the point of many scenarios is bytes that no
//! library would write. `scripted:<dialect>/<scene>` is told as a compatible provider tells it, see
//! [`dialects`].
//!
//! Beside the dialects' own endpoints it serves `GET /_log` (every request seen, as JSON), `DELETE /_log`,
//! `PUT /_plays/NAME` (see `told.rs`) and `GET /_ready`.

mod agents;
mod agents_wire;
mod anthropic;
mod batches;
pub mod dialects;
mod errors;
pub mod exchange;
mod gemini;
mod hostile;
mod http;
mod json;
mod openai;
mod reply;
mod responses;
mod script;
mod seen;
mod told;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use doorward_core::wire::Protocol;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use seen::{End, Seen};

use http::{Connection, Request};
use reply::Reply;
use script::Script;
use seen::Log;
use told::Plays;

/// A running provider. Dropping it stops it.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Provider {
    /// Starts a provider on `listen` (port 0: any free one).
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let shared = Arc::clone(&log);
        let plays = Arc::new(Plays::default());
        let task = tokio::spawn(async move {
            // A failed accept (out of descriptors, a client gone early) must not end the provider.
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&plays)));
                }
            }
        });
        Ok(Self { address, log, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request seen so far, oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.log.all()
    }

    /// Serves until the task fails, which it does not.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, log: Arc<Log>, plays: Arc<Plays>) {
    let mut connection = Connection::new(stream);
    while let Ok(Some(request)) = connection.read().await {
        if request.path().starts_with("/_") {
            let reply = plays.take(&request).unwrap_or_else(|| inspect(&request, &log));
            if connection.write(&reply).await.is_err() {
                return;
            }
            continue;
        }
        let script = Script::of(&request);
        let id = log.begin(&request, &script);
        let reply = plays.answer(&request).unwrap_or_else(|| answer(&request, &script));
        let ended = connection.write(&reply).await;
        log.end(id, &ended);
        if ended.is_err() || connection.is_spent() {
            return;
        }
    }
}

/// The body that a scenario has (before delivery options), for tests without a socket. `stream` chooses
/// between events and one JSON object. `None` if the scenario is no such body: an error, a redirect.
#[must_use]
pub fn body(protocol: Protocol, scenario: &str, stream: bool) -> Option<Vec<u8>> {
    let script = Script::named(scenario, stream);
    let reply = match protocol {
        Protocol::Anthropic => messages(&script),
        Protocol::OpenAi => chat(&script),
        Protocol::Gemini => gemini::answer(&script, stream),
    };
    plain(reply)
}

/// The same of OpenAI Responses.
#[must_use]
pub fn responses_body(scenario: &str, stream: bool) -> Option<Vec<u8>> {
    plain(responses::body(&Script::named(scenario, stream)))
}

fn plain(reply: Reply) -> Option<Vec<u8>> {
    let encoded = reply.headers.iter().any(|(name, _)| name == "content-encoding");
    (reply.status == 200 && !encoded).then(|| reply.pieces.concat())
}

/// The provider's own endpoints.
fn inspect(request: &Request, log: &Log) -> Reply {
    match (request.method.as_str(), request.path()) {
        ("GET", "/_ready") => Reply::json(200, "{\"ready\":true}"),
        ("GET", "/_log") => Reply::json(200, &log.as_json()),
        ("DELETE", "/_log") => {
            log.clear();
            Reply::json(200, "{}")
        }
        _ => Reply::json(404, "{}"),
    }
}

/// The answer to a client's request.
fn answer(request: &Request, script: &Script) -> Reply {
    if let Some(reply) = agents::answer(request) {
        return reply;
    }
    if let Some(reply) = responses::answer(request, script) {
        return reply.deliver(&script.delivery);
    }
    let path = request.path();
    let anthropic = request.header("anthropic-version").is_some();
    let google = request.header("x-goog-api-key").is_some() || path.contains("/v1beta/");
    if let Some(reply) = batches::answer(request, script) {
        return reply;
    }
    let reply = match request.method.as_str() {
        "POST" if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") => {
            gemini::answer(script, request.target.contains("alt=sse"))
        }
        "POST" if path.ends_with(":countTokens") => Reply::json(200, "{\n  \"totalTokens\": 2095\n}\n"),
        "GET" if path.ends_with("/models") && google => Reply::json(200, gemini::MODELS),
        _ if google => errors::gemini(404),
        "POST" if path.ends_with("/chat/completions") => chat(script),
        "POST" if path.ends_with("/messages/count_tokens") => Reply::json(200, "{\"input_tokens\":2095}"),
        "POST" if path.ends_with("/messages") => messages(script),
        "GET" if path.ends_with("/models") && anthropic => Reply::json(200, anthropic::MODELS),
        "GET" if path.ends_with("/models") => Reply::json(200, openai::MODELS),
        // An endpoint nobody has heard of, with something in it that an agent could run.
        "POST" if path.ends_with("/experimental") => Reply::json(200, &anthropic::experimental()),
        "POST" if path.ends_with("/threads/runs") => Reply::json(200, &openai::experimental()),
        _ if anthropic => errors::anthropic(404),
        _ => errors::openai(404),
    };
    reply.deliver(&script.delivery)
}

/// The answer to a conversation in OpenAI's protocol.
fn chat(script: &Script) -> Reply {
    dialects::answer(script).unwrap_or_else(|| openai::answer(script))
}

/// The answer to a conversation in Anthropic's protocol.
fn messages(script: &Script) -> Reply {
    dialects::messages::answer(script).unwrap_or_else(|| anthropic::answer(script))
}

/// A member of a JSON object as text; empty when absent or something else.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
