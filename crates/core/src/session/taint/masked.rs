//! Places as people are shown them.

use super::LONGEST_PLACE;
use super::literals::floor;
use crate::action::{Target, asset};

/// The longest segment of a path that is shown whole, in bytes: tokens in URLs are longer.
const LONGEST_SEGMENT: usize = 24;

/// Where an effect leads, without what may be secret: user information, query and fragment of a URL, and segments of its
/// path that are long or made of digits.
pub(in crate::session) fn masked(target: &Target) -> String {
    match target {
        Target::Url(text) => url(text),
        Target::Host(text) => floor(text.rsplit('@').next().unwrap_or(text), LONGEST_PLACE).to_owned(),
        Target::Path { path, .. } => floor(&asset::normalise_path(path), LONGEST_PLACE).to_owned(),
        _ => String::new(),
    }
}

fn url(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or(text);
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let mut segments = rest.split('/');
    let host = segments.next().unwrap_or_default();
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(floor(scheme, 16));
        out.push_str("://");
    }
    out.push_str(floor(host.rsplit('@').next().unwrap_or(host), 128));
    for segment in segments {
        out.push('/');
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        let plain = segment.len() <= LONGEST_SEGMENT && digits <= 6;
        out.push_str(if plain { segment } else { "…" });
    }
    floor(&out, LONGEST_PLACE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let shown = |text: &str| masked(&Target::Url(text.to_owned()));
        assert_eq!(shown("https://u:pw@a.test/x/y.sh?key=1#z"), "https://a.test/x/y.sh");
        assert_eq!(shown("https://a.test/AbCdEfGhIjKlMnOpQrStUvWxYz/b"), "https://a.test/…/b");
        assert_eq!(shown("https://a.test/T01234567/B1"), "https://a.test/…/B1");
        assert!(shown(&format!("https://a.test/{}", "é/".repeat(500))).len() <= LONGEST_PLACE);
        assert_eq!(masked(&Target::Host("u@h.test".into())), "h.test");
    }
}
