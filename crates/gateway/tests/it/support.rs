//! A gateway in front of an upstream that gives one canned answer to every request.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_core::Engine;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::session::Mode;
use doorward_core::syntax::Source;
use doorward_core::wire::Protocol;
use doorward_gateway::{
    Approvals, Clock, Gateway, OpinionSettings, Recorder, SecondOpinion, Server, Settings, Upstream,
    UpstreamSettings,
};
use doorward_ledger::{Durability, Log, SigningKey, View};
use doorward_store::{AgentName, Home, HomeLock, Options, Store};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A directory that goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("doorward-gateway-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running gateway.
pub struct Door {
    pub gateway: Arc<Gateway>,
    pub store: Store,
    pub address: std::net::SocketAddr,
    pub token: String,
    /// The requests the upstream got, as they came.
    pub asked: Arc<Mutex<Vec<String>>>,
    /// What it started with; no policy: the shipped one.
    judging: Judging,
    scratch: Scratch,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    lock: HomeLock,
}

/// How a gateway judges.
#[derive(Clone, Default)]
pub struct Judging {
    pub policy: Option<String>,
    pub approvals: Approvals,
    /// The engine, where it is not made of the policy: making one takes a quarter of a second.
    pub engine: Option<Arc<Engine>>,
    pub clock: Clock,
    /// Another judge, until it is there.
    pub opinion: Arc<Mutex<Option<OpinionSettings>>>,
}

impl Door {
    /// A gateway before an untrusted upstream that answers every request with these bytes.
    pub async fn before(protocol: Protocol, answer: Vec<u8>) -> Self {
        Self::start(protocol, answer, Mode::Block).await
    }

    pub async fn start(protocol: Protocol, answer: Vec<u8>, mode: Mode) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", upstream.local_addr().unwrap());
        tokio::spawn(answer_all(upstream, answer, Arc::clone(&asked)));
        Self { asked, ..Self::toward(Self::untrusted(protocol, base), mode).await }
    }

    /// An upstream that nobody trusts and that has no key.
    pub fn untrusted(protocol: Protocol, base: String) -> UpstreamSettings {
        UpstreamSettings {
            name: protocol.as_str().to_owned(),
            protocol,
            base,
            trusted: false,
            unknown_passes: false,
            key: None,
            key_header: None,
        }
    }

    /// A gateway before this upstream.
    pub async fn toward(upstream: UpstreamSettings, mode: Mode) -> Self {
        Self::served(upstream, mode, Settings::default()).await
    }

    /// The same with other settings of the listener.
    pub async fn served(upstream: UpstreamSettings, mode: Mode, settings: Settings) -> Self {
        Self::at_home(Scratch::new(), upstream, mode, settings, Judging::default()).await
    }

    /// A gateway that starts with this policy.
    pub async fn judging(policy: &str, upstream: UpstreamSettings) -> Self {
        Self::asking(policy, upstream, Approvals::default()).await
    }

    /// A gateway that starts with this policy and asks people in this way.
    pub async fn asking(policy: &str, upstream: UpstreamSettings, approvals: Approvals) -> Self {
        let judging = Judging { policy: Some(policy.to_owned()), approvals, ..Judging::default() };
        Self::at_home(Scratch::new(), upstream, Mode::Block, Settings::default(), judging).await
    }

    /// A gateway that asks this judge as well.
    pub async fn consulting(policy: &str, upstream: UpstreamSettings, opinion: OpinionSettings) -> Self {
        let (policy, opinion) = (Some(policy.to_owned()), Arc::new(Mutex::new(Some(opinion))));
        Self::with(Judging { policy, opinion, ..Judging::default() }, upstream, Mode::Block).await
    }

    /// Starts another one on a copy of this home as it is at this moment, which is what a killed process leaves.
    pub async fn crash(self, upstream: UpstreamSettings) -> Self {
        self.crash_in(upstream, Mode::Block).await
    }

    /// The same in another mode.
    pub async fn crash_in(self, upstream: UpstreamSettings, mode: Mode) -> Self {
        let copy = Scratch::new();
        copy_all(self.scratch.path(), copy.path());
        Self::at_home(copy, upstream, mode, Settings::default(), self.judging.clone()).await
    }

    /// A gateway that judges so.
    pub async fn with(judging: Judging, upstream: UpstreamSettings, mode: Mode) -> Self {
        Self::at_home(Scratch::new(), upstream, mode, Settings::default(), judging).await
    }

    /// Ends in order and starts again on the same home, before this upstream.
    pub async fn restart(self, upstream: UpstreamSettings, mode: Mode) -> Self {
        let Self { gateway, store, scratch, stop, serving, lock, judging, .. } = self;
        stop.send_replace(true);
        serving.await.unwrap();
        drop(gateway);
        store.close().await.unwrap();
        drop(lock);
        Self::at_home(scratch, upstream, mode, Settings::default(), judging).await
    }

    async fn at_home(
        scratch: Scratch,
        upstream: UpstreamSettings,
        mode: Mode,
        settings: Settings,
        judging: Judging,
    ) -> Self {
        let home = Home::open(scratch.path().join("home")).unwrap();
        let lock = home.lock().unwrap();
        let store = Store::open(&lock, Options::default()).unwrap();
        let token = store.agents().token(&AgentName::new("tester").unwrap()).unwrap().expose().to_owned();
        let log = open_log(&home).await;
        let around =
            Surroundings { doorward_home: home.root().display().to_string(), ..Surroundings::default() };
        let engine = match (&judging.engine, &judging.policy) {
            (Some(engine), _) => Arc::clone(engine),
            (None, None) => Arc::new(Engine::shipped(around).unwrap()),
            (None, Some(text)) => {
                let policy = Policy::compile(&[Source { name: "policy.yaml", text }]).unwrap();
                let rules = RuleSet::shipped().unwrap();
                Arc::new(Engine::new(rules.into(), policy.into(), around))
            }
        };
        let recorder = Recorder::start(log, store.clone(), "doorward/test").unwrap();
        let gateway = Gateway::new(engine, recorder, store.clone(), mode).with_approvals(judging.approvals);
        let gateway = gateway.with_clock(judging.clock.clone());
        let opinion = judging.opinion.lock().unwrap().take();
        let gateway = Arc::new(match opinion {
            Some(opinion) => gateway.with_second_opinion(SecondOpinion::new(opinion).unwrap()),
            None => gateway,
        });

        let upstream = Upstream::new(upstream);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(Arc::clone(&gateway), [upstream.unwrap()], settings, address);
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(server.serve(listener, stopped, Duration::from_secs(1)));
        let asked = Arc::default();
        Self { gateway, store, address, token, asked, judging, scratch, stop, serving, lock }
    }

    /// Sends a conversation with the tools `tools` and returns status, head and body of the reply.
    pub async fn ask(&self, protocol: Protocol, stream: bool, tools: &[&str]) -> Reply {
        let (path, body) = match protocol {
            Protocol::Anthropic => {
                let tools: Vec<Value> = tools
                    .iter()
                    .map(|name| json!({"name": name, "input_schema": {"type": "object"}}))
                    .collect();
                (
                    "anthropic/v1/messages",
                    json!({"model": "m", "max_tokens": 9, "stream": stream, "tools": tools,
                    "messages": [{"role": "user", "content": "please"}]}),
                )
            }
            Protocol::OpenAi => {
                let tools: Vec<Value> = tools
                    .iter()
                    .map(|name| json!({"type": "function", "function": {"name": name}}))
                    .collect();
                (
                    "openai/v1/chat/completions",
                    json!({"model": "m", "stream": stream, "tools": tools,
                    "messages": [{"role": "user", "content": "please"}]}),
                )
            }
            Protocol::Gemini => {
                let tools: Vec<Value> = tools.iter().map(|name| json!({"name": name})).collect();
                let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                return self
                    .send(
                        "POST",
                        &format!("/t/{}/gemini/v1beta/models/m:{verb}", self.token),
                        &json!({"contents": [{"role": "user", "parts": [{"text": "please"}]}],
                            "tools": [{"functionDeclarations": tools}]})
                        .to_string(),
                    )
                    .await;
            }
        };
        self.send("POST", &format!("/t/{}/{path}", self.token), &body.to_string()).await
    }

    /// Judges by this engine from now on, in this mode.
    pub fn judge_by(&self, engine: Engine, mode: Mode) {
        self.gateway.put_in_force(Arc::new(engine), mode);
    }

    /// The newest receipts, the newest last.
    pub fn receipts(&self) -> Vec<Value> {
        let mut latest = self.view().latest(16).unwrap();
        latest.sort_by_key(|(index, _)| *index);
        latest.iter().map(|(_, entry)| serde_json::from_slice(entry).unwrap()).collect()
    }

    fn view(&self) -> View {
        self.gateway.recorder().flush();
        let home = self.lock.home();
        let key = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        View::open(&home.log_dir(), key.public()).unwrap()
    }

    /// How many receipts there are.
    pub fn receipt_count(&self) -> u64 {
        self.view().size()
    }

    /// The receipts from this one on, the oldest first.
    pub fn receipts_since(&self, first: u64) -> Vec<Value> {
        let view = self.view();
        let entries = view.entries(first..view.size());
        entries.map(|entry| serde_json::from_slice(&entry.unwrap().1).unwrap()).collect()
    }

    /// Sends one request and reads the reply to its end.
    pub async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        send(self.address, method, target, "", body).await
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy_all(&path, &copy),
            false => drop(std::fs::copy(path, copy).unwrap()),
        }
    }
    // What is private must stay so, or it is not opened.
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
}

