//! Whether a call comes at a rate at which it may: of its address, its key, its agent. It counts on all of them, or on none.

use std::net::IpAddr;

use doorward_core::account::gcra::{Rate, Standing};
use doorward_store::accounts::{Identity, Key};

use super::super::denied::Denial;
use super::super::{Egress, limited};

/// What each level is called, in their order.
const LEVELS: [&str; 3] = ["calls from one address", "calls of one key", "calls of one agent"];

impl Egress {
    /// Takes one use of each rate, or says which is exceeded.
    pub(in super::super) fn rated(&self, key: &Key, agent: &str, ip: IpAddr) -> Result<(), Denial> {
        let levels = self.levels(key, agent, ip);
        let none = Standing { limit: 0, remaining: 0, retry_after_ms: 1000, reset_ms: 1000 };
        let Some(uses) = rates(levels) else { return Err(limited(LEVELS[0], 0, none)) };
        match self.rates().levels.take(uses.map(Some), self.ticks()) {
            Ok(_) => Ok(()),
            Err((level, standing)) => {
                let rate = levels.get(level).map_or(0, |(_, rate)| *rate);
                Err(limited(LEVELS.get(level).unwrap_or(&LEVELS[0]), rate, standing))
            }
        }
    }

    /// How the narrowest rate stands, for the headers of an answer.
    pub(in super::super) fn standing(&self, key: &Key, agent: &str, ip: IpAddr) -> Option<Standing> {
        let (uses, now) = (rates(self.levels(key, agent, ip))?, self.ticks());
        let mut rates = self.rates();
        let mut standings = uses
            .into_iter()
            .enumerate()
            .filter_map(|(level, (id, rate))| Some(rates.levels.get_mut(level)?.look(id, rate, now)));
        let first = standings.next()?;
        Some(
            standings
                .fold(first, |least, other| if other.remaining < least.remaining { other } else { least }),
        )
    }

    /// Who is counted on each level, and how many a second are allowed. Agents that nobody issued share the rate of one: who
    /// renames itself gains nothing.
    fn levels(&self, key: &Key, agent: &str, ip: IpAddr) -> [(u64, u32); 3] {
        let issued = self.accounts().identify(key, agent) == Identity::Issued;
        let agent = if issued { agent } else { "" };
        let (settings, own) = (&self.settings, &key.settings);
        [
            (self.digest(&["ip", &ip.to_canonical().to_string()]), own.rate_ip.unwrap_or(settings.ip_rate)),
            (self.digest(&["key", &key.id]), own.rate_key.unwrap_or(settings.key_rate)),
            (self.digest(&["agent", &key.id, agent]), own.rate_agent.unwrap_or(settings.agent_rate)),
        ]
    }
}

/// `None` if one of them is 0.
fn rates(levels: [(u64, u32); 3]) -> Option<[(u64, Rate); 3]> {
    let [ip, key, agent] = levels.map(|(id, rate)| Some((id, Rate::per_second(rate)?)));
    Some([ip?, key?, agent?])
}
