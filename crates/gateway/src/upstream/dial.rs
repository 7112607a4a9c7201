//! Connecting. A dialer knows one origin and connects nowhere else, whatever a request says.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Origin, tls};

/// How long connecting may take, name lookup and TLS included.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects to one origin.
#[derive(Clone)]
pub struct Dialer {
    origin: Arc<Origin>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    /// A dialer for `origin`.
    ///
    /// # Errors
    /// In words, if TLS is wanted and cannot be set up.
    pub fn new(origin: &Origin) -> Result<Self, String> {
        let tls = origin.tls.then(tls::connector).transpose()?;
        Self::trusting(origin, tls)
    }

    /// A dialer with a TLS of its own.
    pub(super) fn trusting(origin: &Origin, tls: Option<TlsConnector>) -> Result<Self, String> {
        let name = || {
            ServerName::try_from(origin.host.clone())
                .map_err(|_| format!("`{}` cannot be the name in a certificate", origin.host))
        };
        let tls = tls.map(|connector| Ok::<_, String>((connector, name()?))).transpose()?;
        Ok(Self { origin: Arc::new(origin.clone()), tls })
    }

    /// Whether it is settled with each connection which version of HTTP it speaks.
    pub const fn negotiates(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects.
    pub async fn connect(&self) -> io::Result<Stream> {
        let connecting = async {
            let tcp = TcpStream::connect((self.origin.host.as_str(), self.origin.port)).await?;
            tcp.set_nodelay(true)?;
            Ok(match &self.tls {
                Some((connector, name)) => Stream::Tls(Box::new(connector.connect(name.clone(), tcp).await?)),
                None => Stream::Plain(tcp),
            })
        };
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(stream) => stream,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took longer than 15 s")),
        }
    }
}

/// A connection to an upstream.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether HTTP/2 was settled on with TLS.
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