/// The log of this home; the thread that had it before may take a moment to end.
async fn open_log(home: &Home) -> Log {
    let begin = std::time::Instant::now();
    loop {
        let key = SigningKey::from_seed("doorward/test", home.ledger_seed().unwrap().expose()).unwrap();
        match Log::open(&home.log_dir(), key, Durability::Os) {
            Ok(log) => return log,
            Err(error) => assert!(begin.elapsed() < Duration::from_secs(5), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends one request, with these further header lines, and reads the reply to its end.
pub async fn send(
    address: std::net::SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Reply {
    send_from([127, 0, 0, 1], address, (method, target), headers, body).await
}

/// The same from another address of this machine.
pub async fn send_from(
    from: [u8; 4],
    address: std::net::SocketAddr,
    (method, target): (&str, &str),
    headers: &str,
    body: &str,
) -> Reply {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::IpAddr::from(from), 0).into()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Not everyone closes the connection because it was asked to.
    let read = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_whole(&bytes) && stream.read_buf(&mut bytes).await.unwrap() > 0 {}
    });
    read.await.expect("a reply in time");
    Reply::parse(&bytes)
}

pub async fn answer_all(listener: TcpListener, answer: Vec<u8>, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (answer, asked) = (answer.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !whole(&request) {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            asked.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            let _ = stream.write_all(&answer).await;
        });
    }
}

pub fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Whether a reply has come to the end that its head announces.
fn is_whole(reply: &[u8]) -> bool {
    let Some(end) = reply.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&reply[..end]).to_ascii_lowercase();
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    length.is_some_and(|length| reply.len() - end - 4 >= length) || reply.ends_with(b"\r\n0\r\n\r\n")
}

