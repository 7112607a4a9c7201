//! What a shell line says, before anything in it is expanded.

use std::sync::{Arc, OnceLock};

/// A word as written: pieces that expansion will join and split.
pub(super) type Raw = Vec<Piece>;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Unquoted text: globs, braces and a leading `~` are live in it.
    Bare(String),
    /// Text from quotes or after a backslash.
    Quoted(String),
    /// `$name`, `${name…}`.
    Var(Box<Var>),
    /// `$(…)`, backticks.
    Run { list: List, quoted: bool },
    /// `<(…)` (`reads`: the command line reads what the list prints) and `>(…)`.
    Process { list: List, reads: bool },
    /// `$((…))`: the expression, with the expansions in it.
    Arith(Raw),
}

/// A parameter expansion.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Var {
    /// The name, a digit or one of `@*#?-$!_`.
    pub(super) name: String,
    /// `#` or `!` before the name, or 0.
    pub(super) prefix: u8,
    /// The operator after the name, empty if there is none: `:-`, `#`, `/`, `^^`, `:` …
    pub(super) op: &'static str,
    /// What follows the operator.
    pub(super) arg: Raw,
    /// Whether it stands in double quotes.
    pub(super) quoted: bool,
}

/// Commands one after the other.
pub(super) type List = Vec<Item>;

/// One pipeline and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// The commands; each feeds the next.
    pub(super) pipeline: Vec<Command>,
    /// What connects it to the next item.
    pub(super) then: Then,
}

/// What stands after a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// `;`, a line end, or nothing.
    Next,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `&`
    Background,
}

/// A command with its redirections.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) body: Body,
    pub(super) redirects: Vec<Redirect>,
}

/// What a command is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Simple {
        assigns: Vec<Assign>,
        words: Vec<Raw>,
    },
    /// `{ …; }`
    Group(List),
    /// `( … )`
    Subshell(List),
    /// Condition and body of every arm; `else` is an arm with an empty condition.
    If(Vec<(List, List)>),
    /// `while` and `until`.
    While(List, List),
    /// `for` and `select`; no items: the positional parameters.
    For {
        name: String,
        items: Option<Vec<Raw>>,
        body: List,
    },
    Case {
        word: Raw,
        arms: Vec<(Vec<Raw>, List)>,
    },
    Function {
        name: String,
        body: Arc<Command>,
    },
    /// `[[ … ]]`, `(( … ))`: only what it runs matters.
    Test(Vec<Raw>),
}

/// `name=value` before a command or alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assign {
    pub(super) name: String,
    /// `+=`
    pub(super) append: bool,
    /// One word, or the elements of `( … )`.
    pub(super) value: Vec<Raw>,
    pub(super) array: bool,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    /// The descriptor before the operator.
    pub(super) fd: Option<u32>,
    pub(super) op: RedirectOp,
    pub(super) target: Raw,
    /// The body of a here-document, filled when the line ends.
    pub(super) here: Option<Arc<OnceLock<Raw>>>,
}

/// Which redirection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectOp {
    /// `<`
    In,
    /// `>` and `>|`
    Out,
    /// `>>`
    Append,
    /// `<>`
    Both,
    /// `<&`
    DupIn,
    /// `>&`
    DupOut,
    /// `&>` and `&>>`
    OutAll,
    /// `<<`
    Here,
    /// `<<<`
    HereString,
}
