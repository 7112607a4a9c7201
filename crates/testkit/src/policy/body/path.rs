//! Paths: the grammar of RFC 9535, and keys between dots.

use super::value::Value;

/// A query: from the root, or from the node a filter looks at.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whether it begins with `@`.
    pub relative: bool,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whether it begins with `..`.
    pub descends: bool,
    /// What it selects.
    pub selectors: Vec<Selector>,
}

/// What a step selects.
#[derive(Clone, Debug)]
pub enum Selector {
    /// `name`.
    Name(String),
    /// `*`.
    All,
    /// `[0]`.
    Index(i64),
    /// `[start:end:step]`.
    Slice(Option<i64>, Option<i64>, i64),
    /// `[?…]`.
    Filter(Logic),
}

/// A condition in a filter.
#[derive(Clone, Debug)]
pub enum Logic {
    /// `||`.
    Or(Vec<Self>),
    /// `&&`.
    And(Vec<Self>),
    /// `!`.
    Not(Box<Self>),
    /// A comparison.
    Compare(Operand, String, Operand),
    /// Whether there is something.
    Exists(Query),
    /// `match` and, if not `whole`, `search`.
    Regex {
        /// Of what.
        of: Operand,
        /// The pattern.
        pattern: String,
        /// Whether all of the text must fit.
        whole: bool,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A value as written.
    Literal(Value),
    /// What a query finds.
    Query(Query),
    /// `length(…)`.
    Length(Box<Self>),
    /// `count(…)`.
    Count(Query),
    /// `value(…)`.
    ValueOf(Query),
}

impl Query {
    /// Reads a `jsonpath` of a policy.
    pub fn of(text: &str) -> Option<Self> {
        if text.starts_with('$') {
            let mut reader = Reader { rest: text };
            if let Some(query) = reader.query().filter(|_| reader.rest.is_empty()) {
                return Some(query);
            }
        }
        Self::dotted(text.strip_prefix("$.").unwrap_or(text))
    }

    fn dotted(text: &str) -> Option<Self> {
        let segments = text.split('.').map(|piece| {
            let digits = !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit());
            let selector =
                if digits { Selector::Index(piece.parse().ok()?) } else { Selector::Name(piece.to_owned()) };
            Some(Segment { descends: false, selectors: vec![selector] })
        });
        Some(Self { relative: false, segments: segments.collect::<Option<_>>()? })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `word` if it stands here.
    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The same behind white space.
    fn skip(&mut self, word: &str) -> bool {
        self.spaces();
        self.take(word)
    }

