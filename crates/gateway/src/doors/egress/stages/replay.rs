//! Whether a call was here before.

use doorward_core::account::replay::{Call, Refused, Reserved};
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::{Handshake, Net};
use doorward_core::wire::sphyr::code;
use sha2::{Digest as _, Sha256};

use super::super::Egress;
use super::super::denied::Denial;
use super::super::sessions::Session;

impl Egress {
    /// Whether a handshake was here before: whoever saw one go by must not fill the key's room for sessions with it.
    pub(in super::super) fn first_wish(&self, asked: &Handshake, now: Millis) -> Result<(), Denial> {
        let of = ["audit_sess", &asked.key, &asked.agent, &asked.nonce, &asked.signature];
        let digest = digest(&of.map(str::as_bytes));
        let owner = self.digest(&["handshakes of", &asked.key]);
        let call = Call { digest, alike: digest, owner, second: asked.time.seconds };
        match self.replays().reserve(&call, now) {
            // It stays taken.
            Ok(_place) => Ok(()),
            Err(_) => Err(Denial::new(code::AUTH_FAILED, "this handshake was here before; sign another")),
        }
    }

    /// The place of `net` among the calls that passed, or what is wrong with it.
    pub(in super::super) fn first(
        &self,
        net: &Net,
        session: &Session,
        now: Millis,
    ) -> Result<Reserved, Denial> {
        let preflight = if net.preflight { "preflight" } else { "" };
        let call = Call {
            digest: digest(&[session.token.as_bytes(), net.signature.as_bytes(), preflight.as_bytes()]),
            alike: digest(&[
                session.token.as_bytes(),
                net.url.as_bytes(),
                net.method.as_bytes(),
                &net.body,
                net.category.as_bytes(),
                preflight.as_bytes(),
            ]),
            owner: self.digest(&["key", &session.key]),
            second: net.time.seconds,
        };
        self.replays().reserve(&call, now).map_err(|refused| {
            let (message, wait) = match refused {
                Refused::Stale | Refused::Early => {
                    return Denial::new(code::SIG_EXPIRED, "it was signed too long ago, or too far ahead");
                }
                Refused::Seen { retry_after_ms } => {
                    ("this very call was here before; sign it again in another second", retry_after_ms)
                }
                Refused::Full { retry_after_ms } => {
                    ("more calls came within the last minutes than are remembered", retry_after_ms)
                }
            };
            Denial { retry_after: Some(wait.max(1)), ..Denial::new(code::RATE_LIMITED, message) }
        })
    }
}

/// A digest of texts, each with its length before it.
fn digest(texts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    half
}
