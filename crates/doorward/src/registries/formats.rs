//! Where in a client's configuration its registries stand. Line by line and tolerant: other people's files, of which
//! one thing is wanted.

use doorward_core::syntax::{Node, json};

/// How a file is written, and under which keys registries stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `registry=…`, `@scope:registry=…`, `//host/:_authToken=…`; of yarn also `npmRegistryServer: …`.
    Npm,
    /// INI or TOML of Python's clients and bun.
    Settings,
    /// TOML: `[registries.NAME]`, `[source.NAME]`.
    Cargo,
    /// `GOPROXY=…`.
    Go,
    /// XML: `<url>…</url>`.
    Maven,
    /// YAML: lists under `sources`, `channels` and the like.
    Items,
    /// YAML: `BUNDLE_MIRROR__…: …`.
    Bundle,
    /// JSON: `repositories`.
    Composer,
    /// XML: `<packageSources>`.
    NuGet,
}

impl Format {
    /// Hands every value of `text` in which registries stand to `take`; `false` if the text is none of this format.
    pub fn each(self, text: &str, take: &mut dyn FnMut(&str)) -> bool {
        match self {
            Self::Maven => elements(text, "url", take),
            Self::NuGet => elements(text, "packageSources", take),
            Self::Composer => return composer(text, take),
            Self::Npm | Self::Settings | Self::Cargo | Self::Go | Self::Items | Self::Bundle => {
                assignments(text, &mut |section, key, value| {
                    if let Some(host) = key.strip_prefix("//").filter(|_| self == Self::Npm) {
                        let host = host.split(['/', ' ']).next().unwrap_or_default();
                        take(&format!("https://{}", host.strip_suffix(':').unwrap_or(host)));
                    } else if self.names_registries(section, key) {
                        take(value);
                    }
                });
            }
        }
        true
    }

    fn names_registries(self, section: &str, key: &str) -> bool {
        let below =
            |name: &str| section == name || section.strip_prefix(name).is_some_and(|it| it.starts_with('.'));
        match self {
            Self::Npm => {
                let own = ["registry", "npmRegistryServer", "npmPublishRegistry"];
                own.contains(&key) || key.ends_with(":registry")
            }
            Self::Settings => {
                let own = [
                    "index-url",
                    "extra-index-url",
                    "index_url",
                    "extra_index_url",
                    "index",
                    "default-index",
                    "publish-url",
                    "repository",
                    "registry",
                ];
                own.contains(&key)
                    || key == "url" && (below("index") || below("repositories"))
                    || below("install.scopes")
            }
            Self::Cargo => {
                let whole = format!("{section}.{key}");
                let whole = whole.trim_start_matches('.');
                whole.starts_with("registries.") && !key.ends_with("token")
                    || whole.starts_with("source.") && key.ends_with("registry")
                    || whole == "registry.index"
            }
            Self::Go => key == "GOPROXY",
            Self::Items => {
                let own = ["sources", "channels", "channel_alias", "default_channels", "custom_channels"];
                own.contains(&key.trim_matches(':'))
            }
            Self::Bundle => key.starts_with("BUNDLE_MIRROR__"),
            Self::Maven | Self::Composer | Self::NuGet => false,
        }
    }
}

/// Every `key = value`, `key: value` and `key "value"` with its section. Lines that say no key of their own (indented ones of
/// INI files, elements of lists) belong to the key before.
fn assignments(text: &str, found: &mut dyn FnMut(&str, &str, &str)) {
    let (mut section, mut key) = (String::new(), String::new());
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let heading = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = heading.filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '[')) {
            section = name.trim_matches(['[', ']']).replace(['"', '\''], "");
            key.clear();
            continue;
        }
        let continues = trimmed.starts_with(['-', '"', '\'', '{', '[', ']'])
            || trimmed.starts_with("http") && line.starts_with(char::is_whitespace);
        // `"@scope:registry" "https://…"` of yarn begins with a quote and names a key.
        let quoted_key = trimmed.split_once(' ').filter(|(first, _)| first.ends_with(":registry\""));
        if let Some((own, value)) = quoted_key {
            found(&section, own.trim_matches('"'), value);
        } else if continues && !key.is_empty() {
            found(&section, &key, trimmed);
        } else if let Some((own, value)) = split(trimmed) {
            key = own.trim().trim_matches(['"', '\'']).to_owned();
            found(&section, &key, value);
        }
    }
}

/// Key and value of a line: around the first `=`, else the first `: ` (or `:` at the end), else the first space.
fn split(line: &str) -> Option<(&str, &str)> {
    let colon = || line.split_once(": ").or_else(|| line.strip_suffix(':').map(|key| (key, "")));
    let equals = line.split_once('=').filter(|(key, _)| !key.contains(": "));
    equals.or_else(colon).or_else(|| line.split_once(' '))
}

/// What stands in every element `name`, comments aside.
fn elements(text: &str, name: &str, take: &mut dyn FnMut(&str)) {
    let mut rest = without_comments(text);
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    while let Some((_, behind)) = rest.split_once(&open) {
        let (inside, after) = behind.split_once(&close).unwrap_or((behind, ""));
        take(inside);
        rest = after.to_owned();
    }
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = behind.split_once("-->").map_or("", |(_, after)| after);
    }
    out + rest
}

fn composer(text: &str, take: &mut dyn FnMut(&str)) -> bool {
    let Ok(node) = json::parse(text.as_bytes()) else { return false };
    let repositories = node.get("repositories");
    let listed = repositories.map(Node::elements).unwrap_or_default().iter();
    let named = repositories.map(Node::members).unwrap_or_default().iter().map(|member| &member.value);
    listed.chain(named).filter_map(|repository| repository.text("url")).for_each(take);
    true
}
