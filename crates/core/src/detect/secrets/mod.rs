//! Credentials: what they look like (`types.tbl`), and what stands around those that look like nothing.
//!
//! Three things are looked for, all of them found by literals in the one pass that the rules make too:
//! tokens that carry the mark of who issued them; values given for a name that says what they are
//! (`password`, `token`, `api_key`); and random values given for a known service. What only looks like a
//! credential (hashes, UUIDs, references, placeholders) is told apart in [`value`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::action::PartKind;
use crate::detect::Finding;
use crate::detect::canary::{self, Canaries, Response};
use crate::detect::rules::MOST_AUDITED;
use crate::detect::runs;
use crate::pace::Pace;
use crate::syntax::Span;

mod base85;

mod checks;

mod decoded;

pub mod entropy;
use entropy::Terms;

pub(crate) mod fields;

mod link;

pub mod noise;

mod numbers;

mod phrase;

pub mod registered;
mod seams;
use registered::Registered;

mod table;
use table::Place;
pub use table::Type;

mod value;

mod words;
use words::Class;

/// How much of the text behind a literal a shape may take.
const AHEAD: usize = 640;

/// How much of the text before a literal a shape may take, for shapes with their literal within.
const BEHIND: usize = 128;

/// The most findings in one text.
const MOST: usize = 32;

/// The least of a token that stands behind its mark if the rest of it stands in other fields, in bytes.
const LEAST_PIECE: usize = 3;

/// How far before a name the word is looked for that says of what kind it is.
const AROUND: usize = 16;

/// How bad a value is that only its name gives away.
const NAMED: u8 = 65;

/// How bad a random value given for a service is.
const OF_SERVICE: u8 = 65;

/// How bad a password is that is given as one.
const PASSWORD: u8 = 65;

/// What of a rule's id stands behind `secret.` where a registered secret was found.
pub(crate) const REGISTERED: &str = "registered";

/// The same of one that could not be taken out of a request.
pub(crate) const UNREDACTED: &str = "unredacted";

/// What is found that has no type of its own.
const OTHERS: [&str; 9] = [
    REGISTERED,
    UNREDACTED,
    "high-entropy",
    "iban",
    "card-number",
    "wallet-phrase",
    "password",
    "named-value",
    "service-value",
];

/// The id under which the content of a decoy is found.
pub(crate) const CANARY: &str = "canary";

/// Those under which honeytokens are found: their values, and domains, each by what is to be done.
const VALUE: &str = "honeytoken";
const VALUE_FREEZES: &str = "honeytoken-freezes";
const DOMAIN: &str = "honeytoken-domain";
const DOMAIN_FREEZES: &str = "honeytoken-domain-freezes";

/// Values that are known by their hashes, and what is said of one that is seen.
#[derive(Clone, Copy)]
struct Table<'a> {
    known: &'a Registered,
    id: &'static str,
    severity: u8,
    says: fn(&str) -> String,
}

impl Table<'_> {
    fn seen(&self, name: &str, at: std::ops::Range<usize>) -> Seen {
        let description = Cow::Owned((self.says)(name));
        Seen {
            id: self.id,
            description,
            severity: self.severity,
            checked: false,
            start: at.start,
            end: at.end,
        }
    }
}

/// The rule that such an id is told by; `None` for what is no decoy.
fn touch(id: &str) -> Option<&'static str> {
    match id {
        CANARY | VALUE => Some(canary::CONTENT),
        DOMAIN => Some(canary::DOMAIN),
        VALUE_FREEZES | DOMAIN_FREEZES => Some(canary::FREEZES),
        _ => None,
    }
}

/// What a literal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The type with this index.
    Type(usize),
    /// A word that names what a value is, with whether it may be the end of a longer word.
    Word(Class, bool),
    /// A literal of the type with this index, from its end to its beginning.
    Reversed(usize),
    /// A character behind a percent sign.
    Percent,
    /// An entity of HTML, or an escape.
    Escape,
    /// Literals put together.
    Joint,
    /// An account number may follow.
    Iban,
    /// The phrase of a wallet may follow.
    Phrase,
    /// The honeytoken domain with this index.
    Domain(usize),
}

/// What stands behind an encoding, to be looked into in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) text: String,
    /// Where the encoded text stands.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Only marked tokens are looked for: what was put together may never have belonged together.
    pub(crate) marked_only: bool,
    /// Only what is known by its hashes is looked for: it is no text.
    pub(crate) known_only: bool,
}

/// What a look gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Strongest first.
    pub(crate) seen: Vec<Seen>,
    pub(crate) layers: Vec<Layer>,
    /// The highest score of a token ([`entropy`]), and where it stands.
    pub(crate) entropy: f32,
    pub(crate) loudest: (usize, usize),
}

/// How deep layers are looked into.
pub(crate) const DEEPEST: u32 = 3;

/// The text that all layers of a text may come to, beyond its own length, in bytes.
pub(crate) const LAYERS: usize = 256 << 10;

