//! Files: copying, archives, editors, decoders, search.

use super::super::builtins::feeding;
use super::super::env::{File, below};
use super::super::eval::Eval;
use super::super::programs::Call;
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word, decode};
use crate::action::{AssetClass, Capability, Target, asset};

impl Eval {
    pub(super) fn file_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "cp" | "mv" | "gcp" | "gmv" | "install" | "ditto" => Some(self.copy(call)),
            "ln" | "link" => Some(self.link(call)),
            "readlink" | "realpath" => self.read_link(call),
            "mkdir" | "md" => Some(Stream::silent()),
            // Some name; what is written under it is found again.
            "mktemp" => Some(Stream::of_text("/tmp/tmp.mktemp\n".to_owned())),
            "mkfifo" | "mknod" => {
                self.env.pipes = true;
                Some(Stream::silent())
            }
            "tee" | "sponge" => {
                self.outputs(call, stdin);
                Some(Stream { present: true, ..stdin.clone() })
            }
            "dd" => Some(self.dd(call, stdin)),
            "sed" | "gsed" => Some(self.sed(call, stdin)),
            "awk" | "gawk" | "mawk" | "nawk" => Some(self.awk(call, stdin)),
            "grep" | "egrep" | "fgrep" | "rg" | "ag" | "ack" | "zgrep" => Some(self.grep(call, stdin)),
            "base64" | "base32" | "basenc" | "xxd" | "uudecode" | "hexdump" | "od" => {
                Some(self.decoder(call, stdin))
            }
            "tr" => self.translate(call, stdin),
            "gzip" | "gunzip" | "bzip2" | "bunzip2" | "xz" | "unxz" | "zstd" | "lz4" | "brotli" | "lzma"
            | "pigz" => self.compress(call, stdin),
            "tar" | "gtar" | "bsdtar" => Some(self.tar(call, stdin)),
            "zip" if call.operand(0) == "-" => {
                let mut data = self.inputs(call, &Stream::default());
                data.unknown();
                Some(data)
            }
            "7z" | "7za" | "rar" | "unrar" | "cpio" | "pax" | "ar" | "unzip" | "bsdunzip" => {
                self.archive(call, stdin)
            }
            "find" | "gfind" | "fd" | "fdfind" => Some(self.find(call, stdin)),
            "xargs" | "gxargs" | "parallel" => Some(self.xargs(call, stdin)),
            "rev" | "tac" => {
                let data = self.inputs(call, stdin);
                let text = stdin.text.as_ref().map(|text| reversed(call.name, text));
                Some(Stream { text, raw: None, ..data })
            }
            "vim" | "vi" | "nvim" | "ed" | "ex" | "emacs" | "nano" => Some(self.editor(call, stdin)),
            "patch" => None,
            _ => None,
        }
    }

    fn copy(&mut self, call: &Call<'_>) -> Stream {
        if call.has_flag(&["-d", "--directory"]) && call.name == "install" {
            return Stream::silent();
        }
        let directory = call.value(&["-t", "--target-directory"]).cloned();
        let (sources, target) = match &directory {
            Some(directory) => (call.operands.as_slice(), Some(directory)),
            None => match call.operands.split_last() {
                Some((last, sources)) => (sources, Some(last)),
                None => (&[][..], None),
            },
        };
        let Some(target) = target else { return Stream::silent() };
        for source in sources {
            let data = self.read_file(source, call.name);
            self.write_file(target, &data, sources.len() > 1, call.name);
            // If the target is a directory, the copy has the source's name in there.
            let inside = format!("{}/{}", target.text, super::super::table::base_name(&source.text));
            let (path, _) = self.path(&Word { text: inside, ..target.clone() });
            let (direct, _) = self.path(target);
            if let Some(file) = self.env.files.get(&direct).cloned() {
                self.remember_file(path, file);
            }
            if call.name.ends_with("mv") {
                let (path, exact) = self.path(source);
                let class = asset::classify_path(&path, exact);
                self.effect(
                    Capability::DeleteFile,
                    Target::Path { path: path.clone(), exact },
                    class,
                    &[],
                    call.name,
                );
                self.env.files.remove(&path);
            }
        }
        Stream::silent()
    }

    fn link(&mut self, call: &Call<'_>) -> Stream {
        let [source, .., name] = call.operands.as_slice() else {
            return Stream::silent();
        };
        let (to, _) = self.path(source);
        let (mut at, exact) = self.path(name);
        if name.text.ends_with('/') || name.text == "." {
            at = asset::normalise_path(&format!("{at}/{}", super::super::table::base_name(&to)));
        }
        let class = asset::classify_path(&at, exact);
        self.effect(Capability::WriteFile, Target::Path { path: at.clone(), exact }, class, &[], call.name);
        if self.env.links.len() < 64 {
            self.env.links.insert(at, to);
        } else {
            self.budget.gap("shell: too many links");
        }
        Stream::silent()
    }

    /// Where a link leads: known if this session made it.
    fn read_link(&mut self, call: &Call<'_>) -> Option<Stream> {
        let word = call.operands.last()?;
        let link = asset::normalise_path(&word.text);
        let (path, exact) = self.path(word);
        if exact && self.env.leads_on(&link) {
            return Some(Stream::of_text(path + "\n"));
        }
        if call.name == "readlink" && !word.text.is_empty() {
            self.budget.gap("filesystem");
        }
        None
    }

    fn dd(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let value = |key: &str| {
            call.args.iter().find_map(|word| {
                word.text.strip_prefix(key).map(|text| Word { text: text.to_owned(), ..word.clone() })
            })
        };
        let data = match value("if=") {
            Some(word) => self.read_file(&word, "dd"),
            None => stdin.clone(),
        };
        match value("of=") {
            Some(word) => {
                self.write_file(&word, &data, false, "dd");
                Stream::silent()
            }
            None => data,
        }
    }

    fn sed(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let in_place = call
            .flags
            .iter()
            .any(|flag| flag.starts_with("-i") || flag == "-I" || flag.starts_with("--in-pl"));
        let scripts: Vec<Word> = call.of_role(b'p').cloned().collect();
        let mut data = self.inputs(call, stdin);
        for word in &scripts {
            add_flows(&mut data.from, &word.from);
            // GNU: `s/x/cmd/e`, `1e cmd` run commands; `w file` writes, `r file` reads.
            for part in word.text.split([';', '\n']) {
                let part = part.trim();
                let address = part.trim_start_matches(|c: char| c.is_ascii_digit() || "$,!".contains(c));
                if let Some(command) = address.strip_prefix("e ").or_else(|| address.strip_prefix("e\t")) {
                    let ran = self.execute_text(&Word::known(command), Shell::Sh, call.name, stdin);
                    data.append(ran);
                } else if let Some(file) = address.strip_prefix("w ") {
                    self.write_file(&Word::known(file.trim()), &data.clone(), false, call.name);
                } else if let Some(file) = address.strip_prefix("r ") {
                    let read = self.read_file(&Word::known(file.trim()), call.name);
                    data.append(read);
                } else if let Some((body, "e")) = address.rsplit_once(address.chars().nth(1).unwrap_or('/'))
                    && address.starts_with('s')
                {
                    let command = body.rsplit(address.chars().nth(1).unwrap_or('/')).next().unwrap_or(body);
                    let ran = self.execute_text(&Word::known(command), Shell::Sh, call.name, stdin);
                    data.append(ran);
                }
            }
        }
        data.unknown();
        if in_place {
            let files: Vec<Word> = call.of_role(b'r').cloned().collect();
            for file in &files {
                // What is put in stands in the script.
                let text = scripts.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join("\n");
                let written = Stream { text: Some(text), from: data.from.clone(), ..Stream::default() };
                self.write_file(file, &written, false, call.name);
                let (path, _) = self.path(file);
                if let Some(file) = self.env.files.get_mut(&path) {
                    file.text = None;
                }
            }
            return Stream::silent();
        }
        data
    }

    fn awk(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut data = self.inputs(call, stdin);
        data.unknown();
        for word in call.of_role(b'x') {
            let ran = self.run_script(call.name, word, &[], stdin);
            add_flows(&mut data.from, &ran.from);
        }
        for word in call.of_role(b'e') {
            let code = &word.text;
            let acts = ["system", "getline", "/inet/", "print >", "print>", "printf >"]
                .iter()
                .any(|needle| code.contains(needle))
                || (code.contains("| \"")
                    || code.contains("|\"")
                    || code.contains("> \"")
                    || code.contains(">\""));
            if acts {
                let ran = self.run_code(word, call.name, &data);
                add_flows(&mut data.from, &ran.from);
            }
            add_flows(&mut data.from, &word.from);
        }
        data.present = true;
        data
    }

    fn grep(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut data = self.inputs(call, stdin);
        let pattern = call.of_role(b'p').next();
        if let Some(pattern) = pattern
            && stdin.about == "processes"
        {
            data.about = pattern.text.clone();
        }
        data.unknown();
        data.present = true;
        data
    }

    fn decoder(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let data = self.inputs(&retexted(call), stdin);
        let text = match call.of_role(b'r').next() {
            Some(word) if word.text != "-" => {
                let (path, _) = self.path(word);
                self.env.file_at(&path).and_then(|file| file.text).map(|text| text.to_string())
            }
            _ => stdin.text.clone(),
        };
        let reverses = call.has_flag(&["-d", "-D", "--decode", "--d", "-r"])
            || call.name == "uudecode"
            || call.flags.iter().any(|flag| flag.starts_with("--dec"));
        let bytes = text.filter(|_| reverses).and_then(|text| match call.name {
            "xxd" => decode::hex_bytes(&text),
            "base64" => decode::base64_bytes(&text),
            _ => None,
        });
        let mut out = data.decoded(bytes);
        if reverses {
            // Whoever runs it runs what nobody could read.
            let target = Target::Other("decoded text".to_owned());
            let flow = self.effect(Capability::ReadFile, target, AssetClass::Project, &out.from, call.name);
            out.from = vec![flow];
        }
        for word in call.of_role(b'w') {
            self.write_file(word, &out, false, call.name);
        }
        out
    }

    fn translate(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let text = match (call.operands.as_slice(), stdin.text.as_ref()) {
            ([from, to], Some(text)) if call.flags.is_empty() => {
                Some(decode::translate(text, &from.text, &to.text))
            }
            ([set], Some(text)) if call.has_flag(&["-d"]) => {
                let gone = decode::c_escapes(&set.text);
                Some(text.chars().filter(|c| !gone.contains(*c)).collect())
            }
            _ => None,
        };
        Some(Stream { text, raw: None, ..stdin.clone() })
    }

    fn compress(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        let files = call.of_role(b'm').any(|word| word.text != "-");
        let to_stdout = call.has_flag(&["-c", "--stdout", "--to-stdout"]);
        if files && !to_stdout {
            return None;
        }
        let opens = matches!(call.name, "gunzip") || call.has_flag(&["-d", "--decompress", "--uncompress"]);
        let gzip = matches!(call.name, "gzip" | "gunzip" | "pigz") && !files;
        let opened = stdin.raw.as_deref().filter(|_| opens && gzip).and_then(decode::gunzip);
        Some(self.inputs(call, stdin).decoded(opened))
    }

    fn tar(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut mode = ' ';
        let mut archive: Option<Word> = None;
        let mut members = Vec::new();
        let mut base: Option<Word> = None;
        let mut out_of_here = false;
        let mut commands = Vec::new();
        let mut args = call.args.iter().enumerate();
        while let Some((at, word)) = args.next() {
            let text = word.text.as_str();
            let bundled = at == 0 && !text.starts_with('-');
            let long = text.strip_prefix("--");
            if let Some(long) = long {
                let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
                let mut take = || match value {
                    Some(value) => Some(Word { text: value.to_owned(), ..word.clone() }),
                    None => args.next().map(|(_, word)| word.clone()),
                };
                match name {
                    "create" | "append" | "update" | "catenate" => mode = 'c',
                    "extract" | "get" => mode = 'x',
                    "list" | "diff" | "compare" => mode = 't',
                    "file" => archive = take(),
                    "directory" => base = take(),
                    "to-stdout" => out_of_here = true,
                    "use-compress-program"
                    | "to-command"
                    | "rsh-command"
                    | "info-script"
                    | "new-volume-script" => commands.extend(take()),
                    "checkpoint-action" => {
                        if let Some(word) = take()
                            && let Some(command) = word.text.strip_prefix("exec=")
                        {
                            commands.push(Word { text: command.to_owned(), ..word.clone() });
                        }
                    }
                    "files-from" | "exclude" | "exclude-from" | "transform" | "strip-components"
                    | "owner" | "group" | "mode"
                        if value.is_none() =>
                    {
                        args.next();
                    }
                    _ => {}
                }
                continue;
            }
            if (text.starts_with('-') && text.len() > 1) || bundled {
                let letters = text.trim_start_matches('-');
                for (nth, c) in letters.char_indices() {
                    let rest = letters.get(nth + 1..).unwrap_or_default();
                    match c {
                        'c' | 'r' | 'u' | 'A' => mode = 'c',
                        'x' => mode = 'x',
                        't' | 'd' => mode = if mode == ' ' { 't' } else { mode },
                        'O' => out_of_here = true,
                        'f' | 'C' | 'T' | 'X' | 'I' | 'F' | 'b' | 'H' | 'g' | 'N' | 'K' | 'V' => {
                            let inline = !rest.is_empty() && !bundled;
                            let value = if inline {
                                Some(Word { text: rest.to_owned(), ..word.clone() })
                            } else {
                                args.next().map(|(_, word)| word.clone())
                            };
                            match c {
                                'f' => archive = value,
                                'C' => base = value,
                                'I' | 'F' => commands.extend(value),
                                'T' => {
                                    if let Some(value) = value {
                                        self.read_file(&value, "tar");
                                    }
                                }
                                _ => {}
                            }
                            if inline {
                                break;
                            }
                        }
                        _ => {}
                    }
                }
                continue;
            }
            let member = match (&base, asset::is_relative(text)) {
                // An empty one (`-C "$1"` in a script that is read without its arguments) is not the root.
                (Some(base), true) if mode == 'c' && !base.text.is_empty() => {
                    let exact = base.exact && word.exact;
                    Word { text: format!("{}/{text}", base.text), exact, ..word.clone() }
                }
                _ => word.clone(),
            };
            members.push(member);
        }
        for command in &commands {
            self.speller(command, "tar");
            self.execute_text(command, Shell::Sh, "tar", stdin);
        }
        let dash = archive.as_ref().is_none_or(|word| word.text == "-");
        match mode {
            'c' => {
                let mut data = Stream::silent();
                for member in &members {
                    data.append(self.read_file(member, "tar"));
                }
                data.unknown();
                match archive {
                    Some(word) if !dash => {
                        self.write_file(&word, &data, false, "tar");
                        Stream::silent()
                    }
                    _ => data,
                }
            }
            'x' | 't' => {
                let mut data = match archive {
                    Some(word) if !dash => self.read_file(&word, "tar"),
                    _ => stdin.clone(),
                };
                data.unknown();
                if mode == 'x' && !out_of_here {
                    self.unpack(base.as_ref(), &data, "tar");
                }
                data
            }
            _ => self.inputs(call, stdin),
        }
    }

    /// Files appear in a directory.
    fn unpack(&mut self, directory: Option<&Word>, data: &Stream, by: &str) {
        let here = Word { text: ".".to_owned(), exact: true, ..Word::default() };
        let directory = directory.unwrap_or(&here);
        let (path, exact) = self.path(directory);
        let class = asset::classify_path(&path, exact);
        let target = Target::Path { path: path.clone(), exact };
        let flow = self.effect(Capability::WriteFile, target, class, &data.from, by);
        self.env.put(below(&path), File { from: vec![flow], ..File::default() });
    }

    fn archive(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        if matches!(call.name, "unzip" | "bsdunzip") {
            let archive = call.operands.first()?;
            let mut data = self.read_file(archive, call.name);
            data.unknown();
            if !call.has_flag(&["-l", "-p", "-t", "-Z", "-c"]) {
                self.unpack(call.value(&["-d"]), &data, call.name);
            }
            return Some(data);
        }
        if matches!(call.name, "cpio" | "pax") {
            return Some(self.copied_by_list(call, stdin));
        }
        let (verb, rest) = call.operands.split_first()?;
        if verb.text.starts_with('a') || verb.text.starts_with('r') || verb.text.starts_with('u') {
            let (archive, members) = rest.split_first()?;
            let mut data = Stream::silent();
            for member in members {
                data.append(self.read_file(member, call.name));
            }
            data.unknown();
            if call.args.iter().any(|word| word.text == "-so") {
                return Some(data);
            }
            self.write_file(archive, &data, false, call.name);
            return Some(Stream::silent());
        }
        if matches!(verb.text.as_str(), "x" | "e") {
            let data = self.read_file(rest.first()?, call.name);
            self.unpack(None, &data, call.name);
            return Some(Stream::silent());
        }
        let mut data = self.inputs(call, stdin);
        data.unknown();
        Some(data)
    }

    /// `find . | cpio -o`: the names come by the input, what they name goes out or to another place.
    fn copied_by_list(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let says = |letters: [char; 2]| {
            let cluster = |word: &Word| word.text.starts_with('-') && !word.text.starts_with("--");
            call.args.iter().any(|word| cluster(word) && word.text.contains(letters))
        };
        let mut data = self.inputs(call, stdin);
        if says(['o', 'p']) || call.name == "pax" && says(['w', 'w']) {
            let names = stdin.said().unwrap_or_default().to_owned();
            for name in names.lines().filter(|name| !name.trim().is_empty()).take(64) {
                data.append(self.read_file(&Word::known(name.trim()), call.name));
            }
        }
        data.unknown();
        data
    }

    fn find(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let fd = call.name.starts_with("fd");
        let starts = |word: &Word| {
            word.text.starts_with(['-', '(', '!', ')']) && word.text.len() > 1
                || matches!(word.text.as_str(), "(" | "!")
        };
        let (fd_roots, fd_name) = if fd { fd_places(call.args) } else { (Vec::new(), None) };
        let roots: Vec<Word> = if fd {
            fd_roots
        } else {
            call.args
                .iter()
                .skip_while(|word| matches!(word.text.as_str(), "-H" | "-L" | "-P" | "-E" | "-X"))
                .take_while(|word| !starts(word))
                .cloned()
                .collect()
        };
        let mut root = roots.first().cloned().unwrap_or_else(|| Word::known("."));
        if matches!(root.text.trim_end_matches('/'), "/home" | "/Users") {
            // What is found there lies in some user's home; it is not the home.
            root.text = format!("{}/*", root.text.trim_end_matches('/'));
        }
        let mut names: Vec<&Word> = call
            .args
            .windows(2)
            .filter_map(|pair| match pair {
                [key, name]
                    if matches!(
                        key.text.as_str(),
                        "-name" | "-iname" | "-path" | "-ipath" | "-wholename"
                    ) =>
                {
                    Some(name)
                }
                _ => None,
            })
            .collect();
        names.extend(&fd_name);
        let found: Vec<Word> = match names.as_slice() {
            [] => vec![Word { text: format!("{}/*", root.text.trim_end_matches('/')), ..Word::default() }],
            names => names
                .iter()
                .map(|name| Word {
                    text: format!("{}/{}", root.text.trim_end_matches('/'), name.text),
                    exact: false,
                    ..Word::default()
                })
                .collect(),
        };
        let listing = found.first().map(|word| word.text.clone()).unwrap_or_default();
        let mut out = Stream::of_flows(Vec::new(), listing);
        // An `-exec` inside the command of another is an argument, not an action of this `find`.
        let mut inside = 0;
        for (at, word) in call.args.iter().enumerate() {
            if at < inside || self.budget.exhausted() {
                continue;
            }
            let verb = word.text.as_str();
            let runs = matches!(verb, "-exec" | "-execdir" | "-ok" | "-okdir")
                || (fd && matches!(verb, "-x" | "-X" | "--exec" | "--exec-batch"));
            if runs {
                let command = call.args.get(at + 1..).unwrap_or_default();
                let end = command
                    .iter()
                    .position(|word| matches!(word.text.as_str(), ";" | "+"))
                    .unwrap_or(command.len());
                // `\` at the very end stands for a `;` that was lost.
                let lost = |word: &Word| end == command.len() && word.text == "\\";
                let command = command.get(..end).unwrap_or_default();
                let command =
                    command.split_last().filter(|(last, _)| lost(last)).map_or(command, |(_, rest)| rest);
                inside = at + 1 + end;
                // fd puts the file last where no braces say where.
                let last = fd && !command.iter().any(|word| word.text.contains('{'));
                for file in &found {
                    let mut argv: Vec<Word> = command.iter().map(|word| with_item(word, file)).collect();
                    argv.extend(last.then(|| file.clone()));
                    if !argv.is_empty() {
                        let ran = self.run(&argv, stdin);
                        out.append(ran);
                    }
                }
            } else if verb == "-delete" {
                for file in &found {
                    let (path, exact) = self.path(file);
                    let class = asset::classify_path(&path, exact);
                    self.effect(
                        Capability::DeleteFile,
                        Target::Path { path, exact: false },
                        class,
                        &[],
                        call.name,
                    );
                }
            } else if matches!(verb, "-fprint" | "-fprintf" | "-fls" | "-fprint0")
                && let Some(file) = call.args.get(at + 1)
            {
                self.write_file(file, &out.clone(), false, call.name);
            }
        }
        out.present = true;
        out
    }

    fn xargs(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let stdin = match call.value(&["-a", "--arg-file"]) {
            Some(file) => self.read_file(&file.clone(), call.name),
            None => stdin.clone(),
        };
        let replaced = call
            .value(&["-I", "--replace"])
            .map(|word| word.text.clone())
            .or_else(|| call.has_flag(&["-i"]).then(|| "{}".to_owned()));
        let items: Vec<Word> = match &stdin.text {
            Some(text) => text
                .split_whitespace()
                .take(64)
                .map(|text| Word {
                    text: text.to_owned(),
                    exact: true,
                    from: stdin.from.clone(),
                    stream: None,
                })
                .collect(),
            None => {
                // A listing of files is a glob, anything else is unknown.
                let about = &stdin.about;
                let listing = about.contains(['*', '?']) || about.contains('/');
                let text = if listing { about.clone() } else { super::super::stream::unknown(about) };
                vec![Word { text, exact: false, from: stdin.from.clone(), stream: None }]
            }
        };
        let mut command = call.rest.clone();
        if command.is_empty() {
            if call.name == "parallel" {
                let word = stdin.clone().into_word();
                return self.execute_text(&word, Shell::Sh, call.name, &Stream::default());
            }
            return Stream { text: None, raw: None, ..stdin };
        }
        let quiet = Stream::default();
        match replaced {
            Some(token) if !token.is_empty() => {
                let mut out = Stream::silent();
                for item in items.iter().take(8) {
                    let argv: Vec<Word> =
                        command.iter().map(|word| replace_token(word, &token, item)).collect();
                    out.append(self.run(&argv, &quiet));
                }
                out
            }
            _ => {
                if command.iter().any(|word| word.text == "{}") && call.name == "parallel" {
                    let item = items.first().cloned().unwrap_or_default();
                    command = command.iter().map(|word| replace_token(word, "{}", &item)).collect();
                } else {
                    command.extend(items);
                }
                self.run(&command, &quiet)
            }
        }
    }

    fn editor(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let script = stdin.text.clone().unwrap_or_default();
        let commands = call
            .values
            .iter()
            .filter(|(name, _)| matches!(*name, "-c" | "--cmd"))
            .map(|(_, word)| word.text.as_str());
        let lines: Vec<String> = commands.chain(script.lines()).map(str::to_owned).collect();
        let mut from = Vec::new();
        for line in &lines {
            let line = line.trim().trim_start_matches(':');
            let shell = line.strip_prefix('!').or_else(|| {
                line.split_once("!")
                    .filter(|(head, _)| matches!(*head, "w " | "r " | "%" | "silent " | "r"))
                    .map(|(_, c)| c)
            });
            if let Some(command) = shell {
                let ran = self.execute_text(&Word::known(command), Shell::Sh, call.name, &Stream::default());
                add_flows(&mut from, &ran.from);
            } else if ["py ", "py3 ", "python", "lua ", "perl ", "ruby ", "call system", "terminal"]
                .iter()
                .any(|head| line.starts_with(head))
            {
                let ran = self.run_code(&Word::known(line), call.name, &Stream::default());
                add_flows(&mut from, &ran.from);
            }
        }
        for word in call.of_role(b'x') {
            self.run_script(call.name, word, &[], stdin);
        }
        if let Some(speller) = call.value(&["-s"]).filter(|_| call.name == "nano") {
            let speller = speller.clone();
            self.speller(&speller, call.name);
        }
        for word in call.of_role(b'm') {
            if word.text == "-" {
                continue;
            }
            let mut data = self.read_file(word, call.name);
            if stdin.present || !lines.is_empty() {
                add_flows(&mut data.from, &feeding(&[], stdin));
                let text = (!lines.is_empty()).then(|| lines.join("\n"));
                self.write_file(word, &Stream { text, raw: None, ..data }, false, call.name);
            }
        }
        Stream::of_flows(from, "")
    }
}

