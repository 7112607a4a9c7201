//! The control listener: for people, never for an agent.

use super::Case;
use super::commands::base_name;
use crate::action::Target;
use crate::action::shell::Word;
use crate::url::{Host, authority};

/// The listener, as it is compared.
#[derive(Debug)]
pub(super) struct Control {
    host: Host<'static>,
    port: u16,
    digits: String,
}

/// Ports that other programs use as well: there, only this machine is meant.
const SHARED_PORTS: [u16; 8] = [3000, 5000, 8000, 8008, 8080, 8443, 8888, 9000];

/// Programs that make a port of this machine reachable from elsewhere.
const TUNNELS: [&str; 9] =
    ["ngrok", "cloudflared", "localtunnel", "lt", "bore", "tailscale", "frpc", "chisel", "zrok"];

/// Programs whose words are only said or looked for.
const SAYING: [&str; 9] = ["echo", "printf", "grep", "rg", "egrep", "ag", "git", "gh", "sed"];

fn is_here(value: &str) -> bool {
    authority(value).is_some_and(|authority| authority.host.is_this_machine())
}

impl Control {
    pub(super) fn new(listener: &str) -> Option<Self> {
        let authority = authority(listener)?;
        let port = authority.port?;
        Some(Self { host: authority.host.into_owned(), port, digits: port.to_string() })
    }

    pub(super) fn is_reached(&self, case: &Case<'_>) -> bool {
        let by_target = case.effects.iter().any(|effect| match &effect.target {
            Target::Url(text) | Target::Host(text) => self.is_at(text),
            _ => false,
        });
        let by_words = case.readings.iter().flat_map(|reading| &reading.commands).any(|command| {
            let name = command.argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
            !SAYING.contains(&name.as_str()) && self.is_named(&name, &command.argv)
        });
        // `{"host":"localhost","port":7879}`
        let port = case.arguments.iter().any(|(key, value)| key.contains("port") && *value == self.digits);
        let here = || case.arguments.iter().any(|(_, value)| is_here(value));
        by_target || port && here() || by_words || case.loose_text().any(|text| self.is_in_code(text))
    }

    fn is_at(&self, text: &str) -> bool {
        let Some(authority) = authority(text) else {
            // Userinfo, an unknown piece, an odd byte: the port has to tell.
            return self.stands_in(text);
        };
        if authority.port != Some(self.port) {
            return false;
        }
        // A name may point here as well as an address; on a port that is ours alone it is taken to.
        let ours_alone = self.port >= 1024 && !SHARED_PORTS.contains(&self.port);
        ours_alone || authority.host.is_this_machine() || authority.host == self.host
    }

    /// `ssh -L 9000:localhost:7879 …`, `curl -x 127.0.0.1:7879 …`, `ngrok http 7879`
    fn is_named(&self, name: &str, argv: &[Word]) -> bool {
        let tunnels = TUNNELS.contains(&name);
        argv.iter().skip(1).any(|word| {
            let text = word.text.as_str();
            let plain = text.len() < 256 && !text.contains(['\n', ' ']);
            plain && (self.is_in_code(text) || tunnels && self.stands_in(text))
        })
    }

    fn is_in_code(&self, text: &str) -> bool {
        let here = ["localhost", "127.", "0.0.0.0", "::1", "0x7f", "2130706433"];
        self.stands_in(text) && here.iter().any(|name| text.contains(name))
    }

    /// Whether the port stands in `text` as a number of its own.
    fn stands_in(&self, text: &str) -> bool {
        text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == self.digits)
    }
}
