//! What kind of thing a path or a host is.
//!
//! Paths are compared in one spelling ([`normalise_path`]) and without regard to case: on two of three
//! systems case does not tell files apart, and on the third a miss would cost more than a false alarm.

mod host;
mod paths;
mod registry;
mod table;

use super::AssetClass;

pub use host::{classify_host, classify_url};
pub use registry::classify_key;

/// The class of a path; it need not be normalised. With `exact` false, `*`, `?` and `[…]` are globs and
/// `${…}` stands for anything unknown within a name: the strongest class that could match is taken.
#[must_use]
pub fn classify_path(path: &str, exact: bool) -> AssetClass {
    let normal = normalise_path(path).to_lowercase();
    let class = paths::class_of(&normal);
    if exact || class_rank(class) == 0 {
        return class;
    }
    let mut strongest = class;
    if normal.contains("${") {
        let bare = without_unknowns(&normal);
        strongest = stronger(strongest, paths::class_of(&normalise_path(&bare).to_lowercase()));
    }
    if normal.contains(['*', '?', '[']) {
        if let Some(directory) = normal.strip_suffix("/*") {
            // Everything in a directory is the directory.
            strongest =
                stronger(strongest, paths::class_of(if directory.is_empty() { "/" } else { directory }));
        }
        strongest = stronger(strongest, paths::class_of_glob(&normal));
    }
    strongest
}

/// Lower is more sensitive.
const fn class_rank(class: AssetClass) -> u8 {
    match class {
        AssetClass::Doorward | AssetClass::CloudMetadata => 0,
        AssetClass::Wallet | AssetClass::Keychain => 1,
        AssetClass::Credential | AssetClass::BrowserData => 2,
        AssetClass::AiClientConfig | AssetClass::Startup => 3,
        AssetClass::ProjectSecret => 4,
        AssetClass::System | AssetClass::Executable => 5,
        AssetClass::Config | AssetClass::Log => 6,
        AssetClass::Temp => 7,
        AssetClass::Unknown => 8,
        AssetClass::Project | AssetClass::Internal | AssetClass::External => 9,
    }
}

/// The more sensitive of two classes.
#[must_use]
pub const fn stronger(a: AssetClass, b: AssetClass) -> AssetClass {
    if class_rank(b) < class_rank(a) { b } else { a }
}

fn without_unknowns(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}

/// Whether a normalised path depends on the working directory.
#[must_use]
pub fn is_relative(path: &str) -> bool {
    let bytes = path.as_bytes();
    let drive = matches!(bytes, [letter, b':', ..] if letter.is_ascii_alphabetic());
    !(path.starts_with(['/', '~']) || drive || path.starts_with("${") || path.contains("://"))
}

/// One spelling for every path: `~` for any user's home, `/` between names, dot segments resolved,
/// aliases of the root (`/proc/self/root`, `/private`, `\\?\`, `/System/Volumes/Data`) taken off, the
/// usual variables of Windows replaced. Case is kept.
#[must_use]
pub fn normalise_path(raw: &str) -> String {
    let mut path = raw.trim_matches(['"', '\'']).replace('\\', "/");
    if path.contains(['%', '$']) {
        path = windows_variables(&path);
    }
    for scheme in ["file:///", "file://localhost/", "file:/"] {
        if let Some(rest) = strip_prefix_ignoring_case(&path, scheme) {
            path = if is_drive(rest) { rest.to_owned() } else { format!("/{rest}") };
            break;
        }
    }
    for device in ["//?/", "//./", "/??/"] {
        if let Some(rest) = path.strip_prefix(device) {
            path = rest.to_owned();
        }
    }
    let path = resolve_dots(&path);
    let path = strip_aliases(&path);
    with_home(&path)
}

fn is_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

