//! Signed calls of the egress door, as its SDK makes them: a handshake for each connection, and a signature for each call, with the
//! session's nonce and a clock of whole seconds.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use doorward_core::wire::sphyr::sign::{self, Form, Signed};
use serde_json::{Map, Value, json};

use super::head;
use crate::shapes::TURN;

/// What the SDK accepts.
const ACCEPT: &str = "application/json, text/event-stream";

/// What the agent calls its requests.
const CATEGORY: &str = "bench";

/// How long a session is used: they last half an hour.
const USED: Duration = Duration::from_secs(20 * 60);

/// Whose calls are signed. Sessions are kept over loads, one for each number of a connection: a key may have so many.
#[derive(Debug)]
pub struct Signer {
    /// Where requests are to go.
    pub upstream: SocketAddr,
    /// The key's id.
    key: String,
    secret: String,
    sessions: Mutex<HashMap<usize, Arc<Session>>>,
}

#[derive(Debug)]
struct Session {
    token: String,
    nonce: String,
    began: Instant,
}

impl Signer {
    /// Who signs with this credential, `sphyr_v1_KEY.SECRET`.
    pub fn new(upstream: SocketAddr, credential: &str) -> anyhow::Result<Self> {
        let (key, secret) = credential
            .strip_prefix("sphyr_v1_")
            .and_then(|rest| rest.split_once('.'))
            .context("the credential has another form")?;
        let (key, secret) = (key.to_owned(), secret.to_owned());
        Ok(Self { upstream, key, secret, sessions: Mutex::default() })
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<usize, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where it goes.
    pub url: String,
    /// Its header lines.
    pub headers: Vec<(String, String)>,
    /// Its body, which has a turn.
    pub body: &'a str,
}

/// The calls of one connection.
#[derive(Debug, Clone)]
pub struct Calls {
    signer: Arc<Signer>,
    host: SocketAddr,
    number: usize,
    session: Option<Arc<Session>>,
    url: String,
    headers: Vec<(String, String)>,
    /// What stands before the digits of the turn in the body, and after them.
    around: (String, String),
    /// What the upstream answers.
    wanted: String,
    bytes: Vec<u8>,
}

impl Calls {
    /// Those of the connection of this `number` to `host`, of one request.
    pub fn new(
        signer: &Arc<Signer>,
        (host, number): (SocketAddr, usize),
        request: Request<'_>,
        wanted: String,
    ) -> anyhow::Result<Self> {
        let Request { url, headers, body } = request;
        let at = body.find(TURN).context("a request without a turn")? + TURN.len();
        let around = body.get(..at - 8).zip(body.get(at..)).context("a turn without digits")?;
        let around = (around.0.to_owned(), around.1.to_owned());
        let known = signer.sessions().get(&number).filter(|known| known.began.elapsed() < USED).cloned();
        let signer = Arc::clone(signer);
        Ok(Self { signer, host, number, session: known, url, headers, around, wanted, bytes: Vec::new() })
    }

    /// The handshake, if there is no session.
    pub fn wish(&self) -> Option<Vec<u8>> {
        if self.session.is_some() {
            return None;
        }
        let (key, agent) = (&self.signer.key, format!("bench-{}", self.number));
        let (time, nonce) = (seconds().to_string(), nonce());
        let sig = sign::sign(self.signer.secret.as_bytes(), &sign::handshake(key, &agent, &time, &nonce));
        let arguments =
            json!({"key_id": key, "agent_id": agent, "ts": time, "client_nonce": nonce, "sig": sig});
        Some(self.called("audit_sess", &arguments))
    }

    /// Takes what was answered to it.
    pub fn welcome(&mut self, whole: &[u8]) -> anyhow::Result<()> {
        let said = said(whole)?;
        let member = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let Some((token, nonce)) = member("sess_token").zip(member("nonce")) else {
            bail!("no session: {said}");
        };
        let session = Arc::new(Session { token, nonce, began: Instant::now() });
        self.signer.sessions().insert(self.number, Arc::clone(&session));
        self.session = Some(session);
        Ok(())
    }

    /// The next call, with these digits in its body.
    pub fn next(&mut self, turn: &str) -> anyhow::Result<&[u8]> {
        let session = self.session.as_ref().context("no handshake was made")?;
        let body = [self.around.0.as_str(), turn, &self.around.1].concat();
        let seconds = seconds();
        let signed = Signed {
            nonce: &session.nonce,
            time: &seconds.to_string(),
            url: &self.url,
            method: "POST",
            body: body.as_bytes(),
            headers: &self.headers,
            category: CATEGORY,
            trace: "",
        };
        let sig = sign::sign(self.signer.secret.as_bytes(), &signed.payload(Form::Lengths));
        let headers: Map<_, _> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let arguments = json!({"url": self.url, "mthd": "POST", "body": body, "headers": headers, "cat": CATEGORY,
                               "ts": seconds, "sig": sig, "sess_token": session.token});
        self.bytes = self.called("sphyr_net", &arguments);
        Ok(&self.bytes)
    }

