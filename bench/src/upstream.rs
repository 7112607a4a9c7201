//! The provider: a process of its own with one thread, which writes replies prepared in advance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::clock;
use crate::http::{find, header};
use crate::report::say;
use crate::shapes::{CLOCK, DIGITS, Shape};
use crate::spec::{Delivery, Dialect, Kind, Spec};

/// How long the provider of [`Kind::Clock`] thinks before its first text delta.
const THINKS: Duration = Duration::from_millis(20);

/// The largest request; larger ones are a mistake.
const LARGEST: usize = 1 << 20;

/// A reply as it goes over the wire.
#[derive(Debug)]
struct Prepared {
    spec: Spec,
    /// Head, pieces and end in one.
    whole: Bytes,
    /// The head with all pieces before the first text delta.
    opening: Bytes,
    /// The pieces from the first text delta on, each a chunk; the last one carries the end.
    rest: Vec<Bytes>,
}

impl Prepared {
    fn new(spec: Spec) -> Self {
        let shape = Shape::of(&spec);
        let mut opening = BytesMut::new();
        if !spec.streams() {
            let body = shape.pieces.concat();
            opening.extend_from_slice(head(&spec, Some(body.len())).as_bytes());
            opening.extend_from_slice(body.as_bytes());
            let whole = opening.freeze();
            return Self { spec, opening: whole.clone(), whole, rest: Vec::new() };
        }
        opening.extend_from_slice(head(&spec, None).as_bytes());
        let (first, texts) = shape.pieces.split_at(shape.opening);
        first.iter().for_each(|piece| opening.extend_from_slice(&chunk(piece)));
        let mut rest: Vec<Bytes> = texts.iter().map(|piece| chunk(piece)).collect();
        if let Some(last) = rest.last_mut() {
            *last = [&**last, b"0\r\n\r\n"].concat().into();
        }
        let mut whole = opening.clone();
        rest.iter().for_each(|piece| whole.extend_from_slice(piece));
        Self { spec, whole: whole.freeze(), opening: opening.freeze(), rest }
    }

    async fn write(&self, stream: &mut TcpStream, received: u64) -> std::io::Result<()> {
        if self.spec.kind == Kind::Clock {
            return self.write_clock(stream, received).await;
        }
        match self.spec.delivery {
            Delivery::Whole => stream.write_all(&self.whole).await,
            Delivery::Events => {
                stream.write_all(&self.opening).await?;
                for piece in &self.rest {
                    stream.write_all(piece).await?;
                }
                Ok(())
            }
            Delivery::Paced(millis) => {
                stream.write_all(&self.opening).await?;
                let mut ticks = tokio::time::interval(Duration::from_millis(millis));
                for piece in &self.rest {
                    ticks.tick().await;
                    stream.write_all(piece).await?;
                }
                Ok(())
            }
        }
    }

    async fn write_clock(&self, stream: &mut TcpStream, received: u64) -> std::io::Result<()> {
        stream.write_all(&self.opening).await?;
        tokio::time::sleep(THINKS).await;
        let Some((first, rest)) = self.rest.split_first() else { return Ok(()) };
        let mut first = first.to_vec();
        if let Some(at) = find(&first, CLOCK.as_bytes()) {
            let at = at + CLOCK.len();
            let times = format!("{received:0DIGITS$}{:0DIGITS$}", clock::nanos());
            if let Some(place) = first.get_mut(at..at + times.len()) {
                place.copy_from_slice(times.as_bytes());
            }
        }
        stream.write_all(&first).await?;
        for piece in rest {
            tokio::time::sleep(THINKS / 4).await;
            stream.write_all(piece).await?;
        }
        Ok(())
    }
}

fn chunk(piece: &str) -> Bytes {
    format!("{:x}\r\n{piece}\r\n", piece.len()).into()
}

