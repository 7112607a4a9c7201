//! What a call has to do with what came before it, and what it leaves.

use std::collections::HashSet;
use std::sync::Arc;

use super::told::{TEXT, foreign, is_mcp, is_sensitive, place_of};
use super::{Draft, How, MOST_EVENTS, MOST_TAINTS, Story, Taint, repository, values};
use crate::action::{
    ActionKind, AssetClass, Capability, Effect, Flow, PartKind, Source, Target, Written, shell, tools,
};
use crate::detect::destination::{Class, Classes};
use crate::session::journal::{Among, Event, Flags, Hit, MOST_OF_EVENT, Set};
use crate::session::taint::common::is_installer;
use crate::session::taint::{self, Kind, MOST_PARENTS, Mark, literals};
use crate::syntax::json;

/// How many effects of one action are looked at.
const MOST_EFFECTS: usize = 256;

/// How much of one text of a call is looked through for what it mentions, in bytes, and how many literals.
const MOST_TEXT: usize = 64 * 1024;
const MOST_MENTIONED: usize = 256;

/// The artefacts of one effect, and those that flow into it.
#[derive(Default)]
struct Artefacts {
    own: Vec<(Kind, Mark)>,
    all: Vec<Mark>,
}

/// Which effects are about foreign things, found out once: flows ask about them again and again.
struct Foreign {
    /// Whether it fetches from where nobody vouches for.
    fetches: Vec<bool>,
    /// How the path that it reads or runs is foreign.
    paths: Vec<Option<(Kind, Mark, Arc<taint::Origin>)>>,
}

impl Foreign {
    fn of(draft: &Draft<'_>, effects: &[Effect]) -> Self {
        let path = |effect: &Effect| match (&effect.target, effect.capability) {
            (Target::Path { path, exact: true }, Capability::ReadFile | Capability::Execute) => {
                foreign(draft, path)
            }
            _ => None,
        };
        Self {
            fetches: effects.iter().map(|effect| is_foreign_fetch(draft, effect)).collect(),
            paths: effects.iter().map(path).collect(),
        }
    }

    fn fetches(&self, flow: Flow) -> bool {
        self.fetches.get(usize::from(flow)).copied().unwrap_or(false)
    }

    fn path(&self, at: usize) -> Option<&(Kind, Mark, Arc<taint::Origin>)> {
        self.paths.get(at)?.as_ref()
    }
}

/// Judges the action: its story, who caused it and whether it is tainted.
pub(super) fn judge(draft: &mut Draft<'_>) -> (Story, Option<Source>, Option<bool>) {
    let action = draft.action;
    let effects = action.effects.get(..MOST_EFFECTS).unwrap_or(&action.effects);
    let artefacts = artefacts(draft, effects);
    let foreign = Foreign::of(draft, effects);
    let mut taints = Vec::new();
    for (index, (effect, artefacts)) in effects.iter().zip(&artefacts).enumerate() {
        named(draft, index, artefacts, &mut taints);
        executed(draft, effects, &foreign, index, effect, &mut taints);
    }
    commanded(draft, effects, &foreign, &mut taints);
    mentioned(draft, &mut taints);
    // Of two that say the same, the one about a single effect.
    let place = |taint: &Taint| (taint.effect.is_none(), taint.effect, taint.mark);
    taints.sort_by(|a, b| b.how.cmp(&a.how).then_with(|| place(a).cmp(&place(b))));
    let mut seen = HashSet::new();
    taints.retain(|taint| seen.insert((taint.mark, taint.how)));
    taints.truncate(MOST_TAINTS);
    let source = source(draft, effects, &artefacts, &taints);
    let tainted = tainted(draft, &taints);
    let caused = source.unwrap_or(action.source);
    let baseline = draft.world.baseline;
    let anomaly = baseline.judge(effects, caused, tainted == Some(true), draft.now, draft.world.learning);
    leaves(draft, effects, &foreign, &taints);
    events(draft, effects, &artefacts, &taints, caused);
    let siblings = || draft.pending.iter().flat_map(|sibling| &sibling.events);
    let before: Vec<&Event> = draft.journal.events().iter().chain(siblings()).collect();
    let among = siblings().fold(draft.journal.among(), Among::with);
    let began = draft.journal.began();
    let completed = draft.world.chains.completed(&before, among, &draft.left.events, began);
    let (at, seq) = (draft.now, draft.left.seq);
    draft.left.hits = completed
        .iter()
        .map(|completed| Hit {
            chain: completed.chain.id.as_str().into(),
            at,
            seq,
            severity: completed.chain.severity,
            half_life: completed.chain.half_life,
            marks: completed.marks.clone(),
        })
        .collect();
    draft.left.effects = Some(effects.to_vec());
    (Story { taints, copied: copied(draft), completed, anomaly, recalled: Vec::new() }, source, tainted)
}

