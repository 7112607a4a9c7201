//! From YAML to lists.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Class, Group, Lists, PathPattern, Place, Sensitive};
use crate::detect::glob::Glob;
use crate::detect::rules::{Example, example, is_technique};
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span};
use crate::url::{Host, Path, host_of};

const DEEDS: [&str; 3] = ["fetch", "post", "carry"];

/// Appends what `node` (a file with `destinations` or `sensitive_paths`) says to `lists`; `ids` are those in use.
pub(in crate::detect) fn decode(
    node: &Node,
    origin: &Arc<str>,
    lists: &mut Lists,
    ids: &mut HashSet<String>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut fields = Fields::of(node, "a file of destinations", faults);
    let (groups, sensitive) = (fields.list("destinations"), fields.list("sensitive_paths"));
    for node in groups {
        group(node, origin, lists, ids, fields.faults());
    }
    for node in sensitive {
        let kind = sensitive_paths(node, origin, ids, fields.faults());
        lists.sensitive.extend(kind);
    }
    fields.finish();
}

/// What both kinds of entries have.
struct Common<'a> {
    id: &'a str,
    reason: &'a str,
    advice: String,
    attack: Vec<String>,
    examples: Vec<Example>,
    near_misses: Vec<Example>,
}

fn common<'a>(
    fields: &mut Fields<'a, '_>,
    node: &'a Node,
    advises: bool,
    ids: &mut HashSet<String>,
) -> Option<Common<'a>> {
    let (id, reason) = (fields.text("id"), fields.text("reason"));
    let advice = if advises { fields.text("advice") } else { None };
    let attack = if advises { fields.texts("attack") } else { Vec::new() };
    let (examples, near_misses) = (fields.list("examples"), fields.list("near_misses"));
    for (technique, span) in &attack {
        if !is_technique(technique) {
            fields.fault(*span, "not an ATT&CK technique", "write it like `T1567` or `T1567.002`");
        }
    }
    let at = node.get("id").map_or(node.span, |id| id.span);
    if let Some(id) = id {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !id.bytes().all(plain) {
            fields.fault(at, "an `id` is like `what-it-is`", "use lower-case letters, digits and `-`");
        }
        if !ids.insert(id.to_owned()) {
            fields.fault(at, format!("`{id}` exists already"), "give it another id");
        }
    }
    if examples.is_empty() || near_misses.is_empty() {
        fields.fault(at, "it needs at least one example and one near miss", "");
    }
    let read = |nodes: &[Node], faults: &mut Vec<Diagnostic>| {
        nodes.iter().filter_map(|node| example(node, faults)).collect()
    };
    let (examples, near_misses) = (read(examples, fields.faults()), read(near_misses, fields.faults()));
    Some(Common {
        id: id?,
        reason: reason?,
        advice: advice.unwrap_or_default().to_owned(),
        attack: attack.into_iter().map(|(technique, _)| technique.to_owned()).collect(),
        examples,
        near_misses,
    })
}

fn group(
    node: &Node,
    origin: &Arc<str>,
    lists: &mut Lists,
    ids: &mut HashSet<String>,
    faults: &mut Vec<Diagnostic>,
) {
    let mut fields = Fields::of(node, "a group of destinations", faults);
    let words = [Class::Blocked, Class::Allowed].map(|class| (class.as_str(), class));
    let class = fields.choice("class", &words).unwrap_or(Class::Blocked);
    let common = common(&mut fields, node, class == Class::Blocked, ids);
    let (mut severity, mut covers) = ([0; 3], [false; 2]);
    if class == Class::Blocked {
        severity = fields.need("severity").map_or([0; 3], |node| severities(node, fields.faults()));
    } else {
        let words = [("fetch", 0usize), ("post", 1)];
        fields.need("covers");
        for at in fields.choices("covers", &words) {
            covers.get_mut(at).into_iter().for_each(|covered| *covered = true);
        }
    }
    fields.need("places");
    let texts = fields.texts("places");
    let at = lists.groups.len();
    for (text, span) in texts {
        match place(text, at, class) {
            Ok((host, place)) => add(lists, host, place, span, fields.faults()),
            Err(message) => fields.fault(
                span,
                message,
                "write a host, `*.` and a name, or either with a path: `example.com/a`",
            ),
        }
    }
    fields.finish();
    let Some(common) = common else { return };
    lists.groups.push(Group {
        id: common.id.to_owned(),
        class,
        reason: common.reason.to_owned(),
        advice: common.advice,
        attack: common.attack,
        severity,
        covers,
        examples: common.examples,
        near_misses: common.near_misses,
        origin: Arc::clone(origin),
    });
}

