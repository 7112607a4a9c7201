//! Connecting to a place that a request names, once it is judged.
//!
//! A name is asked for once, every address it has is looked at, and one of those is dialled: what was looked at is what is
//! connected to, whatever the name says a moment later (DNS rebinding). One address that may not be reached refuses them
//! all: which of several a client takes is up to it, and who mixes them means that.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::url::{Host, Reach, Url};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::dial::Stream;
use super::lookup::Lookup;
use super::{UpstreamBody, h1, tls};
use crate::forward::Key;

/// How long finding the addresses of a name may take.
const NAMES: Duration = Duration::from_secs(5);

/// How long connecting to one address may take, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);

/// The most addresses of one name that are looked at, and the most that are tried.
const MOST: usize = 64;
const TRIED: usize = 4;

/// How long a connection may have waited over which a request goes that must not be sent twice. Should the other side close it at that
/// moment, nobody could tell whether the request was seen; few servers close what they have used within a second (gunicorn waits 2 s,
/// Node and uvicorn 5).
const FRESH: Duration = Duration::from_secs(1);

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    tls: bool,
    host: Host<'static>,
    port: u16,
}

impl Place {
    /// The place of `url`; `None` unless it is of `http` or `https`.
    #[must_use]
    pub fn of(url: &Url<'_>) -> Option<Self> {
        let tls = match url.scheme.as_deref() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        Some(Self { tls, host: url.host.clone().into_owned(), port: url.port? })
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.tls
    }

    /// The name for the certificate.
    fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Name(name) => ServerName::try_from(name.to_string()).ok(),
            Host::Ip(ip) => Some(ServerName::IpAddress((*ip).into())),
        }
    }
}

/// Why a request did not get an answer.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// The name has no address, or nobody says which.
    #[error("the name leads to no address: {0}")]
    NoName(String),
    /// The name leads to an address that may not be reached.
    #[error("the name leads to an address that is {}", .0.as_str())]
    Forbidden(Reach),
    /// It leads to Doorward itself.
    #[error("it leads to Doorward itself")]
    Ourselves,
    /// Nobody answers there, or not as they should.
    #[error("it cannot be reached: {0}")]
    Connect(io::Error),
    /// The exchange broke off: the request may have been seen.
    #[error("the exchange broke off: {0}")]
    Exchange(String),
}

/// Under which terms a request goes.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// A rule of the operator allows this place by name, so that its addresses need not be public.
    pub anywhere: bool,
    /// Over which connections; without it, over one of its own.
    pub keep: Option<Keep<'a>>,
}

/// Whose connections may be used, and kept.
#[derive(Clone, Copy)]
pub(crate) struct Keep<'a> {
    /// The session.
    pub whose: &'a Arc<str>,
    /// Whether what allowed the request still does. Asked before it is sent once more.
    pub still: &'a (dyn Fn() -> bool + Send + Sync),
}

/// Connects to places.
#[derive(Clone)]
pub struct Reacher {
    names: Arc<dyn Lookup>,
    /// Our own listeners.
    own: Arc<[SocketAddr]>,
    tls: TlsConnector,
    /// Connections that wait for another request of those they are of.
    kept: Arc<h1::Pool<Stream>>,
}

impl std::fmt::Debug for Reacher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reacher").field("names", &self.names).field("own", &self.own).finish_non_exhaustive()
    }
}

impl Reacher {
    /// One that asks `names`, and never connects to `own`.
    ///
    /// # Errors
    /// In words, if the system's certificates cannot be read.
    pub fn new(names: Arc<dyn Lookup>, own: &[SocketAddr]) -> Result<Self, String> {
        Ok(Self::trusting(names, own, tls::connector_for_http1()?))
    }

    /// One with a TLS of its own.
    pub(crate) fn trusting(names: Arc<dyn Lookup>, own: &[SocketAddr], tls: TlsConnector) -> Self {
        Self { names, own: own.into(), tls, kept: Arc::default() }
    }

    /// Sends a request to `place` and waits for the head of its reply.
    ///
    /// A kept connection changes nothing of who is asked and looked at: it is used if it leads to one of the addresses that the
    /// name has now. If it turns out to have ended, the request goes over a new one, once, unless it may have been seen and must
    /// not be sent twice.
    ///
    /// # Errors
    /// [`Unreached`].
    pub(crate) async fn send(
        &self,
        place: &Place,
        Terms { anywhere, keep }: Terms<'_>,
        (head, body): (&http::request::Parts, &Bytes),
        _: Key,
    ) -> Result<http::Response<UpstreamBody>, Unreached> {
        let addresses = self.checked(place, anywhere).await?;
        let (bodyless, repeatable) = (head.method == http::Method::HEAD, is_repeatable(head));
        let head = h1::request_head(head, body.len());
        let pool = keep.map(|_| &self.kept);
        if let Some(keep) = keep
            && let Some(connection) = self.kept(place, keep.whose, &addresses, repeatable)
        {
            match connection.exchange(&head, body, bodyless, pool).await {
                Err(error) if error.may_be_sent_again(repeatable) && (keep.still)() => {}
                reply => return answered(reply),
            }
        }
        // Boxed: rarer than the other, and larger.
        let (stream, address) = Box::pin(self.connect(place, addresses)).await?;
        let connection = match keep {
            Some(Keep { whose, .. }) => {
                let lane = h1::Lane { whose: Arc::clone(whose), place: place.clone(), address };
                h1::Connection::on(stream, lane)
            }
            None => h1::Connection::new(stream),
        };
        answered(connection.exchange(&head, body, bodyless, pool).await)
    }

