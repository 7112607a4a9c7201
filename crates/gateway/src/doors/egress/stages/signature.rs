//! Whether a call is signed by the key of its session.

use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::code;
use doorward_core::wire::sphyr::sign::Signed;

use doorward_store::accounts::Key;

use super::super::denied::Denial;
use super::super::keys;
use super::super::sessions::Session;

/// What is wrong with the signature of `net`.
pub fn check(net: &Net, session: &Session, key: &Key, now: Millis) -> Result<(), Denial> {
    // In any order: they are sorted before they are signed.
    let lines: Vec<_> = net.headers.iter().chain(&net.framing).cloned().collect();
    let signed = Signed {
        nonce: &session.nonce,
        time: &net.time.text,
        url: &net.url,
        method: &net.method,
        body: &net.body,
        headers: &lines,
        category: &net.category,
        trace: &net.trace,
    };
    if keys::signed(key, &signed.payload(keys::form(key)), &net.signature, now) {
        return Ok(());
    }
    Err(Denial::new(code::SIG_INVALID, "the signature is not that of this call"))
}
