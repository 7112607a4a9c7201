//! Names and addresses, however they are spelled.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name, in ASCII (RFC 5891) and lower case, without a trailing dot.
    Name(Cow<'a, str>),
    /// An address, however it was spelled; IPv4 inside IPv6 is unwrapped.
    Ip(IpAddr),
}

impl std::fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

impl Host<'_> {
    /// The same, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> Host<'static> {
        match self {
            Self::Name(name) => Host::Name(name.into_owned().into()),
            Self::Ip(ip) => Host::Ip(ip),
        }
    }

    /// Whether this is the machine itself: loopback, the unspecified address, `localhost`.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ip(ip) => ip.is_loopback() || ip.is_unspecified(),
        }
    }
}

/// Reads one host, without a port.
#[must_use]
pub fn host_of(host: &str) -> Option<Host<'_>> {
    if let Ok(ip) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
        return Some(Host::Ip(unwrapped(ip)));
    }
    // Fullwidth digits, other dots, upper case: what UTS 46 maps is mapped before anything is compared.
    let mapped = if host.is_ascii() {
        Cow::Borrowed(host)
    } else {
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::EMPTY).ok()?
    };
    let name = match mapped {
        Cow::Borrowed(text) => in_small_letters(text.strip_suffix('.').unwrap_or(text)),
        Cow::Owned(text) => in_small_letters(text.strip_suffix('.').unwrap_or(&text)).into_owned().into(),
    };
    if name.split('.').any(str::is_empty) || !name.bytes().all(is_of_names) {
        return None;
    }
    Some(inet_aton(&name).map_or(Host::Name(name), |ip| Host::Ip(IpAddr::V4(ip))))
}

/// Copied only if it has a capital.
pub(super) fn in_small_letters(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

const fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// IPv4 as the C library reads it: one to four parts, each decimal, octal or hexadecimal.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.');
    let mut last = number(parts.next()?)?;
    // How many bytes the last part fills, and what stands above them.
    let (mut room, mut high) = (4u32, 0u32);
    for part in parts {
        room = room.checked_sub(1).filter(|room| *room > 0 && last <= 255)?;
        high |= last << (8 * room);
        last = number(part)?;
    }
    if room < 4 && last >= 1 << (8 * room) {
        return None;
    }
    Some(Ipv4Addr::from(high | last))
}

/// Of a name, in small letters.
fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return if hex.is_empty() { Some(0) } else { u32::from_str_radix(hex, 16).ok() };
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
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
pub fn covers(pattern: &str, host: &Host<'_>) -> bool {
    let Host::Name(name) = host else {
        return host_of(pattern.trim_matches(['[', ']'])).as_ref() == Some(host);
    };
    match pattern.strip_prefix("*.") {
        Some(suffix) => name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        None => name == pattern,
    }
}
