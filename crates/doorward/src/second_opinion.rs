//! The second opinion, as settings name it: who is asked, about what, and what that may change.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use doorward_core::syntax::decode::Fields;
use doorward_core::syntax::{Diagnostic, Node};
use doorward_core::wire::Protocol;
use doorward_gateway::{OPINION_BAND, OpinionSettings};

use crate::config::{KEY_HEADERS, KeySource, UpstreamConfig};

/// What stands under `second_opinion`, before the key is read.
#[derive(Debug)]
pub struct SecondOpinionConfig {
    upstream: UpstreamConfig,
    model: String,
    timeout: Duration,
    band: RangeInclusive<u8>,
    daily: u32,
    at_once: usize,
    content: bool,
    lowers: bool,
}

impl SecondOpinionConfig {
    /// Reads it. Faults are told with their place.
    pub fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = faults.len();
        let mut fields = Fields::of(node, "`second_opinion`", faults);
        let (url, model) = (fields.text("url"), fields.text("model"));
        let file = fields.maybe_text("key_file").map(|file| KeySource::File(file.into()));
        let variable = fields.maybe_text("key_env").map(|name| KeySource::Env(name.to_owned()));
        let key_header = fields.maybe_choice("key_header", KEY_HEADERS);
        let timeout = fields.maybe_whole("timeout", 1..=60).unwrap_or(5);
        let severity = u64::from(*OPINION_BAND.start())..=u64::from(*OPINION_BAND.end());
        let from = fields.maybe_whole("from", severity.clone()).unwrap_or(50);
        let to = fields.maybe_whole("to", severity).unwrap_or(79);
        let daily = fields.maybe_whole("daily", 0..=1_000_000).unwrap_or(500);
        let at_once = fields.maybe_whole("at_once", 1..=64).unwrap_or(4);
        let content = fields.maybe_bool("content").unwrap_or(false);
        let lowers = fields.maybe_bool("lowers").unwrap_or(false);
        let span = fields.span();
        if from > to {
            let at = fields.place("from").unwrap_or(span);
            fields.fault(
                at,
                format!("no severity is {from} at least and {to} at most"),
                "`from` is the lower one",
            );
        }
        if lowers && !content {
            let at = fields.place("lowers").unwrap_or(span);
            let advice = "add `content: yes`, or leave `lowers` out";
            fields.fault(at, "who does not see what a call says cannot call it harmless", advice);
        }
        if let (Some(_), Some(_)) = (&file, &variable) {
            let at = fields.place("key_env").unwrap_or(span);
            fields.fault(at, "two places for one key", "keep `key_file` or `key_env`");
        }
        if let Some(url) = url.filter(|url| !is_safe(url)) {
            let at = fields.place("url").unwrap_or(span);
            let message = format!("`{}` would be asked without TLS", url.escape_debug());
            fields.fault(at, message, "write https://…; http:// only for this machine: 127.0.0.1, [::1]");
        }
        if let Some(model) = model.filter(|model| model.is_empty() || model.len() > 200) {
            let at = fields.place("model").unwrap_or(span);
            fields.fault(at, format!("`{}` is no name of a model", model.escape_debug()), "1 to 200 bytes");
        }
        fields.finish();
        if faults.len() > before {
            return None;
        }
        let upstream = UpstreamConfig {
            protocol: Protocol::OpenAi,
            url: url?.to_owned(),
            trusted: false,
            unknown_passes: false,
            key: file.or(variable),
            key_header,
        };
        let severity = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
        Some(Self {
            upstream,
            model: model?.to_owned(),
            timeout: Duration::from_secs(timeout),
            band: severity(from)..=severity(to),
            daily: u32::try_from(daily).unwrap_or(u32::MAX),
            at_once: usize::try_from(at_once).unwrap_or(1),
            content,
            lowers,
        })
    }

    /// The same with its key read.
    ///
    /// # Errors
    /// If that cannot be read. The message names where it should be, never what it is.
    pub fn settle(&self, home: &Path) -> anyhow::Result<OpinionSettings> {
        Ok(OpinionSettings {
            upstream: self.upstream.settle("second_opinion", home)?,
            model: self.model.clone(),
            timeout: self.timeout,
            band: self.band.clone(),
            daily: self.daily,
            at_once: self.at_once,
            content: self.content,
            lowers: self.lowers,
        })
    }
}

/// Whether nobody on the way reads what is sent there.
fn is_safe(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return true };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use doorward_core::syntax::yaml;

    use super::*;

    fn read(text: &str) -> Result<SecondOpinionConfig, Vec<String>> {
        let node = yaml::parse(text.as_bytes()).unwrap();
        let mut faults = Vec::new();
        let read = SecondOpinionConfig::read(&node, &mut faults);
        read.ok_or_else(|| faults.into_iter().map(|fault| fault.message).collect())
    }

    #[test]
    fn it_sends_nothing_and_lifts_nothing_unless_it_is_said() {
        let plain = read("{url: 'https://judge.example/v1', model: m}").unwrap();
        assert!(!plain.content && !plain.lowers);
        assert_eq!(
            (plain.band, plain.timeout, plain.daily, plain.at_once),
            (50..=79, Duration::from_secs(5), 500, 4)
        );
        let all = "{url: 'http://127.0.0.1:8080/v1', model: m, key_env: K, timeout: 9, from: 30, to: 60, daily: 0, at_once: 1, content: yes, lowers: yes}";
        let all = read(&all.replace("yes", "true")).unwrap();
        assert!(all.content && all.lowers && all.band == (30..=60) && all.daily == 0);
    }

    #[test]
    fn what_cannot_be_meant_is_a_fault() {
        for (more, message) in [
            ("url: 'http://judge.example/v1', model: m", "without TLS"),
            ("url: 'http://127.0.0.1.evil.example/v1', model: m", "without TLS"),
            ("url: 'http://127.0.0.1@evil.example/v1', model: m", "without TLS"),
            ("model: m", "url"),
            ("url: 'https://a.test'", "model"),
            ("url: 'https://a.test', model: ''", "`model` is empty"),
            ("url: 'https://a.test', model: m, lowers: true", "cannot call it harmless"),
            ("url: 'https://a.test', model: m, from: 70, to: 60", "no severity"),
            ("url: 'https://a.test', model: m, to: 80", "to"),
            ("url: 'https://a.test', model: m, from: 29", "from"),
            ("url: 'https://a.test', model: m, timeout: 61", "timeout"),
            ("url: 'https://a.test', model: m, key_file: a, key_env: B", "two places"),
            ("url: 'https://a.test', model: m, key: secret", "key"),
        ] {
            let faults = read(&format!("{{{more}}}")).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(message)), "{more}: {faults:?}");
        }
    }
}
