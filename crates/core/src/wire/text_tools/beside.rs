//! What stands beside a text and goes by what it says: once a call in the text is replaced, some of it is no
//! longer true.

use super::Stretch;
use crate::syntax::{Node, Span};
use crate::wire::frame::{CallId, Calls};
use crate::wire::splice::{Edit, remove_elements};

/// The calls of a text, and how many characters of it precede each.
pub(crate) type Before = Vec<(CallId, u64)>;

/// Something beside a text.
#[derive(Debug)]
pub(crate) enum List {
    /// It spells the text out (log probabilities): emptied if one of these calls is blocked.
    Spelling(Span, Vec<CallId>),
    /// Its elements name places in the text, each up to a character: those behind the beginning of a blocked
    /// call are removed. Places are counted in characters, or in more units than characters, never in fewer.
    Places(Vec<(Span, u64)>, Before),
    /// The frame itself names a place, up to this character.
    Place(u64, Before),
}

impl List {
    /// Whether there are such lists in `part`.
    pub fn has(part: &Node) -> bool {
        let filled = |key: &str| part.get(key).is_some_and(|list| !list.elements().is_empty());
        filled("logprobs") || filled("annotations")
    }

    /// The lists that stand in `part` beside its text, in which these calls stand.
    pub fn beside(part: &Node, held: &Before) -> impl Iterator<Item = Self> {
        let filled = |key: &str| part.get(key).filter(|list| !list.elements().is_empty() && !held.is_empty());
        let calls = || held.iter().map(|(call, _)| *call).collect();
        let spelling = filled("logprobs").map(|list| Self::Spelling(list.span, calls()));
        let places = filled("annotations").map(|list| {
            let elements = list.elements().iter().map(|element| (element.span, reaches(element)));
            Self::Places(elements.collect(), held.clone())
        });
        spelling.into_iter().chain(places)
    }

    /// The event that adds this annotation; `None` if it is true whatever becomes of the calls.
    pub fn annotation(annotation: &Node, held: Before) -> Option<Self> {
        let to = reaches(annotation);
        held.iter().any(|(_, before)| to > *before).then_some(Self::Place(to, held))
    }

    /// The same lists in a text that begins `by` bytes further on.
    pub fn shifted(self, by: u32) -> Self {
        let shift = |span: Span| Span::new(span.start.saturating_add(by), span.end.saturating_add(by));
        match self {
            Self::Spelling(span, calls) => Self::Spelling(shift(span), calls),
            Self::Places(elements, held) => {
                Self::Places(elements.into_iter().map(|(span, to)| (shift(span), to)).collect(), held)
            }
            Self::Place(..) => self,
        }
    }

    /// What has to be edited, now that its calls are ruled.
    pub fn edits(&self, calls: &Calls) -> Vec<Edit> {
        match self {
            Self::Spelling(span, held) if held.iter().any(|call| calls.blocked(*call).is_some()) => {
                vec![Edit::replace(*span, &b"[]"[..])]
            }
            Self::Places(elements, held) => {
                let Some(first) = first_blocked(held, calls) else { return Vec::new() };
                let spans: Vec<Span> = elements.iter().map(|(span, _)| *span).collect();
                if elements.iter().all(|(_, to)| *to <= first) {
                    return Vec::new();
                }
                remove_elements(&spans, |at| elements.get(at).is_some_and(|(_, to)| *to > first))
            }
            Self::Spelling(..) | Self::Place(..) => Vec::new(),
        }
    }

    /// Whether its frame says nothing that is still true.
    pub fn drops_its_frame(&self, calls: &Calls) -> bool {
        match self {
            Self::Place(to, held) => first_blocked(held, calls).is_some_and(|first| *to > first),
            Self::Spelling(..) | Self::Places(..) => false,
        }
    }
}

/// How many characters precede the first call that was blocked.
fn first_blocked(held: &Before, calls: &Calls) -> Option<u64> {
    held.iter().filter(|(call, _)| calls.blocked(*call).is_some()).map(|(_, before)| *before).min()
}

/// Up to which character an annotation reaches; 0 if it names no place.
fn reaches(annotation: &Node) -> u64 {
    let places = ["start_index", "end_index", "index"].iter().filter_map(|key| annotation.some(key));
    places.map(|place| place.as_u64().unwrap_or(u64::MAX)).max().unwrap_or(0)
}

/// Those of `held` that stand in one of these stretches.
pub(crate) fn among(held: Before, stretches: &[Stretch]) -> Before {
    held.into_iter().filter(|(call, _)| stretches.iter().any(|stretch| stretch.call == *call)).collect()
}
