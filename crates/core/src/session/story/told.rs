//! What a request tells: what people typed, and what tools gave back; and what came back from elsewhere, before any request
//! tells of it. Clients send the whole conversation each turn; a part is counted once.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Draft, embedded, values};
use crate::action::{
    AssetClass, Called, Capability, Effect, Part, PartKind, Returned, Source, Target, asset, tools,
};
use crate::detect::destination::{Class, Classes};
use crate::session::journal::{self, Event, Flags, MOST_OF_EVENT, Set};
use crate::session::taint::{self, Kind, Mark, Origin, literals, masked};

/// The most literals of one kind that are taken from one part.
const MOST_OF_PART: usize = 256;

/// The most that are taken from one request.
const MOST_OF_REQUEST: usize = 1024;

/// How long a text is that is known as a whole, in bytes.
pub(super) const TEXT: std::ops::RangeInclusive<usize> = 64..=256 * 1024;

/// Where what a tool gave back came from.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub source: Source,
    /// Whether nobody vouches for it.
    pub tainted: bool,
    /// Whether secrets are kept there.
    pub sensitive: bool,
    pub capability: Capability,
    pub asset: AssetClass,
    pub places: Classes,
    pub by: Arc<str>,
    pub place: String,
    pub at: Mark,
    /// The artefacts that it was made of.
    pub parents: Vec<Mark>,
}

/// Reads the parts that were not counted before: of a request, as `digests` say. What comes back from elsewhere is news.
pub(super) fn read(draft: &mut Draft<'_>, digests: &[Mark]) {
    let action = draft.action;
    let mut returned = action.returned.iter().peekable();
    let (mut counted, mut left) = (Vec::<Mark>::new(), MOST_OF_REQUEST);
    let mut seen: HashSet<Mark> = HashSet::new();
    for (index, part) in action.parts.iter().enumerate() {
        while returned.next_if(|one| one.part < index).is_some() {}
        let answer = returned.next_if(|one| one.part == index);
        let digest = digests.get(index);
        if digest.is_some_and(|digest| draft.journal.has(Set::Counted, *digest) || seen.contains(digest)) {
            continue;
        }
        match part.kind {
            PartKind::UserText | PartKind::SystemText => said(draft, part, &mut left),
            PartKind::ToolResult => given(draft, part, answer, &mut left),
            _ => continue,
        }
        seen.extend(digest);
        counted.extend(digest);
    }
    if !counted.is_empty() {
        let some = counted.chunks(journal::MOST_AT_ONCE);
        draft.left.session.extend(some.map(|some| journal::Change::Digests(Set::Counted, some.to_vec())));
    }
}

/// What people typed, and what the agent's maker did, is theirs to say; what a project's files say is content of this machine,
/// or of whoever a foreign one came from.
fn said(draft: &mut Draft<'_>, part: &Part, left: &mut usize) {
    let embedded::Split { said, file } = embedded::split(&part.text);
    typed(draft, said);
    let Some((text, path)) = file else { return };
    let file = Part { kind: PartKind::ToolResult, text: text.into() };
    let Some((_, mark, origin)) = foreign(draft, &path) else { return vouch_for(draft, &file, left) };
    let read = Read {
        source: origin.source,
        tainted: true,
        sensitive: false,
        capability: Capability::ReadFile,
        asset: AssetClass::AiClientConfig,
        places: Classes::NONE,
        by: "instructions".into(),
        place: literals::floor(&path, taint::LONGEST_PLACE).to_owned(),
        at: if mark == 0 { origin.at } else { mark },
        parents: if mark == 0 { Vec::new() } else { vec![mark] },
    };
    let _ = taint_with(draft, &file, &read, left);
}

fn typed(draft: &mut Draft<'_>, text: &str) {
    let key = draft.key();
    let mut marks: Vec<Mark> = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |kind: Kind, text: &str| {
        if marks.len() < 2 * MOST_OF_PART {
            let mark = key.mark(kind, text);
            if seen.insert(mark) {
                marks.push(mark);
            }
        }
    };
    literals::each(text, &mut add);
    // Any path at all: it makes a call the user's own, and vouches for nothing else.
    let words = text.split(|c: char| c.is_whitespace() || "\"'`()<>,;@".contains(c));
    for word in words.filter(|word| word.len() < 512 && word.contains(['/', '.', '~'])) {
        let word = word.trim_end_matches(['.', ':', '?', '!']);
        if word.len() > 2 && !word.contains("://") {
            add(Kind::Path, &asset::normalise_path(word));
        }
    }
    if !marks.is_empty() {
        draft.left.session.push(journal::Change::Digests(Set::Typed, marks));
    }
}

