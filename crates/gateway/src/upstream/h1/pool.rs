//! Connections that wait for their next exchange.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Connection;
use crate::upstream::Place;

/// How long a connection waits.
pub(in crate::upstream) const IDLE: Duration = Duration::from_secs(60);

/// How old one may be that waits again: its certificate was looked at when it was made.
const OLDEST: Duration = Duration::from_secs(600);

/// How many may wait on one lane, and how many altogether.
const EACH: usize = 64;
const ALL: usize = 256;

/// Whose a connection is and where it leads. Only what is on the same lane goes over it: bytes that a server takes for the beginning
/// of the next request, or for whose they are what a connection has shown before (RFC 9110, 3.7 has no such state; servers do),
/// are then nobody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Lane {
    /// The session whose requests go over it.
    pub whose: Arc<str>,
    /// Scheme, name and port: what its certificate was looked at for.
    pub place: Place,
    /// What was connected to.
    pub address: IpAddr,
}

/// The idle connections, the last used last.
#[derive(Debug)]
pub(crate) struct Pool<S> {
    waiting: Mutex<Waiting<S>>,
    /// How long each waits.
    idle: Duration,
    /// How old one may be that waits again.
    oldest: Duration,
}

#[derive(Debug)]
struct Waiting<S> {
    idle: VecDeque<(Connection<S>, Instant)>,
    /// Whether there is a task that lets go of those that have waited too long.
    swept: bool,
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self::lasting(IDLE, OLDEST)
    }
}

impl<S> Pool<S> {
    fn lasting(idle: Duration, oldest: Duration) -> Self {
        let waiting = Mutex::new(Waiting { idle: VecDeque::new(), swept: false });
        Self { waiting, idle, oldest }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<S>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what has waited too long; returns when the next will have.
    fn sweep(&self) -> Option<Instant> {
        let mut waiting = self.waiting();
        let expired = waiting.idle.iter().take_while(|(_, since)| since.elapsed() >= self.idle).count();
        drop(waiting.idle.drain(..expired));
        let next = waiting.idle.front().map(|(_, since)| *since + self.idle);
        waiting.swept = next.is_some();
        next
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pool<S> {
    /// A connection that is open, has nothing to say, and has not waited longer than `longest`, of those that `fit`.
    pub fn take(&self, longest: Duration, fits: impl Fn(Option<&Lane>) -> bool) -> Option<Connection<S>> {
        let mut waiting = self.waiting();
        loop {
            let idle = waiting.idle.iter().enumerate().rev();
            let (at, since) = idle
                .filter(|(_, (connection, _))| fits(connection.lane.as_ref()))
                .map(|(at, (_, since))| (at, *since))
                .next()?;
            if since.elapsed() >= longest.min(self.idle) {
                // The others have waited longer still.
                return None;
            }
            let (mut connection, _) = waiting.idle.remove(at)?;
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }
}

impl<S: Send + 'static> Pool<S> {
    /// Lets a connection wait. The one that has waited longest goes if there are too many.
    pub(super) fn put(self: &Arc<Self>, connection: Connection<S>) {
        if connection.made.elapsed() >= self.oldest {
            return;
        }
        let mut waiting = self.waiting();
        let idle = &mut waiting.idle;
        let alike = |(other, _): &(Connection<S>, Instant)| other.lane == connection.lane;
        if idle.iter().filter(|other| alike(other)).count() >= EACH
            && let Some(at) = idle.iter().position(alike)
        {
            idle.remove(at);
        } else if idle.len() >= ALL {
            idle.pop_front();
        }
        idle.push_back((connection, Instant::now()));
        if !waiting.swept
            && let Ok(runtime) = Handle::try_current()
        {
            waiting.swept = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Lets go of connections as they have waited too long, until none waits.
async fn sweep<S>(pool: Weak<Pool<S>>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.sweep()) {
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    fn lane(whose: &str, port: u16) -> Lane {
        let url = format!("https://a.example:{port}/");
        let place = Place::of(&doorward_core::url::Url::parse(&url).unwrap()).unwrap();
        Lane { whose: whose.into(), place, address: IpAddr::from([127, 0, 0, 1]) }
    }

    /// A pool in which `count` connections wait on each lane, with their other ends.
    fn pool(lanes: &[Lane], count: usize) -> (Arc<Pool<DuplexStream>>, Vec<DuplexStream>) {
        let (pool, mut others) = (Arc::<Pool<_>>::default(), Vec::new());
        for _ in 0..count {
            for lane in lanes {
                let (ours, theirs) = duplex(64);
                pool.put(Connection::on(ours, lane.clone()));
                others.push(theirs);
            }
        }
        (pool, others)
    }

    fn count(pool: &Pool<DuplexStream>) -> usize {
        pool.waiting().idle.len()
    }

    #[tokio::test]
    async fn only_what_is_on_the_lane_goes_over_a_connection() {
        let (one, other, port) = (lane("a", 443), lane("b", 443), lane("a", 8443));
        let elsewhere = Lane { address: IpAddr::from([127, 0, 0, 2]), ..one.clone() };
        let (pool, _others) = pool(std::slice::from_ref(&one), 1);
        for another in [&other, &port, &elsewhere] {
            assert!(pool.take(IDLE, |lane| lane == Some(another)).is_none(), "{another:?}");
        }
        assert!(pool.take(IDLE, |lane| lane == Some(&one)).is_some());
        assert!(pool.take(IDLE, |lane| lane == Some(&one)).is_none());
    }

    #[tokio::test]
    async fn each_lane_and_all_together_are_bounded() {
        let (one, _others) = pool(&[lane("a", 443)], EACH + 3);
        assert_eq!(count(&one), EACH);
        let many: Vec<Lane> = (1..=100).map(|port| lane("a", port)).collect();
        let (all, _others) = pool(&many, 4);
        assert_eq!(count(&all), ALL);
        // The last used are those that stay.
        assert!(all.take(IDLE, |lane| lane == many.last()).is_some());
    }

    #[tokio::test]
    async fn what_waits_too_long_is_let_go_without_being_asked_for() {
        let pool = Arc::new(Pool::lasting(Duration::from_millis(20), OLDEST));
        let (ours, _theirs) = duplex(64);
        pool.put(Connection::new(ours));
        assert!(pool.waiting().swept);
        while count(&pool) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!pool.waiting().swept);
    }

    #[tokio::test]
    async fn what_has_waited_longer_than_is_asked_for_stays_for_others() {
        let (pool, _others) = pool(&[lane("a", 443)], 2);
        assert!(pool.take(Duration::ZERO, |_| true).is_none());
        assert!(pool.take(IDLE, |_| true).is_some());
        assert_eq!(count(&pool), 1);
    }

    #[tokio::test]
    async fn no_connection_is_used_for_ever() {
        let pool = Arc::new(Pool::lasting(IDLE, Duration::ZERO));
        let (ours, _theirs) = duplex(64);
        pool.put(Connection::new(ours));
        assert_eq!(count(&pool), 0);
    }
}