/// A head like those of the real services.
fn head(spec: &Spec, length: Option<usize>) -> String {
    let (kind, framing) = match length {
        Some(length) => ("application/json", format!("content-length: {length}")),
        None => ("text/event-stream; charset=utf-8", "transfer-encoding: chunked".to_owned()),
    };
    let own = match spec.dialect {
        Dialect::Anthropic => {
            "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n\
             anthropic-organization-id: 01234567-89ab-cdef-0123-456789abcdef\r\n\
             anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n\
             anthropic-ratelimit-requests-reset: 2026-02-19T00:00:00Z\r\n"
        }
        Dialect::OpenAi => {
            "x-request-id: req_3f1f3b2a9c8d4e5f6a7b8c9d0e1f2a3b\r\nopenai-organization: org-bench\r\n\
             openai-processing-ms: 312\r\nopenai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 10000\r\n\
             x-ratelimit-remaining-requests: 9999\r\n"
        }
    };
    format!(
        "HTTP/1.1 200 OK\r\ndate: Thu, 19 Feb 2026 00:00:00 GMT\r\ncontent-type: {kind}\r\n{framing}\r\n\
         cache-control: no-cache\r\n{own}\r\n"
    )
}

/// Replies that have been asked for, prepared once.
#[derive(Debug, Default)]
struct Library(Mutex<HashMap<String, Arc<Prepared>>>);

impl Library {
    fn get(&self, model: &str) -> Option<Arc<Prepared>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = known.get(model) {
            return Some(Arc::clone(prepared));
        }
        let prepared = Arc::new(Prepared::new(Spec::parse(model)?));
        known.insert(model.to_owned(), Arc::clone(&prepared));
        Some(prepared)
    }
}

/// Serves until the process is ended. Says its port in one line first.
pub fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("listening {}", listener.local_addr()?.port()));
        let library = Arc::new(Library::default());
        loop {
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    say(&format!("upstream: cannot accept: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            stream.set_nodelay(true)?;
            let library = Arc::clone(&library);
            tokio::spawn(async move {
                // A client that goes away in the middle is no matter of the upstream's.
                let _ = connection(stream, &library).await;
            });
        }
    })
}

async fn connection(mut stream: TcpStream, library: &Library) -> anyhow::Result<()> {
    let mut buffer = BytesMut::with_capacity(8 << 10);
    loop {
        let Some(request) = read(&mut stream, &mut buffer).await? else { return Ok(()) };
        let received = clock::nanos();
        match model(&request).and_then(|model| library.get(model)) {
            Some(prepared) => prepared.write(&mut stream, received).await?,
            None => {
                let answer =
                    "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
}

/// The body of the next request; `None` if there is none.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> anyhow::Result<Option<BytesMut>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = buffer.split_to(end);
    let head = std::str::from_utf8(&head)?;
    if let Some(coding) = header(head, "transfer-encoding") {
        bail!("a request with transfer coding {coding}");
    }
    let length = header(head, "content-length").unwrap_or("0").parse::<usize>().context("content-length")?;
    if length > LARGEST {
        bail!("a request of {length} bytes");
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(buffer.split_to(length)))
}

/// The model that a request names.
fn model(body: &[u8]) -> Option<&str> {
    let rest = body.get(find(body, b"\"model\"")? + 7..)?;
    let rest = rest.get(find(rest, b"\"")? + 1..)?;
    std::str::from_utf8(rest.get(..find(rest, b"\"")?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Reply;
    use crate::shapes::request;

    #[test]
    fn every_delivery_has_the_same_bytes() {
        let spec = Spec { dialect: Dialect::OpenAi, kind: Kind::Tool(40), delivery: Delivery::Whole };
        let prepared = Prepared::new(spec);
        assert_eq!([&prepared.opening[..], &prepared.rest.concat()].concat(), prepared.whole);
        let mut reply = Reply::default();
        assert!(reply.feed(&prepared.whole, &mut |_| {}).unwrap());
        assert_eq!(reply.length, Shape::of(&spec).length() as u64);
    }

    #[test]
    fn the_model_is_found() {
        let spec = Spec { dialect: Dialect::Anthropic, kind: Kind::Clock, delivery: Delivery::Events };
        assert_eq!(model(request(&spec).as_bytes()), Some(spec.model().as_str()));
        assert_eq!(model(b"{\"stream\": true, \"model\": \"x\"}"), Some("x"));
        assert_eq!(model(b"{}"), None);
    }
}
