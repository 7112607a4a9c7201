//! A reply on its way to the client: the stream machine between two sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::action::{ActionKind, PartKind, ToolUse};
use doorward_core::session::Mode;
use doorward_core::stream::{Framing, Input, Machine, Observation, Origin, Outcome, Output, Ruling};
use doorward_core::wire::Fault;
use doorward_core::{Action, Coverage, Door, Source};
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::MissedTickBehavior;

use crate::answer::{Answer, Body, RECEIPT};
use crate::encoding::{Broke, Decoding};
use crate::forward::{Begun, ClientGone, Patience, Reply};
use crate::hold::Waits;
use crate::judge::Gateway;
use crate::kept::{RequestKey, Tape};
use crate::record::{Closing, Nothing, StreamPermit};
use crate::replies::Remembering;
use crate::turns::LARGE;
use crate::upstream::UpstreamBody;

/// How often the machine is told the time.
const TICK: Duration = Duration::from_secs(5);

/// A reply that is read and judged.
pub struct Relay {
    pub gateway: Arc<Gateway>,
    pub agent: Arc<str>,
    pub session: Arc<str>,
    pub machine: Machine,
    pub framing: Framing,
    /// How long the upstream and the client are waited for.
    pub patience: Patience,
    /// What later requests may need of this reply.
    pub remembering: Option<Remembering>,
    /// Where it is kept if its client gives up while a person is asked.
    pub keeping: Option<Keeping>,
}

/// Where a reply is kept.
pub struct Keeping {
    /// What its request is known by.
    pub key: RequestKey,
    /// What has come of it.
    pub tape: Arc<Tape>,
}

/// What has come of a step.
enum Flow {
    On,
    Killed,
    Ended(Ending),
}

/// Why nothing more is written.
enum Halt {
    ClientGone,
    Killed,
}

struct Ending {
    result: &'static str,
    outcome: Outcome,
}

impl Relay {
    /// Starts relaying and returns the client's reply once it is known that there is one: a fault before
    /// byte one is a 502, not a broken stream.
    ///
    /// With a `copy`, the client gets the body as it comes and the copy is what is read.
    pub async fn start(
        self,
        permit: StreamPermit,
        head: Parts,
        body: Decoding<UpstreamBody>,
        copy: Option<Box<Copy>>,
    ) -> Result<Response<Body>, Answer> {
        let receipt = Arc::clone(permit.receipt());
        let (reply, client) = Reply::new(permit);
        let status = head.status.as_u16();
        let started = Instant::now();
        let run = Run {
            relay: self,
            reply,
            body: Some(body),
            aside: Aside::default(),
            client: Client::There,
            begun: false,
            gathered: Vec::new(),
            id: None,
            copy,
            started,
            heard: started,
            status,
        };
        let mut client = client.of(run.run_out());
        match client.begun().await {
            Begun::Streaming | Begun::Whole(_) => {
                Ok(respond(head, Body::Relayed(Box::new(client)), &receipt))
            }
            Begun::Instead(answer) => Err(answer.under(&*receipt)),
        }
    }
}

mod copy;
pub use copy::Copy;

mod asked;
use asked::{Aside, Client, next};

mod again;
pub use again::again;

/// The running relay. It outlives the client, so that the end is recorded.
struct Run {
    relay: Relay,
    reply: Reply,
    /// `None` once nothing more is read.
    body: Option<Decoding<UpstreamBody>>,
    /// What came while a person was asked.
    aside: Aside,
    client: Client,
    /// Whether the door knows how the reply begins.
    begun: bool,
    /// A JSON reply is sent whole, with its length.
    gathered: Vec<Bytes>,
    /// The reply's id, if later requests may go on from it.
    id: Option<String>,
    copy: Option<Box<Copy>>,
    started: Instant,
    /// When the upstream last said something, or was not listened to.
    heard: Instant,
    status: u16,
}

impl Run {
    async fn run_out(mut self) {
        let ending = self.run().await;
        // The upstream's connection closes here unless its reply was read to the end.
        drop(self.body.take());
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answer(&ending);
        let gateway = Arc::clone(&self.relay.gateway);
        self.keep_left();
        let bytes = self.reply.sent();
        let Ending { mut result, outcome } = ending;
        self.end_tape(&mut result, &outcome);
        if self.relay.framing != Framing::Events && outcome.fault.is_some() {
            // Lines have no way to say that they are not all, nor has JSON that was kept alive: the client must not take
            // them for the whole. (Where it has not begun, it gets an error in its place.)
            self.reply.cut(None);
        }
        let permit = self.reply.finish().await;
        gateway
            .recorder()
            .close(permit, Closing { result, outcome, status: self.status, bytes, millis })
            .await;
    }

