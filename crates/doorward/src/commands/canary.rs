//! `doorward canary`: decoys that nobody has a reason to read.

use doorward_core::syntax::hex;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use doorward_core::detect::canary::{MOST, SHORTEST_PIECE};
use doorward_core::detect::secrets::registered::{Registered, Registration};
use doorward_store::{Home, Secret32};
use sha2::{Digest as _, Sha256};

use crate::canaries::kinds::{KINDS, Kind, Owner};
use crate::canaries::{self, Entry, dice, place};
use crate::cli::{CanaryArgs, CanaryCommand, Cli};
use crate::serve::now;
use crate::terminal::{Faults, clean, config_error, counted, print, say, text};
use crate::{config, when};

/// Runs the command. Exit status 1: not all could be planted or removed, or `check` found one that was touched.
///
/// # Errors
/// If what is kept cannot be read or written, or the command names what is not there.
pub fn run(cli: &Cli, args: &CanaryArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    match &args.command {
        CanaryCommand::Plant { kinds, classic, place, dry_run, json } => {
            let wanted = Wanted::new(kinds, *classic, place.as_deref())?;
            plant(&home, &wanted, Manner { dry_run: *dry_run, json: *json })
        }
        CanaryCommand::List { json } => list(&home, *json),
        CanaryCommand::Check { json } => check(&home, *json),
        CanaryCommand::Remove { names, all, forget, dry_run, json } => {
            let chosen = Chosen { names, all: *all, forget: *forget };
            remove(&home, &chosen, Manner { dry_run: *dry_run, json: *json })
        }
    }
}

#[derive(Clone, Copy)]
struct Manner {
    dry_run: bool,
    json: bool,
}

/// What is to be planted, and where.
struct Wanted {
    kinds: Vec<&'static Kind>,
    /// Whether the kinds were named: then their folders are made, and none is passed over in silence.
    named: bool,
    classic: bool,
    root: PathBuf,
}

impl Wanted {
    fn new(named: &[String], classic: bool, root: Option<&Path>) -> anyhow::Result<Self> {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        if let Some(name) = named.iter().find(|name| !known.contains(&name.as_str())) {
            let name = name.escape_debug();
            return Err(config_error(format!("there is no decoy `{name}`; there are: {}", known.join(", "))));
        }
        if classic && named.is_empty() {
            let message = "--classic puts a decoy where programs load it as their own; name the kinds that you want there";
            return Err(config_error(message));
        }
        let root = match root {
            Some(root) => std::path::absolute(root)?,
            None => PathBuf::from(config::user_home_text()),
        };
        if !root.is_absolute() || !root.is_dir() {
            return Err(config_error(format!("there is no directory {} to plant in", root.display())));
        }
        if root.to_str().is_none() {
            return Err(config_error("the directory to plant in has a name that is not UTF-8"));
        }
        let kinds =
            KINDS.iter().filter(|kind| named.is_empty() || named.iter().any(|name| name == kind.name));
        Ok(Self { kinds: kinds.collect(), named: !named.is_empty(), classic, root })
    }

    /// A free place for `kind`, or why there is none.
    fn place(&self, kind: &Kind) -> Result<PathBuf, String> {
        if self.classic {
            let path = PathBuf::from(kind.classic);
            let taken = place::is_taken(&self.root, &path);
            return if taken { Err("there is a file at its place".to_owned()) } else { Ok(path) };
        }
        let folder = Path::new(kind.classic).parent().unwrap_or(Path::new(""));
        if !self.named && !kind.makes_folder && !self.root.join(folder).is_dir() {
            return Err(format!("there is no ~/{}", folder.display()));
        }
        let free: Vec<&str> = kind
            .beside
            .iter()
            .copied()
            .filter(|path| !place::is_taken(&self.root, Path::new(path)))
            .collect();
        let chosen = dice::one_of(&free).map_err(|error| error.to_string())?;
        if chosen.is_empty() {
            Err("there is a file at each of its places".to_owned())
        } else {
            Ok(chosen.into())
        }
    }
}

fn known(home: &Path) -> anyhow::Result<Vec<Entry>> {
    let file = home.join("canaries.sealed");
    let text = canaries::text(home).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let Some(text) = text else { return Ok(Vec::new()) };
    canaries::read(&text).map_err(|found| {
        let mut faults = Faults::default();
        faults.add(&file.display().to_string(), "", found);
        faults.into_error().into()
    })
}

/// What became of one decoy.
struct Told {
    name: String,
    path: PathBuf,
    /// `planted`, `passed_over`, …
    what: &'static str,
    why: String,
}

