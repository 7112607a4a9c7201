//! Programs that take everything below a directory along: to another place, into an archive, into a container.

use crate::action::shell::Word;

/// Programs that take along everything below a directory.
pub(super) const COPYING: [&str; 9] =
    ["cp", "rsync", "scp", "zip", "tar", "ditto", "robocopy", "xcopy", "copy-item"];

/// Programs that take along or show elsewhere whatever directory they are given.
pub(super) const TAKING: [&str; 9] =
    ["restic", "borg", "duplicity", "rclone", "bindfs", "7z", "7za", "kopia", "croc"];

/// Programs that give a container directories of this machine.
const CONTAINERS: [&str; 5] = ["docker", "podman", "nerdctl", "docker-compose", "lxc"];

/// `restic backup ~`, `git --work-tree=/home/dev add -A`
pub(super) fn takes(name: &str, words: &[Word], is_below: &dyn Fn(&str, bool) -> bool) -> bool {
    let below = |word: &Word| {
        let place = word.text.split_once('=').map_or(word.text.as_str(), |(_, place)| place);
        place.contains(['/', '~', '$']) && is_below(place, word.exact)
    };
    let tree = |word: &&Word| name == "git" && word.text.starts_with("--work-tree=");
    TAKING.contains(&name) && words.iter().any(below) || words.iter().filter(tree).any(below)
}

/// `docker run -v ~:/host`: what is above ours is in the container with it.
pub(super) fn mounts(name: &str, words: &[Word], is_below: &dyn Fn(&str, bool) -> bool) -> bool {
    if !CONTAINERS.contains(&name) {
        return false;
    }
    let mut mounts = false;
    words.iter().any(|word| {
        let text = word.text.as_str();
        let option = text.starts_with("-v") || text.starts_with("--volume") || text.starts_with("--mount");
        let value = mounts || option && text.contains(['=', ':', '/', '~']);
        mounts = option;
        let plain = text.trim_start_matches("--volume=").trim_start_matches("--mount=");
        let mut places = plain.trim_start_matches("-v").split([',', ':']).map(|piece| {
            piece.split_once('=').map_or(piece, |(key, value)| if is_source(key) { value } else { "" })
        });
        // The first place of `-v` and `src=` of `--mount` are this machine's.
        value
            && places
                .find(|place| !place.is_empty())
                .is_some_and(|place| place.contains(['/', '~', '$']) && is_below(place, word.exact))
    })
}

/// The keys of `docker --mount` that name a place of this machine.
fn is_source(key: &str) -> bool {
    matches!(key, "src" | "source")
}
