//! Whose an address is: the one classifier of addresses, in whatever they are wrapped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose an address or a name is, from the most ordinary to what is touched least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Anybody's, on the public network.
    Public,
    /// Nobody's: set aside for documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Groups of machines, and everybody on this network (RFC 5771, RFC 4291, RFC 919).
    Multicast,
    /// Nobody's, or a protocol's own (RFC 6890 and the registries of IANA that it began).
    Reserved,
    /// Behind a provider's translation (RFC 6598).
    Shared,
    /// A private network (RFC 1918, RFC 4193, RFC 3879).
    Private,
    /// This wire alone (RFC 3927, RFC 4291).
    LinkLocal,
    /// This machine (RFC 1122, RFC 4291), the unspecified address too: connecting to it stays here.
    Loopback,
    /// The service by which a cloud tells a machine its credentials.
    Metadata,
}

impl Reach {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Documentation => "documentation",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Shared => "shared",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Metadata => "metadata",
        }
    }

    /// Whose `ip` is. Of an address that carries another, the one that is touched less.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => carried(ip).into_iter().flatten().map(of_v4).fold(of_v6(ip), Self::max),
        }
    }
}

/// A range: the first address, the length of its prefix, whose it is. The first that fits counts.
type Range<T> = (T, u32, Reach);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

#[rustfmt::skip]
const RANGES: &[Range<u32>] = &[
    // Where clouds answer: EC2 and most others; ECS tasks and EKS pods; Azure's wire server; Alibaba; Oracle's older
    // one; Scaleway; Tencent; UCloud; Volcano Engine.
    (v4(169, 254, 169, 254), 32, Reach::Metadata),
    (v4(169, 254, 170, 2), 32, Reach::Metadata),
    (v4(169, 254, 170, 23), 32, Reach::Metadata),
    (v4(168, 63, 129, 16), 32, Reach::Metadata),
    (v4(100, 100, 100, 200), 32, Reach::Metadata),
    (v4(192, 0, 0, 192), 32, Reach::Metadata),
    (v4(169, 254, 42, 42), 32, Reach::Metadata),
    (v4(169, 254, 0, 23), 32, Reach::Metadata),
    (v4(100, 80, 80, 80), 32, Reach::Metadata),
    (v4(100, 96, 0, 96), 32, Reach::Metadata),
    (v4(0, 0, 0, 0), 32, Reach::Loopback),
    (v4(0, 0, 0, 0), 8, Reach::Reserved),
    (v4(10, 0, 0, 0), 8, Reach::Private),
    (v4(100, 64, 0, 0), 10, Reach::Shared),
    (v4(127, 0, 0, 0), 8, Reach::Loopback),
    (v4(169, 254, 0, 0), 16, Reach::LinkLocal),
    (v4(172, 16, 0, 0), 12, Reach::Private),
    (v4(192, 0, 0, 0), 24, Reach::Reserved),
    (v4(192, 0, 2, 0), 24, Reach::Documentation),
    (v4(192, 88, 99, 0), 24, Reach::Reserved),
    (v4(192, 168, 0, 0), 16, Reach::Private),
    // Measuring of network devices (RFC 2544), and what containers and proxies use inside.
    (v4(198, 18, 0, 0), 15, Reach::Reserved),
    (v4(198, 51, 100, 0), 24, Reach::Documentation),
    (v4(203, 0, 113, 0), 24, Reach::Documentation),
    (v4(224, 0, 0, 0), 4, Reach::Multicast),
    (v4(255, 255, 255, 255), 32, Reach::Multicast),
    (v4(240, 0, 0, 0), 4, Reach::Reserved),
    (0, 0, Reach::Public),
];

const fn v6(a: u16, b: u16, c: u16, d: u16) -> u128 {
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_bits()
}

const fn host(segments: [u16; 8]) -> u128 {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits()
}

