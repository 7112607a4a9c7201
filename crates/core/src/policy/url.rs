//! Patterns for URLs: `[scheme://]host[:port]/path[?query]`.

use std::borrow::Cow;

use super::truth::Truth;
use crate::detect::glob::Glob;
use crate::url::{Host, Path, Url, covers, host_of, implied_port};

/// The most patterns that the alternatives in one may stand for.
const MOST_ALTERNATIVES: usize = 64;

/// A pattern for URLs, compiled.
#[derive(Debug)]
pub(super) struct UrlPattern {
    scheme: Option<String>,
    /// `None`: any.
    host: Option<String>,
    port: Option<u16>,
    /// `None`: any.
    path: Option<Vec<Segment>>,
    query: Vec<(String, Glob)>,
}

/// What a pattern says of a piece of the path.
#[derive(Debug)]
enum Segment {
    /// One segment, as written.
    Literal(String),
    /// One segment with wildcards in it.
    Glob {
        /// Telling upper from lower case.
        exact: Glob,
        /// Not telling them apart.
        folded: Glob,
    },
    /// Any number of segments, none as well.
    Any,
}

/// What is wrong with a pattern, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub advice: String,
}

fn wrong(message: impl Into<String>, advice: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), advice: advice.into() }
}

impl UrlPattern {
    /// Compiles `text`; alternatives (`{a,b}`) give a pattern each.
    ///
    /// # Errors
    /// If it is no pattern, or one that could match nothing.
    pub fn compile(text: &str) -> Result<Vec<Self>, Wrong> {
        let mut alternatives = vec![text.to_owned()];
        while let Some(at) = alternatives.iter().position(|text| text.contains(['{', '}'])) {
            let expanded = expand(&alternatives.swap_remove(at))?;
            alternatives.extend(expanded);
            if alternatives.len() > MOST_ALTERNATIVES {
                let message = format!("a pattern that stands for more than {MOST_ALTERNATIVES} others");
                return Err(wrong(message, "write several patterns"));
            }
        }
        alternatives.sort_unstable();
        alternatives.iter().map(|text| Self::of(text)).collect()
    }

    fn of(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(wrong("an empty pattern matches nothing", "write a host and a path, or `**`"));
        }
        let authority = text.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
        let authority = authority.map_or(text, |(_, rest)| rest).split(['/', '?']).next();
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '#'))
            || authority.is_some_and(|authority| authority.contains('@'))
        {
            let message =
                "a pattern with a space, a control character, `\\` or `#` in it, or `@` before its path";
            return Err(wrong(message, "URLs with those before their path are never matched; remove it"));
        }
        if matches!(text, "*" | "**") {
            return Ok(Self { scheme: None, host: None, port: None, path: None, query: Vec::new() });
        }
        let (scheme, rest) = match text.split_once("://") {
            // A query may have a URL in it.
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => (Some(scheme_of(scheme)?), rest),
            _ => (None, text),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, query_of(query)?),
            None => (rest, Vec::new()),
        };
        let Some((authority, path)) = rest.split_once('/') else {
            let advice = format!("write `{rest}/**` for everything there, or `{rest}/` for its root alone");
            return Err(wrong("a URL pattern without a path", advice));
        };
        let (host, port) = authority_of(authority)?;
        let path = match path {
            "**" => None,
            path => Some(segments_of(path)?),
        };
        Ok(Self { scheme, host, port, path, query })
    }

    /// The host that a URL must have, `*.suffix` for what is below one; `None` if it may be any.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether it could be about something at `host`.
    pub fn is_at(&self, host: &Host<'_>) -> bool {
        self.host.as_ref().is_none_or(|pattern| covers(pattern, host))
    }

    /// Whether it is about `url`. Unknown where servers could read the URL in another way, or where the pattern
    /// does not say what the URL does (a port that is not its scheme's own).
    pub fn matches(&self, url: &Url<'_>) -> Truth {
        self.place(url).min_with(|| self.path_of(&url.path)).min_with(|| self.asks(url.query))
    }

    fn place(&self, url: &Url<'_>) -> Truth {
        let host = self.is_at(&url.host);
        let scheme = match (&self.scheme, &url.scheme) {
            (None, _) => Truth::Yes,
            (Some(_), None) => Truth::Unknown,
            (Some(pattern), Some(scheme)) => (pattern == scheme).into(),
        };
        let own = url.scheme.as_deref().and_then(implied_port);
        let port = match (self.port, url.port) {
            (Some(pattern), Some(port)) => (pattern == port).into(),
            (Some(_), None) => Truth::Unknown,
            (None, Some(port)) if self.host.is_some() && own != Some(port) => Truth::Unknown,
            (None, _) => Truth::Yes,
        };
        Truth::from(host).min(scheme).min(port)
    }

    fn path_of(&self, path: &Path<'_>) -> Truth {
        let Some(pattern) = &self.path else { return Truth::Yes };
        let (mut all, mut any) = (true, false);
        for reading in path.readings() {
            if fits(pattern, reading.iter(), Segment::is) {
                any = true;
            } else {
                all = false;
                // Some servers do not tell upper from lower case.
                any = any || fits(pattern, reading.iter(), Segment::is_case_aside);
            }
        }
        Truth::of(any, all)
    }

    fn asks(&self, query: Option<&str>) -> Truth {
        let query = query.unwrap_or_default();
        let parameters = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let one = |(name, pattern): &(String, Glob)| {
            // A parameter that is given twice is read as the first, the last or both.
            let (mut any, mut all) = (false, true);
            for (_, value) in parameters().filter(|(given, _)| decoded(given) == **name) {
                let fits = pattern.matches(&decoded(value));
                (any, all) = (any || fits, all && fits);
            }
            Truth::of(any, all)
        };
        self.query.iter().map(one).min().unwrap_or(Truth::Yes)
    }
}

