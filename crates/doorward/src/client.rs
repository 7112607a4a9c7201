//! Asks the process that has the home directory, through its control listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use doorward_core::syntax::json;
use doorward_store::Home;

use crate::serve;

/// How long the running process may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of an answer: arguments of 256 KiB, every character of them escaped.
const MOST: u64 = 4 << 20;

/// Sends one request as the operator and returns the JSON of a 200.
///
/// # Errors
/// If nobody answers, or the process refuses; then in its words.
pub fn ask(home: &Home, method: &str, path: &str, body: &[u8]) -> anyhow::Result<String> {
    let file = serve::control_address_file(home);
    let address = std::fs::read_to_string(&file).with_context(|| {
        format!("a process has this home, but {} does not say where it listens", file.display())
    })?;
    let address: SocketAddr = address.trim().parse().context("the control address on file is not one")?;
    let token = home.operator_token()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot reach the control listener at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        token.expose(),
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).context("the control listener did not answer")?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body.to_owned());
    }
    let told = json::parse(body.as_bytes()).ok();
    let message = told.as_ref().and_then(|node| node.get("error")?.text("message"));
    anyhow::bail!(
        "the running process refused: {}",
        message.unwrap_or(head.lines().next().unwrap_or_default())
    )
}
