//! The grammar of RFC 9535, and the dotted paths of Checkrd's policies.

use super::filter::{Comparison, Filter, Literal, Pattern, Query, Value};
use super::{Segment, Selector, Wrong};

/// How deep filters may nest.
const DEEPEST: usize = 16;

/// The largest index: whole numbers that every JSON reader has exactly (RFC 7493).
const FARTHEST: i64 = (1 << 53) - 1;

const MEANT: &str = "write a JSONPath as in RFC 9535: `$.amount`, `$.items[0].id`, `$['odd key']`";

/// Compiles `text`.
pub(super) fn path(text: &str) -> Result<Vec<Segment>, Wrong> {
    if text.is_empty() {
        return Err(Wrong { message: "an empty path".into(), advice: MEANT.into() });
    }
    if !text.starts_with('$') {
        return dotted(text).ok_or_else(|| Wrong {
            message: "a path that does not begin with `$` has keys and indices between dots, nothing else"
                .into(),
            advice: MEANT.into(),
        });
    }
    let mut parser = Parser { text, at: 1, descendants: 0, depth: 0 };
    let found = parser.segments().and_then(|segments| match parser.peek() {
        None => Ok(segments),
        Some(_) => Err(parser.wrong("this cannot stand here")),
    });
    // `$.a.0` and `$.x-id` are no paths of the RFC, and they are what Checkrd's documents show.
    found.or_else(|wrong| text.strip_prefix("$.").and_then(dotted).ok_or(wrong))
}

/// `a.b.0`: between dots, digits are an index and everything else is a key. `None` if it is no such path.
fn dotted(text: &str) -> Option<Vec<Segment>> {
    text.split('.')
        .map(|piece| Some(Segment { descendant: false, selectors: vec![dotted_piece(piece)?] }))
        .collect()
}

fn dotted_piece(piece: &str) -> Option<Selector> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "$[]{}*?()'\"\\,".contains(c);
    if matches!(piece, "" | "@") || piece.contains(odd) {
        return None;
    }
    if !piece.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Selector::Name(piece.into()));
    }
    let plain = piece == "0" || !piece.starts_with('0');
    let index: i64 = piece.parse().ok().filter(|index| plain && *index <= FARTHEST)?;
    Some(Selector::Index(index))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// How many `..` there are, in filters as well.
    descendants: usize,
    depth: usize,
}

