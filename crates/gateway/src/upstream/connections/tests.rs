use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::{Request, Response, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::Origin;
use super::super::h2::{ROOM, STREAM_WINDOW};
use super::*;

/// What a test's server tells of itself.
struct Server {
    connections: Connections,
    base: String,
    accepted: Arc<AtomicUsize>,
    /// Replies that are being written.
    running: watch::Receiver<usize>,
    /// Closes the connections there are.
    close: watch::Sender<()>,
}

/// A body whose pieces come from a channel.
struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A TLS server that offers `protocols`. `/endless` never ends, `/late` never begins, the rest says `hello`.
async fn server(protocols: &[&[u8]]) -> Server {
    limited(protocols, None).await
}

/// The same with at most so many streams on a connection.
async fn limited(protocols: &[&[u8]], streams: Option<u32>) -> Server {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let certificate = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut trusting = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    trusting.alpn_protocols = super::super::tls::protocols();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let accepted = Arc::new(AtomicUsize::new(0));
    let (running, watching) = watch::channel(0);
    let (count, running) = (Arc::clone(&accepted), Arc::new(running));
    let close = watch::Sender::new(());
    let told = close.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, running, count) = (acceptor.clone(), Arc::clone(&running), Arc::clone(&count));
            let mut closing = told.subscribe();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                count.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(move |request| answer(request, Arc::clone(&running)));
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    builder.max_concurrent_streams(streams.unwrap_or(200));
                    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
                    tokio::select! {
                        _ = serving.as_mut() => return,
                        _ = closing.changed() => serving.as_mut().graceful_shutdown(),
                    }
                    let _ = serving.await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    let origin = Origin::parse(&base).unwrap();
    let dialer = Dialer::trusting(&origin, Some(TlsConnector::from(Arc::new(trusting)))).unwrap();
    Server { connections: Connections::new(dialer), base, accepted, running: watching, close }
}

async fn answer(
    request: Request<Incoming>,
    running: Arc<watch::Sender<usize>>,
) -> Result<Response<Pieces>, Infallible> {
    let (send, pieces) = mpsc::channel(1);
    let path = request.uri().path().to_owned();
    running.send_modify(|count| *count += 1);
    let ended = Ended(running);
    if path == "/late" {
        std::future::pending::<()>().await;
    }
    tokio::spawn(async move {
        let _ended = ended;
        let piece = if path == "/endless" { Bytes::from(vec![b'x'; 16 * 1024]) } else { "hello".into() };
        while send.send(piece.clone()).await.is_ok() && path == "/endless" {}
    });
    Ok(Response::new(Pieces(pieces)))
}

struct Ended(Arc<watch::Sender<usize>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Server {
    async fn ask(&self, path: &str) -> Result<Response<UpstreamBody>, SendError> {
        let (head, ()) = Request::get(format!("{}{path}", self.base)).body(()).unwrap().into_parts();
        self.connections.send(&head, &Bytes::new()).await
    }

    async fn until_running(&mut self, wanted: usize) {
        let waited =
            tokio::time::timeout(Duration::from_secs(5), self.running.wait_for(|count| *count == wanted));
        waited.await.unwrap_or_else(|_| panic!("never {wanted} running")).unwrap();
    }
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_does_and_one_connection_serves_many() {
    let server = server(&[b"h2", b"http/1.1"]).await;
    for _ in 0..5 {
        let response = server.ask("/").await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    assert_eq!(server.accepted.load(Ordering::Relaxed), 1);
    assert_eq!(server.connections.second.count(), 1);
}

#[tokio::test]
async fn http1_is_spoken_where_the_server_speaks_nothing_else() {
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let server = server(protocols).await;
        let response = server.ask("/").await.unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
}

#[tokio::test]
async fn a_certificate_nobody_trusts_is_refused() {
    let server = server(&[b"h2"]).await;
    let origin = Origin::parse(&server.base).unwrap();
    let connections = Connections::new(Dialer::new(&origin).unwrap());
    let (head, ()) = Request::get(&server.base).body(()).unwrap().into_parts();
    let refused = connections.send(&head, &Bytes::new()).await;
    assert!(matches!(refused, Err(SendError::Connect(_))), "{refused:?}");
}

#[tokio::test]
async fn letting_go_of_a_reply_resets_its_stream_and_no_other() {
    let mut server = server(&[b"h2"]).await;
    let first = server.ask("/endless").await.unwrap();
    let mut second = server.ask("/endless").await.unwrap();
    server.until_running(2).await;
    drop(first);
    server.until_running(1).await;
    for _ in 0..100 {
        second.body_mut().frame().await.unwrap().unwrap();
    }
    // Before its head as well.
    let late = server.ask("/late");
    assert!(tokio::time::timeout(Duration::from_millis(300), late).await.is_err());
    server.until_running(1).await;
    assert_eq!(server.accepted.load(Ordering::Relaxed), 1, "the connection stays");
}

#[tokio::test]
async fn more_requests_than_fit_one_connection_take_another() {
    let mut server = server(&[b"h2"]).await;
    let mut replies = Vec::new();
    for _ in 0..=ROOM {
        let reply = tokio::time::timeout(Duration::from_secs(5), server.ask("/endless")).await;
        replies.push(reply.expect("no request waits for another to end").unwrap());
    }
    assert_eq!(server.connections.second.count(), 2);
    assert_eq!(server.accepted.load(Ordering::Relaxed), 2);
    drop(replies);
    server.until_running(0).await;
    server.ask("/").await.unwrap();
    assert_eq!(server.connections.second.count(), 2, "lanes with room are used again");
}

#[tokio::test]
async fn replies_nobody_reads_do_not_hold_up_the_others() {
    let mut server = server(&[b"h2"]).await;
    let mut unread = Vec::new();
    for _ in 0..ROOM - 1 {
        unread.push(server.ask("/endless").await.unwrap());
    }
    server.until_running(ROOM - 1).await;
    // Until each of them has sent as much as it may.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut read = server.ask("/endless").await.unwrap();
    let mut bytes = 0;
    while bytes < 4 * STREAM_WINDOW as usize {
        let frame = tokio::time::timeout(Duration::from_secs(5), read.body_mut().frame()).await;
        bytes += frame.expect("held up by others").unwrap().unwrap().into_data().unwrap().len();
    }
    assert_eq!(server.connections.second.count(), 1);
}

#[tokio::test]
async fn requests_at_once_share_the_first_connection() {
    let server = Arc::new(server(&[b"h2"]).await);
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.ask("/").await.unwrap().into_body().collect().await.unwrap() })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().to_bytes(), "hello");
    }
    assert_eq!(server.accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_allows_fewer_streams_gets_fewer() {
    let mut server = limited(&[b"h2"], Some(3)).await;
    let mut replies = vec![server.ask("/endless").await.unwrap()];
    // The limit came with the settings by now.
    for _ in 0..6 {
        let reply = tokio::time::timeout(Duration::from_secs(5), server.ask("/endless")).await;
        replies.push(reply.expect("no request waits for another to end").unwrap());
    }
    assert_eq!(server.accepted.load(Ordering::Relaxed), 3);
    drop(replies);
    server.until_running(0).await;
}

#[tokio::test]
async fn a_connection_that_was_closed_is_left_for_another() {
    let server = server(&[b"h2"]).await;
    server.ask("/").await.unwrap().into_body().collect().await.unwrap();
    server.close.send_replace(());
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.ask("/").await.unwrap().into_body().collect().await.unwrap();
    }
    assert!(server.accepted.load(Ordering::Relaxed) >= 2);
}
