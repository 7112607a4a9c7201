//! Messages that are too old, and those about an agent or a key that is scrubbed: destroyed in slices, whether they wait or not,
//! unless a person holds them.

use doorward_core::session::{Millis, name};
use doorward_core::syntax::{Node, json};
use rusqlite::{Connection, params};

use super::outbox::{Delivery, Raw, SELECT, failed, lose};
use super::{Stage, outbox};
use crate::StoreError;
use crate::retention::{Hold, Subject, Whose};
use crate::seal::Sealer;

/// How many messages a slice looks at: some milliseconds.
const SLICE: i64 = 200;

/// How deep a message is looked into. None is deeper.
const DEEPEST: u32 = 8;

/// Which messages go.
#[derive(Clone, Debug)]
pub(crate) enum Gone {
    /// Those that were made before this.
    Before(Millis),
    /// Those that say something of this one.
    Of(Subject),
}

/// One slice.
#[derive(Debug)]
pub(crate) struct Slice {
    pub gone: u64,
    pub held: u64,
    /// Behind which message the next one begins; `None`: that was all.
    pub next: Option<String>,
}

/// Whom a message names.
#[derive(Debug, Default)]
struct Named {
    /// Agents, and sessions.
    who: Vec<String>,
    keys: Vec<String>,
}

impl Named {
    fn of(delivery: &Delivery) -> Self {
        let mut named = Self::default();
        if let Ok(node) = json::parse(&delivery.payload) {
            named.look(&node, 0);
        }
        named
    }

    fn look(&mut self, node: &Node, depth: u32) {
        if depth > DEEPEST {
            return;
        }
        node.elements().iter().for_each(|one| self.look(one, depth + 1));
        for member in node.members() {
            match (member.key.as_str(), member.value.as_str()) {
                // `name` is what the kill switch was about.
                ("agent" | "session" | "name", Some(text)) => self.who.push(text.to_owned()),
                ("key", Some(text)) => self.keys.push(text.to_owned()),
                _ => self.look(&member.value, depth + 1),
            }
        }
    }

    fn is_about(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Agent(agent) => self.who.iter().any(|who| name::parts(who).0 == agent),
            Subject::Key(id) => self.keys.contains(id),
        }
    }

    /// Whether one of `holds` covers it; of a message that names several, any of them.
    fn is_held(&self, time: Millis, holds: &[Hold]) -> bool {
        let key = self.keys.first().map(String::as_str);
        let covered = |agent: Option<&str>, session: Option<&str>| {
            holds.iter().any(|hold| hold.covers(&Whose { time, agent, session, key }))
        };
        let mut who = self.who.iter().map(|who| (name::parts(who).0, who.contains('/').then_some(who)));
        self.who.is_empty() && covered(None, None)
            || who.any(|(agent, session)| covered(Some(agent), session.map(String::as_str)))
    }
}

/// Destroys a slice of the messages that go, behind the message `from`; only counts them if `dry`.
pub(crate) fn slice(
    connection: &Connection,
    sealer: &Sealer,
    (gone, from): (&Gone, &str),
    holds: &[Hold],
    dry: bool,
) -> Result<Slice, StoreError> {
    let before = if let Gone::Before(before) = gone { *before } else { Millis::MAX };
    let sql = format!("{SELECT} WHERE id > ?1 AND created < ?2 ORDER BY id LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let row = params![from, outbox::signed(before), SLICE];
    let rows = statement.query_map(row, Raw::read).map_err(failed)?;
    let rows: Vec<Raw> = rows.collect::<Result<_, _>>().map_err(failed)?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == SLICE);
    let next = rows.last().filter(|_| full).map(|raw| raw.id.clone());
    let mut slice = Slice { gone: 0, held: 0, next };
    for raw in rows {
        let (id, hook, created) = (raw.id.clone(), raw.hook.clone(), outbox::unsigned(raw.created));
        let waits = raw.stage == Stage::Waiting.number();
        // What does not decrypt says nothing of anybody.
        let named = raw.open(sealer).map(|delivery| Named::of(&delivery)).unwrap_or_default();
        let goes = match gone {
            Gone::Before(_) => true,
            Gone::Of(subject) => named.is_about(subject),
        };
        if !goes {
            continue;
        }
        if named.is_held(created, holds) {
            slice.held += 1;
            continue;
        }
        slice.gone += 1;
        if !dry {
            connection.execute("DELETE FROM deliveries WHERE id = ?1", [&id]).map_err(failed)?;
            if waits {
                lose(connection, &hook, 1).map_err(failed)?;
            }
        }
    }
    Ok(slice)
}
