//! Signed proofs that a call was refused, as the SDK checks them: Ed25519 (RFC 8032) over compact JSON, by a key of its own.
//! What is proven beyond a refusal stands in the ledger; the receipt's id leads there.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_core::session::Millis;
use doorward_core::syntax::Object;
use doorward_ledger::SigningKey;
use doorward_store::Secret32;
use sha2::{Digest as _, Sha256};

use super::denied::Denial;

/// The name of the key in proofs.
const KID: &str = "doorward-denials-1";

/// What stands before the 32 bytes of a public key in its usual wrapping (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs refusals.
#[derive(Debug)]
pub struct Proofs {
    key: SigningKey,
    public: String,
    url: String,
}

impl Proofs {
    /// A signer with the key of this `seed`; `url` is where its public half is found. `None` never: any seed makes a key.
    pub fn new(seed: &Secret32, url: String) -> Option<Self> {
        let key = SigningKey::from_seed(KID, seed.expose()).ok()?;
        let public = STANDARD.encode([&SPKI[..], &key.public().bytes()[..]].concat());
        Some(Self { key, public, url })
    }

    /// The proof of a refusal of a call in a session, as JSON.
    pub fn prove(&self, denial: &Denial, receipt: &str, now: Millis) -> Option<Vec<u8>> {
        let session = denial.session.as_deref()?;
        let payload = Object::new()
            .text("block_reason", denial.code.name)
            .text("kid", KID)
            .text("request_id", receipt)
            .text("session_id", &session_id(session))
            .number("timestamp", now / 1000)
            .end();
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(&payload));
        let proof = Object::new()
            .raw("payload", &payload)
            .text("sig", &signature)
            .text("public_key", &self.public)
            .text("key_url", &self.url);
        Some(proof.end())
    }

    /// The public half, as JSON.
    pub fn published(&self) -> Vec<u8> {
        Object::new().text("kid", KID).text("alg", "Ed25519").text("public_key", &self.public).end()
    }
}

/// What a session is called where others read it: its token is for its owner.
fn session_id(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("sess_{hex}")
}
