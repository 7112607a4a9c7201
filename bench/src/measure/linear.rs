//! Whether the work grows with the length of the reply and no faster.

use std::time::Duration;

use serde_json::{Value, json};

use super::throughput::costs;
use crate::peers::{Peer, PeerKind};
use crate::report::{Table, number, tell};
use crate::spec::{Delivery, Dialect, Kind, Spec};
use crate::stats::{Spread, exponent};

const DELTAS: [usize; 4] = [500, 1_000, 2_000, 4_000];
const MEGABYTES: [usize; 4] = [5, 10, 20, 40];

/// Measures Doorward, and nginx beside it, on one connection.
pub async fn run(peers: &[Peer], rounds: usize, time: Duration) -> (Vec<Table>, Value) {
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    let cases: [(&str, [(usize, Kind); 4]); 2] = [
        ("deltas", DELTAS.map(|count| (count, Kind::Deltas(count)))),
        ("MB of JSON", MEGABYTES.map(|count| (count, Kind::Json(count << 20)))),
    ];
    let measured = |peer: &&Peer| matches!(peer.kind, PeerKind::Doorward | PeerKind::Nginx);
    let peers: Vec<&Peer> = peers.iter().filter(measured).collect();
    for (what, sizes) in cases {
        tell(&format!("growth with {what}"));
        let mut all = vec![vec![Vec::new(); sizes.len()]; peers.len()];
        for _ in 0..rounds {
            for (at, (_, kind)) in sizes.iter().enumerate() {
                for (peer, found) in peers.iter().zip(&mut all) {
                    let spec = Spec { dialect: Dialect::Anthropic, kind: *kind, delivery: Delivery::Whole };
                    let costs = costs(peer, &spec, time).await;
                    found.get_mut(at).map(|found| found.push(costs)).unwrap_or_default();
                }
            }
        }
        for (peer, found) in peers.iter().zip(&all) {
            let cpu: Vec<f64> =
                found.iter().map(|rounds| Spread::of(rounds.iter().map(|round| round.0)).middle).collect();
            let millis: Vec<f64> =
                found.iter().map(|rounds| Spread::of(rounds.iter().map(|round| round.1)).middle).collect();
            let fit = |values: &[f64]| {
                let points = sizes.iter().zip(values).map(|((size, _), value)| (*size as f64, *value));
                exponent(&points.collect::<Vec<_>>())
            };
            for (unit, values) in [("CPU µs", &cpu), ("ms", &millis)] {
                let mut row = vec![peer.kind.name().to_owned(), what.to_owned(), unit.to_owned()];
                row.extend(
                    sizes.iter().zip(values).map(|((size, _), value)| format!("{size}: {}", number(*value))),
                );
                row.push(format!("{:.2}", fit(values)));
                rows.push(row);
            }
            json.push(json!({
                "peer": peer.kind.name(), "what": what, "sizes": sizes.map(|(size, _)| size),
                "cpu_micros": cpu, "millis": millis, "cpu_exponent": fit(&cpu), "millis_exponent": fit(&millis),
            }));
        }
    }
    let head = ["peer", "grows", "what", "", "", "", "", "exponent"];
    let table = Table {
        title: "Growth with the reply's length".to_owned(),
        note: "One connection, the reply in one write. Exponent: of the power that fits best; 1 is linear."
            .to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows,
    };
    (vec![table], Value::Array(json))
}