/// Literals that are looked for from their end to their beginning too.
const REVERSIBLE: [&str; 24] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk-ant-",
    "sk-proj-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-AgE",
    "dop_v1_",
    "shpat_",
    "dckr_pat_",
    "hvs.",
    "lin_api_",
    "nvapi-",
    "gsk_",
];

/// What leads from one literal to the next.
const JOINTS: [&str; 6] = ["\" + \"", "' + '", "\"+\"", "'+'", "\" . \"", "' . '"];

/// Characters that matter to a secret, behind a percent sign; the sign itself; and letters and digits, which nobody has to write so.
#[rustfmt::skip]
const PERCENT: [&str; 69] = [
    "%3d", "%3a", "%22", "%2b", "%2f", "%5f", "%25", "%30", "%31", "%32", "%33", "%34", "%35", "%36",
    "%37", "%38", "%39", "%41", "%42", "%43", "%44", "%45", "%46", "%47", "%48", "%49", "%4a", "%4b",
    "%4c", "%4d", "%4e", "%4f", "%50", "%51", "%52", "%53", "%54", "%55", "%56", "%57", "%58", "%59",
    "%5a", "%61", "%62", "%63", "%64", "%65", "%66", "%67", "%68", "%69", "%6a", "%6b", "%6c", "%6d",
    "%6e", "%6f", "%70", "%71", "%72", "%73", "%74", "%75", "%76", "%77", "%78", "%79", "%7a",
];

/// What begins an entity of HTML or an escape that may say a character of a secret.
const ESCAPES: [&str; 12] = [
    "&#",
    "&amp;#",
    "&lowbar;",
    "&underbar;",
    "&period;",
    "&sol;",
    "&plus;",
    "&equals;",
    "&colon;",
    "\\u00",
    "\\u{",
    "\\x",
];

/// Words before a wallet's phrase.
const PHRASES: [&str; 7] = [
    "mnemonic",
    "seed phrase",
    "seed_phrase",
    "seedphrase",
    "recovery phrase",
    "secret phrase",
    "wallet seed",
];

/// How long a line of a block of encoded text is at least, in bytes: no names of services stand in such a one.
const LINE: usize = 48;

/// How far before a value the name of its service may begin, in bytes.
const NEAR: usize = 96;

/// Up to which length a text is looked into for a phrase that nothing announces, in bytes.
const SHORT: usize = 4096;

/// In which parts credentials are looked for.
pub(crate) const fn is_looked_into(kind: PartKind) -> bool {
    leaves(kind)
        || matches!(
            kind,
            PartKind::ToolResult
                | PartKind::UserText
                | PartKind::SystemText
                | PartKind::Arguments
                | PartKind::Label
        )
}

/// Whether a credential in such a part is on its way out. Elsewhere it is worth a note and no more: a key in a
/// tool's result is not yet a leak.
const fn leaves(kind: PartKind) -> bool {
    matches!(kind, PartKind::Outbound | PartKind::Url)
}

/// What the part `index` of `kind` had at `span`; `sent` says that a call with it reaches a host. The value itself is
/// never named.
///
/// A call that sends something is no leak of what it only looks like, but of what was registered it is one.
///
/// The content of a decoy has no business anywhere: nobody could know it without having read it.
pub(crate) fn finding(seen: &Seen, (kind, sent): (PartKind, bool), index: usize, span: Span) -> Finding {
    if let Some(rule) = touch(seen.id) {
        return Finding {
            rule: rule.to_owned(),
            category: "canary".to_owned(),
            severity: 100,
            part: Some(index),
            span,
            message: seen.description.clone().into_owned(),
            advice: String::new(),
        };
    }
    let checked = if seen.checked { " (its checksum fits)" } else { "" };
    let leaves = leaves(kind) || sent && seen.id == REGISTERED;
    Finding {
        rule: format!("secret.{}", seen.id),
        category: "secret".to_owned(),
        severity: if leaves { seen.severity } else { seen.severity.min(MOST_AUDITED) },
        part: Some(index),
        span,
        message: format!("{}{checked}", seen.description),
        advice: "remove the value; name where it is kept instead".to_owned(),
    }
}

/// What a field of a request had. `leaves` says that it is on its way out, to where nobody else is asked.
pub(crate) fn field_finding(seen: &Seen, place: &str, leaves: bool) -> Finding {
    let kind = if leaves { PartKind::Outbound } else { PartKind::UserText };
    let found = finding(seen, (kind, false), 0, Span::default());
    Finding { part: None, message: format!("{} in {place}", found.message), ..found }
}

/// How bad a token of high entropy is that nothing else says anything about.
const HIGH_ENTROPY: u8 = 40;

