//! The call that the stages are about: signed, as the SDK sends it.

use anyhow::{Context as _, bail};
use doorward_core::action::alone;
use doorward_core::action::request::{Body, Header, Request};
use doorward_core::wire::jsonrpc::{self, Message, Said};
use doorward_core::wire::sphyr::call::{self, Call, Net};
use doorward_core::wire::sphyr::sign::{self, Form, Signed};
use doorward_core::{Action, Door};
use serde_json::json;

const SECRET: &[u8] = b"a secret of the length that keys have, more or less";

/// The nonce of its session, and the token.
pub const NONCE: &str = "3f0c2c1e-6a4b-4c64-9d0e-2f6b6a1c9e11";

/// When it was signed, in seconds since the Unix epoch.
pub const TIME: u64 = 1_800_000_000;

/// A signed call with this body.
pub fn signed(body: &str) -> anyhow::Result<Vec<u8>> {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let (url, time) = ("https://api.example.com/v1/notes?limit=10", TIME.to_string());
    let signed = Signed {
        nonce: NONCE,
        time: &time,
        url,
        method: "POST",
        body: body.as_bytes(),
        headers: &headers,
        category: "notes",
        trace: "",
    };
    let sig = sign::sign(SECRET, &signed.payload(Form::Lengths));
    let arguments = json!({"url": url, "mthd": "POST", "body": body, "headers": {"Content-Type": "application/json"},
                           "cat": "notes", "ts": TIME, "sig": sig, "sess_token": NONCE});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "sphyr_net", "arguments": arguments}});
    Ok(serde_json::to_vec(&message)?)
}

/// Reads it as the door does.
pub fn read(message: &[u8]) -> anyhow::Result<Net> {
    let Ok(Said::One(Message::Request(request))) = jsonrpc::read(message) else { bail!("no request") };
    let arguments = request.params.get("arguments").context("no arguments")?;
    match call::read("sphyr_net", arguments) {
        Some(Ok(Call::Net(net))) => Ok(*net),
        other => bail!("no call: {other:?}"),
    }
}

/// Whether its signature is right.
pub fn is_signed(net: &Net) -> bool {
    let signed = Signed {
        nonce: NONCE,
        time: &net.time.text,
        url: &net.url,
        method: &net.method,
        body: &net.body,
        headers: &net.headers,
        category: &net.category,
        trace: &net.trace,
    };
    sign::verifies(SECRET, &signed.payload(Form::Lengths), &net.signature)
}

/// The action that is made of it.
pub fn action(net: &Net) -> Action {
    let line = |(name, value): &(String, String)| Header {
        name: name.as_str().into(),
        value: value.as_bytes().into(),
    };
    let request = Request::new(
        &net.method,
        &net.url,
        net.headers.iter().map(line).collect(),
        Body::Whole(net.body.clone().into()),
    );
    Action { door: Door::Egress, ..alone::request(request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_a_call_that_passes() {
        let message = signed("{}").unwrap();
        assert!(is_signed(&read(&message).unwrap()));
    }
}
