//! A light reading of code handed to an interpreter in place: `python -c …`, `perl -e …`.
//!
//! Not a parser for ten languages: it looks for what the code holds (calls that run commands, sockets,
//! downloads, file names, URLs in string literals) and how those meet. What runs text it works out itself
//! (`exec`, `eval`) is an effect of unknown asset.

use super::eval::Eval;
use super::stream::{Stream, add_flows};
use super::{Shell, Word};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

const SOCKETS: [&str; 22] = [
    "socket",
    "fsockopen",
    "TCPSocket",
    "tcp.connect",
    "net.connect",
    "net.Socket",
    "net.createConnection",
    "createConnection",
    "Socket::INET",
    "stream_socket_client",
    "TCPServer",
    "UDPSocket",
    "net.dial",
    "Net.Dial",
    "connect(",
    "TCPClient",
    "/inet/tcp",
    "TcpStream",
    "pfsockopen",
    "InetSocketAddress",
    "/dev/tcp/",
    "gen_tcp",
];
const SPAWNS: [&str; 37] = [
    "os.system",
    "subprocess",
    "popen",
    "Popen",
    "pty.spawn",
    "os.exec",
    "execv",
    "execl",
    "spawn",
    "child_process",
    "exec(",
    "exec ",
    "system(",
    "system ",
    "shell_exec",
    "passthru",
    "proc_open",
    "ProcessBuilder",
    "Runtime.getRuntime",
    "Process.Start",
    "os.execute",
    "io.popen",
    "qx",
    "`",
    "do shell script",
    "Deno.run",
    "Deno.Command",
    "Bun.spawn",
    "Kernel.exec",
    "%x",
    "| getline",
    "os.dup2",
    "posix_spawn",
    "commands.getoutput",
    "execSync(",
    "execFile",
    "getoutput(",
];
const FETCHES: [&str; 22] = [
    "urlopen",
    "urlretrieve",
    "requests.get",
    "httpx",
    "aiohttp",
    "http.get",
    "https.get",
    "fetch(",
    "file_get_contents",
    "open-uri",
    "URI.open",
    "Net::HTTP",
    "LWP::Simple",
    "LWP::UserAgent",
    "HTTP::Tiny",
    "getstore",
    "axios",
    "DownloadString",
    "DownloadFile",
    "WebClient",
    "URI(",
    "copy(",
];
const POSTS: [&str; 15] = [
    "storbinary",
    "storlines",
    "sftp.put",
    "requests.post",
    "requests.put",
    ".post(",
    "method: 'POST'",
    "method:\"POST\"",
    "method:'POST'",
    "method: \"POST\"",
    "CURLOPT_POST",
    "UploadString",
    "UploadFile",
    ".sendall(",
    "smtplib",
];
const EVALS: [&str; 10] = [
    "exec(",
    "eval(",
    "eval ",
    "compile(",
    "__import__",
    "Function(",
    "assert(",
    "instance_eval",
    "load(",
    "loadstring",
];
const DECODES: [&str; 4] = ["marshal", "b64decode", "base64_decode", "fromhex"];
/// What runs a text as code of the same language.
const RUNS_TEXT: [&str; 7] =
    ["exec(", "exec (", "eval(", "eval ", "Function(", "instance_eval", "loadstring"];

