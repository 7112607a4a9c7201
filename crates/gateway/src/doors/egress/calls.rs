//! The tools, each with what it answers.

use doorward_core::syntax::{Object, json};
use doorward_core::wire::sphyr::call::{Call, Usage};
use doorward_core::wire::sphyr::{code, sign};

use super::denied::Denial;
use super::handshake::iso;
use super::stages::freshness;
use super::{Caller, Egress, keys};
use crate::judge::now;

impl Egress {
    /// Does what is asked for. The answer is JSON.
    pub(super) async fn call(&self, call: Call, caller: Caller) -> Result<Vec<u8>, Denial> {
        match call {
            Call::Handshake(asked) => self.handshake(&asked, caller),
            // Boxed: it holds a request and a reply, the others hold nothing.
            Call::Net(net) => Box::pin(self.net(*net, caller)).await,
            Call::Up { session } => self.up(&session, caller),
            Call::Balance { session } => self.balance(&session, caller),
            Call::Usage(usage) => self.usage(&usage, caller),
        }
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
        let left = self.accounts().remaining(&key.id, now());
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
        if !keys::signed(&key, &payload, &asked.signature, now()) {
            return Err(Denial::new(code::SIG_INVALID, "the signature is not that of this question"));
        }
        freshness::check(&asked.time, now())?;
        let tally = self.tallies.of(&key.id);
        let outcomes =
            tally.outcomes.iter().fold(Object::new(), |object, (name, count)| object.number(name, *count));
        let balance = self.accounts().remaining(&key.id, now()).credits;
        Ok(Object::new()
            .text("period", "since the gateway started")
            .number("total_requests", tally.total())
            .number("success_count", tally.allowed())
            .number("block_count", tally.total() - tally.allowed())
            .raw("outcomes", &outcomes.end())
            .number("credit_balance", balance)
            .text("currency", "credits")
            .end())
    }
}

/// From here on a balance is called low.
const LOW: u64 = 100;
