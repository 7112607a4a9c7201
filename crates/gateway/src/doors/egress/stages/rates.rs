//! Whether a call comes at a rate at which it may: of its address, its key, its agent.
//!
//! Everything counts on its address before it has shown anything, whatever it asks for. What is signed counts on key and agent
//! as well, or on none of the three: an agent that is refused because of its own rate takes nothing from the others of its machine.

use std::net::IpAddr;

use doorward_core::account::gcra::{Rate, Standing};
use doorward_store::accounts::{Identity, Key};

use super::super::denied::Denial;
use super::super::net::Shown;
use super::super::{Egress, limited};

/// What each level is called, in their order.
const LEVELS: [&str; 3] = ["calls from one address", "calls of one key", "calls of one agent"];

impl Egress {
    /// Whether one more call of whom nobody knows may be looked at: those of its address, and those of all together. Costs next to
    /// nothing: this is what a flood meets.
    pub(in super::super) fn stranger(&self, ip: IpAddr) -> Result<(), Denial> {
        let (address, now) = (self.address(ip), self.ticks());
        let (own, all) = (self.settings.ip_rate, self.settings.backstop);
        let mut rates = self.rates();
        if let Some(Err(standing)) =
            Rate::per_second(own).map(|rate| rates.strangers.take(address, rate, now))
        {
            return Err(limited(LEVELS[0], own, standing));
        }
        match Rate::per_second(all).map(|rate| rates.backstop.take(0, rate, now)) {
            Some(Err(standing)) => Err(limited("calls of all clients", all, standing)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Takes one use of the rate of an address, for who says to have this key and can know that only by having it, or a session.
    pub(in super::super) fn arrived(&self, key: &Key, ip: IpAddr) -> Result<(), Denial> {
        let [(address, rate), ..] = self.levels(key, "", ip);
        let taken = Rate::per_second(rate)
            .map(|of| self.rates().levels.get_mut(0).map(|it| it.take(address, of, self.ticks())));
        match taken {
            Some(Some(Err(standing))) => Err(limited(LEVELS[0], rate, standing)),
            Some(_) => Ok(()),
            None => Err(limited(LEVELS[0], 0, NONE)),
        }
    }

    /// Takes one use of each rate, or says which is exceeded. That of the address was taken when the call arrived, and is given back if
    /// another one is exceeded; what follows a redirect has not arrived by itself.
    pub(in super::super) fn rated(
        &self,
        key: &Key,
        agent: &str,
        (ip, shown): (IpAddr, Shown),
    ) -> Result<(), Denial> {
        let levels = self.levels(key, agent, ip);
        let Some(uses) = rates(levels) else { return Err(limited(LEVELS[0], 0, NONE)) };
        let ([address, ..], [_, of_key, of_agent]) = (uses, uses.map(Some));
        let arrived = shown != Shown::Before;
        let mut rates = self.rates();
        match rates.levels.take([(!arrived).then_some(address), of_key, of_agent], self.ticks()) {
            Ok(_) => Ok(()),
            Err((level, standing)) => {
                if arrived && let Some(addresses) = rates.levels.get_mut(0) {
                    addresses.give_back(address.0, address.1);
                }
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

    /// What stands for an address.
    fn address(&self, ip: IpAddr) -> u64 {
        self.digest(&["ip", &ip.to_canonical().to_string()])
    }

    /// Who is counted on each level, and how many a second are allowed. Agents that nobody issued share the rate of one: who
    /// renames itself gains nothing.
    fn levels(&self, key: &Key, agent: &str, ip: IpAddr) -> [(u64, u32); 3] {
        let issued = self.accounts().identify(key, agent) == Identity::Issued;
        let agent = if issued { agent } else { "" };
        let (settings, own) = (&self.settings, &key.settings);
        [
            (self.address(ip), own.rate_ip.unwrap_or(settings.ip_rate)),
            (self.digest(&["key", &key.id]), own.rate_key.unwrap_or(settings.key_rate)),
            (self.digest(&["agent", &key.id, agent]), own.rate_agent.unwrap_or(settings.agent_rate)),
        ]
    }
}

/// How a rate of 0 stands.
const NONE: Standing = Standing { limit: 0, remaining: 0, retry_after_ms: 1000, reset_ms: 1000 };

/// `None` if one of them is 0.
fn rates(levels: [(u64, u32); 3]) -> Option<[(u64, Rate); 3]> {
    let [ip, key, agent] = levels.map(|(id, rate)| Some((id, Rate::per_second(rate)?)));
    Some([ip?, key?, agent?])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::super::Settings;
    use super::super::scene::{IP, Scene};
    use super::*;

    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    const MANY: u32 = 100_000;

    fn scene(ip_rate: u32, backstop: u32, set: &[(&str, &str)]) -> Scene {
        let rates = Settings { ip_rate, backstop, key_rate: MANY, agent_rate: MANY, ..Settings::default() };
        Scene::with(rates, set)
    }

    /// What is told when it is too often, which it must be soon.
    fn exhausted(mut one: impl FnMut() -> Result<(), Denial>) -> Denial {
        (0..2000).find_map(|_| one().err()).expect("a limit")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn strangers_are_limited_by_address_and_altogether() {
        let scene = scene(5, MANY, &[]);
        let denial = exhausted(|| scene.door.stranger(IP));
        assert_eq!(
            (denial.code.name, denial.message.as_str()),
            ("RATE_LIMITED", "more than 5 calls from one address a second")
        );
        assert!(denial.retry_after.is_some_and(|wait| (1..=200).contains(&wait)), "{denial:?}");
        assert!(scene.door.stranger(OTHER).is_ok() && scene.door.arrived(&scene.key, IP).is_ok());
        let scene = self::scene(MANY, 5, &[]);
        let denial = exhausted(|| scene.door.stranger(IP));
        assert_eq!(denial.message, "more than 5 calls of all clients a second");
        assert!(scene.door.stranger(OTHER).is_err() && scene.door.arrived(&scene.key, IP).is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_known_is_limited_by_address() {
        for scene in [scene(5, MANY, &[]), scene(MANY, MANY, &[("rate_ip", "5")])] {
            let denial = exhausted(|| scene.door.arrived(&scene.key, IP));
            assert_eq!(denial.message, "more than 5 calls from one address a second");
            assert!(scene.door.arrived(&scene.key, OTHER).is_ok());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_rate_refuses_takes_nothing_of_its_address() {
        let scene = scene(5, MANY, &[("rate_agent", "1")]);
        let one = |shown| {
            scene.door.arrived(&scene.key, IP)?;
            scene.door.rated(&scene.key, "a", (IP, shown))
        };
        for _ in 0..50 {
            if let Err(denial) = one(Shown::Signature) {
                assert_eq!(denial.message, "more than 1 calls of one agent a second");
            }
        }
        assert!(scene.door.arrived(&scene.key, IP).is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_follows_a_redirect_counts_on_all_of_them() {
        let scene = scene(5, MANY, &[]);
        let denial = exhausted(|| scene.door.rated(&scene.key, "a", (IP, Shown::Before)));
        assert_eq!(denial.message, "more than 5 calls from one address a second");
        // What has arrived was counted there.
        for _ in 0..50 {
            assert!(scene.door.rated(&scene.key, "a", (IP, Shown::Credential)).is_ok());
        }
    }
}