/// What opens a connection or waits for one; looking up a name does not.
const CONNECTS: [&str; 22] = [
    "connect(",
    "connect_ex(",
    ".connect ",
    "create_connection(",
    "createConnection(",
    "TCPSocket",
    "Socket::INET",
    "fsockopen",
    "stream_socket_client",
    "net.connect",
    "net.Socket",
    "net.dial",
    "Net.Dial",
    "TCPClient",
    "TcpStream",
    "/inet/tcp",
    "gen_tcp",
    "TCPServer",
    ".accept(",
    ".bind(",
    "createServer(",
    "stream_socket_server",
];
/// What asks the stores of passwords and cookies that desktops and browsers keep.
const KEYRINGS: [&str; 13] = [
    "import secretstorage",
    "keyring.get_password",
    "keyring.get_credential",
    "win32crypt",
    "CryptUnprotectData",
    "ProtectedData.Unprotect",
    "browser_cookie3",
    "browsercookie",
    "pycookiecheat",
    "SecItemCopyMatching",
    "SecKeychainFind",
    "Secret.password_lookup",
    "keytar.findCredentials",
];
/// What sends a request to a host that is named apart from its path.
const REQUESTS: [&str; 9] = [
    "ftplib",
    "FTP(",
    ".connect(",
    ".request(",
    "HTTPSConnection",
    "HTTPConnection",
    "http.NewRequest",
    "HttpURLConnection",
    "tls.connect",
];
/// Names of files that look like names of hosts.
const FILE_ENDINGS: [&str; 17] = [
    ".json", ".js", ".mjs", ".ts", ".py", ".rb", ".php", ".txt", ".md", ".html", ".csv", ".yml", ".yaml",
    ".toml", ".log", ".xml", ".lock",
];
/// How code says the home directory.
const HOMES: [&str; 22] = [
    "os.path.expanduser('~')",
    "os.path.expanduser(\"~\")",
    "os.environ.get('HOME')",
    "os.getenv('HOME')",
    "ENV[\"HOME\"]",
    "os.environ[\"HOME\"]",
    "process.env.USERPROFILE",
    "getenv('HOME')",
    "$ENV{HOME}",
    "$ENV{'HOME'}",
    "#{Dir.home}",
    "#{ENV['HOME']}",
    "${os.homedir()}",
    "${process.env.HOME}",
    "Path.home()",
    "os.homedir()",
    "require('os').homedir()",
    "require(\"os\").homedir()",
    "Dir.home",
    "ENV['HOME']",
    "os.environ['HOME']",
    "process.env.HOME",
];
const WRITES: [&str; 23] = [
    "'w'",
    "\"w\"",
    "'a'",
    "\"a\"",
    "'wb'",
    "\"wb\"",
    "'ab'",
    "\"ab\"",
    "'w+'",
    "\"w+\"",
    "writeFile",
    "appendFile",
    "file_put_contents",
    "write_text",
    "File.write",
    "createWriteStream",
    "IO.write",
    "\">",
    "'>",
    "> \"",
    ">> \"",
    "shutil.copy",
    "copyFile",
];
const DELETES: [&str; 15] = [
    "remove_tree",
    "FileUtils.rm",
    "fs.rm(",
    "Directory.Delete",
    "rimraf",
    "os.remove",
    "os.unlink",
    "rmtree",
    "unlink",
    "rmSync",
    "unlinkSync",
    "File.delete",
    "rm_rf",
    "os.rmdir",
    "Path.unlink",
];
const ENVIRONMENT: [&str; 8] = [
    "os.environ",
    "process.env)",
    "process.env;",
    "getenv()",
    "ENV.to_h",
    "ENV.each",
    "%ENV",
    "System.getenv()",
];

