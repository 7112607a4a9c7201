//! Memory under very many slow streams. Each peer is started anew for it: what it took before is not
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::client::Connection;
use crate::http::Reply;
use crate::peers::Peer;
use crate::question::Question;
use crate::report::{Table, number, tell};
use crate::shapes::Shape;
use crate::spec::{Delivery, Dialect, Kind, Spec};

/// How many streams are being opened at once: a burst of all of them would measure the listener's queue.
const OPENING: usize = 128;

/// How long opening all of them may take.
const RAMP: Duration = Duration::from_secs(150);

/// The most streams for a proxy written in Python, which would not be done with more in the time there is.
const PYTHON: usize = 1_000;

/// One delta of each stream in so many milliseconds.
const PACE: u64 = 2_000;

#[derive(Debug, Default)]
struct Counts {
    /// Streams whose first text delta came.
    open: AtomicUsize,
    /// Streams that ended, which none should.
    broken: AtomicUsize,
    /// Bytes of bodies.
    bytes: AtomicU64,
    failure: std::sync::Mutex<Option<String>>,
}

/// What was found of one peer: a row, and its figures.
type Found = (Vec<String>, Value);

/// The table of what was found.
pub fn tables(found: Vec<Found>, streams: usize, hold: Duration) -> (Vec<Table>, Value) {
    let (rows, json) = found.into_iter().unzip();
    let head = [
        "peer",
        "streams",
        "opened in s",
        "idle MB",
        "peak MB",
        "peak KB a stream",
        "held KB a stream",
        "µs a delta",
        "broken",
    ];
    let table = Table {
        title: format!("Memory with {} slow streams", number(streams as f64)),
        note: format!(
            "Two sockets each, one delta each {} s. Peak: `VmHWM`, summed over the peer's processes; held: pages in use \
             {} s after the last stream opened; both less what the peer took before. The kernel's own memory for sockets \
             is not in it. Proxies written in Python get {} streams.",
            PACE / 1000,
            hold.as_secs(),
            number(PYTHON as f64)
        ),
        head: head.map(str::to_owned).to_vec(),
        rows,
    };
    (vec![table], Value::Array(json))
}

/// Opens `streams` through a peer, holds them for `hold` and looks.
pub async fn one(peer: &Peer, streams: usize, hold: Duration) -> anyhow::Result<Found> {
    let wanted = if peer.kind.is_python() { streams.min(PYTHON) } else { streams };
    tell(&format!("{wanted} slow streams through {}", peer.kind.name()));
    let spec =
        Spec { dialect: Dialect::Anthropic, kind: Kind::Deltas(1_000), delivery: Delivery::Paced(PACE) };
    let shape = Shape::of(&spec);
    let opening: usize = shape.pieces.iter().take(shape.opening).map(String::len).sum();
    let question = Question::new(&peer.target, &spec, 0)?;
    let memory = || peer.tree().map(crate::proc::Tree::memory).unwrap_or_default();
    let cpu = || peer.tree().map_or(0, crate::proc::Tree::cpu_micros);
    let idle = memory();
    let counts = Arc::new(Counts::default());
    let room = Arc::new(Semaphore::new(OPENING));
    let begin = Instant::now();
    let mut streams = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let work = stream(
            peer.target.address,
            question.clone(),
            opening as u64,
            Arc::clone(&room),
            Arc::clone(&counts),
        );
        streams.push(tokio::spawn(work));
    }
    let settled = || counts.open.load(Ordering::Relaxed) + counts.broken.load(Ordering::Relaxed) >= wanted;
    while !settled() && begin.elapsed() < RAMP {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let opened = begin.elapsed().as_secs_f64();
    // Until what opening took has been given back.
    tokio::time::sleep(hold / 2).await;
    let (spent, bytes, watched) = (cpu(), counts.bytes.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(hold / 2).await;
    let spent = cpu().saturating_sub(spent) as f64;
    let bytes = counts.bytes.load(Ordering::Relaxed) - bytes;
    let seconds = watched.elapsed().as_secs_f64();
    let held = memory();
    streams.iter().for_each(tokio::task::JoinHandle::abort);
    for stream in streams {
        let _ = stream.await;
    }
    let (open, broken) = (counts.open.load(Ordering::Relaxed), counts.broken.load(Ordering::Relaxed));
    let text = shape.length() - opening;
    let deltas = bytes as f64 / (text as f64 / 1_000.0);
    let each = |bytes: u64| bytes.saturating_sub(idle.now) as f64 / open.max(1) as f64;
    let megabytes = |bytes: u64| number(bytes as f64 / 1e6);
    let failure = counts.failure.lock().ok().and_then(|failure| failure.clone());
    if let Some(failure) = &failure {
        tell(&format!("{}: {failure}", peer.kind.name()));
    }
    let row = vec![
        peer.kind.name().to_owned(),
        number(open as f64),
        number(opened),
        megabytes(idle.now),
        megabytes(held.peak),
        number(each(held.peak) / 1e3),
        number(each(held.now) / 1e3),
        number(spent / deltas),
        broken.to_string(),
    ];
    let figures = json!({
        "peer": peer.kind.name(), "wanted": wanted, "open": open, "broken": broken, "failure": failure,
        "opened_seconds": opened, "idle_bytes": idle.now, "peak_bytes": held.peak, "held_bytes": held.now,
        "peak_bytes_per_stream": each(held.peak), "held_bytes_per_stream": each(held.now),
        "cpu_micros_per_delta": spent / deltas, "deltas_per_second": deltas / seconds,
    });
    Ok((row, figures))
}

/// One stream: opened in its turn, then read until it is stopped.
async fn stream(
    address: std::net::SocketAddr,
    mut question: Question,
    opening: u64,
    room: Arc<Semaphore>,
    counts: Arc<Counts>,
) {
    let Ok(mut place) = room.acquire_owned().await.map(Some) else { return };
    let mut reply = Reply::default();
    let reading = async {
        let mut connection = Connection::new(4 << 10);
        let stream = connection.open(address).await?;
        stream.write_all(question.next()?).await?;
        let mut buffer = vec![0; 2 << 10];
        loop {
            let count = stream.read(&mut buffer).await?;
            let before = reply.length;
            let ended = count == 0 || reply.feed(buffer.get(..count).unwrap_or_default(), &mut |_| {})?;
            if ended || reply.status != 200 && reply.status != 0 {
                anyhow::bail!(
                    "a stream ended: status {}, {} bytes: {}",
                    reply.status,
                    reply.length,
                    reply.tail()
                );
            }
            if reply.length > opening && place.is_some() {
                place = None;
                counts.open.fetch_add(1, Ordering::Relaxed);
            }
            counts.bytes.fetch_add(reply.length - before, Ordering::Relaxed);
        }
    };
    let ended: anyhow::Result<()> = reading.await;
    if let Err(error) = ended {
        counts.broken.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut failure) = counts.failure.lock() {
            failure.get_or_insert_with(|| format!("{error:#}"));
        }
    }
}
