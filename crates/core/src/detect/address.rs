//! What a URL or host really names. One strict reading, used by policy, floor and rules alike: what
//! readers could disagree about (userinfo, backslashes, controls) is not read at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host and, if given or implied by the scheme, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port; `None` if nothing tells.
    pub port: Option<u16>,
}

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case, without a trailing dot.
    Name(String),
    /// An address, however it was spelled; IPv4 inside IPv6 is unwrapped.
    Ip(IpAddr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

impl Host {
    /// Whether this is the machine itself: loopback, the unspecified address, `localhost`.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(ip) => ip.is_loopback() || ip.is_unspecified(),
        }
    }
}

/// The longest URL that is read, in bytes.
const LONGEST: usize = 8192;

/// The authority of `url`, which may lack a scheme (`example.com/x`, `example.com:80`).
///
/// `None` if it has none or if two readers could see different ones.
#[must_use]
pub fn authority(url: &str) -> Option<Authority> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if url.len() > LONGEST || url.contains(odd) {
        return None;
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        // `example.com/login?next=https://…` has no scheme of its own.
        Some((before, _)) if before.contains(['/', '?', '#']) => ("", url.strip_prefix("//").unwrap_or(url)),
        Some(_) => return None,
        None => ("", url.strip_prefix("//").unwrap_or(url)),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, _) = rest.split_at_checked(end)?;
    if authority.is_empty() || authority.contains(['@', '%']) {
        return None;
    }
    let (host, port) = split_port(authority)?;
    let implied = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        "ssh" | "sftp" => Some(22),
        _ => None,
    };
    Some(Authority { host: host_of(host)?, port: port.or(implied) })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: an IPv6 address alone.
        Some((_, rest)) if rest.contains(':') => Some((authority, None)),
        Some((host, "")) => Some((host, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

/// Reads one host, without a port.
#[must_use]
pub fn host_of(host: &str) -> Option<Host> {
    if let Ok(ip) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
        return Some(Host::Ip(unwrapped(ip)));
    }
    // IDNA maps these to a plain dot, fullwidth digits to digits.
    let plain: String = super::normalize::normalize(host)
        .text
        .chars()
        .map(|c| if matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}') { '.' } else { c })
        .collect();
    let name = plain.strip_suffix('.').unwrap_or(&plain).to_lowercase();
    if name.is_empty() || name.contains(|c: char| c.is_ascii() && !is_name_char(c)) {
        return None;
    }
    Some(inet_aton(&name).map_or(Host::Name(name), |ip| Host::Ip(IpAddr::V4(ip))))
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}

/// IPv4 as the C library reads it: one to four parts, each decimal, octal or hexadecimal.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, firsts) = parts.split_last()?;
    let room = 4usize.checked_sub(firsts.len()).filter(|room| *room > 0)?;
    if firsts.iter().any(|part| *part > 255) || room < 4 && u64::from(*last) >= 1u64 << (8 * room) {
        return None;
    }
    let high = firsts.iter().zip([24u32, 16, 8]).fold(0u32, |sum, (part, shift)| sum | part << shift);
    Some(Ipv4Addr::from(high | last))
}

fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return if hex.is_empty() { Some(0) } else { u32::from_str_radix(hex, 16).ok() };
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match lower.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => lower.parse().ok(),
    }
}

/// The IPv4 address an IPv6 one stands for (mapped, compatible, NAT64, 6to4), or itself.
fn unwrapped(ip: Ipv6Addr) -> IpAddr {
    let [.., high, low] = ip.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => IpAddr::V6(ip),
        [0, 0, 0, 0, 0, 0, ..] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4(high, low),
        [0x2002, second, third, ..] => v4(second, third),
        _ => IpAddr::V6(ip),
    }
}

/// Whether `pattern` (a host, or `*.suffix` for everything below it) covers `host`.
#[must_use]
pub fn covers(pattern: &str, host: &Host) -> bool {
    let Host::Name(name) = host else {
        return host_of(pattern.trim_matches(['[', ']'])).as_ref() == Some(host);
    };
    match pattern.strip_prefix("*.") {
        Some(suffix) => name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(url: &str) -> Option<String> {
        authority(url).map(|authority| authority.host.to_string())
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for spelled in [
            "http://127.0.0.1:80/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/x",
            "http://127.1",
            "//127.0.0.1",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://127.0.0.1./",
            "http://１２７.0.0.1/",
            "127.0.0.1:8080/x",
        ] {
            assert_eq!(host(spelled).as_deref(), Some("127.0.0.1"), "{spelled}");
        }
    }

    #[test]
    fn what_readers_could_disagree_about_is_not_read() {
        for url in [
            "http://github.com:x@evil.test/",
            "http://a@b/",
            "http://a\\b/",
            "http://a b/",
            "http://",
            "http://a%2eb/",
            "http://a\n.test/",
            "http://host:99999/",
            "http:///x",
        ] {
            assert_eq!(authority(url), None, "{url}");
        }
        assert_eq!(host("https://EXAMPLE.com.?@evil").as_deref(), Some("example.com"));
        assert_eq!(authority("example.com:443").unwrap().port, Some(443));
        assert_eq!(host("example.com/x?next=https://other.test").as_deref(), Some("example.com"));
        assert_eq!(host("http://1.2.3.4.5/").as_deref(), Some("1.2.3.4.5"));
    }

    #[test]
    fn a_suffix_covers_what_is_below_it_only() {
        let name = |text: &str| Host::Name(text.into());
        assert!(covers("*.example.com", &name("a.example.com")));
        assert!(!covers("*.example.com", &name("example.com")));
        assert!(!covers("*.example.com", &name("evilexample.com")));
        assert!(covers("127.0.0.1", &Host::Ip(Ipv4Addr::LOCALHOST.into())));
    }
}
