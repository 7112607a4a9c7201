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

#[cfg(test)]
mod tests {
    use doorward_core::wire::sphyr::sign::{self, Form};

    use super::super::scene::{key, net, session};
    use super::*;

    /// The call with the signature that the SDK gives it: all of its lines, in one list.
    fn signed(key: &Key, form: Form) -> Net {
        let mut net = net(1000);
        net.framing = vec![("Connection".into(), "close".into())];
        let lines = [net.headers.clone(), net.framing.clone()].concat();
        let text = Signed {
            nonce: "nonce",
            time: "1000",
            url: &net.url,
            method: &net.method,
            body: &net.body,
            headers: &lines,
            category: &net.category,
            trace: &net.trace,
        };
        net.signature = sign::sign(key.secrets(0).next().unwrap().as_bytes(), &text.payload(form));
        net
    }

    #[test]
    fn what_is_sent_is_what_was_signed() {
        let key = key(&[]);
        let of = |change: fn(&mut Net)| {
            let mut net = signed(&key, Form::Lengths);
            change(&mut net);
            check(&net, &session(&key, "t"), &key, 0).map_err(|denial| denial.code.name)
        };
        assert_eq!(of(|_| {}), Ok(()));
        let changes: [fn(&mut Net); 9] = [
            |net| net.url.push('x'),
            |net| net.method = "PUT".into(),
            |net| net.body.push(b'x'),
            |net| net.category.push('x'),
            |net| net.trace.push('x'),
            |net| net.time.text.push('0'),
            |net| net.headers.clear(),
            |net| net.framing.clear(),
            |net| net.signature = "0".repeat(64),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert_eq!(of(change), Err("SIG_INVALID"), "{at}");
        }
    }

    #[test]
    fn it_is_the_keys_and_the_sessions() {
        let (own, other) = (key(&[]), key(&[]));
        let net = signed(&own, Form::Lengths);
        assert!(check(&net, &session(&own, "t"), &own, 0).is_ok());
        assert!(check(&net, &session(&own, "t"), &other, 0).is_err());
        let elsewhere = Session { nonce: "another".into(), ..session(&own, "t") };
        assert!(check(&net, &elsewhere, &own, 0).is_err());
    }

    #[test]
    fn a_key_takes_one_form() {
        let (new, old) = (key(&[]), key(&[("signature", "eight-part")]));
        for (key, form, fine) in [
            (&new, Form::Lengths, true),
            (&new, Form::Colons, false),
            (&old, Form::Colons, true),
            (&old, Form::Lengths, false),
        ] {
            assert_eq!(check(&signed(key, form), &session(key, "t"), key, 0).is_ok(), fine, "{form:?}");
        }
    }
}
