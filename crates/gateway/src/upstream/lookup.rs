//! Names to addresses.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// Who knows which addresses a name has.
pub trait Lookup: Debug + Send + Sync {
    /// Every address of `name`, asked now. Names come in ASCII, in lower case and without a dot at their end.
    fn lookup<'a>(&'a self, name: &'a str) -> Answer<'a>;
}

/// What a [`Lookup`] will say.
pub type Answer<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// The operating system: its resolver, its hosts file.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Lookup for System {
    fn lookup<'a>(&'a self, name: &'a str) -> Answer<'a> {
        Box::pin(async move {
            // With the dot at its end a name is whole: no search domain of this machine is put behind it. The hosts file has
            // its names without.
            let whole = format!("{name}.");
            let found = if name.contains('.') { addresses(&whole).await } else { addresses(name).await };
            match found {
                Err(_) if name.contains('.') => addresses(name).await,
                found => found,
            }
        })
    }
}

async fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}
