//! The package registries that the user's own clients are configured with: learnt at the start, shipped nowhere.
//!
//! Only configuration of the user and of the system is read, never the working directory's, which agents write. Of a URL
//! its host and port are kept and nothing else: there are tokens in the rest. What cannot be read is a note.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use doorward_core::detect::destination::Registry;
use doorward_core::url;

mod formats;
use formats::Format;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The most notes; who has more has one problem many times.
const MOST_NOTES: usize = 32;

/// What was learnt.
#[derive(Debug, Default)]
pub struct Learnt {
    /// The registries, in the order in which they were found.
    pub registries: Vec<Registry>,
    /// What could not be read, for a person. No value of any file stands in them.
    pub notes: Vec<String>,
}

/// What this machine's clients are configured with, read once.
pub fn learnt() -> &'static Learnt {
    static LEARNT: OnceLock<Learnt> = OnceLock::new();
    LEARNT.get_or_init(|| Machine::this().learn())
}

/// A machine with its user, as far as package clients look at it.
pub struct Machine {
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// What the system's own files lie below: `/`.
    pub root: PathBuf,
    /// The environment.
    pub variables: Vec<(String, String)>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let variables = std::env::vars_os();
        Self {
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            root: PathBuf::from("/"),
            // What is not Unicode names no host.
            variables: variables
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        }
    }

    /// Reads what the clients of this machine are configured with.
    pub fn learn(&self) -> Learnt {
        let mut learnt = Learnt::default();
        for (name, value) in &self.variables {
            if let Some(client) = client_of(name) {
                learnt.take(value, &format!("{client}, {name}"));
            }
        }
        for (client, format, file) in self.files() {
            learnt.read(client, format, &file, self);
        }
        learnt
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(own, value)| own == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// A path that a variable names. A relative one would be the working directory's.
    fn named(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// Every file that may be there, with who reads it.
    fn files(&self) -> Vec<(&'static str, Format, PathBuf)> {
        use Format::{Bundle, Cargo, Composer, Go, Items, Maven, Npm, NuGet, Settings};
        let mut all = Vec::new();
        let mut add = |client, format, below: Option<PathBuf>, files: &[&str]| {
            let paths = files.iter().filter_map(|file| {
                // With nothing behind it, it is a file itself.
                let below = below.as_ref()?;
                Some(if file.is_empty() { below.clone() } else { below.join(file) })
            });
            all.extend(paths.map(|path| (client, format, path)));
        };
        let home = || self.home.clone();
        let config = self.named("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")));
        let roaming = self.named("APPDATA");
        let library = home().map(|home| home.join("Library/Application Support"));
        let root = || Some(self.root.clone());
        let itself = |name| self.named(name);

        add("npm", Npm, home(), &[".npmrc"]);
        add("npm", Npm, itself("NPM_CONFIG_USERCONFIG"), &[""]);
        add("npm", Npm, itself("NPM_CONFIG_GLOBALCONFIG"), &[""]);
        add(
            "npm",
            Npm,
            root(),
            &["etc/npmrc", "usr/etc/npmrc", "usr/local/etc/npmrc", "opt/homebrew/etc/npmrc"],
        );
        add("pnpm", Npm, config.clone(), &["pnpm/rc"]);
        add("yarn", Npm, home(), &[".yarnrc", ".yarnrc.yml"]);
        add("bun", Settings, home(), &[".bunfig.toml"]);
        add("bun", Settings, config.clone(), &[".bunfig.toml"]);
        add("pip", Settings, itself("PIP_CONFIG_FILE"), &[""]);
        add("pip", Settings, config.clone(), &["pip/pip.conf"]);
        add("pip", Settings, home(), &[".pip/pip.conf", ".pypirc"]);
        add("pip", Settings, library.clone(), &["pip/pip.conf"]);
        add("pip", Settings, roaming.clone(), &["pip/pip.ini"]);
        add("pip", Settings, root(), &["etc/pip.conf", "etc/xdg/pip/pip.conf"]);
        add("uv", Settings, itself("UV_CONFIG_FILE"), &[""]);
        add("uv", Settings, config.clone(), &["uv/uv.toml"]);
        add("uv", Settings, roaming.clone(), &["uv/uv.toml"]);
        add("uv", Settings, root(), &["etc/uv/uv.toml", "etc/xdg/uv/uv.toml"]);
        add("poetry", Settings, config.clone(), &["pypoetry/config.toml"]);
        add("poetry", Settings, library, &["pypoetry/config.toml"]);
        let cargo = itself("CARGO_HOME").or_else(|| Some(home()?.join(".cargo")));
        add("cargo", Cargo, cargo, &["config.toml", "config"]);
        add("go", Go, itself("GOENV"), &[""]);
        add("go", Go, config.clone(), &["go/env"]);
        add("go", Go, home().map(|home| home.join("Library/Application Support")), &["go/env"]);
        add("go", Go, roaming.clone(), &["go/env"]);
        add("maven", Maven, home(), &[".m2/settings.xml"]);
        add("maven", Maven, itself("MAVEN_HOME"), &["conf/settings.xml"]);
        add("maven", Maven, root(), &["etc/maven/settings.xml", "usr/share/maven/conf/settings.xml"]);
        add("gem", Items, home(), &[".gemrc"]);
        add("gem", Items, config.clone(), &["gem/gemrc"]);
        add("gem", Items, root(), &["etc/gemrc"]);
        add("bundler", Bundle, home(), &[".bundle/config"]);
        add("composer", Composer, itself("COMPOSER_HOME"), &["config.json"]);
        add("composer", Composer, home(), &[".composer/config.json"]);
        add("composer", Composer, config.clone(), &["composer/config.json"]);
        add("composer", Composer, roaming.clone(), &["Composer/config.json"]);
        add("nuget", NuGet, home(), &[".nuget/NuGet/NuGet.Config"]);
        add("nuget", NuGet, config, &["NuGet/NuGet.Config"]);
        add("nuget", NuGet, roaming, &["NuGet/NuGet.Config"]);
        add("conda", Items, home(), &[".condarc", ".conda/.condarc"]);
        add("conda", Items, root(), &["etc/conda/.condarc"]);
        all
    }

    /// A path for people: below the home directory with `~`.
    fn shown(&self, file: &Path) -> String {
        let below = self.home.as_ref().and_then(|home| file.strip_prefix(home).ok());
        below.map_or_else(|| file.display().to_string(), |below| format!("~/{}", below.display()))
    }
}

