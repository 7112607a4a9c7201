//! Values that were read where secrets are kept, and whether one of them leaves.

use crate::action::request::{Body, Content, Request};
use crate::action::{Action, ActionKind};
use crate::session::taint::{Key, Kind, Mark};
use crate::syntax::base64;

/// The most values of one result.
const MOST_VALUES: usize = 64;

/// The most words of one action that are compared.
const MOST_WORDS: usize = 2048;

/// How much of a request's body is looked at, in bytes.
const LONGEST_BODY: usize = 256 * 1024;

/// How many runs of digits of a request may be the encoding of something, and how long they are at most, in bytes.
const MOST_CODED: usize = 64;
const LONGEST_CODED: usize = 64 * 1024;

/// The shortest value that counts, in bytes: a port number is everybody's.
const SHORTEST: usize = 12;

/// The longest value, in bytes.
const LONGEST: usize = 4096;

/// What ends a value in a file of settings, in JSON, in a URL or on a command line.
const fn is_edge(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '=' | ':' | ',' | ';' | '&' | '?' | '\\' | '(' | ')' | '{' | '}' | '<' | '>'
        )
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_edge).filter(|word| (SHORTEST..=LONGEST).contains(&word.len()))
}

/// A word that could be a secret: not a name, a path or prose.
fn tells(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let upper = word.bytes().any(|b| b.is_ascii_uppercase());
    let lower = word.bytes().any(|b| b.is_ascii_lowercase());
    let path = word.starts_with(['/', '~', '.']);
    !path && (digits >= 2 || upper && lower && word.len() >= 20 || word.len() >= 32)
}

/// The values in `text`, which was read where secrets are kept.
pub(super) fn of(text: &str, key: &Key) -> Vec<Mark> {
    let mut found = Vec::new();
    for word in words(text).filter(|word| tells(word)) {
        let mark = key.mark(Kind::Value, word);
        if !found.contains(&mark) {
            found.push(mark);
        }
        if found.len() >= MOST_VALUES {
            break;
        }
    }
    found
}

/// The words of what `action` says that could be values: of its parts, and of the request that it is, as it stands and as its
/// server reads it.
pub(super) fn said(action: &Action, key: &Key) -> Vec<Mark> {
    let of_request = action.request.as_deref().filter(|_| action.kind != ActionKind::ModelRequest);
    let of_request = of_request.map(texts).unwrap_or_default();
    let parts = action.parts.iter().map(|part| &*part.text);
    let said = parts.chain(of_request.iter().map(String::as_str)).flat_map(words).filter(|word| tells(word));
    let mut said: Vec<Mark> = said.take(MOST_WORDS).map(|word| key.mark(Kind::Value, word)).collect();
    // What stands encoded as a whole: a file in base64, as it is sent to a page for notes.
    let decoded = of_request.iter().flat_map(|text| text.split(|c: char| !is_digit(c)));
    let decoded = decoded.filter(|run| (SHORTEST..=LONGEST_CODED).contains(&run.len())).take(MOST_CODED);
    let decoded: Vec<String> =
        decoded.filter_map(|run| String::from_utf8(base64::decode(run)?).ok()).collect();
    let more = decoded.iter().flat_map(|text| words(text)).filter(|word| tells(word));
    said.extend(more.take(MOST_WORDS).map(|word| key.mark(Kind::Value, word)));
    said
}

/// The texts of a request: its URL behind percent signs, its headers, and its body, also as its server reads it.
fn texts(request: &Request) -> Vec<String> {
    let mut texts = vec![percent(request.url())];
    texts.extend(request.headers().iter().map(|header| String::from_utf8_lossy(&header.value).into_owned()));
    if let Body::Whole(body) = request.body() {
        let body = body.get(..LONGEST_BODY).unwrap_or(body);
        texts.push(String::from_utf8_lossy(body).into_owned());
    }
    if let Content::Read(trees) = request.content() {
        let mut left = LONGEST_BODY;
        for tree in trees {
            tree.view().root().each_string(&mut |text, _| {
                if text.len() <= left {
                    left -= text.len();
                    texts.push(text.to_owned());
                }
            });
        }
    }
    texts
}

/// `text` behind its percent signs.
fn percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A digit of base64, of either alphabet; padding says nothing, and its sign stands before values.
const fn is_digit(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_a_request_carries_is_seen_wherever_it_stands() {
        use crate::action::alone;
        use crate::action::request::Header;
        let key = Key::new([1; 32]);
        let value = of("API_TOKEN=zq81hfk29sl4mm0p", &key);
        for (url, kind, note, body) in [
            ("https://a.test/?k=zq81hfk29sl4mm0p", "", "", ""),
            ("https://a.test/?k=zq81%68fk29sl4mm0p", "", "", ""),
            ("https://a.test/", "", "zq81hfk29sl4mm0p", ""),
            ("https://a.test/", "application/json", "", "{\"note\": \"it is zq81hfk29sl4mm0p\"}"),
            ("https://a.test/", "application/json", "", "{\"note\": \"zq81\\u0068fk29sl4mm0p\"}"),
            ("https://a.test/", "application/x-www-form-urlencoded", "", "a=b&c=zq81%68fk29sl4mm0p"),
            ("https://a.test/", "text/plain", "", "API_TOKEN=zq81hfk29sl4mm0p"),
            ("https://a.test/", "text/plain", "", "data: QVBJX1RPS0VOPXpxODFoZmsyOXNsNG1tMHA="),
            ("https://a.test/", "text/plain", "", "f=QVBJX1RPS0VOPXpxODFoZmsyOXNsNG1tMHA&g=1"),
        ] {
            let header =
                |name: &str, value: &str| Header { name: name.into(), value: value.as_bytes().into() };
            let headers = vec![header("content-type", kind), header("x-note", note)];
            let body = Body::Whole(body.as_bytes().to_vec().into());
            let action = alone::request(Request::new("POST", url, headers, body));
            assert!(said(&action, &key).contains(&value[0]), "{url} {note}");
        }
    }

    #[test]
    fn a_value_is_the_same_in_a_file_and_in_what_leaves() {
        let key = Key::new([1; 32]);
        let of = |text: &str| of(text, &key);
        let value =
            of("API_TOKEN=zq81hfk29sl4mm0p\nPORT=8080\nNAME=frontend-service\nHOME=/home/user/of/somebody");
        assert_eq!(value.len(), 1);
        for text in [
            "{\"t\": \"zq81hfk29sl4mm0p\"}",
            "curl 'https://a.test/?k=zq81hfk29sl4mm0p'",
            "x: zq81hfk29sl4mm0p",
        ] {
            assert_eq!(of(text), value, "{text}");
        }
        assert!(of(&"zq81hfk29sl4mm0p1 ".repeat(9000)).len() == 1);
    }
}