/// The texts that the first innermost `{a,b}` stands for.
fn expand(text: &str) -> Result<Vec<String>, Wrong> {
    let unpaired = || wrong("`{` and `}` do not pair up", "write alternatives as `{a,b}`");
    let close = text.find('}').ok_or_else(unpaired)?;
    let (before, behind) = text.split_at_checked(close).ok_or_else(unpaired)?;
    let (before, inside) = before.rsplit_once('{').ok_or_else(unpaired)?;
    let behind = behind.strip_prefix('}').unwrap_or_default();
    if !inside.contains(',') {
        return Err(wrong(format!("`{{{inside}}}` is no choice"), "one segment, whatever it is, is `*`"));
    }
    Ok(inside.split(',').map(|choice| format!("{before}{choice}{behind}")).collect())
}

fn scheme_of(text: &str) -> Result<String, Wrong> {
    let scheme = text.to_ascii_lowercase();
    if matches!(scheme.as_str(), "http" | "https" | "ws" | "wss") {
        return Ok(scheme);
    }
    Err(wrong(format!("`{text}` is no scheme of the web"), "write http, https, ws or wss, or leave it out"))
}

fn authority_of(text: &str) -> Result<(Option<String>, Option<u16>), Wrong> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse().map_err(|_| wrong("a port that is no number below 65536", ""))?;
            (host, Some(port))
        }
        _ => (text, None),
    };
    if host == "*" {
        return Ok((None, port));
    }
    let (below, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
    if name.contains(['*', '?']) {
        return Err(wrong("`*` in a host stands only in front, as `*.`", "write `*.example.com`"));
    }
    match host_of(name.trim_matches(['[', ']'])) {
        Some(Host::Name(name)) if below => Ok((Some(format!("*.{name}")), port)),
        Some(Host::Ip(_)) if below => Err(wrong("nothing is below an address", "remove `*.`")),
        Some(host) => Ok((Some(host.to_string()), port)),
        None => Err(wrong(format!("`{host}` is not a host"), "write a name or an address")),
    }
}

/// A path is normalised as that of a URL is, so that no pattern is spelled in a way no URL is read.
fn segments_of(path: &str) -> Result<Vec<Segment>, Wrong> {
    let read = Path::read(path).ok_or_else(|| wrong("a path with a control character in it", "remove it"))?;
    if read.readings().count() > 1 {
        let message = "a path that servers read in more than one way";
        return Err(wrong(message, format!("write it plainly, as `{read}`")));
    }
    Ok(read
        .segments()
        .map(|segment| match segment {
            "**" => Segment::Any,
            text if text.contains('*') => {
                let text = text.replace("**", "*");
                Segment::Glob { exact: Glob::exact_case(&text), folded: Glob::any_case(&text) }
            }
            text => Segment::Literal(text.to_owned()),
        })
        .collect())
}

fn query_of(text: &str) -> Result<Vec<(String, Glob)>, Wrong> {
    let each = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() && !name.contains('*') => {
            Ok((decoded(name).into_owned(), Glob::exact_case(&decoded(value).replace('*', "**"))))
        }
        _ => Err(wrong(
            format!("`{pair}` names no parameter"),
            "write `name=value`, or `name=*` for any value",
        )),
    };
    text.split('&').map(each).collect()
}

impl Segment {
    /// Whether it is this one segment of a path.
    fn is(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => text == segment,
            Self::Glob { exact, .. } => exact.matches(segment),
            Self::Any => false,
        }
    }

    /// The same where upper and lower case are one.
    fn is_case_aside(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => small(text).eq(small(segment)),
            Self::Glob { folded, .. } => folded.matches(segment),
            Self::Any => false,
        }
    }
}

