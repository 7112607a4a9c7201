//! How many receipts per second are built, appended and covered by signed checkpoints. The budget is 100,000.
//!
//! `cargo run --release -p doorward-ledger --example append_rate -- [BATCH] [SECONDS] [os|disk]`
#![expect(clippy::print_stdout, reason = "an example tells its result")]

use doorward_ledger::receipt::{ActionRecord, DecisionRecord, PartRecord, ReasonRecord};
use doorward_ledger::{Draft, Durability, Kind, Leaf, Log, LogOptions, Salt, SigningKey};
use std::error::Error;
use std::time::{Duration, Instant};

fn receipt(n: u64) -> Result<Leaf, Box<dyn Error>> {
    let salt = Salt::new(&[n as u8; 32]);
    let digest = salt.digest("arguments", b"{\"command\":\"ls -la\"}");
    let action = ActionRecord {
        kind: "tool_call",
        tool: Some("bash"),
        source: "model",
        destination: Some("api.anthropic.com"),
        parts: vec![PartRecord { part: "arguments", bytes: 20, digest }],
        ..Default::default()
    };
    let reason = ReasonRecord {
        rule: "files.list",
        layer: "detect",
        severity: 10,
        verdict: "audit",
        message: "lists a directory outside the project",
        part: None,
    };
    let decision = DecisionRecord {
        verdict: "audit",
        risk: 10,
        mode: "block",
        enforced: true,
        coverage: "full",
        reasons: vec![reason],
        policy: "default-1",
        epoch: &[("kill", 0), ("policy", 1), ("key", 1)],
        ..Default::default()
    };
    let draft = Draft::new(Kind::Decision, &format!("R{n:025}"), 1_795_219_200_000, "doorward/bench");
    Ok(draft
        .agent("a")
        .session("s")
        .door("model")
        .action(&action, &salt)
        .decision(&decision, &salt)
        .seal()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let batch: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let durability =
        if arguments.next().as_deref() == Some("disk") { Durability::Disk } else { Durability::Os };
    let dir = std::env::temp_dir().join(format!("doorward-append-rate-{}", std::process::id()));
    let key = SigningKey::from_seed("doorward/bench", &[1; 32])?;
    let mut log = Log::open_with(&dir, key.clone(), LogOptions { durability, ..Default::default() })?;

    let start = Instant::now();
    let (mut building, mut appending) = (Duration::ZERO, Duration::ZERO);
    let (mut count, mut bytes) = (0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let begun = Instant::now();
        let leaves = (0..batch as u64).map(|i| receipt(count + i)).collect::<Result<Vec<_>, _>>()?;
        let built = Instant::now();
        log.append(&leaves)?;
        appending += built.elapsed();
        building += built - begun;
        bytes += leaves.iter().map(|leaf| leaf.bytes().len()).sum::<usize>();
        count += batch as u64;
    }
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!("{count} receipts of {} bytes in groups of {batch}", bytes / count as usize);
    println!("built and hashed: {:.0}/s   appended: {:.0}/s", rate(building), rate(appending));
    println!("both, one thread: {:.0}/s", rate(start.elapsed()));
    drop(log);
    let reopened = Instant::now();
    let log = Log::open(&dir, key, durability)?;
    println!("opened again with {} receipts in {:?}", log.size(), reopened.elapsed());
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
