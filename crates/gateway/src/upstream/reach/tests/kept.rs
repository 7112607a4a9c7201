//! Connections that are kept, and the servers that would make something of it.

use http_body_util::BodyExt as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server does with one request.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Answers, and keeps the connection open.
    Answer(&'static str),
    /// Answers, then says this when a moment has passed.
    Later(&'static str, &'static str),
    /// Answers and closes the connection, without having said so.
    Close(&'static str),
    /// Closes the connection instead of answering.
    Drop,
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A server over TLS that does with each request what its script says, whatever connection it comes over; the last for ever.
struct Site {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// First lines of what was asked.
    asked: Arc<Mutex<Vec<String>>>,
    tls: TlsConnector,
}

impl Site {
    async fn new(address: &str, script: &[Does]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".into(), "b.example".into()]).unwrap();
        let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
        Self::with(address, script, certificate, key).await
    }

    async fn with(
        address: &str,
        script: &[Does],
        certificate: CertificateDer<'static>,
        key: Vec<u8>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let trusting = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind(address).await.unwrap();
        let site = Self {
            at: listener.local_addr().unwrap(),
            connections: Arc::default(),
            asked: Arc::default(),
            tls: TlsConnector::from(Arc::new(trusting)),
        };
        let (count, asked) = (Arc::clone(&site.connections), Arc::clone(&site.asked));
        let script = Arc::new(Mutex::new(script.to_vec()));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, script, asked) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&asked));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        serve(stream, &script, &asked).await;
                    }
                });
            }
        });
        site
    }

    /// One that reaches it by the names that `names` knows.
    fn reacher(&self, names: &Arc<Scripted>) -> Reacher {
        Reacher::trusting(Arc::clone(names) as Arc<dyn Lookup>, &[], self.tls.clone())
    }

    /// How many connections came, and how many requests.
    fn came(&self) -> (usize, usize) {
        (self.connections.load(Ordering::Relaxed), self.asked.lock().unwrap().len())
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: &Mutex<Vec<Does>>,
    asked: &Mutex<Vec<String>>,
) {
    let mut buffer = [0; 2048];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
        asked.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
        let does = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.remove(0) } else { script[0] }
        };
        let (answer, later, closes) = match does {
            Does::Answer(answer) => (answer, None, false),
            Does::Later(answer, later) => (answer, Some(later), false),
            Does::Close(answer) => (answer, None, true),
            Does::Drop => return,
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.flush().await;
        if let Some(later) = later {
            settle().await;
            let _ = stream.write_all(later.as_bytes()).await;
            let _ = stream.flush().await;
        }
        if closes {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Long enough for what is on its way on this machine.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Asks for `url` as `whose`, reads the answer to its end, and gives back the status.
async fn ask(
    reacher: &Reacher,
    whose: &str,
    request: http::request::Builder,
    still: bool,
) -> Result<u16, Unreached> {
    let (head, ()) = request.body(()).unwrap().into_parts();
    let (whose, url) = (Arc::from(whose), head.uri.to_string());
    let keep = Some(Keep { whose: &whose, still: &|| still });
    let terms = Terms { anywhere: true, keep };
    let reply =
        reacher.send(&place(&url), terms, (&head, &Bytes::new()), crate::forward::key_of_tests()).await?;
    let status = reply.status().as_u16();
    let _ = reply.into_body().collect().await;
    Ok(status)
}

fn here() -> Arc<Scripted> {
    names(&[&["127.0.0.1"]])
}

fn url(site: &Site) -> String {
    format!("https://a.example:{}/", site.at.port())
}

#[tokio::test]
async fn requests_of_one_session_share_a_connection_and_a_name_is_asked_for_each_time() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: 1\r\n\r\n";
    let known = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let script = [known, chunks, NO_CONTENT].map(Does::Answer);
    let (site, names) = (Site::new("127.0.0.1:0", &script).await, here());
    let reacher = site.reacher(&names);
    for (request, status) in [
        (http::Request::get(url(&site)), 200),
        (http::Request::post(url(&site)), 200),
        (http::Request::head(url(&site)), 204),
        (http::Request::post(url(&site)), 204),
    ] {
        assert_eq!(ask(&reacher, "a", request, true).await.unwrap(), status);
    }
    assert_eq!((site.came(), names.asked.load(Ordering::Relaxed)), ((1, 4), 4));
}

/// What one session makes a server believe of a connection is not the next one's matter, and no name goes over a connection whose
/// certificate was looked at for another.
#[tokio::test]
async fn another_session_and_another_name_have_connections_of_their_own() {
    let site = Site::new("127.0.0.1:0", &[Does::Answer(NO_CONTENT)]).await;
    let reacher = site.reacher(&here());
    let other = url(&site).replace("a.example", "b.example");
    for (whose, url, connections) in
        [("a", url(&site), 1), ("b", url(&site), 2), ("a", other, 3), ("a", url(&site), 3)]
    {
        ask(&reacher, whose, http::Request::get(url), true).await.unwrap();
        assert_eq!(site.came().0, connections);
    }
}

/// Nothing but what the name says now counts.
#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_at_once() {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let script = [Does::Answer(NO_CONTENT)];
    let one = Site::with("127.0.0.1:0", &script, certificate.clone(), key.clone()).await;
    let port = one.at.port();
    let other = Site::with(&format!("127.0.0.2:{port}"), &script, certificate, key).await;
    let now: &[&[&str]] =
        &[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"], &["169.254.169.254"]];
    let names = names(now);
    let reacher = Reacher::trusting(Arc::clone(&names) as Arc<dyn Lookup>, &[], {
        // Both have the same certificate.
        one.tls.clone()
    });
    let get = || ask(&reacher, "a", http::Request::get(url(&one)), true);
    assert_eq!(get().await.unwrap(), 204);
    assert_eq!(get().await.unwrap(), 204);
    assert_eq!((one.came(), other.came()), ((1, 1), (1, 1)));
    // Either may be used now, and is there.
    assert_eq!(get().await.unwrap(), 204);
    assert_eq!(one.came().0 + other.came().0, 2);
    assert!(matches!(get().await, Err(Unreached::Forbidden(Reach::Metadata))));
    assert_eq!(one.came().1 + other.came().1, 3);
    let own = Reacher { own: [one.at].into(), ..reacher.clone() };
    *names.answers.lock().unwrap() = vec![vec!["127.0.0.1".parse().unwrap()]];
    let refused = ask(&own, "a", http::Request::get(url(&one)), true).await;
    assert!(matches!(refused, Err(Unreached::Ourselves)), "{refused:?}");
}

/// A connection whose last answer did not end as it should, or that has something to say unasked, carries nothing more.
#[tokio::test]
async fn what_did_not_end_cleanly_is_not_used_again() {
    let length = |more: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{more}\r\nhi");
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let second = leak(format!("{}{NO_CONTENT}", length("")));
    let plain = leak(length(""));
    for does in [
        Does::Answer(leak(length("connection: close\r\n"))),
        Does::Answer(leak(length("connection: keep-alive, Close\r\n"))),
        Does::Answer("HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi"),
        Does::Answer(second),
        Does::Answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK",
        ),
        Does::Answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nrubbish\r\n"),
        Does::Answer("HTTP/1.1 204 No Content\r\n\r\nrubbish"),
        Does::Close("HTTP/1.1 200 OK\r\n\r\nhi"),
        Does::Close(plain),
        Does::Later(plain, NO_CONTENT),
        Does::Later(plain, "\r\n"),
    ] {
        let site = Site::new("127.0.0.1:0", &[does, Does::Answer(NO_CONTENT)]).await;
        let reacher = site.reacher(&here());
        let first = ask(&reacher, "a", http::Request::get(url(&site)), true).await;
        assert!(first.is_ok(), "{does:?}: {first:?}");
        settle().await;
        settle().await;
        let next = ask(&reacher, "a", http::Request::post(url(&site)), true).await;
        assert_eq!(next.unwrap(), 204, "{does:?}");
        assert_eq!(site.came(), (2, 2), "{does:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_takes_its_connection_along() {
    let site =
        Site::new("127.0.0.1:0", &[Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")]).await;
    let reacher = site.reacher(&here());
    for connections in [1, 2] {
        let (head, ()) = http::Request::get(url(&site)).body(()).unwrap().into_parts();
        let whose = Arc::from("a");
        let terms = Terms { anywhere: true, keep: Some(Keep { whose: &whose, still: &|| true }) };
        let sent = (&head, &Bytes::new());
        let reply = reacher.send(&place(&url(&site)), terms, sent, crate::forward::key_of_tests()).await;
        drop(reply.unwrap());
        assert_eq!(site.came().0, connections);
    }
}

/// The other side may close a connection while a request is on its way. What can be done twice is sent once more; what cannot, or
/// is not allowed any more by then, is not.
#[tokio::test]
async fn what_may_have_been_seen_is_sent_again_only_if_that_does_no_harm() {
    type Makes = fn(String) -> http::request::Builder;
    let get = |url: String| http::Request::get(url);
    let put = |url: String| http::Request::put(url);
    let post = |url: String| http::Request::post(url);
    let once = |url: String| http::Request::get(url).header("idempotency-key", "k");
    let requests: [(Makes, bool, bool); 5] =
        [(get, true, true), (put, true, true), (post, true, false), (once, true, false), (get, false, false)];
    for (request, still, again) in requests {
        let script = [Does::Answer(NO_CONTENT), Does::Drop, Does::Answer(NO_CONTENT)];
        let site = Site::new("127.0.0.1:0", &script).await;
        let reacher = site.reacher(&here());
        ask(&reacher, "a", http::Request::get(url(&site)), true).await.unwrap();
        let sent = ask(&reacher, "a", request(url(&site)), still).await;
        let came = if again { (2, 3) } else { (1, 2) };
        assert_eq!((sent.is_ok(), site.came()), (again, came), "{sent:?}");
        if let Err(error) = sent {
            assert!(matches!(error, Unreached::Exchange(_)), "{error:?}");
        }
    }
    // Once: a new connection that ends like this is the end.
    let site = Site::new("127.0.0.1:0", &[Does::Answer(NO_CONTENT), Does::Drop]).await;
    let reacher = site.reacher(&here());
    ask(&reacher, "a", http::Request::get(url(&site)), true).await.unwrap();
    assert!(ask(&reacher, "a", http::Request::get(url(&site)), true).await.is_err());
    assert_eq!(site.came(), (2, 3));
}

/// A broken answer is an answer.
#[tokio::test]
async fn nothing_is_sent_again_once_an_answer_has_begun() {
    let site = Site::new("127.0.0.1:0", &[Does::Answer(NO_CONTENT), Does::Close("HTTP/1.1 20")]).await;
    let reacher = site.reacher(&here());
    ask(&reacher, "a", http::Request::get(url(&site)), true).await.unwrap();
    assert!(ask(&reacher, "a", http::Request::get(url(&site)), true).await.is_err());
    assert_eq!(site.came(), (1, 2));
}
