//! Whether a call is signed by the key of its session.

use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::code;
use doorward_core::wire::sphyr::sign::Signed;

use super::super::denied::Denial;
use super::super::keys::Key;
use super::super::sessions::Session;

/// What is wrong with the signature of `net`.
pub fn check(net: &Net, session: &Session, key: &Key) -> Result<(), Denial> {
    let signed = Signed {
        nonce: &session.nonce,
        time: &net.time.text,
        url: &net.url,
        method: &net.method,
        body: net.body.as_bytes(),
        headers: &net.headers,
        category: &net.category,
        trace: &net.trace,
    };
    if key.signed(&signed.payload(key.form), &net.signature) {
        return Ok(());
    }
    Err(Denial::new(code::SIG_INVALID, "the signature is not that of this call"))
}
