//! The agent: a small client that asks through the firewall and reads the reply on its own, as an SDK does.
//! It runs nothing.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use doorward_core::syntax::{Node, json};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::scenes::{Dialect, Scene, TOOLS};
use super::text;

/// How many pieces of a reply have come when a spectator is told that it runs.
const RUNNING: usize = 8;

/// The agent, with its conversations so far: messages as JSON, one list for each dialect.
pub struct Agent {
    firewall: SocketAddr,
    token: String,
    anthropic: Vec<String>,
    openai: Vec<String>,
}

/// What came of one question.
#[derive(Default)]
pub struct Heard {
    /// HTTP status.
    pub status: u16,
    /// The receipt the reply names.
    pub receipt: Option<String>,
    /// The body, byte for byte.
    pub raw: Vec<u8>,
    /// What an SDK would give its program.
    pub blocks: Vec<Block>,
    /// Why the reply says it stopped.
    pub stop: Option<String>,
    /// The error it ended with.
    pub error: Option<String>,
    /// When it ended.
    pub ended: Option<Instant>,
}

/// One block of a reply.
pub enum Block {
    Text(String),
    Call { id: String, tool: String, arguments: String },
}

impl Heard {
    /// The texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.blocks
            .iter()
            .filter_map(|block| if let Block::Text(text) = block { Some(text.as_str()) } else { None })
    }

    /// The calls that the agent would run: tool and arguments.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Call { tool, arguments, .. } => Some((tool.as_str(), arguments.as_str())),
            Block::Text(_) => None,
        })
    }
}

impl Agent {
    /// An agent that reaches its models through `firewall`.
    pub fn new(firewall: SocketAddr, token: &str) -> Self {
        Self { firewall, token: token.to_owned(), anthropic: Vec::new(), openai: Vec::new() }
    }

    /// Asks, and reads the reply to its end. `running` is told once the reply is on its way.
    pub async fn ask(&mut self, scene: &Scene, running: oneshot::Sender<()>) -> anyhow::Result<Heard> {
        let question = format!(r#"{{"role":"user","content":{}}}"#, text(scene.asks));
        let (messages, path) = match scene.dialect {
            Dialect::Anthropic => (&mut self.anthropic, "anthropic/v1/messages"),
            Dialect::OpenAi => (&mut self.openai, "openai/v1/chat/completions"),
        };
        messages.push(question);
        let body = format!(
            r#"{{"model":"demo","max_tokens":1024,"stream":true,"tools":[{}],"messages":[{}]}}"#,
            tools(scene.dialect),
            messages.join(",")
        );
        let path = format!("/t/{}/{path}", self.token);
        let reply = post(self.firewall, &path, &[("authorization", "Bearer demo-key")], body).await?;
        let heard = hear(reply, scene.dialect, running).await;
        if heard.error.is_some() {
            messages.pop();
        } else {
            remember(messages, scene.dialect, &heard);
        }
        Ok(heard)
    }
}

/// Sends a POST with a JSON body on a connection of its own.
pub async fn post(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> anyhow::Result<Response<Incoming>> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("cannot reach {to}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::post(path)
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?)
}

/// Reads a reply to its end.
async fn hear(reply: Response<Incoming>, dialect: Dialect, running: oneshot::Sender<()>) -> Heard {
    let receipt = reply.headers().get("doorward-receipt").and_then(|value| value.to_str().ok());
    let mut heard =
        Heard { status: reply.status().as_u16(), receipt: receipt.map(str::to_owned), ..Heard::default() };
    let mut body = reply.into_body();
    let (mut running, mut pieces) = (Some(running), 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => heard.raw.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default()),
            Err(error) => {
                heard.error = Some(format!("the connection broke off: {error}"));
                break;
            }
        }
        pieces += 1;
        if pieces == RUNNING
            && let Some(running) = running.take()
        {
            let _ = running.send(());
        }
    }
    heard.ended = Some(Instant::now());
    let body = String::from_utf8_lossy(&heard.raw).into_owned();
    if heard.status == 200 {
        // Events end with a blank line, and those of these two protocols have one line of data.
        let data =
            body.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        for data in data {
            let Ok(node) = json::parse(data.as_bytes()) else { continue };
            match dialect {
                Dialect::Anthropic => heard.anthropic(&node, data),
                Dialect::OpenAi => heard.openai(&node),
            }
        }
    } else if let Ok(node) = json::parse(body.as_bytes()) {
        heard.failed(&node);
    }
    heard
}

impl Heard {
    fn failed(&mut self, node: &Node) {
        if let Some(error) = node.get("error") {
            self.error = Some(error.text("message").unwrap_or("an error without a message").to_owned());
        }
    }