impl Eval {
    /// Code in `word` is run by `by`.
    pub(super) fn run_code(&mut self, word: &Word, by: &str, stdin: &Stream) -> Stream {
        let code = word.text.as_str();
        if !self.budget.spend(code.len()) {
            return Stream::default();
        }
        let has = |needles: &[&str]| needles.iter().any(|needle| code.contains(needle));
        let revealed = revealed(code, by);
        let joined = join_literals(&with_home(&revealed));
        let literals = literals(&joined);
        let mut from = stdin.from.clone();
        add_flows(&mut from, &word.from);
        let quotes_run = ["perl", "ruby", "php", "jruby"].iter().any(|name| by.starts_with(name));
        let spawn = SPAWNS.iter().any(|needle| (*needle != "`" || quotes_run) && code.contains(needle));
        let evals = has(&DECODES) || EVALS.iter().any(|needle| calls(code, needle));
        let socket = has(&SOCKETS);
        let whole_environment =
            has(&ENVIRONMENT) && !code.contains("os.environ[") && !code.contains("os.environ.get");
        if whole_environment {
            let dump = self.dump_environment(by);
            add_flows(&mut from, &dump.from);
        }
        if has(&KEYRINGS) {
            let target = Target::Other("a store of passwords".to_owned());
            from.push(self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &[], by));
        }
        self.files_in(&literals, has(&WRITES), has(&DELETES), by, &mut from);
        self.home_deleted(&join_literals(code), by);
        if has(&DELETES) && has(&["join('/'", "join(\"/\"", "join('/',", "Path('/')", "Path(\"/\")"]) {
            let target = Target::Path { path: "/".to_owned(), exact: true };
            self.effect(Capability::DeleteFile, target, AssetClass::System, &[], by);
        }
        let mut fetched = Vec::new();
        let host = socket.then(|| host_in(code, &literals)).flatten();
        let sends = has(&POSTS) || (socket && !spawn && !from.is_empty());
        for url in literals.iter().filter(|text| text.contains("://") && !text.contains(' ')) {
            let reads = has(&FETCHES) || !sends;
            if has(&POSTS) || (!from.is_empty() && !spawn) {
                let data = Stream::of_flows(from.clone(), "");
                fetched.push(self.post(url, &data, by));
            } else if reads {
                fetched.push(self.fetch(url, &[], by));
            }
        }
        if let Some(host) = numbered_host(code).filter(|_| has(&FETCHES) || has(&REQUESTS) || socket) {
            fetched.push(self.fetch(&host, &[], by));
        }
        let named = |text: &&&str| !FILE_ENDINGS.iter().any(|ending| text.ends_with(ending));
        let hosts: Vec<&str> = literals.iter().filter(named).copied().collect();
        let asked = host_in(code, &hosts).filter(|_| fetched.is_empty() && !socket && has(&REQUESTS));
        if let Some(host) = asked {
            let data = Stream::of_flows(from.clone(), "");
            fetched.push(if has(&POSTS) {
                self.post(&host, &data, by)
            } else {
                self.fetch(&host, &from, by)
            });
        }
        if socket {
            let host = host.unwrap_or_default();
            if spawn {
                fetched.push(self.fetch(&host, &[], by));
            } else if fetched.is_empty() {
                let data = Stream::of_flows(from.clone(), "");
                fetched.push(self.post(&host, &data, by));
            }
        }
        add_flows(&mut from, &fetched);
        self.run_from_network(code, &fetched, spawn && has(&CONNECTS), by);
        let alarming = spawn || evals || socket || !word.exact || word.text.contains("${");
        let class = if alarming { AssetClass::Unknown } else { AssetClass::Project };
        let target = if word.text.trim_start().starts_with("${") && !word.from.is_empty() {
            Target::Input
        } else {
            Target::Code(word.text.clone())
        };
        let flow = self.effect(Capability::Execute, target, class, &from, by);
        if socket && spawn {
            let host = self.last_host();
            self.post(&host, &Stream::of_flows(vec![flow], ""), by);
        }
        let mut out = Stream::of_flows(vec![flow], "");
        let handed = self.client_commands(word, by, stdin);
        add_flows(&mut out.from, &handed.from);
        if spawn {
            self.commands_in(&joined, quotes_run, &mut out);
            for text in decoded_texts(code).into_iter().filter(|text| text.contains([' ', '/'])).take(8) {
                if self.budget.spend(text.len()) {
                    let ran = self.apart(|eval| eval.read_text(&text, Shell::Sh, &Stream::default()));
                    add_flows(&mut out.from, &ran.from);
                }
            }
        }
        out
    }

    /// Code that runs what the network says: text it fetched, or commands that come over a connection it opened or
    /// waits for. Reaching a host of its own network and running something known besides is what waiting for a
    /// database looks like.
    fn run_from_network(&mut self, code: &str, fetched: &[Flow], connected: bool, by: &str) {
        let fetches = |flow: &&Flow| {
            let effect = self.reading.effects.get(usize::from(**flow));
            effect
                .is_some_and(|e| e.capability == Capability::NetworkFetch && e.asset == AssetClass::External)
        };
        let from: Vec<Flow> = fetched.iter().filter(fetches).copied().collect();
        let text = code.replace("eval {", "").replace("eval{", "");
        if !from.is_empty() && (connected || RUNS_TEXT.iter().any(|needle| calls(&text, needle))) {
            self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, by);
        } else if connected && code.contains(".accept") && code.contains("bind(") {
            let flow = self.effect(Capability::NetworkListen, Target::None, AssetClass::Internal, &[], by);
            self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &[flow], by);
        }
    }

    /// The whole home directory, in the words that languages have for it, given to what deletes.
    fn home_deleted(&mut self, code: &str, by: &str) {
        let deletes = |needle: &str| {
            code.match_indices(needle).take(16).any(|(at, _)| {
                let after = code.get(at + needle.len()..).unwrap_or_default();
                let end =
                    (0..=after.len().min(48)).rev().find(|end| after.is_char_boundary(*end)).unwrap_or(0);
                let given = after.get(..end).unwrap_or_default();
                let given = given.trim_start_matches(|c: char| "(\"'` [".contains(c));
                let given = given.strip_prefix("glob").unwrap_or(given);
                let given = given.strip_prefix("os.path.expanduser").unwrap_or(given);
                let given = given.trim_start_matches(|c: char| "(\"'` [".contains(c));
                let home = HOMES.iter().chain(&["~", "$HOME"]).find_map(|home| given.strip_prefix(home));
                let rest = home.map(|rest| rest.trim_start_matches('/').trim_start_matches('*'));
                rest.is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(['"', '\'', '`', ')', ',', ']', ';'])
                })
            })
        };
        if DELETES.into_iter().any(deletes) {
            let target = Target::Path { path: "~".to_owned(), exact: true };
            self.effect(Capability::DeleteFile, target, AssetClass::System, &[], by);
        }
    }

    fn last_host(&self) -> String {
        let mut hosts =
            self.own_effects().iter().rev().filter(|effect| effect.capability == Capability::NetworkFetch);
        hosts.next().map(|effect| effect.target.as_str().to_owned()).unwrap_or_default()
    }

    /// Files that the code names.
    fn files_in(&mut self, literals: &[&str], writes: bool, deletes: bool, by: &str, from: &mut Vec<Flow>) {
        let spelled: Vec<String> = literals.iter().take(64).flat_map(|text| braces(text)).collect();
        for text in &spelled {
            let looks = text.len() > 1
                && text.len() < 512
                && !text.contains([' ', '\n', '<', '('])
                && !text.contains("://");
            if !looks || !text.contains(['/', '.', '~', '\\']) {
                continue;
            }
            let word = Word::known(text.as_str());
            let (path, exact) = self.path(&word);
            let class = asset::classify_path(&path, exact);
            let rooted = path.starts_with(['/', '~']) || path.contains(":/");
            if matches!(class, AssetClass::Unknown)
                || (class == AssetClass::Project && !rooted)
                || path.starts_with("/bin/")
                || path.starts_with("/usr/bin/")
                || path.starts_with("/dev/tcp")
                || path.starts_with("/inet")
            {
                continue;
            }
            let target = Target::Path { path, exact };
            if deletes {
                self.effect(Capability::DeleteFile, target, class, &[], by);
            } else if writes {
                self.effect(Capability::WriteFile, target, class, &from.clone(), by);
            } else {
                from.push(self.effect(Capability::ReadFile, target, class, &[], by));
            }
        }
    }

    /// String literals given to calls that run commands are read as commands.
    fn commands_in(&mut self, code: &str, quotes_run: bool, out: &mut Stream) {
        let mut done: Vec<String> = Vec::new();
        // Elsewhere these are quotes and formats of numbers.
        let quotes = ["`", "qx", "%x"];
        for call in SPAWNS.into_iter().filter(|call| quotes_run || !quotes.contains(call)) {
            let mut rest = code;
            let mut seen = 0;
            while let Some(at) = rest.find(call) {
                let (_, after) = rest.split_at_checked(at + call.len()).unwrap_or((rest, ""));
                rest = after;
                seen += 1;
                if seen > 16 {
                    break;
                }
                let found = match call {
                    "| getline" => command_before(code.get(..code.len() - after.len()).unwrap_or_default()),
                    _ => command_after(call, after),
                };
                let Some(text) = found else { continue };
                let trivial =
                    ["sh", "bash", "/bin/sh", "/bin/bash", "sh -i", "/bin/sh -i"].contains(&text.as_str());
                if trivial || text.len() < 2 || done.contains(&text) || !self.budget.spend(text.len()) {
                    continue;
                }
                let ran = self.apart(|eval| eval.read_text(&text, Shell::Sh, &Stream::default()));
                done.push(text);
                add_flows(&mut out.from, &ran.from);
            }
        }
    }
}

