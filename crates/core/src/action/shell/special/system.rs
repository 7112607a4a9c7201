//! Processes, services, schedules, secrets, wrappers.

use super::super::builtins::{feeding, joined_by_spaces};
use super::super::eval::Eval;
use super::super::programs::{Call, line_of};
use super::super::stream::Stream;
use super::super::{Shell, Word};
use crate::action::{AssetClass, Capability, Target};

impl Eval {
    pub(super) fn system_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        if call.is("wrap") || call.is("elevate") || matches!(call.name, "env" | "watch" | "script") {
            return self.wrapper(call, stdin);
        }
        match call.name {
            "printenv" => Some(match call.operands.first() {
                None => self.dump_environment("printenv"),
                Some(word) => Stream::of_flows(Vec::new(), word.text.clone()),
            }),
            "kill" | "pkill" | "killall" | "killall5" | "skill" | "snice" | "xkill" | "fuser" => {
                Some(self.signal(call))
            }
            "pgrep" | "pidof" => Some(Stream::of_flows(Vec::new(), pattern_of(call))),
            "ps" | "top" | "htop" | "pstree" => Some(Stream::of_flows(Vec::new(), "processes")),
            "lsof" | "ss" | "netstat" => {
                let port = call.args.iter().rev().find(|word| word.text.contains(':'));
                let port = port.and_then(|word| word.text.rsplit(':').next());
                Some(Stream::of_flows(Vec::new(), port.unwrap_or("processes")))
            }
            "systemctl" | "service" | "rc-service" | "rc-update" | "chkconfig" | "update-rc.d" | "sv"
            | "initctl" | "launchctl" | "invoke-rc.d" | "supervisorctl" | "pm2" | "loginctl" | "monit"
            | "svcadm" => Some(self.service(call, stdin)),
            "crontab" | "at" | "batch" => Some(self.schedule(call, stdin)),
            "history" | "fc" => Some(self.history(call)),
            "screen" | "tmux" | "zellij" | "dtach" => Some(self.multiplexer(call, stdin)),
            "security" => Some(self.keychain(call)),
            "gpg" | "gpg2" | "age" | "rage" | "sops" | "pass" | "gopass" | "op" | "bw" | "lpass"
            | "keepassxc-cli" | "secret-tool" | "kwallet-query" | "kwalletcli" | "chamber" | "doppler"
            | "infisical" | "keyctl" | "aws-vault" | "step" => Some(self.secrets(call, stdin)),
            "openssl" => Some(self.openssl(call, stdin)),
            "pbpaste" | "xclip" | "xsel" | "wl-paste" | "wl-copy" | "pbcopy" => {
                Some(self.clipboard(call, stdin))
            }
            "mount" | "umount" | "fsck" | "parted" | "fdisk" | "diskutil" | "hdiutil" | "zfs" | "zpool"
            | "lvm" | "sysctl" | "defaults" | "timedatectl" | "softwareupdate" | "xattr" | "codesign"
            | "plutil" | "dconf" | "gsettings" | "ldconfig" | "getenforce" | "tccutil" | "profiles"
            | "spctl" | "nvram" | "csrutil" | "PlistBuddy" | "hwclock" | "systemsetup" | "hdparm"
            | "tune2fs" => Some(self.settings(call, stdin)),
            "su" | "runuser" => self.wrapper(call, stdin),
            "ip" | "ifconfig" | "route" | "arp" | "hostname" | "hostnamectl" | "iw" | "iwconfig"
            | "nmcli" | "networksetup" | "scutil" | "networkctl" | "brctl" | "ethtool" | "airport" => {
                Some(self.network_settings(call, stdin))
            }
            "getent" => {
                let shadow = call.operands.iter().any(|word| word.text.contains("shadow"));
                Some(if shadow {
                    self.read_file(&Word::known("/etc/shadow"), "getent")
                } else {
                    Stream::of_flows(Vec::new(), "accounts")
                })
            }
            "open" | "xdg-open" | "start" | "gio" | "kde-open" | "exo-open" | "wslview" => {
                Some(self.open_with(call, stdin))
            }
            _ => None,
        }
    }

    /// `env A=b program`: what the program runs sees the variables, and nothing behind it does.
    fn wrapper(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        self.apart(|eval| {
            for (_, word) in call.values.iter().filter(|(name, _)| *name == "=") {
                if let Some((name, value)) = word.text.split_once('=') {
                    let value = Word { text: value.to_owned(), ..word.clone() };
                    eval.set(name, vec![value], true);
                }
            }
            eval.wrapped(call, stdin)
        })
    }

    fn wrapped(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        for word in call.of_role(b's') {
            let ran = self.execute_text(word, Shell::Sh, call.name, stdin);
            if call.rest.is_empty() {
                return Some(ran);
            }
        }
        for word in call.of_role(b'w') {
            self.write_file(word, &Stream::default(), false, call.name);
        }
        if call.name == "env" && call.rest.is_empty() {
            return Some(self.dump_environment("env"));
        }
        if matches!(call.name, "su" | "runuser") {
            let dashes = call.args.iter().position(|word| word.text == "--");
            return Some(match dashes.and_then(|at| call.args.get(at + 1..)) {
                Some(rest) if !rest.is_empty() => self.run(rest, stdin),
                _ if stdin.present => self.execute_stream(stdin, &Word::known("su"), &[], stdin),
                _ => {
                    self.administer(call, &[]);
                    Stream::silent()
                }
            });
        }
        if call.name == "watch" {
            return Some(Stream::silent());
        }
        if call.name == "bwrap" {
            let rest = in_the_box(call.args);
            return Some(if rest.is_empty() { Stream::silent() } else { self.run(rest, stdin) });
        }
        if call.is("persist") {
            self.administer(call, &feeding(call.args, stdin));
        }
        if call.rest.is_empty() {
            if (call.is("shell") || call.name == "unshare" || call.name == "nsenter" || call.name == "chroot")
                && stdin.present
            {
                return Some(self.execute_stream(stdin, &Word::known(call.name), &[], stdin));
            }
            if call.is("shell") || call.is("elevate") && call.has_flag(&["-i", "-s", "-E"]) {
                let target = Target::Program("sh".to_owned());
                self.effect(Capability::Execute, target, AssetClass::Project, &[], call.name);
            }
            return Some(Stream::silent());
        }
        if matches!(call.name, "chroot" | "nsenter" | "unshare" | "capsh" | "setpriv") {
            self.administer(call, &[]);
        }
        Some(self.run(&call.rest, stdin))
    }

    fn signal(&mut self, call: &Call<'_>) -> Stream {
        if call.has_flag(&["-l", "-L", "--list"]) && call.operands.is_empty() {
            return Stream::silent();
        }
        if call.name == "fuser" && !call.has_flag(&["-k", "--kill"]) {
            let about = call.operand(0).split('/').next().unwrap_or_default().to_owned();
            return Stream::of_flows(Vec::new(), about);
        }
        // `-9`, `-KILL`, `-s TERM` are signals; what follows is aimed at.
        let mut operands: Vec<Word> = call.operands.clone();
        let group = call.args.iter().skip(1).filter(|word| {
            word.text
                .strip_prefix('-')
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        if call.name == "kill" {
            operands.extend(group.cloned());
        }
        if operands.is_empty() {
            // `-STOP` reads like letters of which one takes a value.
            operands.extend(call.args.iter().filter(|word| !word.text.starts_with('-')).cloned());
        }
        for word in &operands {
            let text = word.text.split_once("/tcp").map_or(word.text.as_str(), |(port, _)| port);
            let target = Target::Process(text.to_owned());
            self.effect(Capability::Signal, target, AssetClass::Unknown, &word.from, call.name);
        }
        Stream::silent()
    }

    fn service(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let words: Vec<&str> = call.operands.iter().map(|word| word.text.as_str()).collect();
        const STOPS: [&str; 14] = [
            "stop",
            "kill",
            "disable",
            "mask",
            "restart",
            "reload",
            "bootout",
            "unload",
            "remove",
            "try-restart",
            "delete",
            "isolate",
            "kickstart",
            "terminate",
        ];
        const READS: [&str; 14] = [
            "status",
            "list",
            "show",
            "cat",
            "is-active",
            "is-enabled",
            "is-failed",
            "list-units",
            "list-unit-files",
            "print",
            "logs",
            "list-timers",
            "get-default",
            "list-sessions",
        ];
        if call.name == "pm2"
            && let [start, line, ..] = call.operands.as_slice()
            && start.text == "start"
            && line.text.contains(' ')
        {
            self.execute_text(line, Shell::Sh, call.name, &Stream::default());
        }
        let verb = words.iter().find(|word| STOPS.contains(word));
        if verb.is_some() {
            for name in words.iter().filter(|word| !STOPS.contains(word)) {
                let target = Target::Process((*name).to_owned());
                self.effect(Capability::Signal, target, AssetClass::Unknown, &[], call.name);
            }
        }
        let reads =
            words.is_empty() || words.iter().any(|word| READS.contains(word) || word.starts_with("list"));
        let restart = matches!(verb, Some(&("restart" | "reload" | "try-restart")));
        if !reads && !restart {
            self.administer(call, &feeding(call.args, stdin));
        }
        Stream::of_flows(Vec::new(), words.join(" "))
    }

    /// `crontab FILE`, `… | crontab -`, `… | at now`: what comes in runs later.
    fn schedule(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        if call.has_flag(&["-l"]) || matches!(call.args.first(), Some(word) if word.text == "-l") {
            return Stream::of_flows(Vec::new(), "schedule");
        }
        let mut data = Stream { text: None, ..Stream::default() };
        let file = if call.name == "crontab" { call.operands.first() } else { call.value(&["-f"]) };
        let data_in = match file.filter(|word| word.text != "-") {
            Some(word) => self.read_file(&word.clone(), call.name),
            None => stdin.clone(),
        };
        data.from.clone_from(&data_in.from);
        let target = Target::Path { path: "/var/spool/cron/".to_owned() + call.name, exact: false };
        if call.has_flag(&["-r"]) {
            self.effect(Capability::DeleteFile, target, AssetClass::Startup, &[], call.name);
            return Stream::silent();
        }
        let flow = self.effect(Capability::WriteFile, target, AssetClass::Startup, &data.from, call.name);
        if let Some(text) = data_in.said() {
            self.reading.writes.push((flow, text.to_owned()));
            self.conditions += 1;
            for line in text.lines().take(64) {
                let command = if call.name == "crontab" { after_schedule(line) } else { line };
                self.read_text(command, Shell::Sh, &Stream::default());
            }
            self.conditions -= 1;
        }
        Stream::silent()
    }

    fn history(&mut self, call: &Call<'_>) -> Stream {
        let path = Target::Path { path: "~/.bash_history".to_owned(), exact: false };
        let clears = call.has_flag(&["-c", "-d", "-w"]);
        let capability = if clears { Capability::DeleteFile } else { Capability::ReadFile };
        let flow = self.effect(capability, path, AssetClass::Log, &[], call.name);
        Stream::of_flows(vec![flow], "~/.bash_history")
    }

    fn multiplexer(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut out = Stream::silent();
        let mut rest = call.operands.iter();
        while let Some(word) = rest.next() {
            let text = word.text.as_str();
            let verbs = [
                "new",
                "new-session",
                "new-window",
                "send-keys",
                "send",
                "run-shell",
                "split-window",
                "respawn-pane",
                "neww",
                "run",
                "pipe-pane",
                "if-shell",
            ];
            if verbs.contains(&text) {
                continue;
            }
            if matches!(
                text,
                "Enter"
                    | "C-m"
                    | "-X"
                    | "stuff"
                    | "ls"
                    | "attach"
                    | "a"
                    | "kill-session"
                    | "list-sessions"
                    | "kill-server"
            ) {
                continue;
            }
            let mut argv = vec![word.clone()];
            if call.name != "tmux" || !text.contains(' ') {
                argv.extend(rest.by_ref().cloned());
            }
            let ran = if argv.len() == 1 {
                self.execute_text(word, Shell::Sh, call.name, stdin)
            } else {
                self.run(&argv, stdin)
            };
            out.append(ran);
        }
        out
    }

    fn keychain(&mut self, call: &Call<'_>) -> Stream {
        let verb = call.operands.first().map_or("", |word| word.text.as_str());
        let reads = (verb.starts_with("find-") && !matches!(verb, "find-certificate" | "find-identity"))
            || verb.starts_with("dump-")
            || verb.starts_with("export")
            || verb == "unlock-keychain";
        if reads {
            let target = Target::Other(line_of(call));
            let flow = self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &[], "security");
            return Stream::of_flows(vec![flow], "keychain");
        }
        if verb.starts_with("add-")
            || verb.starts_with("delete-")
            || verb.starts_with("set-")
            || verb.starts_with("import")
            || verb.starts_with("authorizationdb")
        {
            self.administer(call, &[]);
        }
        Stream::of_flows(Vec::new(), "")
    }

    fn secrets(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let line = joined_by_spaces(call.args).text;
        let has = |words: &[&str]| call.args.iter().any(|word| words.contains(&word.text.as_str()));
        let takes = match call.name {
            "gpg" | "gpg2" => line.contains("--export-secret") || line.contains("--export-ssh"),
            "age" | "rage" => false,
            "sops" => has(&["-d", "--decrypt", "decrypt", "exec-env"]),
            "pass" | "gopass" => {
                !has(&["insert", "generate", "init", "ls", "git", "--help", "-h", "version", "help"])
            }
            "op" => {
                has(&["read", "get", "item", "run", "inject", "document"])
                    && !has(&["create", "--help", "list"])
                    && !names_only(call.args)
            }
            "keepassxc-cli" => has(&["show", "export", "attachment-export"]),
            "bw" => {
                let of = |kinds: &[&str]| kinds.contains(&call.operand(1));
                let open = match call.operand(0) {
                    "get" => of(&["username", "uri", "folder", "collection", "organization", "template"]),
                    "list" => of(&["folders", "collections", "organizations", "org-members"]),
                    _ => false,
                };
                has(&["get", "list", "show", "export"]) && !open
            }
            "lpass" => has(&["show", "export", "clip"]),
            "secret-tool" | "kwallet-query" | "kwalletcli" => {
                has(&["lookup", "search", "-r"]) || call.name != "secret-tool"
            }
            "keyctl" => has(&["print", "read", "pipe"]),
            "aws-vault" => has(&["export", "exec"]),
            _ => has(&["get", "read", "secrets", "export", "download", "run"]),
        };
        let mut data = self.inputs(call, stdin);
        if matches!(call.name, "gpg" | "gpg2" | "age" | "rage" | "sops") {
            for word in call.operands.clone() {
                if !word.text.starts_with('-')
                    && word.text.contains(['.', '/', '~'])
                    && !word.text.contains('@')
                {
                    data.append(self.read_file(&word, call.name));
                }
            }
        }
        data.unknown();
        if takes {
            let target = Target::Other(line_of(call));
            let flow =
                self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &data.from, call.name);
            data = Stream::of_flows(vec![flow], line);
        }
        if !call.rest.is_empty() {
            return self.run(&call.rest, stdin);
        }
        self.outputs(call, &data);
        data
    }

    fn openssl(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let after = |keys: &[&str]| {
            call.args.windows(2).find_map(|pair| match pair {
                [key, value] if keys.contains(&key.text.as_str()) => Some(value.clone()),
                _ => None,
            })
        };
        let verb = call.args.first().map_or("", |word| word.text.as_str());
        if matches!(verb, "s_client" | "s_time" | "ocsp") {
            let host = after(&["-connect", "-host", "-url"]).map(|word| word.text).unwrap_or_default();
            return self.both_ways(&host, "openssl", stdin);
        }
        if verb == "s_server" {
            let port = after(&["-accept", "-port"]).map(|word| word.text).unwrap_or_default();
            let flow = self.effect(
                Capability::NetworkListen,
                Target::Host(format!("0.0.0.0:{port}")),
                AssetClass::Internal,
                &[],
                "openssl",
            );
            return Stream::of_flows(vec![flow], port);
        }
        let mut data = stdin.clone();
        for key in ["-in", "-inkey", "-key", "-config", "-sign", "-kfile"] {
            // Whether it is whole, and nothing of it.
            let says = |option: &str| call.args.iter().any(|word| word.text == option);
            if key == "-in" && says("-noout") && !says("-text") {
                continue;
            }
            if let Some(file) = after(&[key]) {
                data = if data.present && key != "-in" { data } else { Stream::silent() };
                let read = self.read_file(&file, "openssl");
                data.append(read);
            }
        }
        // What comes out of it is for everybody.
        if call.args.iter().any(|word| matches!(word.text.as_str(), "-nokeys" | "-pubout")) {
            data = Stream::silent();
        }
        if let Some(engine) = after(&["-engine", "-provider"]) {
            self.run_script("openssl", &engine, &[], stdin);
        }
        let decodes =
            verb == "base64" || call.args.iter().any(|word| matches!(word.text.as_str(), "-base64" | "-a"));
        let reverses = call.args.iter().any(|word| word.text == "-d");
        let text = data.text.as_deref().filter(|_| decodes && reverses);
        let bytes = text.and_then(super::super::decode::base64_bytes);
        let data = data.decoded(bytes);
        if let Some(file) = after(&["-out", "-keyout"]) {
            self.write_file(&file, &data, false, "openssl");
            return Stream::silent();
        }
        data
    }

    fn clipboard(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let writes = matches!(call.name, "pbcopy" | "wl-copy")
            || (stdin.present && !call.has_flag(&["-o", "-out", "--output"]));
        if writes {
            return Stream::silent();
        }
        let flow = self.effect(Capability::ClipboardRead, Target::None, AssetClass::Unknown, &[], call.name);
        Stream::of_flows(vec![flow], "clipboard")
    }

    fn settings(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let verb = call.operand(0);
        let reads = call.args.is_empty()
            || matches!(
                verb,
                "list" | "read" | "info" | "status" | "get" | "show" | "export" | "history" | "-p" | "print"
            )
            || call.has_flag(&["-l", "-a", "--help", "-n", "-V", "--list", "-N", "-I", "-v"])
                && !call.has_flag(&["-w"])
                // `-nobrowse` has these letters.
                && !matches!(verb, "attach" | "mount");
        if !reads {
            self.administer(call, &feeding(call.args, stdin));
        }
        Stream::of_flows(stdin.from.clone(), "")
    }

    fn network_settings(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        const CHANGES: [&str; 14] = [
            "add",
            "del",
            "delete",
            "set",
            "up",
            "down",
            "flush",
            "replace",
            "change",
            "modify",
            "-setwebproxy",
            "-setsecurewebproxy",
            "-setdnsservers",
            "connect",
        ];
        let changes = call.args.iter().any(|word| {
            CHANGES.contains(&word.text.as_str())
                || word.text.starts_with("-set")
                || word.text.starts_with("set-")
        });
        if call.name == "nmcli"
            && call.args.iter().any(|word| matches!(word.text.as_str(), "-s" | "--show-secrets"))
        {
            let target = Target::Other(line_of(call));
            let flow = self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &[], "nmcli");
            return Stream::of_flows(vec![flow], "wifi");
        }
        if changes {
            self.administer(call, &feeding(call.args, stdin));
        }
        Stream::of_flows(stdin.from.clone(), "")
    }

    fn open_with(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        // `open -a APPLICATION --args …`: a program with its arguments.
        let given = call.args.iter().position(|word| word.text == "--args");
        if let (Some(at), Some(application)) = (given, call.value(&["-a", "-b"]).or(call.operands.first())) {
            let name = super::super::table::base_name(&application.text).trim_end_matches(".app").to_owned();
            let program = Word { text: name, ..application.clone() };
            let args = call.args.get(at + 1..).unwrap_or_default();
            return self.run(&[std::slice::from_ref(&program), args].concat(), stdin);
        }
        for word in &call.operands {
            if word.text.contains("://") {
                let (target, class) = super::super::eval::destination(&word.text);
                self.effect(Capability::BrowserNavigate, target, class, &word.from, call.name);
            } else if word.text.starts_with(['/', '.', '~']) {
                let (path, exact) = self.path(word);
                let argv = [Word::known(call.name), word.clone()];
                self.execute_path(&path, exact, Some(call.name), &argv, stdin);
            }
        }
        Stream::silent()
    }
}

