//! 100,000 calls in 1,000 sessions through one gateway: how much memory it takes, and whether it becomes slower. Nothing is
//! asserted but that every reply comes as it was: figures belong to a machine. `cargo xtask soak sessions` runs it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_testkit::provider::exchange::exchanges;
use doorward_testkit::sessions::{Session, recorded, varied};

use crate::benign::provider;
use crate::support::{Door, send, sse};

const SESSIONS: usize = 1_000;
const CALLS: usize = 100_000;
/// Fewer, where somebody is in a hurry.
const CALLS_SETTING: &str = "DOORWARD_SOAK_CALLS";

/// Bytes of this process that lie in memory and belong to no file.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

/// Each session's conversation is held again and again, one round of all sessions after the other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; cargo xtask soak sessions"]
async fn many_calls_in_many_sessions() {
    let most = std::env::var(CALLS_SETTING).ok().and_then(|calls| calls.parse().ok()).unwrap_or(CALLS);
    let recorded = recorded();
    let all: Vec<Session> = (0..SESSIONS).filter_map(|number| varied(&recorded, number)).collect();
    let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
    let base = provider(Arc::clone(&answer)).await;
    let door = Door::toward(Door::untrusted(Protocol::Anthropic, base), Mode::Monitor).await;
    let (mut calls, mut times, mut begun) = (0, Vec::new(), Instant::now());
    let mut requests = 0;
    let mut figures = Vec::new();
    'all: loop {
        for (number, session) in all.iter().enumerate() {
            let session = Session { dialect: "messages".to_owned(), ..session.clone() };
            for (turn, exchange) in exchanges(&session).into_iter().enumerate() {
                let said = String::from_utf8(exchange.answer).unwrap();
                *answer.lock().unwrap() = sse(&said);
                let target = format!("/t/{}/{}", door.token, exchange.path);
                let headers = format!("doorward-session: soak-{number}\r\n");
                let started = Instant::now();
                let reply = send(door.address, "POST", &target, &headers, &exchange.body).await;
                times.push(started.elapsed());
                assert_eq!((reply.status, &*reply.body), (200, &*said));
                requests += 1;
                calls += session.turns[turn].calls.len();
                if calls / (most / 10) > figures.len() {
                    let line = format!(
                        "{calls:>7} calls, {requests:>6} requests, {:>4} s: {:>6.1} MiB; of the last thousand p50 {:?}, p99 {:?}",
                        begun.elapsed().as_secs(),
                        memory() as f64 / f64::from(1 << 20),
                        percentile(&times[times.len().saturating_sub(1000)..], 50),
                        percentile(&times[times.len().saturating_sub(1000)..], 99),
                    );
                    eprintln!("{line}");
                    figures.push(line);
                }
                if calls >= most {
                    break 'all;
                }
            }
        }
    }
    let (first, last) = (percentile(&times[..1000], 50), percentile(&times[times.len() - 1000..], 50));
    eprintln!(
        "p50 of the first thousand {first:?}, of the last {last:?}: {:.2}",
        last.as_secs_f64() / first.as_secs_f64()
    );
    begun = Instant::now();
    let door =
        door.crash_in(Door::untrusted(Protocol::Anthropic, "http://127.0.0.1:9".into()), Mode::Monitor).await;
    eprintln!(
        "a new process knows {} sessions after {:?}",
        door.gateway.sessions().views().0.len(),
        begun.elapsed()
    );
}
