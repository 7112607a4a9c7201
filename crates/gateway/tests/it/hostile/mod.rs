//! The egress door between those who want to break it: upstreams that lie and dawdle, requests that two readers would
//! frame differently, names that lead where they should not, addresses in disguise, clocks that jump.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::wire::Protocol;
use doorward_core::wire::sphyr::sign;
use doorward_gateway::doors::egress::{self, Egress};
use doorward_gateway::upstream::{Addresses, Lookup, Reacher};
use doorward_gateway::{Clock, Server, Settings, accounts};
use doorward_store::AgentName;
use doorward_store::accounts::Key;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::egress::{Session, now};
use crate::support::{Door, Judging, Reply, send};

#[cfg(test)]
mod clocks;

#[cfg(test)]
mod names;

#[cfg(test)]
mod smuggled;

#[cfg(test)]
mod spellings;

#[cfg(test)]
mod upstreams;

/// One place inside is allowed by name; everything else has to be public.
const POLICY: &str = "default: allow\nrules: [{ name: never, deny: { host: never.example } }, \
                      { name: asks, ask: { host: asks.example } }]\n\
                      destinations: { allow: [up.example] }\n";

/// What a resolver says.
#[derive(Clone, Debug)]
enum Says {
    Addresses(Vec<IpAddr>),
    /// An error, as the system words one.
    Fails(&'static str),
    /// Nothing, ever.
    Nothing,
}

impl Says {
    fn these(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|ip| ip.parse().unwrap()).collect())
    }
}

/// The resolver under test: for each name what it says first, second, and from then on, for `*` what it says of all others. It
/// knows who asked for what.
#[derive(Debug, Default)]
struct Names {
    known: Mutex<HashMap<String, Vec<Says>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn says(&self, name: &str, answers: &[Says]) {
        self.known.lock().unwrap().insert(name.to_owned(), answers.to_vec());
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for Names {
    fn lookup<'a>(&'a self, name: &'a str) -> Addresses<'a> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut known = self.known.lock().unwrap();
        let own = if known.contains_key(name) { name } else { "*" };
        let says = known
            .get_mut(own)
            .map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() });
        Box::pin(async move {
            match says {
                Some(Says::Addresses(found)) => Ok(found),
                Some(Says::Fails(why)) => Err(io::Error::other(why)),
                Some(Says::Nothing) => std::future::pending().await,
                None => Ok(Vec::new()),
            }
        })
    }
}

/// How a door is set up.
struct Wish<'a> {
    set: &'a [(&'a str, &'a str)],
    policy: &'a str,
    settings: egress::Settings,
    clock: Clock,
    credits: u64,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            set: &[("rate_agent", "100000"), ("rate_key", "100000"), ("rate_ip", "100000")],
            policy: POLICY,
            settings: egress::Settings::default(),
            clock: Clock::default(),
            credits: 1000,
        }
    }
}

/// A door with a key, and names of our own.
struct Rig {
    door: Door,
    address: SocketAddr,
    names: Arc<Names>,
    key: Arc<Key>,
    next: AtomicU64,
    _stop: watch::Sender<bool>,
}

impl Rig {
    async fn new() -> Self {
        Self::with(Wish::default()).await
    }