#[rustfmt::skip]
const RANGES_6: &[Range<u128>] = &[
    // EC2 and its pods, Google, Oracle, Scaleway, Akamai.
    (host([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]), 128, Reach::Metadata),
    (host([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]), 128, Reach::Metadata),
    (host([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]), 128, Reach::Metadata),
    (host([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), 128, Reach::Metadata),
    (host([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]), 128, Reach::Metadata),
    (host([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]), 128, Reach::Metadata),
    // OpenStack's, whatever the wire.
    (host([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), 128, Reach::Metadata),
    (host([0, 0, 0, 0, 0, 0, 0, 1]), 128, Reach::Loopback),
    (host([0, 0, 0, 0, 0, 0, 0, 0]), 128, Reach::Loopback),
    // What carries an IPv4 address is that address's: compatible and mapped (RFC 4291), translated (RFC 2765), NAT64
    // (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
    (v6(0, 0, 0, 0), 64, Reach::Public),
    (v6(0x64, 0xff9b, 0, 0), 96, Reach::Public),
    (v6(0x2002, 0, 0, 0), 16, Reach::Public),
    (v6(0x2001, 0, 0, 0), 32, Reach::Public),
    // NAT64 of one's own network (RFC 8215).
    (v6(0x64, 0xff9b, 1, 0), 48, Reach::Private),
    (v6(0x2001, 0xdb8, 0, 0), 32, Reach::Documentation),
    (v6(0x3fff, 0, 0, 0), 20, Reach::Documentation),
    // Protocols' own (RFC 2928); of it, what is routed: anycast for port control and TURN, AMT, AS112.
    (host([0x2001, 1, 0, 0, 0, 0, 0, 1]), 128, Reach::Public),
    (host([0x2001, 1, 0, 0, 0, 0, 0, 2]), 128, Reach::Public),
    (v6(0x2001, 3, 0, 0), 32, Reach::Public),
    (v6(0x2001, 4, 0x112, 0), 48, Reach::Public),
    (v6(0x2001, 0, 0, 0), 23, Reach::Reserved),
    (v6(0xfc00, 0, 0, 0), 7, Reach::Private),
    (v6(0xfec0, 0, 0, 0), 10, Reach::Private),
    (v6(0xfe80, 0, 0, 0), 10, Reach::LinkLocal),
    (v6(0xff00, 0, 0, 0), 8, Reach::Multicast),
    // All that is given out for the public network (RFC 4291); the rest is nobody's yet.
    (v6(0x2000, 0, 0, 0), 3, Reach::Public),
    (0, 0, Reach::Reserved),
];

fn of_v4(ip: Ipv4Addr) -> Reach {
    let fits = |(start, length, _): &&Range<u32>| {
        (ip.to_bits() ^ start).checked_shr(32 - length).is_none_or(|differs| differs == 0)
    };
    RANGES.iter().find(fits).map_or(Reach::Reserved, |(_, _, reach)| *reach)
}

fn of_v6(ip: Ipv6Addr) -> Reach {
    let fits = |(start, length, _): &&Range<u128>| {
        (ip.to_bits() ^ start).checked_shr(128 - length).is_none_or(|differs| differs == 0)
    };
    RANGES_6.iter().find(fits).map_or(Reach::Reserved, |(_, _, reach)| *reach)
}

/// The IPv4 addresses that `ip` carries.
fn carried(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // Compatible, mapped, translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => [of(high, low), None],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [of(high, low), None],
        // A prefix of 48 bits has eight bits of nothing in the middle of the address; one of 96 has it at the end.
        [0x64, 0xff9b, 1, high, middle, low, last_high, last_low] => {
            let low = middle << 8 | low >> 8;
            let last = of(last_high, last_low).filter(|last| !last.is_unspecified());
            [of(high, low).filter(|first| !first.is_unspecified()), last]
        }
        [0x2002, high, low, ..] => [of(high, low), None],
        // Teredo has its server, and its client with all bits turned over.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            [of(high, low), of(!client_high, !client_low)]
        }
        // ISATAP (RFC 5214), under whatever prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => [of(high, low), None],
        _ => [None, None],
    }
}
