//! Ranges of addresses: `10.0.0.0/8`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses of one family (RFC 4632, section 3.1; RFC 4291, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Range {
    first: IpAddr,
    /// How many leading bits all of its addresses have in common.
    bits: u8,
}

impl Range {
    /// Reads `address/bits`.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let no_range = |advice: &str| (format!("`{text}` is no range of addresses"), advice.to_owned());
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address = address.strip_prefix('[').map_or(address, |inner| inner.trim_end_matches(']'));
        let address: IpAddr = address
            .parse()
            .map_err(|_| no_range("write an address and how many of its bits count: `10.0.0.0/8`"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits: u8 = match bits.parse() {
            Ok(bits) if digits && bits <= most => bits,
            _ => return Err(no_range(&format!("behind `/` stands a number from 0 to {most}"))),
        };
        let range = Self { first: masked(address, bits), bits };
        if range.first != address {
            return Err((
                format!("`{text}` has bits behind its prefix"),
                format!("write `{}/{bits}`, or the address alone", range.first),
            ));
        }
        Ok(range.unwrapped())
    }

    /// IPv4 inside IPv6 is compared as IPv4, as hosts are.
    fn unwrapped(self) -> Self {
        match self.first {
            IpAddr::V6(v6) if self.bits >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => Self { first: IpAddr::V4(v4), bits: self.bits - 96 },
                None => self,
            },
            _ => self,
        }
    }

    /// Whether `ip` is one of them.
    pub fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.first.is_ipv4() && masked(ip, self.bits) == self.first
    }
}

/// `ip` with all but its first `bits` bits taken away.
fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("[fd00::]/8", "fd12::", "::"),
            ("::/0", "2001:db8::1", "8.8.8.8"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
        ] {
            let range = Range::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "x/8", "fd00::/129", "10.0.0.1/8"]
        {
            assert!(Range::parse(text).is_err(), "{text}");
        }
        let (_, advice) = Range::parse("10.1.2.3/8").unwrap_err();
        assert_eq!(advice, "write `10.0.0.0/8`, or the address alone");
    }
}
