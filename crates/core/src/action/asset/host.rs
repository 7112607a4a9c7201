//! Hosts: whose they are, from their spelling alone.

use super::super::AssetClass;

/// The class of a host, `host:port` or URL. Only what the text itself says: names are not resolved.
#[must_use]
pub fn classify_host(host: &str) -> AssetClass {
    // Buckets have names of their own kind.
    let scheme = host.split_once("://").map_or("", |(scheme, _)| scheme);
    if ["s3", "gs", "gcs", "r2", "b2", "abfs", "abfss", "wasb", "oss"].contains(&scheme) {
        return AssetClass::External;
    }
    let host = host_of(host).to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    if let Some(address) = ipv4(host) {
        return classify_ipv4(address);
    }
    if host.contains(':') {
        return classify_ipv6(host);
    }
    const METADATA: [&str; 6] = [
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.packet.net",
        "metadata.platformequinix.com",
    ];
    if METADATA.contains(&host) || host == "metadata" || host.ends_with(".metadata.google.internal") {
        return AssetClass::CloudMetadata;
    }
    const INTERNAL: [&str; 9] = [
        ".localhost",
        ".local",
        ".internal",
        ".lan",
        ".intranet",
        ".corp",
        ".home.arpa",
        ".svc",
        ".cluster.local",
    ];
    let single = !host.is_empty() && !host.contains('.') && !host.contains("${");
    if host == "localhost" || INTERNAL.iter().any(|suffix| host.ends_with(suffix)) || single {
        return AssetClass::Internal;
    }
    AssetClass::External
}

/// The host in a URL or `user@host:port`.
fn host_of(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    if let Some(inner) = authority.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

/// An IPv4 address in any of the spellings `inet_aton` takes: one to four numbers, decimal, octal or
/// hexadecimal, the last filling what is left.
fn ipv4(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, firsts) = parts.split_last()?;
    if parts.len() > 4 {
        return None;
    }
    let mut address: u64 = 0;
    for part in firsts {
        let value = number(part).filter(|value| *value <= 255)?;
        address = (address << 8) | value;
    }
    let left = 8 * (4 - u32::try_from(firsts.len()).ok()?);
    let value = number(last).filter(|value| *value < 1u64 << left)?;
    u32::try_from((address << left) | value).ok()
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    if digits.is_empty() && radix == 16 {
        return Some(0);
    }
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

fn classify_ipv4(address: u32) -> AssetClass {
    let [a, b, c, d] = address.to_be_bytes();
    match (a, b, c, d) {
        // AWS, Azure, GCP and most others; ECS tasks; Alibaba; Azure's wire server; Oracle's older one.
        (169, 254, 169, 254)
        | (169, 254, 170, 2 | 23)
        | (100, 100, 100, 200)
        | (168, 63, 129, 16)
        | (192, 0, 0, 192) => AssetClass::CloudMetadata,
        (0 | 10 | 127, ..) | (192, 168, ..) | (172, 16..=31, ..) | (169, 254, ..) | (100, 64..=127, ..) => {
            AssetClass::Internal
        }
        _ => AssetClass::External,
    }
}

fn classify_ipv6(text: &str) -> AssetClass {
    let text = text.split('%').next().unwrap_or(text);
    let Ok(address) = text.parse::<std::net::Ipv6Addr>() else { return AssetClass::External };
    if let Some(v4) = address.to_ipv4_mapped() {
        return classify_ipv4(v4.to_bits());
    }
    let segments = address.segments();
    match segments {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            AssetClass::CloudMetadata
        }
        // NAT64 and 6to4 carry an IPv4 address.
        [0x64, 0xff9b, .., high, low] => classify_ipv4(u32::from(high) << 16 | u32::from(low)),
        [0x2002, high, low, ..] => classify_ipv4(u32::from(high) << 16 | u32::from(low)),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => AssetClass::Internal,
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 => AssetClass::Internal,
        [0, 0, 0, 0, 0, 0, high, low] => classify_ipv4(u32::from(high) << 16 | u32::from(low)),
        _ => AssetClass::External,
    }
}
