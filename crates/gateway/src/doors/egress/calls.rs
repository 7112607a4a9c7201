//! The tools, each with what it answers.

use doorward_core::syntax::{Object, json};
use doorward_core::wire::sphyr::call::{Call, Usage};
use doorward_core::wire::sphyr::{code, sign};

use super::denied::Denial;
use super::handshake::iso;
use super::stages::freshness;
use super::{Caller, Egress, keys};

impl Egress {
    /// Does what is asked for. `signed`: a handshake is, by the key that it names.
    pub(super) async fn call(&self, call: Call, signed: bool, caller: Caller) -> Result<Said, Denial> {
        let json = match call {
            // Boxed: it holds a request and a reply, the others hold nothing.
            Call::Net(net) => return Box::pin(self.net(*net, caller)).await,
            Call::Handshake(asked) => self.handshake(&asked, signed, caller).await,
            Call::Up { session } => self.up(&session, caller),
            Call::Balance { session } => self.balance(&session, caller),
            Call::Usage(usage) => self.usage(&usage, caller),
        };
        json.map(|json| Said { json, receipt: None })
    }

    fn up(&self, session: &str, caller: Caller) -> Result<Vec<u8>, Denial> {
        self.session(session, caller)?;
        let trouble = self.gateway.recorder().trouble();
        let (status, message) = match &trouble {
            None => ("ACTIVE", "requests are judged and recorded"),
            Some(why) => ("DEGRADED", why.as_str()),
        };
        let version = env!("CARGO_PKG_VERSION");
        Ok(Object::new().text("status", status).text("version", version).text("message", message).end())
    }

    fn balance(&self, session: &str, caller: Caller) -> Result<Vec<u8>, Denial> {
        let (_, key) = self.session(session, caller)?;
        let left = self.accounts().remaining(&key.id, self.now());
        let balance = left.credits;
        let expiry = left.oldest_expiry.map_or_else(|| b"null".to_vec(), |at| json::quoted(&iso(at)));
        Ok(Object::new()
            .number("balance", balance)
            .truth("low_balance_warning", balance < LOW)
            .text("currency", "credits")
            .text("key_id", &key.id)
            .number("credits_remaining", balance)
            .raw("oldest_expiry", &expiry)
            .end())
    }

    fn usage(&self, asked: &Usage, caller: Caller) -> Result<Vec<u8>, Denial> {
        let (session, key) = self.session(&asked.session, caller)?;
        let payload = sign::usage(&session.token, &asked.time.text);
        if !keys::signed(&key, &payload, &asked.signature, self.now()) {
            return Err(Denial::new(code::SIG_INVALID, "the signature is not that of this question"));
        }
        freshness::check(&asked.time, self.now())?;
        let counted = self.accounts().usage().of(&key.id, self.now());
        let total: u64 = counted.values().sum();
        let allowed = counted.get(ALLOWED).copied().unwrap_or_default();
        let outcomes =
            counted.iter().fold(Object::new(), |object, (name, count)| object.number(name, *count));
        let balance = self.accounts().remaining(&key.id, self.now()).credits;
        Ok(Object::new()
            .text("period", "last_24h")
            .number("total_requests", total)
            .number("success_count", allowed)
            .number("block_count", total.saturating_sub(allowed))
            .raw("outcomes", &outcomes.end())
            .number("credit_balance", balance)
            .text("currency", "credits")
            .end())
    }
}

/// What a request is counted under that went on, or would have if it was not only checked.
pub(super) const ALLOWED: &str = "ALLOWED";

/// What a tool has answered.
pub(super) struct Said {
    /// The answer.
    pub json: Vec<u8>,
    /// The receipt of what was done, if it has one.
    pub receipt: Option<String>,
}

/// From here on a balance is called low.
const LOW: u64 = 100;