/// The part `index` of `kind` had a token of this score at `span`, if that is more than `limits` allow. Only what is
/// on its way out counts.
pub(crate) fn high_entropy(
    score: f32,
    terms: Terms<'_>,
    kind: PartKind,
    index: usize,
    span: Span,
) -> Option<Finding> {
    let (threshold, setting) = terms.threshold();
    (leaves(kind) && score > threshold).then(|| Finding {
        rule: "secret.high-entropy".to_owned(),
        category: "secret".to_owned(),
        severity: HIGH_ENTROPY,
        part: Some(index),
        span,
        message: format!("a text of {score:.2} bits per character, more than {threshold:.2} ({setting})"),
        advice: "if it is no secret, allow it in `entropy_allowlist`, or for its key in `entropy_allow`"
            .to_owned(),
    })
}

/// The same of a field of a request that leaves through the egress door, where nobody asks a model what it is: it does not
/// go on, unless its key has it only noted.
pub(crate) fn dense_field(score: f32, terms: Terms<'_>, place: &str) -> Option<Finding> {
    let found = high_entropy(score, terms, PartKind::Outbound, 0, Span::default())?;
    let message = format!("{place} has {}", found.message);
    let severity = if terms.is_noted() { HIGH_ENTROPY } else { STOPPED };
    Some(Finding { part: None, severity, message, ..found })
}

/// The score that names in a row do not reach and chance does: of 2,000 random tokens of 24 to 48 characters one in a hundred
/// has less, of 474 ordinary addresses one has more, for a name of its own.
pub(crate) const CERTAIN: f32 = 5.0;

/// From here on nothing goes on.
const STOPPED: u8 = 80;

/// Everything that is known about credentials.
#[derive(Debug)]
pub struct Secrets {
    types: Vec<Type>,
    /// The ids and the category of its findings.
    names: Vec<String>,
    services: HashSet<&'static str>,
    registered: Registered,
    canaries: Canaries,
    limits: entropy::Limits,
    limits_of: HashMap<String, entropy::Limits>,
}

impl Secrets {
    /// The shipped table.
    #[must_use]
    pub fn shipped() -> Self {
        let types = table::types();
        let named = types.iter().map(|one| one.id).chain(OTHERS).map(|id| format!("secret.{id}"));
        Self {
            names: named.chain(["secret".to_owned()]).collect(),
            types,
            services: table::services().collect(),
            registered: Registered::default(),
            canaries: Canaries::default(),
            limits: entropy::Limits::default(),
            limits_of: HashMap::new(),
        }
    }

    /// The same, finding `registered` secrets too.
    #[must_use]
    pub fn with_registered(self, registered: Registered) -> Self {
        Self { registered, ..self }
    }

    /// The same, finding what `canaries` say too.
    #[must_use]
    pub fn with_canaries(self, canaries: Canaries) -> Self {
        Self { canaries, ..self }
    }

    /// The decoys that are planted.
    #[must_use]
    pub const fn canaries(&self) -> &Canaries {
        &self.canaries
    }

    /// The same, with what an operator set about entropy: for all, and instead of that for some agents.
    #[must_use]
    pub fn with_limits(self, limits: entropy::Limits, limits_of: HashMap<String, entropy::Limits>) -> Self {
        Self { limits, limits_of, ..self }
    }

    /// What `text` holds of what is known by its hashes alone: the first piece of a decoy, the first honeytoken of each kind,
    /// the first registered secret.
    pub(crate) fn known(&self, text: &str) -> impl Iterator<Item = Seen> {
        let values = self.tables().into_iter();
        let values = values
            .filter_map(|table| table.known.find(text).map(|hit| table.seen(&hit.name, hit.start..hit.end)));
        let domain = self.canaries.encoded_domain(text).map(|(domain, hit)| {
            let (id, description) = domain_seen(domain);
            Seen { id, description, severity: 100, checked: false, start: hit.start, end: hit.end }
        });
        values.chain(domain)
    }

    /// The values that are known by their hashes.
    fn tables(&self) -> [Table<'_>; 4] {
        let decoy = |name: &str| format!("the content of the decoy `{name}`");
        let honeytoken = |name: &str| format!("the honeytoken `{name}`");
        let secret = |name: &str| registered::description(name).into_owned();
        let values = |response| self.canaries.values(response);
        [
            Table { known: self.canaries.contents(), id: CANARY, severity: 100, says: decoy },
            Table { known: values(Response::Suspend), id: VALUE, severity: 100, says: honeytoken },
            Table { known: values(Response::Freeze), id: VALUE_FREEZES, severity: 100, says: honeytoken },
            Table { known: &self.registered, id: REGISTERED, severity: 95, says: secret },
        ]
    }

    /// Whether anything is known by its hashes.
    fn knows_any(&self) -> bool {
        !self.registered.is_empty() || !self.canaries.is_empty()
    }

