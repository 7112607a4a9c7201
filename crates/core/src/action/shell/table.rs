//! What programs do, as data: one line a program.
//!
//! ```text
//! names | operands | options | traits
//! ```
//!
//! **Operands** are roles, one letter each, in order; the last one with `*` holds for all further
//! operands; letters after `*` are for the last operands. **Options** are `-o:R` (takes a value with role
//! R), `-o>ROLES` (its presence changes the operands' roles) and `-o=TRAIT` (its presence adds a trait);
//! options not listed take no value.
//!
//! | role | the operand or value is |
//! |---|---|
//! | `r` | a file read; its content goes to the output |
//! | `w` | a file written with what was read |
//! | `m` | a file changed in place |
//! | `d` | a file deleted |
//! | `y` | a file moved: read, then deleted |
//! | `k` | a file whose mode, owner or times change |
//! | `l` | a file only named or listed |
//! | `x` | a script that is run |
//! | `e` | code in the program's language |
//! | `s` | a command line for a shell |
//! | `c` | the start of another command: program and arguments |
//! | `u` | a URL or host that is fetched from |
//! | `h` | a host that is talked to |
//! | `b` | data sent: text, or `@file` |
//! | `f` | form data sent: `name=text`, `name=@file`, `name=<file` |
//! | `t` | a file sent |
//! | `a` | sent along with a request, which makes none a POST: text, `@file`, a jar of cookies |
//! | `n` | a process: name, number |
//! | `o` | a directory that is written to |
//! | `p` | a pattern or expression: no effect, but not a file either |
//! | `.` | anything else |
//!
//! **Traits**: `run` executes ordinary project work; `admin` changes the system; `secret` asks for
//! secrets; `registry` fetches from a package registry; `shell` and `code` run their input when no script
//! is given; `net` sends what its arguments carry; `sink` prints nothing of what it read; `quiet` does
//! nothing by itself (the default is to pass on what it reads); `old` takes options without a dash
//! (`tar xf`); `single` has long options with one dash; `listen` accepts connections; `signal`
//! signals processes; `fn` has a reader of its own in [`super::special`].

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Shell;
use crate::action::asset::glob_matches;

/// What the table says of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Roles of operands from the front; the last is for all further ones if `repeats`.
    pub(super) operands: Operands,
    pub(super) options: Vec<(&'static str, Opt)>,
    pub(super) traits: Vec<&'static str>,
}

/// Roles by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Operands {
    pub(super) first: Vec<u8>,
    pub(super) rest: Option<u8>,
    pub(super) last: Vec<u8>,
}

/// What an option means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    /// Takes a value with this role.
    Value(u8),
    /// Changes what the operands are.
    Operands(Operands),
    /// Adds a trait.
    Trait(&'static str),
}

impl Row {
    pub(super) fn is(&self, name: &str) -> bool {
        self.traits.contains(&name)
    }

    pub(super) fn option(&self, name: &str) -> Option<&Opt> {
        self.options.iter().find(|(own, _)| *own == name).map(|(_, opt)| opt)
    }

    /// A long option, which may be cut short as long as it is clear.
    pub(super) fn long_option(&self, name: &str) -> Option<(&'static str, &Opt)> {
        let exact = self.options.iter().find(|(own, _)| *own == name);
        let by_start = || {
            let start = |own: &str| name.len() > 3 && own.starts_with(name);
            self.options.iter().find(|(own, _)| start(own))
        };
        exact.or_else(by_start).map(|(own, opt)| (*own, opt))
    }
}

const SH: &str = include_str!("programs.tbl");
const WINDOWS: &str = include_str!("programs_windows.tbl");

struct Tables {
    /// Every program that is known by its name alone.
    sh: HashMap<&'static str, Row>,
    /// Windows programs whose names mean something else in other shells.
    only: HashMap<&'static str, Row>,
    windows: HashMap<(bool, &'static str), &'static str>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let (only, known): (HashMap<_, _>, HashMap<_, _>) =
        parse(WINDOWS).0.into_iter().partition(|(_, row)| row.is("only"));
    let mut sh = parse(SH).0;
    for (name, row) in known {
        sh.entry(name).or_insert(row);
    }
    Tables { sh, only, windows: aliases() }
});

