//! Windows: the command prompt's programs and those that run what they are given.

use super::super::builtins::{feeding, joined_by_spaces};
use super::super::eval::Eval;
use super::super::programs::{Call, line_of};
use super::super::stream::Stream;
use super::super::{Shell, Word, decode};
use crate::action::{AssetClass, Capability, Target, asset};

impl Eval {
    pub(super) fn windows_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "cmd" | "command.com" => Some(self.cmd(call, stdin)),
            "powershell" | "pwsh" | "powershell_ise" => Some(self.powershell(call, stdin)),
            "reg" | "regedit" | "regini" => Some(self.registry(call)),
            "schtasks" => Some(self.schtasks(call, stdin)),
            "sc" | "net" | "net1" | "netsh" | "wmic" | "vssadmin" | "wbadmin" | "bcdedit" | "diskshadow"
            | "wevtutil" | "auditpol" | "fltmc" | "secedit" | "dism" | "netdom" | "ntdsutil" | "setspn"
            | "pnputil" | "setx" | "assoc" | "ftype" | "nltest" | "subst" | "powercfg" => {
                Some(self.windows_admin(call, stdin))
            }
            "certutil" | "certreq" => Some(self.certutil(call, stdin)),
            "bitsadmin" => Some(self.bitsadmin(call)),
            "mshta" => Some(self.mshta(call, stdin)),
            "rundll32" => Some(self.rundll(call, stdin)),
            "esentutl" => Some(self.esentutl(call)),
            "taskkill" | "tskill" | "stop-process" | "stop-service" | "spps" | "sasv" => {
                Some(self.stop(call))
            }
            "runas" | "psexec" | "psexec64" | "paexec" | "winrs" => {
                let at = call.args.iter().position(|word| !word.text.starts_with(['/', '-', '\\']));
                let rest = at.and_then(|at| call.args.get(at..)).unwrap_or_default();
                match rest {
                    [one] => Some(self.execute_text(one, Shell::Cmd, call.name, stdin)),
                    [] => Some(Stream::silent()),
                    rest => Some(self.run(rest, stdin)),
                }
            }
            "clip" | "set-clipboard" | "scb" => Some(Stream::silent()),
            "get-clipboard" | "gcb" => {
                let flow =
                    self.effect(Capability::ClipboardRead, Target::None, AssetClass::Unknown, &[], call.name);
                Some(Stream::of_flows(vec![flow], "clipboard"))
            }
            _ if call.is("lol") => Some(self.proxy_binary(call, stdin)),
            _ if call.is("ps") => self.cmdlet(call, stdin),
            _ => None,
        }
    }

    fn cmd(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let at = call.args.iter().position(|word| {
            let lower = word.text.to_ascii_lowercase();
            lower.starts_with("/c") || lower.starts_with("/k") || lower.starts_with("/r")
        });
        let Some(at) = at else {
            if stdin.present {
                return self.execute_stream(stdin, &Word::known("cmd"), &[], stdin);
            }
            let target = Target::Program("cmd".to_owned());
            self.effect(Capability::Execute, target, AssetClass::Project, &feeding(call.args, stdin), "cmd");
            return Stream::silent();
        };
        let mut words = call.args.get(at..).unwrap_or_default().to_vec();
        if let Some(first) = words.first_mut() {
            first.text = first.text.get(2..).unwrap_or_default().to_owned();
        }
        let words: Vec<Word> = words.into_iter().filter(|word| !word.text.is_empty()).collect();
        self.execute_text(&joined_by_spaces(&words), Shell::Cmd, "cmd", stdin)
    }

    fn powershell(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut args = call.args.iter().enumerate();
        while let Some((at, word)) = args.next() {
            let lower = word.text.to_ascii_lowercase().replace(['\u{2013}', '\u{2014}', '/'], "-");
            let Some(name) = lower.strip_prefix('-').filter(|name| !name.is_empty()) else {
                // The first operand starts a command, or names a script.
                let rest = call.args.get(at..).unwrap_or_default();
                if word.text.to_ascii_lowercase().ends_with(".ps1") {
                    return self.run_script("powershell", word, rest.get(1..).unwrap_or_default(), stdin);
                }
                return self.execute_text(&joined_by_spaces(rest), Shell::PowerShell, "powershell", stdin);
            };
            let rest = call.args.get(at + 1..).unwrap_or_default();
            if "encodedcommand".starts_with(name) || name == "ec" {
                let encoded = rest.first().cloned().unwrap_or_default();
                return match decode::base64_utf16(&encoded.text) {
                    Some(text) if encoded.exact => {
                        let ran = self.execute_text(
                            &Word { text, ..encoded },
                            Shell::PowerShell,
                            "powershell",
                            stdin,
                        );
                        self.effect(
                            Capability::Execute,
                            Target::Code("encoded command".to_owned()),
                            AssetClass::Unknown,
                            &[],
                            "powershell",
                        );
                        ran
                    }
                    _ => {
                        let flow = self.effect(
                            Capability::Execute,
                            Target::Code(encoded.text),
                            AssetClass::Unknown,
                            &encoded.from,
                            "powershell",
                        );
                        Stream::of_flows(vec![flow], "")
                    }
                };
            }
            if "command".starts_with(name) {
                if matches!(rest, [dash] if dash.text == "-") {
                    return self.execute_stream(stdin, &Word::known("powershell"), &[], stdin);
                }
                return self.execute_text(&joined_by_spaces(rest), Shell::PowerShell, "powershell", stdin);
            }
            if "file".starts_with(name) && !rest.is_empty() {
                let script = rest.first().cloned().unwrap_or_default();
                return self.run_script("powershell", &script, rest.get(1..).unwrap_or_default(), stdin);
            }
            let takes = [
                "executionpolicy",
                "windowstyle",
                "version",
                "inputformat",
                "outputformat",
                "configurationname",
                "workingdirectory",
                "psconsolefile",
            ];
            if takes.iter().any(|option| option.starts_with(name))
                || name == "ep"
                || name == "ex"
                || name == "w"
            {
                args.next();
            }
        }
        if stdin.present {
            return self.execute_stream(stdin, &Word::known("powershell"), &[], stdin);
        }
        let target = Target::Program("powershell".to_owned());
        let flow = self.effect(
            Capability::Execute,
            target,
            AssetClass::Project,
            &feeding(call.args, stdin),
            "powershell",
        );
        Stream::of_flows(vec![flow], "")
    }

    fn registry(&mut self, call: &Call<'_>) -> Stream {
        let verb = call.operand(0).to_ascii_lowercase();
        let key = call.operands.get(1).cloned().unwrap_or_default();
        let lower = key.text.to_ascii_lowercase().replace('/', "\\");
        match verb.as_str() {
            "query" | "compare" => Stream::of_flows(Vec::new(), key.text),
            "save" | "export" => {
                let hive = ["\\sam", "\\security", "\\system"].iter().any(|end| lower.ends_with(end));
                let class = if hive { AssetClass::Keychain } else { AssetClass::System };
                let capability = if hive { Capability::SecretAccess } else { Capability::ReadFile };
                let flow = self.effect(capability, Target::Other(key.text), class, &[], "reg");
                let data = Stream::of_flows(vec![flow], "");
                if let Some(file) = call.operands.get(2).cloned() {
                    self.write_file(&file, &data, false, "reg");
                }
                Stream::silent()
            }
            _ => {
                self.registry_key(call);
                Stream::silent()
            }
        }
    }

    /// A registry key is changed: what starts by itself is told apart.
    pub(super) fn registry_key(&mut self, call: &Call<'_>) {
        let line = line_of(call);
        let class = asset::classify_key(&line);
        let from = feeding(call.args, &Stream::default());
        let flow = self.effect(Capability::Administer, Target::Other(line), class, &from, call.name);
        self.reading.writes.push((flow, joined_by_spaces(call.args).text));
    }

    fn schtasks(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        if call.has_flag(&["/query"]) && !call.is("persist") {
            return Stream::of_flows(Vec::new(), "tasks");
        }
        let class = if call.is("persist") { AssetClass::Startup } else { AssetClass::System };
        self.effect(
            Capability::Administer,
            Target::Other(line_of(call)),
            class,
            &feeding(call.args, stdin),
            "schtasks",
        );
        for word in call.of_role(b's') {
            self.conditions += 1;
            self.execute_text(word, Shell::Cmd, "schtasks", &Stream::default());
            self.conditions -= 1;
        }
        Stream::silent()
    }

    fn windows_admin(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let line = joined_by_spaces(call.args).text.to_ascii_lowercase();
        let has =
            |words: &[&str]| words.iter().any(|word| line.split([' ', '/', ':']).any(|part| part == *word));
        match call.name {
            "net" | "net1" | "sc" if has(&["stop", "delete"]) => {
                for word in call
                    .operands
                    .iter()
                    .filter(|word| !matches!(word.text.to_ascii_lowercase().as_str(), "stop" | "delete"))
                {
                    self.effect(
                        Capability::Signal,
                        Target::Process(word.text.clone()),
                        AssetClass::Unknown,
                        &[],
                        call.name,
                    );
                }
            }
            "wmic" if has(&["process"]) && line.contains("call create") => {
                let command =
                    line.split_once("create").map_or("", |(_, rest)| rest.trim_matches([' ', '"', '\'']));
                self.execute_text(&Word::known(command), Shell::Cmd, "wmic", stdin);
            }
            "wmic" if line.contains("/format:") => {
                let sheet = line.split("/format:").nth(1).unwrap_or_default().trim_matches('"').to_owned();
                if sheet.contains(['/', '\\']) {
                    let from = if sheet.contains("://") {
                        vec![self.fetch(&sheet, &[], "wmic")]
                    } else {
                        Vec::new()
                    };
                    self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, "wmic");
                }
            }
            _ => {}
        }
        if call.name == "netsh" && line.contains("key=clear")
            || call.name == "ntdsutil"
            || (call.name == "vssadmin" && has(&["create"]))
        {
            let flow = self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Keychain,
                &[],
                call.name,
            );
            return Stream::of_flows(vec![flow], line);
        }
        let reads = call.args.is_empty()
            || has(&[
                "query",
                "list",
                "get",
                "show",
                "view",
                "qc",
                "dump",
                "enum",
                "queryex",
                "qe",
                "el",
                "gl",
                "help",
                "?",
                "sdshow",
                "statistics",
                "time",
                "accounts",
                "get-log",
                "scanhealth",
                "checkhealth",
            ]) && !has(&["add", "set", "delete", "create", "call", "cl", "clear-log", "config", "resize"])
            || (matches!(call.name, "net" | "net1")
                && !has(&["add", "delete", "use", "stop", "start", "share"])
                && !line.contains("/active")
                && !line.contains("/add")
                && call.operands.len() < 4)
            || matches!(call.name, "nltest" | "assoc" | "ftype") && !line.contains('=');
        if call.name == "setx"
            && let [name, value, ..] = call.operands.as_slice()
        {
            self.set(&name.text.clone(), vec![value.clone()], true);
        }
        if !reads {
            self.effect(
                Capability::Administer,
                Target::Other(line_of(call)),
                AssetClass::System,
                &feeding(call.args, stdin),
                call.name,
            );
        }
        Stream::of_flows(stdin.from.clone(), line)
    }

    fn certutil(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let lower: Vec<String> =
            call.args.iter().map(|word| word.text.to_ascii_lowercase().replace('/', "-")).collect();
        let operands: Vec<&Word> =
            call.args.iter().filter(|word| !word.text.starts_with(['-', '/'])).collect();
        if call.name == "certreq" {
            let url = call.args.iter().find(|word| word.text.contains("://"));
            let mut data = Stream::silent();
            for word in operands.iter().filter(|word| !word.text.contains("://")).take(1) {
                data.append(self.read_file(word, "certreq"));
            }
            if let Some(url) = url {
                let flow = self.post(&url.text, &data, "certreq");
                if let Some(out) = operands.iter().filter(|word| !word.text.contains("://")).nth(1) {
                    self.write_file(out, &Stream::of_flows(vec![flow], ""), false, "certreq");
                }
            }
            return Stream::silent();
        }
        if let Some(url) = operands.iter().find(|word| word.text.contains("://")) {
            let flow = self.fetch(&url.text, &url.from, "certutil");
            let name = operands.iter().skip_while(|word| !word.text.contains("://")).nth(1);
            let target =
                name.map_or_else(|| Word::known(super::net::remote_name(&url.text)), |word| (*word).clone());
            self.write_file(&target, &Stream::of_flows(vec![flow], ""), false, "certutil");
            return Stream::silent();
        }
        let coder = lower.iter().any(|word| word.starts_with("-decode") || word.starts_with("-encode"));
        if coder && let [from, to, ..] = operands.as_slice() {
            let data = self.read_file(from, "certutil");
            let text = data.text.as_deref().filter(|_| lower.iter().any(|word| word == "-decode"));
            let bytes = text.and_then(decode::base64_bytes);
            let data = data.decoded(bytes);
            self.write_file(to, &data, false, "certutil");
            return Stream::silent();
        }
        let changes = lower.iter().any(|word| {
            word.starts_with("-addstore") || word.starts_with("-importpfx") || word.starts_with("-delstore")
        });
        if lower.iter().any(|word| word.starts_with("-exportpfx")) {
            self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Keychain,
                &[],
                "certutil",
            );
        } else if changes {
            self.administer(call, &feeding(call.args, stdin));
        }
        Stream::of_flows(Vec::new(), "")
    }

    fn bitsadmin(&mut self, call: &Call<'_>) -> Stream {
        let urls: Vec<usize> = call
            .args
            .iter()
            .enumerate()
            .filter(|(_, word)| word.text.contains("://") || word.text.starts_with("\\\\"))
            .map(|(at, _)| at)
            .collect();
        let uploads = call.args.iter().any(|word| word.text.eq_ignore_ascii_case("/upload"));
        for at in urls {
            let (Some(url), next) = (call.args.get(at), call.args.get(at + 1)) else { continue };
            if uploads {
                let data =
                    next.cloned().map_or_else(Stream::silent, |file| self.read_file(&file, "bitsadmin"));
                self.post(&url.text, &data, "bitsadmin");
                continue;
            }
            let flow = self.fetch(&url.text, &url.from, "bitsadmin");
            if let Some(file) = next.cloned() {
                self.write_file(&file, &Stream::of_flows(vec![flow], ""), false, "bitsadmin");
            }
        }
        let runs = call.args.iter().position(|word| word.text.eq_ignore_ascii_case("/setnotifycmdline"));
        if let Some(program) = runs.and_then(|at| call.args.get(at + 2)).cloned() {
            self.execute_text(&program, Shell::Cmd, "bitsadmin", &Stream::default());
        }
        Stream::silent()
    }

    fn stop(&mut self, call: &Call<'_>) -> Stream {
        let mut aimed: Vec<Word> = call.of_role(b'n').cloned().collect();
        if aimed.is_empty() {
            for (at, word) in call.args.iter().enumerate() {
                let lower = word.text.to_ascii_lowercase().replace('-', "/");
                if matches!(lower.as_str(), "/im" | "/pid" | "/fi") {
                    aimed.extend(call.args.get(at + 1).cloned());
                }
            }
        }
        if aimed.is_empty() {
            aimed = call.operands.clone();
        }
        for word in &aimed {
            self.effect(
                Capability::Signal,
                Target::Process(word.text.clone()),
                AssetClass::Unknown,
                &word.from,
                call.name,
            );
        }
        Stream::silent()
    }
}
