//! A process that is killed while 64 callers use up the last credits, through its door and over HTTP.
//!
//! The callers, and the site they call, are in the process that kills: they know what was answered, whatever the other one came to
//! write down. Of each round it must hold that what was spent is at least what was answered, and at most that and what nobody knows
//! the end of; our own audit says the same of every lot.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use doorward_store::fill_random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::doors::egress::{self, Egress};
use crate::upstream::{Addresses, Lookup, Reacher};
use crate::{Server, Settings as ServerSettings};

/// Names the home of a process that is to be killed.
const CHILD: &str = "DOORWARD_TEST_CREDITS";
const CALLERS: usize = 64;
/// How many rounds there are, if somebody says so (`cargo xtask test --rounds`); otherwise as many as fit into this time, and
/// these at least.
const ROUNDS: &str = "DOORWARD_TEST_ROUNDS";
const PATIENCE: Duration = Duration::from_secs(30);
const FEWEST: u32 = 20;
const USUAL: u32 = 100;
/// How many credits there are at a time: fewer than callers.
const LOT: u64 = 60;

/// There is one name, and it leads to the site of the test.
#[derive(Debug)]
struct OneName;

impl Lookup for OneName {
    fn lookup<'a>(&'a self, name: &'a str) -> Addresses<'a> {
        let found: Vec<IpAddr> =
            if name == "up.example" { vec!["127.0.0.1".parse().unwrap()] } else { Vec::new() };
        Box::pin(async move { Ok(found) })
    }
}

/// Runs in a process of its own: the egress door, until somebody kills it.
#[test]
#[ignore = "the other test starts it"]
fn one_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let scene = Scene::at(Path::new(&path));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reacher = Reacher::new(Arc::new(OneName), &[address]).unwrap();
        let settings = egress::Settings { ip_rate: 100_000, ..egress::Settings::default() };
        let egress = Egress::new(Arc::clone(&scene.gateway), reacher, settings);
        let server = Server::new(Arc::clone(&scene.gateway), [], ServerSettings::default(), address);
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(server.with_egress(egress).serve(listener, stopped, Duration::from_secs(1)));
        println!("ready {address}");
        // Beside all that, the ledger is told what credits there are.
        loop {
            scene.snapshot().await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
}

/// Starts it; where its door is.
fn start(path: &Path) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "budgets::credits::tests::killed::one_that_is_killed";
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env(CHILD, path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once("ready ")?;
        address.trim().parse().ok()
    });
    (child, ready.unwrap())
}

/// A site that answers each request, but for those that it hangs up on.
async fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut heard, mut space) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut space).await {
                    heard.extend_from_slice(&space[..read]);
                    while let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
                        if heard.starts_with(b"GET /hangs-up") {
                            return;
                        }
                        heard.drain(..end + 4);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// What callers know of a round.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Answers of the site, each of which costs a credit.
    answered: u64,
    /// Requests whose end nobody heard of.
    unknown: u64,
}

/// Calls again and again, until there is nobody.
async fn calls(door: SocketAddr, site: SocketAddr, credential: Arc<str>, caller: usize) -> Known {
    let mut known = Known::default();
    for call in 0.. {
        let path = if (caller + call) % 5 == 4 { "hangs-up" } else { "" };
        let asked = format!("{{\"url\":\"http://up.example:{}/{path}\"}}", site.port());
        let agent = caller % 8;
        let request = format!(
            "POST /v1/net HTTP/1.1\r\nhost: {door}\r\nauthorization: Bearer {credential}\r\ndoorward-agent: a-{agent}\r\n\
             content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{asked}",
            asked.len()
        );
        let Ok(mut stream) = TcpStream::connect(door).await else { break };
        if stream.write_all(request.as_bytes()).await.is_err() {
            known.unknown += 1;
            break;
        }
        // Some do not wait.
        if (caller + call) % 17 == 16 {
            known.unknown += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let mut reply = Vec::new();
        while !reply.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read_buf(&mut reply).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        match std::str::from_utf8(&reply).unwrap_or_default().split(' ').nth(1) {
            Some("200") => known.answered += 1,
            // No credits, the site hung up, or too many were on their way.
            Some("402" | "502" | "429") => {}
            Some(other) => panic!("{other}: {}", String::from_utf8_lossy(&reply)),
            None => known.unknown += 1,
        }
    }
    known
}

#[test]
fn exact_whenever_it_is_killed() {
    let path = std::env::temp_dir().join(format!("doorward-credits-{}-killed", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let site = runtime.block_on(site());
    let (key, credential) = runtime.block_on(async {
        let scene = Scene::at(&path);
        let key = scene.key(0).await;
        let rates = ["rate_agent", "rate_key", "rate_ip"];
        let set = |mut key: Key| {
            rates.iter().for_each(|name| key.settings.set(name, "100000").unwrap());
            Ok(key)
        };
        let whole = scene.store.change_key(&key, set).await.unwrap();
        (key, Arc::<str>::from(whole.credential().as_str()))
    });
    let began = Instant::now();
    let wanted: Option<u32> = std::env::var(ROUNDS).ok().map(|rounds| rounds.parse().expect(ROUNDS));
    let fewest = wanted.unwrap_or(FEWEST);
    let (mut granted, mut spent, mut all, mut cut, mut rounds) = (0, 0, Known::default(), 0, 0);
    while rounds < fewest || rounds < wanted.unwrap_or(USUAL) && began.elapsed() < PATIENCE {
        let scene = Scene::at(&path);
        let left = scene.left(&key);
        if left < 2 {
            runtime.block_on(scene.grant(&key, LOT, 12));
            granted += LOT;
        }
        runtime.block_on(scene.store.clone().close()).unwrap();
        drop(scene);
        let (mut child, door) = start(&path);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn_on(calls(door, site, Arc::clone(&credential), caller), runtime.handle());
        }
        let mut random = [0; 2];
        fill_random(&mut random).unwrap();
        // Up to half a second.
        std::thread::sleep(Duration::from_micros(8 * u64::from(u16::from_be_bytes(random))));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut known = Known::default();
        for of_caller in runtime.block_on(callers.join_all()) {
            known.answered += of_caller.answered;
            known.unknown += of_caller.unknown;
        }
        let scene = Scene::at(&path);
        assert_eq!(scene.audit(), [], "round {rounds}");
        let left = scene.left(&key);
        assert!(left <= granted, "round {rounds}: {left} of {granted}: credits came from nowhere");
        let now = granted - left;
        assert!(now >= spent, "round {rounds}: what was spent does not come back");
        let of_round = now - spent;
        assert!(of_round >= known.answered, "round {rounds}: {of_round} spent: {known:?}");
        assert!(of_round <= known.answered + known.unknown, "round {rounds}: {of_round} spent: {known:?}");
        (spent, cut, rounds) = (now, cut + u32::from(left > 0), rounds + 1);
        (all.answered, all.unknown) = (all.answered + known.answered, all.unknown + known.unknown);
    }
    println!(
        "{cut} of {rounds} were killed while there were credits; of {granted} granted {spent} are spent, {} were answered, of {} \
         requests nobody knows the end",
        all.answered, all.unknown
    );
    assert!(cut > 0, "some are killed in the middle");
    assert!(all.answered > 0, "and something is answered");
    std::fs::remove_dir_all(&path).unwrap();
}