/// A path as globs of Ruby and others spell several: `~/.{npmrc,netrc}`.
fn braces(text: &str) -> Vec<String> {
    let parts = text.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        Some((before, (inner, after))) if inner.contains(',') && before.contains('/') => {
            inner.split(',').take(16).map(|name| format!("{before}{name}{after}")).collect()
        }
        _ => vec![text.to_owned()],
    }
}

/// The code with texts that it spells in numbers as literals; in awk, where literals side by side are one text, as one.
fn revealed(code: &str, by: &str) -> String {
    let mut out = code.to_owned();
    if by.ends_with("awk") && code.contains("\" \"") {
        out = out.replace("\" \"", "");
    }
    for text in decoded_texts(code) {
        out.push_str(" \"");
        out.push_str(&text.replace(['"', '\\'], " "));
        out.push('"');
    }
    out
}

/// Texts that are spelled as lists of character codes (`bytes([114, 109])`) or in hexadecimal (`fromhex('726d')`).
fn decoded_texts(code: &str) -> Vec<String> {
    let printable = |bytes: &[u8]| {
        let plain = bytes.iter().all(|b| matches!(b, b'\t' | b'\n' | 0x20..=0x7e));
        (bytes.len() > 3 && plain).then(|| bytes.iter().map(|b| char::from(*b)).collect::<String>())
    };
    let mut out = Vec::new();
    for (at, _) in code.match_indices(['(', '[']).take(256) {
        let inner =
            code.get(at + 1..).and_then(|rest| rest.split([')', ']', '(', '[']).next()).unwrap_or_default();
        if inner.len() > 16 * 1024 || !inner.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let numbers: Option<Vec<u8>> = inner.split(',').map(|n| number(n.trim())).collect();
        out.extend(numbers.and_then(|numbers| printable(&numbers)));
    }
    for turned in ["[::-1]", ".reverse", ".split('').reverse", ".split(\"\").reverse"] {
        for (at, _) in code.match_indices(turned).take(16) {
            let before = code.get(..at).and_then(|before| before.strip_suffix(['"', '\'']));
            let text = before.and_then(|text| text.rsplit(['"', '\'']).next()).unwrap_or_default();
            out.extend(printable(text.chars().rev().collect::<String>().as_bytes()));
        }
    }
    for call in ["fromhex(", "unhexlify(", "'hex'", "pack('H*',", "pack(\"H*\","] {
        for (at, _) in code.match_indices(call).take(16) {
            let rest = if call == "'hex'" { code.get(..at) } else { code.get(at + call.len()..) };
            let rest = rest.unwrap_or_default();
            let quoted = if call == "'hex'" {
                rest.rsplit(['"', '\'']).nth(1)
            } else {
                rest.split(['"', '\'']).nth(1)
            };
            let digits = quoted.unwrap_or_default().as_bytes();
            let bytes: Option<Vec<u8>> = digits
                .chunks(2)
                .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
                .collect();
            out.extend(bytes.and_then(|bytes| printable(&bytes)));
        }
    }
    out
}

