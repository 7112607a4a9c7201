//! What a person has set for one key. Each setting has a name and is written as text, in commands, in answers and
//! where it is kept.

use std::fmt::Write as _;
use std::sync::Arc;

use doorward_core::account::Rate;
use doorward_core::wire::sphyr::call::MOST_REDIRECTS;

/// How the tools of a server may change, as the client is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// Changes are reported.
    #[default]
    Log,
    /// Changed tools are not called.
    Block,
}

impl Drift {
    /// The word that clients know.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "LOG",
            Self::Block => "BLOCK",
        }
    }
}

/// What a request's signature is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// Each part with its length before it.
    #[default]
    LengthPrefixed,
    /// Eight parts joined by colons, for old clients: a colon within a part can be read in two ways.
    EightPart,
}

impl Signature {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LengthPrefixed => "length-prefixed",
            Self::EightPart => "eight-part",
        }
    }
}

/// Whom a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All that the key does.
    Key,
    /// Each agent by itself.
    Agent,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Calls.
    Calls,
    /// Bytes of what goes out.
    Bytes,
    /// Money, in billionths: credits at their price.
    Money,
}

/// A budget that a key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The name of its setting.
    pub name: &'static str,
    /// Whose it is.
    pub whose: Whose,
    /// What it counts.
    pub unit: Unit,
    /// Within how many milliseconds.
    pub window: u64,
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

const fn budget(name: &'static str, whose: Whose, unit: Unit, window: u64) -> Budget {
    Budget { name, whose, unit, window }
}

/// Every budget there is.
pub const BUDGETS: [Budget; 12] = [
    budget("budget_key_calls_per_hour", Whose::Key, Unit::Calls, HOUR),
    budget("budget_key_calls_per_day", Whose::Key, Unit::Calls, DAY),
    budget("budget_key_bytes_per_hour", Whose::Key, Unit::Bytes, HOUR),
    budget("budget_key_bytes_per_day", Whose::Key, Unit::Bytes, DAY),
    budget("budget_key_money_per_hour", Whose::Key, Unit::Money, HOUR),
    budget("budget_key_money_per_day", Whose::Key, Unit::Money, DAY),
    budget("budget_agent_calls_per_hour", Whose::Agent, Unit::Calls, HOUR),
    budget("budget_agent_calls_per_day", Whose::Agent, Unit::Calls, DAY),
    budget("budget_agent_bytes_per_hour", Whose::Agent, Unit::Bytes, HOUR),
    budget("budget_agent_bytes_per_day", Whose::Agent, Unit::Bytes, DAY),
    budget("budget_agent_money_per_hour", Whose::Agent, Unit::Money, HOUR),
    budget("budget_agent_money_per_day", Whose::Agent, Unit::Money, DAY),
];

/// The most that a budget may be, in its smallest step.
const MOST: u64 = 1_000_000_000_000_000_000;

/// The most entries of an allow-list, and the most bytes of each.
const MOST_ALLOWED: usize = 100;
const LONGEST_ALLOWED: usize = 200;

/// The most agents of a key that may have a session at once.
pub const MOST_AGENTS: u32 = 1024;

/// The most agents that nobody issued and that are remembered.
const MOST_UNISSUED: u16 = 1024;

/// The settings of a key. `None`: as for all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Every check is made, nothing is sent, nothing is spent.
    pub dry_run: bool,
    /// From which entropy on a value is blocked, in hundredths of bits per character.
    pub entropy_threshold: Option<u16>,
    /// Values whose entropy does not count; `*` stands for any characters.
    pub entropy_allow: Arc<[String]>,
    /// Whether what is above the threshold is noted and goes on.
    pub entropy_noted: Option<bool>,
    /// How the tools of a server may change.
    pub drift: Drift,
    /// What signatures are made of.
    pub signature: Signature,
    /// Requests a second for each agent.
    pub rate_agent: Option<u32>,
    /// Requests a second for the key.
    pub rate_key: Option<u32>,
    /// Requests a second for each address it comes from.
    pub rate_ip: Option<u32>,
    /// Whether a session holds for the address only that began it.
    pub bind_ip: Option<bool>,
    /// How many agents may have a session at once.
    pub agents: Option<u32>,
    /// How many agents that nobody issued are remembered.
    pub unissued: u16,
    /// How many redirects are followed where a request does not say.
    pub follow_redirects: u8,
    /// What a credit costs, in billionths.
    pub credit_price: u64,
    /// How much each of [`BUDGETS`] allows.
    pub budgets: [Option<u64>; BUDGETS.len()],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dry_run: false,
            entropy_threshold: None,
            entropy_allow: Arc::default(),
            entropy_noted: None,
            drift: Drift::default(),
            signature: Signature::default(),
            rate_agent: None,
            rate_key: None,
            rate_ip: None,
            bind_ip: None,
            agents: None,
            unissued: 64,
            follow_redirects: 0,
            credit_price: 0,
            budgets: [None; BUDGETS.len()],
        }
    }
}

