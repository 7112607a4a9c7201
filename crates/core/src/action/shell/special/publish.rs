//! What goes out to a registry: packages, images, charts. Where the line names the place, it is that; else it is the
//! one that the user's own configuration names.

use super::super::Word;
use super::super::eval::{Eval, destination};
use super::super::programs::Call;
use super::super::stream::Stream;
use crate::action::{AssetClass, Capability, Target};

/// Options that name where it goes.
const PLACES: [&str; 6] =
    ["--repository-url", "--registry", "--host", "--source", "--index-url", "--publish-url"];

impl Eval {
    /// Publishes, if the call does: what is sent, and where to. What else the program does is another matter.
    pub(super) fn publish(&mut self, call: &Call<'_>) {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let plain: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
        let files = match (call.name, plain.as_slice()) {
            _ if words.contains(&"--dry-run") => return,
            ("twine", ["upload", files @ ..]) | ("gem" | "nuget", ["push", files @ ..]) => files.to_vec(),
            ("helm", ["push", file, ..]) => vec![*file],
            ("flit" | "maturin", ["publish" | "upload", ..]) => Vec::new(),
            ("docker" | "podman" | "nerdctl" | "buildah" | "skopeo", [verb, rest @ ..]) => {
                return self.push_image(call, verb, rest);
            }
            _ => return,
        };
        let mut data = Stream::default();
        let named = named(&words);
        let files = files.iter().filter(|file| Some(**file) != named && file.contains(['.', '/', '*']));
        for file in files.take(32) {
            let word = Word { text: (*file).to_owned(), exact: !file.contains('*'), ..Word::default() };
            data.append(self.read_file(&word, call.name));
        }
        let (target, class) = match named.filter(|place| place.contains("://")) {
            Some(place) => destination(place),
            None => (Target::Other("package registry".to_owned()), AssetClass::External),
        };
        self.effect(Capability::NetworkPost, target, class, &data.from, call.name);
    }

    /// An image's name begins with its registry, if that is not the one everybody has.
    fn push_image(&mut self, call: &Call<'_>, verb: &str, rest: &[&str]) {
        let pushes = matches!(verb, "push" | "copy")
            || (matches!(verb, "build" | "buildx")
                && call.args.iter().any(|word| matches!(word.text.as_str(), "--push")));
        let Some(image) = rest.last().filter(|_| pushes) else { return };
        let tag = call.args.windows(2).find_map(|pair| match pair {
            [flag, tag] if matches!(flag.text.as_str(), "-t" | "--tag") => Some(tag.text.as_str()),
            _ => None,
        });
        let image = tag.unwrap_or(image).trim_start_matches("docker://");
        let registry =
            image.split('/').next().filter(|first| image.contains('/') && first.contains(['.', ':']));
        let (target, class) = destination(registry.unwrap_or("docker.io"));
        self.effect(Capability::NetworkPost, target, class, &[], call.name);
    }
}

/// The place that an option names.
fn named<'w>(words: &[&'w str]) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some((name, value)) if PLACES.contains(&name) => Some(value),
        None if PLACES.contains(word) => words.get(at + 1).copied(),
        _ => None,
    })
}