    fn anthropic(&mut self, node: &Node, source: &str) {
        let index = node.get("index").and_then(Node::as_u64).and_then(|index| usize::try_from(index).ok());
        match node.text("type").unwrap_or_default() {
            "message_start" => {
                let content = node.get("message").and_then(|message| message.get("content"));
                let blocks = content.map(Node::elements).unwrap_or_default().iter();
                self.blocks.extend(blocks.filter_map(|block| block_of(block, source)));
            }
            "content_block_start" => {
                self.blocks.extend(node.get("content_block").and_then(|block| block_of(block, source)));
            }
            "content_block_delta" => {
                let Some(delta) = node.get("delta") else { return };
                match index.and_then(|index| self.blocks.get_mut(index)) {
                    Some(Block::Text(text)) => text.push_str(delta.text("text").unwrap_or_default()),
                    Some(Block::Call { arguments, .. }) => {
                        arguments.push_str(delta.text("partial_json").unwrap_or_default());
                    }
                    None => {}
                }
            }
            "message_delta" => {
                self.stop = node.get("delta").and_then(|delta| delta.text("stop_reason")).map(str::to_owned);
            }
            "error" => self.failed(node),
            _ => {}
        }
    }

    fn openai(&mut self, node: &Node) {
        self.failed(node);
        for choice in node.get("choices").map(Node::elements).unwrap_or_default() {
            if let Some(stop) = choice.text("finish_reason") {
                self.stop = Some(stop.to_owned());
            }
            let Some(delta) = choice.get("delta") else { continue };
            if let Some(more) = delta.text("content").filter(|more| !more.is_empty()) {
                match self.blocks.last_mut() {
                    Some(Block::Text(text)) => text.push_str(more),
                    _ => self.blocks.push(Block::Text(more.to_owned())),
                }
            }
            for call in delta.get("tool_calls").map(Node::elements).unwrap_or_default() {
                let Some(function) = call.get("function") else { continue };
                if let (Some(id), Some(tool)) = (call.text("id"), function.text("name")) {
                    let (id, tool) = (id.to_owned(), tool.to_owned());
                    self.blocks.push(Block::Call { id, tool, arguments: String::new() });
                }
                if let Some(Block::Call { arguments, .. }) = self.blocks.last_mut() {
                    arguments.push_str(function.text("arguments").unwrap_or_default());
                }
            }
        }
    }
}

fn block_of(node: &Node, source: &str) -> Option<Block> {
    let said = |key| node.text(key).unwrap_or_default().to_owned();
    match node.text("type")? {
        "text" => Some(Block::Text(said("text"))),
        "tool_use" => {
            let input = node.get("input").filter(|input| !input.members().is_empty());
            let arguments =
                input.map(|input| String::from_utf8_lossy(input.span.of(source.as_bytes())).into_owned());
            Some(Block::Call { id: said("id"), tool: said("name"), arguments: arguments.unwrap_or_default() })
        }
        _ => None,
    }
}

fn tools(dialect: Dialect) -> String {
    let schema = r#"{"type":"object","additionalProperties":true}"#;
    let tool = |name: &&str| match dialect {
        Dialect::Anthropic => format!(r#"{{"name":"{name}","input_schema":{schema}}}"#),
        Dialect::OpenAi => {
            format!(r#"{{"type":"function","function":{{"name":"{name}","parameters":{schema}}}}}"#)
        }
    };
    TOOLS.iter().map(tool).collect::<Vec<_>>().join(",")
}

/// Adds a reply to the conversation, with a result for each call.
fn remember(messages: &mut Vec<String>, dialect: Dialect, heard: &Heard) {
    const RESULT: &str = "\"(a demonstration: nothing was run)\"";
    let mut results = Vec::new();
    let mut content = Vec::new();
    let mut calls = Vec::new();
    for block in &heard.blocks {
        match (block, dialect) {
            (Block::Text(said), _) => content.push(format!(r#"{{"type":"text","text":{}}}"#, text(said))),
            (Block::Call { id, tool, arguments }, Dialect::Anthropic) => {
                let (id, tool) = (text(id), text(tool));
                content.push(format!(r#"{{"type":"tool_use","id":{id},"name":{tool},"input":{arguments}}}"#));
                results.push(format!(r#"{{"type":"tool_result","tool_use_id":{id},"content":{RESULT}}}"#));
            }
            (Block::Call { id, tool, arguments }, Dialect::OpenAi) => {
                let function = format!(r#"{{"name":{},"arguments":{}}}"#, text(tool), text(arguments));
                calls.push(format!(r#"{{"id":{},"type":"function","function":{function}}}"#, text(id)));
                results.push(format!(r#"{{"role":"tool","tool_call_id":{},"content":{RESULT}}}"#, text(id)));
            }
        }
    }
    let content = content.join(",");
    let calls =
        if calls.is_empty() { String::new() } else { format!(r#","tool_calls":[{}]"#, calls.join(",")) };
    messages.push(format!(r#"{{"role":"assistant","content":[{content}]{calls}}}"#));
    match dialect {
        Dialect::Anthropic if results.is_empty() => {}
        Dialect::Anthropic => {
            messages.push(format!(r#"{{"role":"user","content":[{}]}}"#, results.join(",")))
        }
        Dialect::OpenAi => messages.extend(results),
    }
}