    /// What tells the registered secrets and the decoys from others; `None` if there is none.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let registered = (!self.registered.is_empty()).then(|| self.registered.fingerprint());
        let planted = (!self.canaries.is_empty()).then(|| format!("decoys\n{}", self.canaries.fingerprint()));
        (registered.is_some() || planted.is_some())
            .then(|| [registered, planted].into_iter().flatten().collect())
    }

    /// The registered secrets.
    #[must_use]
    pub const fn registered(&self) -> &Registered {
        &self.registered
    }

    /// The ids of all findings of secrets, and their category.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many secrets are registered.
    #[must_use]
    pub const fn count_registered(&self) -> usize {
        self.registered.len()
    }

    /// What is set about entropy for `agent`.
    #[must_use]
    pub fn limits(&self, agent: &str) -> &entropy::Limits {
        self.limits_of.get(agent).unwrap_or(&self.limits)
    }

    /// The types with a shape of their own.
    #[must_use]
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The literals to be found, with what each stands for.
    pub(crate) fn literals(&self) -> Vec<(String, Owner)> {
        let mut literals: Vec<(String, Owner)> = Vec::new();
        for (index, one) in self.types.iter().enumerate() {
            let of = |literal: &&str| ((*literal).to_owned(), Owner::Type(index));
            literals.extend(one.literals.iter().map(of));
            let back = one
                .literals
                .iter()
                .filter(|literal| one.place == Place::Start && REVERSIBLE.contains(literal));
            literals.extend(back.map(|literal| (decoded::reversed(literal), Owner::Reversed(index))));
        }
        for (words, owner) in [
            (&JOINTS[..], Owner::Joint),
            (&PERCENT, Owner::Percent),
            (&ESCAPES, Owner::Escape),
            (&PHRASES, Owner::Phrase),
        ] {
            literals.extend(words.iter().map(|word| ((*word).to_owned(), owner)));
        }
        literals.push(("iban".to_owned(), Owner::Iban));
        let domains = self.canaries.domains().iter().enumerate();
        literals.extend(domains.map(|(index, own)| (own.domain.clone(), Owner::Domain(index))));
        let words = words::WORDS.iter();
        literals.extend(words.map(|(word, class, glued)| ((*word).to_owned(), Owner::Word(*class, *glued))));
        literals
    }

    /// Looks into what was found encoded, layer by layer, and adds what is there to `found`. `feed` gives a scan the
    /// literals of its text; `length` is that of the whole text.
    pub(crate) fn look_deeper(
        &self,
        found: &mut Found,
        length: usize,
        feed: &dyn Fn(&mut Scan<'_>),
        pace: &Pace<'_>,
    ) {
        let terms = Terms::new(&self.limits, None);
        let mut left = length + LAYERS;
        let mut layers = std::mem::take(&mut found.layers);
        for _ in 0..DEEPEST {
            let mut deeper = Vec::new();
            for layer in layers {
                let Some(rest) = left.checked_sub(layer.text.len()) else { return };
                left = rest;
                let (start, end) = (layer.start, layer.end);
                if layer.known_only {
                    found.seen.extend(self.known(&layer.text).map(|seen| Seen { start, end, ..seen }));
                    continue;
                }
                let mut scan = Scan { marked_only: layer.marked_only, ..self.scan(&layer.text, terms) };
                feed(&mut scan);
                let Found { seen, layers, .. } = scan.finish(pace);
                found.seen.extend(seen.into_iter().map(|seen| Seen { start, end, ..seen }));
                deeper.extend(layers.into_iter().map(|layer| Layer { start, end, ..layer }));
            }
            layers = deeper;
        }
    }

    /// Begins to look into `text`.
    pub(crate) fn scan<'a>(&'a self, text: &'a str, terms: Terms<'a>) -> Scan<'a> {
        Scan {
            secrets: self,
            terms,
            text,
            followed: None,
            seen: Vec::new(),
            done: vec![0; self.types.len()],
            named_until: 0,
            marked_only: false,
            among_ids: false,
            layers: Vec::new(),
            percent_until: 0,
            escape_until: 0,
            joint_until: 0,
            cut_until: 0,
            phrase: None,
        }
    }
}

/// What of a run may be the encoding: `data=dG9r…` has it behind the sign, padding belongs to it.
fn encoded(token: &str) -> &str {
    let body = token.trim_end_matches('=');
    let start = body.rfind('=').map_or(0, |at| at + 1);
    token.get(start..).unwrap_or(token)
}

/// One credential in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `secret.` and this is the rule.
    pub(crate) id: &'static str,
    pub(crate) description: Cow<'static, str>,
    pub(crate) severity: u8,
    /// Whether its checksum fits.
    pub(crate) checked: bool,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Seen {
    /// Whether it is the content of a decoy.
    pub(crate) fn is_planted(&self) -> bool {
        touch(self.id).is_some()
    }

    /// Whether it is a decoy or registered, and not only of the form of a credential.
    pub(crate) fn is_known(&self) -> bool {
        touch(self.id).is_some() || self.id == REGISTERED
    }

    /// Whether it counts in a part of this kind. Where a honeytoken's domain stands, it is bait; it must not be gone to.
    pub(crate) fn counts_in(&self, kind: PartKind) -> bool {
        !self.is_domain() || leaves(kind)
    }

    fn is_domain(&self) -> bool {
        matches!(self.id, DOMAIN | DOMAIN_FREEZES)
    }
}