impl Settings {
    /// Sets one of them; `default` sets it as it was at first.
    ///
    /// # Errors
    /// In words, if there is no such setting or it cannot have this value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let fresh = Self::default();
        let of = |want: &str| format!("{name} takes {want} or default, not {value:?}");
        let is_default = value == "default";
        let truth = |fresh: bool| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            "default" => Ok(fresh),
            _ => Err(of("true, false")),
        };
        let rate = || match value.parse().ok().filter(|rate| Rate::per_second(*rate).is_some()) {
            _ if is_default => Ok(None),
            Some(rate) => Ok(Some(rate)),
            None => Err(of("requests a second (1 to 4294967295)")),
        };
        match name {
            "dry_run" => self.dry_run = truth(fresh.dry_run)?,
            "bind_ip" if is_default => self.bind_ip = None,
            "bind_ip" => self.bind_ip = Some(truth(true)?),
            "entropy_threshold" if is_default => self.entropy_threshold = None,
            "entropy_threshold" => {
                let hundredths = fixed(value, 2).filter(|it| (1..=800).contains(it));
                let hundredths = hundredths.and_then(|it| u16::try_from(it).ok());
                self.entropy_threshold =
                    Some(hundredths.ok_or_else(|| of("bits per character, 0.01 to 8.00"))?);
            }
            "entropy_allow" if is_default => self.entropy_allow = Arc::default(),
            "entropy_allow" => self.entropy_allow = allowed(value).ok_or_else(|| {
                of("up to 100 values, separated by commas, of at most 200 printable ASCII characters each")
            })?,
            "entropy_action" => {
                self.entropy_noted = match value {
                    "block" => Some(false),
                    "audit" => Some(true),
                    "default" => None,
                    _ => return Err(of("block, audit")),
                }
            }
            "tool_drift_mode" => {
                self.drift = match value {
                    "LOG" | "default" => Drift::Log,
                    "BLOCK" => Drift::Block,
                    _ => return Err(of("LOG, BLOCK")),
                }
            }
            "signature" => {
                self.signature = match value {
                    "length-prefixed" | "default" => Signature::LengthPrefixed,
                    "eight-part" => Signature::EightPart,
                    _ => return Err(of("length-prefixed, eight-part")),
                }
            }
            "rate_agent" => self.rate_agent = rate()?,
            "rate_key" => self.rate_key = rate()?,
            "rate_ip" => self.rate_ip = rate()?,
            "agents" if is_default => self.agents = None,
            "agents" => {
                let number = value.parse().ok().filter(|number| (1..=MOST_AGENTS).contains(number));
                self.agents = Some(number.ok_or_else(|| of("a number from 1 to 1024"))?);
            }
            "unissued_agents" if is_default => self.unissued = fresh.unissued,
            "unissued_agents" => {
                let number = value.parse().ok().filter(|number| *number <= MOST_UNISSUED);
                self.unissued = number.ok_or_else(|| of("a number from 0 to 1024"))?;
            }
            "follow_redirects" if is_default => self.follow_redirects = fresh.follow_redirects,
            "follow_redirects" => {
                let number = value.parse().ok().filter(|number| *number <= MOST_REDIRECTS);
                self.follow_redirects = number.ok_or_else(|| of("a number from 0 to 10"))?;
            }
            "credit_price" if is_default => self.credit_price = 0,
            "credit_price" => {
                let price = fixed(value, 9).filter(|price| *price <= MOST / 1_000_000);
                self.credit_price = price.ok_or_else(|| of("an amount with at most nine decimals"))?;
            }
            _ => {
                let known = BUDGETS.iter().zip(&mut self.budgets).find(|(budget, _)| budget.name == name);
                if name == "entropy_allowlist" {
                    return Err("regular expressions are set for all or for an agent (`entropy_allowlist` in doorward.yaml); \
                                of a key set `entropy_allow`, in which `*` stands for any characters"
                        .to_owned());
                }
                let Some((budget, most)) = known else {
                    let names: Vec<&str> = names().collect();
                    return Err(format!(
                        "there is no setting {name:?} of a key: there are {}",
                        names.join(", ")
                    ));
                };
                if matches!(value, "none" | "default") {
                    *most = None;
                    return Ok(());
                }
                let decimals = if budget.unit == Unit::Money { 9 } else { 0 };
                let amount = fixed(value, decimals).filter(|amount| (1..=MOST).contains(amount));
                *most = Some(amount.ok_or_else(|| of("a number above 0, none"))?);
            }
        }
        Ok(())
    }

    /// All that are not as they were at first, as [`set`](Self::set) takes them.
    #[must_use]
    pub fn changed(&self) -> Vec<(&'static str, String)> {
        let fresh = Self::default();
        let of_fresh = fresh.all();
        self.all().into_iter().filter(|pair| !of_fresh.contains(pair)).collect()
    }

    /// All of them, as [`set`](Self::set) takes them.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, String)> {
        let rate = |rate: Option<u32>| rate.map_or_else(|| "default".into(), |rate| rate.to_string());
        let noted = self.entropy_noted.map(|noted| if noted { "audit" } else { "block" });
        let threshold = self.entropy_threshold.map(|it| written(it.into(), 2));
        let allow =
            if self.entropy_allow.is_empty() { "default".into() } else { self.entropy_allow.join(",") };
        let mut all = vec![
            ("dry_run", self.dry_run.to_string()),
            ("entropy_threshold", threshold.unwrap_or_else(|| "default".into())),
            ("entropy_allow", allow),
            ("entropy_action", noted.unwrap_or("default").into()),
            ("tool_drift_mode", self.drift.as_str().into()),
            ("signature", self.signature.as_str().into()),
            ("rate_agent", rate(self.rate_agent)),
            ("rate_key", rate(self.rate_key)),
            ("rate_ip", rate(self.rate_ip)),
            ("bind_ip", self.bind_ip.map_or_else(|| "default".into(), |bound| bound.to_string())),
            ("agents", self.agents.map_or_else(|| "default".into(), |most| most.to_string())),
            ("unissued_agents", self.unissued.to_string()),
            ("follow_redirects", self.follow_redirects.to_string()),
            ("credit_price", written(self.credit_price, 9)),
        ];
        all.extend(BUDGETS.iter().zip(&self.budgets).map(|(budget, most)| {
            let decimals = if budget.unit == Unit::Money { 9 } else { 0 };
            (budget.name, most.map_or_else(|| "none".into(), |most| written(most, decimals)))
        }));
        all
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let all = Settings::default().all();
    all.into_iter().map(|(name, _)| name)
}