fn number(text: &str) -> Option<u8> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The code with paths that it puts behind the home directory (`HOME + '/.npmrc'`, `join(HOME, '.ssh')`) as one literal each.
fn with_home(code: &str) -> String {
    let mut code = code.to_owned();
    for home in HOMES.into_iter().filter(|home| !home.starts_with(['$', '#'])) {
        let mut rest = code.as_str();
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once(home) {
            out.push_str(before);
            let tail = after.trim_start();
            let tail = tail.strip_prefix(['+', '.', '/', ',']).unwrap_or(tail).trim_start();
            rest = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) if tail.len() < after.len() => {
                    out.push(quote);
                    out.push_str("~/");
                    tail.get(1..).unwrap_or_default().trim_start_matches('/')
                }
                _ => {
                    out.push_str(home);
                    after
                }
            };
        }
        out.push_str(rest);
        code = out;
    }
    for (home, plain) in [
        ("${os.homedir()}", "~"),
        ("${process.env.HOME}", "~"),
        ("$ENV{HOME}", "~"),
        ("#{Dir.home}", "~"),
        ("#{ENV['HOME']}", "~"),
    ] {
        if code.contains(home) {
            code = code.replace(home, plain);
        }
    }
    code
}

/// An address that is written as four numbers in a list or tuple, to be joined by dots.
fn numbered_host(code: &str) -> Option<String> {
    let joins = code.contains("join");
    code.match_indices(['(', '[']).filter(|_| joins).take(256).find_map(|(at, _)| {
        let inner = code.get(at + 1..)?.split([')', ']']).next()?;
        let numbers: Vec<u8> = inner.split(',').map_while(|n| n.trim().parse().ok()).collect();
        match numbers.as_slice() {
            [a, b, c, d] if inner.split(',').count() == 4 => Some(format!("{a}.{b}.{c}.{d}")),
            _ => None,
        }
    })
}