/// What a tool gave back.
fn given(draft: &mut Draft<'_>, part: &Part, answer: Option<&Returned>, left: &mut usize) {
    let Some(read) = answer.and_then(|answer| source_of(draft, answer)) else { return };
    let key = draft.key();
    let mut event_marks: Vec<Mark> = if read.at == 0 { Vec::new() } else { vec![read.at] };
    if read.sensitive {
        let found = values::of(&part.text, key);
        event_marks.extend(found.iter().take(MOST_OF_EVENT.saturating_sub(1)));
        if !found.is_empty() {
            draft.left.session.push(journal::Change::Digests(Set::Values, found));
        }
    }
    if read.tainted {
        let marks = taint_with(draft, part, &read, left);
        let free = MOST_OF_EVENT.saturating_sub(event_marks.len());
        event_marks.extend(marks.iter().take(free));
    } else {
        vouch_for(draft, part, left);
    }
    if read.tainted || read.sensitive {
        let call = answer.map(|answer| &answer.call_id).filter(|id| !id.is_empty());
        draft.left.events.push(Event {
            at: draft.now,
            seq: draft.left.seq,
            capability: read.capability,
            asset: read.asset,
            source: read.source,
            flags: Flags::RETURNED.or(Flags::TAINTED.when(read.tainted)),
            places: read.places,
            by: read.by.clone(),
            call: call.map_or(0, |id| key.mark(Kind::Call, id)),
            marks: event_marks,
        });
    }
}

/// Every literal of a part, as an artefact, each once.
fn artefacts(draft: &Draft<'_>, part: &Part, left: &mut usize) -> Vec<(Kind, Mark)> {
    let (key, mut seen, mut found) = (draft.key(), HashSet::new(), Vec::new());
    let mut counts = [0usize; Kind::ALL.len()];
    literals::each(&part.text, &mut |kind, text| {
        let Some(count) = counts.get_mut(kind as usize) else { return };
        if *count >= MOST_OF_PART || *left == 0 {
            return;
        }
        let mark = key.mark(kind, text);
        if seen.insert(mark) && !is_common(draft, kind, text) {
            *count += 1;
            *left -= 1;
            found.push((kind, mark));
        }
    });
    found
}

/// Hosts and URLs that are known to be what they seem.
fn is_common(draft: &Draft<'_>, kind: Kind, text: &str) -> bool {
    let vouched = match kind {
        Kind::Host => Classes::of(Class::Allowed).or(Classes::of(Class::Registry)),
        // At a forge anybody has a page.
        Kind::Url => Classes::of(Class::Registry),
        _ => return false,
    };
    let effect = Effect {
        capability: Capability::NetworkFetch,
        target: Target::Url(text.to_owned()),
        asset: asset::classify_host(text),
        from: Vec::new(),
        by: String::new(),
    };
    let classes = draft.classes(&effect);
    !classes.is_empty() && classes.within(vouched.or(Classes::of(Class::Internal)))
}

/// Notes what untrusted content says. What something of this machine said before stays as it is.
fn taint_with(draft: &mut Draft<'_>, part: &Part, read: &Read, left: &mut usize) -> Vec<Mark> {
    let mut found = artefacts(draft, part, left);
    let key = draft.key();
    let texts = std::iter::once(part.text.trim()).chain(fenced(&part.text));
    let whole = texts.filter(|text| TEXT.contains(&text.len())).take(64);
    found.extend(whole.map(|text| (Kind::Text, key.mark(Kind::Text, text))));
    let news = |(_, mark): &(Kind, Mark)| {
        !draft.journal.has(Set::Clean, *mark) && draft.fresh.get(mark) != Some(&false)
    };
    found.retain(news);
    if found.is_empty() {
        return Vec::new();
    }
    let origin = draft.origin(read.source, &read.by, read.place.clone(), read.at, read.parents.clone());
    for (kind, mark) in &found {
        draft.fresh.insert(*mark, true);
        draft.mark(*mark, *kind, origin);
    }
    found.into_iter().map(|(_, mark)| mark).collect()
}

