//! Whose addresses and names are, in every spelling that some reader takes.

use super::Reach::{
    Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Shared,
};
use super::*;

/// What kind of spellings, and of each whose it is.
type Table = (&'static str, &'static [(&'static str, Option<Reach>)]);

const SPELLINGS: &[Table] = &[
    (
        "decimal, by bytes",
        &[
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("8.8.8.8", Some(Public)),
            ("172.15.255.255", Some(Public)),
            ("172.16.0.0", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("172.32.0.0", Some(Public)),
            ("192.168.77.4", Some(Private)),
            ("100.63.255.255", Some(Public)),
            ("100.64.0.0", Some(Shared)),
            ("100.127.255.255", Some(Shared)),
            ("100.128.0.0", Some(Public)),
            ("169.254.1.2", Some(LinkLocal)),
            ("0.0.0.0", Some(Loopback)),
            ("0.1.2.3", Some(Reserved)),
            ("192.0.0.8", Some(Reserved)),
            ("192.0.2.77", Some(Documentation)),
            ("198.51.100.77", Some(Documentation)),
            ("203.0.113.77", Some(Documentation)),
            ("198.17.255.255", Some(Public)),
            ("198.18.0.0", Some(Reserved)),
            ("198.19.255.255", Some(Reserved)),
            ("192.88.99.1", Some(Reserved)),
            ("223.255.255.255", Some(Public)),
            ("224.0.0.251", Some(Multicast)),
            ("239.255.255.250", Some(Multicast)),
            ("240.0.0.1", Some(Reserved)),
            ("255.255.255.255", Some(Multicast)),
        ],
    ),
    (
        "inet_aton (POSIX): one number, two, three; octal, hexadecimal, mixed",
        &[
            ("2130706433", Some(Loopback)),
            ("017700000001", Some(Loopback)),
            ("0x7f000001", Some(Loopback)),
            ("0X7F000001", Some(Loopback)),
            ("127.1", Some(Loopback)),
            ("127.0.1", Some(Loopback)),
            ("0177.0.0.1", Some(Loopback)),
            ("00000177.0.0.01", Some(Loopback)),
            ("0x7f.1", Some(Loopback)),
            ("0x7f.0x0.0x0.0x1", Some(Loopback)),
            ("0xa.0.012.5", Some(Private)),
            ("192.168.258", Some(Private)),
            ("172.1048577", Some(Private)),
            ("0", Some(Loopback)),
            ("0x", Some(Loopback)),
            ("134744072", Some(Public)),
            ("0x08080808", Some(Public)),
        ],
    ),
    (
        "zeros before a number, for those who take it as decimal",
        &[
            ("010.8.8.8", Some(Private)),
            ("0127.0.0.1", Some(Loopback)),
            ("192.168.089.1", Some(Private)),
            ("08.8.8.8", None),
        ],
    ),
    (
        "numbers that overflow, for those who keep their lowest bits",
        &[
            ("383.256.512.257", Some(Loopback)),
            ("425.510.425.510", Some(Metadata)),
            ("6425673729", Some(Loopback)),
            ("0x999999997f000001", Some(Loopback)),
            ("266.300.1.2", Some(Private)),
            // Public, or nothing at all.
            ("264.264.264.264", None),
        ],
    ),
    (
        "octal as languages write it",
        &[
            ("0o177.0.0.1", Some(Loopback)),
            ("o12.0.0.1", Some(Private)),
            ("q300.0250.0.1", Some(Private)),
            ("0o10.8.8.8", None),
        ],
    ),
    (
        "what ends in a number and is no address",
        &[("1.2.3.4.5", None), ("host.7", None), ("example.0x1", None), ("a.0x", None)],
    ),
    (
        "a dot at the end",
        &[("127.0.0.1.", Some(Loopback)), ("localhost.", Some(Loopback)), ("example.com.", Some(Public))],
    ),
    (
        "UTS 46: full width, in circles, other dots, letters without width",
        &[
            ("１２７.0.0.1", Some(Loopback)),
            ("①②⑦.⓪.⓪.①", Some(Loopback)),
            ("①⓪.⑳.⓪.⑤", Some(Private)),
            ("127。0。0。1", Some(Loopback)),
            ("192．168．0．9", Some(Private)),
            ("10｡9｡8｡7", Some(Private)),
            ("𝟏𝟐𝟕.𝟎.𝟎.𝟏", Some(Loopback)),
            ("12\u{200b}7.0.0.1", Some(Loopback)),
            ("127.0.0.\u{ad}1", Some(Loopback)),
            ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", Some(Loopback)),
            ("ｌｏｃａｌｈｏｓｔ", Some(Loopback)),
            ("LocalHost", Some(Loopback)),
            ("bücher.example", Some(Public)),
        ],
    ),
    (
        "RFC 4291: IPv6",
        &[
            ("::1", Some(Loopback)),
            ("0:0:0:0:0:0:0:1", Some(Loopback)),
            ("0000::0001", Some(Loopback)),
            ("::", Some(Loopback)),
            ("fe80::1", Some(LinkLocal)),
            ("febf::1", Some(LinkLocal)),
            ("fec0::1", Some(Private)),
            ("feff::9", Some(Private)),
            ("fc00::7", Some(Private)),
            ("fdff::7", Some(Private)),
            ("ff02::1", Some(Multicast)),
            ("2606:4700::1111", Some(Public)),
            ("2001:4860:4860::8888", Some(Public)),
            ("4000::1", Some(Reserved)),
        ],
    ),
    (
        "RFC 4007: a zone",
        &[("fe80::7%eth0", Some(LinkLocal)), ("fe80::7%25en1", Some(LinkLocal)), ("::1%lo", Some(Loopback))],
    ),
    (
        "RFC 4291: IPv4 in IPv6, compatible and mapped",
        &[
            ("::127.0.0.1", Some(Loopback)),
            ("::7f00:1", Some(Loopback)),
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:7f00:1", Some(Loopback)),
            ("0:0:0:0:0:FFFF:0A09:0807", Some(Private)),
            ("::ffff:8.8.8.8", Some(Public)),
            ("::ffff:169.254.169.254", Some(Metadata)),
        ],
    ),
    ("RFC 2765: translated", &[("::ffff:0:10.9.8.7", Some(Private)), ("::ffff:0:8.8.8.8", Some(Public))]),
    (
        "RFC 6052, RFC 8215: NAT64",
        &[
            ("64:ff9b::127.0.0.1", Some(Loopback)),
            ("64:ff9b::a09:807", Some(Private)),
            ("64:ff9b::8.8.8.8", Some(Public)),
            ("64:ff9b:1::8.8.8.8", Some(Private)),
            ("64:ff9b:1::169.254.169.254", Some(Metadata)),
            ("64:ff9b:1:a9fe:a9:fe00::", Some(Metadata)),
        ],
    ),
    (
        "RFC 3056: 6to4",
        &[
            ("2002:7f00:1::", Some(Loopback)),
            ("2002:c0a8:101::1", Some(Private)),
            ("2002:808:808::1", Some(Public)),
        ],
    ),
    (
        "RFC 4380: Teredo, its server and its client",
        &[
            ("2001:0:808:808::f7f7:f7f7", Some(Public)),
            ("2001:0:a09:807::f7f7:f7f7", Some(Private)),
            ("2001:0:808:808:0:1111:5601:5601", Some(Metadata)),
        ],
    ),
    (
        "RFC 5214: ISATAP",
        &[
            ("fe80::5efe:10.9.8.7", Some(LinkLocal)),
            ("fe80::5efe:127.0.0.1", Some(Loopback)),
            ("2606:4700::5efe:10.9.8.7", Some(Private)),
            ("2606:4700::200:5efe:a9fe:a9fe", Some(Metadata)),
            ("2606:4700::200:5efe:8.8.8.8", Some(Public)),
        ],
    ),
    (
        "the registry of special-purpose addresses (RFC 6890)",
        &[
            ("100::9", Some(Reserved)),
            ("2001:2::1", Some(Reserved)),
            ("2001:10::9", Some(Reserved)),
            ("2001:20::9", Some(Reserved)),
            ("2001:30::9", Some(Reserved)),
            ("2001:4:112::9", Some(Public)),
            ("2001:db8::9", Some(Documentation)),
            ("3fff::9", Some(Documentation)),
            ("5f00::9", Some(Reserved)),
        ],
    ),
    (
        "metadata services",
        &[
            ("169.254.169.254", Some(Metadata)),
            ("0xa9fea9fe", Some(Metadata)),
            ("169.254.170.2", Some(Metadata)),
            ("168.63.129.16", Some(Metadata)),
            ("100.100.100.200", Some(Metadata)),
            ("192.0.0.192", Some(Metadata)),
            ("169.254.42.42", Some(Metadata)),
            ("fd00:ec2::254", Some(Metadata)),
            ("fd20:ce::254", Some(Metadata)),
            ("fd00:c1::a9fe:a9fe", Some(Metadata)),
            ("fe80::a9fe:a9fe", Some(Metadata)),
            ("metadata.google.internal", Some(Metadata)),
            ("Metadata.Google.Internal.", Some(Metadata)),
            ("metadata.goog", Some(Metadata)),
            ("metadata.tencentyun.com", Some(Metadata)),
            ("rancher-metadata", Some(Metadata)),
            ("api.metadata.cloud.ibm.com", Some(Metadata)),
            ("metadata.example.com", Some(Public)),
        ],
    ),
    (
        "RFC 6761 and other names of networks' own",
        &[
            ("localhost", Some(Loopback)),
            ("a.b.localhost", Some(Loopback)),
            ("notlocalhost.com", Some(Public)),
            ("printer.local", Some(Private)),
            ("nas.home.arpa", Some(Private)),
            ("db.prod.internal", Some(Private)),
            ("api.default.svc", Some(Private)),
            ("api.default.svc.cluster.local", Some(Private)),
            ("wiki.corp", Some(Private)),
            ("build-server", Some(Private)),
            ("local.example.com", Some(Public)),
        ],
    ),
    (
        "names that lead here, and names that carry an address",
        &[
            ("localtest.me", Some(Loopback)),
            ("app.lvh.me", Some(Loopback)),
            ("nip.io", Some(Public)),
            ("10.9.8.7.nip.io", Some(Private)),
            ("app.10.9.8.7.nip.io", Some(Private)),
            ("app-10-9-8-7.nip.io", Some(Private)),
            ("x-7f000001.nip.io", Some(Loopback)),
            ("169-254-169-254.sslip.io", Some(Metadata)),
            ("www.8.8.8.8.nip.io", Some(Public)),
            ("www-8-8-8-8.sslip.io", Some(Public)),
            ("--1.sslip.io", Some(Loopback)),
            ("www.--1.sslip.io", Some(Loopback)),
            ("fe80--9.sslip.io", Some(LinkLocal)),
            ("2606-4700--1111.sslip.io", Some(Public)),
            ("0--1.ipv6-literal.net", Some(Loopback)),
            ("fe80--9s4.ipv6-literal.net", Some(LinkLocal)),
            ("7f000001.08080808.rbndr.us", Some(Loopback)),
            ("make-8.8.8.8-rebind-127.0.0.1-rr.1u.ms", Some(Loopback)),
            // 127.0.0.1 in xip.io's base 36.
            ("9zlhb.xip.io", Some(Loopback)),
            ("10.9.8.7.example.com", Some(Public)),
        ],
    ),
    (
        "no host",
        &[("", None), ("a b", None), ("a..b", None), ("*.example.com", None), ("127.0.0.1:80", None)],
    ),
];

#[test]
fn every_spelling_is_read() {
    for (what, spellings) in SPELLINGS {
        for (text, reach) in *spellings {
            assert_eq!(reach_of(text), *reach, "{what}: {text}");
        }
    }
}

#[test]
fn every_class_occurs_and_has_its_word() {
    let all = [Public, Documentation, Multicast, Reserved, Shared, Private, LinkLocal, Loopback, Metadata];
    for (at, reach) in all.iter().enumerate() {
        assert!(
            SPELLINGS.iter().any(|(_, table)| table.iter().any(|(_, found)| *found == Some(*reach))),
            "{reach:?}"
        );
        assert!(all.iter().skip(at + 1).all(|other| other > reach && other.as_str() != reach.as_str()));
    }
}