/// Whether `code` has `needle` as a name of its own, not as the end of another or as a method.
fn calls(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.'))
    })
}

/// The command in the first literal after a call, or all literals of a list joined.
fn command_after(call: &str, after: &str) -> Option<String> {
    match call {
        "`" => return after.split_once('`').map(|(text, _)| text.to_owned()),
        "qx" | "%x" => {
            let open = after.chars().next().filter(|c| c.is_ascii_punctuation())?;
            let close = match open {
                '{' => '}',
                '(' => ')',
                '[' => ']',
                '<' => '>',
                open => open,
            };
            return after.get(1..)?.split_once(close).map(|(text, _)| text.to_owned());
        }
        _ => {}
    }
    // `require('child_process').exec('…')`: the quote behind the name closes it.
    let after = if call == "child_process" { after.trim_start_matches(['"', '\'', '`']) } else { after };
    let window = after.get(..after.len().min(600)).or_else(|| after.get(..0))?;
    let start = window.find(['"', '\''])?;
    let lead = window.get(..start)?;
    if lead.len() > 40 || lead.contains([';', '\n']) {
        return None;
    }
    if lead.contains('[') {
        let list = window.get(start..)?.split(']').next()?;
        let parts = literals(list);
        let shell = parts.iter().position(|part| *part == "-c");
        return match shell {
            Some(at) => parts.get(at + 1).map(|text| (*text).to_owned()),
            None => Some(parts.iter().map(|part| super::builtins::quote(part)).collect::<Vec<_>>().join(" ")),
        };
    }
    let words = listed(window.get(start..)?);
    match (words.as_slice(), words.iter().position(|word| *word == "-c")) {
        (_, Some(at)) => words.get(at + 1).map(|text| (*text).to_owned()),
        // One text is a line for a shell; several are a program and what it is given.
        ([program, _, ..], None) if !program.contains(' ') => {
            Some(words.iter().map(|word| super::builtins::quote(word)).collect::<Vec<_>>().join(" "))
        }
        (words, None) => words.first().map(|text| (*text).to_owned()),
    }
}