    fn char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..)?;
        Some(c)
    }

    fn while_fits(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn query(&mut self) -> Option<Query> {
        let relative = if self.take("$") {
            false
        } else if self.take("@") {
            true
        } else {
            return None;
        };
        let mut segments = Vec::new();
        loop {
            let before = self.rest;
            self.spaces();
            let Some(segment) = self.segment() else {
                self.rest = before;
                return Some(Query { relative, segments });
            };
            segments.push(segment);
        }
    }

    fn segment(&mut self) -> Option<Segment> {
        if self.take("..") {
            let selectors = if self.rest.starts_with('[') { self.brackets()? } else { vec![self.short()?] };
            Some(Segment { descends: true, selectors })
        } else if self.take(".") {
            Some(Segment { descends: false, selectors: vec![self.short()?] })
        } else if self.rest.starts_with('[') {
            Some(Segment { descends: false, selectors: self.brackets()? })
        } else {
            None
        }
    }

    fn short(&mut self) -> Option<Selector> {
        if self.take("*") {
            return Some(Selector::All);
        }
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        if !self.rest.starts_with(first) {
            return None;
        }
        Some(Selector::Name(self.while_fits(|c| first(c) || c.is_ascii_digit()).to_owned()))
    }

    fn brackets(&mut self) -> Option<Vec<Selector>> {
        self.take("[").then_some(())?;
        let mut selectors = Vec::new();
        loop {
            self.spaces();
            selectors.push(self.selector()?);
            if self.skip("]") {
                return Some(selectors);
            }
            self.take(",").then_some(())?;
        }
    }

    fn selector(&mut self) -> Option<Selector> {
        if self.take("*") {
            return Some(Selector::All);
        }
        if self.take("?") {
            return Some(Selector::Filter(self.or()?));
        }
        if self.rest.starts_with(['"', '\'']) {
            return Some(Selector::Name(self.string()?));
        }
        let start = self.integer();
        if !self.skip(":") {
            return start.map(Selector::Index);
        }
        self.spaces();
        let end = self.integer();
        let step = if self.skip(":") {
            self.spaces();
            self.integer()
        } else {
            None
        };
        Some(Selector::Slice(start, end, step.unwrap_or(1)))
    }

    fn integer(&mut self) -> Option<i64> {
        let before = self.rest;
        let negative = self.take("-");
        let digits = self.while_fits(|c| c.is_ascii_digit());
        let bad = digits.is_empty() || digits.starts_with('0') && (digits.len() > 1 || negative);
        match digits.parse::<i64>() {
            Ok(number) if !bad && number <= 9_007_199_254_740_991 => {
                Some(if negative { -number } else { number })
            }
            _ => {
                self.rest = before;
                None
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.char()?;
        let mut out = String::new();
        loop {
            match self.char()? {
                c if c == quote => return Some(out),
                '\\' => match self.char()? {
                    'b' => out.push('\u{8}'),
                    't' => out.push('\t'),
                    'n' => out.push('\n'),
                    'f' => out.push('\u{c}'),
                    'r' => out.push('\r'),
                    'u' => out.push(self.escaped()?),
                    c if c == quote || c == '/' || c == '\\' => out.push(c),
                    _ => return None,
                },
                c if u32::from(c) < 0x20 => return None,
                c => out.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let high = self.four()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high);
        }
        self.take("\\u").then_some(())?;
        let low = self.four()?;
        (0xDC00..0xE000).contains(&low).then_some(())?;
        char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    fn four(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.rest = self.rest.get(4..)?;
        u32::from_str_radix(digits, 16).ok()
    }

    fn or(&mut self) -> Option<Logic> {
        let mut these = vec![self.and()?];
        while self.skip("||") {
            these.push(self.and()?);
        }
        Some(Logic::Or(these))
    }

    fn and(&mut self) -> Option<Logic> {
        let mut these = vec![self.basic()?];
        while self.skip("&&") {
            these.push(self.basic()?);
        }
        Some(Logic::And(these))
    }

    fn basic(&mut self) -> Option<Logic> {
        self.spaces();
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.take("!");
            return Some(Logic::Not(Box::new(self.basic()?)));
        }
        if self.take("(") {
            let inner = self.or()?;
            return self.skip(")").then_some(inner);
        }
        for (word, whole) in [("match(", true), ("search(", false)] {
            if self.take(word) {
                self.spaces();
                let of = self.operand()?;
                self.skip(",").then_some(())?;
                self.spaces();
                let pattern = self.string()?;
                return self.skip(")").then_some(Logic::Regex { of, pattern, whole });
            }
        }
        let left = self.operand()?;
        self.spaces();
        match ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|word| self.take(word)) {
            Some(word) => {
                self.spaces();
                Some(Logic::Compare(left, word.to_owned(), self.operand()?))
            }
            None => match left {
                Operand::Query(query) => Some(Logic::Exists(query)),
                _ => None,
            },
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        if self.rest.starts_with(['@', '$']) {
            return self.query().map(Operand::Query);
        }
        if self.rest.starts_with(['"', '\'']) {
            return Some(Operand::Literal(Value::text(&self.string()?)));
        }
        if self.take("length(") {
            self.spaces();
            let inner = self.operand()?;
            return self.skip(")").then(|| Operand::Length(Box::new(inner)));
        }
        if self.take("count(") {
            self.spaces();
            let query = self.query()?;
            return self.skip(")").then_some(Operand::Count(query));
        }
        if self.take("value(") {
            self.spaces();
            let query = self.query()?;
            return self.skip(")").then_some(Operand::ValueOf(query));
        }
        for (word, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.take(word) {
                return Some(Operand::Literal(value));
            }
        }
        let digits = self.while_fits(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
        (!digits.is_empty()).then(|| Operand::Literal(Value::Number(digits.to_owned())))
    }
}
