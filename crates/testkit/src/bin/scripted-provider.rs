//! The scripted provider as a program, for tests in other languages.
//!
//! `scripted-provider [ADDRESS]` (default `127.0.0.1:0`) prints its base URL as its first line, then serves
//! until it is killed.

use std::io::{self, Write};
use std::net::SocketAddr;

use doorward_testkit::Provider;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let provider = Provider::start(address).await?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", provider.url())?;
        out.flush()?;
        drop(out);
        provider.wait().await;
        Ok(())
    })
}