type Parsed<T> = Result<T, Wrong>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    fn need(&mut self, what: &str) -> Parsed<()> {
        if self.eat(what) { Ok(()) } else { Err(self.wrong(&format!("`{what}` is missing here"))) }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    /// What is wrong at the place that has been reached.
    fn wrong(&self, what: &str) -> Wrong {
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        Wrong { message: format!("no JSONPath: {what} (character {column})"), advice: MEANT.into() }
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.space();
            if self.eat("..") {
                self.descendants += 1;
                if self.descendants > 1 {
                    return Err(Wrong {
                        message: "a path with more than one `..`".into(),
                        advice: "spell one of them out: the work would grow with the square of the body"
                            .into(),
                    });
                }
                let selectors = if self.eat("[") { self.bracketed()? } else { vec![self.shorthand()?] };
                segments.push(Segment { descendant: true, selectors });
            } else if self.eat(".") {
                segments.push(Segment { descendant: false, selectors: vec![self.shorthand()?] });
            } else if self.eat("[") {
                segments.push(Segment { descendant: false, selectors: self.bracketed()? });
            } else {
                // White space belongs to a path only in front of a segment.
                self.at = before;
                return Ok(segments);
            }
        }
    }

    /// `*` or a name without quotes.
    fn shorthand(&mut self) -> Parsed<Selector> {
        if self.eat("*") {
            return Ok(Selector::Wildcard);
        }
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let name: String = self.rest().chars().take_while(|c| first(*c) || c.is_ascii_digit()).collect();
        if !name.starts_with(first) {
            return Err(self.wrong("a name or `*` is missing here"));
        }
        self.at += name.len();
        Ok(Selector::Name(name.into()))
    }

    /// Selectors up to `]`.
    fn bracketed(&mut self) -> Parsed<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.space();
            selectors.push(self.selector()?);
            self.space();
            if self.eat("]") {
                return Ok(selectors);
            }
            self.need(",")?;
        }
    }

    fn selector(&mut self) -> Parsed<Selector> {
        match self.peek() {
            Some('\'' | '"') => Ok(Selector::Name(self.string()?.into())),
            Some('*') => {
                self.at += 1;
                Ok(Selector::Wildcard)
            }
            Some('?') => {
                self.at += 1;
                self.space();
                Ok(Selector::Filter(Box::new(self.either()?)))
            }
            Some(':' | '-' | '0'..='9') => self.index_or_slice(),
            _ => Err(self.wrong("a key in quotes, an index, a slice, `*` or a filter is missing here")),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.maybe_int()?;
        let before = self.at;
        self.space();
        if !self.eat(":") {
            self.at = before;
            return start.map(Selector::Index).ok_or_else(|| self.wrong("an index is missing here"));
        }
        self.space();
        let end = self.maybe_int()?;
        let before = self.at;
        self.space();
        let step = if self.eat(":") {
            let before = self.at;
            self.space();
            let step = self.maybe_int()?;
            if step.is_none() {
                self.at = before;
            }
            step.unwrap_or(1)
        } else {
            self.at = before;
            1
        };
        if step == 0 {
            return Err(self.wrong("a slice with a step of 0 selects nothing"));
        }
        Ok(Selector::Slice { start, end, step })
    }

    fn maybe_int(&mut self) -> Parsed<Option<i64>> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let length = count + (rest.len() - digits.len());
        let text = rest.get(..length).unwrap_or_default();
        if text.is_empty() {
            return Ok(None);
        }
        let plain = text == "0" || !text.trim_start_matches('-').starts_with('0');
        let value = text.parse::<i64>().ok().filter(|value| plain && value.abs() <= FARTHEST);
        let value = value
            .ok_or_else(|| self.wrong("an index is a whole number below 2^53, without zeros in front"))?;
        self.at += length;
        Ok(Some(value))
    }

    /// A string in single or double quotes.
    fn string(&mut self) -> Parsed<String> {
        let quote = self.next();
        let mut out = String::new();
        loop {
            match self.next() {
                None => return Err(self.wrong("a string is not closed")),
                c if c == quote => return Ok(out),
                Some('\\') => out.push(self.escape(quote)?),
                Some(c) if c < ' ' => return Err(self.wrong("a control character in a string")),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, quote: Option<char>) -> Parsed<char> {
        match self.next() {
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(c @ ('/' | '\\')) => Ok(c),
            Some('u') => self.code_point(),
            c if c == quote => c.ok_or_else(|| self.wrong("an escape is cut off")),
            _ => Err(self.wrong("an escape that JSONPath does not have")),
        }
    }

    fn code_point(&mut self) -> Parsed<char> {
        let first = self.unit()?;
        let code = match first {
            0xd800..=0xdbff if self.eat("\\u") => {
                let second = self.unit()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.wrong("half a surrogate pair"));
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.wrong("half a surrogate pair"))
    }

    fn unit(&mut self) -> Parsed<u32> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("`\\u` needs four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    /// `a || b`
    fn either(&mut self) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(&format!("filters nested deeper than {DEEPEST} levels")));
        }
        let mut all = vec![self.both()?];
        loop {
            let before = self.at;
            self.space();
            if !self.eat("||") {
                self.at = before;
                break;
            }
            self.space();
            all.push(self.both()?);
        }
        self.depth -= 1;
        Ok(if all.len() > 1 { Filter::Any(all) } else { all.pop().unwrap_or(Filter::Any(Vec::new())) })
    }

    /// `a && b`
    fn both(&mut self) -> Parsed<Filter> {
        let mut all = vec![self.basic()?];
        loop {
            let before = self.at;
            self.space();
            if !self.eat("&&") {
                self.at = before;
                break;
            }
            self.space();
            all.push(self.basic()?);
        }
        Ok(if all.len() > 1 { Filter::All(all) } else { all.pop().unwrap_or(Filter::All(Vec::new())) })
    }

    /// A comparison, a test, or either of them in parentheses.
    fn basic(&mut self) -> Parsed<Filter> {
        let negated = self.eat("!");
        if negated {
            self.space();
        }
        if self.eat("(") {
            self.space();
            let inner = self.either()?;
            self.space();
            self.need(")")?;
            return Ok(if negated { Filter::Not(Box::new(inner)) } else { inner });
        }
        if let Some(whole) = self.matching() {
            let matches = self.pattern(whole)?;
            return Ok(if negated { Filter::Not(Box::new(matches)) } else { matches });
        }
        let left = self.value()?;
        let before = self.at;
        self.space();
        let Some(comparison) = self.comparison() else {
            self.at = before;
            let Value::Query(query) = left else {
                return Err(self.wrong("a comparison is missing here"));
            };
            let exists = Filter::Exists(query);
            return Ok(if negated { Filter::Not(Box::new(exists)) } else { exists });
        };
        if negated {
            return Err(self.wrong("`!` stands before a test or a parenthesis, not before a comparison"));
        }
        self.space();
        let right = self.value()?;
        for side in [&left, &right] {
            if matches!(side, Value::Query(query) if !query.is_singular()) {
                return Err(self.wrong("only paths of names and indices can be compared"));
            }
        }
        Ok(Filter::Compare(left, comparison, right))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        const ALL: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Different),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        ALL.into_iter().find(|(text, _)| self.eat(text)).map(|(_, comparison)| comparison)
    }

    /// Whether `match(` (the whole text) or `search(` begins here.
    fn matching(&mut self) -> Option<bool> {
        if self.eat("match(") {
            return Some(true);
        }
        self.eat("search(").then_some(false)
    }

    /// The arguments of `match` and `search`.
    fn pattern(&mut self, whole: bool) -> Parsed<Filter> {
        self.space();
        let of = self.value_argument()?;
        self.space();
        self.need(",")?;
        self.space();
        if !matches!(self.peek(), Some('\'' | '"')) {
            return Err(self
                .wrong("the pattern must stand here, in quotes: one taken from the body could be anything"));
        }
        let text = self.string()?;
        let pattern = Pattern::compile(&text, whole).map_err(|error| Wrong {
            message: format!("no regular expression: {error}"),
            advice: String::new(),
        })?;
        self.space();
        self.need(")")?;
        Ok(Filter::Matches(of, pattern))
    }

    /// A literal, a path or a function that gives a value.
    fn value(&mut self) -> Parsed<Value> {
        for (word, literal) in
            [("true", Literal::Bool(true)), ("false", Literal::Bool(false)), ("null", Literal::Null)]
        {
            if self.eat(word) {
                return Ok(Value::Literal(literal));
            }
        }
        match self.peek() {
            Some('\'' | '"') => Ok(Value::Literal(Literal::Text(self.string()?.into()))),
            Some('-' | '0'..='9') => self.number(),
            Some('@' | '$') => Ok(Value::Query(self.query()?)),
            _ => self.function(),
        }
    }

    fn number(&mut self) -> Parsed<Value> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let rest = self.rest();
        let mut length = usize::from(rest.starts_with('-'));
        let after = |length: usize| rest.get(length..).unwrap_or_default();
        let whole = digits(after(length));
        let plain = whole == 1 || !after(length).starts_with('0');
        length += whole;
        let mut good = whole > 0 && plain;
        if after(length).starts_with('.') {
            let fraction = digits(after(length + 1));
            good &= fraction > 0;
            length += 1 + fraction;
        }
        if after(length).starts_with(['e', 'E']) {
            let sign = usize::from(after(length + 1).starts_with(['+', '-']));
            let exponent = digits(after(length + 1 + sign));
            good &= exponent > 0;
            length += 1 + sign + exponent;
        }
        let text = rest.get(..length).filter(|_| good).ok_or_else(|| self.wrong("not a number"))?;
        self.at += length;
        Ok(Value::Literal(Literal::Number(text.into())))
    }

    fn query(&mut self) -> Parsed<Query> {
        let absolute = self.next() == Some('$');
        let segments = self.segments()?;
        Ok(Query::new(absolute, segments))
    }

    fn function(&mut self) -> Parsed<Value> {
        let value = if self.eat("length(") {
            self.space();
            Value::Length(Box::new(self.value_argument()?))
        } else if self.eat("count(") {
            self.space();
            Value::Count(self.nodes_argument()?)
        } else if self.eat("value(") {
            self.space();
            Value::Only(self.nodes_argument()?)
        } else if self.rest().starts_with("match(") || self.rest().starts_with("search(") {
            return Err(
                self.wrong("`match` and `search` are true or false by themselves and cannot be compared")
            );
        } else {
            return Err(
                self.wrong("a literal, a path or one of length, count, value, match, search is missing here")
            );
        };
        self.space();
        self.need(")")?;
        Ok(value)
    }

    fn value_argument(&mut self) -> Parsed<Value> {
        let value = self.value()?;
        match &value {
            Value::Query(query) if !query.is_singular() => Err(self.wrong(
                "a path of names and indices is needed here; `value(…)` takes the only node of another",
            )),
            _ => Ok(value),
        }
    }

    fn nodes_argument(&mut self) -> Parsed<Query> {
        if matches!(self.peek(), Some('@' | '$')) {
            self.query()
        } else {
            Err(self.wrong("a path is needed here"))
        }
    }
}
