//! A clock that jumps, both ways: no call passes twice by that, and who signs by the right time is not kept out once the clock is
//! right again.

use super::*;

const YEAR: i64 = 365 * 86_400;

/// A clock that the test sets: what the system says, and so many milliseconds more.
fn clock() -> (Clock, Arc<std::sync::atomic::AtomicI64>) {
    let ahead = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let by = Arc::clone(&ahead);
    let system = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    };
    (Clock::new(move || system().saturating_add_signed(by.load(Ordering::Relaxed) * 1000)), ahead)
}

/// A door with such a clock, an upstream, and an hour and a half's worth of jumping.
struct Jumps {
    rig: Rig,
    upstream: Raw,
    ahead: Arc<std::sync::atomic::AtomicI64>,
    turn: AtomicU64,
}

impl Jumps {
    async fn new(set: &[(&str, &str)]) -> Self {
        let (clock, ahead) = clock();
        let rig = Rig::with(Wish { set, clock, ..Wish::default() }).await;
        Self { rig, upstream: Raw::answering().await, ahead, turn: AtomicU64::new(0) }
    }

    /// Sets the door's clock to so many seconds from now.
    fn set(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }

    /// A session opened by who has the right time, when the door's is right.
    async fn session(&self) -> Session {
        self.rig.session_at(self.second(0)).await
    }

    /// Seconds from now, as a client says them.
    fn second(&self, from_now: i64) -> u64 {
        now().saturating_add_signed(from_now)
    }

    /// A call of its own, signed at this second.
    fn call(&self, session: &Session, second: u64) -> Value {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        session.call(&format!("{}{turn}", self.upstream.url()), second, &json!({}))
    }

