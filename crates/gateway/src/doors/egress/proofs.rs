//! Signed proofs that a call was refused, as the SDK checks them: Ed25519 (RFC 8032) over compact JSON, by a key of its own.
//! What is proven beyond a refusal stands in the ledger; the receipt's id leads there.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_core::session::Millis;
use doorward_core::syntax::hex;
use doorward_core::syntax::{Node, Object, json};
use doorward_core::wire::sphyr::code;
use doorward_ledger::SigningKey;
use doorward_store::Secret32;
use http::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::denied::Denial;
use super::mcp::status;
use super::plain::name_receipt;
use super::{Caller, Egress};
use crate::answer::Body;
use crate::doors::body::counted_body;
use crate::incoming::Incoming;

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

    /// Whether `proof` is ours: a JSON object as [`prove`](Self::prove) makes it. Only our own key counts; what a proof
    /// says of its key tells nothing but that it is another's.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, proof: &Node) -> Result<(), NotOurs> {
        let key = proof.text("public_key").filter(|key| !key.is_empty()).ok_or(NotOurs::MissingPublicKey)?;
        let bytes = STANDARD.decode(key).map_err(|_| NotOurs::MalformedKey)?;
        if bytes.len() != SPKI.len() + 32 || !bytes.starts_with(&SPKI) {
            return Err(NotOurs::MalformedKey);
        }
        if key != self.public {
            return Err(NotOurs::KeyMismatch);
        }
        let signature =
            proof.text("sig").and_then(|sig| URL_SAFE_NO_PAD.decode(sig.trim_end_matches('=')).ok());
        let signature: Option<[u8; 64]> = signature.and_then(|bytes| bytes.try_into().ok());
        let (signature, payload) =
            signature.zip(proof.get("payload").and_then(payload)).ok_or(NotOurs::MalformedSig)?;
        match self.key.public().verifies(&payload, &signature) {
            true => Ok(()),
            false => Err(NotOurs::SignatureMismatch),
        }
    }

    /// The public half, as JSON.
    pub fn published(&self) -> Vec<u8> {
        Object::new().text("kid", KID).text("alg", "Ed25519").text("public_key", &self.public).end()
    }
}

/// The most bytes of a proof that is checked.
const LARGEST: usize = 16 << 10;

impl Egress {
    /// `POST /v1/verify-denial`: whether a proof of a refusal is ours. Anyone may ask; the answer tells nothing else.
    pub async fn verify_denial(&self, body: Incoming, caller: Caller) -> Response<Body> {
        match self.verified(body, caller).await {
            Ok(answer) => status(StatusCode::OK, answer.end()),
            Err(denial) => {
                let denial = self.unrecorded(denial).await;
                let code = StatusCode::from_u16(denial.code.status).unwrap_or(StatusCode::BAD_REQUEST);
                let mut response = status(code, self.denied(&denial));
                name_receipt(response.headers_mut(), denial.request());
                response
            }
        }
    }

    async fn verified(&self, body: Incoming, caller: Caller) -> Result<Object, Denial> {
        self.stranger(caller.ip)?;
        let wrong = |message: String| Denial::new(code::ARGUMENTS_INVALID, message);
        let bytes =
            counted_body(body, LARGEST, &self.memory).await.map_err(|answer| wrong(answer.message))?;
        let tree =
            json::parse(&bytes).map_err(|fault| wrong(format!("the body is not strict JSON: {fault}")))?;
        // The proof by itself, or the refusal it came with.
        let proof = tree.some("denial_proof").unwrap_or(&tree);
        let verified = self.proofs.as_ref().map_or(Err(NotOurs::MissingPublicKey), |ours| ours.verify(proof));
        Ok(match verified {
            Ok(()) => Object::new().truth("valid", true),
            Err(why) => Object::new().truth("valid", false).text("reason", why.as_str()),
        })
    }
}

/// Why a proof of a refusal is not ours, in the words of the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It names no key.
    MissingPublicKey,
    /// It names another key.
    KeyMismatch,
    /// What it names is no key.
    MalformedKey,
    /// Its signature or what is signed cannot be read.
    MalformedSig,
    /// The signature is not that of what it says.
    SignatureMismatch,
}

impl NotOurs {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingPublicKey => "MISSING_PUBLIC_KEY",
            Self::KeyMismatch => "KEY_MISMATCH",
            Self::MalformedKey => "MALFORMED_KEY",
            Self::MalformedSig => "MALFORMED_SIG",
            Self::SignatureMismatch => "SIGNATURE_MISMATCH",
        }
    }
}

/// What is signed of a payload: its members in their order, and no others.
fn payload(payload: &Node) -> Option<Vec<u8>> {
    const TEXTS: [&str; 4] = ["block_reason", "kid", "request_id", "session_id"];
    let object = TEXTS
        .into_iter()
        .try_fold(Object::new(), |object, name| Some(object.text(name, payload.text(name)?)))?;
    let time = payload.get("timestamp")?.as_u64()?;
    (payload.members().len() == TEXTS.len() + 1).then(|| object.number("timestamp", time).end())
}

/// What a session is called where others read it: its token is for its owner.
fn session_id(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    format!("sess_{}", hex(digest.get(..8).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Proofs {
        Proofs::new(&Secret32::new([seed; 32]), "http://x/".into()).unwrap()
    }

    #[test]
    fn only_what_we_have_signed_is_ours() {
        let (ours, other) = (signer(1), signer(2));
        let denial = Denial { session: Some("s".into()), ..Denial::new(code::SSRF_BLOCKED, "no") };
        let proof = String::from_utf8(ours.prove(&denial, "r", 5000).unwrap()).unwrap();
        let verified = |text: &str| ours.verify(&json::parse(text.as_bytes()).unwrap());
        assert_eq!(verified(&proof), Ok(()));
        let foreign = String::from_utf8(other.prove(&denial, "r", 5000).unwrap()).unwrap();
        assert_eq!(verified(&foreign), Err(NotOurs::KeyMismatch));
        // Another's signature under our key's name.
        let claimed = foreign.replace(&other.public, &ours.public);
        assert_eq!(verified(&claimed), Err(NotOurs::SignatureMismatch));
        for (from, to, why) in [
            ("SSRF_BLOCKED", "HONEYTOKEN", NotOurs::SignatureMismatch),
            ("\"timestamp\":5", "\"timestamp\":6", NotOurs::SignatureMismatch),
            ("\"timestamp\":5", "\"timestamp\":5,\"more\":1", NotOurs::MalformedSig),
            ("\"timestamp\":5", "\"timestamp\":\"5\"", NotOurs::MalformedSig),
            ("\"kid\"", "\"kids\"", NotOurs::MalformedSig),
            ("\"sig\":\"", "\"sig\":\"!", NotOurs::MalformedSig),
            ("\"sig\":\"", "\"sig\":\"AAAA", NotOurs::MalformedSig),
            ("\"public_key\":\"", "\"public_key\":\"AAAA", NotOurs::MalformedKey),
            ("\"public_key\":\"", "\"public_key\":\"!", NotOurs::MalformedKey),
            ("\"public_key\"", "\"other_key\"", NotOurs::MissingPublicKey),
        ] {
            assert!(proof.contains(from), "{from}");
            assert_eq!(verified(&proof.replace(from, to)), Err(why), "{from} {to}");
        }
        assert_eq!(verified("{}"), Err(NotOurs::MissingPublicKey));
        assert_eq!(verified("[]"), Err(NotOurs::MissingPublicKey));
    }
}
