//! `multipart/form-data` (RFC 7578), strict: where a part begins and ends, what it is called and what it says must be
//! the same for every server.

use aho_corasick::AhoCorasick;

use super::form::{MOST_FIELDS, is_name};
use super::media::{Media, is_token, is_utf8, parameters};
use super::tree::Tree;
use crate::syntax::Span;

/// The longest head of a part, in bytes.
const LONGEST_HEAD: usize = 8192;

/// Reads the parts between delimiters of `boundary`; `None` if servers could take them differently: text before the
/// first or behind the last, a delimiter in odd company, bare line ends, header lines twice or folded, names with
/// escapes.
pub(super) fn read(boundary: &str, body: &[u8]) -> Option<Tree> {
    if !is_boundary(boundary) {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let finder = AhoCorasick::new([delimiter.as_bytes()]).ok()?;
    let mut fields = Vec::new();
    // Where the part that is open begins.
    let mut begin: Option<usize> = None;
    for found in finder.find_iter(body) {
        let before = body.get(..found.start())?;
        match begin {
            // The first delimiter opens the body.
            None if before.is_empty() => {}
            None => return None,
            Some(begin) => {
                // The line end in front belongs to the delimiter.
                let part = before.get(begin..)?.strip_suffix(b"\r\n")?;
                if fields.len() == MOST_FIELDS {
                    return None;
                }
                let start = u32::try_from(begin).ok()?;
                let end = u32::try_from(found.end()).ok()?;
                let (name, value) = read_part(part)?;
                fields.push((name, value, Span::new(start, end)));
            }
        }
        let behind = body.get(found.end()..)?;
        if let Some(rest) = behind.strip_prefix(b"--") {
            return (rest.is_empty() || rest == b"\r\n").then(|| Tree::form(&fields));
        }
        behind.strip_prefix(b"\r\n")?;
        begin = Some(found.end() + 2);
    }
    None
}

/// RFC 2046, section 5.1.1.
fn is_boundary(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&text.len()) && text.bytes().all(fine) && !text.ends_with(' ')
}

/// The name of a part and what it says; `None` for what it says if that is no plain text.
fn read_part(part: &[u8]) -> Option<(String, Option<String>)> {
    let window = part.get(..LONGEST_HEAD.min(part.len()))?;
    let end = window.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(part.get(..end)?).ok()?;
    let content = part.get(end + 4..)?;
    let mut name = None;
    let mut is_file = false;
    let mut plain = true;
    let mut seen: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        let (header, value) = line.split_once(':')?;
        let header = header.to_ascii_lowercase();
        if !is_token(&header) || value.contains(char::is_control) || seen.contains(&header) {
            return None;
        }
        match header.as_str() {
            "content-disposition" => {
                let (called, file) = disposition(value.trim())?;
                name = Some(called);
                is_file = file;
            }
            "content-type" => plain &= is_plain(value.trim()),
            // It is deprecated (RFC 7578, section 4.7): some servers decode, others do not.
            "content-transfer-encoding" => {
                plain &=
                    ["7bit", "8bit", "binary"].iter().any(|word| value.trim().eq_ignore_ascii_case(word));
            }
            _ => {}
        }
        seen.push(header);
    }
    // Files and values of other types are there, and what is in them is not looked at.
    let text = if plain && !is_file { std::str::from_utf8(content).ok() } else { None };
    Some((name?, text.map(str::to_owned)))
}

fn is_plain(value: &str) -> bool {
    let Some(media) = Media::parse(value.as_bytes()) else { return false };
    media.essence == "text/plain" && media.parameter("charset").is_none_or(is_utf8)
}

/// The name in `form-data; name="x"; filename="y"`, and whether it is a file.
fn disposition(value: &str) -> Option<(String, bool)> {
    let (kind, rest) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let parameters = parameters(rest)?;
    let get = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let name = get("name")?;
    // Browsers write a quote as `%22`; some servers decode it and some do not.
    let escaped = ["%22", "%0d", "%0a", "%0D", "%0A"].iter().any(|escape| name.contains(escape));
    if escaped || !is_name(name) || get("name*").is_some() {
        return None;
    }
    Some((name.clone(), get("filename").is_some() || get("filename*").is_some()))
}
