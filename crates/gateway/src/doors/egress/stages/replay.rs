//! Whether a call was here before.

use std::sync::atomic::Ordering;

use doorward_core::account::gcra::Ticks;
use doorward_core::account::replay::{self, AHEAD, Call, Refused, Reserved, WINDOW};
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::{Handshake, Net};
use doorward_core::wire::sphyr::code;
use doorward_store::Handshake as Kept;
use sha2::{Digest as _, Sha256};

use super::super::Egress;
use super::super::denied::Denial;
use super::super::sessions::Session;

/// How often handshakes that hold no more are forgotten on the disk, in milliseconds.
const SWEEP: Ticks = 60_000;

impl Egress {
    /// Whether a handshake was here before: whoever saw one go by must not fill the key's room for sessions with it, nor open one
    /// after a restart. It is on disk before it is answered.
    pub(in super::super) async fn first_wish(&self, asked: &Handshake, now: Millis) -> Result<(), Denial> {
        let of = ["audit_sess", &asked.key, &asked.agent, &asked.nonce, &asked.signature];
        let digest = digest(&of.map(str::as_bytes));
        let owner = self.of_handshakes(&asked.key);
        let call = Call { digest, alike: digest, owner, second: asked.time.seconds };
        // It stays taken.
        let taken = self.replays().reserve(&call, now).map(|_place| ());
        taken.map_err(|_| Denial::new(code::AUTH_FAILED, "this handshake was here before; sign another"))?;
        let kept = Kept { digest, key: asked.key.as_str().into(), second: asked.time.seconds };
        self.gateway.store().keep_handshake(kept).await.map_err(|error| {
            let message =
                format!("no session is opened: it cannot be kept that this handshake was here: {error}");
            Denial { retry_after: Some(1000), ..Denial::new(code::DB_OVERLOAD, message) }
        })?;
        self.sweep_handshakes(now / 1000);
        Ok(())
    }

    /// Knows handshakes again that earlier processes took, and the seconds of which they have forgotten any.
    pub(in super::super) fn remember(&self, kept: Vec<Kept>, forgotten: &[(u64, u64)]) {
        let mut replays = self.replays();
        forgotten.iter().for_each(|(first, last)| replays.forget_between(*first, *last));
        for Kept { digest, key, second } in kept {
            replays.restore(replay::Kept { digest, owner: self.of_handshakes(&key), second });
        }
    }

    /// Forgets on disk what has just been forgotten in memory, now and then.
    fn sweep_handshakes(&self, second: u64) {
        let (ticks, swept) = (self.ticks(), self.swept.load(Ordering::Relaxed));
        if ticks >= swept.saturating_add(SWEEP) || swept == 0 {
            self.swept.store(ticks.max(1), Ordering::Relaxed);
            let spans = self.replays().forgotten().to_vec();
            let within = (second.saturating_sub(WINDOW), second.saturating_add(AHEAD));
            self.gateway.store().forget_handshakes(within, spans);
        }
    }

    fn of_handshakes(&self, key: &str) -> u64 {
        self.digest(&["handshakes of", key])
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

#[cfg(test)]
mod tests {
    use doorward_core::wire::sphyr::call::Time;

    use super::super::super::Settings;
    use super::super::scene::{Scene, net, session};
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_is_here_once_for_its_session_signature_and_purpose() {
        let scene = Scene::with(Settings::default(), &[]);
        let (own, other) = (session(&scene.key, "one"), session(&scene.key, "two"));
        let now = scene.door.now();
        let call = net(now / 1000);
        let first = |net: &Net, session: &Session| {
            scene
                .door
                .first(net, session, now)
                .map_err(|denial| (denial.code.name, denial.retry_after.is_some()))
        };
        let place = first(&call, &own).unwrap();
        assert_eq!(first(&call, &own).err(), Some(("RATE_LIMITED", true)));
        assert!(first(&call, &other).is_ok());
        assert!(first(&Net { preflight: true, ..call.clone() }, &own).is_ok());
        assert!(first(&Net { signature: "1".repeat(64), ..call.clone() }, &own).is_ok());
        // Given back, it may come again.
        scene.door.replays().release(place);
        assert!(first(&call, &own).is_ok());
        assert_eq!(first(&net(now / 1000 - 400), &own).err(), Some(("SIG_EXPIRED", false)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_handshake_is_here_once_for_whoever_remembers_it() {
        let (scene, after) = (Scene::with(Settings::default(), &[]), Scene::with(Settings::default(), &[]));
        let now = scene.door.now();
        let wish = |nonce: &str| Handshake {
            key: scene.key.id.to_string(),
            agent: "a".into(),
            time: Time { text: String::new(), seconds: now / 1000 },
            nonce: nonce.into(),
            signature: "0".repeat(64),
        };
        assert!(scene.door.first_wish(&wish("1"), now).await.is_ok());
        let again = scene.door.first_wish(&wish("1"), now).await.unwrap_err();
        assert_eq!(again.code.name, "AUTH_FAILED");
        assert!(scene.door.first_wish(&wish("2"), now).await.is_ok());
        // As a process that begins finds it in the store.
        let of = ["audit_sess", &scene.key.id, "a", "1", &"0".repeat(64)];
        let kept = Kept {
            digest: digest(&of.map(str::as_bytes)),
            key: scene.key.id.as_ref().into(),
            second: now / 1000,
        };
        after.door.remember(vec![kept], &[]);
        assert!(after.door.first_wish(&wish("1"), now).await.is_err());
        assert!(after.door.first_wish(&wish("2"), now).await.is_ok());
    }

    #[test]
    fn no_two_lists_of_texts_have_one_digest() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a"]), digest(&[b"a", b""]));
    }
}
