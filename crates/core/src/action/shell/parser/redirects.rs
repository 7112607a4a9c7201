//! Redirections and here-documents.

use std::sync::{Arc, OnceLock};

use super::super::ast::{Piece, Raw, Redirect, RedirectOp};
use super::words::name_length;
use super::{Parser, PendingHere};

impl Parser<'_, '_> {
    pub(super) fn redirects(&mut self, redirects: &mut Vec<Redirect>) {
        loop {
            self.blanks();
            if !self.redirect(redirects) {
                return;
            }
        }
    }

    pub(super) fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> bool {
        let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
        let digits = bytes.iter().take(9).take_while(|b| b.is_ascii_digit()).count();
        let mut skip = digits;
        let mut fd = self.rest().get(..digits).and_then(|text| text.parse().ok());
        if bytes.first() == Some(&b'{') {
            let name = name_length(self.rest().get(1..).unwrap_or_default());
            if name > 0 && bytes.get(name + 1) == Some(&b'}') {
                skip = name + 2;
                fd = Some(10);
            }
        }
        let operator = bytes.get(skip..).unwrap_or_default();
        let next = |n: usize| operator.get(n).copied();
        let (op, length) = match (next(0), next(1), next(2)) {
            (Some(b'<'), Some(b'('), _) | (Some(b'>'), Some(b'('), _) => return false,
            (Some(b'<'), Some(b'<'), Some(b'<')) => (RedirectOp::HereString, 3),
            (Some(b'<'), Some(b'<'), Some(b'-')) => (RedirectOp::Here, 3),
            (Some(b'<'), Some(b'<'), _) => (RedirectOp::Here, 2),
            (Some(b'<'), Some(b'>'), _) => (RedirectOp::Both, 2),
            (Some(b'<'), Some(b'&'), _) => (RedirectOp::DupIn, 2),
            (Some(b'<'), _, _) => (RedirectOp::In, 1),
            (Some(b'>'), Some(b'>'), _) => (RedirectOp::Append, 2),
            (Some(b'>'), Some(b'|'), _) => (RedirectOp::Out, 2),
            (Some(b'>'), Some(b'&'), _) => (RedirectOp::DupOut, 2),
            (Some(b'>'), _, _) => (RedirectOp::Out, 1),
            (Some(b'&'), Some(b'>'), Some(b'>')) if skip == 0 => (RedirectOp::OutAll, 3),
            (Some(b'&'), Some(b'>'), _) if skip == 0 => (RedirectOp::OutAll, 2),
            _ => return false,
        };
        let strip_tabs = op == RedirectOp::Here && length == 3;
        self.take(skip + length);
        self.blanks();
        let start = self.at;
        let target = self.word();
        if self.at == start {
            self.fault();
        }
        let here = (op == RedirectOp::Here).then(|| self.expect_here(&target, strip_tabs));
        redirects.push(Redirect { fd, op, target, here });
        true
    }

    pub(super) fn expect_here(&mut self, delimiter: &Raw, strip_tabs: bool) -> Arc<OnceLock<Raw>> {
        let mut text = String::new();
        let mut quoted = false;
        for piece in delimiter {
            match piece {
                Piece::Bare(part) => text.push_str(part),
                Piece::Quoted(part) => {
                    quoted = true;
                    text.push_str(part);
                }
                _ => {}
            }
        }
        let body = Arc::new(OnceLock::new());
        self.pending.push(PendingHere { delimiter: text, quoted, strip_tabs, body: Arc::clone(&body) });
        body
    }

    /// Reads the bodies of the here-documents that the line just ended announced.
    pub(super) fn here_bodies(&mut self) {
        for here in std::mem::take(&mut self.pending) {
            let mut body = String::new();
            while !self.done() {
                let rest = self.rest();
                let length = rest.find('\n').unwrap_or(rest.len());
                let line = rest.get(..length).unwrap_or_default();
                self.take((length + 1).min(rest.len()));
                let mut line = line.strip_suffix('\r').unwrap_or(line);
                if here.strip_tabs {
                    line = line.trim_start_matches('\t');
                }
                if line == here.delimiter {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            // A body without its delimiter goes to the end, as in bash.
            let raw = if here.quoted {
                vec![Piece::Quoted(body)]
            } else {
                let mut inner = Parser::new(&body, self.budget);
                let mut raw = Raw::new();
                inner.quoted_text(&mut raw, None);
                raw
            };
            let _ = here.body.set(raw);
        }
    }
}
