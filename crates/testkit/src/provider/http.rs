//! Just enough HTTP/1.1, on the socket itself: a scenario must be able to cut a chunk in half, leave out
//! the end, or reset the connection, and no server library lets it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{Ending, Framing, Reply};

/// The largest head and body read; beyond them the connection is dropped.
const HEAD_LIMIT: usize = 64 << 10;
const BODY_LIMIT: usize = 64 << 20;

/// One request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of this name (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> io::Result<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed("request line"));
        };
        let mut request = Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() };
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(request)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

/// One client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Read but not used yet.
    buffer: Vec<u8>,
    spent: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Each piece of a script is meant to arrive on its own, at its own time.
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new(), spent: false }
    }

    /// Whether the last answer ended the connection.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// The next request; `None` when the client is gone.
    pub(super) async fn read(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(malformed("head: too long"));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        let head = self.take(end + 4).await?;
        let head = String::from_utf8(head).map_err(|_| malformed("head: not UTF-8"))?;
        let mut request = Request::parse(&head)?;
        let chunked = request.header("transfer-encoding").is_some_and(|value| value == "chunked");
        let length = request.header("content-length").map(str::parse::<usize>);
        request.body = match (chunked, length) {
            (true, None) => self.read_chunks().await?,
            (false, Some(Ok(length))) if length <= BODY_LIMIT => self.take(length).await?,
            (false, None) => Vec::new(),
            _ => return Err(malformed("body length")),
        };
        Ok(Some(request))
    }

    async fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                if !self.fill().await? {
                    return Err(malformed("chunk"));
                }
            };
            let line = self.take(end + 2).await?;
            let line = String::from_utf8_lossy(&line);
            let digits = line.trim().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("chunk size"))?;
            if body.len() + size > BODY_LIMIT {
                return Err(malformed("body: too long"));
            }
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Removes exactly `count` bytes from the front, reading as many as needed.
    async fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Sends an answer as its script says. An error means that the client closed before the end.
    pub(super) async fn write(&mut self, reply: &Reply) -> io::Result<()> {
        self.pause(reply.first).await?;
        let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match reply.framing {
            Framing::Length(length) => head.push_str(&format!("content-length: {length}\r\n\r\n")),
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        self.stream.write_all(head.as_bytes()).await?;
        for piece in &reply.pieces {
            self.send(piece, reply.framing).await?;
            self.pause(reply.delay).await?;
        }
        match &reply.ending {
            Ending::Clean if matches!(reply.framing, Framing::Chunked) => {
                self.stream.write_all(b"0\r\n\r\n").await
            }
            Ending::Clean => Ok(()),
            Ending::Truncated => {
                self.spent = true;
                self.stream.shutdown().await
            }
            Ending::Reset => {
                self.spent = true;
                // A zero linger makes the close a reset: what an upstream that crashed looks like.
                self.stream.set_zero_linger()
            }
            Ending::Endless { piece, every } => loop {
                self.send(piece, reply.framing).await?;
                self.pause(*every).await?;
            },
        }
    }

    async fn send(&mut self, piece: &[u8], framing: Framing) -> io::Result<()> {
        if piece.is_empty() {
            // An empty chunk would be the end of the body.
            return Ok(());
        }
        if matches!(framing, Framing::Length(_)) {
            return self.stream.write_all(piece).await;
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.stream.write_all(&chunk).await
    }

    /// Waits, and notices at once if the client closes meanwhile.
    async fn pause(&mut self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        let sleep = tokio::time::sleep(time);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                read = self.stream.read_buf(&mut self.buffer) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
            }
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        529 => "Site Overloaded",
        _ => "Scripted",
    }
}
