//! Whether a call comes at a rate at which it may: of its address, its key, its agent.

use std::net::IpAddr;

use doorward_core::account::gcra::{Limiter, Rate, Standing};

use super::super::denied::Denial;
use super::super::keys::Key;
use super::super::{Egress, Rates, limited};

impl Egress {
    /// What of the rates is exceeded. Agents that nobody issued share the rate of one: who renames itself gains nothing.
    pub(in super::super) fn rated(&self, key: &Key, agent: &str, ip: IpAddr) -> Result<Standing, Denial> {
        let agent = if self.keys.is_issued(&key.id, agent) { agent } else { "" };
        let [of_key, of_agent] = key.rates;
        let settings = &self.settings;
        let now = self.ticks();
        let mut rates = self.rates();
        let none = Standing { limit: 0, remaining: 0, retry_after_ms: 1000, reset_ms: 1000 };
        let mut take = |limiter: fn(&mut Rates) -> &mut Limiter<u64>, id, rate, what| {
            let each = Rate::per_second(rate);
            let taken = each.map_or(Err(none), |each| limiter(&mut rates).take(id, each, now));
            taken.map_err(|standing| limited(what, rate, standing))
        };
        let ip = self.digest(&["ip", &ip.to_canonical().to_string()]);
        take(|rates| &mut rates.addresses, ip, settings.ip_rate, "calls from one address")?;
        let id = self.digest(&["key", &key.id]);
        take(|rates| &mut rates.keys, id, of_key.unwrap_or(settings.key_rate), "calls of one key")?;
        let id = self.digest(&["agent", &key.id, agent]);
        take(|rates| &mut rates.agents, id, of_agent.unwrap_or(settings.agent_rate), "calls of one agent")
    }
}
