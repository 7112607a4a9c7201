//! The egress door, as settings have it.

use std::ops::RangeInclusive;

use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::{Diagnostic, Node};
use doorward_core::url::Url;
use doorward_gateway::doors::egress::{LARGEST_BODY, Settings};

/// Calls a second that a rate may be set to.
const RATE: RangeInclusive<u64> = 1..=1_000_000;

/// The largest answer that can be given back whole, in KiB: each is held in memory while it is looked at.
const LARGEST_ANSWER: u64 = 16 * 1024;

/// Seconds that a session may last.
const SESSION: RangeInclusive<u64> = 60..=86_400;

/// Answers that one key may have passed on at once.
const STREAMS: RangeInclusive<u64> = 1..=1024;

/// What stands under `egress`.
#[derive(Clone, Debug, Default)]
pub struct EgressConfig {
    settings: Settings,
    /// Where pages about codes are, if not here.
    docs: Option<String>,
}

impl EgressConfig {
    /// Reads it. Faults are told with their place; what is not there is as it is by default.
    pub fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let mut fields = Fields::of(node, "`egress`", faults);
        let mut set = Settings::default();
        let rates = [
            ("rate_agent", &mut set.agent_rate),
            ("rate_key", &mut set.key_rate),
            ("rate_ip", &mut set.ip_rate),
            ("backstop", &mut set.backstop),
        ];
        for (name, rate) in rates {
            if let Some(number) = fields.maybe_whole(name, RATE) {
                *rate = u32::try_from(number).unwrap_or(u32::MAX);
            }
        }
        let agents = u64::from(set.agents_per_key);
        if let Some(number) = fields.maybe_whole("agents_per_key", 1..=agents) {
            set.agents_per_key = u32::try_from(number).unwrap_or(u32::MAX);
        }
        if let Some(number) = fields.maybe_whole("streams_per_key", STREAMS) {
            set.streams_per_key = usize::try_from(number).unwrap_or(set.streams_per_key);
        }
        let whole = (LARGEST_BODY >> 10) as u64;
        for (name, most, size) in [
            ("largest_body", whole, &mut set.largest_body),
            ("largest_answer", LARGEST_ANSWER, &mut set.largest_reply),
        ] {
            if let Some(kibibytes) = fields.maybe_whole(name, 1..=most) {
                *size = usize::try_from(kibibytes << 10).unwrap_or(*size);
            }
        }
        if let Some(seconds) = fields.maybe_whole("session", SESSION) {
            set.session = seconds * 1000;
        }
        for (name, truth) in [("bind_ip", &mut set.bind_ip), ("mcp_429", &mut set.mcp_429)] {
            *truth = fields.maybe_bool(name).unwrap_or(*truth);
        }
        let noted = fields.maybe_choice("entropy_action", &[("block", false), ("audit", true)]);
        set.entropy_noted = noted.unwrap_or_default();
        let plain = fields.maybe_choice("honeytoken_ip", &[("hashed", false), ("plain", true)]);
        set.plain_ip = plain.unwrap_or_default();
        let docs = fields.maybe_text("docs_url");
        if let Some(text) = docs.filter(|text| !is_base(text)) {
            let at = fields.place("docs_url").unwrap_or(fields.span());
            let message =
                format!("`{}` is no address that the name of a code can be put behind", text.escape_debug());
            fields.fault(at, message, "write https://host/path/, with a slash at its end");
        }
        fields.finish();
        Self { settings: set, docs: docs.map(str::to_owned) }
    }

    /// The settings of a door whose data listener is at `data`.
    pub fn settle(&self, data: std::net::SocketAddr) -> Settings {
        Settings {
            docs: self.docs.clone().unwrap_or_else(|| format!("http://{data}/docs/errors/")),
            signing_key: format!("http://{data}/.well-known/sphyr-signing-key.json"),
            ..self.settings.clone()
        }
    }
}

/// Whether pages can lie below it.
fn is_base(text: &str) -> bool {
    let plain = text.len() <= 1024 && text.ends_with('/') && !text.contains(['?', '#', ' ', '"']);
    let url = Url::parse(text).ok().filter(|_| plain && text.is_ascii());
    url.is_some_and(|url| matches!(url.scheme.as_deref(), Some("https" | "http")))
}

#[cfg(test)]
mod tests {
    use doorward_core::syntax::yaml;

    use super::*;

    fn read(text: &str) -> (EgressConfig, Vec<Diagnostic>) {
        let node = yaml::parse(text.as_bytes()).unwrap();
        let mut faults = Vec::new();
        let read = EgressConfig::read(node.get("egress").unwrap(), &mut faults);
        (read, faults)
    }

    #[test]
    fn what_is_set_is_in_force_and_all_else_as_by_default() {
        let text = "egress: { rate_agent: 5, backstop: 50, largest_body: 16, largest_answer: 4, session: 60, \
                    bind_ip: false, mcp_429: true, agents_per_key: 3, streams_per_key: 7, entropy_action: audit, honeytoken_ip: plain, \
                    docs_url: 'https://docs.example/errors/' }";
        let (read, faults) = read(text);
        assert!(faults.is_empty(), "{faults:?}");
        let set = read.settle(([127, 0, 0, 1], 7878).into());
        let default = Settings::default();
        assert_eq!((set.agent_rate, set.key_rate, set.backstop), (5, default.key_rate, 50));
        assert_eq!((set.largest_body, set.largest_reply, set.session), (16 << 10, 4 << 10, 60_000));
        assert!(!set.bind_ip && set.mcp_429 && set.entropy_noted && set.plain_ip);
        assert_eq!((set.agents_per_key, set.docs.as_str()), (3, "https://docs.example/errors/"));
        assert_eq!((set.streams_per_key, default.streams_per_key), (7, 64));
        assert!(set.signing_key.starts_with("http://127.0.0.1:7878/"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in [
            "rate_key: 0",
            "rate_key: many",
            "largest_body: 1025",
            "largest_answer: 0",
            "session: 59",
            "bind_ip: perhaps",
            "agents_per_key: 1025",
            "streams_per_key: 0",
            "entropy_action: allow",
            "honeytoken_ip: none",
            "docs_url: docs.example",
            "docs_url: https://docs.example/errors",
            "docs_url: ftp://docs.example/",
            "rate: 5",
        ] {
            let (_, faults) = read(&format!("egress: {{ {wrong} }}"));
            assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
        }
    }
}
