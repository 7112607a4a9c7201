//! Connections: accepted, bounded, ended.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_store::Token;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::desk::{Approver, Desk};
use crate::gate::Gate;
use crate::handle::{Shared, handle};

/// Most connections at one time.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection lives at most, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(45);

/// How long running requests are given when the listener is shut.
const GRACE: Duration = Duration::from_secs(5);

/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// How the control listener behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's token.
    pub operator: Token,
    /// Who its holder is in receipts.
    pub approver: Approver,
    /// Authorities (`host` or `host:port`) besides loopback under which people reach this listener.
    pub hosts: Vec<String>,
    /// How long the head of a request may take to arrive, and again its body; [`Settings::TIMEOUT`] is
    /// plenty for a person's tools.
    pub timeout: Duration,
}

impl Settings {
    /// Ten seconds.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

/// Serves `desk` on `listener` until `shutdown` is there, then lets running requests finish.
///
/// # Errors
/// If the listener has no address. A connection that cannot be accepted is logged and no error.
pub async fn serve<D: Desk>(
    listener: TcpListener,
    desk: Arc<D>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    let gate = Gate { operator: settings.operator, port, hosts: settings.hosts };
    let shared = Arc::new(Shared { desk, gate, approver: settings.approver, timeout: settings.timeout });
    let mut places = Places::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = places.tasks.join_next(), if !places.tasks.is_empty() => continue,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => places.take(Arc::clone(&shared), stream),
            Err(error) => {
                // Out of descriptors, or the peer has gone already: going on at once would spin.
                tracing::warn!(%error, "the control listener could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, async { while places.tasks.join_next().await.is_some() {} }).await;
    Ok(())
}

/// The connections there are, oldest first.
#[derive(Default)]
struct Places {
    tasks: JoinSet<()>,
    order: VecDeque<Place>,
}

struct Place {
    task: AbortHandle,
    /// Whether it has shown the operator's token.
    operator: Arc<AtomicBool>,
}

impl Places {
    fn take<D: Desk>(&mut self, shared: Arc<Shared<D>>, stream: TcpStream) {
        self.order.retain(|place| !place.task.is_finished());
        if self.order.len() >= MAX_CONNECTIONS {
            self.make_room();
        }
        let operator = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(connection(shared, stream, Arc::clone(&operator)));
        self.order.push_back(Place { task, operator });
    }

    /// Ends the oldest connection of a stranger, or of anybody if there are no strangers. An agent that
    /// holds all places with silent connections would otherwise lock the operator out for as long as it
    /// likes.
    fn make_room(&mut self) {
        let stranger = self.order.iter().position(|place| !place.operator.load(Ordering::Relaxed));
        if let Some(place) = self.order.remove(stranger.unwrap_or(0)) {
            place.task.abort();
            tracing::debug!("the control listener is full: its oldest connection was ended");
        }
    }
}

async fn connection<D: Desk>(shared: Arc<Shared<D>>, stream: TcpStream, operator: Arc<AtomicBool>) {
    let head_timeout = shared.timeout;
    let service = service_fn(move |request| {
        let (shared, operator) = (Arc::clone(&shared), Arc::clone(&operator));
        async move {
            let admitted = move || operator.store(true, Ordering::Relaxed);
            Ok::<_, Infallible>(handle(shared, request, admitted).await)
        }
    });
    // One request per connection: nothing is left over that a second reader could take for a request.
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a control connection broke"),
        Err(_) => tracing::debug!("a control connection took too long"),
    }
}