/// The rows of a table, and its lines that are no rows (a test keeps those at none).
fn parse(text: &'static str) -> (HashMap<&'static str, Row>, Vec<&'static str>) {
    let (mut rows, mut faults) = (HashMap::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut columns = line.split('|').map(str::trim);
        let names = columns.next().unwrap_or_default();
        let operands = columns.next().and_then(operands);
        let options: Option<Vec<_>> =
            columns.next().unwrap_or_default().split_whitespace().map(option).collect();
        let traits: Vec<&'static str> = columns.next().unwrap_or_default().split_whitespace().collect();
        let (Some(operands), Some(options)) = (operands, options) else {
            faults.push(line);
            continue;
        };
        for name in names.split_whitespace() {
            let row = Row { operands: operands.clone(), options: options.clone(), traits: traits.clone() };
            if rows.insert(name, row).is_some() {
                faults.push(line);
            }
        }
    }
    (rows, faults)
}

fn operands(text: &str) -> Option<Operands> {
    let mut out = Operands::default();
    let mut starred = false;
    for byte in text.bytes() {
        match byte {
            b'*' => {
                out.rest = out.first.pop();
                starred = true;
            }
            b'a'..=b'z' | b'.' if starred => out.last.push(byte),
            b'a'..=b'z' | b'.' => out.first.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

fn option(text: &'static str) -> Option<(&'static str, Opt)> {
    let at = text.find([':', '>', '='])?;
    let (name, rest) = text.split_at_checked(at)?;
    let value = rest.get(1..)?;
    let opt = match rest.as_bytes().first()? {
        b':' => Opt::Value(*value.as_bytes().first()?),
        b'>' => Opt::Operands(operands(value)?),
        _ => Opt::Trait(value),
    };
    Some((name, opt))
}

/// Windows names for what the table knows under another name.
fn aliases() -> HashMap<(bool, &'static str), &'static str> {
    include_str!("aliases.tbl")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (shell, rest) = line.split_once('|')?;
            let (names, row) = rest.split_once('|')?;
            Some((shell.trim() == "ps", names, row.trim()))
        })
        .flat_map(|(ps, names, row)| names.split_whitespace().map(move |name| ((ps, name), row)))
        .collect()
}

/// What is known of `name`.
pub(super) fn lookup(name: &str, shell: Shell) -> Option<&'static Row> {
    let tables = &*TABLES;
    if shell == Shell::Sh
        && let Some(row) = tables.sh.get(name)
    {
        return Some(row);
    }
    let lower = name.to_ascii_lowercase();
    let file = lower.strip_suffix(".exe").or_else(|| lower.strip_suffix(".com"));
    let plain = file.unwrap_or(&lower);
    // `sc` is an alias of PowerShell, `sc.exe` is none.
    if shell != Shell::Sh
        && file.is_none()
        && let Some(row) =
            tables.windows.get(&(shell == Shell::PowerShell, plain)).and_then(|name| tables.sh.get(name))
    {
        return Some(row);
    }
    if (shell != Shell::Sh || file.is_some())
        && let Some(row) = tables.only.get(plain)
    {
        return Some(row);
    }
    // `python3.11`, `clang-18`; cmdlets are met in any shell.
    let versioned = plain.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    [plain, versioned].into_iter().find_map(|name| tables.sh.get(name))
}

/// The table's own name for a Windows alias.
pub(super) fn canonical(name: &str, shell: Shell) -> Option<&'static str> {
    TABLES.windows.get(&(shell == Shell::PowerShell, name)).copied()
}

