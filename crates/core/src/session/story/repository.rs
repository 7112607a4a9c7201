//! Repositories: directories that are cloned, and remotes that untrusted content named.

use super::Draft;
use super::acted::keep;
use super::told::place_of;
use crate::action::{Capability, Effect, PartKind, Source, Target, asset};
use crate::session::taint::{self, Kind, literals};

/// How the reading of a command line calls a remote by its name.
const REMOTE: &str = "git remote ";

/// The most commands of one line that are looked at, and the most directories or remotes of one action.
const MOST_COMMANDS: usize = 16;
const MOST: usize = 4;

/// Repositories that are cloned from where nobody said.
pub(super) fn cloned(draft: &mut Draft<'_>, effects: &[Effect]) {
    let clones =
        |effect: &&Effect| effect.by == "git" && matches!(effect.target, Target::Url(_) | Target::Host(_));
    let fetched = effects.iter().filter(|effect| effect.capability == Capability::NetworkFetch).find(clones);
    let Some(fetched) = fetched else { return };
    let (at, place) = place_of(draft, fetched);
    if draft.is_typed(at) {
        return;
    }
    let action = draft.action;
    let lines = action.parts.iter().filter(|part| part.kind == PartKind::Command);
    for directory in lines.flat_map(|line| clone_directories(&line.text)).take(MOST) {
        // As it is written, and where it is: what follows may name it either way.
        let (written, placed) = (asset::normalise_path(&directory), action.before.place(&directory));
        if placed != written {
            keep(draft, Kind::Tree, &placed, (Source::LocalFile, "git", place.clone(), at, Vec::new()));
        }
        keep(draft, Kind::Tree, &written, (Source::LocalFile, "git", place.clone(), at, Vec::new()));
    }
}

/// Remotes that are given the address of which untrusted content is the only source: what goes to a remote of that name goes
/// there.
pub(super) fn remotes(draft: &mut Draft<'_>) {
    if draft.world.workspace.is_empty() && draft.pending.is_empty() {
        return;
    }
    let action = draft.action;
    let lines = action.parts.iter().filter(|part| part.kind == PartKind::Command);
    let named: Vec<(String, String)> = lines.flat_map(|line| remotes_of(&line.text)).take(MOST).collect();
    for (name, url) in named {
        let (mut found, mut is_typed) = (None, false);
        literals::each_url(&url, &mut |kind, text| {
            let mark = draft.key().mark(kind, text);
            is_typed |= kind == Kind::Url && draft.is_typed(mark);
            found = found.take().or_else(|| Some((mark, draft.tainted(mark)?.1)));
        });
        let mark = draft.key().mark(Kind::Url, &format!("{REMOTE}{name}"));
        match found.filter(|_| !is_typed) {
            Some((at, origin)) => {
                let place = origin.place.to_string();
                let id = draft.origin(origin.source, "git", place, origin.at, vec![at]);
                draft.mark(mark, Kind::Url, id);
            }
            // The name stands for another address from now on.
            None if draft.world.workspace.get(mark).is_some() => {
                draft.left.workspace.push(taint::Change::Forget { mark });
            }
            None => {}
        }
    }
}

/// How an effect that leads to a remote calls it.
pub(super) fn remote_of(effect: &Effect) -> Option<&str> {
    match &effect.target {
        Target::Other(name) if effect.by == "git" => {
            name.strip_prefix(REMOTE).filter(|remote| !remote.is_empty()).map(|_| name.as_str())
        }
        _ => None,
    }
}

/// The commands of a command line, as words.
fn commands(text: &str) -> impl Iterator<Item = Vec<&str>> {
    fn words(piece: &str) -> Vec<&str> {
        piece.split_whitespace().map(|word| word.trim_matches(['"', '\'', '(', ')'])).collect()
    }
    text.split(['\n', ';', '|', '&']).map(words).filter(|words| !words.is_empty()).take(MOST_COMMANDS)
}

