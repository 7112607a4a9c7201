//! Which texts a policy is made of: levels above each other, and files that include others.
//!
//! Nothing here reads a file: whoever does passes a reader in.

use std::borrow::Cow;

use super::Policy;
use super::limit::Limit;
use super::rule::Place;
use crate::session::Mode;
use crate::syntax::{Diagnostic, Source, Span, yaml};

/// The most files that one policy is made of.
pub const MOST_FILES: usize = 64;

/// How deep files include files.
const DEEPEST: usize = 8;

/// The longest name of an included file, in bytes.
const LONGEST_NAME: usize = 1024;

/// Whose policy it is, the strongest first. A level restricts what the others allow and never allows what another
/// denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Of all agents of an organisation.
    Organisation,
    /// Of a team's.
    Team,
    /// Of this Doorward's agents: what a file is unless something else is said.
    #[default]
    Agent,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Organisation, Self::Team, Self::Agent];

    /// The word in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Agent => "agent",
        }
    }
}

/// One text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text {
    /// Whose it is.
    pub level: Level,
    /// What faults call it: the name of its file.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// Whether it is there because another includes it. Then it need not say what the default is.
    pub included: bool,
}

/// All texts of a policy, those included as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Texts(Vec<Text>);

/// Reads the file that an `include` (second) in the file named first means, and says what it is called: all
/// spellings of one file must come out the same.
pub type Reader<'r> = dyn FnMut(&str, &str) -> Result<(String, String), String> + 'r;

impl Texts {
    /// `roots`, and whatever they include as `read` gives it, each file once for each level. What cannot be read,
    /// cycles, and more than the bounds are faults at the line that includes it; the texts that are there come
    /// with them, so that all else that is wrong can be told as well.
    #[must_use]
    pub fn gather(roots: Vec<Text>, read: &mut Reader<'_>) -> (Self, Vec<Diagnostic>) {
        let mut gathering = Gathering { texts: Vec::new(), faults: Vec::new(), read };
        for root in roots {
            gathering.add(root, &mut Vec::new());
        }
        (Self(gathering.texts), gathering.faults)
    }

    /// Each text: a file stands before what it includes.
    #[must_use]
    pub fn all(&self) -> &[Text] {
        &self.0
    }

    /// The text called `name`, empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|text| text.name == name).map_or("", |text| &text.text)
    }

    /// Compiles them into one policy.
    ///
    /// # Errors
    /// All faults in all of them.
    pub fn compile(&self) -> Result<Policy, Vec<Diagnostic>> {
        let layers = self.0.iter().map(|text| Layer {
            level: text.level,
            included: text.included,
            gathered: true,
            source: Source { name: &text.name, text: &text.text },
        });
        Policy::compile_layers(&layers.collect::<Vec<_>>())
    }
}

/// One text, as it is compiled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub level: Level,
    pub included: bool,
    /// Whether what it includes is there as well.
    pub gathered: bool,
    pub source: Source<'a>,
}

struct Gathering<'g, 'r> {
    texts: Vec<Text>,
    faults: Vec<Diagnostic>,
    read: &'g mut Reader<'r>,
}

impl Gathering<'_, '_> {
    /// Adds `text` and what it includes. `way` are the files that led here.
    fn add(&mut self, text: Text, way: &mut Vec<String>) {
        if self.texts.iter().any(|known| known.level == text.level && known.name == text.name) {
            return;
        }
        let (level, name) = (text.level, text.name.clone());
        let wanted = includes(&text.text);
        self.texts.push(text);
        way.push(name.clone());
        for (wanted, span) in wanted {
            if let Err((message, advice)) = self.include(level, &wanted, way) {
                self.faults.push(Diagnostic::error(span, message).advise(advice).in_origin(name.as_str()));
            }
        }
        way.pop();
    }

    fn include(
        &mut self,
        level: Level,
        wanted: &str,
        way: &mut Vec<String>,
    ) -> Result<(), (String, &'static str)> {
        if self.texts.len() >= MOST_FILES {
            return Err((format!("a policy of more than {MOST_FILES} files"), "put rules together"));
        }
        if way.len() >= DEEPEST {
            return Err((
                format!("files that include each other more than {DEEPEST} deep"),
                "include them in one file",
            ));
        }
        let from = way.last().map_or("", String::as_str);
        let (name, text) =
            (self.read)(from, wanted).map_err(|why| (format!("cannot include `{wanted}`: {why}"), ""))?;
        if way.contains(&name) {
            return Err((
                format!("`{wanted}` includes this file, which includes it"),
                "remove one of the two",
            ));
        }
        self.add(Text { level, name, text, included: true }, way);
        Ok(())
    }
}

/// What a text includes. One that is no YAML includes nothing; that it is none is told when it is compiled.
fn includes(text: &str) -> Vec<(String, Span)> {
    if !text.contains("include") {
        return Vec::new();
    }
    let Ok(node) = yaml::parse(text.as_bytes()) else { return Vec::new() };
    let given = node.some("include").map_or(&[][..], |wanted| match wanted.elements() {
        [] => std::slice::from_ref(wanted),
        list => list,
    });
    let named = given.iter().filter_map(|wanted| Some((wanted.as_str()?.to_owned(), wanted.span)));
    named.filter(|(name, _)| name.len() <= LONGEST_NAME).take(MOST_FILES + 1).collect()
}

impl Policy {
    /// The policy as it is in force, line by line with the origin of each: what each file says in general, all rules
    /// in order, and what models cost.
    pub fn effective(&self) -> impl Iterator<Item = Provision<'_>> {
        let general = self.settings.iter().map(|setting| Provision {
            level: setting.level,
            place: &setting.place,
            key: setting.key,
            value: &setting.value,
            says: None,
            // Each level's `default` stands for itself; of mode and profile there is one.
            counts: match setting.key {
                "mode" => setting.value == mode_word(self.mode()),
                "profile" => setting.value == self.profile().as_str(),
                "assets" => true,
                key if key.starts_with("destinations.") => setting.value != "false",
                _ => self.default_of(setting.level).is_some_and(|default| default.as_str() == setting.value),
            },
        });
        let rules = self.rules.iter().map(|rule| Provision {
            level: rule.level,
            place: &rule.place,
            key: rule.verb.as_str(),
            value: &rule.name,
            says: rule.limit.as_ref().map(Limit::says),
            counts: true,
        });
        let prices = self.prices.all().iter().map(|priced| Provision {
            level: priced.level,
            place: &priced.place,
            key: "price",
            value: &priced.model,
            says: Some(priced.says()),
            counts: true,
        });
        general.chain(rules).chain(prices)
    }
}

/// What a file says besides rules.
#[derive(Debug)]
pub(super) struct Setting {
    pub level: Level,
    pub place: Place,
    pub key: &'static str,
    pub value: Cow<'static, str>,
}

/// The word in policies.
pub(super) const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Block => "enforce",
        Mode::Monitor => "dry_run",
    }
}

/// One line of the policy as it is in force, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision<'p> {
    /// Whose it is.
    pub level: Level,
    /// Where it was written.
    pub place: &'p Place,
    /// `default`, `mode`, `profile`, `assets`, a list of `destinations`, `price`, or a rule's verb.
    pub key: &'static str,
    /// What it says, the rule's name, or that of the model.
    pub value: &'p str,
    /// How much of what, of a limit or a price.
    pub says: Option<String>,
    /// Whether it counts: a stricter one of another file or level may stand above it.
    pub counts: bool,
}
