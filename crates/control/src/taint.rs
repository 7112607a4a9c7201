//! Artefacts that untrusted content has left: how they are asked for and what is answered.

use doorward_core::session::Millis;
use doorward_core::syntax::json;
use doorward_store::AgentName;

use crate::desk::Fault;
use crate::handle::bad_request;
use doorward_core::syntax::Object;

/// The most artefacts in one answer, and how many unless the request says so.
pub const MOST_ARTEFACTS: usize = 1000;
const SOME_ARTEFACTS: usize = 50;

/// The longest name of an artefact, in bytes: beyond it no literal counts.
pub const LONGEST_ARTEFACT: usize = 8 * 1024;

/// One step of how an artefact came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintStep {
    /// What it is: `url`, `host`, …
    pub kind: &'static str,
    /// What kind of content brought it: `web`, `mcp`, `local_file`.
    pub source: &'static str,
    /// The tool or program that did.
    pub by: String,
    /// From where, masked; empty if nobody knows.
    pub place: String,
    /// When it was seen first and last, in milliseconds since the Unix epoch.
    pub first: Millis,
    /// When it was seen last.
    pub last: Millis,
    /// How many agents have seen it, up to four.
    pub agents: usize,
}

/// An artefact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintedArtefact {
    /// Its keyed digest, as 16 hexadecimal digits.
    pub id: String,
    /// The artefact itself, then what it was made of.
    pub steps: Vec<TaintStep>,
}

/// The artefacts that were seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artefacts {
    /// The latest first.
    pub artefacts: Vec<TaintedArtefact>,
    /// How many there are in all.
    pub known: u64,
    /// How many went because there were too many.
    pub dropped: u64,
}

/// What is known of what a person named, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaintFound {
    /// What it is itself.
    pub artefacts: Vec<TaintedArtefact>,
    /// The host of a URL, if that is tainted as well.
    pub host: Option<TaintedArtefact>,
    /// Whether it was cleared: it taints no longer.
    pub cleared: bool,
}

/// What a person wants to know or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintWish {
    /// A URL, a host, a path, a command line, a tool, or an artefact's id.
    pub artefact: String,
    /// Whether it is to be forgotten.
    pub clear: bool,
}

/// `{"artefacts": […], "known": N, "dropped": N}`.
#[must_use]
pub fn artefacts_json(all: &Artefacts) -> Vec<u8> {
    let artefacts = all.artefacts.iter().map(artefact);
    Object::new()
        .array("artefacts", artefacts)
        .number("known", all.known)
        .number("dropped", all.dropped)
        .end()
}

/// `{"artefacts": […], "host": ARTEFACT or null, "cleared": true or false}`.
#[must_use]
pub fn found_json(found: &TaintFound) -> Vec<u8> {
    let host = found.host.as_ref().map_or_else(|| b"null".to_vec(), artefact);
    let artefacts = found.artefacts.iter().map(artefact);
    Object::new().array("artefacts", artefacts).raw("host", &host).truth("cleared", found.cleared).end()
}

fn artefact(one: &TaintedArtefact) -> Vec<u8> {
    let step = |step: &TaintStep| {
        let object = Object::new().text("kind", step.kind).text("source", step.source).text("by", &step.by);
        let object = object.text("place", &step.place).number("first", step.first).number("last", step.last);
        object.number("agents", step.agents as u64).end()
    };
    Object::new().text("id", &one.id).array("steps", one.steps.iter().map(step)).end()
}

/// `agent` and `limit` of the query.
pub(crate) fn page(query: &str) -> Result<(Option<AgentName>, usize), Fault> {
    let (mut agent, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let taken = match name {
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MOST_ARTEFACTS).contains(number));
                number.is_some() && limit.replace(number).is_none()
            }
            "agent" => {
                let name = AgentName::new(value).ok();
                name.is_some() && agent.replace(name).is_none()
            }
            _ => false,
        };
        if !taken {
            let name: String = name.chars().take(40).collect();
            let message = format!("the query has a bad, doubled or unknown part: {name}");
            return Err(bad_request("bad_query", message, "it takes limit (1 to 1000) and agent"));
        }
    }
    Ok((agent.flatten(), limit.flatten().unwrap_or(SOME_ARTEFACTS)))
}

/// What `POST /v1/taint` asks for: `{"act": "show" or "clear", "artefact": TEXT}`, nothing unknown.
pub(crate) fn wish(body: &[u8]) -> Result<TaintWish, Fault> {
    let bad = |message: String| {
        bad_request("bad_body", message, r#"send {"act": "show", "artefact": "https://…"}; or "clear""#)
    };
    let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
    if let Some(unknown) = node.members().iter().find(|member| !matches!(&*member.key, "act" | "artefact")) {
        let key: String = unknown.key.chars().take(40).collect();
        return Err(bad(format!("the body has an unknown member {key:?}")));
    }
    let clear = match node.text("act") {
        Some("show") => false,
        Some("clear") => true,
        _ => return Err(bad("act must be show or clear".into())),
    };
    let artefact =
        node.get("artefact").and_then(|node| node.as_string()).filter(|text| text.is_well_formed());
    let artefact = artefact.filter(|text| !text.trim().is_empty() && text.len() <= LONGEST_ARTEFACT);
    let artefact =
        artefact.ok_or_else(|| bad(format!("artefact must be text of 1 to {LONGEST_ARTEFACT} bytes")))?;
    Ok(TaintWish { artefact: artefact.to_string(), clear })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_and_pages_are_read_strictly() {
        let show = TaintWish { artefact: "https://a.test/x".into(), clear: false };
        assert_eq!(wish(br#"{"act":"show","artefact":"https://a.test/x"}"#), Ok(show));
        assert!(wish(br#"{"act":"clear","artefact":"a.test"}"#).unwrap().clear);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"act":"show"}"#,
            r#"{"act":"show","artefact":""}"#,
            r#"{"act":"show","artefact":" "}"#,
            r#"{"act":"show","artefact":7}"#,
            r#"{"act":"show","artefact":"\ud800"}"#,
            r#"{"act":"wipe","artefact":"a"}"#,
            r#"{"act":"show","artefact":"a","all":true}"#,
            r#"{"act":"show","act":"clear","artefact":"a"}"#,
        ] {
            assert!(wish(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = |n| format!(r#"{{"act":"show","artefact":"{}"}}"#, "x".repeat(n));
        assert!(
            wish(long(LONGEST_ARTEFACT).as_bytes()).is_ok()
                && wish(long(LONGEST_ARTEFACT + 1).as_bytes()).is_err()
        );
        assert_eq!(page(""), Ok((None, 50)));
        assert_eq!(page("agent=alice&limit=7"), Ok((Some(AgentName::new("alice").unwrap()), 7)));
        for bad in
            ["limit=0", "limit=1001", "limit=1&limit=1", "agent=", "agent=..", "agent=a&agent=a", "x=1"]
        {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
