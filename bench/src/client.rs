//! The load: connections that ask, read to the end, check, and ask again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::Reply;
use crate::question::{Question, Target};
use crate::spec::Spec;

/// One connection, opened when it is needed.
#[derive(Debug)]
pub struct Connection {
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// The body of the last reply, where all of it is looked at.
    whole: Vec<u8>,
}

/// A reply that was read to its end and found right.
#[derive(Debug, Clone, Copy)]
pub struct Got {
    /// Bytes of its body.
    pub bytes: u64,
    /// From the first byte of the request to the last of the reply: without making the one and checking the other.
    pub took: Duration,
}

impl Connection {
    /// A connection that reads so many bytes at once.
    pub fn new(buffer: usize) -> Self {
        Self { stream: None, buffer: vec![0; buffer], whole: Vec::new() }
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

    /// Shakes hands for `question`, if its calls need that and it has not been done.
    pub async fn greet(&mut self, question: &mut Question) -> anyhow::Result<()> {
        let Some(wish) = question.wish() else { return Ok(()) };
        let mut reply = Reply::default();
        let greeted = self.exchange((question.address, &wish), &mut reply, (true, &mut |_| {})).await;
        self.close_after(greeted.is_ok(), &reply);
        greeted?;
        question.welcome(&reply, &self.whole)
    }

    /// Asks and reads the reply to its end, handing its body to `each`.
    pub async fn ask(&mut self, question: &mut Question, mut each: impl FnMut(&[u8])) -> anyhow::Result<Got> {
        self.greet(question).await?;
        let mut reply = Reply::default();
        let (address, whole) = (question.address, question.wants_whole());
        let asked = self.exchange((address, question.next()?), &mut reply, (whole, &mut each)).await;
        self.close_after(asked.is_ok(), &reply);
        let took = asked?;
        question.check(&reply, &self.whole)?;
        Ok(Got { bytes: reply.length, took })
    }

    fn close_after(&mut self, whole: bool, reply: &Reply) {
        if !whole || !reply.keeps {
            self.stream = None;
        }
    }

    /// Sends `bytes` and reads the reply, which is kept if it is wanted `whole`.
    async fn exchange(
        &mut self,
        (address, bytes): (SocketAddr, &[u8]),
        reply: &mut Reply,
        (whole, each): (bool, &mut impl FnMut(&[u8])),
    ) -> anyhow::Result<Duration> {
        self.open(address).await?;
        let Self { stream: Some(stream), buffer, whole: kept } = self else { bail!("no connection") };
        kept.clear();
        let mut each = |piece: &[u8]| {
            if whole {
                kept.extend_from_slice(piece);
            }
            each(piece);
        };
        let begun = Instant::now();
        stream.write_all(bytes).await?;
        loop {
            let count = stream.read(buffer).await?;
            if count == 0 {
                return reply.closed().map(|()| begun.elapsed());
            }
            if reply.feed(buffer.get(..count).unwrap_or_default(), &mut each)? {
                return Ok(begun.elapsed());
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
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let mut question = Question::new(target, spec, number)?;
        let mut connection = Connection::new(64 << 10);
        connection.open(target.address).await?;
        connection.greet(&mut question).await?;
        open.push((connection, question));
    }
    let results = Arc::new(std::sync::Mutex::new(Load::default()));
    let start = Instant::now();
    let workers: Vec<_> =
        open.into_iter().map(|asker| tokio::spawn(work(asker, start, time, Arc::clone(&results)))).collect();
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
    (mut connection, mut question): (Connection, Question),
    start: Instant,
    time: Duration,
    results: Arc<std::sync::Mutex<Load>>,
) {
    while start.elapsed() < time {
        let asked = connection.ask(&mut question, |_| {}).await;
        let mut load = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match asked {
            Ok(Got { bytes, took }) => {
                load.completed += 1;
                load.bytes += bytes;
                load.millis.push(took.as_secs_f64() * 1e3);
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
