//! A path on a body, within bounds.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use super::super::few::Few;
use super::super::number::{Decimal, Numeral};
use super::super::truth::Truth;
use super::filter::{Comparison, Filter, Literal, Query, Value};
use super::{Path, Segment, Selector};
use crate::action::request::{Found, View};
use crate::syntax::{Kind, Node, Span};

/// How many steps one path may take on one body: containers gone through, children selected or tested, and in
/// filters each 64 bytes of text. Then the rest is unknown.
const MOST_STEPS: u32 = 250_000;

/// How many values one side of a comparison may have.
const MOST_VALUES: usize = 8;

/// What a path leads to.
#[derive(Debug)]
pub(in super::super) struct Nodes<'a> {
    /// The values, in order.
    pub(in super::super) found: Few<Found<'a>>,
    /// Whether there may be more.
    pub(in super::super) unknown: bool,
}

pub(super) fn find<'a>(path: &'a Path, view: View<'a>) -> Nodes<'a> {
    let walk = Walk { view, steps: Cell::new(0), unknown: Cell::new(false) };
    let mut found = walk.follow(&path.segments, Found { node: view.root(), sure: true });
    if view.is_form() {
        fields(path, view, &mut found);
    }
    Nodes { found, unknown: walk.unknown.get() }
}

/// The fields of a form that bear the path as their name, exactly or by some server's reading.
fn fields<'a>(path: &Path, view: View<'a>, found: &mut Few<Found<'a>>) {
    let Some(name) = &path.name else { return };
    let mut new = New(found);
    if let Some(key) = &name.only {
        view.literal(key, &mut new);
    }
    view.alike(&name.loose, &mut new);
}

/// Takes what is not there yet, by itself or within what is.
struct New<'f, 'a>(&'f mut Few<Found<'a>>);

impl<'a> Extend<Found<'a>> for New<'_, 'a> {
    fn extend<I: IntoIterator<Item = Found<'a>>>(&mut self, fields: I) {
        for field in fields {
            if !self.0.iter().any(|found| holds(found.node, field.node.span)) {
                self.0.push(field);
            }
        }
    }
}

/// Whether the value at `span` stands in `node`.
fn holds(node: &Node, span: Span) -> bool {
    node.span == span
        || node.elements().iter().any(|element| holds(element, span))
        || node.members().iter().any(|member| holds(&member.value, span))
}

struct Walk<'a> {
    view: View<'a>,
    steps: Cell<u32>,
    unknown: Cell<bool>,
}

