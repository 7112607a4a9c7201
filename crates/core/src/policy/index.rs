//! Which rules could speak about an action: by tool, by host, by capability. The cost of judging does
//! not grow with rules whose key is not there.

use std::collections::HashMap;

use super::Rule;
use super::url::UrlPattern;
use crate::action::{Action, Capability, Effect};
use crate::url::Host;

/// Rules by key, as indices.
#[derive(Debug)]
pub(super) struct Index {
    /// By the tool's name in lower case.
    tools: HashMap<String, Vec<usize>>,
    /// By host, or by what stands behind `*.`.
    hosts: HashMap<String, Vec<usize>>,
    /// Every rule in `hosts`: for effects whose host is not known.
    with_host: Vec<usize>,
    capabilities: HashMap<Capability, Vec<usize>>,
    /// Every rule in `capabilities`: for effects whose capability is not known.
    with_capability: Vec<usize>,
    /// Rules without a key.
    residual: Vec<usize>,
    asks_for_urls: bool,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Self {
            tools: HashMap::new(),
            hosts: HashMap::new(),
            with_host: Vec::new(),
            capabilities: HashMap::new(),
            with_capability: Vec::new(),
            residual: Vec::new(),
            asks_for_urls: rules.iter().any(|rule| !rule.url.is_empty()),
        };
        for (at, rule) in rules.iter().enumerate() {
            if let Some(names) = &rule.tool_names {
                for name in names {
                    index.tools.entry(name.clone()).or_default().push(at);
                }
            } else if let Some(hosts) = hosts_of(rule) {
                index.with_host.push(at);
                for host in hosts {
                    let key = host.strip_prefix("*.").unwrap_or(host);
                    index.hosts.entry(key.to_owned()).or_default().push(at);
                }
            } else if !rule.capability.is_empty() {
                index.with_capability.push(at);
                for capability in &rule.capability {
                    index.capabilities.entry(*capability).or_default().push(at);
                }
            } else {
                index.residual.push(at);
            }
        }
        index
    }

    /// Whether some rule has a pattern for URLs.
    pub(super) const fn asks_for_urls(&self) -> bool {
        self.asks_for_urls
    }

    /// The rules that could speak about `action`, in order. `hosts` are those of its effects; `None`
    /// where one could be anything.
    pub(super) fn candidates(&self, action: &Action, effects: &[Effect], hosts: &[Known]) -> Vec<usize> {
        let mut found = self.residual.clone();
        if let Some(tool) = &action.tool
            && !self.tools.is_empty()
        {
            found.extend(self.tools.get(&tool.name.to_lowercase()).into_iter().flatten());
        }
        for effect in effects {
            if action.tool.is_none() && !self.tools.is_empty() {
                found.extend(self.tools.get(&effect.by.to_lowercase()).into_iter().flatten());
            }
            found.extend(self.capabilities.get(&effect.capability).into_iter().flatten());
            if effect.capability == Capability::Unknown {
                found.extend(&self.with_capability);
            }
        }
        for host in hosts {
            match host {
                Known::Nothing => {}
                Known::Unknown => found.extend(&self.with_host),
                Known::Host(host) => self.by_host(host, &mut found),
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn by_host(&self, host: &Host, found: &mut Vec<usize>) {
        if self.hosts.is_empty() {
            return;
        }
        let name = host.to_string();
        let mut rest = name.as_str();
        loop {
            found.extend(self.hosts.get(rest).into_iter().flatten());
            match (host, rest.split_once('.')) {
                (Host::Name(_), Some((_, parent))) => rest = parent,
                _ => return,
            }
        }
    }
}

/// The hosts that a rule is about; `None` if it may be about any.
fn hosts_of(rule: &Rule) -> Option<Vec<&str>> {
    if !rule.host.is_empty() {
        return Some(rule.host.iter().map(String::as_str).collect());
    }
    let of_urls: Option<Vec<&str>> = rule.url.iter().map(UrlPattern::host).collect();
    of_urls.filter(|hosts| !hosts.is_empty())
}

/// What is known of the host an effect reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It reaches none.
    Nothing,
    /// It could be any.
    Unknown,
    /// This one.
    Host(Host),
}
