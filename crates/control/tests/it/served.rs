//! A listener that is served, a desk that notes what it was asked, and a client that sends bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use doorward_control::{
    Act, Approver, Artefacts, Desk, Fault, FaultKind, HeldWish, SessionAct, SessionStatus, SessionWish,
    Sessions, Settings, Settlement, Status, TaintFound, TaintStep, TaintWish, TaintedArtefact, serve,
};
use doorward_core::session::{Said, Terms};
use doorward_store::{AgentName, KillSet, Scope, SessionName, SessionRecord, Stop, Token, TokenKind};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub const TIMEOUT: Duration = Duration::from_secs(1);

/// A desk of paper.
#[derive(Default)]
pub struct Paper {
    pub acts: Mutex<Vec<(&'static str, Act)>>,
    pub settled: Mutex<Vec<(String, Settlement, String, String)>>,
    pub trouble: Mutex<Option<Fault>>,
    /// How long an act takes.
    pub delay: Duration,
}

impl Paper {
    async fn note(&self, verb: &'static str, act: Act) -> Result<Arc<KillSet>, Fault> {
        tokio::time::sleep(self.delay).await;
        let mut set = KillSet { revision: 7, ..KillSet::default() };
        let stop = Stop { by: act.approver.as_str().into(), reason: act.reason.clone(), since: 3 };
        match (verb, &act.scope) {
            ("kill", Scope::All) => set.acts.all = Some(stop),
            ("kill", Scope::Agent(agent)) => drop(set.acts.agents.insert(agent.clone(), stop)),
            ("kill", Scope::Session(session)) => drop(set.acts.sessions.insert(session.clone(), stop)),
            _ => {}
        }
        self.acts.lock().unwrap().push((verb, act));
        Ok(Arc::new(set))
    }
}

impl Desk for Paper {
    fn ready(&self) -> Result<(), Fault> {
        self.trouble.lock().unwrap().clone().map_or(Ok(()), Err)
    }
    async fn kill(&self, act: Act) -> Result<Arc<KillSet>, Fault> {
        self.note("kill", act).await
    }
    async fn resume(&self, act: Act) -> Result<Arc<KillSet>, Fault> {
        self.note("resume", act).await
    }
    async fn status(&self) -> Result<Status, Fault> {
        let (version, mode, agents) = ("0.1.0".into(), "block".into(), vec!["alice".into()]);
        let policy = doorward_control::FilesStatus::default();
        let rules = policy.clone();
        Ok(Status {
            version,
            mode,
            policy,
            rules,
            classifier: Some(doorward_control::ClassifierStatus { file: "m.onnx".into(), loaded: false }),
            started: 11,
            receipts: 2,
            agents,
            kill: Arc::default(),
            alerts: Vec::new(),
            webhooks: doorward_control::WebhooksStatus::default(),
        })
    }
    async fn receipts(&self, limit: usize, before: Option<String>) -> Result<Vec<Bytes>, Fault> {
        let asked = format!(r#"{{"limit":{limit},"before":{:?}}}"#, before.unwrap_or_default());
        Ok(vec![Bytes::from(asked), Bytes::from_static(b"{\"id\":\"r1\"}")])
    }
    async fn sessions(&self) -> Result<Sessions, Fault> {
        Ok(Sessions { sessions: vec![session("alice/x")], dropped: 4 })
    }
    async fn session(&self, act: SessionAct) -> Result<SessionStatus, Fault> {
        let mut status = session(act.name.as_str());
        if let SessionWish::Mode(mode) = act.wish {
            status.record.terms.mode = mode;
        }
        Ok(status)
    }
    async fn artefacts(&self, agent: Option<AgentName>, limit: usize) -> Result<Artefacts, Fault> {
        let artefacts = vec![artefact(&agent.map_or_else(String::new, |agent| agent.to_string()))];
        Ok(Artefacts { artefacts, known: limit as u64, dropped: 1 })
    }
    async fn taint(&self, wish: TaintWish, approver: Approver) -> Result<TaintFound, Fault> {
        let host = wish.clear.then(|| artefact(approver.as_str()));
        Ok(TaintFound { artefacts: vec![artefact(&wish.artefact)], host, cleared: wish.clear })
    }
    async fn quarantine(&self) -> Result<Bytes, Fault> {
        Ok(Bytes::from_static(b"{\"items\":[]}"))
    }
    async fn held(&self, id: String) -> Result<Bytes, Fault> {
        Ok(Bytes::from(format!(r#"{{"item":"{id}"}}"#)))
    }
    async fn settle_held(&self, wish: HeldWish, approver: Approver) -> Result<Bytes, Fault> {
        Ok(Bytes::from(format!(
            r#"{{"wish":"{}","by":"{}"}}"#,
            matches!(wish, HeldWish::Purge { .. }),
            approver.as_str()
        )))
    }
    async fn keys(&self) -> Result<Bytes, Fault> {
        Ok(Bytes::from_static(b"{\"keys\":[]}"))
    }
    async fn upkeep(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        self.key(wish, approver).await
    }

    async fn key(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        let by = approver.as_str();
        Ok(Bytes::from(format!(r#"{{"wish":{},"by":"{by}"}}"#, String::from_utf8_lossy(&wish))))
    }
    async fn webhooks(&self) -> Result<Bytes, Fault> {
        Ok(Bytes::from_static(b"{\"webhooks\":[]}"))
    }
    async fn webhook(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        let by = approver.as_str();
        Ok(Bytes::from(format!(r#"{{"wish":{},"by":"{by}"}}"#, String::from_utf8_lossy(&wish))))
    }
    async fn receipt(&self, id: String) -> Result<Option<Bytes>, Fault> {
        Ok((id == "r1").then(|| Bytes::from_static(b"{\"id\":\"r1\"}")))
    }
    async fn approvals(&self, watch: Option<(u64, Duration)>) -> Result<Bytes, Fault> {
        Ok(Bytes::from(format!(r#"{{"watch":"{watch:?}"}}"#)))
    }
    async fn approval(&self, id: String) -> Result<Option<Bytes>, Fault> {
        Ok((id == "r1").then(|| Bytes::from_static(b"{\"id\":\"r1\"}")))
    }
    async fn settle(
        &self,
        id: String,
        settlement: Settlement,
        reason: String,
        approver: Approver,
    ) -> Result<Bytes, Fault> {
        tokio::time::sleep(self.delay).await;
        self.settled.lock().unwrap().push((id, settlement, reason, approver.as_str().to_owned()));
        Ok(Bytes::from_static(b"{\"done\":true}"))
    }
}

fn artefact(place: &str) -> TaintedArtefact {
    let (by, place) = ("WebFetch".into(), place.to_owned());
    let step = TaintStep { kind: "url", source: "web", by, place, first: 1, last: 2, agents: 1 };
    TaintedArtefact { id: "00000000000000ff".into(), steps: vec![step] }
}

fn session(name: &str) -> SessionStatus {
    let name = SessionName::new(name).unwrap();
    let (task, said, terms) = ("t".into(), Said::Client, Terms::default());
    let record = SessionRecord { id: 1, name, task, said, began: 1, used: 2, terms };
    SessionStatus { record, actions: (3, 2, 1), stopped: None }
}

pub fn no_ledger() -> Fault {
    Fault {
        kind: FaultKind::Unavailable,
        code: "ledger_unavailable",
        message: "the ledger cannot append".into(),
        advice: "free some disk space".into(),
    }
}

pub struct Served {
    pub address: SocketAddr,
    pub desk: Arc<Paper>,
    pub token: Token,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub async fn served() -> Served {
    served_with(Paper::default(), true).await
}

pub async fn served_with(desk: Paper, authenticated: bool) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (desk, token) = (Arc::new(desk), Token::random(TokenKind::Operator).unwrap());
    let approver = Approver { principal: "operator-token".into(), authenticated };
    let hosts = vec!["door.example".into()];
    let settings = Settings { operator: token.clone(), approver, hosts, timeout: TIMEOUT };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, Arc::clone(&desk), settings, shutdown));
    Served { address, desk, token, stop: Some(stop), task }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Served {
    pub fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token.expose())
    }

    pub fn host(&self) -> String {
        format!("Host: {}\r\n", self.address)
    }

    /// Sends bytes as they are and reads until the other side closes.
    pub async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        read(&mut stream).await
    }

    /// A request with our own `Host` and the given further header lines.
    pub async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = self.host();
        self.raw(format!("{method} {path} HTTP/1.1\r\n{host}{length}{headers}\r\n{body}").as_bytes()).await
    }

    /// A request of the operator.
    pub async fn operator(&self, method: &str, path: &str, body: &str) -> Reply {
        let headers = format!("{}Content-Type: application/json\r\n", self.bearer());
        self.send(method, path, &headers, body).await
    }
}

pub async fn read(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the connection stays open");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Reply { status, head: head.into(), body: body.into() }
}
