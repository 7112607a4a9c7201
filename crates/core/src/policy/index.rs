//! Which rules could speak about an action: by tool, by host, by capability. The cost of judging does
//! not grow with rules whose key is not there.

use std::collections::HashMap;

use super::Rule;
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
        };
        for (at, rule) in rules.iter().enumerate() {
            if let Some(names) = &rule.tool_names {
                for name in names {
                    index.tools.entry(name.clone()).or_default().push(at);
                }
            } else if !rule.host.is_empty() {
                index.with_host.push(at);
                for host in &rule.host {
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
