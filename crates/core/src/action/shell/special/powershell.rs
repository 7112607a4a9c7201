//! `PowerShell` cmdlets and .NET methods.

use super::super::builtins::{feeding, joined_by_spaces};
use super::super::eval::Eval;
use super::super::programs::Call;
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word, decode};
use crate::action::{AssetClass, Capability, Target, asset};

impl Eval {
    pub(super) fn cmdlet(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "invoke-expression" => {
                let words: Vec<Word> = call.of_role(b's').cloned().collect();
                if words.is_empty() {
                    return Some(self.execute_stream(stdin, &Word::known("powershell"), &[], stdin));
                }
                Some(self.execute_text(&joined_by_spaces(&words), Shell::PowerShell, call.name, stdin))
            }
            "start-bitstransfer"
                if call
                    .value(&["-transfertype"])
                    .is_some_and(|kind| kind.text.to_ascii_lowercase().starts_with("upload")) =>
            {
                let mut from = call.values.iter().map(|(name, word)| (*name, word));
                let source = from.find(|(name, _)| *name == "-source").map(|(_, word)| word.clone());
                let source = source.or_else(|| call.operands.first().cloned());
                let to = call.value(&["-destination"]).or(call.operands.last()).cloned().unwrap_or_default();
                let data = source.map(|source| self.read_file(&source, call.name)).unwrap_or_default();
                Some(Stream::of_flows(vec![self.post(&to.text, &data, call.name)], ""))
            }
            "start-process" | "start-job" | "start-threadjob" | "invoke-item" | "ii" => {
                let program =
                    call.value(&["-filepath"]).or(call.operands.first()).cloned().unwrap_or_default();
                for word in call.of_role(b's') {
                    self.execute_text(word, Shell::PowerShell, call.name, stdin);
                }
                if program.text.is_empty() {
                    return Some(Stream::silent());
                }
                let mut argv = vec![program];
                let arguments = call.value(&["-argumentlist"]).cloned();
                argv.extend(arguments.iter().flat_map(|word| {
                    word.text
                        .split_whitespace()
                        .map(|text| Word { text: text.trim_matches(['"', '\'']).to_owned(), ..word.clone() })
                        .collect::<Vec<_>>()
                }));
                argv.extend(
                    call.operands.iter().skip(usize::from(call.value(&["-filepath"]).is_none())).cloned(),
                );
                Some(self.run(&argv, stdin))
            }
            "new-object" | "add-type" => {
                for word in call.of_role(b'e').chain(call.of_role(b'x')) {
                    self.effect(
                        Capability::Execute,
                        Target::Code(word.text.clone()),
                        AssetClass::Unknown,
                        &word.from,
                        call.name,
                    );
                }
                let line = joined_by_spaces(call.args).text;
                let lower = line.to_ascii_lowercase();
                if lower.contains("tcpclient") || lower.contains("udpclient") {
                    let host = call
                        .operands
                        .iter()
                        .skip(1)
                        .chain(call.value(&["-argumentlist"]))
                        .map(|w| w.text.as_str())
                        .collect::<Vec<_>>()
                        .join(":");
                    let host = host.replace(' ', "");
                    let flow = self.fetch(&host, &[], call.name);
                    return Some(Stream::of_flows(vec![flow], host));
                }
                Some(Stream::of_flows(feeding(call.args, stdin), line))
            }
            "new-item" | "ni" | "remove-item" | "copy-item" | "move-item" | "rename-item"
                if call.uses.iter().any(|(_, word)| is_registry(&word.text)) =>
            {
                self.registry_key(call);
                Some(Stream::silent())
            }
            "set-content" | "add-content" | "out-file" | "tee-object" | "new-item" | "ni" | "export-csv"
            | "export-clixml" => {
                let value = call.of_role(b'b').next().cloned();
                let mut data = match value.or_else(|| call.operands.get(1).cloned()) {
                    Some(word) => {
                        let text = word.exact.then(|| word.text.clone());
                        Stream { from: word.from, text, about: word.text, present: true, ..Stream::default() }
                    }
                    None => stdin.clone(),
                };
                add_flows(&mut data.from, &stdin.from);
                let path = call.of_role(b'w').next().cloned();
                if let Some(path) = path {
                    self.write_file(&path, &data, call.name == "add-content", call.name);
                }
                Some(if call.name == "tee-object" { data } else { Stream::silent() })
            }
            "set-location" | "push-location" => {
                let to = call.of_role(b'l').next().cloned().unwrap_or_else(|| Word::known("~"));
                let (text, exact) = self.path(&to);
                self.change_directory(Some(Word { text, exact, ..to }));
                Some(Stream::silent())
            }
            "set-itemproperty"
            | "new-itemproperty"
            | "remove-itemproperty"
            | "set-item"
            | "clear-itemproperty"
            | "rename-itemproperty" => {
                let path = call
                    .of_role(b'k')
                    .next()
                    .map(|word| word.text.to_ascii_lowercase().replace('/', "\\"))
                    .unwrap_or_default();
                if is_registry(&path) {
                    self.registry_key(call);
                    return Some(Stream::silent());
                }
                if let Some(name) = path.strip_prefix("env:") {
                    let value = call.value(&["-value"]).or(call.operands.get(1)).cloned().unwrap_or_default();
                    self.set(name.trim_start_matches('\\'), vec![value], true);
                    return Some(Stream::silent());
                }
                None
            }
            "get-childitem" | "get-item"
                if call.of_role(b'l').any(|word| word.text.to_ascii_lowercase().starts_with("env:")) =>
            {
                Some(self.dump_environment(call.name))
            }
            "get-childitem" => {
                let root = call.of_role(b'l').next().map_or(".", |word| word.text.as_str()).to_owned();
                let filter =
                    call.value(&["-filter", "-include"]).map_or("*", |word| word.text.as_str()).to_owned();
                Some(Stream::of_flows(Vec::new(), format!("{}/{filter}", root.trim_end_matches(['/', '\\']))))
            }
            // `Get-ChildItem C:\Users -Recurse | Remove-Item`: what was listed is what goes.
            "remove-item" | "clear-content" if call.of_role(b'd').next().is_none() => {
                let listed = stdin.about.trim();
                if listed.contains(['/', '\\']) && !listed.contains(char::is_whitespace) {
                    let whole =
                        listed.strip_suffix("/*").filter(|_| call.has_flag(&["-recurse", "-r", "-rec"]));
                    let word = Word::known(whole.unwrap_or(listed));
                    let (path, exact) = self.path(&word);
                    let class = asset::classify_path(&path, exact);
                    let target = Target::Path { path, exact };
                    self.effect(Capability::DeleteFile, target, class, &[], call.name);
                }
                Some(Stream::silent())
            }
            "invoke-command" => {
                for word in call.of_role(b's') {
                    self.execute_text(word, Shell::PowerShell, call.name, stdin);
                }
                None
            }
            "foreach-object" => {
                let mut out = Stream { text: None, raw: None, ..stdin.clone() };
                for word in call.of_role(b's') {
                    add_flows(&mut out.from, &word.from);
                }
                Some(out)
            }
            "write-output" => {
                let word = joined_by_spaces(call.args);
                let text = word.exact.then(|| word.text.clone());
                Some(Stream { from: word.from, text, about: word.text, present: true, ..Stream::default() })
            }
            "import-module" | "install-module" | "install-package" | "install-script" | "save-module"
            | "update-module" => {
                let install = !call.name.starts_with("import");
                let from =
                    if install { vec![self.registry_fetch(call.name)] } else { feeding(call.args, stdin) };
                for word in call.of_role(b'x').filter(|word| word.text.contains(['/', '\\'])) {
                    self.run_script(call.name, word, &[], &Stream::of_flows(from.clone(), ""));
                }
                Some(Stream::silent())
            }
            "get-process" if stdin.about.is_empty() => Some(Stream::of_flows(
                Vec::new(),
                call.args
                    .iter()
                    .map(|w| w.text.as_str())
                    .find(|t| !t.starts_with('-'))
                    .unwrap_or("processes"),
            )),
            _ => None,
        }
    }

    /// A method call: receiver and arguments follow the name.
    pub(in super::super) fn method(&mut self, args: &[Word]) -> Stream {
        let Some((name, rest)) = args.split_first() else { return Stream::silent() };
        let (receiver, args) = rest.split_first().map_or((Word::default(), &[][..]), |(r, a)| (r.clone(), a));
        let first = args.first().cloned().unwrap_or_default();
        let lower = name.text.to_ascii_lowercase();
        let mut from = receiver.from.clone();
        for word in args {
            add_flows(&mut from, &word.from);
        }
        let by = "powershell";
        match lower.as_str() {
            "downloadstring"
            | "downloaddata"
            | "openread"
            | "getstringasync"
            | "getbytearrayasync"
            | "downloadstringtaskasync"
            | "getasync"
            | "getstring"
                if first.text.contains("://") =>
            {
                let flow = self.fetch(&first.text, &first.from, by);
                Stream::of_flows(vec![flow], "")
            }
            "downloaddata" | "downloadstring" | "openread" => {
                let flow = self.fetch(&first.text, &first.from, by);
                Stream::of_flows(vec![flow], "")
            }
            "downloadfile" | "downloadfileasync" | "downloadfiletaskasync" => {
                let flow = self.fetch(&first.text, &first.from, by);
                if let Some(file) = args.get(1) {
                    self.write_file(file, &Stream::of_flows(vec![flow], ""), false, by);
                }
                Stream::silent()
            }
            "uploadstring" | "uploadfile" | "uploaddata" | "uploadvalues" | "postasync" => {
                let mut data = Stream::of_flows(from, "");
                if lower == "uploadfile"
                    && let Some(file) = args.last()
                {
                    data.append(self.read_file(file, by));
                }
                let flow = self.post(&first.text, &data, by);
                Stream::of_flows(vec![flow], "")
            }
            "frombase64string" => match decode::base64_utf16(&first.text)
                .filter(|_| first.exact && plausible(&first.text))
                .or_else(|| decode::base64(&first.text))
            {
                Some(text) if first.exact => Stream { from, ..Stream::of_text(text) },
                _ => Stream::of_flows(from, ""),
            },
            "readalltext" | "readallbytes" | "readalllines" | "readlines" => self.read_file(&first, by),
            "writealltext" | "writeallbytes" | "appendalltext" | "writealllines" => {
                let data = Stream {
                    text: args.get(1).filter(|w| w.exact).map(|w| w.text.clone()),
                    ..Stream::of_flows(from, "")
                };
                self.write_file(&first, &data, lower.starts_with("append"), by);
                Stream::silent()
            }
            "setenvironmentvariable" => {
                let value = args.get(1).cloned().unwrap_or_default();
                self.set(&first.text, vec![value], true);
                Stream::silent()
            }
            "getenvironmentvariables" => self.dump_environment(by),
            "start" | "create" | "exec" | "shellexecute" | "run"
                if !first.text.is_empty() && !receiver.text.contains("WebRequest") =>
            {
                self.execute_text(&joined_by_spaces(args), Shell::Cmd, by, &Stream::default())
            }
            "invoke"
            | "invokescript"
            | "load"
            | "loadfile"
            | "invokecommand"
            | "createtype"
            | "getdelegateforfunctionpointer"
            | "addscript" => {
                let word = if first.text.is_empty() { receiver } else { first };
                let flow = self.effect(
                    Capability::Execute,
                    if from.is_empty() { Target::Code(word.text) } else { Target::Input },
                    AssetClass::Unknown,
                    &from,
                    by,
                );
                Stream::of_flows(vec![flow], "")
            }
            "replace" if args.len() == 2 && receiver.exact => {
                let with = args.get(1).map_or("", |word| word.text.as_str());
                if first.text.is_empty() {
                    return Stream::of_flows(from, "");
                }
                Stream { from, ..Stream::of_text(receiver.text.replace(&first.text, with)) }
            }
            "connect" => {
                let host = args.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(":");
                let flow = self.fetch(&host, &from, by);
                Stream::of_flows(vec![flow], host)
            }
            "write" | "send" | "sendasync" if receiver.from.iter().any(|flow| self.is_socket(*flow)) => {
                let flow = self.post("", &Stream::of_flows(from, ""), by);
                Stream::of_flows(vec![flow], "")
            }
            "tostring" | "trim" | "tolower" | "toupper" | "getstring" | "getbytes" | "tochararray"
            | "getresponse" | "getresponsestream" | "getstream" | "readtoend" => {
                let known = [&first, &receiver]
                    .into_iter()
                    .find(|word| !word.text.is_empty() && word.exact && !word.text.starts_with('['));
                match known {
                    Some(word) => Stream { from, ..Stream::of_text(word.text.clone()) },
                    None => Stream::of_flows(from, receiver.text),
                }
            }
            "delete" => {
                let word = if first.text.is_empty() { receiver } else { first };
                let (path, exact) = self.path(&word);
                let class = asset::classify_path(&path, exact);
                self.effect(Capability::DeleteFile, Target::Path { path, exact }, class, &[], by);
                Stream::silent()
            }
            _ => Stream::of_flows(from, receiver.text),
        }
    }

    fn is_socket(&self, flow: crate::action::Flow) -> bool {
        self.reading
            .effects
            .get(usize::from(flow))
            .is_some_and(|effect| effect.capability == Capability::NetworkFetch)
    }
}

/// Whether a path leads into the registry: `HKCU:\\…`, `HKLM\\…`, `Registry::HKEY_…`.
fn is_registry(path: &str) -> bool {
    let lower = path.trim_start_matches(['"', '\'']).to_ascii_lowercase();
    [
        "hkcu:",
        "hklm:",
        "hkcr:",
        "hku:",
        "hkey_",
        "registry::",
        "microsoft.powershell.core\\registry",
        "hkcu\\",
        "hklm\\",
    ]
    .iter()
    .any(|start| lower.starts_with(start))
}

/// UTF-16 in base64 has an `A` in every other group.
fn plausible(text: &str) -> bool {
    text.len() >= 8
        && text.bytes().skip(2).step_by(8).take(8).filter(|b| b.is_ascii_uppercase() || *b == b'A').count()
            * 2
            >= text.len().div_ceil(8).min(8)
        && text.matches('A').count() * 5 >= text.len()
}
