//! The load: connections that ask, read to the end, check, and ask again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::Reply;
use crate::shapes::{self, Shape, TURN};
use crate::spec::{Dialect, Spec};

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
    /// The egress door's way: requests are asked for, to this upstream, with this credential.
    pub asked_for: Option<(SocketAddr, String)>,
}

/// A request ready to be sent, and what its reply must be like.
#[derive(Debug, Clone)]
pub struct Question {
    address: SocketAddr,
    bytes: Vec<u8>,
    /// Where the digits of the turn stand.
    turn: usize,
    terminal: &'static str,
    /// The length of the reply's body, if it must not change.
    length: Option<u64>,
}

/// Counts turns over all questions, so that no two requests are the same.
static TURNS: AtomicU64 = AtomicU64::new(0);

impl Question {
    /// Prepares a request of `spec` for `target`.
    pub fn new(target: &Target, spec: &Spec) -> anyhow::Result<Self> {
        let mut body = shapes::request(spec);
        let key = target.key.as_deref().unwrap_or("sk-bench-0000");
        let (mut path, mut own) = match spec.dialect {
            Dialect::Anthropic => (
                format!("{}/v1/messages", target.anthropic),
                format!("x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"),
            ),
            Dialect::OpenAi => {
                (format!("{}/v1/chat/completions", target.openai), format!("authorization: Bearer {key}\r\n"))
            }
        };
        if let Some((upstream, credential)) = &target.asked_for {
            let headers: serde_json::Map<_, _> = own
                .split("\r\n")
                .filter_map(|line| line.split_once(": "))
                .chain([("content-type", "application/json"), ("accept", "application/json")])
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            // Without the token that the path begins with for the model door: it would rightly be refused.
            let asked = path.find("/v1/").and_then(|at| path.get(at..)).unwrap_or(&path);
            let url = format!("http://{upstream}{asked}");
            body = serde_json::json!({"url": url, "method": "POST", "headers": headers, "body": body})
                .to_string();
            (path, own) = ("/v1/net".to_owned(), format!("authorization: Bearer {credential}\r\n"));
        }
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\nuser-agent: doorward-bench\r\n{own}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            target.address,
            body.len()
        );
        let turn = head.len() + body.find(TURN).context("a request without a turn")? + TURN.len() - 8;
        Ok(Self {
            address: target.address,
            bytes: [head, body].concat().into_bytes(),
            turn,
            terminal: shapes::terminal(spec),
            length: target.exact.then(|| Shape::of(spec).length() as u64),
        })
    }

    /// The request's bytes, with a turn that no other has.
    pub fn next(&mut self) -> &[u8] {
        let turn = TURNS.fetch_add(1, Ordering::Relaxed) % 100_000_000;
        if let Some(place) = self.bytes.get_mut(self.turn..self.turn + 8) {
            place.copy_from_slice(format!("{turn:08}").as_bytes());
        }
        &self.bytes
    }

    fn check(&self, reply: &Reply) -> anyhow::Result<()> {
        if reply.status != 200 {
            bail!("status {}: {}", reply.status, reply.tail());
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

/// One connection, opened when it is needed.
#[derive(Debug)]
pub struct Connection {
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// A connection that reads so many bytes at once.
    pub fn new(buffer: usize) -> Self {
        Self { stream: None, buffer: vec![0; buffer] }
    }

    /// Opens it, if it is not open.
    pub async fn open(&mut self, address: SocketAddr) -> anyhow::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(address).await.context("cannot connect")?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().context("no connection")
    }

    /// Asks and reads the reply to its end, handing its body to `each`. Returns the body's length.
    pub async fn ask(&mut self, question: &mut Question, mut each: impl FnMut(&[u8])) -> anyhow::Result<u64> {
        let mut reply = Reply::default();
        let asked = self.exchange(question, &mut reply, &mut each).await;
        if asked.is_err() || !reply.keeps {
            self.stream = None;
        }
        asked?;
        question.check(&reply)?;
        Ok(reply.length)
    }

    async fn exchange(
        &mut self,
        question: &mut Question,
        reply: &mut Reply,
        each: &mut impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        self.open(question.address).await?;
        let (Some(stream), buffer) = (self.stream.as_mut(), &mut self.buffer) else { bail!("no connection") };
        stream.write_all(question.next()).await?;
        loop {
            let count = stream.read(buffer).await?;
            if count == 0 {
                return reply.closed();
            }
            if reply.feed(buffer.get(..count).unwrap_or_default(), each)? {
                return Ok(());
            }
        }
    }
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Replies read to the end and found right.
    pub completed: u64,
    /// Replies that were not.
    pub failed: u64,
    /// The first failure in words.
    pub failure: Option<String>,
    /// Bytes of bodies.
    pub bytes: u64,
    /// From the start to the end of the last reply.
    pub seconds: f64,
    /// Milliseconds that each reply took, sorted.
    pub millis: Vec<f64>,
}

/// Keeps `connections` busy for `time`; what is under way then is read to its end, for `patience` at most.
pub async fn load(
    target: &Target,
    spec: &Spec,
    connections: usize,
    time: Duration,
    patience: Duration,
) -> anyhow::Result<Load> {
    let question = Question::new(target, spec)?;
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::new(64 << 10);
        connection.open(target.address).await?;
        open.push(connection);
    }
    let results = Arc::new(std::sync::Mutex::new(Load::default()));
    let start = Instant::now();
    let workers: Vec<_> = open
        .into_iter()
        .map(|connection| {
            let work = work(connection, question.clone(), start, time, Arc::clone(&results));
            tokio::spawn(work)
        })
        .collect();
    let aborts: Vec<_> = workers.iter().map(tokio::task::JoinHandle::abort_handle).collect();
    let all = async {
        for worker in workers {
            let _ = worker.await;
        }
    };
    let in_time = tokio::time::timeout(time + patience, all).await.is_ok();
    aborts.iter().for_each(tokio::task::AbortHandle::abort);
    let mut load = std::mem::take(&mut *results.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if !in_time {
        load.seconds = start.elapsed().as_secs_f64();
        load.failure
            .get_or_insert_with(|| format!("not done {} s after the time was up", patience.as_secs()));
    }
    load.millis.sort_by(f64::total_cmp);
    Ok(load)
}

async fn work(
    mut connection: Connection,
    mut question: Question,
    start: Instant,
    time: Duration,
    results: Arc<std::sync::Mutex<Load>>,
) {
    while start.elapsed() < time {
        let begun = Instant::now();
        let asked = connection.ask(&mut question, |_| {}).await;
        let mut load = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match asked {
            Ok(bytes) => {
                load.completed += 1;
                load.bytes += bytes;
                load.millis.push(begun.elapsed().as_secs_f64() * 1e3);
                load.seconds = start.elapsed().as_secs_f64();
            }
            Err(error) => {
                load.failed += 1;
                load.failure.get_or_insert_with(|| format!("{error:#}"));
                if load.failed > 100 && load.completed == 0 {
                    return;
                }
            }
        }
    }
}