    /// Whether the upstream's answer is in what was answered, byte for byte.
    pub fn check(&self, whole: &[u8]) -> anyhow::Result<()> {
        let said = said(whole)?;
        let body = said.get("upstream_response_body").and_then(Value::as_str);
        let status = said.get("status").and_then(Value::as_u64);
        match (status, body) {
            (Some(200), Some(body)) if body == self.wanted => Ok(()),
            (Some(200), Some(body)) => {
                bail!("an answer of {} bytes instead of {}, or another one", body.len(), self.wanted.len())
            }
            _ => bail!("no answer: {said}"),
        }
    }

    /// A call of a tool as a whole request.
    fn called(&self, tool: &str, arguments: &Value) -> Vec<u8> {
        let message = json!({"jsonrpc": "2.0", "id": "1", "method": "tools/call",
                             "params": {"name": tool, "arguments": arguments}});
        let body = message.to_string();
        let head = head(self.host, ("/mcp", ACCEPT), "", body.len());
        [head, body].concat().into_bytes()
    }
}

/// What a tool said: JSON in a text in JSON.
fn said(whole: &[u8]) -> anyhow::Result<Value> {
    let message: Value = serde_json::from_slice(whole).context("the answer is no JSON")?;
    let text = message.pointer("/result/content/0/text").and_then(Value::as_str);
    let text = text.with_context(|| format!("the answer is no tool's result: {message}"))?;
    serde_json::from_str(text).with_context(|| format!("the tool did not say JSON: {text}"))
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A UUID of version 4: random enough for a handshake that is to count once.
fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        let host = SocketAddr::from(([127, 0, 0, 1], 1));
        let signer = Arc::new(Signer::new(host, "sphyr_v1_key_a.secret").unwrap());
        let headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        let request =
            Request { url: "http://127.0.0.1:1/x".into(), headers, body: "{\"t\": \"Turn 00000000\"}" };
        Calls::new(&signer, (host, 3), request, "{\"a\":\"ü\"}".into()).unwrap()
    }

    fn answer(inner: &Value) -> Vec<u8> {
        let content = json!([{"type": "text", "text": inner.to_string()}]);
        json!({"jsonrpc": "2.0", "id": "1", "result": {"content": content}}).to_string().into_bytes()
    }

    fn arguments(bytes: &[u8]) -> Value {
        let text = std::str::from_utf8(bytes).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<Value>(body).unwrap()["params"]["arguments"].clone()
    }

    #[test]
    fn no_two_calls_are_alike_and_each_is_signed() {
        let mut calls = calls();
        assert!(calls.next("00000001").is_err());
        let wish = arguments(&calls.wish().unwrap());
        assert_eq!((&wish["key_id"], &wish["agent_id"]), (&json!("key_a"), &json!("bench-3")));
        calls.welcome(&answer(&json!({"sess_token": "t", "nonce": "n"}))).unwrap();
        assert_eq!(calls.wish(), None);
        let first = arguments(calls.next("00000001").unwrap());
        let second = arguments(calls.next("00000002").unwrap());
        assert_eq!(second["body"], "{\"t\": \"Turn 00000002\"}");
        assert_ne!(first["sig"], second["sig"]);
        let time = second["ts"].to_string();
        let signed = Signed {
            nonce: "n",
            time: &time,
            url: "http://127.0.0.1:1/x",
            method: "POST",
            body: second["body"].as_str().unwrap().as_bytes(),
            headers: &[("Accept".into(), "application/json".into())],
            category: CATEGORY,
            trace: "",
        };
        assert!(sign::verifies(b"secret", &signed.payload(Form::Lengths), second["sig"].as_str().unwrap()));
    }

    #[test]
    fn sessions_are_one_for_each_number() {
        let mut first = calls();
        first.welcome(&answer(&json!({"sess_token": "t", "nonce": "n"}))).unwrap();
        let of = |number| {
            let request = Request { url: String::new(), headers: Vec::new(), body: "Turn 00000000" };
            Calls::new(&first.signer, (first.host, number), request, String::new()).unwrap().wish()
        };
        assert!(of(3).is_none() && of(4).is_some());
    }

    #[test]
    fn an_answer_is_looked_at_byte_for_byte() {
        let calls = calls();
        let of = |body: &str| answer(&json!({"status": 200, "upstream_response_body": body}));
        assert!(calls.check(&of("{\"a\":\"ü\"}")).is_ok());
        for wrong in ["{\"a\":\"u\"}", "{\"a\":\"ü\"} ", ""] {
            assert!(calls.check(&of(wrong)).is_err(), "{wrong}");
        }
        let refused = answer(&json!({"error": "no", "code": "RATE_LIMITED"}));
        assert!(calls.check(&refused).unwrap_err().to_string().contains("RATE_LIMITED"));
    }
}