/// One value in a comparison.
enum Side<'a> {
    Nothing,
    Null,
    Bool(bool),
    Number(Cow<'a, str>),
    Text(&'a str),
    Container(&'a Node),
}

/// Both or neither: what may be `Unknown` is no plain `bool`.
type Sides<'a> = Option<Vec<Side<'a>>>;

impl<'a> Walk<'a> {
    /// Whether `steps` more may be taken; if not, the rest is unknown.
    fn step(&self, steps: usize) -> bool {
        let taken = self.steps.get().saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        self.steps.set(taken);
        if taken > MOST_STEPS {
            self.unknown.set(true);
        }
        taken <= MOST_STEPS
    }

    fn follow(&self, segments: &'a [Segment], from: Found<'a>) -> Few<Found<'a>> {
        let mut found = Few::one(from);
        for segment in segments {
            let mut next = Few::new();
            for from in found.iter() {
                if segment.descendant {
                    self.descend(segment, *from, &mut next);
                } else {
                    self.select_all(segment, *from, &mut next);
                }
            }
            found = next;
        }
        found
    }

    fn descend(&self, segment: &'a Segment, from: Found<'a>, out: &mut Few<Found<'a>>) {
        self.select_all(segment, from, out);
        let node = from.node;
        let below = node.elements().iter().chain(node.members().iter().map(|member| &member.value));
        for child in below {
            // A field of a form may be a list to some.
            let leaf = !self.view.is_form() && !child.is_array() && !child.is_object();
            if leaf {
                continue;
            }
            if !self.step(1) {
                return;
            }
            self.descend(segment, Found { node: child, sure: from.sure }, out);
        }
    }

    fn select_all(&self, segment: &'a Segment, from: Found<'a>, out: &mut Few<Found<'a>>) {
        for selector in &segment.selectors {
            let before = out.len();
            self.select(selector, from.node, out);
            for found in out.iter_mut().skip(before) {
                found.sure &= from.sure;
            }
        }
    }

    fn select(&self, selector: &'a Selector, node: &'a Node, out: &mut Few<Found<'a>>) {
        match (&node.kind, selector) {
            (Kind::Null, _) if self.view.is_form() => self.unknown.set(true),
            (Kind::Object(_), Selector::Name(name)) if self.step(1) => self.view.members(node, name, out),
            (Kind::Array(elements), Selector::Index(index)) => self.index(elements, *index, out),
            (Kind::Array(elements), Selector::Slice { start, end, step }) => {
                self.slice(elements, *start, *end, *step, out);
            }
            (Kind::Object(_), Selector::Index(index)) if self.view.is_form() => {
                self.view.members(node, &index.to_string(), out);
            }
            (Kind::Object(members), Selector::Slice { .. }) if self.view.is_form() => {
                // `a[0]=…&a[1]=…`: a list for some, for others a mapping.
                self.unknown.set(self.unknown.get() || !members.is_empty());
            }
            // One of several values by one name, for servers that make a list of them.
            (Kind::String(_), selector) if self.view.is_form() && !matches!(selector, Selector::Name(_)) => {
                out.push(Found { node, sure: false });
            }
            (Kind::Array(elements), Selector::Wildcard) => self.children(elements.iter(), None, out),
            (Kind::Array(elements), Selector::Filter(filter)) => {
                self.children(elements.iter(), Some(filter), out);
            }
            (Kind::Object(members), Selector::Wildcard) => {
                self.children(members.iter().map(|member| &member.value), None, out);
            }
            (Kind::Object(members), Selector::Filter(filter)) => {
                self.children(members.iter().map(|member| &member.value), Some(filter), out);
            }
            _ => {}
        }
    }

    fn children(
        &self,
        children: impl Iterator<Item = &'a Node>,
        filter: Option<&'a Filter>,
        out: &mut Few<Found<'a>>,
    ) {
        for node in children {
            if !self.step(1) {
                return;
            }
            match filter.map_or(Truth::Yes, |filter| self.test(filter, node)) {
                Truth::Yes => out.push(Found { node, sure: true }),
                Truth::Unknown => out.push(Found { node, sure: false }),
                Truth::No => {}
            }
        }
    }

    fn index(&self, elements: &'a [Node], index: i64, out: &mut Few<Found<'a>>) {
        // `a[][x]=1&a[][y]=2` is one element for some servers and two for others.
        if self.view.is_form() && elements.iter().any(Node::is_object) {
            out.extend(elements.iter().map(|node| Found { node, sure: false }));
            return;
        }
        let count = i64::try_from(elements.len()).unwrap_or(i64::MAX);
        let at = if index < 0 { index.saturating_add(count) } else { index };
        let node = usize::try_from(at).ok().and_then(|at| elements.get(at));
        if self.step(1) {
            out.extend(node.map(|node| Found { node, sure: true }));
        }
    }

    /// RFC 9535, section 2.3.4.2.
    fn slice(
        &self,
        elements: &'a [Node],
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
        out: &mut Few<Found<'a>>,
    ) {
        let count = i64::try_from(elements.len()).unwrap_or(i64::MAX);
        let normal = |bound: i64| if bound < 0 { bound.saturating_add(count) } else { bound };
        let mut push = |at: i64| {
            let node = usize::try_from(at).ok().and_then(|at| elements.get(at));
            out.extend(node.map(|node| Found { node, sure: true }));
            self.step(1)
        };
        if step > 0 {
            let low = normal(start.unwrap_or(0)).clamp(0, count);
            let high = normal(end.unwrap_or(count)).clamp(0, count);
            let mut at = low;
            while at < high && push(at) {
                at = at.saturating_add(step);
            }
        } else {
            let high = normal(start.unwrap_or(count - 1)).clamp(-1, count - 1);
            let low = end.map_or(-1, |end| normal(end).clamp(-1, count - 1));
            let mut at = high;
            while at > low && push(at) {
                at = at.saturating_add(step);
            }
        }
    }

    fn test(&self, filter: &'a Filter, current: &'a Node) -> Truth {
        match filter {
            Filter::Any(all) => {
                all.iter().map(|filter| self.test(filter, current)).max().unwrap_or(Truth::No)
            }
            Filter::All(all) => {
                all.iter().map(|filter| self.test(filter, current)).min().unwrap_or(Truth::Yes)
            }
            Filter::Not(inner) => match self.test(inner, current) {
                Truth::Yes => Truth::No,
                Truth::Unknown => Truth::Unknown,
                Truth::No => Truth::Yes,
            },
            Filter::Exists(query) => self.exists(query, current),
            Filter::Compare(left, comparison, right) => {
                let (left, right) = (self.sides(left, current), self.sides(right, current));
                let (Some(left), Some(right)) = (left, right) else { return Truth::Unknown };
                let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
                agree(pairs.map(|(left, right)| self.compare(left, *comparison, right)))
            }
            Filter::Matches(value, pattern) => {
                let Some(sides) = self.sides(value, current) else { return Truth::Unknown };
                agree(sides.iter().map(|side| match side {
                    Side::Text(text) if !self.step(text.len() / 64) => Truth::Unknown,
                    Side::Text(text) => pattern.matches(text).into(),
                    _ => Truth::No,
                }))
            }
        }
    }

    /// What `query` leads to, and whether there may be more.
    fn query(&self, query: &'a Query, current: &'a Node) -> (Few<Found<'a>>, bool) {
        // What is unknown here is unknown to this filter, and only if it is not told by what is found.
        let outer = self.unknown.replace(false);
        let from = if query.absolute { self.view.root() } else { current };
        let found = self.follow(&query.segments, Found { node: from, sure: true });
        let unknown = self.unknown.replace(outer || self.steps.get() > MOST_STEPS);
        (found, unknown)
    }

    fn exists(&self, query: &'a Query, current: &'a Node) -> Truth {
        let (found, unknown) = self.query(query, current);
        if found.iter().any(|found| found.sure) {
            Truth::Yes
        } else if unknown || !found.is_empty() {
            Truth::Unknown
        } else {
            Truth::No
        }
    }

    /// Every value this may have; `None` if nobody knows.
    fn sides(&self, value: &'a Value, current: &'a Node) -> Sides<'a> {
        match value {
            Value::Literal(literal) => Some(vec![match literal {
                Literal::Null => Side::Null,
                Literal::Bool(value) => Side::Bool(*value),
                Literal::Number(digits) => Side::Number(Cow::Borrowed(digits)),
                Literal::Text(text) => Side::Text(text),
            }]),
            Value::Query(query) => {
                let (found, unknown) = self.query(query, current);
                if unknown || found.len() > MOST_VALUES {
                    return None;
                }
                let absent = if found.iter().any(|found| found.sure) { None } else { Some(Side::Nothing) };
                let values = found.iter().map(|found| self.side(found.node));
                values.chain(absent.map(Some)).collect()
            }
            Value::Length(of) => {
                Some(self.sides(of, current)?.into_iter().map(|side| length(&side)).collect())
            }
            Value::Count(query) => {
                let (found, unknown) = self.query(query, current);
                let sure = !unknown && found.iter().all(|found| found.sure);
                sure.then(|| vec![Side::Number(Cow::Owned(found.len().to_string()))])
            }
            Value::Only(query) => {
                let (found, unknown) = self.query(query, current);
                if unknown || found.iter().any(|found| !found.sure) {
                    return None;
                }
                let only = if let Some(only) = found.only() { self.side(only.node)? } else { Side::Nothing };
                Some(vec![only])
            }
        }
    }

    fn side(&self, node: &'a Node) -> Option<Side<'a>> {
        match &node.kind {
            Kind::Null if self.view.is_form() => None,
            Kind::Null => Some(Side::Null),
            Kind::Bool(value) => Some(Side::Bool(*value)),
            Kind::Number(digits) => Some(Side::Number(Cow::Borrowed(digits))),
            Kind::String(text) => text.is_well_formed().then_some(Side::Text(text)),
            Kind::Array(_) | Kind::Object(_) => Some(Side::Container(node)),
        }
    }

    /// RFC 9535, section 2.3.5.2.2.
    fn compare(&self, left: &Side<'a>, comparison: Comparison, right: &Side<'a>) -> Truth {
        let equal = || self.equal(left, right);
        let less = |a: &Side<'a>, b: &Side<'a>| match self.order(a, b) {
            Some(order) => order.map_or(Truth::No, |order| order.is_lt().into()),
            None => Truth::Unknown,
        };
        match comparison {
            Comparison::Equal => equal(),
            Comparison::Different => match equal() {
                Truth::Yes => Truth::No,
                Truth::Unknown => Truth::Unknown,
                Truth::No => Truth::Yes,
            },
            Comparison::Less => less(left, right),
            Comparison::More => less(right, left),
            Comparison::AtMost => less(left, right).max(equal()),
            Comparison::AtLeast => less(right, left).max(equal()),
        }
    }

    /// Which is larger; `Some(None)` if they have no order, `None` if nobody knows.
    fn order(&self, left: &Side<'a>, right: &Side<'a>) -> Option<Option<Ordering>> {
        let number = |digits: &'_ str| Decimal::parse(digits).is_some();
        match (left, right) {
            (Side::Number(a), Side::Number(b)) => Some(Some(Decimal::parse(a)?.compare(&Decimal::parse(b)?))),
            (Side::Text(a), Side::Text(b)) => self.step(a.len().min(b.len()) / 64).then(|| Some(a.cmp(b))),
            // In a form all values are text.
            (Side::Text(text), Side::Number(digits)) if self.view.is_form() && number(digits) => {
                self.numeral(text, digits)
            }
            (Side::Number(digits), Side::Text(text)) if self.view.is_form() && number(digits) => {
                Some(self.numeral(text, digits)?.map(Ordering::reverse))
            }
            _ => Some(None),
        }
    }

    fn numeral(&self, text: &str, digits: &str) -> Option<Option<Ordering>> {
        match Numeral::of(text) {
            Numeral::Exact(value) => Some(Some(value.compare(&Decimal::parse(digits)?))),
            Numeral::Unclear => None,
            Numeral::None => Some(None),
        }
    }

    fn equal(&self, left: &Side<'a>, right: &Side<'a>) -> Truth {
        match (left, right) {
            (Side::Nothing, Side::Nothing) | (Side::Null, Side::Null) => Truth::Yes,
            (Side::Bool(a), Side::Bool(b)) => (a == b).into(),
            (Side::Bool(value), Side::Text(text)) | (Side::Text(text), Side::Bool(value))
                if self.view.is_form() =>
            {
                (*text == if *value { "true" } else { "false" }).into()
            }
            (Side::Container(a), Side::Container(b)) => self.same(a, b),
            _ => match self.order(left, right) {
                Some(order) => order.is_some_and(Ordering::is_eq).into(),
                None => Truth::Unknown,
            },
        }
    }

    /// Whether two values of a body are the same.
    fn same(&self, a: &'a Node, b: &'a Node) -> Truth {
        if !self.step(1) {
            return Truth::Unknown;
        }
        match (&a.kind, &b.kind) {
            (Kind::Array(a), Kind::Array(b)) if a.len() == b.len() => {
                a.iter().zip(b).map(|(a, b)| self.same(a, b)).min().unwrap_or(Truth::Yes)
            }
            (Kind::Object(ours), Kind::Object(theirs)) if ours.len() == theirs.len() => {
                let each = ours.iter().map(|member| {
                    let mut found = Few::new();
                    self.view.members(b, &member.key, &mut found);
                    let exact = found.iter().find(|found| found.sure);
                    exact.map_or(Truth::No, |other| self.same(&member.value, other.node))
                });
                each.min().unwrap_or(Truth::Yes)
            }
            (Kind::Array(_) | Kind::Object(_), _) | (_, Kind::Array(_) | Kind::Object(_)) => Truth::No,
            _ => match (self.side(a), self.side(b)) {
                (Some(a), Some(b)) => self.equal(&a, &b),
                _ => Truth::Unknown,
            },
        }
    }
}

fn length<'a>(side: &Side<'a>) -> Side<'a> {
    let count = match side {
        Side::Text(text) => text.chars().count(),
        Side::Container(node) => node.elements().len() + node.members().len(),
        _ => return Side::Nothing,
    };
    Side::Number(Cow::Owned(count.to_string()))
}

/// Yes if all say yes, no if all say no.
fn agree(truths: impl Iterator<Item = Truth>) -> Truth {
    truths.reduce(|a, b| if a == b { a } else { Truth::Unknown }).unwrap_or(Truth::No)
}