/// In small letters; a sigma at the end of a word is one like any other.
fn small(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c })
}

/// Whether the segments fit, each being `one` or not, in time of their number times that of the pattern's: of several
/// `**` only the last is ever tried anew.
fn fits<'s>(
    pattern: &[Segment],
    segments: impl Iterator<Item = &'s str> + Clone,
    mut one: impl FnMut(&Segment, &str) -> bool,
) -> bool {
    let (mut at, mut next) = (0, segments);
    // Behind the last `**`, and from the first segment on that it does not take.
    let mut again = None;
    loop {
        let wanted = pattern.get(at);
        if let Some(Segment::Any) = wanted {
            at += 1;
            again = Some((at, next.clone()));
            continue;
        }
        let mut behind = next.clone();
        let Some(segment) = behind.next() else { break };
        if wanted.is_some_and(|wanted| one(wanted, segment)) {
            (at, next) = (at + 1, behind);
        } else if let Some((from, taken)) = &mut again {
            taken.next();
            (at, next) = (*from, taken.clone());
        } else {
            return false;
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|segment| matches!(segment, Segment::Any)))
}

/// A name or value of a query, as forms encode it.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = behind.split_at_checked(2);
                let value = pair.and_then(|(pair, rest)| {
                    let text = std::str::from_utf8(pair).ok().filter(|it| !it.starts_with('+'))?;
                    Some((u8::from_str_radix(text, 16).ok()?, rest))
                });
                match value {
                    Some((value, behind)) => {
                        bytes.push(value);
                        rest = behind;
                    }
                    None => bytes.push(b'%'),
                }
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(pattern: &str, url: &str) -> Truth {
        let url = Url::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"));
        let patterns = UrlPattern::compile(pattern).unwrap_or_else(|wrong| panic!("{pattern}: {wrong:?}"));
        patterns.iter().map(|pattern| pattern.matches(&url)).max().unwrap_or(Truth::No)
    }

    #[test]
    fn what_a_pattern_is_about() {
        use Truth::{No, Unknown, Yes};
        for (pattern, url, expected) in [
            ("*", "http://any.test:1/x?y", Yes),
            ("**", "http://any.test", Yes),
            ("api.example.com/v1/charges", "https://api.example.com/v1/charges", Yes),
            ("api.example.com/v1/charges", "https://API.example.com/v1//charges/?x=1", Yes),
            ("api.example.com/v1/charges", "https://api.example.com/v1/%63harges", Yes),
            ("api.example.com/v1/charges", "https://api.example.com/v1/charges/ch_1", No),
            ("api.example.com/v1/charges", "https://api.example.com.evil.test/v1/charges", No),
            ("api.example.com/v1/charges", "http://evil.test?@api.example.com/v1/charges", No),
            // In the pattern as in the URL.
            ("API.Example.com/v1/./x/../%63harges/", "https://api.example.com/v1/charges", Yes),
            ("bücher.example/**", "https://xn--bcher-kva.example/x", Yes),
            // What servers read differently.
            ("api.example.com/admin", "https://api.example.com/a/..;/admin", Unknown),
            ("api.example.com/admin", "https://api.example.com/a/..%2fadmin", Unknown),
            ("api.example.com/v1/charges", "https://api.example.com/v1/charges;v=1", Unknown),
            ("api.example.com/v1/charges", "https://api.example.com/V1/Charges", Unknown),
            ("api.example.com/**", "https://api.example.com/v1/charges;v=1", Yes),
            // Wildcards: a segment, any number, a part of one.
            ("a.test/v1/*/x", "http://a.test/v1/anything/x", Yes),
            ("a.test/v1/*/x", "http://a.test/v1/x", No),
            ("a.test/v1/*", "http://a.test/v1/a/b", No),
            ("a.test/v1/**", "http://a.test/v1", Yes),
            ("a.test/v1/**", "http://a.test/v1/a/b", Yes),
            ("a.test/**/x", "http://a.test/x", Yes),
            ("a.test/**/x/**/y", "http://a.test/1/x/2/x/3/y", Yes),
            ("a.test/**/x/**/y", "http://a.test/1/y/2/x", No),
            ("a.test/v1/charge*", "http://a.test/v1/charges", Yes),
            ("a.test/v1/charge*", "http://a.test/v1/charges/1", No),
            ("a.test/*:generate", "http://a.test/model-2.0:generate", Yes),
            ("a.test/{v1,v2}/{a,b}", "http://a.test/v2/b", Yes),
            ("a.test/{v1,v2}/{a,b}", "http://a.test/v3/b", No),
            ("{a,b}.test/**", "http://b.test/", Yes),
            ("a.test/fine_tuning/users/42", "http://a.test/fine_tuning/users/42", Yes),
            // Hosts.
            ("*.example.com/**", "https://a.b.example.com/x", Yes),
            ("*.example.com/**", "https://example.com/x", No),
            ("*/admin/**", "https://anything.test/admin/x", Yes),
            ("127.0.0.1/**", "http://2130706433/x", Yes),
            ("[::1]:80/**", "http://[0:0::1]/x", Yes),
            ("a.test/", "http://a.test", Yes),
            ("a.test/", "http://a.test/x", No),
            // Scheme and port.
            ("https://a.test/**", "http://a.test/", No),
            ("https://a.test/**", "a.test/", Unknown),
            ("a.test/**", "https://a.test:8443/", Unknown),
            ("a.test/**", "https://a.test:0443/", Yes),
            ("a.test:8443/**", "https://a.test:8443/", Yes),
            ("a.test:8443/**", "https://a.test/", No),
            ("*/**", "https://a.test:8443/", Yes),
            // Queries.
            ("a.test/x?mode=raw", "http://a.test/x?b=1&mode=raw", Yes),
            ("a.test/x?mode=raw", "http://a.test/x?mode=r%61w", Yes),
            ("a.test/x?mode=raw", "http://a.test/x?mode=raw&mode=safe", Unknown),
            ("a.test/x?mode=raw", "http://a.test/x", No),
            ("a.test/x?mode=*", "http://a.test/x?mode=", Yes),
            ("a.test/x?path=/etc/*", "http://a.test/x?path=%2Fetc%2Fpasswd", Yes),
        ] {
            assert_eq!(truth(pattern, url), expected, "{pattern} on {url}");
        }
    }

    #[test]
    fn what_could_match_nothing_is_no_pattern() {
        for (pattern, says) in [
            ("", "empty"),
            ("api.example.com", "without a path"),
            ("ftp://a.test/", "no scheme of the web"),
            ("user@a.test/", "`@`"),
            ("a.test/x#y", "`#`"),
            ("a.test/x y", "space"),
            ("a*.test/", "in front"),
            ("*.10.0.0.1/", "below an address"),
            ("a..test/", "not a host"),
            ("/v1/charges", "not a host"),
            ("a.test:99999/", "port"),
            ("a.test/{id}", "no choice"),
            ("a.test/{a,b", "pair up"),
            ("a.test/a}", "pair up"),
            ("a.test/a;b", "more than one way"),
            ("a.test/%00", "control"),
            ("a.test/?x", "names no parameter"),
            ("a.test/{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}", "more than 64"),
        ] {
            let wrong = UrlPattern::compile(pattern).expect_err(pattern);
            assert!(wrong.message.contains(says), "{pattern}: {}", wrong.message);
        }
    }

    #[test]
    fn many_runs_take_linear_time() {
        // By brute force this would outlast the universe.
        let pattern = UrlPattern::compile(&format!("a.test{}", "/**/a".repeat(60))).unwrap();
        let pattern = pattern.first().and_then(|pattern| pattern.path.as_deref()).unwrap();
        let looks = |segments: usize, one: &dyn Fn(&Segment, &str) -> bool| {
            let path = "/a".repeat(segments) + "/b";
            let mut looks = 0;
            let counted = |wanted: &Segment, segment: &str| {
                looks += 1;
                one(wanted, segment)
            };
            assert!(!fits(pattern, Path::read(&path).unwrap().segments(), counted));
            looks
        };
        for count in [250, 500, 1000, 2000] {
            assert!(looks(count, &Segment::is) <= count + 60, "{} for {count}", looks(count, &Segment::is));
            assert!(looks(count, &Segment::is_case_aside) <= count + 60);
        }
    }

    #[test]
    fn a_run_that_is_tried_again_looks_at_each_segment_as_often_as_the_pattern_is_long() {
        // `**/a/a/…/b` begins anew at each `a`.
        let pattern = UrlPattern::compile(&format!("a.test/**{}/b", "/a".repeat(40))).unwrap();
        let pattern = pattern.first().and_then(|pattern| pattern.path.as_deref()).unwrap();
        for count in [250, 500, 1000, 2000] {
            let path = "/a".repeat(count);
            let mut looks = 0;
            let counted = |wanted: &Segment, segment: &str| {
                looks += 1;
                wanted.is(segment)
            };
            assert!(!fits(pattern, Path::read(&path).unwrap().segments(), counted));
            assert!(looks <= 42 * count, "{looks} for {count}");
        }
    }
}
