//! Names and addresses, however they are spelled.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in ASCII (RFC 5891) and lower case, without a trailing dot.
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

/// Reads one host, without a port.
#[must_use]
pub fn host_of(host: &str) -> Option<Host> {
    if let Ok(ip) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() {
        return Some(Host::Ip(unwrapped(ip)));
    }
    // Fullwidth digits, other dots, upper case: what UTS 46 maps is mapped before anything is compared.
    let mapped = if host.is_ascii() {
        Cow::Borrowed(host)
    } else {
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::EMPTY).ok()?
    };
    let name = mapped.strip_suffix('.').unwrap_or(&mapped).to_ascii_lowercase();
    if name.split('.').any(str::is_empty) || !name.chars().all(is_name_char) {
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
