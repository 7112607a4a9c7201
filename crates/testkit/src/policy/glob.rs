//! `*`, `**` and `?`, by the plainest recursion there is.

/// Whether `pattern` is all of `text`: `**` is any run of characters, `*` one without a slash, `?` one character
/// that is none.
pub fn fits(pattern: &str, text: &str) -> bool {
    over(&letters(pattern), &letters(text), &|c| c != '/')
}

/// The same whatever the case, and with slashes like any other character.
pub fn loosely_fits(pattern: &str, text: &str) -> bool {
    over(&letters(&pattern.to_lowercase()), &letters(&text.to_lowercase()), &|_| true)
}

fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn over(pattern: &[char], text: &[char], wild: &dyn Fn(char) -> bool) -> bool {
    match (pattern, text.split_first()) {
        ([], None) => true,
        ([], Some(_)) => false,
        (['*', '*', rest @ ..], text_left) => {
            over(rest, text, wild) || text_left.is_some_and(|(_, tail)| over(pattern, tail, wild))
        }
        (['*', rest @ ..], text_left) => {
            over(rest, text, wild) || text_left.is_some_and(|(c, tail)| wild(*c) && over(pattern, tail, wild))
        }
        (['?', rest @ ..], Some((c, tail))) => wild(*c) && over(rest, tail, wild),
        ([wanted, rest @ ..], Some((c, tail))) => wanted == c && over(rest, tail, wild),
        (_, None) => false,
    }
}

/// Whether the segments fit, where the segment `**` is any number of segments and `one` says whether a segment
/// of the pattern fits one.
pub fn segments(pattern: &[&str], found: &[&str], one: &dyn Fn(&str, &str) -> bool) -> bool {
    match (pattern.split_first(), found.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"**", rest)), None) => segments(rest, found, one),
        (Some((&"**", rest)), Some((_, tail))) => segments(rest, found, one) || segments(pattern, tail, one),
        (Some((wanted, rest)), Some((found, tail))) => one(wanted, found) && segments(rest, tail, one),
        (Some(_), None) => false,
    }
}
