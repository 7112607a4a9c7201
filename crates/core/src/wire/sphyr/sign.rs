//! What is signed: HMAC-SHA256 (RFC 2104) with the UTF-8 bytes of the key's secret, in lower-case hexadecimal.
//!
//! The published SDK prefixes each field with its length, so that no two calls have one payload. The older form joins
//! eight parts with colons, of which a URL has its own: whoever holds a signature of it can shift what stands where.
//! It is checked only for keys that are set to it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::syntax::hex;

/// How a key's calls are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Each field with its length before it: the published SDK's.
    #[default]
    Lengths,
    /// Eight parts joined with colons: documented, and ambiguous.
    Colons,
}

/// What a call signs.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The nonce of the session. It is never sent.
    pub nonce: &'a str,
    /// Seconds since the Unix epoch, as sent.
    pub time: &'a str,
    /// Where the call goes, as sent.
    pub url: &'a str,
    /// The method, as sent.
    pub method: &'a str,
    /// What is sent there.
    pub body: &'a [u8],
    /// Its headers, in any order.
    pub headers: &'a [(String, String)],
    /// What the agent calls it.
    pub category: &'a str,
    /// What the agent follows it by; empty if by nothing.
    pub trace: &'a str,
}

impl Signed<'_> {
    /// The text whose digest is the signature.
    #[must_use]
    pub fn payload(&self, form: Form) -> Vec<u8> {
        let body = hex(&Sha256::digest(self.body));
        let headers = hex(&Sha256::digest(headers(self.headers)));
        let fields =
            [self.nonce, self.time, self.url, self.method, &body, &headers, self.category, self.trace];
        match form {
            Form::Lengths => fields.iter().fold(b"sphyr-net-v2:".to_vec(), |mut out, field| {
                with_length(field, &mut out);
                out
            }),
            Form::Colons => fields.join(":").into_bytes(),
        }
    }
}

/// Headers sorted by lower-case name, names and values each with their length.
fn headers(headers: &[(String, String)]) -> Vec<u8> {
    let mut sorted: Vec<(String, &str)> =
        headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
    sorted.sort_unstable();
    let mut out = Vec::new();
    for (name, value) in &sorted {
        with_length(name, &mut out);
        out.push(b':');
        with_length(value, &mut out);
    }
    out
}

fn with_length(field: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(field.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(field.as_bytes());
}

/// What a handshake signs.
#[must_use]
pub fn handshake(key: &str, agent: &str, time: &str, nonce: &str) -> Vec<u8> {
    [key, agent, time, nonce].join(":").into_bytes()
}

/// What a question about usage signs.
#[must_use]
pub fn usage(session: &str, time: &str) -> Vec<u8> {
    ["usage_summary", session, time].join(":").into_bytes()
}

/// Whether `signature` is that of `payload`. Takes as long for a wrong one as for a right one.
#[must_use]
pub fn verifies(secret: &[u8], payload: &[u8], signature: &str) -> bool {
    let Some(signature) = unhex(signature) else { return false };
    mac(secret, payload).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

/// The signature of `payload`, in hexadecimal.
#[must_use]
pub fn sign(secret: &[u8], payload: &[u8]) -> String {
    mac(secret, payload).map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default()
}

/// `None` never: HMAC takes keys of any length.
fn mac(secret: &[u8], payload: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(payload);
    Some(mac)
}

/// Lower-case hexadecimal of 32 bytes; nothing else, so that a signature has one spelling.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (to, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *to = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"s3cr3t-signing-key";

    fn golden(headers: &[(String, String)]) -> Signed<'_> {
        Signed {
            nonce: "5f4dcc3b-5aa7-4c1d-9f6f-8b1e2c3d4e5f",
            time: "1743800400",
            url: "https://api.example.com/data?q=a:b",
            method: "POST",
            body: br#"{"a":1}"#,
            headers,
            category: "api-call",
            trace: "t-1",
        }
    }

    fn two() -> Vec<(String, String)> {
        [("X-B", "2"), ("Content-Type", "application/json")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// What the published SDK makes of the same call.
    #[test]
    fn signatures_are_those_of_the_published_sdk() {
        let lines = headers(&two());
        assert_eq!(lines, b"12:content-type:16:application/json3:x-b:1:2");
        assert_eq!(
            hex(&Sha256::digest(lines)),
            "7de1131445ac6bb213a230ad7175d5480f6f52424986e88feebf376a891bc6b5"
        );
        let headers = two();
        for (form, signature) in [
            (Form::Lengths, "1616d4fb4eef1d022e068d3e85259a3d05770436fd538f3459cc7aba2a44242f"),
            (Form::Colons, "ec9c7e9266bccb958d97d559b16c04eedad879938e102ec34038ac65b80a244c"),
        ] {
            let payload = golden(&headers).payload(form);
            assert_eq!(sign(SECRET, &payload), signature, "{form:?}");
            assert!(verifies(SECRET, &payload, signature));
        }
        let payload = handshake("key_demo", "agent-01", "1743800400", "11111111-2222-4333-8444-555555555555");
        assert_eq!(
            sign(SECRET, &payload),
            "c1514c10b3c0ebc71963c4b0504b00531cd8c3628de170e8027c0ed4effd0477"
        );
    }

    #[test]
    fn a_changed_field_has_another_signature() {
        let headers = two();
        let signature = sign(SECRET, &golden(&headers).payload(Form::Lengths));
        let mut fewer = headers.clone();
        fewer.pop();
        let one = |change: fn(&mut Signed<'_>)| {
            let mut signed = golden(&headers);
            change(&mut signed);
            signed.payload(Form::Lengths)
        };
        for (what, payload) in [
            ("nonce", one(|signed| signed.nonce = "x")),
            ("time", one(|signed| signed.time = "1743800401")),
            ("url", one(|signed| signed.url = "https://api.example.com/data?q=a:c")),
            ("method", one(|signed| signed.method = "PUT")),
            ("body", one(|signed| signed.body = b"")),
            ("category", one(|signed| signed.category = "api-calt")),
            ("trace", one(|signed| signed.trace = "")),
            ("headers", golden(&fewer).payload(Form::Lengths)),
        ] {
            assert!(!verifies(SECRET, &payload, &signature), "{what}");
        }
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let payload = usage("s", "1");
        let signature = sign(SECRET, &payload);
        assert!(verifies(SECRET, &payload, &signature));
        for other in [
            signature.to_uppercase(),
            format!("{signature} "),
            format!("0x{signature}"),
            signature.chars().take(62).collect(),
            String::new(),
        ] {
            assert!(!verifies(SECRET, &payload, &other), "{other}");
        }
    }

    /// Why the older form is not the default: two calls, one payload.
    #[test]
    fn fields_with_lengths_cannot_be_shifted() {
        let one =
            Signed { url: "https://a.example/x", method: "GET", category: "c:d", trace: "e", ..golden(&[]) };
        let other = Signed { category: "c", trace: "d:e", ..one };
        assert_eq!(one.payload(Form::Colons), other.payload(Form::Colons));
        assert_ne!(one.payload(Form::Lengths), other.payload(Form::Lengths));
    }
}