    /// Keeps what the reply's calls leave, for requests that go on from it without repeating them.
    fn keep_left(&self) {
        let Some(remembering) = &self.relay.remembering else { return };
        let (agent, upstream) = remembering.memory.whose();
        for id in self.id.as_deref().into_iter().chain(remembering.conversation.as_deref()) {
            let left = self.relay.machine.left().clone();
            self.relay.gateway.conversations().keep(agent, upstream, id, left);
        }
    }

    /// Answers the door if it still waits.
    fn answer(&mut self, ending: &Ending) {
        if self.begun {
            return;
        }
        let begun = match &ending.outcome.fault {
            None if !self.gathers() => Begun::Streaming,
            None => {
                let whole = Bytes::from(std::mem::take(&mut self.gathered).concat());
                let length = whole.len() as u64;
                self.record(&whole);
                // Nothing else waits, so there is room.
                if self.reply.offer(whole).is_err() {
                    let _ = self.go_on_alone();
                }
                Begun::Whole(length)
            }
            Some(_) if ending.result == "revoked" => Begun::Instead(stopped()),
            Some(fault) => {
                let why = format!("the upstream's reply was refused: {fault}");
                Begun::Instead(Answer::upstream(fault.code, why))
            }
        };
        self.reply.begin(begun);
    }

    /// Whether the reply is sent whole, with its length. Not in monitor mode, where it may be longer than
    /// what we read. As it was when the reply was opened: it cannot change its shape in the middle.
    fn gathers(&self) -> bool {
        self.relay.framing == Framing::Json && self.reply.permit().mode() == Mode::Block
    }

    async fn run(&mut self) -> Ending {
        let patience = self.relay.patience;
        let mut tick = tokio::time::interval(TICK.min(patience.idle));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.heard = Instant::now();
        // From now on it knows how long its client has heard nothing.
        self.relay.machine.step(Input::Tick(1), &mut Vec::new());
        let mut revocation = self.reply.permit().revocation();
        loop {
            let flow = tokio::select! {
                biased;
                () = revocation.moved() => if self.killed() { Flow::Killed } else { Flow::On },
                () = self.reply.client_gone(), if self.client != Client::Gone => match self.go_on_alone() {
                    Ok(()) => Flow::On,
                    Err(_) => Flow::Ended(self.gone()),
                },
                piece = next(&mut self.aside, &mut self.body) => {
                    self.heard = Instant::now();
                    match piece {
                        piece if self.copy.is_some() => Box::pin(self.copied(piece)).await,
                        Some(Ok(bytes)) => self.step(Input::Bytes(&bytes)).await,
                        Some(Err(Broke::Aborted)) => self.step(Input::Aborted).await,
                        Some(Err(Broke::Fault(fault))) => self.step(Input::Revoked(fault)).await,
                        None => self.step(Input::End).await,
                    }
                }
                _ = tick.tick() => {
                    if self.heard.elapsed() > patience.idle {
                        self.step(Input::Revoked(silent(patience))).await
                    } else if self.started.elapsed() > patience.total {
                        self.step(Input::Revoked(endless(patience))).await
                    } else {
                        self.step(Input::Tick(millis(self.started))).await
                    }
                }
            };
            match flow {
                Flow::On => {}
                Flow::Killed => return self.cut_off(),
                Flow::Ended(ending) => return ending,
            }
        }
    }

    fn killed(&self) -> bool {
        self.relay.gateway.store().signals().is_killed(&self.relay.session)
    }

    /// Ends the reply at once, as its protocol ends, whether or not the client reads.
    fn cut_off(&mut self) -> Ending {
        let mut outputs = Vec::new();
        self.relay.machine.step(Input::Revoked(Fault::new("kill", STOPPED)), &mut outputs);
        let mut outcome = Outcome::default();
        let mut last = Vec::new();
        for output in outputs {
            match output {
                Output::Send(bytes) => last.extend_from_slice(&bytes),
                Output::Finish(ended) => outcome = ended,
                Output::Saw(_) | Output::Judge(..) | Output::KeepAlive(_) | Output::Cancel => {}
            }
        }
        // Behind coded bytes plain ones say nothing.
        let readable = |last: &Bytes| !last.is_empty() && self.copy.is_none();
        self.reply.cut(Some(last.into()).filter(readable));
        Ending { result: "revoked", outcome }
    }

