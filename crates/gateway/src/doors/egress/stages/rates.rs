//! Whether a call comes at a rate at which it may: of its address, its key, its agent.

use std::net::IpAddr;

use doorward_core::account::gcra::{Limiter, Rate, Standing};

use doorward_store::accounts::{Identity, Key};

use super::super::denied::Denial;
use super::super::{Egress, Rates, limited};

impl Egress {
    /// What of the rates is exceeded. Agents that nobody issued share the rate of one: who renames itself gains nothing.
    pub(in super::super) fn rated(&self, key: &Key, agent: &str, ip: IpAddr) -> Result<Standing, Denial> {
        let issued = self.accounts().identify(key, agent) == Identity::Issued;
        let agent = if issued { agent } else { "" };
        let (settings, own) = (&self.settings, &key.settings);
        let now = self.ticks();
        let mut rates = self.rates();
        let none = Standing { limit: 0, remaining: 0, retry_after_ms: 1000, reset_ms: 1000 };
        let mut take = |limiter: fn(&mut Rates) -> &mut Limiter<u64>, id, rate, what| {
            let each = Rate::per_second(rate);
            let taken = each.map_or(Err(none), |each| limiter(&mut rates).take(id, each, now));
            taken.map_err(|standing| limited(what, rate, standing))
        };
        let ip = self.digest(&["ip", &ip.to_canonical().to_string()]);
        take(
            |rates| &mut rates.addresses,
            ip,
            own.rate_ip.unwrap_or(settings.ip_rate),
            "calls from one address",
        )?;
        let id = self.digest(&["key", &key.id]);
        take(|rates| &mut rates.keys, id, own.rate_key.unwrap_or(settings.key_rate), "calls of one key")?;
        let id = self.digest(&["agent", &key.id, agent]);
        take(
            |rates| &mut rates.agents,
            id,
            own.rate_agent.unwrap_or(settings.agent_rate),
            "calls of one agent",
        )
    }
}