/// Under which id the name of a domain is found, and how it is told.
fn domain_seen(domain: &canary::Domain) -> (&'static str, Cow<'static, str>) {
    let id = match domain.response {
        Response::Suspend => DOMAIN,
        Response::Freeze => DOMAIN_FREEZES,
    };
    (id, Cow::Owned(canary::domain_told(domain)))
}

/// A look into one text, fed with the literals found in it, in order.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    secrets: &'a Secrets,
    terms: Terms<'a>,
    text: &'a str,
    /// The last word that was followed to its value, and the value.
    followed: Option<(usize, usize, Option<link::Link<'a>>)>,
    seen: Vec<Seen>,
    /// For each type: up to where it has been looked for.
    done: Vec<usize>,
    /// Where the last named value ends: it is named once.
    named_until: usize,
    /// Only marked tokens count.
    marked_only: bool,
    /// Nor does what looks like a number of an account: it stands among ids.
    among_ids: bool,
    /// Parts around percent signs and around what puts literals together, and up to where they go.
    layers: Vec<Layer>,
    percent_until: usize,
    escape_until: usize,
    joint_until: usize,
    /// Up to where a token that is cut was put together.
    cut_until: usize,
    /// Where a phrase is announced.
    phrase: Option<usize>,
}

impl<'a> Scan<'a> {
    /// The text that is looked into.
    pub(crate) const fn text(&self) -> &'a str {
        self.text
    }

    /// Lets only tokens with a mark count, and what is registered, if `marked` says so.
    pub(crate) const fn look_for_marked(&mut self, marked: bool) {
        (self.marked_only, self.among_ids) = (marked, marked);
    }

    /// A literal that stands for `owner` was found at `start..end`.
    pub(crate) fn hit(&mut self, owner: Owner, start: usize, end: usize) {
        if let Owner::Domain(index) = owner {
            return self.domain(index, start, end);
        }
        if self.seen.len() >= MOST || self.marked_only && !matches!(owner, Owner::Type(_) | Owner::Escape) {
            return;
        }
        match owner {
            Owner::Domain(_) => {}
            Owner::Type(index) => self.typed(index, start, end),
            Owner::Word(class, glued) => self.named(class, glued, start, end),
            Owner::Reversed(index) => self.reversed(index, end),
            Owner::Percent => self.percent(start),
            Owner::Escape => self.escape(start),
            Owner::Joint => self.joint(start),
            Owner::Iban => self.account(end),
            Owner::Phrase => self.phrase = self.phrase.or(Some(end)),
        }
    }

    /// The end of the text: what no literal announces is looked for.
    pub(crate) fn finish(mut self, pace: &Pace<'_>) -> Found {
        let mut found = Found::default();
        self.tokens(&mut found, pace);
        pace.went(self.text.len());
        self.base85(&mut found);
        if !self.among_ids {
            self.cards();
            self.phrase();
        }
        found.layers.append(&mut self.layers);
        self.seen.extend(self.secrets.known(self.text));
        self.seen.sort_by_key(|seen| (std::cmp::Reverse(seen.severity), seen.start));
        // What stands in something stronger is not told again.
        for seen in self.seen {
            // A domain does not count everywhere, and must not hide what does.
            let within =
                |other: &Seen| other.start < seen.end && seen.start < other.end && !other.is_domain();
            if !found.seen.iter().any(within) {
                found.seen.push(seen);
            }
        }
        found
    }

    /// What base85 says.
    fn base85(&self, found: &mut Found) {
        let runs = base85::candidates(self.text)
            .filter_map(|(start, run)| Some((start, start + run.len(), base85::decode(run)?)));
        let layer = |(start, end, text)| Layer { text, start, end, marked_only: true, known_only: false };
        found.layers.extend(base85::marked(self.text).chain(runs).take(MOST).map(layer));
    }

    /// Long runs of characters: their entropy, what they encode, and account numbers.
    fn tokens(&mut self, found: &mut Found, pace: &Pace<'_>) {
        let text = self.text;
        if self.secrets.knows_any() {
            let lines = decoded::wrapped(text).into_iter();
            found.layers.extend(lines.filter_map(|(start, end, joined)| {
                let text = decoded::decode_any(&joined)?;
                Some(Layer { text, start, end, marked_only: true, known_only: true })
            }));
        }
        // Where the last line of an encoded block ended.
        let mut block = usize::MAX;
        for (start, token) in runs::tokens(text) {
            let end = start + token.len();
            pace.went(token.len());
            let goes_on = start.checked_sub(block).is_some_and(|gap| gap <= 2);
            block = if token.len() >= LINE { end } else { usize::MAX };
            let from = text.ceil_char_boundary(start.saturating_sub(16));
            let before = text.get(from..start).unwrap_or_default();
            let loud = noise::noise(token);
            let score = entropy::score(token, loud, before, self.terms);
            if score > found.entropy {
                (found.entropy, found.loudest) = (score, (start, end));
            }
            // Encoded text is loud; where the digits are few, it need not be.
            let hexadecimal = || token.bytes().all(|byte| byte.is_ascii_hexdigit());
            if token.len() >= 24 && (loud >= 3.8 || hexadecimal() || decoded::is_base32(token)) {
                let marked_only = self.among_ids;
                if let Some(text) = decoded::decode(encoded(token)) {
                    found.layers.push(Layer { text, start, end, marked_only, known_only: false });
                } else if self.secrets.knows_any()
                    && let Some(text) = decoded::decode_any(encoded(token))
                {
                    found.layers.push(Layer { text, start, end, marked_only, known_only: true });
                }
            }
            if self.among_ids {
                continue;
            }
            if !goes_on && loud >= 3.2 && value::may_be_of_service(token) {
                self.service(start);
            }
            if token.as_bytes().first().is_some_and(u8::is_ascii_uppercase) && numbers::iban(token) {
                self.push("iban", "a bank account number", 60, start, end);
            }
        }
    }

    /// The random value at `value`: the names of services shortly before it are tried.
    fn service(&mut self, value: usize) {
        let secrets = self.secrets;
        let from = self.text.ceil_char_boundary(value.saturating_sub(NEAR));
        let before = self.text.get(from..value).unwrap_or_default();
        let mut at = from;
        for run in before.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let name = run.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let whole = name.contains('-').then_some(0..name.len());
            for place in whole.into_iter().chain(words::places(name)) {
                let part = name.get(place.clone()).unwrap_or_default();
                if part.len() >= 3 && secrets.services.contains(part.to_ascii_lowercase().as_str()) {
                    self.named(Class::Service, false, at + place.start, at + place.end);
                }
            }
            at += run.len();
        }
    }

    /// Card numbers: every twelfth character is looked at, so that no run of thirteen is missed.
    fn cards(&mut self) {
        let text = self.text;
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let between = |at: usize| {
            matches!(bytes.get(at), Some(b' ' | b'-')) && digit(at + 1) && at > 0 && digit(at - 1)
        };
        let (mut at, mut after) = (11, 0);
        while at < bytes.len() {
            if !digit(at) && !between(at) {
                at += 12;
                continue;
            }
            let mut start = at;
            while start > after && (digit(start - 1) || between(start - 1)) {
                start -= 1;
            }
            let end = numbers::groups(text, start).max(at + 1);
            let letter =
                |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
            let alone = !letter(Some(end)) && !letter(start.checked_sub(1));
            if alone && digit(start) && end - start >= 13 && numbers::card(text, start, end) {
                self.push("card-number", "a card number", 70, start, end);
            }
            (after, at) = (end, end + 11);
        }
    }

    /// The run without spaces around a percent sign, decoded.
    fn percent(&mut self, at: usize) {
        let Some((start, end)) = self.run_around(at, self.percent_until) else { return };
        self.percent_until = end;
        let text = decoded::percent(self.text.get(start..end).unwrap_or_default());
        self.layers.push(Layer { text, start, end, marked_only: false, known_only: false });
    }

    /// The same around an entity or an escape. Texts are full of these, so only what has a mark counts.
    fn escape(&mut self, at: usize) {
        let Some((start, end)) = self.run_around(at, self.escape_until) else { return };
        self.escape_until = end;
        let run = self.text.get(start..end).unwrap_or_default();
        let text = decoded::unescaped(run);
        if text != run {
            self.layers.push(Layer { text, start, end, marked_only: true, known_only: false });
        }
    }

    /// The run without spaces around `at`, but for what was looked at up to `until`.
    fn run_around(&self, at: usize, until: usize) -> Option<(usize, usize)> {
        if at < until {
            return None;
        }
        let from = self.text.ceil_char_boundary(at.saturating_sub(AHEAD).max(until));
        let space = |c: char| c.is_whitespace();
        let start = self
            .text
            .get(from..at)
            .and_then(|before| before.rfind(space))
            .map_or(from, |space| from + space + 1);
        let window = self.window(at, at + 4 * AHEAD);
        Some((start, at + window.find(space).unwrap_or(window.len())))
    }

    /// The text around literals that are put together, as one.
    fn joint(&mut self, at: usize) {
        if at < self.joint_until {
            return;
        }
        let start = self.text.ceil_char_boundary(at.saturating_sub(BEHIND).max(self.joint_until));
        let window = self.window(start, at + AHEAD);
        self.joint_until = start + window.len();
        let text = decoded::joined(window);
        self.layers.push(Layer {
            text,
            start,
            end: start + window.len(),
            marked_only: true,
            known_only: false,
        });
    }

    /// A token with its mark at `start..end` that may go on in the next fields: `{"a": "ghp_…", "b": "…"}`.
    fn cut(&mut self, start: usize, end: usize) {
        if start < self.cut_until || !self.begins(start) {
            return;
        }
        let window = self.window(start, start + AHEAD);
        let (text, length) = decoded::over_fields(window, end - start + LEAST_PIECE);
        let end = start + length;
        // Marks in what was gone through now are found in it if it goes on, and are not cut if it does not.
        self.cut_until = end;
        if let Some(text) = text {
            self.layers.push(Layer { text, start, end, marked_only: true, known_only: false });
        }
    }

    fn account(&mut self, end: usize) {
        let window = self.window(end, end + 64);
        let Some(at) = window.find(|c: char| c.is_ascii_uppercase()) else { return };
        let rest = window.get(at..).unwrap_or_default();
        let length =
            rest.bytes().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ').count();
        let number = rest.get(..length.min(42)).unwrap_or_default();
        // Words in capitals may follow.
        let ends = (15..=number.len()).rev().find(|end| number.get(..*end).is_some_and(numbers::iban));
        if let Some(length) = ends {
            self.push("iban", "a bank account number", 60, end + at, end + at + length);
        }
    }

    fn phrase(&mut self) {
        let from = if self.text.len() <= SHORT { Some(0) } else { self.phrase };
        let Some(from) = from else { return };
        if let Some(found) = phrase::find(self.window(from, from + SHORT)) {
            let description = Cow::Borrowed("the phrase of a wallet");
            let severity = if found.checked { 95 } else { 75 };
            let (start, end) = (from + found.start, from + found.end);
            self.seen.push(Seen {
                id: "wallet-phrase",
                description,
                severity,
                checked: found.checked,
                start,
                end,
            });
        }
    }

    fn reversed(&mut self, index: usize, end: usize) {
        let secrets = self.secrets;
        let Some(one) = secrets.types.get(index) else { return };
        let from = self.text.ceil_char_boundary(end.saturating_sub(AHEAD / 2));
        let before = self.text.get(from..end).unwrap_or_default();
        let run = before.rsplit([' ', '\t', '\n', '"', '\'', '`', ',', '<', '>']).next().unwrap_or_default();
        let back = decoded::reversed(run);
        let literal = one
            .literals
            .iter()
            .find(|literal| back.starts_with(**literal))
            .map_or(0, |literal| literal.len());
        let Some(found) = one.shape().filter(|_| literal > 0).and_then(|shape| shape.find(&back)) else {
            return;
        };
        if back.get(literal..found.end()).is_some_and(value::is_body) {
            self.push(one.id, one.description, one.severity, end - found.end(), end);
        }
    }

    /// A honeytoken's domain at `start..end`, if it is a name of its own there or the end of one: `x.trap.example`, not
    /// `nottrap.example` nor `trap.example.org`.
    fn domain(&mut self, index: usize, start: usize, end: usize) {
        let bytes = self.text.as_bytes();
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let before = start.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let (after, beyond) = (bytes.get(end).copied(), bytes.get(end + 1).copied());
        let goes_on = after.is_some_and(of_name) || after == Some(b'.') && beyond.is_some_and(of_name);
        let Some(domain) = self.secrets.canaries.domains().get(index) else { return };
        let (id, description) = domain_seen(domain);
        if before.is_some_and(of_name) || goes_on || self.seen.iter().any(|seen| seen.id == id) {
            return;
        }
        self.seen.push(Seen { id, description, severity: 100, checked: false, start, end });
    }

    fn push(&mut self, id: &'static str, description: &'static str, severity: u8, start: usize, end: usize) {
        if self.seen.len() < MOST {
            let description = Cow::Borrowed(description);
            self.seen.push(Seen { id, description, severity, checked: false, start, end });
        }
    }

    fn typed(&mut self, index: usize, start: usize, end: usize) {
        let Some(one) = self.secrets.types.get(index) else { return };
        let done = self.done.get(index).copied().unwrap_or_default();
        if start < done {
            return;
        }
        let (found, until) = match one.place {
            Place::Start => {
                let found = self.at_start(one, start, end);
                if found.is_none() {
                    self.cut(start, end);
                }
                (found, start)
            }
            Place::Inside => (self.inside(one, start), start + AHEAD / 2),
            Place::Value if self.marked_only => return,
            Place::Value => (self.of_service(one, start, end), start),
        };
        let until = found.map_or(until, |(_, end)| end.max(until));
        if let Some(done) = self.done.get_mut(index) {
            *done = until;
        }
        let Some((start, end)) = found else { return };
        let token = self.text.get(start..end).unwrap_or_default();
        let checked = one.check.is_some_and(|check| check.fits(token));
        let severity = if checked { one.severity.saturating_add(10).min(100) } else { one.severity };
        let (id, description) = (one.id, Cow::Borrowed(one.description));
        self.seen.push(Seen { id, description, severity, checked, start, end });
    }

    fn at_start(&self, one: &Type, start: usize, end: usize) -> Option<(usize, usize)> {
        let word = self.text.as_bytes().get(start).is_some_and(u8::is_ascii_alphanumeric);
        if word && !self.begins(start) {
            return None;
        }
        let window = self.window(start, start + AHEAD);
        let shape = one.shape()?;
        if shape.captures_len() > 1
            && let Some(password) = shape.captures(window).and_then(|found| found.name("password"))
        {
            let (from, to) = (start + password.start(), start + password.end());
            return value::is_typed(password.as_str()).then_some((from, to));
        }
        let found = shape.find(window)?;
        let body = self.text.get(end..start + found.end()).unwrap_or_default();
        value::is_body(body).then_some((start, start + found.end()))
    }

    fn inside(&self, one: &Type, start: usize) -> Option<(usize, usize)> {
        let from = self.text.ceil_char_boundary(start.saturating_sub(BEHIND));
        let window = self.window(from, start + AHEAD);
        let found = one.shape()?.captures_iter(window).take(16).find_map(|found| {
            let whole = found.get(0)?;
            let is_one = match found.name("armoured") {
                Some(body) => value::is_armoured(body.as_str()),
                None => value::is_body(whole.as_str()),
            };
            is_one.then(|| whole.range())
        })?;
        Some((from + found.start, from + found.end))
    }

    fn of_service(&mut self, one: &Type, start: usize, end: usize) -> Option<(usize, usize)> {
        if !self.is_word(start, end, true) {
            return None;
        }
        let link = self.follow(start, end)?;
        let fits = one.shape()?.is_match(link.value) && value::is_body(link.value);
        fits.then_some((link.start, link.start + link.value.len()))
    }

    fn named(&mut self, class: Class, glued: bool, start: usize, end: usize) {
        if !self.is_word(start, end, glued) || class != Class::Password && self.is_of_another_kind(start) {
            return;
        }
        let Some(link) = self.follow(start, end) else { return };
        if link.start < self.named_until || !value::is_credential(&link, class) {
            return;
        }
        let end = link.start + link.value.len();
        self.named_until = end;
        let (id, description, severity) = match class {
            Class::Password => ("password", "a password", PASSWORD),
            Class::Strong | Class::Weak => ("named-value", "a value that its name calls a credential", NAMED),
            Class::Service => ("service-value", "what looks like a credential of a service", OF_SERVICE),
        };
        let description = Cow::Borrowed(description);
        self.seen.push(Seen { id, description, severity, checked: false, start: link.start, end });
    }

    /// Whether the word before says that what is named is no secret: `public key`, `file key`.
    fn is_of_another_kind(&self, start: usize) -> bool {
        let from = self.text.ceil_char_boundary(start.saturating_sub(AROUND));
        let before =
            self.text.get(from..start).and_then(|before| before.strip_suffix(' ')).unwrap_or_default();
        let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        words::is_of_another_kind(word)
    }

    fn follow(&mut self, start: usize, end: usize) -> Option<link::Link<'a>> {
        if let Some((from, to, link)) = self.followed
            && (from, to) == (start, end)
        {
            return link;
        }
        let link = link::follow(self.text, start, end);
        self.followed = Some((start, end, link));
        link
    }

    fn window(&self, from: usize, to: usize) -> &'a str {
        let to = self.text.ceil_char_boundary(to);
        self.text.get(from..to).unwrap_or_default()
    }

    /// Whether a token may begin at `start`: not in the middle of a word, but for `\n` and `%3D` before it.
    fn begins(&self, start: usize) -> bool {
        let bytes = self.text.as_bytes();
        let before = |by: usize| start.checked_sub(by).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        if !before(1).is_ascii_alphanumeric() {
            return true;
        }
        before(2) == b'\\' && b"nrt".contains(&before(1))
            || before(3) == b'%' && before(1).is_ascii_hexdigit() && before(2).is_ascii_hexdigit()
    }

    /// Whether `start..end` is a word of a name: `token` is one of `myToken` and `API_TOKENS`, not of `tokenizer`.
    fn is_word(&self, start: usize, end: usize, glued: bool) -> bool {
        let bytes = self.text.as_bytes();
        let byte = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        let (first, last) = (byte(Some(start)), byte(end.checked_sub(1)));
        let before = byte(start.checked_sub(1));
        let mut after = byte(Some(end));
        if after.eq_ignore_ascii_case(&b's') {
            after = byte(Some(end + 1));
        }
        let same_case = |a: u8, b: u8| {
            a.is_ascii_lowercase() && b.is_ascii_lowercase()
                || a.is_ascii_uppercase() && b.is_ascii_uppercase()
        };
        // `Token` in `myToken`: lower case, then upper. `key` in `SECRETkey`: the case changes.
        let first_of_word =
            before.is_ascii_uppercase() && first.is_ascii_lowercase() && !self.run_of_upper(start);
        let begins = glued || !(same_case(before, first) || first_of_word);
        begins && !same_case(last, after)
    }

    /// Whether the two letters before `at` are capitals: `PRIVATEtoken`, not `Xtoken`.
    fn run_of_upper(&self, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let upper =
            |by: usize| at.checked_sub(by).and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_uppercase);
        upper(1) && upper(2)
    }
}

#[cfg(test)]
mod tests;
