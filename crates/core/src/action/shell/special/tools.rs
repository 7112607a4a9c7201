//! Development tools: version control, package managers, containers, clouds.

use super::super::builtins::feeding;
use super::super::env::{File, below};
use super::super::eval::Eval;
use super::super::programs::{Call, line_of};
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word};
use crate::action::{AssetClass, Capability, Target};

/// Where projects are published under their makers' names, so that what is run from there can be told.
const KNOWN_FORGES: [&str; 5] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "git.sr.ht"];

impl Eval {
    pub(super) fn tool_program(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        match call.name {
            "git" => Some(self.git(call, stdin)),
            "gh" | "glab" | "hub" | "svn" | "hg" => Some(self.forge(call, stdin)),
            "npm" | "pnpm" | "yarn" | "npx" | "pnpx" | "bunx" | "pip" | "pipx" | "uv" | "uvx" | "poetry"
            | "pipenv" | "conda" | "mamba" | "pdm" | "gem" | "bundle" | "bundler" | "composer" | "cpan"
            | "cpanm" | "luarocks" | "cargo" | "go" | "rustup" | "apt" | "apt-get" | "aptitude" | "dnf"
            | "yum" | "microdnf" | "zypper" | "pacman" | "yay" | "paru" | "apk" | "brew" | "port"
            | "emerge" | "snap" | "flatpak" | "nix" | "nix-env" | "nix-shell" | "pkg" | "winget"
            | "choco" | "scoop" | "msiexec" | "helm-plugin" | "nuget" | "easy_install" | "micromamba"
            | "hatch" | "pod" | "carthage" | "mint" | "vcpkg" | "conan" | "opam" | "raco" | "twine" => {
                Some(self.packages(call, stdin))
            }
            "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" | "lxc" | "buildah"
            | "skopeo" | "ctr" | "crictl" | "systemd-nspawn" | "machinectl" | "lxc-attach" | "lxc-start"
            | "limactl" | "colima" | "multipass" | "vagrant" => Some(self.container(call, stdin)),
            "kubectl" | "oc" | "k9s" | "helm" | "k3s" => Some(self.cluster(call, stdin)),
            "aws" | "gcloud" | "gsutil" | "bq" | "az" | "doctl" | "heroku" | "fly" | "flyctl" | "vercel"
            | "netlify" | "wrangler" | "railway" | "oci" | "ibmcloud" | "aliyun" | "s3cmd" | "rclone"
            | "mc" | "firebase" | "supabase" => Some(self.cloud(call, stdin)),
            "terraform" | "tofu" | "pulumi" | "ansible" | "ansible-playbook" | "vault" | "consul"
            | "packer" | "ansible-vault" => Some(self.infrastructure(call, stdin)),
            "mysqldump" | "pg_dump" | "pg_dumpall" | "mongodump" => {
                let flow = self.effect(
                    Capability::Execute,
                    Target::Program(call.name.to_owned()),
                    AssetClass::Project,
                    &[],
                    call.name,
                );
                let data = Stream::of_flows(vec![flow], "database");
                self.outputs(call, &data);
                Some(data)
            }
            _ => None,
        }
    }

    fn ordinary(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let from = feeding(call.args, stdin);
        let flow = self.effect(
            Capability::Execute,
            Target::Program(call.name.to_owned()),
            AssetClass::Project,
            &from,
            call.name,
        );
        Stream::of_flows(vec![flow], "")
    }

