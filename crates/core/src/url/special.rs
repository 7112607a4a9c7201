//! Names that say by themselves where they lead: `special.txt`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use super::address::Reach;

const TABLE: &str = include_str!("special.txt");

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Leads(Reach),
    /// An address stands in what is before it.
    Embeds,
}

/// Names themselves, and names below which all is the same.
#[derive(Default)]
struct Names {
    exact: HashMap<&'static str, Kind>,
    below: HashMap<&'static str, Kind>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = Names::default();
        for (kind, name) in lines() {
            let Some(kind) = kind else { continue };
            match name.strip_prefix("*.") {
                Some(name) => names.below.insert(name, kind),
                None if kind == Kind::Embeds => names.below.insert(name, kind),
                None => names.exact.insert(name, kind),
            };
        }
        names
    })
}

fn lines() -> impl Iterator<Item = (Option<Kind>, &'static str)> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (kind, name) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match kind {
            "metadata" => Some(Kind::Leads(Reach::Metadata)),
            "loopback" => Some(Kind::Leads(Reach::Loopback)),
            "private" => Some(Kind::Leads(Reach::Private)),
            "embeds" => Some(Kind::Embeds),
            _ => None,
        };
        (kind, name)
    })
}

/// Where `name` (in small letters, without a dot at its end) leads, as far as it says so itself. A name without a dot
/// is one of the network it is used in.
pub(super) fn reach(name: &str) -> Reach {
    let names = names();
    if let Some(Kind::Leads(reach)) = names.exact.get(name) {
        return *reach;
    }
    let suffixes = name.match_indices('.').filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)));
    for (before, suffix) in suffixes {
        match names.below.get(suffix) {
            Some(Kind::Leads(reach)) => return *reach,
            Some(Kind::Embeds) => {
                let found = embedded(before, suffix);
                return found.into_iter().map(Reach::of).max().unwrap_or(Reach::Public);
            }
            None => {}
        }
    }
    if name.contains('.') { Reach::Public } else { Reach::Private }
}

/// Every address that can be read in the labels before `service`.
fn embedded(labels: &str, service: &str) -> Vec<IpAddr> {
    let pieces: Vec<&str> = labels.split(['.', '-']).collect();
    let number =
        |piece: &&str| piece.parse::<u8>().ok().filter(|_| piece.bytes().all(|byte| byte.is_ascii_digit()));
    let mut found: Vec<IpAddr> = Vec::new();
    for window in pieces.windows(4) {
        if let [Some(a), Some(b), Some(c), Some(d)] = *window.iter().map(number).collect::<Vec<_>>() {
            found.push(Ipv4Addr::new(a, b, c, d).into());
        }
    }
    let hexadecimal = pieces.iter().filter(|piece| piece.len() == 8);
    let hexadecimal = hexadecimal.filter_map(|piece| u32::from_str_radix(piece, 16).ok());
    found.extend(hexadecimal.map(|bits| IpAddr::from(Ipv4Addr::from(bits))));
    if service == "xip.io" {
        // Its short names have the bytes from last to first, in base 36.
        let bits = pieces.last().and_then(|piece| u32::from_str_radix(piece, 36).ok());
        found.extend(bits.map(|bits| IpAddr::from(Ipv4Addr::from(bits.to_le_bytes()))));
    }
    // A label with dashes for colons, after what somebody put before it; Windows writes a zone behind an `s`.
    for label in labels.split('.').filter(|label| label.contains('-')) {
        let zone = label.split_once('s').filter(|_| service == "ipv6-literal.net");
        let label = zone.map_or(label, |(address, _)| address);
        let starts = std::iter::once(0).chain(label.match_indices('-').map(|(at, _)| at + 1));
        let mut tails = starts.filter_map(|at| label.get(at..)).take(8);
        let address = tails.find_map(|tail| tail.replace('-', ":").parse::<Ipv6Addr>().ok());
        found.extend(address.map(IpAddr::V6));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_once_and_in_the_spelling_that_is_compared() {
        let mut seen = std::collections::HashSet::new();
        for (kind, name) in lines() {
            assert!(kind.is_some() && !name.is_empty(), "{name}");
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(name, name.trim().to_ascii_lowercase());
        }
        assert!(seen.len() > 50);
    }
}
