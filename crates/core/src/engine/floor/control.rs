//! The control listener: for people, never for an agent.

use super::Case;
use crate::action::Target;
use crate::detect::address::{Host, authority};

/// The listener, as it is compared.
#[derive(Debug)]
pub(super) struct Control {
    host: Host,
    port: u16,
    digits: String,
}

/// Ports that other programs use as well: there, only this machine is meant.
const SHARED_PORTS: [u16; 8] = [3000, 5000, 8000, 8008, 8080, 8443, 8888, 9000];

impl Control {
    pub(super) fn new(listener: &str) -> Option<Self> {
        let authority = authority(listener)?;
        let port = authority.port?;
        Some(Self { host: authority.host, port, digits: port.to_string() })
    }

    pub(super) fn is_reached(&self, case: &Case<'_>) -> bool {
        let by_target = case.effects.iter().any(|effect| match &effect.target {
            Target::Url(text) | Target::Host(text) => self.is_at(text),
            _ => false,
        });
        by_target || case.loose_text().any(|text| self.is_in_code(text))
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

    fn is_in_code(&self, text: &str) -> bool {
        let here = ["localhost", "127.", "0.0.0.0", "::1", "0x7f", "2130706433"];
        self.stands_in(text) && here.iter().any(|name| text.contains(name))
    }

    /// Whether the port stands in `text` as a number of its own.
    fn stands_in(&self, text: &str) -> bool {
        text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == self.digits)
    }
}
