//! Whether code takes the whole environment, with whatever secrets are in it, or single variables by name.

/// What is the whole environment wherever it stands.
const WHOLE: [&str; 20] = [
    "getenv()",
    "ENV.to_h",
    "ENV.to_a",
    "ENV.each",
    "ENV.map",
    "ENV.collect",
    "ENV.inspect",
    "ENV.select",
    "ENV.filter",
    "ENV.reject",
    "ENV.sort",
    "%ENV",
    "$_ENV)",
    "System.getenv()",
    "os.Environ()",
    "GetEnvironmentVariables",
    "environ.items(",
    "environ.values(",
    "in ENVIRON",
    "os.environb",
];

/// Methods of Python's `os.environ` that take or set variables by name.
const BY_NAME: [&str; 8] = [
    ".get(",
    ".setdefault(",
    ".pop(",
    ".update(",
    ".__getitem__(",
    ".__setitem__(",
    ".__contains__(",
    ".putenv(",
];

/// Beginnings of names behind which secrets are kept.
const TELLING: [&str; 22] = [
    "aws",
    "azure",
    "gcp",
    "google",
    "github",
    "gh_",
    "gitlab",
    "npm",
    "pypi",
    "twine",
    "docker",
    "token",
    "secret",
    "api",
    "key",
    "pass",
    "cred",
    "auth",
    "ci_",
    "openai",
    "anthropic",
    "stripe",
];

/// Whether `code` takes the whole environment. Where nothing it holds could `send` it anywhere, handing it on to a
/// program (which has it anyhow), counting it, and picking names with a harmless beginning are not taking it.
pub(super) fn is_taken(code: &str, sends: bool) -> bool {
    let narrowed = !sends && is_narrowed(code);
    let listed = WHOLE.iter().any(|needle| code.contains(needle));
    if listed && !narrowed {
        return true;
    }
    if listed && narrowed {
        return false;
    }
    let python = code.match_indices("os.environ").take(64).any(|(at, word)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + word.len()..).unwrap_or_default();
        let named = BY_NAME.iter().any(|method| after.starts_with(method)) || is_one(after);
        let picked = narrowed && before.trim_end().ends_with(" in");
        let handed =
            !sends && (is_handed_on(before) || after.starts_with(".copy()") || before.ends_with("len("));
        let handed = handed || picked;
        !named && !after.starts_with(|c: char| c.is_alphanumeric()) && !is_asked(before) && !handed
    });
    let script = code.match_indices("process.env").take(64).any(|(at, word)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + word.len()..).unwrap_or_default();
        let named = after.starts_with(['.', '[', '_', '?', '!']) || after.starts_with(char::is_alphanumeric);
        // `const { PORT } = process.env`
        let picked = before.trim_end().strip_suffix('=').is_some_and(|lead| {
            lead.trim_end()
                .strip_suffix('}')
                .and_then(|lead| lead.rsplit('{').next())
                .is_some_and(|names| !names.contains("..."))
        });
        let names = !sends && before.ends_with("Object.keys(");
        !named && !picked && !names && (sends || !is_handed_on(before))
    });
    python || script
}

/// `['NAME']`, `["NAME"]`; a name that is worked out may be any.
fn is_one(after: &str) -> bool {
    let Some(key) = after.strip_prefix('[') else { return false };
    let key = key.trim_start();
    key.starts_with(['"', '\''])
        || key.split_once(']').is_some_and(|(_, rest)| {
            let rest = rest.trim_start();
            rest.starts_with('=') && !rest.starts_with("==")
        })
}

/// `"NAME" in os.environ`
fn is_asked(before: &str) -> bool {
    let lead = before.trim_end().strip_suffix("in").map(str::trim_end);
    let lead = lead.map(|lead| lead.strip_suffix("not").unwrap_or(lead).trim_end());
    lead.is_some_and(|lead| lead.ends_with(['"', '\'']))
}

/// `run(…, env={**os.environ, …})`, `spawn(…, {env: {...process.env, …}})`
fn is_handed_on(before: &str) -> bool {
    let plain: String = before.chars().rev().take(24).filter(|c| !c.is_whitespace()).collect();
    let lead: String = plain.chars().rev().collect();
    let opened =
        ["{**", "dict(", "{...", "{"].iter().find_map(|open| lead.strip_suffix(open)).unwrap_or(&lead);
    [",env=", "(env=", "{env:", ",env:"].iter().any(|key| opened.ends_with(key))
}

/// `{k: v for k, v in os.environ.items() if k.startswith("APP_")}`
fn is_narrowed(code: &str) -> bool {
    let starts = ["startswith(", "startsWith(", "start_with?("];
    let mut asked = starts.iter().flat_map(|call| code.match_indices(call)).peekable();
    asked.peek().is_some()
        && asked.all(|(at, call)| {
            let after = code.get(at + call.len()..).unwrap_or_default();
            let given = after.split(')').next().unwrap_or_default().to_ascii_lowercase();
            let names: Vec<&str> = given.split(['"', '\'']).skip(1).step_by(2).collect();
            let harmless =
                |name: &&str| name.len() >= 3 && !TELLING.iter().any(|word| name.starts_with(word));
            !names.is_empty() && names.iter().all(harmless)
        })
}

#[cfg(test)]
mod tests {
    use super::is_taken;

    #[test]
    fn the_whole_is_told_from_one_of_it() {
        for code in [
            "print(dict(os.environ))",
            "json.dumps({**os.environ})",
            "[f(os.environ[k]) for k in os.environ]",
            "console.log(JSON.stringify({...process.env}))",
            "let d={e:process.env};send(d)",
            "puts ENV.map{|k,v| v}",
            "print({k:v for k,v in os.environ.items() if k.startswith('AWS_')})",
        ] {
            assert!(is_taken(code, false), "{code}");
        }
        for code in [
            "print(os.environ['HOME'])",
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')",
            "os.environ['A'] = 'b'",
            "os.environ[name] = 'b'",
            "print('CI' in os.environ)",
            "subprocess.run(['make'], env={**os.environ, 'V': '1'})",
            "print(len(os.environ))",
            "cp.spawn('make', {env: {...process.env, V: '1'}})",
            "const { PORT } = process.env",
            "print(len({k:v for k,v in os.environ.items() if k.startswith('RUST_')}))",
            "print([k for k in os.environ if k.startswith('RUST_')])",
        ] {
            assert!(!is_taken(code, false), "{code}");
        }
        assert!(is_taken("post({k:v for k,v in os.environ.items() if k.startswith('APP_')})", true));
    }
}