    /// Ends a reply that nobody reads any more. The outcome says what had been looked at and what went on until
    /// then: a client may close its connection as soon as it has the last event.
    fn gone(&mut self) -> Ending {
        let mut outputs = Vec::new();
        let fault = Fault::new("client.gone", "the client closed its connection");
        self.relay.machine.step(Input::Revoked(fault), &mut outputs);
        let finished = outputs.into_iter().find_map(|output| match output {
            Output::Finish(outcome) => Some(outcome),
            _ => None,
        });
        Ending { result: "client_gone", outcome: finished.unwrap_or_default() }
    }

    /// One step of the machine, and everything that follows from it.
    async fn step(&mut self, input: Input<'_>) -> Flow {
        let mut outputs = Vec::new();
        // Reading a large call takes long enough that other connections would notice.
        if self.relay.machine.waiting() > LARGE {
            tokio::task::block_in_place(|| self.relay.machine.step(input, &mut outputs));
        } else {
            self.relay.machine.step(input, &mut outputs);
        }
        let mut at = 0;
        while let Some(output) = outputs.get_mut(at).map(|output| std::mem::replace(output, Output::Cancel)) {
            at += 1;
            match output {
                Output::Send(bytes) | Output::KeepAlive(bytes) => match self.send(bytes).await {
                    Ok(()) => {}
                    Err(Halt::ClientGone) => return Flow::Ended(self.gone()),
                    Err(Halt::Killed) => return Flow::Killed,
                },
                Output::Saw(observation) => self.saw(observation).await,
                Output::Judge(call, action, held) => {
                    let origin = held.origin().cloned();
                    let ruling = match self.rule(*action, held).await {
                        Ok(ruling) => ruling,
                        Err(Halt::Killed) => return Flow::Killed,
                        Err(Halt::ClientGone) => return Flow::Ended(self.gone()),
                    };
                    self.remember(origin, &ruling);
                    self.relay.machine.step(Input::Ruled(call, ruling), &mut outputs);
                }
                // Returning drops the upstream's body, which closes its connection.
                Output::Cancel => {}
                Output::Finish(outcome) => {
                    let result = match outcome.fault.as_ref().map(|fault| fault.code) {
                        None => "completed",
                        Some("upstream.aborted") => "aborted",
                        Some(_) => "refused",
                    };
                    return Flow::Ended(Ending { result, outcome });
                }
            }
        }
        Flow::On
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Halt> {
        if self.copy.is_some() {
            // The client gets what came, once all of it is judged.
            return Ok(());
        }
        // Unless it has begun, because a client had to be kept waiting.
        if self.gathers() && !self.begun {
            self.gathered.push(bytes);
            return Ok(());
        }
        self.write(bytes).await
    }

    fn begin_streaming(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.reply.begin(Begun::Streaming);
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Halt> {
        self.begin_streaming();
        self.record(&bytes);
        if self.client == Client::Gone {
            return if self.relay.keeping.is_some() { Ok(()) } else { Err(Halt::ClientGone) };
        }
        let bytes = match self.reply.offer(bytes) {
            Ok(None) => {
                self.client = Client::There;
                return Ok(());
            }
            Ok(Some(bytes)) => bytes,
            Err(ClientGone) => return self.go_on_alone(),
        };
        let Patience { idle, total } = self.relay.patience;
        let patience = idle.min(total.saturating_sub(self.started.elapsed()));
        // A client that does not read must not keep a killed stream waiting.
        let (session, gateway) = (Arc::clone(&self.relay.session), Arc::clone(&self.relay.gateway));
        tokio::select! {
            biased;
            () = killed(&gateway, &session) => Err(Halt::Killed),
            sent = self.reply.send(bytes) => sent.map_err(|ClientGone| Halt::ClientGone),
            () = tokio::time::sleep(patience) => Err(Halt::ClientGone),
        }
    }

    /// Keeps a call that was blocked: a later request may have to repeat it. A notice without a receipt could
    /// stand for several calls.
    fn remember(&self, origin: Option<Origin>, ruling: &Ruling) {
        if let (Some(remembering), Some(origin), Ruling::Replace(notice)) =
            (&self.relay.remembering, origin, ruling)
            && notice.contains("(receipt ")
        {
            let conversation = remembering.conversation.clone();
            remembering.memory.blocked(origin, conversation, notice.clone());
        }
    }

    /// What needs no ruling is recorded.
    async fn saw(&mut self, observation: Observation) {
        let gateway = &self.relay.gateway;
        match observation {
            Observation::Text(text) => {
                let in_force = gateway.in_force();
                let text: Arc<str> = text.into();
                let reasons = gateway.noted(&in_force.engine, PartKind::AssistantText, &text).await;
                if !reasons.is_empty() {
                    gateway.audit(self.reply.permit(), reasons, &text, &in_force).await;
                }
            }
            Observation::ProviderCall { name, input } => {
                let (agent, session) = (self.relay.agent.clone(), self.relay.session.clone());
                let mut action = Action::new(Door::Model, ActionKind::ProviderCall, agent, session);
                action.source = Source::Provider;
                action.tool = Some(ToolUse { name: name.into(), declared: true, call_id: "".into() });
                action.coverage = Coverage::Partial("run by the provider".into());
                action
                    .parts
                    .push(doorward_core::action::Part { kind: PartKind::Arguments, text: input.into() });
                let _ = gateway.pass(action, Nothing, &Waits::default()).await;
            }
            Observation::Reply { id } => {
                if let Some(Remembering { memory, declared: Some(declared), stored, .. }) =
                    &self.relay.remembering
                {
                    memory.declared(&id, declared, *stored);
                }
                self.id = Some(id);
            }
            Observation::Usage(_) | Observation::Coverage(_) => {}
        }
    }
}

/// Looks at what is passed on, without holding it up.
pub trait Watch: Send + 'static {
    /// This goes to the client.
    fn take(&mut self, piece: &Bytes);

    /// Nothing more comes; `whole` if that is all of it. Says what was looked at.
    fn end(self, permit: &StreamPermit, whole: bool) -> impl Future<Output = Coverage> + Send;
}

/// Nobody looks.
pub struct Unseen;

impl Watch for Unseen {
    fn take(&mut self, _: &Bytes) {}

