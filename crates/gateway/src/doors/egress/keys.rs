//! What a key of the store is to this door.

use doorward_core::session::Millis;
use doorward_core::wire::sphyr::sign::{Form, verifies};
use doorward_store::accounts::{Key, KeyState, Signature};

/// Whether `signature` is that of `payload` by one of the secrets that the key has at `now`.
pub(super) fn signed(key: &Key, payload: &[u8], signature: &str, now: Millis) -> bool {
    // All of them, so that time does not tell which.
    let fits = key.secrets(now).filter(|secret| verifies(secret.as_bytes(), payload, signature));
    fits.count() > 0
}

/// How its calls are signed.
pub(super) const fn form(key: &Key) -> Form {
    match key.settings.signature {
        Signature::LengthPrefixed => Form::Lengths,
        Signature::EightPart => Form::Colons,
    }
}

/// Why it may not be used, in words.
pub(super) fn stopped(key: &Key) -> Option<String> {
    match key.state {
        KeyState::Active => None,
        state => Some(format!("the key is {}", state.as_str())),
    }
}
