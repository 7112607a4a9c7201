//! Where a command's descriptors lead: files, sockets, other commands.

use super::Word;
use super::ast::{List, Piece, Redirect, RedirectOp};
use super::eval::{Eval, socket_path};
use super::stream::Stream;
use crate::action::Flow;

/// Where a descriptor leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sink {
    /// To the next command.
    Pipe,
    /// To the terminal.
    Terminal,
    Nowhere,
    File(Word, bool),
    /// To a host; the effect that fetches from it, once something reads.
    Socket(String, Option<Flow>),
    Process(List),
}

impl Eval {
    pub(super) fn open(&mut self, redirects: &[Redirect], stdin: &Stream) -> Io {
        let mut io = Io { stdin: None, sinks: self.env.descriptors.clone() };
        if let Some(Sink::Socket(host, Some(flow))) = io.sink(0) {
            io.stdin = Some(Stream::of_flows(vec![*flow], host.clone()));
        }
        for redirect in redirects {
            self.open_one(redirect, stdin, &mut io);
        }
        io
    }

    pub(super) fn open_one(&mut self, redirect: &Redirect, stdin: &Stream, io: &mut Io) {
        if let Some(here) = &redirect.here {
            let body = here.get().cloned().unwrap_or_default();
            let word = self.joined(&body, stdin);
            io.stdin = Some(text_stream(word, ""));
            return;
        }
        let output = matches!(
            redirect.op,
            RedirectOp::Out | RedirectOp::Append | RedirectOp::OutAll | RedirectOp::DupOut
        );
        if output && let [Piece::Process { list, reads: false }] = redirect.target.as_slice() {
            io.set(redirect.fd.unwrap_or(1), Sink::Process(list.clone()));
            return;
        }
        let word = self.joined(&redirect.target, stdin);
        let socket = socket_path(&word.text);
        match redirect.op {
            RedirectOp::HereString => io.stdin = Some(text_stream(word, "\n")),
            RedirectOp::In | RedirectOp::Both if socket.is_some() => {
                let host = socket.unwrap_or_default();
                let flow = self.fetch(&host, &word.from, "sh");
                let fd = redirect.fd.unwrap_or(0);
                if fd == 0 {
                    io.stdin = Some(Stream::of_flows(vec![flow], host.clone()));
                }
                io.set(fd, Sink::Socket(host, Some(flow)));
            }
            RedirectOp::In | RedirectOp::Both => {
                let stream = self.read_file(&word, "sh");
                if redirect.fd.unwrap_or(0) == 0 {
                    io.stdin = Some(stream);
                }
                if redirect.op == RedirectOp::Both {
                    io.set(redirect.fd.unwrap_or(0), Sink::File(word, true));
                }
            }
            RedirectOp::DupIn | RedirectOp::DupOut if word.text == "-" || is_number(&word.text) => {
                let fd = redirect.fd.unwrap_or(u32::from(redirect.op == RedirectOp::DupOut));
                let source = word.text.trim_end_matches('-').parse::<u32>().ok();
                let sink = source.map_or(Sink::Nowhere, |source| io.resolve(source));
                if fd == 0
                    && let Sink::Socket(host, flow) = &sink
                {
                    let flow = flow.unwrap_or_else(|| self.fetch(host, &[], "sh"));
                    io.stdin = Some(Stream::of_flows(vec![flow], host.clone()));
                }
                io.set(fd, sink);
            }
            RedirectOp::DupIn => {}
            RedirectOp::Out | RedirectOp::Append | RedirectOp::OutAll | RedirectOp::DupOut => {
                let append = redirect.op == RedirectOp::Append;
                let sink = match socket {
                    Some(host) => Sink::Socket(host, None),
                    None if word.text == "/dev/null" => Sink::Nowhere,
                    None => Sink::File(word, append),
                };
                let all = redirect.op == RedirectOp::OutAll
                    || (redirect.op == RedirectOp::DupOut && redirect.fd.is_none());
                io.set(redirect.fd.unwrap_or(1), sink.clone());
                if all {
                    io.set(2, sink);
                }
            }
            RedirectOp::Here => {}
        }
    }

    /// Where the command's output went; what is left for the next command.
    pub(super) fn close(&mut self, io: Io, out: Stream) -> Stream {
        if io.sinks.is_empty() {
            return out;
        }
        let (stdout, stderr) = (io.resolve(1), io.resolve(2));
        let piped = matches!(stdout, Sink::Pipe) || matches!(stderr, Sink::Pipe);
        let shared = stderr.same(&stdout);
        self.drain(stdout, &out);
        if !shared {
            // Errors may quote what was read.
            let errors = Stream { text: None, raw: None, ..out.clone() };
            self.drain(stderr, &errors);
        }
        if piped { out } else { Stream::silent() }
    }

    pub(super) fn drain(&mut self, sink: Sink, out: &Stream) {
        match sink {
            Sink::Pipe | Sink::Terminal | Sink::Nowhere => {}
            Sink::File(word, append) => self.write_file(&word, out, append, "sh"),
            Sink::Socket(host, _) => drop(self.post(&host, out, "sh")),
            Sink::Process(list) => {
                let stdin = Stream { present: true, ..out.clone() };
                self.apart(|eval| eval.list(&list, &stdin));
            }
        }
    }
}

/// A command's descriptors.
pub(super) struct Io {
    pub(super) stdin: Option<Stream>,
    pub(super) sinks: Vec<(u32, Sink)>,
}

impl Io {
    fn sink(&self, fd: u32) -> Option<&Sink> {
        self.sinks.iter().rev().find(|(own, _)| *own == fd).map(|(_, sink)| sink)
    }

    fn resolve(&self, fd: u32) -> Sink {
        self.sink(fd).cloned().unwrap_or(if fd == 1 { Sink::Pipe } else { Sink::Terminal })
    }

    fn set(&mut self, fd: u32, sink: Sink) {
        self.sinks.retain(|(own, _)| *own != fd);
        self.sinks.push((fd, sink));
    }
}

impl Sink {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a, _), Self::File(b, _)) => a.text == b.text,
            (Self::Socket(a, _), Self::Socket(b, _)) => a == b,
            _ => false,
        }
    }
}

fn text_stream(word: Word, end: &str) -> Stream {
    let about = word.text.clone();
    let text = word.exact.then(|| word.text + end);
    Stream { from: word.from, text, about, present: true, ..Stream::default() }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_suffix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}
