//! Names and addresses, however they are spelled.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

use super::address::Reach;
use super::special;

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

    /// Whose it is, as far as an address or a name says so by itself.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Self::Name(name) => special::reach(name),
            Self::Ip(ip) => Reach::of(*ip),
        }
    }

    /// Whether this is the machine itself: loopback, the unspecified address, `localhost`, names that lead there.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        self.reach() == Reach::Loopback
    }
}

/// Reads one host, without a port.
#[must_use]
pub fn host_of(host: &str) -> Option<Host<'_>> {
    if let Ok(ip) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
        return Some(Host::Ip(unwrapped(ip)));
    }
    let name = name_of(host)?;
    Some(inet_aton(&name, 8).map_or(Host::Name(name), |ip| Host::Ip(IpAddr::V4(ip))))
}

/// A name, or an IPv4 address in whatever numbers, in ASCII, small letters and without a dot at its end.
fn name_of(host: &str) -> Option<Cow<'_, str>> {
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
    Some(name)
}

/// Whose the place is that `host`, without a port, names: of all readings that readers are known for, the one that
/// is touched least. `None` if it is neither a name nor an address, or if it ends in a number as no name does (WHATWG
/// URL, section 3.5) and is no address.
#[must_use]
pub fn reach_of(host: &str) -> Option<Reach> {
    let read = host_of(host)?;
    if let Host::Ip(IpAddr::V6(_)) = read {
        return Some(read.reach());
    }
    let Some(name) = name_of(host).filter(|name| ends_in_number(name)) else { return Some(read.reach()) };
    // Some take a number that begins with 0 for a decimal one (CVE-2021-29921), some forget what overflows.
    let others =
        [inet_aton(&name, 10), overflowing(&name)].into_iter().flatten().map(|ip| Reach::of(ip.into())).max();
    match read {
        Host::Ip(ip) => Some(others.map_or(Reach::of(ip), |other| other.max(Reach::of(ip)))),
        Host::Name(_) => others.filter(|other| *other > Reach::Public),
    }
}

/// Whether the last label of a name is a number, as that of no name is.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(hex)
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

/// IPv4 as the C library reads it: one to four parts, each decimal, hexadecimal or, if it begins with 0, to the base
/// `zero`.
fn inet_aton(text: &str, zero: u32) -> Option<Ipv4Addr> {
    let mut parts = text.split('.');
    let mut last = number(parts.next()?, zero)?;
    // How many bytes the last part fills, and what stands above them.
    let (mut room, mut high) = (4u32, 0u32);
    for part in parts {
        room = room.checked_sub(1).filter(|room| *room > 0 && last <= 255)?;
        high |= last << (8 * room);
        last = number(part, zero)?;
    }
    if room < 4 && last >= 1 << (8 * room) {
        return None;
    }
    Some(Ipv4Addr::from(high | last))
}

/// Of a name, in small letters.
fn number(text: &str, zero: u32) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return if hex.is_empty() { Some(0) } else { u32::from_str_radix(hex, 16).ok() };
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match text.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, zero).ok(),
        _ => text.parse().ok(),
    }
}

/// IPv4 as readers take it that keep the lowest bits of numbers which are too large, and octal numbers as languages
/// write them: `0o177`, or with another letter for their base.
fn overflowing(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(lowest_bits).collect::<Option<Vec<u32>>>()?;
    let (last, firsts) = parts.split_last()?;
    let room = 4usize.checked_sub(firsts.len()).filter(|room| *room > 0)?;
    let high = firsts.iter().fold(0u32, |high, part| high << 8 | part & 0xff);
    Some(Ipv4Addr::from(match room {
        4 => *last,
        room => high << (8 * room) | last & ((1 << (8 * room)) - 1),
    }))
}

/// The number that `text` is, without what does not fit into 32 bits.
fn lowest_bits(text: &str) -> Option<u32> {
    let octal = ["0o", "o", "q"].iter().find_map(|prefix| text.strip_prefix(prefix));
    let (digits, base) = match (text.strip_prefix("0x"), octal) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) if text.len() > 1 && text.starts_with('0') => (text, 8),
        (None, None) => (text, 10),
    };
    let add = |number: u32, c: char| Some(number.wrapping_mul(base).wrapping_add(c.to_digit(base)?));
    digits.chars().try_fold(0u32, add).filter(|_| !digits.is_empty())
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
