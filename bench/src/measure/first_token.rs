//! The time that a proxy adds until the first text token is with the client.
//!
//! The upstream writes into the first text delta when the request was with it and when the delta left. So
//! the two ways (request there, delta back) are measured without the provider's thinking between them, on
//! one clock, and a timer's inaccuracy plays no part.

use serde_json::{Value, json};

use crate::client::Connection;
use crate::clock;
use crate::http::find;
use crate::peers::{Peer, PeerKind};
use crate::question::Question;
use crate::report::{Table, number, tell};
use crate::shapes::{CLOCK, DIGITS};
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::quantile;

/// Asks `samples` times of each peer in turn.
pub async fn run(peers: &[Peer], samples: usize) -> anyhow::Result<(Vec<Table>, Value)> {
    let mut rows = Vec::new();
    let mut json = Vec::new();
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        tell(&format!("first token ({})", dialect.name()));
        let spec = Spec { dialect, kind: Kind::Clock, delivery: Delivery::Events };
        let mut asked = Vec::new();
        for peer in peers {
            asked.push((Question::new(&peer.target, &spec, 0)?, Connection::new(16 << 10), Vec::new()));
        }
        // The first ones open connections and warm up.
        let warm = samples.div_ceil(10);
        for sample in 0..samples + warm {
            for (question, connection, times) in &mut asked {
                let time = one(question, connection).await;
                if sample >= warm {
                    times.push(time);
                }
            }
        }
        let direct: Vec<Option<Ways>> = peers
            .iter()
            .zip(&asked)
            .find(|(peer, _)| peer.kind == PeerKind::Direct)
            .map(|(_, (_, _, times))| times.clone())
            .unwrap_or_default();
        for (peer, (_, _, times)) in peers.iter().zip(&asked) {
            let sorted = |values: Vec<f64>| {
                let mut values = values;
                values.sort_by(f64::total_cmp);
                values
            };
            let of_each = |of: fn(&Ways) -> f64| sorted(times.iter().flatten().map(of).collect());
            let (own, there, back) =
                (of_each(Ways::both), of_each(|ways| ways.there), of_each(|ways| ways.back));
            let pairs = times.iter().zip(&direct);
            let added = sorted(
                pairs
                    .filter_map(|(own, direct)| Some(own.as_ref()?.both() - direct.as_ref()?.both()))
                    .collect(),
            );
            let lost = times.len() - own.len();
            let of = |values: &[f64], part| {
                if values.is_empty() { "-".to_owned() } else { number(quantile(values, part)) }
            };
            rows.push(vec![
                peer.kind.name().to_owned(),
                dialect.name().to_owned(),
                of(&there, 0.5),
                of(&back, 0.5),
                of(&own, 0.5),
                of(&added, 0.5),
                of(&added, 0.9),
                lost.to_string(),
            ]);
            json.push(json!({
                "peer": peer.kind.name(), "dialect": dialect.name(), "samples": own.len(), "lost": lost,
                "there_micros": {"p50": quantile(&there, 0.5), "p90": quantile(&there, 0.9)},
                "back_micros": {"p50": quantile(&back, 0.5), "p90": quantile(&back, 0.9)},
                "micros": {"p50": quantile(&own, 0.5), "p90": quantile(&own, 0.9)},
                "added_micros": {"p50": quantile(&added, 0.5), "p90": quantile(&added, 0.9)},
            }));
        }
    }
    let head =
        ["peer", "dialect", "there p50", "back p50", "both ways p50", "added p50", "added p90", "lost"];
    let table = Table {
        title: "Time to the first text token, in µs".to_owned(),
        note: format!(
            "One connection, {samples} samples of each peer, taken in turn. The provider sends its head at once and its \
             first text 20 ms later; its thinking is not counted. Added: each sample less the direct one of its turn."
        ),
        head: head.map(str::to_owned).to_vec(),
        rows,
    };
    Ok((vec![table], Value::Array(json)))
}

/// Microseconds of a request on its way to the provider, and of its first delta on the way back.
#[derive(Clone, Copy)]
struct Ways {
    there: f64,
    back: f64,
}

impl Ways {
    fn both(&self) -> f64 {
        self.there + self.back
    }
}

async fn one(question: &mut Question, connection: &mut Connection) -> Option<Ways> {
    let sent = clock::nanos();
    let mut ways = None;
    let asked = connection.ask(question, |piece| {
        if ways.is_none()
            && let Some((received, left)) = times(piece)
        {
            let micros = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e3;
            ways = Some(Ways { there: micros(sent, received), back: micros(left, clock::nanos()) });
        }
    });
    asked.await.ok()?;
    ways
}

/// The two times in a delta: when the request was with the upstream, when the delta left it.
fn times(piece: &[u8]) -> Option<(u64, u64)> {
    let digits = piece.get(find(piece, CLOCK.as_bytes())? + CLOCK.len()..)?;
    let number = |from: usize| std::str::from_utf8(digits.get(from..from + DIGITS)?).ok()?.parse().ok();
    Some((number(0)?, number(DIGITS)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let piece = format!("data: x{CLOCK}{:020}{:020} y", 12, 345);
        assert_eq!(times(piece.as_bytes()), Some((12, 345)));
        assert_eq!(times(b"clock=12"), None);
    }
}