/// Whether `name` is a program of Windows and of nothing else: what a line begins with tells its shell.
pub(super) fn is_windows_program(name: &str) -> bool {
    static NAMES: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| {
        let foreign = parse(SH).0;
        let rows = parse(WINDOWS).0.into_iter().filter(|(_, row)| !row.is("only") && !row.is("ps"));
        rows.map(|(name, _)| name)
            .filter(|name| !foreign.contains_key(name) && !SHARED.contains(name))
            .collect()
    });
    // Words that begin lines elsewhere, too.
    const SHARED: [&str; 12] = [
        "move", "rename", "where", "title", "color", "mode", "choice", "prompt", "rem", "klist", "tracker",
        "subst",
    ];
    NAMES.contains(name)
}

/// The known programs a glob may name, a few.
pub(super) fn matching(glob: &str) -> Vec<(&'static str, &'static Row)> {
    if glob.chars().all(|c| matches!(c, '*' | '?')) && glob.contains('*') {
        return Vec::new();
    }
    let mut found: Vec<_> =
        TABLES.sh.iter().filter(|(name, _)| glob_matches(glob, name)).map(|(n, r)| (*n, r)).collect();
    found.sort_by_key(|(name, _)| *name);
    found.truncate(8);
    found
}

/// The last name of a path, with either separator.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Whether programs in there are the ones the table means.
pub(super) fn is_program_directory(path: &str) -> bool {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let lower = directory.to_lowercase();
    const DIRECTORIES: [&str; 15] = [
        "/bin",
        "/sbin",
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/opt/homebrew/bin",
        "/opt/local/bin",
        "/run/current-system/sw/bin",
        "~/.local/bin",
        "~/.cargo/bin",
        "node_modules/.bin",
        "/usr/libexec",
        "c:/windows",
        "/busybox",
    ];
    DIRECTORIES.contains(&lower.as_str())
        || lower.starts_with("c:/windows/")
        || lower.starts_with("c:/program files")
        || lower.ends_with("/node_modules/.bin")
        || lower.ends_with("venv/bin")
        || lower.starts_with("${")
}

/// Which of our readers can read the script `text` that `by` runs.
pub(super) fn script_shell(by: &str, text: &str) -> Option<Shell> {
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with("#!") && !first.contains("sh") {
        return None;
    }
    let by = base_name(by).to_ascii_lowercase();
    let by = by.strip_suffix(".exe").unwrap_or(&by);
    match by {
        "powershell" | "pwsh" => Some(Shell::PowerShell),
        "cmd" => Some(Shell::Cmd),
        _ if by.ends_with(".ps1") => Some(Shell::PowerShell),
        _ if by.ends_with(".bat") || by.ends_with(".cmd") => Some(Shell::Cmd),
        _ => match lookup(by, Shell::Sh) {
            Some(row) if row.is("code") => None,
            _ => Some(Shell::Sh),
        },
    }
}

/// The interpreter of a script that is not a shell's: who runs it, or what its first line says.
pub(super) fn interpreter_of(by: &str, text: &str) -> String {
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default();
    let said =
        first.split([' ', '/', '\t']).map(str::trim).rfind(|word| !word.is_empty() && !word.starts_with('-'));
    let code = lookup(base_name(by), Shell::Sh).is_some_and(|row| row.is("code"));
    base_name(if code { by } else { said.unwrap_or(by) }).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_well_formed() {
        let (mut rows, faults) = parse(SH);
        assert_eq!(faults, Vec::<&str>::new(), "bad or repeated");
        assert!(rows.len() > 300, "{}", rows.len());
        let (windows, faults) = parse(WINDOWS);
        assert_eq!(faults, Vec::<&str>::new(), "bad or repeated");
        for (name, row) in windows {
            let only = row.is("only");
            assert!(rows.insert(name, row).is_none() || only, "{name} is in both tables");
        }
        let roles = b"rwmdykxlescuhbftnop.";
        for (name, row) in &rows {
            let all = row.operands.first.iter().chain(&row.operands.rest).chain(&row.operands.last);
            for role in all {
                assert!(roles.contains(role), "{name}: role {}", char::from(*role));
            }
            for (option, _) in &row.options {
                assert!(option.starts_with(['-', '/', '+']), "{name}: {option}");
            }
        }
        for ((_, alias), name) in aliases() {
            assert!(rows.contains_key(name), "{alias} stands for {name}, which is not in the table");
        }
    }
}