    fn git(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut args = call.args.iter().peekable();
        let mut verb = String::new();
        let mut rest: Vec<Word> = Vec::new();
        while let Some(word) = args.next() {
            match word.text.as_str() {
                "-C" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" => drop(args.next()),
                "-c" | "--config-env" => {
                    if let Some(setting) = args.next() {
                        self.git_setting(setting, stdin);
                    }
                }
                flag if flag.starts_with('-') => {}
                _ => {
                    verb.clone_from(&word.text);
                    rest = args.by_ref().cloned().collect();
                }
            }
        }
        let operands: Vec<&Word> = rest.iter().filter(|word| !word.text.starts_with('-')).collect();
        let remote = operands
            .iter()
            .find(|word| word.text.contains("://") || word.text.contains('@') || word.text.contains(':'));
        let place = remote.map_or_else(
            || operands.first().map(|w| w.text.clone()).unwrap_or_default(),
            |word| word.text.clone(),
        );
        match verb.as_str() {
            "push" | "send-email" | "send-pack" => {
                let (target, class) = git_place(&place);
                let from = feeding(call.args, stdin);
                let flow = self.effect(Capability::NetworkPost, target, class, &from, "git");
                Stream::of_flows(vec![flow], "")
            }
            "clone" | "fetch" | "pull" | "ls-remote" | "submodule" | "archive"
                if verb != "archive" || remote.is_some() =>
            {
                let from = feeding(call.args, stdin);
                let (target, class) = git_place(&place);
                if from.is_empty() {
                    self.effect(Capability::NetworkFetch, target, class, &[], "git");
                } else {
                    self.effect(Capability::NetworkPost, target, class, &from, "git");
                }
                if verb == "clone"
                    && let Some(to) = cloned_to(&operands, &place)
                    && let Ok(flow) = crate::action::Flow::try_from(self.reading.effects.len() - 1)
                {
                    let (path, _) = self.path(&to);
                    self.env.put(below(&path), File { from: vec![flow], ..File::default() });
                }
                if place.starts_with("ext::") {
                    let command = place.trim_start_matches("ext::").to_owned();
                    self.execute_text(&Word::known(command), Shell::Sh, "git", stdin);
                }
                self.ordinary(call, stdin)
            }
            "config" => {
                if let [key, value, ..] = operands.as_slice() {
                    let setting = Word { text: format!("{}={}", key.text, value.text), ..(*value).clone() };
                    self.git_setting(&setting, stdin);
                    let global =
                        rest.iter().any(|word| matches!(word.text.as_str(), "--global" | "--system"));
                    let path = if global { "~/.gitconfig" } else { ".git/config" };
                    let quiet = !dangerous_setting(&key.text);
                    let class = if quiet { AssetClass::Config } else { AssetClass::Startup };
                    let target = Target::Path { path: path.to_owned(), exact: true };
                    let flow = self.effect(Capability::WriteFile, target, class, &value.from, "git");
                    self.reading.writes.push((flow, setting.text));
                }
                Stream::of_flows(Vec::new(), "")
            }
            "filter-branch" | "bisect" | "rebase" | "difftool" | "mergetool" => {
                let scripts = rest.windows(2).filter_map(|pair| match pair {
                    [flag, code]
                        if flag.text.ends_with("-filter")
                            || matches!(flag.text.as_str(), "--exec" | "-x" | "--extcmd") =>
                    {
                        Some(code.clone())
                    }
                    _ => None,
                });
                for script in scripts.collect::<Vec<_>>() {
                    self.execute_text(&script, Shell::Sh, "git", stdin);
                }
                if verb == "bisect" && operands.first().is_some_and(|word| word.text == "run") {
                    self.run(rest.get(1..).unwrap_or_default(), stdin);
                }
                self.ordinary(call, stdin)
            }
            "credential" | "credential-store" | "credential-cache" => {
                let target = Target::Other(line_of(call));
                let flow = self.effect(Capability::SecretAccess, target, AssetClass::Credential, &[], "git");
                Stream::of_flows(vec![flow], "")
            }
            "remote" => {
                self.ordinary(call, stdin);
                Stream::of_flows(Vec::new(), "")
            }
            "diff" | "show" | "log" | "blame" | "grep" | "cat-file"
                if rest.iter().any(|word| word.text == "--no-index") =>
            {
                let mut data = Stream::silent();
                for word in operands {
                    data.append(self.read_file(word, "git"));
                }
                data
            }
            "bundle" | "fast-export" => {
                // A whole history in one file, or on the way through a pipe.
                let target = Target::Other("a repository with its history".to_owned());
                let flow = self.effect(Capability::ReadFile, target, AssetClass::Project, &[], "git");
                let data = Stream::of_flows(vec![flow], "");
                if let [create, file, ..] = operands.as_slice()
                    && create.text == "create"
                    && file.text != "-"
                {
                    self.write_file(file, &data, false, "git");
                }
                data
            }
            "apply" | "am" | "hash-object" => {
                for word in operands {
                    self.read_file(word, "git");
                }
                self.ordinary(call, stdin)
            }
            _ => self.ordinary(call, stdin),
        }
    }

