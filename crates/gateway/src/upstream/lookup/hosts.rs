//! The operating system's hosts file: what the operator says of a name, before anybody is asked.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::net::IpAddr;

#[cfg(windows)]
const FILE: &str = r"C:\Windows\System32\drivers\etc\hosts";
#[cfg(not(windows))]
const FILE: &str = "/etc/hosts";

/// How much of it is read: lists of hundreds of thousands of names to be blocked are in use.
const LONGEST: u64 = 32 << 20;

/// The addresses that the file has for `name`; none without a file.
pub(super) fn of(name: &str) -> Vec<IpAddr> {
    File::open(FILE).map_or_else(|_| Vec::new(), |file| read(BufReader::new(file.take(LONGEST)), name))
}

fn read(mut file: impl std::io::BufRead, name: &str) -> Vec<IpAddr> {
    let (mut line, mut found) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        match file.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return found,
            Ok(_) => found.extend(std::str::from_utf8(&line).ok().and_then(|line| address(line, name))),
        }
    }
}

/// The address of a line that has `name` among its names.
fn address(line: &str, name: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?;
    let is_it = |given: &str| given.strip_suffix('.').unwrap_or(given).eq_ignore_ascii_case(name);
    if words.any(is_it) { address.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_has_the_name_says_an_address() {
        let file = "# 1.1.1.1 a.example\n10.0.0.1\ta.example b.example # c.example\r\n\
                    ::1 A.Example.\n\u{fc} a.example\n300.1.1.1 a.example\na.example\n\n10.0.0.2 b.example";
        let of = |name: &str| read(file.as_bytes(), name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("a.example"), ["10.0.0.1", "::1"]);
        assert_eq!(of("b.example"), ["10.0.0.1", "10.0.0.2"]);
        for none in ["c.example", "example", "10.0.0.1", ""] {
            assert!(of(none).is_empty(), "{none}");
        }
    }
}
