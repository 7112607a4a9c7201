//! Packages whose name is one slip of the hand away from one that everybody knows: what is waited for there seldom is
//! what was meant.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::super::eval::Eval;
use super::super::programs::Call;
use crate::action::{AssetClass, Capability, Target};

/// Names by the kind of registry: well-known ones, and after `!` others that are as near and as real.
const TABLE: &str = include_str!("lookalike.tbl");

/// The shortest name that is looked at: below, names are near one another by chance.
const SHORTEST: usize = 5;

struct Names {
    known: Vec<&'static str>,
    all: HashSet<&'static str>,
}

static NAMES: LazyLock<HashMap<&'static str, Names>> = LazyLock::new(|| {
    let mut kinds: HashMap<&'static str, Names> = HashMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let Some((kind, names)) = line.split_once('|') else { continue };
        let own =
            kinds.entry(kind.trim()).or_insert_with(|| Names { known: Vec::new(), all: HashSet::new() });
        for name in names.split_whitespace() {
            let real = name.strip_prefix('!');
            own.all.insert(real.unwrap_or(name));
            own.known.extend(real.is_none().then_some(name));
        }
    }
    kinds
});

impl Eval {
    /// Notes packages that are asked for under such a name.
    pub(super) fn look_alikes(&mut self, call: &Call<'_>) {
        let kind = match call.name {
            "pip" | "pipx" | "uv" | "poetry" | "pipenv" | "pdm" | "easy_install" => "pip",
            "npm" | "pnpm" | "yarn" | "bun" => "npm",
            "gem" | "bundle" => "gem",
            "cargo" => "cargo",
            _ => return,
        };
        for word in call.operands.iter().skip(1).take(64) {
            self.look_alike(&word.text, kind, call.name);
        }
    }

    /// The same for one name.
    pub(super) fn look_alike(&mut self, text: &str, kind: &str, by: &str) {
        // `name@npm:package`: the name is the user's own, the package what is fetched.
        let text = text.split_once("@npm:").map_or(text, |(_, package)| package);
        let scoped = text.strip_prefix('@').is_some();
        let name =
            text.split(['=', '>', '<', '~', '[', '@', ':', ';']).next().unwrap_or(text).to_ascii_lowercase();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if scoped || !plain || name.len() < SHORTEST || name.len() > 40 || !self.budget.spend(name.len() * 8)
        {
            return;
        }
        let Some(names) = NAMES.get(kind).filter(|names| !names.all.contains(name.as_str())) else { return };
        if names
            .known
            .iter()
            .any(|known| known.len() >= SHORTEST && one_slip(known.as_bytes(), name.as_bytes()))
        {
            let target = Target::Other("a name one slip away from a well-known package".to_owned());
            self.effect(Capability::Administer, target, AssetClass::External, &[], by);
        }
    }
}

/// Whether one letter left out, put in, changed or swapped with the next one makes `a` into `b`.
fn one_slip(a: &[u8], b: &[u8]) -> bool {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
    let tail = |rest: &[u8], at: usize| rest.get(at..).unwrap_or_default().to_vec();
    match (rest_a, rest_b) {
        ([], []) => false,
        ([x, y, more_a @ ..], [v, w, more_b @ ..]) if x == w && y == v && more_a == more_b => true,
        _ if rest_a.len() == rest_b.len() => tail(rest_a, 1) == tail(rest_b, 1),
        _ if rest_a.len() == rest_b.len() + 1 => tail(rest_a, 1) == rest_b,
        _ if rest_b.len() == rest_a.len() + 1 => tail(rest_b, 1) == rest_a,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, one_slip};

    #[test]
    fn one_slip_is_one_letter_or_two_swapped() {
        for (known, name) in [
            ("requests", "reqeusts"),
            ("requests", "request"),
            ("lodash", "lodahs"),
            ("nginx", "ngnix"),
            ("express", "expresss"),
            ("colorama", "colourama"),
            ("lodash", "l0dash"),
        ] {
            assert!(one_slip(known.as_bytes(), name.as_bytes()), "{known} {name}");
        }
        for (known, name) in
            [("requests", "requests"), ("requests", "httpx"), ("flask", "falcon"), ("react", "redact-x")]
        {
            assert!(!one_slip(known.as_bytes(), name.as_bytes()), "{known} {name}");
        }
    }

    #[test]
    fn no_well_known_name_is_taken_for_another() {
        for (kind, names) in NAMES.iter() {
            assert!(names.known.len() > 5, "{kind}");
            assert!(names.known.iter().all(|name| name.to_ascii_lowercase() == *name), "{kind}");
        }
    }
}