    /// Settings that make git run commands.
    fn git_setting(&mut self, setting: &Word, stdin: &Stream) {
        let Some((key, value)) = setting.text.split_once('=') else { return };
        if !dangerous_setting(key) {
            return;
        }
        let value = value.trim_start_matches('!').to_owned();
        let lower = key.to_ascii_lowercase();
        if lower == "core.hookspath"
            || lower.starts_with("include")
            || lower.starts_with("http.")
            || lower.starts_with("url.")
        {
            return;
        }
        self.conditions += 1;
        self.execute_text(&Word { text: value, ..setting.clone() }, Shell::Sh, "git", stdin);
        self.conditions -= 1;
    }

    fn forge(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let from = feeding(call.args, stdin);
        if words.starts_with(&["auth", "token"]) {
            let flow = self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Credential,
                &[],
                call.name,
            );
            return Stream::of_flows(vec![flow], "token");
        }
        let sends =
            ["create", "comment", "upload", "edit", "commit", "push", "set", "merge", "close", "review"]
                .iter()
                .any(|verb| words.contains(verb));
        let mut data = Stream { from, ..Stream::default() };
        if sends && matches!(words.first(), Some(&("gist" | "release" | "secret" | "issue" | "pr" | "repo")))
        {
            let skip = usize::from(words.contains(&"upload")) + 2;
            if matches!(words.first(), Some(&("gist" | "release"))) {
                for word in
                    call.operands.iter().skip(skip.min(3)).filter(|word| word.text.contains(['/', '.', '~']))
                {
                    data.append(self.read_file(word, call.name));
                }
            }
            data.unknown();
            let flow = self.post(call.name, &data, call.name);
            let kept = words.first() == Some(&"secret");
            let place = if kept { "secrets of a code forge" } else { "code forge" };
            self.retarget(flow, Target::Other(place.to_owned()));
            return Stream::of_flows(vec![flow], "");
        }
        self.ordinary(call, stdin)
    }

    fn retarget(&mut self, flow: crate::action::Flow, target: Target) {
        if let Some(effect) = self.reading.effects.get_mut(usize::from(flow)) {
            effect.target = target;
            effect.asset = AssetClass::External;
        }
    }

    fn packages(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let verb = call
            .operands
            .iter()
            .map(|word| word.text.as_str())
            .find(|word| !word.starts_with('+'))
            .unwrap_or_default();
        const INSTALLS: [&str; 24] = [
            "install",
            "i",
            "add",
            "ci",
            "get",
            "update",
            "upgrade",
            "download",
            "fetch",
            "-S",
            "sync",
            "require",
            "dlx",
            "exec",
            "create",
            "dist-upgrade",
            "full-upgrade",
            "tool",
            "refresh",
            "localinstall",
            "reinstall",
            "pull",
            "search",
            "restore",
        ];
        let runs_package = matches!(call.name, "npx" | "pnpx" | "bunx" | "uvx" | "pipx" | "nix-shell");
        let from = feeding(call.args, stdin);
        let mut flows = Vec::new();
        for word in call.args {
            let text = word.text.trim_start_matches("git+").trim_start_matches("git:");
            let url = text
                .find("://")
                .map(|at| text.get(at.saturating_sub(5)..).map_or(text, |_| text))
                .or_else(|| word.text.starts_with("github:").then_some(word.text.as_str()));
            if let Some(url) = url {
                let url = url
                    .split_once('=')
                    .filter(|(key, _)| key.starts_with("--"))
                    .map_or(url, |(_, value)| value);
                flows.push(self.fetch(url, &word.from, call.name));
                let asks =
                    ["run", "exec", "start", "test", "dlx", "view", "info", "search", "create", "init"];
                if !runs_package && !asks.contains(&verb) {
                    self.source_of_packages(url, call.name);
                }
            }
        }
        let runs_it = runs_package || matches!(verb, "exec" | "dlx") && call.name != "go";
        let strange = |text: &str| !KNOWN_FORGES.iter().any(|forge| text.contains(forge));
        if runs_it
            && !flows.is_empty()
            && call.args.iter().any(|w| w.text.contains("://") && strange(&w.text))
        {
            self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &flows, call.name);
        }
        if INSTALLS.contains(&verb)
            || runs_package
            || call.has_flag(&["-S", "-Sy", "-U"]) && call.name == "pacman"
        {
            flows.push(self.registry_fetch(call.name));
        }
        let settings = matches!(
            (call.name, verb),
            (
                "npm" | "pnpm" | "yarn" | "pip" | "composer" | "bundle" | "gem" | "poetry" | "conda",
                "config" | "set" | "sources"
            )
        );
        if settings
            && (call.args.iter().any(|word| word.text == "set" || word.text == "--add" || word.text == "-a")
                || verb == "set")
        {
            let target = Target::Path { path: "~/.npmrc".replace("npm", call.name), exact: false };
            let flow = self.effect(Capability::WriteFile, target, AssetClass::Config, &from, call.name);
            self.reading.writes.push((flow, line_of(call)));
        }
        for word in call.of_role(b'r') {
            self.read_file(word, call.name);
        }
        if matches!((call.name, verb), ("npm" | "pnpm" | "yarn", "exec" | "dlx"))
            && let Some(at) = call.args.iter().position(|word| word.text == "--")
        {
            let inner = call.args.get(at + 1..).unwrap_or_default();
            let known = inner
                .first()
                .is_some_and(|word| super::super::table::lookup(&word.text, Shell::Sh).is_some());
            if known {
                self.run(inner, stdin);
            }
        }
        for word in call.of_role(b's') {
            self.execute_text(word, Shell::Sh, call.name, stdin);
        }
        if matches!(verb, "run" | "tool")
            && matches!(call.name, "uv" | "poetry" | "pipenv" | "pdm" | "hatch" | "conda")
        {
            let at =
                call.args.iter().position(|word| word.text == "run").map_or(call.args.len(), |at| at + 1);
            let inner: Vec<Word> =
                call.args.iter().skip(at).skip_while(|word| word.text.starts_with('-')).cloned().collect();
            if !inner.is_empty() {
                return self.run(&inner, stdin);
            }
        }
        if verb == "publish" && !call.has_flag(&["--dry-run", "-n"]) {
            let flow = self.post("", &Stream::of_flows(from.clone(), ""), call.name);
            self.retarget(flow, Target::Other("package registry".to_owned()));
        }
        if matches!(verb, "install" | "i" | "add" | "require") {
            self.look_alikes(call);
        }
        let mut all = from;
        add_flows(&mut all, &flows);
        let flow = self.effect(
            Capability::Execute,
            Target::Program(call.name.to_owned()),
            AssetClass::Project,
            &all,
            call.name,
        );
        Stream::of_flows(vec![flow], "")
    }

    /// Mounts, privileges and the command inside.
    fn container(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut from = feeding(call.args, stdin);
        let mut escapes = false;
        let mut args = call.args.iter().peekable();
        let verb = verb_of(call.args).to_owned();
        let mut after: Vec<Word> = Vec::new();
        let mut begun = false;
        while let Some(word) = args.next() {
            let text = word.text.as_str();
            if !begun {
                begun = text == verb;
                continue;
            }
            let (flag, inline) =
                text.split_once('=').map_or((text, None), |(flag, value)| (flag, Some(value.to_owned())));
            match flag {
                "-v" | "--volume" | "--mount" | "--device" | "--env-file" | "-f" | "--cap-add" | "--pid"
                | "--security-opt" | "--privileged" | "--userns" | "--ipc" | "--network" | "--net" => {
                    let value = if flag == "--privileged" {
                        None
                    } else {
                        inline.or_else(|| args.next().map(|word| word.text.clone()))
                    };
                    let value = value.unwrap_or_default();
                    match flag {
                        "-v" | "--volume" | "--mount" => {
                            let source = value
                                .split(',')
                                .find_map(|part| {
                                    part.strip_prefix("source=").or_else(|| part.strip_prefix("src="))
                                })
                                .map_or_else(
                                    || value.split(':').next().unwrap_or_default().to_owned(),
                                    str::to_owned,
                                );
                            if source.starts_with(['/', '~', '.', '$']) || source.contains('\\') {
                                escapes |= source == "/"
                                    || source.contains("docker.sock")
                                    || source.starts_with("/etc")
                                    || source.starts_with("/proc");
                                let read = self.read_file(&Word { text: source, ..word.clone() }, call.name);
                                add_flows(&mut from, &read.from);
                            }
                        }
                        "--env-file" => drop(self.read_file(&Word::known(value), call.name)),
                        "--privileged" => escapes = true,
                        "--pid" | "--ipc" | "--userns" => escapes |= value == "host",
                        "--cap-add" => {
                            escapes |= value.eq_ignore_ascii_case("all")
                                || value.to_ascii_uppercase().contains("SYS_")
                        }
                        "--security-opt" => escapes |= value.contains("unconfined"),
                        "--device" => escapes = true,
                        _ => {}
                    }
                }
                "-e" | "--env" | "-p" | "--publish" | "--name" | "-w" | "--workdir" | "-u" | "--user"
                | "--entrypoint" | "-l" | "--label" | "-t" | "--tag" | "-h" | "--hostname" | "--restart"
                | "--memory" | "-m" | "--cpus" | "--platform" | "--add-host" | "--build-arg" | "--target"
                | "--log-driver"
                    if inline.is_none() && !(matches!(flag, "-t" | "-h") && verb != "build") =>
                {
                    let value = args.next();
                    if flag == "--entrypoint" {
                        after.extend(value.cloned());
                    }
                }
                _ if text.starts_with('-') && after.is_empty() => {}
                _ => after.push(word.clone()),
            }
        }
        if escapes {
            self.administer(call, &from);
        }
        if matches!(verb.as_str(), "pull" | "run" | "create") && call.name != "docker-compose" {
            from.push(self.registry_fetch(call.name));
            if let Some(image) = after.first() {
                self.look_alike(&image.text, "docker", call.name);
            }
            let registry = after.first().and_then(|image| image.text.split_once('/')).map(|(host, _)| host);
            let host = registry.map(|host| host.split(':').next().unwrap_or(host));
            if let Some(registry) = registry.filter(|_| host.is_some_and(is_address)) {
                self.source_of_packages(&format!("http://{registry}/"), call.name);
            }
        }
        let flow = self.effect(
            Capability::Execute,
            Target::Program(call.name.to_owned()),
            AssetClass::Project,
            &from,
            call.name,
        );
        let mut out = Stream::of_flows(vec![flow], "");
        self.run_there(call, stdin);
        if verb == "cp" && !after.is_empty() {
            for word in after.iter().filter(|word| !word.text.contains(':')).take(1) {
                let read = self.read_file(word, call.name);
                add_flows(&mut out.from, &read.from);
            }
        } else if matches!(verb.as_str(), "run" | "exec") {
            // Inside is another machine, unless what it sees is this one.
            let inner = after.get(1..).unwrap_or_default();
            let inner = inner.strip_prefix(&[Word::known("--")]).unwrap_or(inner);
            if !inner.is_empty() {
                let ran = self.apart(|eval| {
                    eval.change_directory(None);
                    eval.run(inner, stdin)
                });
                add_flows(&mut out.from, &ran.from);
            }
        }
        out
    }

    fn cluster(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let secret = words.iter().any(|word| {
            matches!(*word, "secret" | "secrets")
                || word.starts_with("secret/")
                || word.starts_with("secrets/")
        });
        let secret = secret || ["config", "view", "--raw"].iter().all(|word| words.contains(word));
        let shows = words.contains(&"get") || words.contains(&"describe") || words.contains(&"view");
        let prints = words.iter().any(|word| {
            word.starts_with("-o")
                || word.starts_with("--output")
                || word.starts_with("--template")
                || *word == "--raw"
        });
        if secret && shows && prints || words.windows(2).any(|pair| pair == ["create", "token"]) {
            let flow = self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Credential,
                &[],
                call.name,
            );
            return Stream::of_flows(vec![flow], "secret");
        }
        let file = call.args.windows(2).find_map(|pair| match pair {
            [flag, file] if matches!(flag.text.as_str(), "-f" | "--filename") && file.text != "-" => {
                Some(file.clone())
            }
            _ => None,
        });
        if let Some(file) = file {
            if file.text.contains("://") {
                self.fetch(&file.text, &[], call.name);
            } else {
                self.read_file(&file, call.name);
            }
        }
        let out = self.ordinary(call, stdin);
        if let Some(at) = call.args.iter().position(|word| word.text == "--")
            && words.iter().any(|word| matches!(*word, "exec" | "run" | "debug"))
        {
            let inner = call.args.get(at + 1..).unwrap_or_default();
            if !inner.is_empty() {
                self.apart(|eval| eval.run(inner, stdin));
            }
        }
        out
    }

    fn cloud(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let line = words.join(" ");
        const SECRETS: [&str; 20] = [
            "secretsmanager get-secret-value",
            "secretsmanager batch-get",
            "ssm get-parameter",
            "sts get-session-token",
            "sts assume-role",
            "iam create-access-key",
            "configure export-credentials",
            "auth print-access-token",
            "auth print-identity-token",
            "auth application-default print",
            "secrets versions access",
            "keyvault secret show",
            "keyvault secret download",
            "account get-access-token",
            "config:get",
            "auth token",
            "ecr get-login-password",
            "auth:token",
            "iam service-accounts keys create",
            "storage account keys list",
        ];
        if SECRETS.iter().any(|needle| line.contains(needle))
            || matches!(words.as_slice(), ["config", ..] if call.name == "heroku")
        {
            let flow = self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Credential,
                &[],
                call.name,
            );
            return Stream::of_flows(vec![flow], "secret");
        }
        self.run_there(call, stdin);
        let copies = words.iter().any(|word| {
            matches!(
                *word,
                "cp" | "mv"
                    | "sync"
                    | "put"
                    | "upload"
                    | "copy"
                    | "rsync"
                    | "move"
                    | "copyto"
                    | "put-object"
                    | "upload-batch"
                    | "rcat"
            )
        });
        if copies {
            let mut data = stdin.clone();
            let elsewhere = |text: &str| text.contains("://") || remote_name(text);
            let files: Vec<&Word> =
                call.operands.iter().filter(|word| word.text.contains(['/', '.', ':', '~'])).collect();
            let Some((target, sources)) = files.split_last() else { return self.ordinary(call, stdin) };
            for source in sources {
                data.append(if elsewhere(&source.text) {
                    let flow = self.fetch(&source.text, &[], call.name);
                    Stream::of_flows(vec![flow], "")
                } else {
                    self.read_file(source, call.name)
                });
            }
            if let Some(body) = call.args.windows(2).find_map(|pair| match pair {
                [flag, file] if matches!(flag.text.as_str(), "--body" | "--file" | "-f") => {
                    Some(file.clone())
                }
                _ => None,
            }) {
                data.append(self.read_file(&body, call.name));
            }
            data.unknown();
            if elsewhere(&target.text) {
                self.post(&target.text, &data, call.name);
            } else {
                self.write_file(target, &data, false, call.name);
            }
            return Stream::silent();
        }
        let mut from = feeding(call.args, stdin);
        for word in call.args {
            if let Some(file) =
                word.text.strip_prefix("file://").or_else(|| word.text.strip_prefix("fileb://"))
            {
                let read = self.read_file(&Word { text: file.to_owned(), ..word.clone() }, call.name);
                add_flows(&mut from, &read.from);
            }
        }
        if !from.is_empty() {
            let flow = self.post("", &Stream::of_flows(from, ""), call.name);
            self.retarget(flow, Target::Other("cloud".to_owned()));
            return Stream::of_flows(vec![flow], "");
        }
        self.ordinary(call, stdin)
    }

    /// `gcloud compute ssh VM --command LINE`, `heroku run LINE`, `vagrant ssh -c LINE`: a line for another machine.
    fn run_there(&mut self, call: &Call<'_>, stdin: &Stream) {
        const OPTIONS: [&str; 6] = ["--command", "--scripts", "-C", "--ssh-command", "--parameters", "-c"];
        let verbs = ["ssh", "run-command", "send-command", "console"];
        let mut lines = Vec::new();
        if call.args.iter().any(|word| verbs.contains(&word.text.as_str())) {
            let texts = call.args.iter().zip(call.args.iter().skip(1));
            lines.extend(
                texts.filter(|(key, _)| OPTIONS.contains(&key.text.as_str())).map(|(_, line)| line.clone()),
            );
            for word in call.args {
                if let Some((key, line)) = word.text.split_once('=')
                    && (OPTIONS.contains(&key) || key == "commands")
                {
                    lines.push(Word { text: line.to_owned(), ..word.clone() });
                }
            }
        }
        if call.name == "heroku"
            && let [run, line, ..] = call.operands.as_slice()
            && run.text.starts_with("run")
        {
            lines.push(line.clone());
        }
        for line in lines.iter().take(8) {
            let text = line.text.strip_prefix("commands=").unwrap_or(&line.text).to_owned();
            self.apart(|eval| {
                eval.change_directory(None);
                eval.execute_text(&Word { text, ..line.clone() }, Shell::Sh, call.name, stdin)
            });
        }
    }

    fn infrastructure(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let words: Vec<&str> = call.args.iter().map(|word| word.text.as_str()).collect();
        let takes = match call.name {
            "vault" => {
                matches!(words.first(), Some(&("read" | "print" | "token")))
                    || words.starts_with(&["kv", "get"])
            }
            "ansible-vault" => matches!(words.first(), Some(&("view" | "decrypt"))),
            "terraform" | "tofu" => words.starts_with(&["state", "pull"]),
            _ => false,
        };
        if takes {
            let flow = self.effect(
                Capability::SecretAccess,
                Target::Other(line_of(call)),
                AssetClass::Credential,
                &[],
                call.name,
            );
            return Stream::of_flows(vec![flow], "secret");
        }
        if call.name == "ansible"
            && let Some(command) = call.value(&["-a"]).cloned()
        {
            self.execute_text(&command, Shell::Sh, call.name, stdin);
        }
        self.ordinary(call, stdin)
    }
}