/// The same call, for readers that need only its files.
fn retexted<'a>(call: &Call<'a>) -> Call<'a> {
    Call {
        row: call.row,
        name: call.name,
        args: call.args,
        uses: call.uses.clone(),
        flags: Vec::new(),
        values: Vec::new(),
        operands: call.operands.clone(),
        rest: Vec::new(),
        traits: Vec::new(),
    }
}

fn reversed(name: &str, text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if name == "tac" {
        lines.reverse();
        return lines.join("\n");
    }
    lines.iter().map(|line| line.chars().rev().collect::<String>()).collect::<Vec<_>>().join("\n")
}

fn with_item(word: &Word, item: &Word) -> Word {
    if word.text.contains("{}") { replace_token(word, "{}", item) } else { word.clone() }
}

fn replace_token(word: &Word, token: &str, item: &Word) -> Word {
    if !word.text.contains(token) {
        return word.clone();
    }
    let mut from = word.from.clone();
    add_flows(&mut from, &item.from);
    let mut text = word.text.replace(token, &item.text);
    text.truncate(text.floor_char_boundary(16 * 1024));
    Word { text, exact: word.exact && item.exact, from, stream: None }
}

/// Where fd looks, and the names it looks for.
fn fd_places(args: &[Word]) -> (Vec<Word>, Option<Word>) {
    const VALUED: [&str; 20] = [
        "-e",
        "--extension",
        "-t",
        "--type",
        "-E",
        "--exclude",
        "-d",
        "--max-depth",
        "--min-depth",
        "--exact-depth",
        "-S",
        "--size",
        "-j",
        "--threads",
        "-c",
        "--color",
        "--changed-within",
        "--changed-before",
        "-o",
        "--owner",
    ];
    let runs = |word: &&Word| !matches!(word.text.as_str(), "-x" | "-X" | "--exec" | "--exec-batch");
    let own: Vec<&Word> = args.iter().take_while(runs).collect();
    let (mut places, mut roots, mut ending) = (Vec::new(), Vec::new(), None);
    let mut rest = own.into_iter();
    while let Some(word) = rest.next() {
        match word.text.as_str() {
            "--base-directory" | "--search-path" => roots.extend(rest.next().cloned()),
            option if VALUED.contains(&option) => {
                let value = rest.next();
                if matches!(option, "-e" | "--extension") {
                    ending = value.map(|value| format!("*.{}", value.text));
                }
            }
            option if option.starts_with('-') && option.len() > 1 => {}
            _ => places.push(word.clone()),
        }
    }
    let mut places = places.into_iter();
    let pattern = places.next().map(|word| word.text).filter(|text| !text.is_empty() && text != ".");
    roots.extend(places);
    // A pattern is an expression; of one that is plain the name is known.
    let plain =
        pattern.filter(|text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.*".contains(&b)));
    let name = ending.or_else(|| plain.map(|text| format!("*{}*", text.trim_matches('*'))));
    (roots, name.map(|text| Word { text, ..Word::default() }))
}
