//! What is asked, in the way of whoever is asked, and what its reply must be like.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};

use crate::http::Reply;
use crate::shapes::{self, Shape, TURN};
use crate::spec::{Dialect, Spec};

mod signed;
pub use signed::Signer;

/// Who is asked, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What stands before `/v1/messages`.
    pub anthropic: String,
    /// What stands before `/v1/chat/completions`.
    pub openai: String,
    /// Whether it must not change a byte of the body.
    pub exact: bool,
    /// The key that it wants, if it wants one of its own.
    pub key: Option<String>,
    /// The egress door: requests are asked for.
    pub asked_for: Option<AskedFor>,
}

/// In which way the egress door is asked for a request to its upstream.
#[derive(Debug, Clone)]
pub enum AskedFor {
    /// `POST /v1/net` with this credential: the answer comes back as the upstream gave it.
    Plain {
        /// Where the request is to go.
        upstream: SocketAddr,
        /// What shows the key.
        credential: String,
    },
    /// `POST /mcp` with `sphyr_net`, signed: the answer comes back in JSON.
    Signed(Arc<Signer>),
}

/// A request ready to be sent, and what its reply must be like.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who is asked.
    pub address: SocketAddr,
    way: Way,
    terminal: &'static str,
    /// The length of the reply's body, if it must not change.
    length: Option<u64>,
}

#[derive(Debug, Clone)]
enum Way {
    /// Bytes that are the same each time but for the digits of the turn, and where these stand.
    Same { bytes: Vec<u8>, turn: usize },
    /// Signed anew each time.
    Signed(Box<signed::Calls>),
}

/// Counts turns over all questions, so that no two requests are the same.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// The digits of a turn that no other has.
fn turn() -> String {
    format!("{:08}", TURNS.fetch_add(1, Ordering::Relaxed) % 100_000_000)
}

impl Question {
    /// Prepares a request of `spec` for `target`, by the connection of this number.
    pub fn new(target: &Target, spec: &Spec, number: usize) -> anyhow::Result<Self> {
        let body = shapes::request(spec);
        let (path, own) = place(target, spec);
        let way = match &target.asked_for {
            None => Way::same(target.address, (&path, &own), &body)?,
            Some(AskedFor::Plain { upstream, credential }) => {
                let headers: serde_json::Map<_, _> =
                    inner(&own).map(|(name, value)| (name.to_owned(), value.into())).collect();
                let url = url(*upstream, &path);
                let asked =
                    serde_json::json!({"url": url, "method": "POST", "headers": headers, "body": body});
                let own = format!("authorization: Bearer {credential}\r\n");
                Way::same(target.address, ("/v1/net", &own), &asked.to_string())?
            }
            Some(AskedFor::Signed(signer)) => {
                let headers = inner(&own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let request = signed::Request { url: url(signer.upstream, &path), headers, body: &body };
                let wanted = Shape::of(spec).pieces.concat();
                let calls = signed::Calls::new(signer, (target.address, number), request, wanted)?;
                Way::Signed(Box::new(calls))
            }
        };
        Ok(Self {
            address: target.address,
            terminal: shapes::terminal(spec),
            length: target.exact.then(|| Shape::of(spec).length() as u64),
            way,
        })
    }

    /// The handshake that is needed before anything is asked, if one is.
    pub fn wish(&self) -> Option<Vec<u8>> {
        match &self.way {
            Way::Same { .. } => None,
            Way::Signed(calls) => calls.wish(),
        }
    }

    /// Takes what was answered to the handshake.
    pub fn welcome(&mut self, reply: &Reply, whole: &[u8]) -> anyhow::Result<()> {
        is_well(reply)?;
        match &mut self.way {
            Way::Same { .. } => Ok(()),
            Way::Signed(calls) => calls.welcome(whole),
        }
    }

    /// Whether all of a reply's body is looked at.
    pub const fn wants_whole(&self) -> bool {
        matches!(self.way, Way::Signed(_))
    }

    /// The request's bytes, with a turn that no other has.
    pub fn next(&mut self) -> anyhow::Result<&[u8]> {
        match &mut self.way {
            Way::Same { bytes, turn: at } => {
                if let Some(place) = bytes.get_mut(*at..*at + 8) {
                    place.copy_from_slice(turn().as_bytes());
                }
                Ok(bytes)
            }
            Way::Signed(calls) => calls.next(&turn()),
        }
    }

    /// Whether a reply is the one that was asked for.
    pub fn check(&self, reply: &Reply, whole: &[u8]) -> anyhow::Result<()> {
        is_well(reply)?;
        if let Way::Signed(calls) = &self.way {
            return calls.check(whole);
        }
        if let Some(length) = self.length.filter(|length| *length != reply.length) {
            bail!("a reply of {} bytes instead of {length}: {}", reply.length, reply.tail());
        }
        if !reply.ends_with(self.terminal) {
            bail!("a reply of {} bytes without `{}` at its end", reply.length, self.terminal);
        }
        Ok(())
    }
}

impl Way {
    /// A request that is made once.
    fn same(host: SocketAddr, (path, own): (&str, &str), body: &str) -> anyhow::Result<Self> {
        let head = head(host, (path, "application/json"), own, body.len());
        let turn = head.len() + body.find(TURN).context("a request without a turn")? + TURN.len() - 8;
        Ok(Self::Same { bytes: [head.as_str(), body].concat().into_bytes(), turn })
    }
}

/// A request's head, up to its body of `length` bytes.
fn head(host: SocketAddr, (path, accept): (&str, &str), own: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: {accept}\r\nuser-agent: doorward-bench\r\n{own}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Path and own header lines of a request.
fn place(target: &Target, spec: &Spec) -> (String, String) {
    let key = target.key.as_deref().unwrap_or("sk-bench-0000");
    match spec.dialect {
        Dialect::Anthropic => (
            format!("{}/v1/messages", target.anthropic),
            format!("x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"),
        ),
        Dialect::OpenAi => {
            (format!("{}/v1/chat/completions", target.openai), format!("authorization: Bearer {key}\r\n"))
        }
    }
}

/// The header lines of a request that is asked for.
fn inner(own: &str) -> impl Iterator<Item = (&str, &str)> {
    let own = own.split("\r\n").filter_map(|line| line.split_once(": "));
    own.chain([("content-type", "application/json"), ("accept", "application/json")])
}

/// Where a request goes that is asked for: without the token that the path begins with for the model door, with which it would rightly
/// be refused.
fn url(upstream: SocketAddr, path: &str) -> String {
    let asked = path.find("/v1/").and_then(|at| path.get(at..)).unwrap_or(path);
    format!("http://{upstream}{asked}")
}

fn is_well(reply: &Reply) -> anyhow::Result<()> {
    match reply.status {
        200 => Ok(()),
        status => bail!("status {status}: {}", reply.tail()),
    }
}
