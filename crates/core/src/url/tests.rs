//! The one table of how URLs are read.

use std::net::Ipv4Addr;

use super::*;

/// A URL and what it names: host, port, the plain reading of its path, its query.
type Row = (&'static str, &'static str, Option<u16>, &'static str, Option<&'static str>);

const READ: &[Row] = &[
    ("https://api.example.com/v1/charges", "api.example.com", Some(443), "/v1/charges", None),
    ("api.example.com/v1/charges", "api.example.com", None, "/v1/charges", None),
    ("//api.example.com/v1", "api.example.com", None, "/v1", None),
    ("HTTPS://API.Example.COM/V1", "api.example.com", Some(443), "/V1", None),
    ("wss://api.example.com", "api.example.com", Some(443), "", None),
    // Without a slash before the query.
    ("https://evil.test?x=1", "evil.test", Some(443), "", Some("x=1")),
    ("https://evil.test#@api.example.com/v1", "evil.test", Some(443), "", None),
    ("http://evil.test?@api.example.com/v1/x", "evil.test", Some(80), "", Some("@api.example.com/v1/x")),
    ("https://example.com/x@y", "example.com", Some(443), "/x@y", None),
    ("example.com/x?next=https://other.test", "example.com", None, "/x", Some("next=https://other.test")),
    ("https://example.com/?", "example.com", Some(443), "", Some("")),
    // Ports.
    ("https://example.com:8443/", "example.com", Some(8443), "", None),
    ("https://example.com:0443/", "example.com", Some(443), "", None),
    ("https://example.com:/x", "example.com", Some(443), "/x", None),
    ("http://example.com:443/", "example.com", Some(443), "", None),
    ("gopher://example.com/", "example.com", None, "", None),
    // Names.
    ("https://example.com./", "example.com", Some(443), "", None),
    ("https://bücher.example/", "xn--bcher-kva.example", Some(443), "", None),
    ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", Some(443), "", None),
    ("https://BÜCHER.example/", "xn--bcher-kva.example", Some(443), "", None),
    ("https://example。com/", "example.com", Some(443), "", None),
    ("https://ｅｘａｍｐｌｅ.com/", "example.com", Some(443), "", None),
    ("https://my_bucket.example.com/", "my_bucket.example.com", Some(443), "", None),
    ("http://1.2.3.4.5/", "1.2.3.4.5", Some(80), "", None),
    // Every spelling of an address.
    ("http://127.0.0.1:80/", "127.0.0.1", Some(80), "", None),
    ("http://2130706433/", "127.0.0.1", Some(80), "", None),
    ("http://0x7f000001/", "127.0.0.1", Some(80), "", None),
    ("http://0x7f.1/", "127.0.0.1", Some(80), "", None),
    ("http://0177.0.0.1/x", "127.0.0.1", Some(80), "/x", None),
    ("http://127.1", "127.0.0.1", Some(80), "", None),
    ("http://127.0.0.1./", "127.0.0.1", Some(80), "", None),
    ("http://１２７.0.0.1/", "127.0.0.1", Some(80), "", None),
    ("127.0.0.1:8080/x", "127.0.0.1", Some(8080), "/x", None),
    ("http://[::ffff:127.0.0.1]/", "127.0.0.1", Some(80), "", None),
    ("http://[::ffff:7f00:1]/", "127.0.0.1", Some(80), "", None),
    ("http://[64:ff9b::7f00:1]/", "127.0.0.1", Some(80), "", None),
    ("http://[2002:7f00:1::]/", "127.0.0.1", Some(80), "", None),
    ("http://[::1]:8080/", "::1", Some(8080), "", None),
    ("http://[0:0:0:0:0:0:0:1]/", "::1", Some(80), "", None),
    ("http://[2001:DB8::0001]/", "2001:db8::1", Some(80), "", None),
    // Paths that all servers read alike.
    ("http://a.test/v1//charges/", "a.test", Some(80), "/v1/charges", None),
    ("http://a.test/v1/./x/../charges", "a.test", Some(80), "/v1/charges", None),
    ("http://a.test/../../v1", "a.test", Some(80), "/v1", None),
    ("http://a.test/v1/%63harges", "a.test", Some(80), "/v1/charges", None),
    ("http://a.test/x/%2e%2E/v1", "a.test", Some(80), "/v1", None),
    ("http://a.test/%C3%A9", "a.test", Some(80), "/é", None),
    ("http://a.test/é", "a.test", Some(80), "/é", None),
    ("http://a.test/%E9", "a.test", Some(80), "/%E9", None),
    ("http://a.test/100%", "a.test", Some(80), "/100%25", None),
    ("http://a.test/100%25", "a.test", Some(80), "/100%25", None),
    ("http://a.test/a%zzb", "a.test", Some(80), "/a%25zzb", None),
    ("http://a.test/fine_tuning/users/42", "a.test", Some(80), "/fine_tuning/users/42", None),
    ("http://a.test/models/g-2.0:generate", "a.test", Some(80), "/models/g-2.0:generate", None),
];