impl Told {
    fn tell(&self, json: bool) {
        let path = self.path.display().to_string();
        if json {
            print(&format!(
                "{{\"name\":{},\"path\":{},\"result\":\"{}\",\"why\":{}}}",
                text(&self.name),
                text(&path),
                self.what,
                text(&self.why)
            ));
        } else {
            let why = if self.why.is_empty() { String::new() } else { format!(" ({})", clean(&self.why)) };
            print(&format!("{:<12} {:<16} {}{why}", self.what.replace('_', " "), self.name, clean(&path)));
        }
    }
}

fn plant(home: &Path, wanted: &Wanted, manner: Manner) -> anyhow::Result<ExitCode> {
    if manner.dry_run {
        return Ok(foretell(wanted, manner.json));
    }
    let home = Home::open(home)?;
    let _lock = home.lock_secrets()?;
    let mut entries = known(home.root())?;
    let key = home.secrets_key()?;
    let owner = Owner::of(&wanted.root)?;
    let (mut all, mut count) = (true, 0usize);
    for kind in &wanted.kinds {
        let path = match wanted.place(kind) {
            Ok(path) => path,
            Err(why) => {
                // What nobody asked for by name is not missed.
                all &= !wanted.named;
                let path = wanted.root.join(kind.classic);
                Told { name: kind.name.into(), path, what: "passed_over", why }.tell(manner.json);
                continue;
            }
        };
        anyhow::ensure!(entries.len() < MOST, "{MOST} decoys are planted, and there are no more");
        let told = plant_one(&home, (kind, wanted, &owner), path, &mut entries, &key)?;
        all &= told.what == "planted";
        count += usize::from(told.what == "planted");
        told.tell(manner.json);
    }
    if !manner.json {
        say(&format!("{} planted, {} in all", counted(count, "decoy"), entries.len()));
    }
    Ok(if all && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn foretell(wanted: &Wanted, json: bool) -> ExitCode {
    let mut any = false;
    for kind in &wanted.kinds {
        let (what, path, why) = match wanted.place(kind) {
            Ok(path) => ("would_plant", path, kind.what.to_owned()),
            Err(why) => ("passed_over", kind.classic.into(), why),
        };
        any |= what == "would_plant";
        Told { name: kind.name.into(), path: wanted.root.join(path), what, why }.tell(json);
    }
    if any { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Registers a decoy and then makes it: one that nobody knows of must not lie about.
fn plant_one(
    home: &Home,
    (kind, wanted, owner): (&Kind, &Wanted, &Owner),
    path: PathBuf,
    entries: &mut Vec<Entry>,
    key: &Secret32,
) -> anyhow::Result<Told> {
    const DAY: u64 = 24 * 60 * 60;
    let (planted, age) = (now(), 40 * DAY + dice::below(600 * DAY)?);
    let time = (planted / 1000).saturating_sub(age);
    let written = kind.write(owner, time, wanted.classic)?;
    let registered = Registered::new(key.expose());
    let pieces: Vec<Registration> = written
        .pieces
        .iter()
        .filter(|piece| piece.len() >= SHORTEST_PIECE)
        .filter_map(|piece| registered.registration(piece))
        .collect();
    anyhow::ensure!(
        pieces.len() == written.pieces.len(),
        "the decoy `{}` cannot be told from others",
        kind.name
    );
    let entry = Entry {
        name: fresh_name(kind.name, entries),
        kind: kind.name.to_owned(),
        root: wanted.root.clone(),
        path: path.clone(),
        planted,
        dated: time * 1000,
        digest: hex(&Sha256::digest(&written.content)),
        folders: Vec::new(),
        pieces,
    };
    let name = entry.name.clone();
    entries.push(entry);
    canaries::write(home, entries)?;
    let made = place::make(&wanted.root, &path, &written.content, time);
    let (what, why) = match made {
        Ok(folders) => {
            if let Some(last) = entries.last_mut() {
                last.folders = folders;
            }
            ("planted", kind.what.to_owned())
        }
        Err(error) => {
            entries.pop();
            ("failed", error.to_string())
        }
    };
    canaries::write(home, entries)?;
    Ok(Told { name, path: wanted.root.join(path), what, why })
}

fn fresh_name(kind: &str, entries: &[Entry]) -> String {
    let taken = |name: &str| entries.iter().any(|entry| entry.name == name);
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn list(home: &Path, json: bool) -> anyhow::Result<ExitCode> {
    for entry in known(home)? {
        let file = entry.file().display().to_string();
        if json {
            print(&format!(
                "{{\"name\":{},\"kind\":{},\"path\":{},\"planted\":{}}}",
                text(&entry.name),
                text(&entry.kind),
                text(&file),
                entry.planted
            ));
        } else {
            print(&format!("{}  {:<16} {}", when::rfc3339(entry.planted), entry.name, clean(&file)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How a decoy lies there.
fn state(entry: &Entry) -> (&'static str, String) {
    match place::look(&entry.root, &entry.path) {
        Ok(None) => ("missing", "somebody has taken it away".to_owned()),
        Ok(Some(found)) if hex(&Sha256::digest(&found.content)) != entry.digest => {
            ("changed", "it says something else than what was planted".to_owned())
        }
        // Times of reading have the grain of their file system: two seconds at most.
        Ok(Some(found)) if found.accessed > entry.dated + 2000 => {
            ("read", format!("read at {}", when::rfc3339(found.accessed)))
        }
        Ok(Some(_)) => ("untouched", String::new()),
        Err(error) => ("changed", error.to_string()),
    }
}

fn check(home: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let mut fine = true;
    let (mut any, mut was_read) = (false, false);
    for entry in known(home)? {
        let (what, why) = state(&entry);
        any = true;
        fine &= what == "untouched";
        was_read |= what == "read";
        Told { name: entry.name.clone(), path: entry.file(), what, why }.tell(json);
    }
    if !json && any {
        let doubt = if was_read { "a backup or an index of files reads them too; " } else { "" };
        say(&format!(
            "{doubt}many systems note no reading or only the first one: that none is noted does not say that there was none"
        ));
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Chosen<'a> {
    names: &'a [String],
    all: bool,
    forget: bool,
}

fn remove(home: &Path, chosen: &Chosen<'_>, manner: Manner) -> anyhow::Result<ExitCode> {
    let home = Home::open(home)?;
    let _lock = home.lock_secrets()?;
    let entries = known(home.root())?;
    let is_meant = |entry: &Entry| {
        let file = entry.file();
        chosen.all || chosen.names.iter().any(|name| *name == entry.name || Path::new(name) == file)
    };
    for name in chosen.names {
        let meant = |entry: &Entry| *name == entry.name || Path::new(name) == entry.file();
        if !entries.iter().any(meant) {
            return Err(config_error(format!("no decoy called `{}` is planted", name.escape_debug())));
        }
    }
    let (mut left, mut fine, mut made) = (Vec::new(), true, Vec::new());
    for entry in entries {
        if !is_meant(&entry) {
            left.push(entry);
            continue;
        }
        let told = remove_one(&entry, chosen.forget, manner.dry_run);
        told.tell(manner.json);
        if matches!(told.what, "kept" | "would_keep" | "would_remove") {
            fine &= told.what == "would_remove";
            left.push(entry);
        } else {
            made.extend(entry.folders);
        }
    }
    if !manner.dry_run {
        give_up_folders(made, &mut left);
        canaries::write(&home, &left)?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes away the folders that were made and are empty now. What still holds a decoy goes with the last one in it.
fn give_up_folders(mut made: Vec<PathBuf>, left: &mut [Entry]) {
    made.sort_by_key(|folder| folder.components().count());
    place::remove_folders(&made);
    for folder in made.into_iter().rev().filter(|folder| folder.exists()) {
        if let Some(heir) = left.iter_mut().find(|entry| entry.file().starts_with(&folder)) {
            heir.folders.insert(0, folder);
        }
    }
}

fn remove_one(entry: &Entry, forget: bool, dry_run: bool) -> Told {
    let told =
        |what, why: &str| Told { name: entry.name.clone(), path: entry.file(), what, why: why.to_owned() };
    let (what, why) = state(entry);
    match what {
        "missing" => told("forgotten", &why),
        "changed" if forget => told("forgotten", &format!("{why}; the file is left alone")),
        "changed" if dry_run => told("would_keep", &why),
        "changed" => told("kept", &format!("{why}; give it up with --forget, which leaves the file alone")),
        _ if dry_run => told("would_remove", &why),
        _ => {
            let ours = |content: &[u8]| hex(&Sha256::digest(content)) == entry.digest;
            match place::remove(&entry.root, &entry.path, ours) {
                Ok(true) => told("removed", ""),
                Ok(false) => told("kept", "it has just changed"),
                Err(error) => told("kept", &error.to_string()),
            }
        }
    }
}