fn artefacts(draft: &Draft<'_>, effects: &[Effect]) -> Vec<Artefacts> {
    let key = draft.key();
    let mut found: Vec<Artefacts> = Vec::with_capacity(effects.len());
    for effect in effects {
        let mut artefacts = Artefacts::default();
        literals::of_target(&effect.target, &mut |kind, text| {
            artefacts.own.push((kind, key.mark(kind, text)))
        });
        artefacts
            .own
            .extend(repository::remote_of(effect).map(|name| (Kind::Url, key.mark(Kind::Url, name))));
        artefacts.all.extend(artefacts.own.iter().map(|(_, mark)| *mark));
        for flow in &effect.from {
            let into = found.get(usize::from(*flow)).map(|from| from.all.clone()).unwrap_or_default();
            for mark in into {
                if artefacts.all.len() < MOST_OF_EVENT && !artefacts.all.contains(&mark) {
                    artefacts.all.push(mark);
                }
            }
        }
        found.push(artefacts);
    }
    found
}

/// Literals that only untrusted content has named.
fn named(draft: &Draft<'_>, index: usize, artefacts: &Artefacts, taints: &mut Vec<Taint>) {
    // Who typed the URL has typed its host.
    if artefacts.own.iter().any(|(kind, mark)| *kind == Kind::Url && draft.is_typed(*mark)) {
        return;
    }
    for (kind, mark) in &artefacts.own {
        if let Some((_, origin)) = draft.tainted(*mark) {
            taints.push(Taint { effect: Some(index), how: How::Named, kind: *kind, mark: *mark, origin });
        }
    }
}

/// Foreign things that are run.
fn executed(
    draft: &Draft<'_>,
    effects: &[Effect],
    foreign: &Foreign,
    index: usize,
    effect: &Effect,
    taints: &mut Vec<Taint>,
) {
    if effect.capability != Capability::Execute {
        return;
    }
    let effect_index = Some(index);
    if let Some((kind, mark, origin)) = foreign.path(index).cloned() {
        let how = match kind {
            Kind::File => How::Fetched,
            Kind::Copy => How::Copied,
            _ => How::Foreign,
        };
        taints.push(Taint { effect: effect_index, how, kind, mark, origin });
    }
    for fetched in run_from(effects, foreign, effect) {
        let (mark, place) = place_of(draft, fetched);
        let known = draft.tainted(mark).map(|(_, origin)| origin);
        let by = literals::floor(&fetched.by, taint::LONGEST_NAME).into();
        let origin = known.unwrap_or_else(|| {
            let (source, first) = (Source::Web, draft.now);
            let place = place.as_str().into();
            Arc::new(taint::Origin { id: 0, source, by, place, at: mark, first, parents: Vec::new() })
        });
        taints.push(Taint { effect: effect_index, how: How::Fetched, kind: Kind::Url, mark, origin });
    }
}