/// Whether the fields asked for are none that is secret: `--fields label=username,url`.
fn names_only(args: &[Word]) -> bool {
    const OPEN: [&str; 14] = [
        "username", "user", "email", "login", "url", "urls", "website", "host", "hostname", "server", "port",
        "database", "title", "name",
    ];
    let texts = args.iter().map(|word| word.text.as_str());
    let after = texts.clone().skip(1).chain([""]);
    let fields = texts.zip(after).find_map(|(text, next)| match text.split_once('=') {
        Some(("--fields" | "--field", inline)) => Some(inline),
        None if matches!(text, "--fields" | "--field") => Some(next),
        _ => None,
    });
    fields.is_some_and(|fields| {
        fields.split(',').all(|field| OPEN.contains(&field.trim().trim_start_matches("label=")))
    })
}

fn pattern_of(call: &Call<'_>) -> String {
    call.operands.last().map(|word| word.text.clone()).unwrap_or_default()
}

/// The command of a crontab line.
fn after_schedule(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let mut rest = line;
    for _ in 0..fields {
        rest = rest.split_once([' ', '\t']).map_or("", |(_, rest)| rest.trim_start());
    }
    rest
}

/// What bubblewrap runs: the words behind its own options, some of which take two values (bwrap(1)).
fn in_the_box(args: &[Word]) -> &[Word] {
    const FLAGS: [&str; 16] = [
        "--unshare-all",
        "--share-net",
        "--unshare-user",
        "--unshare-user-try",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup",
        "--unshare-cgroup-try",
        "--clearenv",
        "--new-session",
        "--die-with-parent",
        "--as-pid-1",
        "--disable-userns",
        "--assert-userns-disabled",
    ];
    const PAIRS: [&str; 14] = [
        "--bind",
        "--bind-try",
        "--dev-bind",
        "--dev-bind-try",
        "--ro-bind",
        "--ro-bind-try",
        "--bind-fd",
        "--ro-bind-fd",
        "--symlink",
        "--setenv",
        "--file",
        "--bind-data",
        "--ro-bind-data",
        "--chmod",
    ];
    let mut at = 0;
    while let Some(word) = args.get(at) {
        at += match word.text.as_str() {
            "--" => return args.get(at + 1..).unwrap_or_default(),
            "--overlay" => 4,
            option if PAIRS.contains(&option) => 3,
            option if FLAGS.contains(&option) => 1,
            option if option.starts_with("--") => 2,
            _ => return args.get(at..).unwrap_or_default(),
        };
    }
    &[]
}
