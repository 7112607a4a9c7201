//! Connections that wait for their next exchange.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Connection;

/// How long a connection waits.
const IDLE: Duration = Duration::from_secs(60);

/// How many may wait.
const MOST: usize = 64;

/// The idle connections to one origin, the last used last.
#[derive(Debug)]
pub(crate) struct Pool<S>(Mutex<Vec<(Connection<S>, Instant)>>);

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pool<S> {
    /// A connection that is open and has nothing to say.
    pub fn take(&self) -> Option<Connection<S>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((mut connection, since)) = idle.pop() {
            if since.elapsed() < IDLE && connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn put(&self, connection: Connection<S>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // The first have waited longest.
        let expired = idle.iter().take_while(|(_, since)| now.duration_since(*since) >= IDLE).count();
        let full = (idle.len() + 1).saturating_sub(MOST);
        let dropped = expired.max(full).min(idle.len());
        idle.drain(..dropped);
        idle.push((connection, now));
    }
}