    async fn with(wish: Wish<'_>) -> Self {
        let upstream = Door::untrusted(Protocol::Anthropic, "http://127.0.0.1:9".into());
        let judging =
            Judging { policy: Some(wish.policy.to_owned()), clock: wish.clock.clone(), ..Judging::default() };
        let door = Door::with(judging, upstream, doorward_core::session::Mode::Block).await;
        let names = Arc::new(Names::default());
        names.says("up.example", &[Says::these(&["127.0.0.1"])]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reacher = Reacher::new(Arc::clone(&names) as Arc<dyn Lookup>, &[address, door.address]).unwrap();
        let mut own = doorward_store::accounts::Settings::default();
        wish.set.iter().for_each(|(name, value)| own.set(name, value).unwrap());
        let key = Key::new(AgentName::new("tester").unwrap(), own, now() * 1000).unwrap();
        let key = door.store.add_key(key).await.unwrap();
        if wish.credits > 0 {
            let recorder = door.gateway.recorder();
            let lot = (wish.credits, 12);
            accounts::grant(recorder, &door.store, &key.id, lot, "test", now() * 1000).await.unwrap();
        }
        let egress = Egress::new(Arc::clone(&door.gateway), reacher, wish.settings);
        let server =
            Server::new(Arc::clone(&door.gateway), [], Settings::default(), address).with_egress(egress);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(server.serve(listener, stopped, Duration::from_secs(1)));
        Self { door, address, names, key, next: AtomicU64::new(1), _stop: stop }
    }

    /// The header line that shows the key's credential.
    fn credential(&self) -> String {
        format!("authorization: Bearer {}\r\n", *self.key.credential())
    }

    /// Sends one request with the key's credential.
    async fn net(&self, asked: &Value) -> Reply {
        send(self.address, "POST", "/v1/net", &self.credential(), &asked.to_string()).await
    }

    /// The code it was refused with, or the status that was answered.
    async fn code(&self, asked: &Value) -> String {
        let reply = self.net(asked).await;
        let whole: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        whole["code"].as_str().map_or_else(|| reply.status.to_string(), str::to_owned)
    }

    /// What a tool answers.
    async fn tool(&self, name: &str, arguments: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                             "params": {"name": name, "arguments": arguments}});
        let reply = send(self.address, "POST", "/mcp", "", &message.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let whole: Value = serde_json::from_str(&reply.body).unwrap();
        serde_json::from_str(whole["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    /// The signed wish for a session, made at this second.
    fn wish(&self, second: u64) -> Value {
        let (ts, key) = (second.to_string(), &*self.key.id);
        let nonce = format!("n-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let secret = self.key.secrets(0).next().unwrap();
        let sig = sign::sign(secret.as_bytes(), &sign::handshake(key, "a-1", &ts, &nonce));
        json!({"key_id": key, "agent_id": "a-1", "ts": ts, "client_nonce": nonce, "sig": sig})
    }

    async fn session(&self) -> Session {
        self.session_at(now()).await
    }

    async fn session_at(&self, second: u64) -> Session {
        let opened = self.tool("audit_sess", self.wish(second)).await;
        let text = |name: &str| opened[name].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned();
        let secret = self.key.secrets(0).next().unwrap().to_owned();
        Session { token: text("sess_token"), nonce: text("nonce"), secret }
    }

    fn credits(&self) -> u64 {
        self.door.store.accounts().remaining(&self.key.id, now() * 1000).credits
    }
}

/// What a raw upstream does with each connection, one step after the other.
#[derive(Clone, Debug)]
enum Act {
    /// Reads until a whole request has come.
    Hear,
    Say(Vec<u8>),
    /// Says this again and again, until nobody listens.
    Repeat(Vec<u8>, Duration),
    Wait(Duration),
    /// Breaks the connection off, so that the other side is told.
    Reset,
    /// Says nothing more, and reads until the other side closes.
    Linger,
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// An upstream of sockets and nothing else.
struct Raw {
    port: u16,
    /// Everything that each connection has sent.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Raw {
    async fn acting(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let at = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                tokio::spawn(act(stream, acts.clone(), Arc::clone(&all), at));
            }
        });
        Self { port, heard }
    }

    /// One that answers one request on each connection, as it says, and listens on to what else comes.
    async fn answering() -> Self {
        let answer = say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        Self::acting(vec![Act::Hear, answer, Act::Linger]).await
    }

    fn url(&self) -> String {
        format!("http://up.example:{}/", self.port)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

async fn act(mut stream: TcpStream, acts: Vec<Act>, heard: Arc<Mutex<Vec<Vec<u8>>>>, at: usize) {
    let mut space = vec![0; 64 * 1024];
    for step in acts {
        match step {
            Act::Hear => {
                while !whole(&heard.lock().unwrap()[at]) {
                    match stream.read(&mut space).await {
                        Ok(0) | Err(_) => return,
                        Ok(read) => heard.lock().unwrap()[at].extend_from_slice(&space[..read]),
                    }
                }
            }
            Act::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Repeat(bytes, pause) => {
                while stream.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
                return;
            }
            Act::Wait(time) => tokio::time::sleep(time).await,
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::Linger => {
                while let Ok(read) = stream.read(&mut space).await {
                    if read == 0 {
                        return;
                    }
                    heard.lock().unwrap()[at].extend_from_slice(&space[..read]);
                }
                return;
            }
        }
    }
}

/// Whether a whole request has come: its head, and as much as that announces.
fn whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    request.len() - end - 4 >= length.unwrap_or(0)
}

/// Everything that comes back on a connection of one's own, up to its end or to silence.
async fn answered(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Whoever refuses may close while the rest is still being written.
    let _ = stream.write_all(request).await;
    let mut bytes = Vec::new();
    let reading = async { while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(20), reading).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
