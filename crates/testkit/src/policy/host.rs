//! Hosts: names, everything below a name, addresses, ranges of addresses.

use std::net::IpAddr;

use doorward_core::url::{Host, host_of};

/// Whether `pattern` (of the key `host`) fits `host`.
pub fn fits(pattern: &str, host: &Host<'_>) -> bool {
    if let Some((network, length)) = pattern.split_once('/') {
        let (Host::Ip(ip), Some(Host::Ip(network)), Ok(length)) = (host, address(network), length.parse())
        else {
            return false;
        };
        return within(*ip, network, length);
    }
    if let Some(suffix) = pattern.strip_prefix("*.") {
        let (Host::Name(name), Some(Host::Name(suffix))) = (host, host_of(suffix)) else { return false };
        return name.strip_suffix(&*suffix).is_some_and(|front| front.len() > 1 && front.ends_with('.'));
    }
    address(pattern).as_ref() == Some(host)
}

/// A host in brackets or without.
fn address(text: &str) -> Option<Host<'_>> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inner) => host_of(inner),
        None => host_of(text),
    }
}

/// Whether the first `length` bits are the same.
fn within(ip: IpAddr, network: IpAddr, length: u32) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (32, u128::from(u32::from(ip))),
        IpAddr::V6(ip) => (128, u128::from(ip)),
    };
    let ((width, ip), (other, network)) = (bits(ip), bits(network));
    width == other
        && (length == 0 || length <= width && ip >> (width - length) == network >> (width - length))
}