fn is_address(host: &str) -> bool {
    host.split('.').count() == 4 && host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn remote_name(text: &str) -> bool {
    text.split_once(':').is_some_and(|(remote, _)| remote.len() > 1 && !remote.contains('/'))
}

/// The directory that a clone makes.
fn cloned_to(operands: &[&Word], place: &str) -> Option<Word> {
    let at = operands.iter().position(|word| word.text == place)?;
    if let Some(word) = operands.get(at + 1) {
        return Some((*word).clone());
    }
    let name = place.trim_end_matches('/').rsplit(['/', ':']).next()?;
    Some(Word::known(name.strip_suffix(".git").unwrap_or(name)))
}

/// A remote's URL, or its name.
fn git_place(place: &str) -> (Target, AssetClass) {
    if place.contains("://") {
        return super::super::eval::destination(place);
    }
    if let Some((host, _)) = place.split_once(':')
        && host.len() > 1
    {
        return super::super::eval::destination(host.rsplit('@').next().unwrap_or(host));
    }
    (Target::Other(format!("git remote {place}").trim_end().to_owned()), AssetClass::External)
}

/// Settings of git that name a command to run or a place to take code from.
fn dangerous_setting(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    const KEYS: [&str; 14] = [
        "core.sshcommand",
        "core.fsmonitor",
        "core.editor",
        "core.pager",
        "core.hookspath",
        "core.askpass",
        "core.gitproxy",
        "sequence.editor",
        "credential.helper",
        "gpg.program",
        "diff.external",
        "uploadpack.packobjectshook",
        "http.proxy",
        "core.alternaterefscommand",
    ];
    KEYS.contains(&key.as_str())
        || ["alias.", "filter.", "pager.", "url.", "include"].iter().any(|start| key.starts_with(start))
        || [".textconv", ".command", ".cmd", ".driver", ".path", ".helper", ".program", ".sslverify"]
            .iter()
            .any(|end| key.ends_with(end))
}
/// What a client of containers is asked to do: `exec` in `docker compose -f stack.yaml exec web sh`.
fn verb_of(args: &[Word]) -> &str {
    const TAKE_A_VALUE: [&str; 14] = [
        "-f",
        "--file",
        "-p",
        "--project-name",
        "--profile",
        "--env-file",
        "--project-directory",
        "-H",
        "--host",
        "--context",
        "-c",
        "-l",
        "--log-level",
        "--config",
    ];
    let mut words = args.iter().map(|word| word.text.as_str());
    while let Some(word) = words.next() {
        match word {
            "compose" => {}
            flag if TAKE_A_VALUE.contains(&flag) => {
                words.next();
            }
            flag if flag.starts_with('-') => {}
            verb => return verb,
        }
    }
    ""
}
