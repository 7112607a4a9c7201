//! Signed programs of Windows that run, load or fetch what they are given.

use super::super::builtins::{feeding, joined_by_spaces};
use super::super::eval::Eval;
use super::super::programs::{Call, line_of};
use super::super::stream::{Stream, add_flows};
use super::super::{Shell, Word};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

impl Eval {
    /// A program that runs what it is given under its own name. What it is given is read where it is a
    /// command line; the whole line is the code, for rules that know the program.
    pub(super) fn proxy_binary(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let mut out = Stream::silent();
        if !call.rest.is_empty() {
            let shell = if call.name == "wsl" { Shell::Sh } else { self.shell };
            let before = std::mem::replace(&mut self.shell, shell);
            // The other system's shell reads the words once more.
            let operators =
                call.rest.iter().any(|word| matches!(word.text.as_str(), "|" | "&&" | ";" | "||"));
            out = if call.name == "wsl" && operators {
                self.execute_text(&joined_by_spaces(&call.rest), Shell::Sh, call.name, stdin)
            } else {
                self.run(&call.rest, stdin)
            };
            self.shell = before;
        }
        for word in call.of_role(b's') {
            out.append(self.execute_text(word, Shell::Cmd, call.name, stdin));
        }
        if call.args.is_empty() && call.name == "wsl" {
            return out;
        }
        let from = self.given(call, stdin);
        let flow = self.effect(
            Capability::Execute,
            Target::Code(line_of(call)),
            AssetClass::Unknown,
            &from,
            call.name,
        );
        add_flows(&mut out.from, &[flow]);
        out
    }

    /// Everything that reaches the program: addresses and shares it fetches from, files written before.
    fn given(&mut self, call: &Call<'_>, stdin: &Stream) -> Vec<Flow> {
        let mut from = feeding(call.args, stdin);
        for word in call.args {
            let text = word.text.as_str();
            let url = ["https://", "http://", "ftp://"].iter().find_map(|scheme| text.find(scheme));
            if let Some(url) = url.and_then(|at| text.get(at..)) {
                let url = url.split(['"', '\'', ' ', ',']).next().unwrap_or(url).to_owned();
                from.push(self.fetch(&url, &word.from, call.name));
            } else if let Some(host) = share_host(text) {
                from.push(self.fetch(&host, &word.from, call.name));
            }
            let (path, _) = self.path(word);
            add_flows(&mut from, &self.env.file_at(&path).unwrap_or_default().from);
        }
        from
    }

    pub(super) fn mshta(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let word = call.operands.first().cloned().unwrap_or_default();
        let script = ["javascript:", "vbscript:", "about:"]
            .iter()
            .any(|scheme| word.text.trim_start().to_ascii_lowercase().starts_with(scheme));
        if script {
            return self.run_code(&joined_by_spaces(call.args), "mshta", stdin);
        }
        if word.text.contains("://") || share_host(&word.text).is_some() {
            let from = self.given(call, stdin);
            let flow = self.effect(Capability::Execute, Target::Input, AssetClass::Unknown, &from, call.name);
            return Stream::of_flows(vec![flow], "");
        }
        self.run_script("mshta", &word, &[], stdin)
    }

    /// `rundll32 LIBRARY,ENTRY ARGUMENTS`.
    pub(super) fn rundll(&mut self, call: &Call<'_>, stdin: &Stream) -> Stream {
        let line = joined_by_spaces(call.args);
        let lower = line.text.to_ascii_lowercase();
        if lower.contains("minidump") || lower.contains("comsvcs") {
            let target = Target::Other(line_of(call));
            self.effect(Capability::SecretAccess, target, AssetClass::Keychain, &[], "rundll32");
            return Stream::silent();
        }
        if lower.contains("javascript:") || lower.contains("vbscript:") {
            return self.run_code(&line, "rundll32", stdin);
        }
        let mut from = self.given(call, stdin);
        let first = call.operands.first().cloned().unwrap_or_default();
        let library = first.text.split(',').next().unwrap_or_default().to_owned();
        let (path, exact) = self.path(&Word { text: library, ..first });
        add_flows(&mut from, &self.env.file_at(&path).unwrap_or_default().from);
        let class = if path.contains('/') { asset::classify_path(&path, exact) } else { AssetClass::System };
        self.effect(Capability::Execute, Target::Path { path, exact }, class, &from, "rundll32");
        self.effect(Capability::Execute, Target::Code(line_of(call)), class, &from, "rundll32");
        Stream::silent()
    }

    /// `esentutl /y SOURCE /d DESTINATION`: copies what is locked, shares and streams as well.
    pub(super) fn esentutl(&mut self, call: &Call<'_>) -> Stream {
        let mut data = Stream::silent();
        for word in call.of_role(b'r') {
            data.append(self.read_file(word, call.name));
        }
        for word in call.of_role(b'w') {
            self.write_file(word, &Stream { text: None, raw: None, ..data.clone() }, false, call.name);
        }
        Stream::silent()
    }
}

/// The host of a share: `\\\\host\\share\\…`.
fn share_host(text: &str) -> Option<String> {
    let at = text.find("\\\\")?;
    let rest = text.get(at + 2..)?;
    let (host, below) = rest.split_once('\\')?;
    let named = !host.is_empty()
        && !below.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    (named && host != "." && host != "?").then(|| host.to_owned())
}