    /// Its code, or `ALLOWED`.
    async fn sent(&self, call: &Value) -> String {
        let answer = self.rig.tool("sphyr_net", call.clone()).await;
        let told = if answer["code"].is_null() { &answer["outcome"] } else { &answer["code"] };
        told.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_passes_twice_however_the_clock_jumps() {
    let jumps = Jumps::new(&[("rate_agent", "100000")]).await;
    let session = jumps.session().await;
    let call = jumps.call(&session, jumps.second(0));
    assert_eq!(jumps.sent(&call).await, "ALLOWED");
    assert_eq!(jumps.upstream.heard().len(), 1);
    // Ahead: it is too old, and so is the session; what others send there makes the door forget.
    for ahead in [301, 1000, 3600, YEAR / 4, 4000, 500] {
        jumps.set(ahead);
        assert_ne!(jumps.sent(&call).await, "ALLOWED", "{ahead}");
        let other = jumps.rig.session_at(jumps.second(ahead)).await;
        assert_eq!(jumps.sent(&jumps.call(&other, jumps.second(ahead))).await, "ALLOWED", "{ahead}");
        // Back: it is of now again, and the session runs; it has been here.
        jumps.set(0);
        assert_ne!(jumps.sent(&call).await, "ALLOWED", "{ahead}, and back");
    }
    // Before it was signed, and on again.
    for behind in [-301, -3600, -YEAR] {
        jumps.set(behind);
        assert_ne!(jumps.sent(&call).await, "ALLOWED", "{behind}");
        jumps.set(0);
        assert_ne!(jumps.sent(&call).await, "ALLOWED", "{behind}, and on");
    }
    assert_eq!(jumps.upstream.heard().len(), 7, "one of each");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_by_the_right_time_is_let_in_when_the_clock_is_right_again() {
    let jumps = Jumps::new(&[("rate_agent", "100000")]).await;
    let session = jumps.session().await;
    assert_eq!(jumps.sent(&jumps.call(&session, jumps.second(0))).await, "ALLOWED");
    for (round, wrong) in (1..).zip([400, 3600, YEAR / 4, -400, -3600, -10 * YEAR]) {
        jumps.set(wrong);
        assert_eq!(
            jumps.rig.tool("audit_sess", jumps.rig.wish(jumps.second(0))).await["code"],
            "SIG_EXPIRED"
        );
        // Whoever has the same wrong time, as programs on this machine have, goes on; for long enough that things are forgotten.
        for later in [0, 200, 700] {
            jumps.set(wrong + later);
            let second = jumps.second(wrong + later);
            let own = jumps.rig.session_at(second).await;
            assert_eq!(jumps.sent(&jumps.call(&own, second)).await, "ALLOWED", "{wrong} {later}");
        }
        jumps.set(0);
        // A second that nobody has named before: those that were forgotten are refused for ever.
        let second = jumps.second(30 * round);
        let fresh = jumps.rig.session_at(second).await;
        assert_eq!(jumps.sent(&jumps.call(&fresh, second)).await, "ALLOWED", "after {wrong}");
    }
}

/// Rates are counted by a clock that nobody sets.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_gives_nobody_a_rate() {
    let jumps = Jumps::new(&[("rate_agent", "1")]).await;
    let session = jumps.session().await;
    let began = std::time::Instant::now();
    for wrong in [0, 60, 3600, YEAR / 4, -60, -YEAR, 0, 250, -250, 0] {
        jumps.set(wrong);
        let own = if wrong.abs() < 300 { &session } else { &jumps.rig.session_at(jumps.second(wrong)).await };
        jumps.sent(&jumps.call(own, jumps.second(wrong))).await;
    }
    // One a second, whatever the clock says.
    let went = jumps.upstream.heard().len() as u64;
    assert!((1..=began.elapsed().as_secs() + 2).contains(&went), "{went} in {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    jumps.set(0);
    let fresh = jumps.rig.session_at(jumps.second(30)).await;
    let call = jumps.call(&fresh, jumps.second(30));
    assert_eq!(jumps.sent(&call).await, "ALLOWED", "and nobody owes for years");
}

/// Credits that have expired by a clock that was wrong are not spent, and none are made.
#[tokio::test(flavor = "multi_thread")]
async fn credits_expire_and_are_never_more_than_were_granted() {
    let jumps = Jumps::new(&[("rate_agent", "100000")]).await;
    let session = jumps.session().await;
    assert_eq!(jumps.sent(&jumps.call(&session, jumps.second(0))).await, "ALLOWED");
    jumps.set(2 * YEAR);
    let ahead = jumps.rig.session_at(jumps.second(2 * YEAR)).await;
    let call = jumps.call(&ahead, jumps.second(2 * YEAR));
    assert_eq!(jumps.sent(&call).await, "INSUFFICIENT_CREDITS");
    jumps.set(-2 * YEAR);
    let behind = jumps.rig.session_at(jumps.second(-2 * YEAR)).await;
    let code = jumps.sent(&jumps.call(&behind, jumps.second(-2 * YEAR))).await;
    assert!(["ALLOWED", "INSUFFICIENT_CREDITS"].contains(&code.as_str()), "{code}");
    assert!(jumps.rig.credits() <= 999);
}

/// Whoever has used up an hour's budget is told to the millisecond when there is room, and there is, then and not before.
#[tokio::test(flavor = "multi_thread")]
async fn an_hours_budget_says_when_the_next_one_passes() {
    let begins = now() * 1000;
    let time = Arc::new(AtomicU64::new(begins));
    let says = Arc::clone(&time);
    let clock = Clock::new(move || says.load(Ordering::Relaxed));
    let set =
        [("rate_agent", "100000"), ("budget_key_calls_per_hour", "2"), ("budget_key_bytes_per_hour", "9000")];
    let rig = Rig::with(Wish { set: &set, clock, ..Wish::default() }).await;
    let upstream = Raw::answering().await;
    let asked = json!({"url": upstream.url()});
    for after in [0, 700_000] {
        time.store(begins + after, Ordering::Relaxed);
        assert_eq!(rig.code(&asked).await, "200");
    }
    time.store(begins + 1_234_567, Ordering::Relaxed);
    let told = |reply: &Reply| {
        let whole: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &whole["code"]), (429, &json!("HOURLY_BUDGET_EXCEEDED")), "{whole}");
        assert_eq!(whole["remediation"]["parameters"]["retry_after_ms"], whole["retry_after_ms"]);
        let seconds = reply.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
        (whole["retry_after_ms"].as_u64(), seconds.map(|seconds| seconds.parse::<u64>().unwrap()))
    };
    let (wait, seconds) = told(&rig.net(&asked).await);
    let wait = wait.unwrap();
    assert_eq!(seconds, Some(wait.div_ceil(1000)));
    // The first counts for an hour, and for the fiftieth of it that it began in.
    let (hour, slot) = (3_600_000, 72_000);
    assert!((hour - 1_234_567..=hour - 1_234_567 + slot).contains(&wait), "{wait}");
    // The SDK's way says the same.
    let session = rig.session_at(time.load(Ordering::Relaxed) / 1000).await;
    let call = session.call(&upstream.url(), time.load(Ordering::Relaxed) / 1000, &json!({}));
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "sphyr_net", "arguments": call}});
    let reply = send(rig.address, "POST", "/mcp", "", &message.to_string()).await;
    assert!(reply.body.contains(&format!("retry_after_ms\\\":{wait}")), "{}", reply.body);
    assert!(reply.head.contains(&format!("retry-after: {}\r\n", wait.div_ceil(1000))), "{}", reply.head);
    let room = time.load(Ordering::Relaxed) + wait;
    time.store(room - 1, Ordering::Relaxed);
    assert_eq!(told(&rig.net(&asked).await), (Some(1), Some(1)));
    time.store(room, Ordering::Relaxed);
    assert_eq!(rig.code(&asked).await, "200");
    // Where so much never has room, waiting is no advice.
    let large = json!({"url": upstream.url(), "method": "POST", "body": "word ".repeat(1800)});
    assert_eq!(told(&rig.net(&large).await), (None, None));
}