/// Notes what content of this machine says, unless something untrusted said it before.
fn vouch_for(draft: &mut Draft<'_>, part: &Part, left: &mut usize) {
    let mut marks: Vec<Mark> = Vec::new();
    for (_, mark) in artefacts(draft, part, left) {
        let known = draft.world.workspace.get(mark).is_some()
            || draft.fresh.get(&mark) == Some(&true)
            || draft.journal.has(Set::Clean, mark);
        if !known {
            draft.fresh.insert(mark, false);
            marks.push(mark);
        }
    }
    if !marks.is_empty() {
        draft.left.session.push(journal::Change::Digests(Set::Clean, marks));
    }
}

/// The blocks of code in a text.
fn fenced(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").skip(1).step_by(2).filter_map(|block| Some(block.split_once('\n')?.1.trim()))
}

/// Where what answers a call came from; `None` if nobody knows. Of several calls it may answer the least trusted counts.
fn source_of(draft: &Draft<'_>, answer: &Returned) -> Option<Read> {
    let from_calls = answer.calls.iter().map(|call| of_call(draft, call));
    let worst = from_calls.max_by_key(|read| (read.tainted, read.sensitive));
    worst.or_else(|| of_journal(draft, answer))
}

fn of_call(draft: &Draft<'_>, call: &Called) -> Read {
    let mut action = call.action();
    if let Some(own) = (draft.world.own)(&action) {
        action.effects = own;
    }
    let key = draft.key();
    let mut read = Read {
        source: Source::LocalFile,
        tainted: false,
        sensitive: false,
        capability: tools::capability_of(&call.name),
        asset: AssetClass::Unknown,
        places: Classes::NONE,
        by: literals::floor(&call.name, taint::LONGEST_NAME).into(),
        place: String::new(),
        at: 0,
        parents: Vec::new(),
    };
    if let Some(effect) = action.effects.iter().find(|effect| keeps_secrets(effect)) {
        (read.sensitive, read.capability, read.asset) = (true, effect.capability, effect.asset);
    }
    if let Some(effect) = action.effects.iter().find(|effect| brings(draft, effect)) {
        let (at, place) = place_of(draft, effect);
        let places = draft.classes(effect);
        let (capability, asset) = (effect.capability, effect.asset);
        return Read { source: Source::Web, tainted: true, capability, asset, places, place, at, ..read };
    }
    if is_mcp(&call.name) && !action.effects.iter().all(is_local) {
        let at = key.mark(Kind::Tool, &call.name);
        let place = literals::floor(&call.name, taint::LONGEST_PLACE).to_owned();
        let (source, capability) = (Source::Mcp, Capability::McpInvoke);
        return Read { source, tainted: true, capability, asset: AssetClass::External, place, at, ..read };
    }
    for effect in &action.effects {
        let Target::Path { path, .. } = &effect.target else { continue };
        if effect.capability != Capability::ReadFile {
            continue;
        }
        if let Some((_, mark, origin)) = foreign(draft, path) {
            let parents = if mark == 0 { Vec::new() } else { vec![mark] };
            let place = masked(&effect.target);
            let at = if mark == 0 { origin.at } else { mark };
            let (capability, asset) = (effect.capability, effect.asset);
            return Read { tainted: true, capability, asset, place, at, parents, ..read };
        }
    }
    read
}

/// What this session saw of the call, where the provider keeps the conversation.
fn of_journal(draft: &Draft<'_>, answer: &Returned) -> Option<Read> {
    if answer.call_id.is_empty() {
        return None;
    }
    let call = draft.key().mark(Kind::Call, &answer.call_id);
    let events: Vec<&Event> = draft.journal.of_call(call).take(16).collect();
    let first = *events.first()?;
    let net = |event: &&&Event| {
        let outside = !event.places.within(Classes::of(Class::Registry).or(Classes::of(Class::Internal)));
        fetches(event.capability) && outside
    };
    let net = events.iter().find(net).copied();
    let mcp = events.iter().find(|event| event.capability == Capability::McpInvoke).copied();
    let sensitive = events.iter().any(|event| secret_asset(event.asset));
    let event = net.or(mcp).unwrap_or(first);
    Some(Read {
        source: match (net, mcp) {
            (Some(_), _) => Source::Web,
            (None, Some(_)) => Source::Mcp,
            (None, None) => Source::LocalFile,
        },
        tainted: net.or(mcp).is_some(),
        sensitive,
        capability: event.capability,
        asset: event.asset,
        places: event.places,
        by: event.by.clone(),
        place: String::new(),
        at: event.marks.first().copied().unwrap_or(0),
        parents: Vec::new(),
    })
}

