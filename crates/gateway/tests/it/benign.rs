//! Ordinary sessions of coding agents, recorded and varied, through the real gateway: nothing interrupts them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_testkit::provider::exchange::{exchanges, protocol};
use doorward_testkit::sessions::{Session, recorded, varied};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Door, send, sse};

/// How many there are in all.
const SESSIONS: usize = 200;

/// What came of some sessions.
#[derive(Default)]
struct Played {
    sessions: usize,
    calls: usize,
    /// What was stopped, altered or asked about, in words.
    interrupted: Vec<String>,
    /// How often each rule made a note, and in how many sessions anything did.
    notes: BTreeMap<String, usize>,
    noted: Vec<usize>,
}

/// A provider that gives the answer that stands there, to one request after the other.
pub async fn provider(answer: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let (mut request, mut whole) = (Vec::new(), usize::MAX);
                while request.len() < whole {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                    if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                        let length =
                            head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                        whole = end + 4 + length.unwrap().parse::<usize>().unwrap();
                    }
                }
                let answer = answer.lock().unwrap().clone();
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    base
}

/// How the session's agent says which session it is, if it does.
fn header(session: &Session) -> String {
    let name = match session.agent.as_str() {
        "claude-code" => "x-claude-code-session-id",
        agent if agent.starts_with("codex") => "session_id",
        agent if agent.starts_with("opencode") => "x-session-affinity",
        "goose" => "doorward-session",
        _ => return String::new(),
    };
    format!("{name}: {}\r\n", session.name)
}

/// Plays sessions one after the other before one gateway, so that each comes after what the others have left.
async fn play(of: Protocol, sessions: Vec<Session>) -> Played {
    let answer = Arc::default();
    let base = provider(Arc::clone(&answer)).await;
    let door = Door::toward(Door::untrusted(of, base), Mode::Block).await;
    let mut played = Played::default();
    let mut read = door.receipt_count();
    for session in sessions {
        let headers = header(&session);
        for (turn, exchange) in exchanges(&session).into_iter().enumerate() {
            let said = String::from_utf8(exchange.answer).unwrap();
            *answer.lock().unwrap() = sse(&said);
            let target = format!("/t/{}/{}", door.token, exchange.path);
            let reply = send(door.address, "POST", &target, &headers, &exchange.body).await;
            if reply.status != 200 || reply.body != said {
                let calls = session.turns[turn].calls.iter().map(|call| call.written()).collect::<Vec<_>>();
                let what =
                    format!("{} {}, turn {turn} {calls:?}: {}", session.name, session.agent, reply.status);
                played.interrupted.push(format!("{what} {}", different(&said, &reply.body)));
            }
        }
        let receipts = door.receipts_since(read);
        read += receipts.len() as u64;
        let mut notes = 0;
        for receipt in receipts {
            let decision = &receipt["decision"];
            let Some(verdict) = decision["verdict"].as_str() else { continue };
            notes += usize::from(verdict == "audit");
            for reason in decision["reasons"].as_array().into_iter().flatten() {
                *played.notes.entry(reason["rule"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            if !matches!(verdict, "allow" | "audit") {
                played.interrupted.push(format!("{} {}: {}", session.name, session.agent, why(&receipt)));
            }
        }
        played.noted.push(notes);
        played.sessions += 1;
        played.calls += session.calls();
    }
    played
}

/// Where two replies begin to differ.
fn different(said: &str, came: &str) -> String {
    let at = said.bytes().zip(came.bytes()).take_while(|(one, other)| one == other).count();
    let rest: String = came.bytes().skip(at.saturating_sub(20)).take(400).map(char::from).collect();
    format!("at {at}: {rest}")
}

fn why(receipt: &Value) -> String {
    let reasons = receipt["decision"]["reasons"].as_array().cloned().unwrap_or_default();
    let reasons = reasons.iter().map(|r| format!("{} {} ({})", r["verdict"], r["rule"], r["message"]));
    format!("{} {}", receipt["action"], reasons.collect::<Vec<_>>().join("; "))
}

/// The sessions in groups that share a gateway: by protocol, and what is recorded first.
fn groups() -> Vec<(Protocol, Vec<Session>)> {
    let recorded = recorded();
    assert!(recorded.len() >= 30, "{}", recorded.len());
    let mut all = recorded.clone();
    all.extend((0..SESSIONS - recorded.len()).filter_map(|number| varied(&recorded, number)));
    assert_eq!(all.len(), SESSIONS);
    let mut groups: Vec<(Protocol, Vec<Session>)> = Vec::new();
    for session in all {
        let of = protocol(&session).unwrap();
        match groups.iter_mut().find(|(known, group)| *known == of && group.len() < 50) {
            Some((_, group)) => group.push(session),
            None => groups.push((of, vec![session])),
        }
    }
    groups
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_ordinary_sessions_are_not_interrupted() {
    let begin = Instant::now();
    let playing: Vec<_> =
        groups().into_iter().map(|(of, sessions)| tokio::spawn(play(of, sessions))).collect();
    let mut all = Played::default();
    for group in playing {
        let group = group.await.unwrap();
        all.sessions += group.sessions;
        all.calls += group.calls;
        all.interrupted.extend(group.interrupted);
        all.noted.extend(group.noted);
        for (rule, count) in group.notes {
            *all.notes.entry(rule).or_default() += count;
        }
    }
    all.noted.sort_unstable();
    let (median, most) = (all.noted[all.noted.len() / 2], all.noted.last().unwrap());
    let total: usize = all.noted.iter().sum();
    eprintln!(
        "{} sessions, {} calls, {:?}; decisions with notes: {total}, in a session {median} in the middle, {most} at most\n{:#?}",
        all.sessions,
        all.calls,
        begin.elapsed(),
        all.notes
    );
    assert_eq!(all.sessions, SESSIONS);
    assert!(all.interrupted.is_empty(), "{}:\n{}", all.interrupted.len(), all.interrupted.join("\n"));
}