/// What is fetched by such a URL and run by `effect`: it flows in, or into the file that is run in the same action. What flows into a
/// program with a file of its own is its input, and none of its code.
fn run_from<'e>(effects: &'e [Effect], foreign: &Foreign, effect: &Effect) -> Vec<&'e Effect> {
    let fetched = |of: &Effect| {
        let flows = sources_of(effects, of).into_iter().filter(|flow| foreign.fetches(*flow));
        flows.filter_map(|flow| effects.get(usize::from(flow))).collect::<Vec<_>>()
    };
    match &effect.target {
        Target::Input | Target::Url(_) | Target::None => fetched(effect),
        Target::Path { path, .. } => {
            let writes = |from: &&Effect| {
                let same = matches!(&from.target, Target::Path { path: own, .. } if own == path);
                from.capability == Capability::WriteFile && same && !from.from.is_empty()
            };
            effects.iter().filter(writes).flat_map(fetched).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether it fetches from outside by a URL that nobody typed, and not a published installer.
fn is_foreign_fetch(draft: &Draft<'_>, effect: &Effect) -> bool {
    let fetches = matches!(effect.capability, Capability::NetworkFetch | Capability::BrowserDownload);
    if !fetches || effect.by == "git" || effect.asset == AssetClass::Internal {
        return false;
    }
    let (mut typed, mut installer, mut places) = (false, false, 0);
    let outside = |classes: Classes| classes.is_empty() || classes.meets(Classes::of(Class::Unknown));
    // A host that somebody typed is theirs, a page at a forge is anybody's.
    let own_host = outside(draft.classes(effect));
    literals::of_target(&effect.target, &mut |kind, text| {
        places += 1;
        typed |= (kind == Kind::Url || own_host) && draft.is_typed(draft.key().mark(kind, text));
        installer |= kind == Kind::Url && is_installer(text) || kind == Kind::Host && is_installer(text);
    });
    let near = Classes::of(Class::Registry).or(Classes::of(Class::Internal));
    let classes = draft.classes(effect);
    let near = !classes.is_empty() && classes.within(near);
    places > 0 && !typed && !installer && !near
}

/// Everything that flows into an effect, over others too.
fn sources_of(effects: &[Effect], effect: &Effect) -> Vec<Flow> {
    let mut found: Vec<Flow> = Vec::new();
    let mut waiting: Vec<Flow> = effect.from.clone();
    let mut seen: HashSet<Flow> = HashSet::new();
    while let Some(flow) = waiting.pop() {
        if seen.insert(flow) {
            found.push(flow);
            waiting.extend(effects.get(usize::from(flow)).into_iter().flat_map(|from| &from.from));
        }
    }
    found.sort_unstable();
    found
}

/// Command lines that untrusted content gave.
fn commanded(draft: &Draft<'_>, effects: &[Effect], foreign: &Foreign, taints: &mut Vec<Taint>) {
    if draft.world.workspace.is_empty() && draft.pending.is_empty() {
        return;
    }
    let lines = draft.action.parts.iter().filter(|part| part.kind == PartKind::Command);
    let mut marks: Vec<Mark> = Vec::new();
    for line in lines {
        let mut take = |_: Kind, text: &str| {
            if marks.len() < 64 {
                marks.push(draft.key().mark(Kind::Command, text));
            }
        };
        literals::each_command(&line.text, &mut take);
    }
    for mark in marks {
        if let Some((kind, origin)) = draft.tainted(mark) {
            let how = consequence(draft, effects, foreign).map_or(How::Told, How::ToldTo);
            taints.push(Taint { effect: None, how, kind, mark, origin });
        }
    }
}

/// The files that it writes with what untrusted content gave.
fn copied(draft: &Draft<'_>) -> Vec<(usize, How, Arc<taint::Origin>)> {
    if draft.world.workspace.is_empty() && draft.pending.is_empty() {
        return Vec::new();
    }
    let one = |(index, file): (usize, &Written)| {
        let text = std::str::from_utf8(&file.content).ok()?.trim();
        if TEXT.contains(&text.len())
            && let Some((_, origin)) = draft.tainted(draft.key().mark(Kind::Text, text))
        {
            return Some((index, How::Copied, origin));
        }
        let origin = commands_of(draft, literals::floor(text, MOST_TEXT)).next()?;
        let effects = shell::read(literals::floor(text, MOST_TEXT), None).effects;
        let effects = effects.get(..MOST_EFFECTS).unwrap_or(&effects);
        let what = consequence(draft, effects, &Foreign::of(draft, effects))?;
        Some((index, How::ToldTo(what), origin))
    };
    draft.action.written.iter().enumerate().filter_map(one).collect()
}

/// Where the command lines of `text` came from that untrusted content gave.
fn commands_of(draft: &Draft<'_>, text: &str) -> impl Iterator<Item = Arc<taint::Origin>> {
    let mut marks: Vec<Mark> = Vec::new();
    literals::each_command(text, &mut |_, text| {
        if marks.len() < MOST_MENTIONED {
            marks.push(draft.key().mark(Kind::Command, text));
        }
    });
    marks.into_iter().filter_map(|mark| Some(draft.tainted(mark)?.1))
}

/// Literals of what a call writes or says, beside where its effects lead.
fn mentioned(draft: &Draft<'_>, taints: &mut Vec<Taint>) {
    if draft.world.workspace.is_empty() && draft.pending.is_empty() {
        return;
    }
    let mut found: Vec<(Kind, Mark)> = Vec::new();
    let mut look = |text: &str| {
        literals::each_url(literals::floor(text, MOST_TEXT), &mut |kind, text| {
            if found.len() < MOST_MENTIONED {
                found.push((kind, draft.key().mark(kind, text)));
            }
        });
    };
    for part in &draft.action.parts {
        match part.kind {
            PartKind::Command | PartKind::Outbound => look(&part.text),
            PartKind::Arguments => match json::parse(part.text.as_bytes()) {
                Ok(node) => node.each_string(&mut |text, _| look(text)),
                Err(_) => look(&part.text),
            },
            _ => {}
        }
    }
    for (kind, mark) in found {
        if let Some((_, origin)) = draft.tainted(mark) {
            taints.push(Taint { effect: None, how: How::Named, kind, mark, origin });
        }
    }
}

/// What the command would do that ordinary work does not.
fn consequence(draft: &Draft<'_>, effects: &[Effect], foreign: &Foreign) -> Option<&'static str> {
    use Capability::{DeleteFile, Execute, NetworkPost, ReadFile, SecretAccess, WriteFile};
    let outside = Classes::of(Class::Unknown).or(Classes::of(Class::Blocked));
    effects.iter().find_map(|effect| match effect.capability {
        NetworkPost
            if !effect.from.is_empty() && draft.classes(effect).meets(outside) && leaves_here(effect) =>
        {
            Some("sends data away")
        }
        Execute if !run_from(effects, foreign, effect).is_empty() => Some("runs what it fetches"),
        ReadFile | SecretAccess if is_sensitive(effect.asset) => Some("reads secrets"),
        WriteFile | DeleteFile
            if matches!(
                effect.asset,
                AssetClass::Credential | AssetClass::AiClientConfig | AssetClass::Doorward
            ) =>
        {
            Some("changes keys or what AI clients are told")
        }
        _ => None,
    })
}

/// Whether a post goes to a place of its own, and not where the repository's remotes or the user's registries are.
fn leaves_here(effect: &Effect) -> bool {
    effect.asset != AssetClass::Internal && !matches!(effect.target, Target::Other(_))
}

/// Who caused it, if the session knows better than the action.
fn source(
    draft: &Draft<'_>,
    effects: &[Effect],
    artefacts: &[Artefacts],
    taints: &[Taint],
) -> Option<Source> {
    if draft.action.source != Source::Model {
        return None;
    }
    let rank = |source: Source| match source {
        Source::Mcp => 2,
        Source::Web => 3,
        Source::LocalFile => 1,
        _ => 0,
    };
    let brought = taints.iter().map(|taint| taint.origin.source).max_by_key(|source| rank(*source));
    if let Some(source) = brought.filter(|source| rank(*source) > 0) {
        return Some(source);
    }
    // Every target has to be one that somebody typed.
    let mut targets =
        effects.iter().zip(artefacts).filter(|(effect, _)| has_place(&effect.target)).peekable();
    targets.peek()?;
    let typed = targets.all(|(_, artefacts)| artefacts.own.iter().any(|(_, mark)| draft.is_typed(*mark)));
    typed.then_some(Source::User)
}

const fn has_place(target: &Target) -> bool {
    matches!(target, Target::Path { .. } | Target::Url(_) | Target::Host(_))
}

/// Whether untrusted content shaped it. If none was read, it did not; if some was, that it is not found in the words says
/// little.
fn tainted(draft: &Draft<'_>, taints: &[Taint]) -> Option<bool> {
    let exposed =
        draft.journal.exposed() || draft.pending.iter().any(|sibling| !sibling.workspace.is_empty());
    match (taints.is_empty(), exposed) {
        (false, _) => Some(true),
        (true, false) => Some(false),
        (true, true) => None,
    }
}

/// The events of the action.
fn events(
    draft: &mut Draft<'_>,
    effects: &[Effect],
    artefacts: &[Artefacts],
    taints: &[Taint],
    source: Source,
) {
    let (action, key) = (draft.action, draft.key());
    let tool = action.tool.as_ref();
    let call =
        tool.filter(|tool| !tool.call_id.is_empty()).map_or(0, |tool| key.mark(Kind::Call, &tool.call_id));
    let server = tool.filter(|tool| is_mcp(&tool.name)).map(|tool| key.mark(Kind::Tool, &tool.name));
    let said = leaving(draft, effects);
    let mut found: Vec<Event> = Vec::new();
    for (effect, artefacts) in effects.iter().zip(artefacts) {
        // What taints one of its effects taints the action.
        let origins = taints.iter().flat_map(|taint| [taint.mark, taint.origin.at]);
        let own_path = match (&effect.target, effect.capability) {
            (Target::Path { path, .. }, Capability::WriteFile) => path.as_str(),
            _ => "",
        };
        let fetched = draft.fetched.iter().any(|path| path == own_path);
        let made: Vec<Mark> =
            draft.made.iter().filter(|(path, _)| path == own_path).flat_map(|(_, marks)| *marks).collect();
        let sends = matches!(effect.capability, Capability::NetworkPost | Capability::NetworkFetch);
        let values = said.iter().copied().filter(|_| sends);
        let mut marks: Vec<Mark> = Vec::new();
        // What makes chains comes first: only so many are kept.
        for mark in values
            .chain(server)
            .chain(made.iter().copied())
            .chain(origins)
            .chain(artefacts.all.iter().copied())
        {
            if mark != 0 && marks.len() < MOST_OF_EVENT && !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        let capability = match effect.capability {
            Capability::Unknown if server.is_some() => Capability::McpInvoke,
            capability => capability,
        };
        let event = Event {
            at: draft.now,
            seq: draft.left.seq,
            capability,
            asset: effect.asset,
            source,
            flags: flags(draft, effect, !taints.is_empty() || !made.is_empty())
                .or(Flags::FETCHED.when(fetched)),
            places: places(draft, effect),
            by: literals::floor(&effect.by, taint::LONGEST_NAME).into(),
            call,
            marks,
        };
        if found.len() < MOST_EVENTS && !found.contains(&event) {
            found.push(event);
        }
    }
    draft.left.events = found;
}

/// Values that were read where secrets are kept, and that this action says.
fn leaving(draft: &Draft<'_>, effects: &[Effect]) -> Vec<Mark> {
    use Capability::{NetworkFetch, NetworkPost};
    let sends = effects.iter().any(|effect| matches!(effect.capability, NetworkFetch | NetworkPost));
    let sends = sends || draft.action.kind == ActionKind::Outbound;
    if !sends || !draft.journal.has_any(Set::Values) {
        return Vec::new();
    }
    let mut said = values::said(draft.action, draft.key());
    said.retain(|mark| draft.journal.has(Set::Values, *mark));
    said.dedup();
    said.truncate(MOST_OF_EVENT / 2);
    said
}

fn flags(draft: &Draft<'_>, effect: &Effect, tainted: bool) -> Flags {
    let (baseline, now) = (draft.world.baseline, draft.now);
    let (capability, asset) = baseline.is_new(effect.capability, effect.asset);
    let learnt = !baseline.is_learning(now, draft.world.learning);
    let late = draft.journal.is_late(effect.capability, now);
    let name = match &effect.target {
        Target::Path { path, .. } => path.rsplit('/').next().unwrap_or(path),
        Target::Url(url) => {
            let path = url.split(['?', '#']).next().unwrap_or(url);
            path.rsplit('/').next().unwrap_or(path)
        }
        _ => "",
    };
    Flags::TAINTED
        .when(tainted)
        .or(Flags::NEW_CAPABILITY.when(learnt && capability))
        .or(Flags::NEW_ASSET.when(learnt && asset))
        .or(Flags::LATE.when(late))
        .or(Flags::BUILD_FILE.when(is_build_file(name)))
        .or(Flags::ARCHIVE.when(is_archive(name)))
}

/// What kinds of place it may lead to: what a package manager or git names by itself is the user's own.
fn places(draft: &Draft<'_>, effect: &Effect) -> Classes {
    match &effect.target {
        // A remote that untrusted content named is anybody's.
        Target::Other(name) if draft.tainted(draft.key().mark(Kind::Url, name)).is_some() => {
            Classes::of(Class::Unknown)
        }
        Target::Other(_) => Classes::of(Class::Registry),
        _ => draft.classes(effect),
    }
}

fn is_build_file(name: &str) -> bool {
    const NAMES: [&str; 22] = [
        "makefile",
        "gnumakefile",
        "package.json",
        "setup.py",
        "setup.cfg",
        "pyproject.toml",
        "build.rs",
        "cargo.toml",
        "build.gradle",
        "build.gradle.kts",
        "pom.xml",
        "cmakelists.txt",
        "rakefile",
        "gemfile",
        "dockerfile",
        "docker-compose.yml",
        "justfile",
        "tox.ini",
        "noxfile.py",
        "configure",
        "gulpfile.js",
        "conftest.py",
    ];
    NAMES.contains(&name.to_ascii_lowercase().as_str())
}

fn is_archive(name: &str) -> bool {
    const ENDS: [&str; 12] = [
        ".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tbz", ".7z", ".rar", ".gz", ".xz", ".whl",
    ];
    let name = name.to_ascii_lowercase();
    ENDS.iter().any(|end| name.ends_with(end))
}

/// What it leaves in the workspace.
fn leaves(draft: &mut Draft<'_>, effects: &[Effect], foreign: &Foreign, taints: &[Taint]) {
    let (now, agent) = (draft.now, draft.left.agent);
    let again: HashSet<Mark> = taints.iter().map(|taint| taint.mark).filter(|mark| *mark != 0).collect();
    let again = again.into_iter().filter(|mark| draft.world.workspace.get(*mark).is_some());
    let mut again: Vec<Mark> = again.collect();
    again.sort_unstable();
    let seen = again.into_iter().map(|mark| taint::Change::Seen { mark, at: now, agent });
    draft.left.workspace.extend(seen);
    let whole = written_whole(draft);
    for effect in effects {
        let Target::Path { path, exact: true } = &effect.target else { continue };
        match effect.capability {
            Capability::WriteFile => written(draft, (effects, foreign), effect, path, whole.as_ref()),
            Capability::DeleteFile => forget(draft, path),
            _ => {}
        }
    }
    repository::cloned(draft, effects);
    repository::remotes(draft);
}

fn forget(draft: &mut Draft<'_>, path: &str) {
    for kind in [Kind::File, Kind::Copy] {
        let mark = draft.key().mark(kind, path);
        if draft.world.workspace.get(mark).is_some() {
            draft.left.workspace.push(taint::Change::Forget { mark });
        }
    }
}

/// A file that is written: with what was fetched, with what another foreign file holds, or with text.
fn written(
    draft: &mut Draft<'_>,
    (effects, foreign): (&[Effect], &Foreign),
    effect: &Effect,
    path: &str,
    whole: Option<&Vec<Mark>>,
) {
    let flows = sources_of(effects, effect);
    // What is unpacked is many things, wherever the archive came from.
    let unpacks = ["tar", "unzip", "7z", "bsdtar", "cpio"].contains(&effect.by.as_str());
    let fetched = flows.iter().filter(|flow| !unpacks && foreign.fetches(**flow));
    let fetched = fetched.filter_map(|flow| effects.get(usize::from(*flow)));
    if let Some(fetched) = fetched.into_iter().find(|fetched| keeps_whole(effect, fetched)) {
        let (at, place) = place_of(draft, fetched);
        let parents = draft.tainted(at).map(|_| vec![at]).unwrap_or_default();
        return keep(draft, Kind::File, path, (Source::Web, &effect.by, place, at, parents));
    }
    let read = flows.iter().filter_map(|flow| foreign.path(usize::from(*flow)));
    let mut foreign_file = read.filter(|(_, mark, _)| *mark != 0).cloned();
    let found = foreign_file.find(|(kind, ..)| *kind != Kind::Tree);
    if let Some((kind, mark, origin)) = found {
        let kind = if unpacks { Kind::Tree } else { kind };
        let place = origin.place.to_string();
        // The directory that everything lies in says nothing.
        if kind != Kind::Tree || path.contains(|c: char| c.is_ascii_alphanumeric()) {
            keep(draft, kind, path, (origin.source, &effect.by, place, origin.at, vec![mark]));
        }
        return;
    }
    let own = written_by_line(draft, path);
    let Some(texts) = whole.or(own.as_ref()) else { return };
    let copied = texts.iter().find_map(|mark| Some((*mark, draft.tainted(*mark)?.1)));
    match copied {
        Some((mark, origin)) => {
            let place = origin.place.to_string();
            keep(draft, Kind::Copy, path, (origin.source, &effect.by, place, origin.at, vec![mark]));
        }
        None => forget(draft, path),
    }
}

/// Whether `effect` writes what was fetched as it came: what is edited into a file is one line of it.
fn keeps_whole(effect: &Effect, fetched: &Effect) -> bool {
    const KEEP: [&str; 14] = [
        "sh",
        "bash",
        "zsh",
        "dash",
        "tee",
        "cat",
        "dd",
        "cp",
        "mv",
        "install",
        "gunzip",
        "base64",
        "powershell",
        "pwsh",
    ];
    effect.by == fetched.by || KEEP.contains(&effect.by.as_str())
}

pub(super) fn keep(
    draft: &mut Draft<'_>,
    kind: Kind,
    path: &str,
    (source, by, place, at, mut parents): (Source, &str, String, Mark, Vec<Mark>),
) {
    parents.truncate(MOST_PARENTS);
    let mark = draft.key().mark(kind, path);
    let origin = draft.origin(source, by, place, at, parents);
    draft.mark(mark, kind, origin);
    draft.made.push((path.to_owned(), [at, mark]));
    if kind == Kind::File {
        draft.fetched.push(path.to_owned());
    }
}

/// The text that a command line writes into the file at `path`, as an artefact: `cat > file <<EOF`, `echo … > file`. `None` if
/// nobody knows all of it.
fn written_by_line(draft: &Draft<'_>, path: &str) -> Option<Vec<Mark>> {
    let file = draft.action.written.iter().find(|file| file.exact && file.whole && &*file.path == path)?;
    let text = std::str::from_utf8(&file.content).ok()?.trim();
    TEXT.contains(&text.len()).then(|| vec![draft.key().mark(Kind::Text, text)])
}

/// The texts that a tool writes whole files with, as artefacts; `None` if the action is no such call.
fn written_whole(draft: &Draft<'_>) -> Option<Vec<Mark>> {
    const KEYS: [&str; 6] = ["content", "contents", "file_text", "new_content", "file_content", "code"];
    let tool = draft.action.tool.as_ref()?;
    if tools::capability_of(&tool.name) != Capability::WriteFile {
        return None;
    }
    let part = draft.action.parts.iter().find(|part| part.kind == PartKind::Arguments)?;
    let node = json::parse(part.text.as_bytes()).ok()?;
    let members = node.members().iter().filter(|member| KEYS.contains(&&*member.key));
    let texts: Vec<&str> = members.filter_map(|member| member.value.as_str()).collect();
    let mark = |text: &&str| draft.key().mark(Kind::Text, text.trim());
    (!texts.is_empty()).then(|| texts.iter().map(mark).collect())
}