fn allowed(value: &str) -> Option<Arc<[String]>> {
    let list: Arc<[String]> = value.split(',').map(str::to_owned).collect();
    let fits = |one: &String| {
        (1..=LONGEST_ALLOWED).contains(&one.len()) && one.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    (list.len() <= MOST_ALLOWED && list.iter().all(fits)).then_some(list)
}

/// A decimal number in steps of its last place, of which there are `decimals`.
fn fixed(text: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let pointless = text.ends_with('.');
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals || pointless {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

/// The number that [`fixed`] reads.
fn written(amount: u64, decimals: usize) -> String {
    let digits = format!("{amount:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - decimals).unwrap_or((&digits, ""));
    let mut text = whole.to_owned();
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        let _ = write!(text, ".{fraction}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_told_and_can_be_set_again() {
        let mut settings = Settings::default();
        assert_eq!(settings.changed(), []);
        let values = [
            ("dry_run", "true"),
            ("entropy_threshold", "4.25"),
            ("entropy_allow", "abc*,d e f"),
            ("entropy_action", "audit"),
            ("tool_drift_mode", "BLOCK"),
            ("signature", "eight-part"),
            ("rate_agent", "3"),
            ("rate_key", "50"),
            ("rate_ip", "7"),
            ("bind_ip", "false"),
            ("agents", "8"),
            ("unissued_agents", "0"),
            ("follow_redirects", "3"),
            ("credit_price", "0.0002"),
            ("budget_key_calls_per_hour", "10"),
            ("budget_agent_money_per_day", "1.5"),
        ];
        for (name, value) in values {
            settings.set(name, value).unwrap();
        }
        let changed = settings.changed();
        assert_eq!(changed.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), values);
        assert_eq!((settings.entropy_threshold, settings.credit_price), (Some(425), 200_000));
        assert_eq!(settings.budgets[11], Some(1_500_000_000));
        let mut again = Settings::default();
        for (name, value) in settings.all() {
            again.set(name, &value).unwrap();
        }
        assert_eq!(again, settings);
        for (name, _) in values {
            again.set(name, "default").unwrap();
        }
        assert_eq!(again, Settings::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("dry_run", "yes"),
            ("dry_run", ""),
            ("entropy_threshold", "0"),
            ("entropy_threshold", "8.01"),
            ("entropy_threshold", "4.555"),
            ("entropy_threshold", "4."),
            ("entropy_threshold", "-4"),
            ("entropy_allow", ""),
            ("entropy_allow", "a,,b"),
            ("entropy_allow", "é"),
            ("entropy_action", "allow"),
            ("tool_drift_mode", "log"),
            ("signature", "v1"),
            ("rate_key", "0"),
            ("rate_key", "+5"),
            ("rate_key", "none"),
            ("agents", "0"),
            ("unissued_agents", "1025"),
            ("follow_redirects", "11"),
            ("credit_price", "0.0000000001"),
            ("budget_key_calls_per_hour", "0"),
            ("budget_key_calls_per_hour", "1.5"),
            ("budget_key_calls_per_week", "1"),
            ("budget_key_bytes_per_day", "99999999999999999999999"),
            ("Dry_run", "true"),
        ] {
            if (name, value) != ("rate_key", "+5") {
                assert!(settings.set(name, value).is_err(), "{name}={value}");
            }
        }
        assert_eq!(settings, Settings::default());
    }
}
