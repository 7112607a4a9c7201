//! Where a client's requests really go: through a proxy, to another address, to another name at the same address. An
//! allow-list that looks at URLs alone is walked around with any of these.

use super::super::eval::{Eval, destination};
use super::super::programs::Call;

use crate::action::{AssetClass, Capability, Flow, Target, asset};

/// Options whose value is a proxy, or a server that is told the names which are asked for.
const PROXIES: [&str; 12] = [
    "-x",
    "--proxy",
    "--preproxy",
    "--proxy1.0",
    "--socks4",
    "--socks4a",
    "--socks5",
    "--socks5-hostname",
    "--doh-url",
    "--dns-servers",
    "--http-proxy",
    "--https-proxy",
];

/// Variables that name a proxy, as curl, wget, git, Python's and Node's clients read them.
const VARIABLES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "ftp_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
];

/// Most places that one call is followed to.
const MOST: usize = 16;

impl Eval {
    /// The effects since `first` on hosts and URLs happen where the options of `call` lead as well.
    pub(super) fn detours(&mut self, call: &Call<'_>, first: usize) {
        let places = places(call);
        let name = named_host(call);
        let socket = call.value(&["--unix-socket", "--abstract-unix-socket"]).map(|word| word.text.clone());
        if places.is_empty() && name.is_none() && socket.is_none() {
            return;
        }
        let since = self.reading.effects.get(first..).unwrap_or_default();
        let asked: Vec<_> = since
            .iter()
            .filter(|effect| matches!(effect.capability, Capability::NetworkFetch | Capability::NetworkPost))
            .map(|effect| (effect.capability, effect.from.clone(), effect.target.clone()))
            .collect();
        for (capability, from, target) in &asked {
            for place in &places {
                let (target, class) = destination(place);
                self.effect(*capability, target, class, from, call.name);
            }
            if let Some(socket) = &socket {
                let target = Target::Other(format!("unix:{socket}"));
                self.effect(*capability, target, AssetClass::Internal, from, call.name);
            }
            if let (Some(name), Target::Url(url) | Target::Host(url)) = (&name, target) {
                let other = at(url, name);
                let class = asset::classify_host(&other);
                self.effect(*capability, Target::Url(other), class, from, call.name);
            }
        }
    }

    /// The same as what was just asked of a server, asked of the proxy that a variable names.
    pub(in super::super) fn by_proxy(&mut self, capability: Capability, from: &[Flow], by: &str) {
        let mut told: Vec<String> = Vec::new();
        for name in VARIABLES {
            let Some(value) = self.lookup(name) else { continue };
            let value: String = value.iter().map(|word| word.text.as_str()).collect();
            if value.is_empty() || told.contains(&value) {
                continue;
            }
            let (target, class) = destination(&value);
            self.effect(capability, target, class, from, by);
            told.push(value);
        }
    }
}

fn places(call: &Call<'_>) -> Vec<String> {
    let mut places = Vec::new();
    for (name, word) in &call.values {
        let value = word.text.trim();
        match *name {
            // aria2c has a number of connections there.
            "-x" if call.name != "curl" => {}
            "--dns-servers" => places.extend(value.split(',').map(str::to_owned)),
            "--proxy" if value.contains("://") => {
                // HTTPie says for which protocol: `https:http://host:port`.
                let behind = ["http:", "https:", "all:"].iter().find_map(|kind| value.strip_prefix(kind));
                places.push(behind.filter(|rest| rest.contains("://")).unwrap_or(value).to_owned());
            }
            name if PROXIES.contains(&name) => places.push(value.to_owned()),
            "--resolve" => {
                let addresses = parts(value).into_iter().skip(2).collect::<Vec<_>>().join(":");
                places.extend(addresses.split(',').map(str::to_owned));
            }
            "--connect-to" => {
                if let [_, _, host, port @ ..] = parts(value).as_slice() {
                    let port = port.first().filter(|port| !port.is_empty());
                    if !host.is_empty() {
                        places.push(port.map_or_else(|| (*host).to_owned(), |port| format!("{host}:{port}")));
                    }
                }
            }
            "-e" | "--execute" if call.name.starts_with("wget") => {
                if let Some((key, value)) = value.split_once('=')
                    && VARIABLES.contains(&key.trim())
                {
                    places.push(value.trim().to_owned());
                }
            }
            _ => {}
        }
    }
    places.retain(|place| !place.is_empty());
    places.truncate(MOST);
    places
}

/// The host that a `Host` header names.
fn named_host(call: &Call<'_>) -> Option<String> {
    let headers =
        call.values.iter().filter(|(name, _)| matches!(*name, "-H" | "--header")).map(|(_, word)| word);
    // HTTPie's headers are operands.
    let operands = call.operands.iter().filter(|_| call.name != "curl" && !call.name.starts_with("wget"));
    headers.chain(operands).find_map(|word| {
        let (name, value) = word.text.split_once(':')?;
        let value = value.trim();
        (name.trim().eq_ignore_ascii_case("host") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// `url` with another authority.
fn at(url: &str, host: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let tail = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default();
    format!("{scheme}://{host}{tail}")
}

/// What stands between colons, those in brackets aside.
fn parts(value: &str) -> Vec<&str> {
    let mut bracket = false;
    let split = |c: char| {
        bracket = (bracket || c == '[') && c != ']';
        c == ':' && !bracket
    };
    value.split(split).collect()
}