/// Whether the tool belongs to a tool server.
pub(super) fn is_mcp(name: &str) -> bool {
    name.starts_with("mcp__") || tools::capability_of(name) == Capability::McpInvoke
}

const fn fetches(capability: Capability) -> bool {
    matches!(capability, Capability::NetworkFetch | Capability::BrowserNavigate | Capability::BrowserDownload)
}

/// Whether it brings content that nobody vouches for.
fn brings(draft: &Draft<'_>, effect: &Effect) -> bool {
    let content = match &effect.target {
        // What git and package managers fetch is not what they print.
        Target::Url(_) | Target::Host(_) => effect.by != "git",
        Target::Program(_) | Target::None => true,
        _ => false,
    };
    let near = Classes::of(Class::Registry).or(Classes::of(Class::Internal));
    let near = effect.asset == AssetClass::Internal || {
        let classes = draft.classes(effect);
        !classes.is_empty() && classes.within(near)
    };
    fetches(effect.capability) && content && !near
}

fn is_local(effect: &Effect) -> bool {
    use Capability::{DeleteFile, Execute, ReadFile, WriteFile};
    matches!(effect.capability, ReadFile | WriteFile | DeleteFile | Execute)
}

/// Assets whose reading counts as reading a secret.
pub(super) const fn is_sensitive(asset: AssetClass) -> bool {
    use AssetClass::{BrowserData, CloudMetadata, Credential, Keychain, Wallet};
    matches!(asset, Credential | Wallet | BrowserData | Keychain | CloudMetadata)
}

const fn secret_asset(asset: AssetClass) -> bool {
    is_sensitive(asset) || matches!(asset, AssetClass::ProjectSecret)
}

fn keeps_secrets(effect: &Effect) -> bool {
    use Capability::{NetworkFetch, ReadFile, SecretAccess};
    matches!(effect.capability, ReadFile | SecretAccess | NetworkFetch) && secret_asset(effect.asset)
}

/// Where an effect leads: as an artefact, and masked.
pub(super) fn place_of(draft: &Draft<'_>, effect: &Effect) -> (Mark, String) {
    let mut at = 0;
    literals::of_target(&effect.target, &mut |kind, text| {
        if at == 0 {
            at = draft.key().mark(kind, text);
        }
    });
    (at, masked(&effect.target))
}

/// How a path is foreign: fetched or copied itself, or below a directory that is. The mark is 0 for packages.
pub(super) fn foreign(draft: &Draft<'_>, path: &str) -> Option<(Kind, Mark, Arc<Origin>)> {
    let key = draft.key();
    for kind in [Kind::File, Kind::Copy] {
        let mark = key.mark(kind, path);
        if let Some((kind, origin)) = draft.tainted(mark) {
            return Some((kind, mark, origin));
        }
    }
    let ends = path.char_indices().filter(|(at, c)| *c == '/' && *at > 0).map(|(at, _)| at);
    for end in ends.chain([path.len()]).take(24) {
        let Some(directory) = path.get(..end) else { continue };
        let mark = key.mark(Kind::Tree, directory);
        if let Some((kind, origin)) = draft.tainted(mark) {
            return Some((kind, mark, origin));
        }
    }
    package(path).map(|name| {
        let (by, place) = ("package manager".into(), literals::floor(name, taint::LONGEST_PLACE).into());
        let origin = Origin {
            id: 0,
            source: Source::LocalFile,
            by,
            place,
            at: 0,
            first: draft.now,
            parents: Vec::new(),
        };
        (Kind::Tree, 0, Arc::new(origin))
    })
}

/// The directory of installed packages that `path` lies in.
fn package(path: &str) -> Option<&str> {
    const PLACES: [&str; 8] = [
        "node_modules/",
        "site-packages/",
        "dist-packages/",
        ".cargo/registry/",
        "go/pkg/mod/",
        ".gem/ruby/",
        ".m2/repository/",
        "bower_components/",
    ];
    let begins = |at: usize| at == 0 || path.get(..at).is_some_and(|before| before.ends_with('/'));
    PLACES.iter().find_map(|place| {
        path.match_indices(place).find(|(at, _)| begins(*at)).and_then(|(at, _)| path.get(at..))
    })
}