/// What follows the verb of a call of git, and the directory that `-C` says, if `verb` it is.
fn git<'w>(words: &[&'w str], verb: &str) -> Option<(Vec<&'w str>, Option<&'w str>)> {
    let mut words = words.iter().copied();
    words.find(|word| *word == "git" || word.ends_with("/git"))?;
    let mut directory = None;
    loop {
        match words.next()? {
            "-C" => directory = words.next(),
            "-c" => drop(words.next()),
            word if word.starts_with('-') => {}
            word => return (word == verb).then(|| (words.collect(), directory)),
        }
    }
}

/// The directories that `git clone` makes in a command line, from the directory in which it is given.
fn clone_directories(text: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), String::new());
    for words in commands(text) {
        if let ["cd" | "pushd", into, ..] = words.as_slice() {
            inside = below(&inside, into);
        }
        let Some((rest, elsewhere)) = git(&words, "clone") else { continue };
        let is_place = |word: &&str| word.contains("://") || word.contains('@') && word.contains(':');
        let Some(at) = rest.iter().position(is_place) else { continue };
        let url = rest.get(at).copied().unwrap_or_default();
        let named = rest.iter().skip(at + 1).find(|word| !word.starts_with(['-', '>']));
        let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let directory = named.copied().unwrap_or_else(|| last.strip_suffix(".git").unwrap_or(last));
        if directory.contains(|c: char| c.is_ascii_alphanumeric()) {
            let inside = elsewhere.map_or_else(|| inside.clone(), |elsewhere| below(&inside, elsewhere));
            found.push(below(&inside, directory));
        }
    }
    found
}

/// `path` from `directory`, which is nowhere if it is empty.
fn below(directory: &str, path: &str) -> String {
    match directory.is_empty() || !asset::is_relative(path) {
        true => path.to_owned(),
        false => format!("{}/{path}", directory.trim_end_matches('/')),
    }
}

/// The remotes that a command line names, and their addresses.
fn remotes_of(text: &str) -> Vec<(String, String)> {
    let of = |words: Vec<&str>| {
        let (rest, _) = git(&words, "remote")?;
        let mut rest = rest.into_iter();
        rest.next().filter(|verb| ["add", "set-url"].contains(verb))?;
        // Options with a word of their own.
        let mut operands = Vec::new();
        while let Some(word) = rest.next() {
            match word {
                "-t" | "-m" => drop(rest.next()),
                word if word.starts_with('-') => {}
                word => operands.push(word),
            }
        }
        match operands.as_slice() {
            [name, url, ..] => Some(((*name).to_owned(), (*url).to_owned())),
            _ => None,
        }
    };
    commands(text).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_lies_where_the_line_has_gone() {
        for (line, directories) in [
            ("git clone https://a.test/x/tool.git", &["tool"][..]),
            ("cd /tmp && git clone https://a.test/x/tool.git here", &["/tmp/here"]),
            ("cd /tmp; cd deep; git clone --depth 1 git@a.test:x/tool.git", &["/tmp/deep/tool"]),
            ("git -C /srv -c a=b clone https://a.test/x/tool", &["/srv/tool"]),
            ("(cd w && git clone https://a.test/tool.git)", &["w/tool"]),
            ("git clone https://a.test/tool.git /abs/dir", &["/abs/dir"]),
            ("git status; git pull https://a.test/tool.git", &[]),
            ("echo clone https://a.test/tool.git", &[]),
        ] {
            assert_eq!(clone_directories(line), directories, "{line}");
        }
    }

    #[test]
    fn a_remote_has_a_name_and_an_address() {
        let of = |line: &str| remotes_of(line);
        let one = |name: &str, url: &str| vec![(name.to_owned(), url.to_owned())];
        assert_eq!(of("git remote add up https://a.test/x.git"), one("up", "https://a.test/x.git"));
        assert_eq!(
            of("git remote add -f -t main up 'https://a.test/x.git'"),
            one("up", "https://a.test/x.git")
        );
        assert_eq!(
            of("cd x && git -C y remote set-url --push up https://b.test"),
            one("up", "https://b.test")
        );
        assert!(of("git remote -v; git remote remove up; git push up").is_empty());
    }
}
