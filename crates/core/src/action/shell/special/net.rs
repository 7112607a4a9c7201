//! Network clients.

use super::super::builtins::{feeding, joined_by_spaces};
use super::super::env::File;
use super::super::eval::Eval;
use super::super::programs::Call;
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word};
use crate::action::{AssetClass, Capability, Target, asset};

impl Eval {
    pub(super) fn net_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "curl" | "wget" | "wget2" | "aria2c" | "axel" | "lwp-download" | "fetch" => {
                let first = self.reading.effects.len();
                let data = self.download(call, stdin);
                self.detours(call, first);
                Some(data)
            }
            "http" | "https" | "xh" | "xhs" | "httpie" => {
                let first = self.reading.effects.len();
                let data = self.httpie(call, stdin);
                self.detours(call, first);
                Some(data)
            }
            "lwp-post" | "POST" => {
                let data = stdin.clone();
                let flow = self.post(call.operand(0), &data, call.name);
                Some(Stream::of_flows(vec![flow], ""))
            }
            "nc" | "nc64" | "ncat" | "netcat" | "nc.traditional" | "nc.openbsd" | "busybox-nc" | "pwncat" => {
                Some(self.netcat(call, stdin))
            }
            "telnet" | "rlogin" => Some(self.both_ways(&host_port(call), call.name, stdin)),
            "socat" => Some(self.socat(call, stdin)),
            "ssh" | "autossh" | "mosh" | "slogin" | "dbclient" | "sshpass" => Some(self.ssh(call, stdin)),
            "ssh-copy-id" => {
                let data = self.inputs(call, stdin);
                self.post(call.operand(0), &data, call.name);
                Some(Stream::silent())
            }
            "ssh-keygen" => Some(self.ssh_keygen(call)),
            "scp" | "sftp" | "pscp" | "psftp" | "rsync" => Some(self.remote_copy(call, stdin)),
            "ftp" | "lftp" | "tftp" | "ncftp" | "ncftpput" | "ncftpget" | "smbclient" => {
                Some(self.ftp(call, stdin))
            }
            "mail" | "mailx" | "sendmail" | "mutt" | "swaks" | "msmtp" | "ssmtp" => {
                Some(self.mail(call, stdin))
            }
            "websocat" => Some(self.websocat(call, stdin)),
            "wscat" | "grpcurl" | "evans" | "mosquitto_pub" | "mosquitto_sub" => {
                Some(self.both_ways(call.operand(0), call.name, stdin))
            }
            "logger" => self.log_elsewhere(call, stdin),
            "ipfs" | "onionshare" | "onionshare-cli" | "croc" | "ffsend" | "wormhole"
            | "wormhole-william" | "magic-wormhole" | "pastebinit" | "wgetpaste" | "transfersh"
            | "bashupload" => self.handed_out(call, stdin),
            "ping" | "ping6" | "fping" | "traceroute" | "traceroute6" | "tracepath" | "mtr" | "nslookup"
            | "dig" | "host" | "drill" | "kdig" | "resolvectl" | "whois" | "arping" | "hping3" | "nmap"
            | "masscan" | "zmap" | "rustscan" | "finger" => Some(self.probe(call, stdin)),
            _ => None,
        }
    }

    /// curl, wget and their like.
    fn download(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        for word in call.of_role(b'r') {
            let config = if word.text == "-" { stdin.clone() } else { self.read_file(word, call.name) };
            let said = config.said().unwrap_or_default().to_owned();
            for line in said.lines() {
                let (key, value) = line.split_once(['=', ' ']).unwrap_or((line, ""));
                let value = value.trim().trim_matches('"');
                if matches!(key.trim().trim_start_matches('-'), "url" | "") && !value.is_empty() {
                    self.fetch(value, &config.from, call.name);
                }
            }
        }
        // Every URL is looked up before what is sent, so reads come first.
        let mut data = Stream::default();
        self.network(call, &mut data, stdin);
        let wget = call.name != "curl";
        let named: Vec<Word> = call
            .values
            .iter()
            .filter(|(name, _)| matches!(*name, "-o" | "--output" | "-O" | "--output-document" | "--out"))
            .map(|(_, w)| w.clone())
            .collect();
        let log = |name: &str| {
            matches!(name, "-o" | "--output-file" | "-a" | "--append-output") && call.name.starts_with("wget")
        };
        let mut written = false;
        let mut to_stdout = !wget;
        for (name, word) in &call.values {
            let writes = named.contains(word)
                || matches!(*name, "-D" | "--dump-header" | "-c" | "--cookie-jar" | "--trace" | "--stderr");
            if !writes || log(name) {
                continue;
            }
            if word.text == "-" || word.text == "/dev/stdout" {
                to_stdout = true;
                written = true;
                continue;
            }
            if named.contains(word) {
                written = true;
                to_stdout = false;
            }
            let target = self.in_directory(call, word);
            self.write_file(&target, &data, false, call.name);
        }
        let saves = call.is("remote") || (wget && !written && !call.has_flag(&["--spider"]));
        if saves && !(wget && written) {
            to_stdout = false;
            let urls: Vec<Word> = call.of_role(b'u').cloned().collect();
            for url in urls {
                let name = remote_name(&url.text);
                let target =
                    self.in_directory(call, &Word { text: name, exact: url.exact, ..Word::default() });
                self.write_file(&target, &data, false, call.name);
            }
        }
        data.unknown();
        if to_stdout {
            data
        } else {
            Stream { text: Some(String::new()), raw: None, from: Vec::new(), ..data }
        }
    }

    fn in_directory(&self, call: &Call<'_>, word: &Word) -> Word {
        let directory = if call.name == "curl" {
            call.value(&["--output-dir"])
        } else {
            call.value(&["-P", "--directory-prefix", "-d", "--dir"])
        };
        match directory {
            Some(directory) if asset::is_relative(&word.text) => Word {
                text: format!("{}/{}", directory.text, word.text),
                exact: word.exact && directory.exact,
                ..word.clone()
            },
            _ => word.clone(),
        }
    }

    fn httpie(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut operands = call.operands.iter().peekable();
        let method = operands
            .next_if(|word| !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_uppercase()));
        let Some(url) = operands.next() else { return Stream::silent() };
        let mut sent = stdin.clone();
        let mut sends = stdin.present
            || method.is_some_and(|word| matches!(word.text.as_str(), "POST" | "PUT" | "PATCH"));
        for item in operands {
            let file = item.text.split_once('@').map(|(_, file)| file);
            sends |= item.text.contains(['=', '@']);
            match file.filter(|file| !file.is_empty()) {
                Some(file) => {
                    sent.append(self.read_file(&Word { text: file.to_owned(), ..item.clone() }, call.name))
                }
                None => add_flows(&mut sent.from, &item.from),
            }
        }
        let flow = if sends || !url.from.is_empty() {
            add_flows(&mut sent.from, &url.from);
            self.post(&url.text, &sent, call.name)
        } else {
            self.fetch(&url.text, &[], call.name)
        };
        let data = Stream::of_flows(vec![flow], "");
        self.outputs(call, &data);
        data
    }

    /// Sends its input and prints what comes back.
    pub(super) fn both_ways(&mut self, host: &str, by: &str, stdin: &Stream) -> Stream {
        let mut flows = Vec::new();
        if stdin.present {
            flows.push(self.post(host, stdin, by));
        }
        flows.push(self.fetch(host, &[], by));
        Stream::of_flows(flows, host)
    }

    fn netcat(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let host = host_port(call);
        let program =
            call.uses.iter().find(|(role, _)| matches!(role, b'x' | b's')).map(|(_, word)| word.clone());
        if call.has_flag(&["-z"]) && !stdin.present {
            let flow = self.fetch(&host, &[], call.name);
            return Stream::of_flows(vec![flow], "");
        }
        let listens = call.is("listen");
        let opened = if listens {
            let port = call
                .value(&["-p"])
                .map(|word| word.text.clone())
                .or_else(|| call.operands.last().map(|word| word.text.clone()));
            let target = port.map_or(Target::None, |port| Target::Host(format!("0.0.0.0:{port}")));
            self.effect(Capability::NetworkListen, target, AssetClass::Internal, &[], call.name)
        } else if program.is_some() || !stdin.present {
            self.fetch(&host, &[], call.name)
        } else {
            let sent = stdin.clone();
            let posted = self.post(&host, &sent, call.name);
            let fetched = self.fetch(&host, &[], call.name);
            return Stream::of_flows(vec![posted, fetched], host);
        };
        let Some(program) = program else {
            if listens && stdin.present {
                self.post("", stdin, call.name);
            }
            let data = Stream::of_flows(vec![opened], host);
            self.outputs(call, &data);
            return data;
        };
        self.bound(&program, &host, opened, call.name)
    }

    /// A program whose input and output are a socket.
    fn bound(&mut self, program: &Word, host: &str, opened: crate::action::Flow, by: &str) -> Stream {
        let from = Stream::of_flows(vec![opened], host);
        let first = program.text.split_whitespace().next().unwrap_or_default().to_owned();
        let shell = super::super::table::lookup(super::super::table::base_name(&first), Shell::Sh)
            .is_some_and(|row| row.is("shell"));
        let windows =
            first.to_ascii_lowercase().contains("cmd") || first.to_ascii_lowercase().contains("powershell");
        let ran = if shell || windows {
            let flow =
                self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &[opened], &first);
            Stream::of_flows(vec![flow], "")
        } else {
            self.execute_text(program, Shell::Sh, by, &from)
        };
        self.post(host, &ran, by);
        Stream::silent()
    }

    /// `websocat ws://HOST exec:PROGRAM`, in either order: a program whose input and output are a socket.
    fn websocat(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let program = call.args.iter().find_map(|word| {
            let kinds = ["exec:", "cmd:", "sh-c:"];
            let text = kinds.iter().find_map(|kind| word.text.strip_prefix(kind))?;
            Some(Word { text: text.to_owned(), ..word.clone() })
        });
        let Some(program) = program else { return self.both_ways(call.operand(0), call.name, stdin) };
        let place = call.args.iter().map(|word| word.text.as_str()).find(|text| {
            ["ws://", "wss://", "tcp:", "ws-l:", "ws-listen:", "tcp-l:"]
                .iter()
                .any(|kind| text.starts_with(kind))
        });
        let place = place.unwrap_or_default().to_owned();
        let opened = if place.contains("://") || place.starts_with("tcp:") {
            self.fetch(place.trim_start_matches("tcp:"), &[], call.name)
        } else {
            let port = place.rsplit(':').next().unwrap_or_default();
            let target = Target::Host(format!("0.0.0.0:{port}"));
            self.effect(Capability::NetworkListen, target, AssetClass::Internal, &[], call.name)
        };
        self.bound(&program, &place, opened, call.name)
    }

    /// `logger -n HOST -f FILE`: a log of another machine.
    fn log_elsewhere(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let host = call.value(&["-n", "--server"])?.text.clone();
        let mut sent = stdin.clone();
        if let Some(file) = call.value(&["-f", "--file"]).cloned() {
            sent.append(self.read_file(&file, call.name));
        }
        add_flows(&mut sent.from, &feeding(call.args, &Stream::default()));
        self.post(&host, &sent, call.name);
        Some(Stream::silent())
    }

    /// Programs that hand a file to whoever gets the word or the address that they print.
    fn handed_out(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let verbs = ["add", "send", "upload", "put", "share", "block"];
        let (verb, rest) = call.operands.split_first()?;
        let files = if verbs.contains(&verb.text.as_str()) {
            rest
        } else if call.name.starts_with("onionshare") || call.name.starts_with("paste") {
            call.operands.as_slice()
        } else {
            return None;
        };
        let mut sent = stdin.clone();
        for file in files {
            sent.append(self.read_file(file, call.name));
        }
        sent.unknown();
        let flow = self.post("", &sent, call.name);
        Some(Stream::of_flows(vec![flow], ""))
    }

    fn socat(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let (mut host, mut listens, mut program, mut files) = (None, None, None, Vec::new());
        for word in call.args {
            let text = word.text.as_str();
            let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
            let kind = kind.to_ascii_lowercase();
            let value = rest.split(',').next().unwrap_or(rest);
            match kind.as_str() {
                "exec" | "system" | "shell" => {
                    program = Some(Word { text: value.to_owned(), ..word.clone() })
                }
                "file" | "open" | "create" | "gopen" => {
                    files.push(Word { text: value.to_owned(), ..word.clone() })
                }
                _ if kind.contains("listen") || kind.ends_with("-l") || kind.contains("recvfrom") => {
                    listens = Some(value.to_owned())
                }
                _ if kind.starts_with("tcp")
                    || kind.starts_with("udp")
                    || kind.contains("openssl")
                    || kind.starts_with("ssl")
                    || kind.starts_with("socks")
                    || kind.starts_with("proxy")
                    || kind.starts_with("sctp") =>
                {
                    host = Some(rest.split(',').next().unwrap_or(rest).to_owned());
                }
                _ if text.starts_with('/') => files.push(word.clone()),
                _ => {}
            }
        }
        let place = host.clone().unwrap_or_default();
        let opened = match (&host, &listens) {
            (Some(host), _) => self.fetch(host, &[], "socat"),
            (None, Some(port)) => {
                let target = Target::Host(format!("0.0.0.0:{port}"));
                self.effect(Capability::NetworkListen, target, AssetClass::Internal, &[], "socat")
            }
            (None, None) => return self.inputs(call, stdin),
        };
        if let Some(program) = program {
            return self.bound(&program, &place, opened, "socat");
        }
        let mut sent = stdin.clone();
        for file in &files {
            let read = self.read_file(file, "socat");
            sent.append(read);
            self.write_file(file, &Stream::of_flows(vec![opened], ""), true, "socat");
        }
        if sent.present {
            self.post(&place, &sent, "socat");
        }
        Stream::of_flows(vec![opened], place)
    }

    fn ssh(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        if call.name == "sshpass" {
            let at = call
                .args
                .iter()
                .position(|word| matches!(word.text.as_str(), "ssh" | "scp" | "sftp" | "rsync"));
            let inner = at.and_then(|at| call.args.get(at..)).unwrap_or_default();
            return if inner.is_empty() { Stream::silent() } else { self.run(inner, stdin) };
        }
        for option in call
            .values
            .iter()
            .filter(|(name, _)| *name == "-o")
            .map(|(_, word)| word.clone())
            .collect::<Vec<_>>()
        {
            let lower = option.text.to_ascii_lowercase();
            if lower.starts_with("proxycommand")
                || lower.starts_with("localcommand")
                || lower.starts_with("knownhostscommand")
            {
                let command =
                    option.text.split_once(['=', ' ']).map_or("", |(_, command)| command).to_owned();
                self.execute_text(&Word { text: command, ..option }, Shell::Sh, call.name, stdin);
            }
        }
        // Options end at the host: what follows it is the remote command, dashes and all.
        let host = call.operands.first().cloned().unwrap_or_default();
        let at = call.args.iter().position(|word| *word == host).map_or(call.args.len(), |at| at + 1);
        let remote = call.args.get(at..).unwrap_or_default();
        let mut sent = stdin.clone();
        add_flows(&mut sent.from, &feeding(call.args, &Stream::default()));
        let mut flows = vec![self.post(&host.text, &sent, call.name)];
        for tunnel in ["-R", "-L", "-D"] {
            if call.value(&[tunnel]).is_some() {
                flows.push(self.effect(
                    Capability::NetworkListen,
                    Target::Host(host.text.clone()),
                    AssetClass::External,
                    &[],
                    call.name,
                ));
            }
        }
        if !remote.is_empty() {
            let line = joined_by_spaces(remote);
            let ran = self.apart(|eval| {
                eval.change_directory(None);
                eval.read_text(&line.text, Shell::Sh, stdin)
            });
            add_flows(&mut flows, &ran.from);
        } else if stdin.present {
            // The shell there reads what comes in.
            let ran = self.apart(|eval| {
                eval.change_directory(None);
                eval.execute_stream(stdin, &Word::known(call.name), &[], &Stream::default())
            });
            add_flows(&mut flows, &ran.from);
        }
        Stream::of_flows(flows, host.text)
    }

    fn ssh_keygen(&mut self, call: &Call<'_>) -> Stream {
        for word in call.of_role(b'x') {
            self.run_script(call.name, word, &[], &Stream::default());
        }
        let reads = call.has_flag(&["-l", "-y", "-F", "-B", "-e", "-R", "-H"]);
        if let Some(file) = call.value(&["-f"]).cloned()
            && !reads
        {
            self.write_file(&file, &Stream::default(), false, call.name);
        } else if let Some(file) = call.value(&["-f"]).cloned()
            && call.has_flag(&["-y"])
        {
            // Its public half comes out; a key that stands in the project is looked at as ever.
            let (path, exact) = self.path(&file);
            let target = Target::Path { path, exact };
            self.effect(Capability::ReadFile, target, AssetClass::Config, &[], call.name);
        }
        Stream::silent()
    }

    /// `scp`, `rsync`: whichever side has a colon is elsewhere.
    fn remote_copy(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        for word in call.of_role(b's').chain(call.of_role(b'x')) {
            if !word.text.starts_with("ssh") {
                self.execute_text(word, Shell::Sh, call.name, stdin);
            }
        }
        if call.name.ends_with("sftp") {
            let mut sent = stdin.clone();
            for line in stdin.text.clone().unwrap_or_default().lines() {
                let mut words = line.split_whitespace();
                match words.next() {
                    Some("put" | "mput" | "reput") => {
                        if let Some(file) = words.find(|word| !word.starts_with('-')) {
                            sent.append(self.read_file(&Word::known(file), call.name));
                        }
                    }
                    Some(word) if word.starts_with('!') => {
                        let command = line.trim_start().trim_start_matches('!').to_owned();
                        self.execute_text(&Word::known(command), Shell::Sh, call.name, stdin);
                    }
                    _ => {}
                }
            }
            return self.both_ways(call.operand(0), call.name, &sent);
        }
        let Some((target, sources)) = call.operands.split_last() else { return Stream::silent() };
        let mut data = Stream::silent();
        for source in sources {
            data.append(match remote_side(&source.text) {
                Some(host) => {
                    let flow = self.fetch(&host, &source.from, call.name);
                    Stream::of_flows(vec![flow], host)
                }
                None => self.read_file(source, call.name),
            });
        }
        data.unknown();
        match remote_side(&target.text) {
            Some(host) => drop(self.post(&host, &data, call.name)),
            None => {
                self.write_file(target, &data, false, call.name);
                for source in sources {
                    let name = super::super::table::base_name(&source.text);
                    let name = name.rsplit(':').next().unwrap_or(name);
                    let inside = format!("{}/{name}", target.text);
                    let (path, _) = self.path(&Word::known(inside));
                    let (direct, _) = self.path(target);
                    if let Some(file) = self.env.files.get(&direct).cloned() {
                        self.remember_file(path, File { text: None, raw: None, ..file });
                    }
                }
            }
        }
        Stream::silent()
    }

    fn ftp(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut script = stdin.text.clone().unwrap_or_default();
        for (name, word) in &call.values {
            if matches!(*name, "-e" | "-c") {
                script.push('\n');
                script.push_str(&word.text.replace(';', "\n"));
            }
        }
        let mut sent = Stream { text: None, raw: None, ..stdin.clone() };
        let mut host = call.operands.first().map(|word| word.text.clone()).unwrap_or_default();
        let mut got = Vec::new();
        if call.name == "tftp" && call.has_flag(&["-g", "-p"]) {
            // That of busybox: `tftp -g -r REMOTE -l LOCAL HOST`.
            let after = |key: &str| {
                let at = call.args.iter().position(|word| word.text == key)?;
                call.args.get(at + 1).map(|word| word.text.clone())
            };
            host = call.operands.last().map(|word| word.text.clone()).unwrap_or_default();
            let file = after("-l").or_else(|| after("-r")).unwrap_or_default();
            if call.has_flag(&["-p"]) {
                sent.append(self.read_file(&Word::known(file), call.name));
            } else {
                got.push(file);
            }
        }
        for line in script.lines() {
            let mut words = line.split_whitespace();
            match words.next().unwrap_or_default() {
                "put" | "mput" | "send" | "mirror" => {
                    let file = words.find(|word| !word.starts_with('-')).unwrap_or_default();
                    sent.append(self.read_file(&Word::known(file), call.name));
                }
                "get" | "mget" | "recv" => got.extend(words.last().map(str::to_owned)),
                verb if verb.starts_with('!') => {
                    let command = line.trim_start().trim_start_matches('!').to_owned();
                    self.execute_text(&Word::known(command), Shell::Sh, call.name, stdin);
                }
                _ => {}
            }
        }
        if call.name == "ncftpput" {
            for file in call.operands.iter().skip(2) {
                sent.append(self.read_file(file, call.name));
            }
        }
        let at = call.args.iter().position(|word| word.text == "put" || word.text == "PUT");
        if let Some(file) = at.and_then(|at| call.args.get(at + 1)) {
            sent.append(self.read_file(file, call.name));
        }
        let mut flows = Vec::new();
        if !sent.from.is_empty() {
            flows.push(self.post(&host, &sent, call.name));
        }
        let flow = self.fetch(&host, &[], call.name);
        flows.push(flow);
        for file in got {
            self.write_file(&Word::known(file), &Stream::of_flows(vec![flow], ""), false, call.name);
        }
        Stream::of_flows(flows, host)
    }

    fn mail(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut sent = stdin.clone();
        for word in call.of_role(b't') {
            let file = word.text.trim_start_matches('@').to_owned();
            sent.append(self.read_file(&Word { text: file, ..word.clone() }, call.name));
        }
        for word in call.of_role(b'b') {
            add_flows(&mut sent.from, &word.from);
            if let Some(file) = word.text.strip_prefix('@') {
                sent.append(self.read_file(&Word::known(file), call.name));
            }
        }
        add_flows(&mut sent.from, &feeding(call.args, &Stream::default()));
        let to =
            call.value(&["--to"]).or(call.operands.last()).map(|word| word.text.clone()).unwrap_or_default();
        let host = to.rsplit('@').next().unwrap_or_default().to_owned();
        self.post(&host, &sent, call.name);
        Stream::silent()
    }

    /// Name lookups and pings carry little, but they carry it out.
    fn probe(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        for word in call.of_role(b'r') {
            self.read_file(word, call.name);
        }
        let mut sent = Stream { text: None, raw: None, ..stdin.clone() };
        add_flows(&mut sent.from, &feeding(call.args, &Stream::default()));
        let host = call
            .operands
            .iter()
            .find(|word| word.text.contains(['.', ':']) && !word.text.starts_with(['@', '+']))
            .or(call.operands.first());
        let host = host.map(|word| word.text.clone()).unwrap_or_default();
        if !sent.from.is_empty() {
            let flow = self.post(&host, &sent, call.name);
            return Stream::of_flows(vec![flow], host);
        }
        let flow = self.fetch(&host, &[], call.name);
        let data = Stream::of_flows(vec![flow], host);
        self.outputs(call, &data);
        data
    }
}

fn host_port(call: &Call<'_>) -> String {
    match call.operands.as_slice() {
        [] => String::new(),
        [host] => host.text.clone(),
        [host, port, ..] => format!("{}:{}", host.text, port.text),
    }
}

/// The host of `user@host:path`, `rsync://host/…`; not of `C:/x` or `./a:b`.
fn remote_side(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Some(rest.split('/').next().unwrap_or(rest).to_owned());
    }
    let (host, _) = text.split_once(':')?;
    let drive = host.len() == 1;
    (!drive && !host.contains(['/', '\\']) && !host.is_empty()).then(|| host.to_owned())
}

/// The file name curl -O and wget take from a URL.
pub(super) fn remote_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => "index.html".to_owned(),
    }
}
