//! What nobody is to see: read from standard input, or typed without being shown.

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use zeroize::Zeroizing;

use crate::terminal::{config_error, say};

/// Whether a person types on standard input.
pub fn is_typed() -> bool {
    std::io::stdin().is_terminal()
}

/// A text of at most `longest` bytes and somewhat more, without its line end. `ask` is said to a person who types.
///
/// # Errors
/// If it cannot be read, is no text, or could be seen while it is typed.
pub fn read(ask: &str, longest: usize) -> anyhow::Result<Zeroizing<String>> {
    let stdin = std::io::stdin();
    let unseen = stdin.is_terminal().then(Unseen::new).transpose()?;
    // One allocation, so that no outgrown buffer is given back unwiped.
    let most = longest + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    if unseen.is_some() {
        say(ask);
        let mut line = Zeroizing::new(String::with_capacity(most));
        stdin.read_line(&mut line).context("cannot read the value")?;
        bytes.extend_from_slice(line.as_bytes());
    } else {
        stdin.lock().take(most as u64).read_to_end(&mut bytes).context("cannot read the value")?;
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| config_error("the value is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(text.to_owned()))
}

/// While it lives, a terminal does not show what is typed.
struct Unseen {
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl Unseen {
    #[cfg(unix)]
    fn new() -> anyhow::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).context("cannot ask without showing what is typed")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)
            .context("cannot ask without showing what is typed")?;
        Ok(Self { before })
    }

    #[cfg(not(unix))]
    fn new() -> anyhow::Result<Self> {
        anyhow::bail!("on this system the value cannot be typed unseen; give it on standard input")
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = rustix::termios::tcsetattr(
            std::io::stdin(),
            rustix::termios::OptionalActions::Flush,
            &self.before,
        );
    }
}