const WINDOWS_VARIABLES: [(&str, &str); 14] = [
    ("userprofile", "~"),
    ("homedrive}${homepath", "~"),
    ("homepath", "~"),
    ("home", "~"),
    ("appdata", "~/AppData/Roaming"),
    ("localappdata", "~/AppData/Local"),
    ("temp", "~/AppData/Local/Temp"),
    ("tmp", "~/AppData/Local/Temp"),
    ("systemroot", "C:/Windows"),
    ("windir", "C:/Windows"),
    ("systemdrive", "C:"),
    ("programfiles", "C:/Program Files"),
    ("programdata", "C:/ProgramData"),
    ("allusersprofile", "C:/ProgramData"),
];

/// `%NAME%`, `$env:NAME`, `${env:NAME}`, `$HOME`, `${HOME}` where the value is the same everywhere.
fn windows_variables(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let (name, tail, whole) = variable_at(after);
        let lower = name.to_ascii_lowercase();
        let value =
            WINDOWS_VARIABLES.iter().find(|(variable, _)| *variable == lower).map(|(_, value)| *value);
        match value {
            Some("~") if out == "~" || out.eq_ignore_ascii_case("c:") => out = "~".to_owned(),
            Some(value) if !name.is_empty() => out.push_str(value),
            _ => out.push_str(whole),
        }
        rest = tail;
    }
    out + rest
}

/// The variable at the start of `text`: its name, what follows, and how it is written.
fn variable_at(text: &str) -> (&str, &str, &str) {
    let split = |end: usize| text.split_at_checked(end).unwrap_or((text, ""));
    if let Some(inner) = text.strip_prefix('%') {
        if let Some((name, tail)) = inner.split_once('%')
            && !name.is_empty()
            && name.len() < 64
        {
            return (name, tail, split(name.len() + 2).0);
        }
        return ("", inner, "%");
    }
    if let Some(inner) = text.strip_prefix("${") {
        if let Some((name, tail)) = inner.split_once('}') {
            let whole = split(name.len() + 3).0;
            return (name.strip_prefix("env:").unwrap_or(name), tail, whole);
        }
        return ("", inner, "${");
    }
    let inner = text.strip_prefix('$').unwrap_or(text);
    let env = strip_prefix_ignoring_case(inner, "env:");
    let name_start = env.unwrap_or(inner);
    let length = name_start.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, tail) = name_start.split_at_checked(length).unwrap_or((name_start, ""));
    let whole = split(text.len() - tail.len()).0;
    (name, tail, whole)
}

fn resolve_dots(path: &str) -> String {
    let rooted = path.starts_with('/');
    let shares = path.starts_with("//") && !path.starts_with("///") && path.contains('.');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !rooted => parts.push(".."),
                // Above the home directory: what is there depends on the system.
                Some(&"~") => parts.push(".."),
                _ => {
                    parts.pop();
                }
            },
            name => {
                // Windows drops trailing dots and spaces and reads `name::$DATA` as `name`.
                let name = name.strip_suffix("::$DATA").unwrap_or(name);
                parts.push(name);
            }
        }
    }
    let joined = parts.join("/");
    if shares {
        format!("//{joined}")
    } else if rooted {
        format!("/{joined}")
    } else if joined.is_empty() && !path.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

fn strip_aliases(path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..4 {
        let before = path.len();
        if let Some(rest) = below_root(&path) {
            path = if rest.is_empty() { "/".to_owned() } else { rest.to_owned() };
        }
        for cwd in ["/proc/self/cwd/", "/proc/thread-self/cwd/"] {
            if let Some(rest) = path.strip_prefix(cwd) {
                path = rest.to_owned();
            }
        }
        for private in ["/private/etc", "/private/tmp", "/private/var"] {
            if path.starts_with(private) {
                path = path.strip_prefix("/private").unwrap_or_default().to_owned();
            }
        }
        if path.len() == before {
            break;
        }
    }
    path
}

