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
            // With the dot at its end a name is whole: no search domain of this machine is put behind it.
            let whole = format!("{name}.");
            let found = tokio::net::lookup_host((whole.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