/// A reply as the client got it.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let body = &bytes[end + 4..];
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let head = head.to_ascii_lowercase();
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { dechunk(body) } else { body.to_vec() };
        Self { status, head, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// The JSON of each event.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(line) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&body[..line]).trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        let rest = &body[line + 2..];
        out.extend_from_slice(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or_default();
    }
    out
}

/// A reply that is an event stream.
pub fn sse(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An Anthropic event.
pub fn event(name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    format!("event: {name}\ndata: {data}\n\n")
}

pub fn message_start() -> String {
    event(
        "message_start",
        json!({"message": {"id": "m", "type": "message", "role": "assistant", "model": "x",
        "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    )
}

pub fn text(index: usize, text: &str) -> String {
    event("content_block_start", json!({"index": index, "content_block": {"type": "text", "text": ""}}))
        + &event(
            "content_block_delta",
            json!({"index": index, "delta": {"type": "text_delta", "text": text}}),
        )
        + &event("content_block_stop", json!({"index": index}))
}

/// A whole call whose arguments come as this text, in two fragments.
pub fn tool(index: usize, name: &str, arguments: &str) -> String {
    let middle = (0..=arguments.len() / 2).rev().find(|at| arguments.is_char_boundary(*at)).unwrap_or(0);
    let (first, second) = arguments.split_at(middle);
    let delta = |part: &str| {
        event(
            "content_block_delta",
            json!({"index": index, "delta": {"type": "input_json_delta", "partial_json": part}}),
        )
    };
    tool_start(index, name)
        + &delta(first)
        + &delta(second)
        + &event("content_block_stop", json!({"index": index}))
}

pub fn tool_start(index: usize, name: &str) -> String {
    let block = json!({"type": "tool_use", "id": format!("t{index}"), "name": name, "input": {}});
    event("content_block_start", json!({"index": index, "content_block": block}))
}

pub fn message_end() -> String {
    event(
        "message_delta",
        json!({"delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}),
    ) + &event("message_stop", json!({}))
}