/// What follows another name of the root: of a process (`/proc/PID/root`, `/proc/PID/task/TID/root`), of
/// the data volume.
fn below_root(path: &str) -> Option<&str> {
    let of_process = |path: &str| -> Option<usize> {
        let (_, below) = path.strip_prefix("/proc/")?.split_once('/')?;
        let task = below.strip_prefix("task/").and_then(|task| task.split_once('/'));
        let below = task.map_or(below, |(_, below)| below);
        Some(below.strip_prefix("root")?.len())
    };
    let rest = match of_process(path) {
        Some(length) => path.get(path.len() - length..)?,
        None => path.strip_prefix("/System/Volumes/Data")?,
    };
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Puts `~` for whatever spells a home directory.
fn with_home(path: &str) -> String {
    if path.starts_with('~') {
        let (user, rest) = path.split_once('/').unwrap_or((path, ""));
        if matches!(user, "~+" | "~-") {
            return if rest.is_empty() { ".".to_owned() } else { rest.to_owned() };
        }
        return tilde(rest);
    }
    for (prefix, named) in [
        ("/root", false),
        ("/home/", true),
        ("/Users/", true),
        ("/var/root", false),
        ("/usr/home/", true),
        ("/export/home/", true),
    ] {
        if let Some(rest) = strip_prefix_ignoring_case(path, prefix) {
            if named {
                let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
                if !user.is_empty() && !user.eq_ignore_ascii_case("shared") {
                    return tilde(below);
                }
            } else if rest.is_empty() || rest.starts_with('/') {
                return tilde(rest.trim_start_matches('/'));
            }
        }
    }
    let lower = path.to_ascii_lowercase();
    for (at, _) in [(0, ""), (4, "/mnt")] {
        // C:/Users/name, /c/Users/name (Git for Windows), /mnt/c/Users/name (WSL).
        let Some(tail) = lower.get(at..) else { continue };
        let users = match tail.as_bytes() {
            [b'/', letter, b'/', ..] if letter.is_ascii_alphabetic() => tail.get(2..),
            [letter, b':', b'/', ..] if letter.is_ascii_alphabetic() && at == 0 => tail.get(2..),
            _ => None,
        };
        if at == 4 && !lower.starts_with("/mnt/") {
            continue;
        }
        let Some(rest) = users.and_then(|users| users.strip_prefix("/users/")) else { continue };
        let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
        if !user.is_empty() && !matches!(user, "public" | "default" | "all users") {
            let below = path.get(path.len() - below.len()..).unwrap_or_default();
            return tilde(below);
        }
    }
    path.to_owned()
}

fn tilde(below: &str) -> String {
    if below.is_empty() { "~".to_owned() } else { format!("~/{below}") }
}

/// Whether a shell glob (`*`, `?`, `[…]`) matches all of `text`; `*` also matches `/`. Linear times the
/// number of stars at worst; never exponential.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while let Some(c) = text.get(t) {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some((p + 1, t + width(*c))),
            Some(b'[') => in_class(pattern, p, *c).map(|next| (next, t + width(*c))),
            Some(byte) if byte == c => Some((p + 1, t + 1)),
            _ => None,
        };
        (p, t) = match (step, star) {
            (Some(next), _) => next,
            (None, Some((back, from))) => {
                star = Some((back, from + 1));
                (back, from + 1)
            }
            (None, None) => return false,
        };
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

/// How many bytes the character takes that starts with `byte`.
const fn width(byte: u8) -> usize {
    match byte {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// Where the pattern goes on if the bracket expression at `at` matches `c`. Characters beyond ASCII
/// are taken to match any bracket expression: the stronger reading.
fn in_class(pattern: &[u8], at: usize, c: u8) -> Option<usize> {
    let mut i = at + 1;
    let negated = matches!(pattern.get(i), Some(b'!' | b'^'));
    i += usize::from(negated);
    let first = i;
    let mut found = !c.is_ascii();
    loop {
        let low = *pattern.get(i)?;
        if low == b']' && i > first {
            return (found != negated || !c.is_ascii()).then_some(i + 1);
        }
        match (pattern.get(i + 1), pattern.get(i + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                found |= (low..=*high).contains(&c);
                i += 3;
            }
            _ => {
                found |= low == c;
                i += 1;
            }
        }
    }
}
