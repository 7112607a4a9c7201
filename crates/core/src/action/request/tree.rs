//! What a body says, as one tree, whether it came as JSON or as a form.
//!
//! A form becomes the mapping that servers make of its names: `card[number]=1` is `{"card": {"number": "1"}}`,
//! `tags[]=a` a list. A name that is given twice stands there twice. What a form holds is text, or `null` where it
//! holds something that is not read (a file).

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::syntax::{Kind, Member, Node, Span, Str};

/// From how many members on an object has an index.
const WIDE: usize = 16;

/// A body, read.
#[derive(Debug)]
pub struct Tree {
    root: Node,
    /// For each object of [`WIDE`] and more members, by where it starts: its members in the order of their folded
    /// keys.
    wide: HashMap<u32, Box<[u32]>>,
    form: Option<Names>,
}

/// The names of a form's fields as they were sent.
#[derive(Debug, Default)]
struct Names {
    fields: Vec<Node>,
    /// By name.
    literal: HashMap<Box<str>, Vec<usize>>,
    /// By what is left of a name when one forgets how servers write nesting ([`loose_name`]).
    loose: HashMap<String, Vec<usize>>,
}

/// A tree to be asked: of a body, or of a tool call's arguments.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    root: &'a Node,
    tree: Option<&'a Tree>,
}

/// A value that a path leads to.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The value.
    pub node: &'a Node,
    /// Whether every reader finds it there.
    pub sure: bool,
}

impl Tree {
    /// A JSON value.
    #[must_use]
    pub fn json(root: Node) -> Self {
        let mut wide = HashMap::new();
        index(&root, &mut wide);
        Self { root, wide, form: None }
    }

    /// A form with these fields, in order: a name and its value, `None` if the value is not read; `span` is where
    /// the value stands.
    #[must_use]
    pub(super) fn form(fields: &[(String, Option<String>, Span)]) -> Self {
        let mut names = Names::default();
        let mut root = Nest::default();
        for (at, (name, value, span)) in fields.iter().enumerate() {
            let kind = value.as_ref().map_or(Kind::Null, |text| Kind::String(Str::new(text.as_str())));
            names.fields.push(Node { kind, span: *span });
            names.literal.entry(name.as_str().into()).or_default().push(at);
            names.loose.entry(loose_name([name.as_str()])).or_default().push(at);
            root.insert(&pieces(name), at);
        }
        let mut next = 0;
        let root = root.node(&names.fields, &mut next);
        let mut wide = HashMap::new();
        index(&root, &mut wide);
        Self { root, wide, form: Some(names) }
    }

    /// How much memory it takes, in bytes, but for what allocators add.
    #[must_use]
    pub fn memory(&self) -> usize {
        let order = |order: &[u32]| size_of_val(order) + size_of::<(u32, Box<[u32]>)>();
        let wide: usize = self.wide.values().map(|it| order(it)).sum();
        let names: usize = self.form.as_ref().map_or(0, |names| names.fields.iter().map(below).sum());
        // The names of a form stand there three times: in the tree and in either index.
        size_of::<Self>() + below(&self.root) + wide + 3 * names
    }

    /// The tree, to be asked.
    #[must_use]
    pub const fn view(&self) -> View<'_> {
        View { root: &self.root, tree: Some(self) }
    }
}

impl<'a> View<'a> {
    /// A value that is no body.
    #[must_use]
    pub const fn of(root: &'a Node) -> Self {
        Self { root, tree: None }
    }

    /// The whole.
    #[must_use]
    pub const fn root(&self) -> &'a Node {
        self.root
    }

    /// Whether all values are text, as in a form.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.tree.is_some_and(|tree| tree.form.is_some())
    }

    /// The members of `object` by the name `key`: those of exactly this name are sure; some readers also take
    /// those that are spelled with other capitals.
    pub fn members(&self, object: &'a Node, key: &str, found: &mut impl Extend<Found<'a>>) {
        let members = object.members();
        let order = self.tree.and_then(|tree| tree.wide.get(&object.span.start));
        let Some(order) = order.filter(|order| order.len() == members.len()) else {
            let alike = members.iter().filter(|member| compare_folded(&member.key, key).is_eq());
            found.extend(alike.map(|member| of_member(member, key)));
            return;
        };
        let member = |at: &u32| members.get(*at as usize);
        let before = |at: &u32| member(at).is_some_and(|member| compare_folded(&member.key, key).is_lt());
        let start = order.partition_point(before);
        let from = order.iter().skip(start).filter_map(member);
        let alike = from.take_while(|member| compare_folded(&member.key, key).is_eq());
        found.extend(alike.map(|member| of_member(member, key)));
    }

    /// The fields of a form whose name is `name` as it was sent.
    pub fn literal(&self, name: &str, found: &mut impl Extend<Found<'a>>) {
        let Some(names) = self.names() else { return };
        found.extend(names.fields_at(names.literal.get(name), true));
    }

    /// The fields of a form whose name some server could read as the way through the keys that `loose` is made of
    /// ([`loose_name`]), whatever it does with dots, brackets, underscores, spaces and capitals.
    pub fn alike(&self, loose: &str, found: &mut impl Extend<Found<'a>>) {
        let Some(names) = self.names() else { return };
        found.extend(names.fields_at(names.loose.get(loose), false));
    }

    fn names(&self) -> Option<&'a Names> {
        self.tree?.form.as_ref()
    }
}

impl Names {
    fn fields_at(&self, at: Option<&Vec<usize>>, sure: bool) -> impl Iterator<Item = Found<'_>> {
        let nodes = at.into_iter().flatten().filter_map(|at| self.fields.get(*at));
        nodes.map(move |node| Found { node, sure })
    }
}

