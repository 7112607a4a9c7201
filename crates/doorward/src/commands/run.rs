//! `doorward run`: serve until told to stop.

use std::process::ExitCode;

use doorward_core::syntax::json::quoted;

use crate::cli::{Cli, RunArgs};
use crate::config::{self, Config};
use crate::serve::Running;
use crate::terminal::print;

/// Runs the command.
///
/// # Errors
/// Whatever keeps Doorward from starting, in the user's words.
pub fn run(cli: &Cli, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(config::home(cli.home.as_deref())?, args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = Running::start(&config).await?;
        let interrupted = interrupted()?;
        if args.json {
            announce_json(&running)
        } else if cli.verbosity() >= 0 {
            announce(&running, &config)
        }
        interrupted.await;
        running.end().await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn announce(running: &Running, config: &Config) {
    let [anthropic, openai, gemini] = running.base_urls();
    print(&format!(
        "doorward {} is up: agents at {}, you at {}, mode {}",
        env!("CARGO_PKG_VERSION"),
        running.data,
        running.control,
        running.gateway.mode().as_str()
    ));
    for (name, upstream) in &config.upstreams {
        let trust = if upstream.trusted { "trusted" } else { "not trusted" };
        print(&format!("  upstream {name}: {} at {}, {trust}", upstream.protocol.as_str(), upstream.url));
    }
    print(&format!("\nPoint the agent `{}` here:\n", config.agent));
    print(&format!("export ANTHROPIC_BASE_URL={anthropic}"));
    print(&format!("export OPENAI_BASE_URL={openai}"));
    print(&format!("export GOOGLE_GEMINI_BASE_URL={gemini}"));
    if running.gateway.store().signals().kill_set().all().is_some() {
        print("\nEverything is stopped at present (kill switch); `doorward resume --all` lets it run.");
    }
}

fn announce_json(running: &Running) {
    let [anthropic, openai, gemini] = running.base_urls();
    let text = |value: &str| String::from_utf8_lossy(&quoted(value)).into_owned();
    print(&format!(
        "{{\"data\":{},\"control\":{},\"mode\":{},\"anthropic_base_url\":{},\"openai_base_url\":{},\
         \"gemini_base_url\":{}}}",
        text(&running.data.to_string()),
        text(&running.control.to_string()),
        text(running.gateway.mode().as_str()),
        text(&anthropic),
        text(&openai),
        text(&gemini)
    ));
}

/// Ends at Ctrl-C, or when the system asks the process to end. Listens from the call on, not from the first
/// poll: who reads that Doorward is up may stop it at once, and that too is an orderly end.
///
/// # Errors
/// If the system's signals cannot be listened to.
pub fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