/// The client that reads a registry from the variable `name`.
fn client_of(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 18] = [
        ("npm_config_registry", "npm"),
        ("NPM_CONFIG_REGISTRY", "npm"),
        ("YARN_REGISTRY", "yarn"),
        ("YARN_NPM_REGISTRY_SERVER", "yarn"),
        ("YARN_NPM_PUBLISH_REGISTRY", "yarn"),
        ("BUN_CONFIG_REGISTRY", "bun"),
        ("PIP_INDEX_URL", "pip"),
        ("PIP_EXTRA_INDEX_URL", "pip"),
        ("TWINE_REPOSITORY_URL", "twine"),
        ("UV_INDEX", "uv"),
        ("UV_INDEX_URL", "uv"),
        ("UV_DEFAULT_INDEX", "uv"),
        ("UV_EXTRA_INDEX_URL", "uv"),
        ("UV_PUBLISH_URL", "uv"),
        ("CARGO_REGISTRY_INDEX", "cargo"),
        ("GOPROXY", "go"),
        ("RUBYGEMS_HOST", "gem"),
        ("CONDA_CHANNEL_ALIAS", "conda"),
    ];
    let families = [("CARGO_REGISTRIES_", "_INDEX", "cargo"), ("POETRY_REPOSITORIES_", "_URL", "poetry")];
    let exact = NAMES.iter().find(|(own, _)| *own == name).map(|(_, client)| *client);
    exact.or_else(|| {
        let family = families.iter().find(|(start, end, _)| name.starts_with(start) && name.ends_with(end));
        family.map(|(_, _, client)| *client)
    })
}

impl Learnt {
    fn read(&mut self, client: &str, format: Format, file: &Path, machine: &Machine) {
        let from = format!("{client}, {}", machine.shown(file));
        match read(file) {
            Ok(text) => {
                if !format.each(&text, &mut |value| self.take(value, &from)) {
                    self.note(format!("{from}: not understood; no registry is taken from it"));
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => self.note(format!("{from}: cannot be read: {error}")),
        }
    }

    /// Takes the registries that `value` names: one URL or several.
    fn take(&mut self, value: &str, from: &str) {
        for text in urls(value) {
            match registry(text, from) {
                Some(registry) if self.registries.contains(&registry) => {}
                Some(registry) => self.registries.push(registry),
                None => self.note(format!("{from}: a URL whose host cannot be read")),
            }
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// A file as text.
fn read(file: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    // A named pipe would block the reader for ever.
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("longer than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("not UTF-8"))
}

/// Every URL in a value, whatever stands around it.
fn urls(value: &str) -> impl Iterator<Item = &str> {
    let starts = value.match_indices("://").filter_map(|(at, _)| {
        let before = value.get(..at)?;
        ["https", "http"].iter().find(|scheme| before.ends_with(*scheme)).map(|scheme| at - scheme.len())
    });
    starts.filter_map(|at| {
        let rest = value.get(at..)?;
        rest.split(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '|' | '}' | ']' | '<' | '>' | ')')
        })
        .next()
    })
}

/// The registry at a URL: its host and port alone. User information goes before anything is read.
fn registry(text: &str, from: &str) -> Option<Registry> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let whole = format!("{scheme}://{host}");
    let at = url::authority(&whole)?;
    Some(Registry { host: at.host.into_owned(), port: at.port, from: from.to_owned() })
}

#[cfg(test)]
mod tests;
