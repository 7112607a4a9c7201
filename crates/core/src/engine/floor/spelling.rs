//! Paths as the floor compares them: one spelling for all of a user's places, and names of which not all is known.

use crate::action::asset::normalise_path;
use crate::detect::glob::Glob;
use crate::engine::Surroundings;

/// What is known of this machine's places.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    pub(super) user_home: String,
    /// The same, as it is compared.
    user: String,
    /// What stands for a directory we know: the variable in each spelling, and its value.
    variables: Vec<(String, String)>,
}

impl Spelling {
    pub(super) fn new(around: &Surroundings) -> Self {
        let known = [("DOORWARD_HOME", &around.doorward_home), ("HOME", &around.user_home)];
        let spelled = |(name, value): (&str, &String)| {
            [format!("${{{name}}}"), format!("${name}"), format!("%{name}%"), format!("$env:{name}")]
                .map(|spelling| (spelling, value.clone()))
        };
        Self {
            user_home: around.user_home.clone(),
            user: normalise_path(&around.user_home).to_lowercase(),
            variables: known.into_iter().flat_map(spelled).collect(),
        }
    }

    /// A path of this machine that is known, as it is compared.
    pub(super) fn of_own(&self, path: &str) -> String {
        from_user(&normalise_path(path).to_lowercase(), &self.user)
    }

    /// A path as somebody spelled it, as it is compared.
    pub(super) fn normal(&self, path: &str) -> String {
        let mut path = path.to_owned();
        if path.contains(['$', '%']) {
            for (spelling, value) in &self.variables {
                path = path.replace(spelling, value);
            }
        }
        if self.is_anothers(&path) {
            return path.to_lowercase();
        }
        from_user(&normalise_path(&without_unknowns(&path)).to_lowercase(), &self.user)
    }

    /// Whether `path` lies in another user's home, which normalising would take for ours.
    fn is_anothers(&self, path: &str) -> bool {
        let plain = path.starts_with(['/']) && !path.contains(['*', '?', '[', '$']) && !path.contains("..");
        let Some((homes, own)) = self.user_home.trim_end_matches('/').rsplit_once('/').filter(|_| plain)
        else {
            return false;
        };
        let rest = path.strip_prefix(homes).and_then(|rest| rest.strip_prefix('/'));
        rest.and_then(|rest| rest.split('/').next()).is_some_and(|user| !user.is_empty() && user != own)
    }
}

/// `path` as it is spelled from the user's home: where users live is not the same everywhere, and normalising knows
/// only the usual places.
fn from_user(path: &str, user: &str) -> String {
    match path.strip_prefix(user) {
        Some(rest) if user.len() > 1 && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
        _ => path.to_owned(),
    }
}

/// `${…}` stands for what is not known; what it says inside is no part of the path.
fn without_unknowns(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, tail)) = rest.split_once("${") {
        out.push_str(before);
        out.push_str("${}");
        rest = tail.split_once('}').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// The names of a path.
pub(super) fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

/// Whether a name on the way could be `own`.
pub(super) fn fits(name: &str, own: &str, exact: bool) -> bool {
    if name == own {
        return true;
    }
    if is_short_name(name, own) {
        return true;
    }
    if exact || !name.contains(['*', '?', '[', '$']) {
        return false;
    }
    // A name of which nothing is known could be any; most are not ours.
    let loose = loosened(name);
    let unknown = name.starts_with('$') && loose == "*";
    // A glob does not match a leading dot unless it spells one.
    let hidden = own.starts_with('.') && name.starts_with(['*', '?', '[']);
    !unknown && !hidden && Glob::any_case(&loose).matches(own)
}

/// Whether `name` is what Windows calls `own` where names are short: `DOORWA~1` for `.doorward`.
fn is_short_name(name: &str, own: &str) -> bool {
    let Some((start, number)) = name.split_once('~') else { return false };
    let long: String = own.chars().filter(|c| c.is_alphanumeric()).collect();
    !start.is_empty()
        && start.len() <= 6
        && number.bytes().all(|b| b.is_ascii_digit())
        && !number.is_empty()
        && own.len() > 8
        && long.starts_with(start)
}

/// Brackets and unknown pieces as `*`.
pub(super) fn loosened(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, tail)) = rest.find(['[', '$']).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        out.push('*');
        let close = if tail.starts_with('[') { ']' } else { '}' };
        rest = tail.split_once(close).map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}
