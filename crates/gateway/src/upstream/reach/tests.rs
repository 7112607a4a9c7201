//! Names that lie, change and mix, against real sockets.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::lookup::Answer;
use super::*;

mod chains;

mod kept;

/// Says for each question what is next in its list, the last one for ever.
#[derive(Debug)]
struct Scripted {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Lookup for Scripted {
    fn lookup<'a>(&'a self, _: &'a str) -> Answer<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { Ok(next) })
    }
}

fn names(answers: &[&[&str]]) -> Arc<Scripted> {
    let read = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
    Arc::new(Scripted { answers: Mutex::new(answers.iter().map(read).collect()), asked: AtomicUsize::new(0) })
}

fn reacher(names: &Arc<Scripted>, own: &[SocketAddr]) -> Reacher {
    Reacher::new(Arc::clone(names) as Arc<dyn Lookup>, own).unwrap()
}

fn place(url: &str) -> Place {
    Place::of(&Url::parse(url).unwrap()).unwrap()
}

async fn get(reacher: &Reacher, url: &str, anywhere: bool) -> Result<u16, Unreached> {
    let (head, ()) = http::Request::get(url).body(()).unwrap().into_parts();
    let terms = Terms { anywhere, keep: None };
    let sent = reacher.send(&place(url), terms, (&head, &Bytes::new()), crate::forward::key_of_tests()).await;
    sent.map(|reply| reply.status().as_u16())
}

/// A server that answers 204 and counts who came.
async fn server(address: &str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (at, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let came = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            came.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    (at, count)
}

#[tokio::test]
async fn what_is_not_public_is_not_dialled_unless_a_rule_allows_it() {
    let (at, came) = server("127.0.0.1:0").await;
    let url = format!("http://inside.example:{}/", at.port());
    let names = names(&[&["127.0.0.1"]]);
    let reacher = reacher(&names, &[]);
    assert!(matches!(get(&reacher, &url, false).await, Err(Unreached::Forbidden(Reach::Loopback))));
    assert_eq!(came.load(Ordering::Relaxed), 0);
    assert_eq!(get(&reacher, &url, true).await.unwrap(), 204);
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_address_that_may_not_be_reached_refuses_all() {
    for (answer, reach) in [
        (&["93.184.215.14", "10.0.0.1"][..], Reach::Private),
        (&["10.0.0.1", "93.184.215.14"], Reach::Private),
        (&["93.184.215.14", "169.254.169.254"], Reach::Metadata),
        (&["64:ff9b::a00:1"], Reach::Private),
        (&["::ffff:127.0.0.1"], Reach::Loopback),
        (&["2002:7f00:1::"], Reach::Loopback),
        (&["fd00:ec2::254"], Reach::Metadata),
        (&["100.64.0.1"], Reach::Shared),
        (&["0.0.0.0"], Reach::Loopback),
        (&["224.0.0.1"], Reach::Multicast),
    ] {
        let got = get(&reacher(&names(&[answer]), &[]), "http://mixed.example/", false).await;
        assert!(matches!(got, Err(Unreached::Forbidden(found)) if found == reach), "{answer:?}: {got:?}");
    }
}

/// A cloud's credentials are nobody's business, whatever the rules say.
#[tokio::test]
async fn metadata_is_not_dialled_even_where_a_rule_allows_the_name() {
    let got = get(&reacher(&names(&[&["169.254.169.254"]]), &[]), "http://inside.example/", true).await;
    assert!(matches!(got, Err(Unreached::Forbidden(Reach::Metadata))), "{got:?}");
}

/// A name that says another thing when asked again is asked once.
#[tokio::test]
async fn a_name_is_asked_once_for_each_request() {
    let (at, came) = server("127.0.0.1:0").await;
    let url = format!("http://rebinds.example:{}/", at.port());
    // Allowed to be inside; what comes second would be the trap.
    let names = names(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let reacher = reacher(&names, &[]);
    assert_eq!(get(&reacher, &url, true).await.unwrap(), 204);
    assert_eq!((names.asked.load(Ordering::Relaxed), came.load(Ordering::Relaxed)), (1, 1));
    assert!(get(&reacher, &url, true).await.is_err());
    assert_eq!((names.asked.load(Ordering::Relaxed), came.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn our_own_listeners_are_never_dialled() {
    let (at, came) = server("0.0.0.0:0").await;
    let port = at.port();
    for ip in ["127.0.0.1", "127.8.9.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::"] {
        let names = names(&[&[ip]]);
        let reacher = reacher(&names, &[at]);
        let got = get(&reacher, &format!("http://ours.example:{port}/"), true).await;
        assert!(matches!(got, Err(Unreached::Ourselves)), "{ip}: {got:?}");
    }
    assert_eq!(came.load(Ordering::Relaxed), 0);
    // An address of an interface that nobody told us of is noticed once connected, and nothing is sent there.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let outward = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    if let Ok(SocketAddr::V4(outward)) = outward
        && !outward.ip().is_loopback()
    {
        let own = SocketAddr::from(([127, 0, 0, 1], port));
        let names = names(&[&[&outward.ip().to_string()]]);
        let got = get(&reacher(&names, &[own]), &format!("http://ours.example:{port}/"), true).await;
        assert!(matches!(got, Err(Unreached::Ourselves)), "{got:?}");
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_passed_over() {
    let (at, came) = server("127.0.0.1:0").await;
    let names = names(&[&["127.77.0.1", "127.0.0.1"]]);
    let url = format!("http://twice.example:{}/", at.port());
    assert_eq!(get(&reacher(&names, &[]), &url, true).await.unwrap(), 204);
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_literal_address_asks_nobody() {
    let names = names(&[&["1.1.1.1"]]);
    let got = get(&reacher(&names, &[]), "http://[::ffff:7f00:1]/", false).await;
    assert!(matches!(got, Err(Unreached::Forbidden(Reach::Loopback))), "{got:?}");
    assert_eq!(names.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_told_so() {
    let got = get(&reacher(&names(&[&[]]), &[]), "http://nobody.example/", true).await;
    assert!(matches!(got, Err(Unreached::NoName(_))), "{got:?}");
    let many: Vec<String> = (0..=MOST).map(|n| format!("93.184.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let got = get(&reacher(&names(&[&many]), &[]), "http://many.example/", true).await;
    assert!(matches!(got, Err(Unreached::NoName(_))), "{got:?}");
}
