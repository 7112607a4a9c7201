//! The malicious provider: a small HTTP server that answers as its script says, in both dialects.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::scenes::{Call, Dialect, Scene, Trick, asked_for};
use super::text;

/// The pause between two events of an endless reply.
const PACE: Duration = Duration::from_millis(10);

/// The most it reads of a request.
const LARGEST: usize = 1 << 20;

/// The running provider; dropping it ends it.
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Provider {
    /// Starts it on a free port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&said);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&log)));
            }
        });
        Ok(Self { address, said, task })
    }

    /// The body of the newest answer, as it was sent.
    pub fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(stream: TcpStream, said: Arc<Mutex<Vec<u8>>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&said)));
    // An error here is a client that left, which the kill switch makes happen.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    said: Arc<Mutex<Vec<u8>>>,
) -> Result<Response<Pieces>, Infallible> {
    let body = Limited::new(request.into_body(), LARGEST).collect().await;
    let scene = body.ok().and_then(|body| asked_for(&body.to_bytes()));
    let (sender, pieces) = mpsc::channel(1);
    let mut response = Response::new(Pieces(pieces));
    match scene {
        Some(scene) => {
            let kind = header::HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            said.lock().unwrap_or_else(PoisonError::into_inner).clear();
            tokio::spawn(speak(scene, sender, said));
        }
        None => *response.status_mut() = hyper::StatusCode::NOT_FOUND,
    }
    Ok(response)
}

/// Sends a reply event by event, until it is over or nobody listens.
async fn speak(scene: &'static Scene, sender: mpsc::Sender<Bytes>, said: Arc<Mutex<Vec<u8>>>) {
    let events = match scene.dialect {
        Dialect::Anthropic => anthropic(scene),
        Dialect::OpenAi => openai(scene),
    };
    for event in events {
        if scene.trick == Trick::Endless {
            tokio::time::sleep(PACE).await;
        }
        said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(event.as_bytes());
        if sender.send(event.into()).await.is_err() {
            return;
        }
    }
}

/// A reply body that comes in pieces.
struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// The reply as Anthropic Messages streams it.
fn anthropic(scene: &'static Scene) -> Box<dyn Iterator<Item = String> + Send> {
    let hidden = scene.trick == Trick::InMessageStart;
    let in_start: Vec<String> =
        if hidden { scene.calls.iter().map(whole_call).collect() } else { Vec::new() };
    let first = in_start.len();
    let start = event(
        "message_start",
        &format!(
            r#","message":{{"id":"msg_demo","type":"message","role":"assistant","model":"demo","content":[{}],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":25,"output_tokens":1}}}}"#,
            in_start.join(",")
        ),
    );
    let mut events = vec![start];
    let text_block = r#"{"type":"text","text":""}"#;
    events.push(event("content_block_start", &format!(r#","index":{first},"content_block":{text_block}"#)));
    let delta = move |at: usize, delta: &str| {
        event("content_block_delta", &format!(r#","index":{at},"delta":{delta}"#))
    };
    let said = delta(first, &format!(r#"{{"type":"text_delta","text":{}}}"#, text(scene.says)));
    if scene.trick == Trick::Endless {
        return Box::new(events.into_iter().chain(std::iter::repeat(said)));
    }
    events.push(said);
    events.push(event("content_block_stop", &format!(r#","index":{first}"#)));
    for (call, at) in scene.calls.iter().filter(|_| !hidden).zip(first + 1..) {
        let decoy = if scene.trick == Trick::TwoNames { r#""name":"Read","# } else { "" };
        let block = format!(
            r#"{{"type":"tool_use","id":"toolu_{at}",{decoy}"name":{},"input":{{}}}}"#,
            text(call.tool)
        );
        events.push(event("content_block_start", &format!(r#","index":{at},"content_block":{block}"#)));
        for piece in pieces(call.arguments) {
            events.push(delta(
                at,
                &format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, text(&piece)),
            ));
        }
        events.push(event("content_block_stop", &format!(r#","index":{at}"#)));
    }
    let stop = r#","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":60}"#;
    events.push(event("message_delta", stop));
    events.push(event("message_stop", ""));
    Box::new(events.into_iter())
}

fn whole_call(call: &Call) -> String {
    format!(r#"{{"type":"tool_use","id":"toolu_0","name":{},"input":{}}}"#, text(call.tool), call.arguments)
}

fn event(name: &str, members: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{members}}}\n\n")
}

/// The reply as OpenAI Chat Completions streams it.
fn openai(scene: &'static Scene) -> Box<dyn Iterator<Item = String> + Send> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-demo\",\"object\":\"chat.completion.chunk\",\"created\":1795219200,\"model\":\"demo\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut events = vec![
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(&format!(r#"{{"content":{}}}"#, text(scene.says)), "null"),
    ];
    for (at, call) in scene.calls.iter().enumerate() {
        let function = format!(r#"{{"name":{},"arguments":""}}"#, text(call.tool));
        let call_start =
            format!(r#"{{"index":{at},"id":"call_{at}","type":"function","function":{function}}}"#);
        events.push(chunk(&format!(r#"{{"tool_calls":[{call_start}]}}"#), "null"));
        for piece in pieces(call.arguments) {
            let function = format!(r#"{{"arguments":{}}}"#, text(&piece));
            events.push(chunk(
                &format!(r#"{{"tool_calls":[{{"index":{at},"function":{function}}}]}}"#),
                "null",
            ));
        }
    }
    events.push(chunk("{}", r#""tool_calls""#));
    events.push("data: [DONE]\n\n".to_owned());
    Box::new(events.into_iter())
}

/// Arguments come in fragments, as models produce them.
fn pieces(arguments: &str) -> Vec<String> {
    let characters: Vec<char> = arguments.chars().collect();
    characters.chunks(9).map(|piece| piece.iter().collect()).collect()
}