#[test]
fn what_a_url_names() {
    for (text, host, port, path, query) in READ {
        let url = Url::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        let found = (url.host.to_string(), url.port, url.path.to_string(), url.query);
        assert_eq!(found, ((*host).to_owned(), *port, (*path).to_owned(), *query), "{text}");
        assert_eq!(authority(text).map(|it| (it.host, it.port)), Some((url.host, url.port)), "{text}");
    }
}

#[test]
fn paths_that_servers_read_differently_have_all_readings() {
    for (path, others) in [
        ("/a/..%2fadmin", &["/a/..%2Fadmin", "/admin"][..]),
        ("/a/..%5Cadmin", &["/a/..%5Cadmin", "/admin"]),
        ("/a%2Fb", &["/a%2Fb", "/a/b"]),
        ("/a/..;/admin", &["/a/..;/admin", "/admin"]),
        ("/v1/charges;v=1", &["/v1/charges;v=1", "/v1/charges"]),
        ("/v1/charges%3Bv=1", &["/v1/charges;v=1", "/v1/charges"]),
        ("/v1/%2563harges", &["/v1/%2563harges", "/v1/charges"]),
        ("/a/%252e%252e/admin", &["/a/%252e%252e/admin", "/admin"]),
        ("/a/..%252fadmin", &["/a/..%252fadmin", "/a/..%2Fadmin", "/admin"]),
        ("/a/b//../admin", &["/a/b/admin", "/a/admin"]),
        ("/a/..;x%2Fy/b", &["/a/..;x%2Fy/b", "/a/..;x/y/b", "/b", "/y/b"]),
    ] {
        let text = format!("https://a.test{path}");
        let url = Url::parse(&text).unwrap();
        let mut found: Vec<String> = url
            .path
            .readings()
            .map(|segments| segments.iter().map(|it| format!("/{it}")).collect())
            .collect();
        assert_eq!(found.first().map(String::as_str), others.first().copied(), "{path}: the plain one first");
        let mut expected = others.to_vec();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn what_readers_could_disagree_about_is_not_read() {
    let long = format!("http://a.test/{}", "x".repeat(8192));
    for (text, fault) in [
        ("http://github.com:x@evil.test/", UrlFault::UserInformation),
        ("http://github.com@evil.test/", UrlFault::UserInformation),
        ("http://a@b/", UrlFault::UserInformation),
        ("http://a\\b/", UrlFault::Character),
        ("http://a.test\\@evil.test/", UrlFault::Character),
        ("http://a.test/\u{a0}", UrlFault::Character),
        ("http://a b/", UrlFault::Character),
        ("http://a\n.test/", UrlFault::Character),
        ("http://a\t.test/", UrlFault::Character),
        (" http://a.test/", UrlFault::Character),
        ("ht!tp://a.test/", UrlFault::Scheme),
        ("1http://a.test/", UrlFault::Scheme),
        ("://a.test/", UrlFault::Scheme),
        ("http://", UrlFault::Host),
        ("http:///x", UrlFault::Host),
        ("http://?x", UrlFault::Host),
        ("http://a%2eb/", UrlFault::Host),
        ("http://a..b/", UrlFault::Host),
        ("http://a,b/", UrlFault::Host),
        ("http://[::1/", UrlFault::Host),
        ("http://[::1]x/", UrlFault::Host),
        ("http://[fe80::1%25eth0]/", UrlFault::Host),
        ("http://host:99999/", UrlFault::Port),
        ("http://host:+80/", UrlFault::Port),
        ("http://host:8o/", UrlFault::Port),
        ("http://a.test/x%00", UrlFault::Path),
        ("http://a.test/x%0d%0aHost:b", UrlFault::Path),
        ("http://a.test/x%250a", UrlFault::Path),
        (long.as_str(), UrlFault::TooLong),
    ] {
        assert_eq!(Url::parse(text), Err(fault), "{text}");
    }
}

#[test]
fn a_suffix_covers_what_is_below_it_only() {
    let name = |text: &'static str| Host::Name(text.into());
    assert!(covers("*.example.com", &name("a.example.com")));
    assert!(!covers("*.example.com", &name("example.com")));
    assert!(!covers("*.example.com", &name("evilexample.com")));
    assert!(covers("127.0.0.1", &Host::Ip(Ipv4Addr::LOCALHOST.into())));
}
