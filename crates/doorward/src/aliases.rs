//! Variables of the firewalls that Doorward takes the place of. What means the same here is read, where the variable of Doorward's own is
//! not set; what means nothing yet is named, so that nobody relies on it.

/// What a variable of another firewall is called here, the preferred name of each setting first.
pub const ALIASES: [(&str, &str); 12] = [
    ("SR_TOOL_ALLOW", "tool_allow"),
    ("SR_TOOL_DENY", "tool_deny"),
    ("SR_TOOL_POLICY", "tool_policy"),
    ("SR_TOOL_POLICY_FILE", "tool_policy_file"),
    ("SR_MCP_ALLOW", "tool_allow"),
    ("SR_MCP_DENY", "tool_deny"),
    ("SR_MCP_POLICY", "tool_policy"),
    ("SR_MCP_POLICY_FILE", "tool_policy_file"),
    ("SR_LISTEN", "listen"),
    ("SR_MODE", "mode"),
    ("SR_UPSTREAM", "upstream"),
    // It holds the key itself; here a setting names the variable that does.
    (UPSTREAM_KEY, "key_env"),
];

const UPSTREAM_KEY: &str = "SR_UPSTREAM_KEY";

/// What the names of all variables of the policy library begin with.
const OF_LIBRARY: &str = "CHECKRD_";

/// Variables that are known and mean nothing here yet.
const WITHOUT_MEANING: [&str; 1] = ["SR_SELF_FUZZ"];

/// One that was read: the setting, its own name, its value.
pub type Read = (&'static str, String, String);

/// Which of the variables `set` in the environment are read, in the order of their preference; `has` says what the variables of Doorward's
/// own set. `typed`: an upstream was typed, so that one without its protocol is not missed.
pub fn read(mut set: Vec<(String, String)>, has: impl Fn(&str) -> bool, typed: bool) -> Vec<Read> {
    let place = |name: &str| ALIASES.iter().position(|(alias, _)| *alias == name);
    set.sort_by_key(|(name, _)| place(name));
    let wanted = !has("upstream") && (!typed || has("protocol"));
    let upstream = wanted && set.iter().any(|(name, _)| name == "SR_UPSTREAM");
    let mut read: Vec<Read> = Vec::new();
    for (name, value) in set {
        let Some((_, key)) = place(&name).and_then(|at| ALIASES.get(at)) else { continue };
        let known = has(key) || read.iter().any(|(other, ..)| other == key);
        let (of_upstream, its_key) = (*key == "upstream", *key == "key_env");
        // A key goes to the upstream it was set for, and to no other.
        let lost = (of_upstream || its_key) && !upstream || its_key && has("key_file");
        if known || lost {
            continue;
        }
        let value = if its_key { UPSTREAM_KEY.to_owned() } else { value };
        read.push((key, name, value));
    }
    read
}

/// Whether a variable is an alias.
pub fn is_alias(name: &str) -> bool {
    ALIASES.iter().any(|(alias, _)| *alias == name)
}

/// The notice of those that were read: what each means here.
pub fn notice(read: &[Read]) -> Option<String> {
    let each: Vec<String> = read
        .iter()
        .map(|(key, name, _)| match *key {
            "key_env" => format!("{name} as DOORWARD_KEY_ENV={name}"),
            key => format!("{name} as DOORWARD_{}", key.to_ascii_uppercase()),
        })
        .collect();
    let words = "variables of another firewall are read; set those of Doorward instead";
    (!each.is_empty()).then(|| format!("{words}: {}", each.join(", ")))
}

/// What is said of a key that is set and not read.
pub fn unread_key(names: &[String], read: &[Read]) -> Option<String> {
    let is_set = names.iter().any(|name| name == UPSTREAM_KEY);
    let words =
        "not read: it is for the upstream of SR_UPSTREAM, which is not in force, and goes to no other";
    (is_set && !read.iter().any(|(_, name, _)| name == UPSTREAM_KEY))
        .then(|| format!("{UPSTREAM_KEY}: {words}"))
}

/// The warning about those that are set and mean nothing. Of their values nothing is said: some are keys.
pub fn warning(names: impl Iterator<Item = String>) -> Option<String> {
    let known = |name: &String| name.starts_with(OF_LIBRARY) || WITHOUT_MEANING.contains(&name.as_str());
    let mut names: Vec<String> = names.filter(known).collect();
    names.sort();
    let words = "set, and without a meaning here: nothing is read of them, nothing is switched on or off by them, and a policy has to \
                 stand in policy.yaml";
    (!names.is_empty()).then(|| format!("{}: {words}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)], own: &[&str], typed: bool) -> Vec<(&'static str, String)> {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let read = read(set, |key| own.contains(&key), typed);
        read.into_iter().map(|(key, _, value)| (key, value)).collect()
    }

    #[test]
    fn ours_come_first_and_then_the_preferred_name() {
        let both = [("SR_MCP_DENY", "old"), ("SR_TOOL_DENY", "new"), ("SR_MODE", "monitor")];
        assert_eq!(of(&both, &[], false), [("tool_deny", "new".into()), ("mode", "monitor".into())]);
        assert_eq!(of(&both, &["mode", "tool_deny"], false), []);
    }

    #[test]
    fn a_key_goes_to_its_own_upstream_and_its_value_nowhere() {
        let set = [("SR_UPSTREAM_KEY", "sk-secret"), ("SR_UPSTREAM", "https://a.example")];
        let both = [("upstream", "https://a.example".to_owned()), ("key_env", "SR_UPSTREAM_KEY".to_owned())];
        assert_eq!(of(&set, &[], false), both);
        assert_eq!(of(&set, &["key_file"], false), both[..1]);
        assert_eq!(of(&set, &["upstream"], false), [], "another upstream is not sent this key");
        assert_eq!(of(&set, &[], true), []);
        assert_eq!(of(&set, &["protocol"], true), both);
        assert_eq!(of(&set[..1], &[], false), []);
    }

    #[test]
    fn what_means_nothing_is_named_and_its_value_is_not() {
        let names = ["PATH", "CHECKRD_API_KEY", "SR_SELF_FUZZ", "CHECKRD_DISABLED", "SR_LISTEN"];
        let names = || names.iter().map(|name| (*name).to_owned());
        let told = warning(names()).unwrap();
        assert!(told.starts_with("CHECKRD_API_KEY, CHECKRD_DISABLED, SR_SELF_FUZZ: "), "{told}");
        assert_eq!(warning(names().take(1).chain(names().skip(4))), None);
        let read = [("key_env", "SR_UPSTREAM_KEY".to_owned(), "SR_UPSTREAM_KEY".to_owned())];
        assert!(notice(&read).unwrap().ends_with("SR_UPSTREAM_KEY as DOORWARD_KEY_ENV=SR_UPSTREAM_KEY"));
        assert_eq!(notice(&[]), None);
    }
}
