//! `application/x-www-form-urlencoded` (WHATWG URL, section 5.1), strict: what servers take differently is not read.

use super::tree::Tree;
use crate::syntax::Span;

/// The most fields of a form. Servers stop reading somewhere, PHP at a thousand: what stands behind it some see and
/// some do not.
pub(super) const MOST_FIELDS: usize = 1000;

/// Reads a form; `None` if servers could take it differently: a `;` that separates for some, an escape that is
/// none, bytes that are not UTF-8, control characters as they are.
pub(super) fn read(source: &[u8]) -> Option<Tree> {
    if source.iter().any(|byte| *byte == b';' || byte.is_ascii_control()) {
        return None;
    }
    let mut fields = Vec::new();
    let mut at = 0u32;
    for pair in source.split(|byte| *byte == b'&') {
        let length = u32::try_from(pair.len()).ok()?;
        if !pair.is_empty() {
            if fields.len() == MOST_FIELDS {
                return None;
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if !is_name(&name) {
                return None;
            }
            fields.push((name, Some(value), Span::new(at, at.checked_add(length)?)));
        }
        at = at.checked_add(length)?.checked_add(1)?;
    }
    Some(Tree::form(&fields))
}

/// Whether all servers take this for the name of a field. `_charset_` is none: it changes how the others are read. The
/// empty one is dropped by some.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(char::is_control)
        && !name.starts_with(' ')
        && !name.eq_ignore_ascii_case("_charset_")
}

fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => *byte,
        });
    }
    String::from_utf8(out).ok()
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}
