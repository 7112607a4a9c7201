//! Names to addresses.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;

use tokio::sync::Semaphore;

mod hosts;

/// How many names the operating system is asked for at once. Each takes a thread until it answers, which names that nobody
/// answers for make last; there are as many threads for everything else.
const ASKED: usize = 128;

/// Who knows which addresses a name has.
pub trait Lookup: Debug + Send + Sync {
    /// Every address of `name`, asked now. Names come in ASCII, in lower case and without a dot at their end.
    fn lookup<'a>(&'a self, name: &'a str) -> Answer<'a>;
}

/// What a [`Lookup`] will say.
pub type Answer<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// The operating system: its hosts file, its resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Lookup for System {
    fn lookup<'a>(&'a self, name: &'a str) -> Answer<'a> {
        static ASKING: Semaphore = Semaphore::const_new(ASKED);
        let name = name.to_owned();
        Box::pin(async move {
            let place = ASKING.acquire().await.map_err(io::Error::other)?;
            let asked = tokio::task::spawn_blocking(move || {
                // Until it has answered, whoever waits for it or not.
                let _place = place;
                through(&name, hosts::of, resolved)
            });
            asked.await.map_err(io::Error::other)?
        })
    }
}

/// With the dot at its end a name is whole: no search domain of this machine is put behind it, so that nobody is asked for
/// another name than the one that was judged. The hosts file has its names without.
pub(super) fn through(
    name: &str,
    hosts: impl Fn(&str) -> Vec<IpAddr>,
    resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
) -> io::Result<Vec<IpAddr>> {
    if !name.contains('.') {
        return resolve(name);
    }
    let known = hosts(name);
    if known.is_empty() { resolve(&format!("{name}.")) } else { Ok(known) }
}

fn resolved(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}