    async fn end(self, permit: &StreamPermit, _: bool) -> Coverage {
        permit.decision().coverage.clone()
    }
}

/// Relays a reply byte for byte: errors, lists of models, files, what sites answer. `watch` looks at it as it goes.
pub fn opaque<B, W>(
    gateway: Arc<Gateway>,
    permit: StreamPermit,
    head: Parts,
    mut body: B,
    (patience, mut watch): (Patience, W),
) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    W: Watch,
{
    let receipt = Arc::clone(permit.receipt());
    let (mut reply, client) = Reply::new(permit);
    let status = head.status.as_u16();
    let started = Instant::now();
    let relay = async move {
        let session = Arc::clone(reply.permit().session());
        let result = tokio::select! {
            biased;
            () = killed(&gateway, &session) => "revoked",
            result = pass_on(&mut reply, &mut body, patience.idle, &mut watch) => result,
            () = tokio::time::sleep(patience.total) => "aborted",
        };
        if matches!(result, "revoked" | "aborted") {
            // The client must not take what it got for the whole.
            reply.cut(None);
        }
        drop(body);
        let bytes = reply.sent();
        let permit = reply.finish().await;
        let coverage = watch.end(&permit, result == "completed").await;
        let outcome = Outcome { coverage, ..Outcome::default() };
        let closing = Closing { result, outcome, status, bytes, millis: millis(started) };
        gateway.recorder().close(permit, closing).await;
    };
    respond(head, Body::Relayed(Box::new(client.of(relay))), &receipt)
}

/// Passes a body on, piece by piece; says how it ended.
async fn pass_on<B, W>(reply: &mut Reply, body: &mut B, idle: Duration, watch: &mut W) -> &'static str
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    W: Watch,
{
    loop {
        let frame = tokio::select! {
            biased;
            () = reply.client_gone() => return "client_gone",
            frame = tokio::time::timeout(idle, body.frame()) => frame,
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                watch.take(&data);
                match tokio::time::timeout(idle, reply.send(data)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return "client_gone",
                }
            }
            Ok(None) => return "completed",
            Ok(Some(Err(_))) | Err(_) => return "aborted",
        }
    }
}

/// Returns once this session, or its agent, is stopped.
pub async fn killed(gateway: &Gateway, session: &str) {
    let signals = gateway.store().signals();
    let mut moved = signals.subscribe(doorward_store::Signal::Kill);
    while !signals.is_killed(session) {
        if moved.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

const STOPPED: &str = "all traffic of this agent was stopped by its operator";

/// The answer of a stopped agent.
pub fn stopped() -> Answer {
    Answer::agent(StatusCode::FORBIDDEN, "killed", STOPPED)
}

fn silent(patience: Patience) -> Fault {
    let why = format!("the upstream said nothing for {} s (setting `idle_timeout`)", patience.idle.as_secs());
    Fault::new("upstream.silent", why)
}

fn endless(patience: Patience) -> Fault {
    let why = format!("the reply took longer than {} s (setting `total_timeout`)", patience.total.as_secs());
    Fault::new("reply.timeout", why)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn respond(head: Parts, body: Body, receipt: &str) -> Response<Body> {
    let mut response = Response::from_parts(head, body);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if let Ok(value) = HeaderValue::from_str(receipt) {
        response.headers_mut().insert(RECEIPT, value);
    }
    response
}
