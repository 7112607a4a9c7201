//! A URL as people may look at it later: where it led, without what could be a secret or say who somebody is.
//!
//! What is left out stands there as its length, `(12)`. Nothing here decides anything.

/// The longest label of a host that is shown; a longer one may carry data out.
const LONGEST_LABEL: usize = 20;

/// The longest word of a path or of the name of a parameter that is shown.
const LONGEST_WORD: usize = 20;

/// The most digits in a word: years and versions are shown, numbers of people and orders are not.
const MOST_DIGITS: usize = 4;

/// How often a word may go from letters to digits, from small to large letters, or on from one large letter to the next beside
/// small ones; words do so rarely, random text often.
const MOST_TURNS: usize = 3;

/// The most segments of a path and the most parameters that are shown.
const MOST_PIECES: usize = 12;

/// `url` without user information, values of parameters, fragment, and the segments and labels that are no words.
#[must_use]
pub fn masked(url: &str) -> String {
    let (url, fragment) = url.split_once('#').map_or((url, false), |(url, _)| (url, true));
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_shown(scheme) => (format!("{scheme}://"), rest),
        Some((_, rest)) => ("…://".to_owned(), rest),
        None => (String::new(), url),
    };
    let (authority, path) = match rest.find(['/', '\\']) {
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    };
    let user = authority.contains('@');
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut out = scheme;
    if user {
        out.push_str("…@");
    }
    out.push_str(&masked_host(host));
    for (at, segment) in path.split(['/', '\\']).enumerate().skip(1) {
        out.push('/');
        if at > MOST_PIECES {
            out.push('…');
            break;
        }
        out.push_str(&piece(segment));
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(&parameters(query));
    }
    if fragment {
        out.push_str("#…");
    }
    out
}

/// A host, with a port or without, in which what is long enough to be a secret stands as its length.
#[must_use]
pub fn masked_host(host: &str) -> String {
    let label = |label: &str| match label.chars().count() {
        0..=LONGEST_LABEL if !label.contains('%') => label.to_owned(),
        length => format!("({length})"),
    };
    host.split('.').map(label).collect::<Vec<_>>().join(".")
}

fn parameters(query: &str) -> String {
    let mut out = Vec::new();
    for (at, parameter) in query.split('&').enumerate() {
        if at >= MOST_PIECES {
            out.push("…".to_owned());
            break;
        }
        out.push(match parameter.split_once('=') {
            Some((name, value)) => format!("{}=({})", piece(name), value.chars().count()),
            None => piece(parameter),
        });
    }
    out.join("&")
}

fn piece(text: &str) -> String {
    if is_shown(text) { text.to_owned() } else { format!("({})", text.chars().count()) }
}

/// Whether every word in it is one.
fn is_shown(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+".contains(&byte))
        && text.len() <= 3 * LONGEST_WORD
        && text.bytes().filter(u8::is_ascii_digit).count() <= 2 * MOST_DIGITS
        && text.split(['-', '_', '.', '~', '+']).all(is_word)
}

fn is_word(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let pairs = word.bytes().zip(word.bytes().skip(1));
    let mixed = word.bytes().any(|byte| byte.is_ascii_lowercase());
    let turn = |(a, b): &(u8, u8)| {
        a.is_ascii_digit() != b.is_ascii_digit()
            || b.is_ascii_uppercase() && (a.is_ascii_lowercase() || mixed && a.is_ascii_uppercase())
    };
    word.len() <= LONGEST_WORD && digits <= MOST_DIGITS && pairs.filter(turn).count() <= MOST_TURNS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_be_a_secret_or_a_person_is_left_out() {
        for (url, shown) in [
            ("https://api.example.com/v1/users", "https://api.example.com/v1/users"),
            (
                "https://api.example.com/v1beta1/getUserById?id=7",
                "https://api.example.com/v1beta1/getUserById?id=(1)",
            ),
            ("https://u:p@example.com:8443/", "https://…@example.com:8443/"),
            ("https://example.com?token=abc&x", "https://example.com?token=(3)&x"),
            ("https://example.com/reset/9f86d081884c7d659a2feaa0c55ad015", "https://example.com/reset/(32)"),
            (
                "https://example.com/u/jane%40example.org/orders/12345678",
                "https://example.com/u/(18)/orders/(8)",
            ),
            ("https://example.com/a/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "https://example.com/a/(36)"),
            ("https://c2VjcmV0LXRoYXQtbGVhdmVz.evil.example/x#tok", "https://(24).evil.example/x#…"),
            ("https://example.com/QWxhZGRpbjpPcGVu", "https://example.com/(16)"),
            ("https://example.com/?sk1a2b3c4d5e=1", "https://example.com/?(12)=(1)"),
            ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ] {
            assert_eq!(masked(url), shown, "{url}");
        }
        let long = format!("https://example.com{}", "/a".repeat(100));
        assert!(masked(&long).ends_with("/a/…") && masked(&long).len() < 60);
    }

    proptest! {
        #[test]
        fn values_and_user_information_never_stay(
            user in "[a-zA-Z0-9]{24,30}", value in "[A-Za-z0-9]{24,40}", segment in "[A-Za-z0-9]{24,40}",
        ) {
            let shown = masked(&format!("https://{user}@h.example/{segment}?k={value}#{value}"));
            for secret in [&user, &value, &segment] {
                prop_assert!(!shown.contains(secret.as_str()), "{}", shown);
            }
        }

        #[test]
        fn anything_can_be_masked_and_stays_short(text in "\\PC{0,300}") {
            prop_assert!(masked(&text).len() <= 3 * text.len() + 16);
        }
    }
}