/// The literals with which `code` begins, as long as only commas and brackets stand between them.
fn listed(code: &str) -> Vec<&str> {
    let (mut rest, mut words) = (code, Vec::new());
    while let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let Some(word) = literals(rest).first().copied() else { break };
        words.push(word);
        let Some(after) = rest.get(word.len() + 2 * quote.len_utf8()..) else { break };
        rest = after.trim_start_matches([',', ' ', '[', '\n', '\t']);
        if rest.len() == after.len() || words.len() >= 32 {
            break;
        }
    }
    words
}

/// What stands in quotes at the end of `code`, before what takes its output: awk's `"id" | getline`.
fn command_before(code: &str) -> Option<String> {
    let code = code.strip_suffix("| getline").unwrap_or(code).trim_end();
    let quote = code.chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
    let inner = code.strip_suffix(quote)?;
    inner.rfind(quote).and_then(|at| inner.get(at + 1..)).map(str::to_owned)
}

/// Literals that code puts together (`'a' + 'b'`, `"a" . "b"`, `Path('a') / 'b'`) as one.
pub(crate) fn join_literals(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code.chars();
    let mut open = None;
    while let Some(c) = rest.next() {
        match open {
            Some(_) if c == '\\' => {
                out.push(c);
                out.extend(rest.next());
                continue;
            }
            Some(quote) if c == quote => {
                if let Some((operator, tail)) = joined_after(rest.as_str(), quote) {
                    out.extend((operator == '/').then_some('/'));
                    rest = tail.chars();
                    continue;
                }
                open = None;
            }
            None if matches!(c, '"' | '\'') => open = Some(c),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// What joins the literal that ended before `rest` to the next, and that literal from its start.
fn joined_after(rest: &str, quote: char) -> Option<(char, &str)> {
    let rest = rest.trim_start().trim_start_matches(')').trim_start();
    let operator = rest.chars().next().filter(|c| "+./".contains(*c))?;
    let tail = rest.strip_prefix(operator)?.trim_start().strip_prefix(quote)?;
    Some((operator, tail))
}

/// String literals, in order; escapes are left as they are.
fn literals(code: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let bytes = code.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if !matches!(byte, b'"' | b'\'' | b'`') {
            continue;
        }
        let start = at;
        let mut escaped = false;
        while let Some(&c) = bytes.get(at) {
            if escaped {
                escaped = false;
            } else if c == b'\\' {
                escaped = true;
            } else if c == byte {
                break;
            }
            at += 1;
        }
        if let Some(text) = code.get(start..at) {
            out.push(text);
        }
        at += 1;
        if out.len() >= 256 {
            break;
        }
    }
    out
}

/// The host a socket is opened to: the literal that looks like one, with the number after it.
fn host_in(code: &str, literals: &[&str]) -> Option<String> {
    for text in literals {
        let text = text.trim();
        let host = text.strip_prefix("tcp://").unwrap_or(text);
        let named =
            host.contains('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
        if !named || host.len() < 4 || host.starts_with('.') {
            continue;
        }
        if host.contains(':') {
            return Some(host.to_owned());
        }
        let after = code.split_once(text).map_or("", |(_, after)| after);
        let digits: String = after
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .take(5)
            .collect();
        return Some(if digits.is_empty() { host.to_owned() } else { format!("{host}:{digits}") });
    }
    None
}
