//! What is known by its hashes and cut over several parts of one request: each part alone looks like nothing, and the model
//! reads them one after the other.
//!
//! Of long parts only both ends matter: what stands between them is found in the part itself.

use super::registered::Registered;
use super::{Secrets, Seen, Table, is_looked_into};
use crate::action::{Action, ActionKind, Part, PartKind};

/// Who speaks in parts that are put together although others speak between them.
const ALONE: [PartKind; 3] = [PartKind::UserText, PartKind::ToolResult, PartKind::Arguments];

/// Parts put together, and where one ends and the next begins.
#[derive(Default)]
struct Joined {
    text: String,
    seams: Vec<usize>,
}

impl Joined {
    fn of<'a>(parts: impl Iterator<Item = &'a Part>, reach: usize) -> Self {
        let mut joined = Self::default();
        for part in parts.filter(|part| !part.text.is_empty()) {
            joined.seams.push(joined.text.len());
            let text = &*part.text;
            if text.len() <= reach.saturating_mul(2) {
                joined.text.push_str(text);
                continue;
            }
            joined.text.push_str(text.get(..text.floor_char_boundary(reach)).unwrap_or_default());
            joined.text.push('\0');
            let tail = text.ceil_char_boundary(text.len().saturating_sub(reach));
            joined.text.push_str(text.get(tail..).unwrap_or_default());
        }
        joined
    }

    /// The name of the first that lies over a seam.
    fn find(&self, registered: &Registered) -> Option<std::sync::Arc<str>> {
        let over = |start: usize, end: usize| {
            let next = self.seams.partition_point(|seam| *seam <= start);
            self.seams.get(next).is_some_and(|seam| *seam < end)
        };
        let found = registered.every(&self.text).into_iter();
        found.filter(|stretch| over(stretch.start, stretch.end)).map(|stretch| stretch.name).next()
    }
}

impl Secrets {
    /// What is known by its hashes and lies over several parts of a request to a model.
    pub(crate) fn over_parts(&self, action: &Action) -> Vec<Seen> {
        if action.kind != ActionKind::ModelRequest || action.parts.len() < 2 {
            return Vec::new();
        }
        let found = |table: &Table<'_>| over_parts(table.known, action).map(|name| table.seen(&name, 0..0));
        self.tables().iter().filter_map(found).collect()
    }
}

fn over_parts(known: &Registered, action: &Action) -> Option<std::sync::Arc<str>> {
    if known.is_empty() {
        return None;
    }
    // Twice: among other characters a secret is longer than it is.
    let reach = known.longest().saturating_mul(2);
    let parts = || action.parts.iter().filter(|part| is_looked_into(part.kind));
    let all = Joined::of(parts(), reach).find(known);
    let alone = |kind: &PartKind| Joined::of(parts().filter(|part| part.kind == *kind), reach).find(known);
    all.or_else(|| ALONE.iter().find_map(alone))
}

#[cfg(test)]
mod tests {
    use super::super::{REGISTERED, VALUE_FREEZES};
    use super::*;
    use crate::action::Door;
    use crate::detect::canary::{Canaries, Response};

    fn request(parts: &[(PartKind, &str)]) -> Action {
        let mut action = Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), "s".into());
        action.parts = parts.iter().map(|(kind, text)| Part { kind: *kind, text: (*text).into() }).collect();
        action
    }

    #[test]
    fn what_is_cut_over_parts_is_found_and_what_stands_in_one_is_not_said_twice() {
        use PartKind::{AssistantText, ToolResult, UserText};
        let mut registered = Registered::new(&[7; 32]);
        let secret = "tk_live_93hfk2mzlq81xvb7";
        let registration = registered.registration(secret).unwrap();
        registered.add("payments", registration);
        let secrets = Secrets::shipped().with_registered(registered);
        let long = format!("{secret} {}", "ordinary words of a conversation ".repeat(200));
        let ended = format!("{} tk_live_93hfk2", "ordinary words of a conversation ".repeat(200));
        for (parts, found) in [
            (&[(UserText, "tk_live_93hfk2"), (UserText, "mzlq81xvb7")][..], true),
            (&[(UserText, "tk_l"), (UserText, "ive_93hf"), (UserText, "k2mzlq81"), (UserText, "xvb7")], true),
            (&[(UserText, "it is tk_live_93hfk2"), (AssistantText, "go on"), (UserText, "mzlq81xvb7")], true),
            (&[(ToolResult, "tk_live_93hfk2"), (UserText, "and now?"), (ToolResult, "mzlq81xvb7")], true),
            (&[(UserText, &ended), (UserText, "mzlq81xvb7")], true),
            (&[(UserText, secret), (UserText, "is it")], false),
            (&[(UserText, "first"), (UserText, &long), (UserText, "last")], false),
            (&[(UserText, "tk_live_93hfk2"), (UserText, "something else, mzlq81xvb7")], false),
            (&[(UserText, secret)], false),
        ] {
            let seen = secrets.over_parts(&request(parts));
            assert_eq!(seen.iter().any(|seen| seen.id == REGISTERED), found, "{parts:?}");
        }
    }

    #[test]
    fn each_kind_of_value_is_found_over_a_seam() {
        use PartKind::UserText;
        let mut canaries = Canaries::new(&[7; 32]);
        let value = "kd83hf72ksl20dm3x9qpw4";
        let registration = Registered::new(&[7; 32]).registration(value).unwrap();
        canaries.add_value("trap", registration, Response::Freeze);
        let secrets = Secrets::shipped().with_canaries(canaries);
        let (first, second) = value.split_at(9);
        let seen = secrets.over_parts(&request(&[(UserText, first), (UserText, second)]));
        assert_eq!(seen.iter().map(|seen| seen.id).collect::<Vec<_>>(), [VALUE_FREEZES], "{seen:?}");
        assert_eq!(secrets.over_parts(&request(&[(UserText, value), (UserText, second)])), []);
    }
}