fn severities(node: &Node, faults: &mut Vec<Diagnostic>) -> [u8; 3] {
    let mut fields = Fields::of(node, "`severity`", faults);
    let all = DEEDS.map(|deed| fields.maybe_whole(deed, 1..=100).unwrap_or(0));
    if node.is_object() && all == [0; 3] {
        fields.fault(node.span, "a severity of nothing", "say how bad `fetch`, `post` or `carry` is");
    }
    fields.finish();
    all.map(|severity| u8::try_from(severity).unwrap_or(100))
}

fn add(lists: &mut Lists, host: String, place: Place, span: Span, faults: &mut Vec<Diagnostic>) {
    let own = |other: &Place| other.group == place.group && other.text == place.text;
    let mut there = lists.by_host.get(host.as_str()).into_iter().flatten();
    if there.any(|at| usize::try_from(*at).ok().and_then(|at| lists.places.get(at)).is_some_and(own)) {
        faults.push(Diagnostic::error(span, format!("`{}` stands here twice", place.text)));
        return;
    }
    let at = u32::try_from(lists.places.len()).unwrap_or(u32::MAX);
    lists.by_host.entry(host.into()).or_default().push(at);
    lists.places.push(place);
}

/// The host under which it is found, and the place.
fn place(text: &str, group: usize, class: Class) -> Result<(String, Place), String> {
    let (host, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
    let (below, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
    let Some(Host::Name(read)) = host_of(name).filter(|_| !name.contains('*')) else {
        return Err(format!("`{host}` is no name of a host"));
    };
    if read != name {
        return Err(format!("a name is written as it is compared: `{read}`"));
    }
    // What blocks does not mind case: many servers do not.
    let glob = if class == Class::Blocked { Glob::any_case } else { Glob::exact_case };
    let path = match path {
        None => Vec::new(),
        Some(path) => segments(path)?.iter().map(|segment| glob(segment)).collect(),
    };
    Ok((read.into_owned(), Place { text: text.to_owned(), group, below, path }))
}

/// The segments of a path, which is written in the only way it can be read.
fn segments(path: &str) -> Result<Vec<String>, String> {
    let read = Path::read(path).filter(|read| read.readings().count() == 1);
    let segments = read.as_ref().map(|read| read.segments().map(str::to_owned).collect());
    let segments: Vec<String> = segments.unwrap_or_default();
    if segments.join("/") == path && !path.is_empty() && !path.contains("**") {
        Ok(segments)
    } else {
        Err(format!("`/{path}` is no plain path"))
    }
}

fn sensitive_paths(
    node: &Node,
    origin: &Arc<str>,
    ids: &mut HashSet<String>,
    faults: &mut Vec<Diagnostic>,
) -> Option<Sensitive> {
    let mut fields = Fields::of(node, "a kind of sensitive paths", faults);
    let common = common(&mut fields, node, true, ids);
    let severity = fields.whole("severity", 1..=100);
    fields.need("paths");
    let mut paths = Vec::new();
    for (text, span) in fields.texts("paths") {
        let (at_end, path) = match (text.strip_prefix("**/"), text.strip_prefix('/')) {
            (Some(path), _) => (true, path),
            (None, Some(path)) => (false, path),
            (None, None) => (false, ""),
        };
        match segments(path) {
            Ok(segments) => paths.push(PathPattern {
                at_end,
                segments: segments.iter().map(|segment| Glob::any_case(segment)).collect(),
            }),
            Err(message) => fields.fault(span, message, "begin with `/` or `**/`"),
        }
    }
    fields.finish();
    let common = common?;
    Some(Sensitive {
        id: common.id.to_owned(),
        reason: common.reason.to_owned(),
        advice: common.advice,
        attack: common.attack,
        severity: u8::try_from(severity?).unwrap_or(100),
        paths,
        examples: common.examples,
        near_misses: common.near_misses,
        origin: Arc::clone(origin),
    })
}