/// What is kept outside of `node` for it and all that is in it, in bytes.
fn below(node: &Node) -> usize {
    let text =
        |text: &Str| if text.is_well_formed() { text.len() } else { text.len() + text.as_wtf8().len() };
    match &node.kind {
        Kind::Null | Kind::Bool(_) => 0,
        Kind::Number(digits) => digits.len(),
        Kind::String(string) => text(string),
        Kind::Array(elements) => {
            elements.capacity() * size_of::<Node>() + elements.iter().map(below).sum::<usize>()
        }
        Kind::Object(members) => {
            let each = members.iter().map(|member| text(&member.key) + below(&member.value));
            members.capacity() * size_of::<Member>() + each.sum::<usize>()
        }
    }
}

fn of_member<'a>(member: &'a Member, key: &str) -> Found<'a> {
    Found { node: &member.value, sure: member.key.is_well_formed() && &*member.key == key }
}

/// Indices for all wide objects: looking up a key costs the same in a body made to be slow.
fn index(node: &Node, wide: &mut HashMap<u32, Box<[u32]>>) {
    node.elements().iter().for_each(|element| index(element, wide));
    let members = node.members();
    if let Ok(count) = u32::try_from(members.len())
        && members.len() >= WIDE
    {
        let mut order: Vec<u32> = (0..count).collect();
        let key = |at: &u32| members.get(*at as usize).map_or("", |member| &*member.key);
        order.sort_by(|a, b| compare_folded(key(a), key(b)));
        wide.insert(node.span.start, order.into());
    }
    members.iter().for_each(|member| index(&member.value, wide));
}

/// Compares as readers do that do not mind capitals: by simple case folding, so that the Kelvin sign is a k.
fn compare_folded(a: &str, b: &str) -> Ordering {
    a.chars().map(folded).cmp(b.chars().map(folded))
}

fn folded(c: char) -> char {
    match c {
        c if c.is_ascii() => c.to_ascii_lowercase(),
        'ſ' => 's',
        c => c.to_lowercase().next().unwrap_or(c),
    }
}

/// The keys in the name of a field: `a[b][]` is `a`, `b` and the empty one. A name that is not of this form is one
/// key.
fn pieces(name: &str) -> Vec<&str> {
    let whole = || vec![name];
    let Some((first, rest)) = name.split_once('[') else { return whole() };
    let Some(inner) = rest.strip_suffix(']').filter(|_| !first.is_empty()) else { return whole() };
    let inner: Vec<&str> = inner.split("][").collect();
    if inner.len() > DEEPEST || inner.iter().any(|key| key.contains(['[', ']'])) {
        return whole();
    }
    std::iter::once(first).chain(inner).collect()
}

/// How deep the names of a form may nest; what is deeper is one name.
const DEEPEST: usize = 32;

/// What is left of the keys when nesting, capitals and separators are forgotten.
#[must_use]
pub fn loose_name<'k>(keys: impl IntoIterator<Item = &'k str>) -> String {
    let mut out = String::new();
    for key in keys {
        for piece in key.split(['.', '[', ']', '_', '-', ' ', '+']).filter(|piece| !piece.is_empty()) {
            if !out.is_empty() {
                out.push('.');
            }
            out.extend(piece.chars().map(folded));
        }
    }
    out
}

/// The mapping that grows out of a form's names.
#[derive(Default)]
struct Nest<'n> {
    /// Fields that end here.
    values: Vec<usize>,
    /// Elements without a number, in order: `a[]`, `a[][b]`.
    elements: Vec<Nest<'n>>,
    children: Vec<(&'n str, Nest<'n>)>,
    by_key: HashMap<&'n str, usize>,
}

impl<'n> Nest<'n> {
    fn insert(&mut self, keys: &[&'n str], field: usize) {
        let Some((key, rest)) = keys.split_first() else {
            self.values.push(field);
            return;
        };
        let child = if key.is_empty() {
            self.elements.push(Nest::default());
            self.elements.last_mut()
        } else {
            let at = *self.by_key.entry(key).or_insert_with(|| {
                self.children.push((key, Nest::default()));
                self.children.len() - 1
            });
            self.children.get_mut(at).map(|(_, child)| child)
        };
        if let Some(child) = child {
            child.insert(rest, field);
        }
    }

    /// This as an object, or as whatever its fields make of it. `next` numbers containers, so that each has a place
    /// of its own.
    fn node(&self, fields: &[Node], next: &mut u32) -> Node {
        let start = *next;
        *next += 1;
        let mut members = Vec::new();
        for (key, child) in &self.children {
            for value in child.each(fields, next) {
                let key = Str::new(*key);
                members.push(Member { key, key_span: value.span, value });
            }
        }
        Node { kind: Kind::Object(members), span: Span::new(start, start) }
    }

    /// Everything that stands at this place: `a=1&a=2&a[b]=3` is three things.
    fn each(&self, fields: &[Node], next: &mut u32) -> Vec<Node> {
        let mut all: Vec<Node> = self.values.iter().filter_map(|at| fields.get(*at)).cloned().collect();
        if !self.elements.is_empty() {
            let start = *next;
            *next += 1;
            let nodes = self.elements.iter().flat_map(|element| element.each(fields, next)).collect();
            all.push(Node { kind: Kind::Array(nodes), span: Span::new(start, start) });
        }
        if !self.children.is_empty() {
            all.push(self.node(fields, next));
        }
        all
    }
}