    /// Looks at every address of `place`, as for a request that goes there, and connects to none.
    ///
    /// # Errors
    /// [`Unreached`]: the request would not get there.
    pub(crate) async fn look(&self, place: &Place, anywhere: bool, _: Key) -> Result<(), Unreached> {
        self.checked(place, anywhere).await.map(|_| ())
    }

    /// Every address of `place`, if all of them may be reached.
    async fn checked(&self, place: &Place, anywhere: bool) -> Result<Vec<IpAddr>, Unreached> {
        let addresses = self.addresses(&place.host).await?;
        self.check(&addresses, place.port, anywhere)?;
        Ok(addresses)
    }

    /// A connection to one of `addresses` that waits for a request like this.
    fn kept(
        &self,
        place: &Place,
        whose: &Arc<str>,
        addresses: &[IpAddr],
        repeatable: bool,
    ) -> Option<h1::Connection<Stream>> {
        let longest = if repeatable { h1::IDLE } else { FRESH };
        self.kept.take(longest, |lane| {
            lane.is_some_and(|lane| {
                lane.whose == *whose && lane.place == *place && addresses.contains(&lane.address)
            })
        })
    }

    /// A connection to one of `addresses`, and to which.
    async fn connect(&self, place: &Place, addresses: Vec<IpAddr>) -> Result<(Stream, IpAddr), Unreached> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.into_iter().take(TRIED) {
            match tokio::time::timeout(CONNECTING, self.dial(place, address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(Unreached::Connect(error))) => failed = error,
                Ok(Err(other)) => return Err(other),
                Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"),
            }
        }
        Err(Unreached::Connect(failed))
    }

    /// Every address of `host`.
    async fn addresses(&self, host: &Host<'_>) -> Result<Vec<IpAddr>, Unreached> {
        let name = match host {
            Host::Ip(ip) => return Ok(vec![*ip]),
            Host::Name(name) => name,
        };
        let none = |why: &str| Err(Unreached::NoName(why.to_owned()));
        match tokio::time::timeout(NAMES, self.names.lookup(name)).await {
            Err(_) => none("nobody answered in 5 s"),
            Ok(Err(error)) => none(&error.to_string()),
            Ok(Ok(found)) if found.is_empty() => none("it has none"),
            Ok(Ok(found)) if found.len() > MOST => none("it has too many"),
            Ok(Ok(found)) => Ok(found),
        }
    }

    /// Whether all of `addresses` may be reached. What a cloud tells a machine of its credentials may never be, and neither
    /// may we.
    fn check(&self, addresses: &[IpAddr], port: u16, anywhere: bool) -> Result<(), Unreached> {
        for ip in addresses {
            let reach = Reach::of(*ip);
            if self.is_ours(*ip, port) {
                return Err(Unreached::Ourselves);
            }
            if reach == Reach::Metadata || reach != Reach::Public && !anywhere {
                return Err(Unreached::Forbidden(reach));
            }
        }
        Ok(())
    }

    /// Whether one of our listeners hears what comes to `ip` and `port`, as far as the address says so.
    fn is_ours(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        let hears = |own: &SocketAddr| {
            own.port() == port && (own.ip().to_canonical() == ip || ip.is_unspecified() || ip.is_loopback())
        };
        self.own.iter().any(hears)
    }

    async fn dial(&self, place: &Place, ip: IpAddr) -> Result<Stream, Unreached> {
        let tcp = TcpStream::connect((ip, place.port)).await.map_err(Unreached::Connect)?;
        if self.reached_ourselves(&tcp) {
            return Err(Unreached::Ourselves);
        }
        tcp.set_nodelay(true).map_err(Unreached::Connect)?;
        if !place.tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = place.server_name();
        let name = name.ok_or_else(|| Unreached::NoName("it cannot stand in a certificate".to_owned()))?;
        let stream = self.tls.connect(name, tcp).await.map_err(Unreached::Connect)?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Whether a connection ends on this machine, at one of our ports: an address of an interface that nobody told us of.
    fn reached_ourselves(&self, tcp: &TcpStream) -> bool {
        let (Ok(here), Ok(there)) = (tcp.local_addr(), tcp.peer_addr()) else { return true };
        here.ip() == there.ip() && self.own.iter().any(|own| own.port() == there.port())
    }
}

/// Whether doing it twice is as good as once (RFC 9110, 9.2.2), and nobody asked that it be done at most once.
fn is_repeatable(head: &http::request::Parts) -> bool {
    head.method.is_idempotent() && !head.headers.contains_key("idempotency-key")
}

fn answered(
    reply: Result<http::Response<h1::Body<Stream>>, h1::Error>,
) -> Result<http::Response<UpstreamBody>, Unreached> {
    let reply = reply.map_err(|error| Unreached::Exchange(error.to_string()))?;
    Ok(reply.map(UpstreamBody::H1))
}

#[cfg(test)]
mod tests;
