//! Command lines that are spelled to be overlooked, or that are the rest of somebody else's.
//!
//! Nobody writes `c''at`, `cat${IFS}x` or `/b?n/c?t` who wants to be understood. The reader understands them
//! all the same; that they are written so is worth a word of its own.

use super::Word;
use super::ast::{Piece, Raw};
use super::eval::Eval;
use super::table;
use crate::action::{AssetClass, Capability, Target};

/// What the effect of a disguised word is called.
const DISGUISED: &str = "words spelled so that filters do not see them";

/// What the effect of a fragment is called.
const FRAGMENT: &str = "a command line that begins with an operator";

impl Eval {
    /// Notes that `text` begins as only the rest of a command line can.
    pub(super) fn note_fragment(&mut self, text: &str) {
        if is_fragment(text) {
            self.note(FRAGMENT);
        }
    }

    /// Notes that the words of a command, now read as `argv`, are written in disguise.
    pub(super) fn note_disguise(&mut self, words: &[Raw], argv: &[Word]) {
        let Some((program, rest)) = words.split_first() else { return };
        let name = argv.first().map_or("", |word| word.text.as_str());
        if taken_apart(program, name) || globbed_program(program) || words.iter().any(split_by_ifs) {
            self.note(DISGUISED);
        } else if let [Piece::Bare(text)] = program.as_slice()
            && text.starts_with('{')
            && text.contains(',')
        {
            self.note(DISGUISED);
        } else if rest.iter().any(|raw| bare(raw).is_some_and(masked_path)) {
            self.note(DISGUISED);
        }
    }

    fn note(&mut self, what: &str) {
        let known = |e: &crate::action::Effect| e.by == "shell" && e.target.as_str() == what;
        if !self.own_effects().iter().any(known) {
            let target = Target::Other(what.to_owned());
            self.effect(Capability::Execute, target, AssetClass::Unknown, &[], "shell");
        }
    }
}

/// `; id`, `|| id`, `& id`, also percent-encoded: no shell would begin so.
fn is_fragment(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t', '"', '\'']);
    let encoded = ["%0a", "%0d", "%26", "%3b", "%7c"];
    let lower: String = text.chars().take(3).collect::<String>().to_ascii_lowercase();
    let rest = if encoded.contains(&lower.as_str()) {
        text.get(3..)
    } else {
        let rest = text.trim_start_matches([';', '|', '&']);
        (rest.len() < text.len()).then_some(rest)
    };
    let first = rest.map(str::trim_start).and_then(|rest| rest.chars().next());
    first.is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '$' | '`' | '('))
}

fn bare(raw: &Raw) -> Option<&str> {
    match raw.as_slice() {
        [Piece::Bare(text)] => Some(text),
        _ => None,
    }
}

/// A known program's name with quotes, escapes or empty variables inside.
fn taken_apart(program: &Raw, name: &str) -> bool {
    let [first, rest @ ..] = program.as_slice() else { return false };
    if rest.is_empty()
        || name.len() < 2
        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    {
        return false;
    }
    // `\ls` asks for the program where an alias has its name.
    let past_alias = matches!(first, Piece::Quoted(text) if text.len() == 1) && rest.len() == 1;
    let pieces = program.iter().all(|piece| match piece {
        Piece::Bare(_) | Piece::Quoted(_) => true,
        Piece::Var(var) => !var.quoted && var.name.bytes().all(|b| matches!(b, b'@' | b'*' | b'0'..=b'9')),
        Piece::Run { .. } => true,
        _ => false,
    });
    let plain =
        |piece: &Piece| matches!(piece, Piece::Bare(text) if text.bytes().any(|b| b.is_ascii_alphabetic()));
    pieces && !past_alias && program.iter().any(plain) && table::lookup(name, super::Shell::Sh).is_some()
}

/// `/b?n/c?t`, `/???/n?`.
fn globbed_program(program: &Raw) -> bool {
    bare(program).is_some_and(|text| text.starts_with('/') && text.contains(['?', '[']))
}

/// `/???/p??s??`: no name on the way is spelled out.
fn masked_path(text: &str) -> bool {
    text.starts_with('/') && text.split('/').skip(1).filter(|part| part.contains('?')).count() >= 2
}

/// `cat${IFS}x`: the separator stands for a space within a word.
fn split_by_ifs(raw: &Raw) -> bool {
    raw.len() > 1
        && raw.iter().any(|piece| matches!(piece, Piece::Var(var) if var.name == "IFS" && !var.quoted))
}
