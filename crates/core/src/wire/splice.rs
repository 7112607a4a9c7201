//! Minimal edits over bytes of which some may be missing.
//!
//! What must not be sent until it is judged is not merely skipped when sending: it is cut out of the
//! frame and lives elsewhere (see [`crate::stream::Held`]). A frame with a piece missing can only be put
//! together by an edit that covers the hole, or not at all.

use bytes::Bytes;

use super::Fault;
use crate::syntax::{Member, Node, Span};

/// Replaces the bytes under `span`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in the coordinates of the frame.
    pub span: Span,
    /// What stands there instead; may be empty.
    pub with: Bytes,
}

impl Edit {
    /// Removes the bytes under `span`.
    #[must_use]
    pub const fn remove(span: Span) -> Self {
        Self { span, with: Bytes::new() }
    }

    /// Puts `with` in the place of `span`.
    #[must_use]
    pub fn replace(span: Span, with: impl Into<Bytes>) -> Self {
        Self { span, with: with.into() }
    }

    /// The same edit, `by` bytes further on.
    #[must_use]
    pub fn shifted(self, by: u32) -> Self {
        Self { span: Span::new(self.span.start + by, self.span.end + by), with: self.with }
    }
}

/// A stretch of a frame: there, or missing.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Where it stands in the frame.
    pub span: Span,
    /// Its bytes; `None` where they are missing.
    pub bytes: Option<&'a [u8]>,
}

/// Puts `pieces` (which cover a frame in order) together with `edits` applied.
///
/// # Errors
/// A [`Fault`] if edits overlap or a missing piece is not covered by one: nothing is emitted then.
pub fn splice(pieces: &[Piece<'_>], mut edits: Vec<Edit>) -> Result<Bytes, Fault> {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    if edits.windows(2).any(|pair| matches!(pair, [a, b] if a.span.end > b.span.start)) {
        return Err(Fault::new("splice.overlap", "two edits of one frame overlap"));
    }
    let end = pieces.last().map_or(0, |piece| piece.span.end);
    let mut out = Vec::with_capacity(end as usize);
    let mut at = 0;
    for edit in &edits {
        copy(pieces, at, edit.span.start, &mut out)?;
        out.extend_from_slice(&edit.with);
        at = edit.span.end;
    }
    copy(pieces, at, end, &mut out)?;
    Ok(out.into())
}

/// Appends the frame's bytes `from..to`, all of which must be there.
fn copy(pieces: &[Piece<'_>], from: u32, to: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    for piece in pieces {
        let (start, end) = (piece.span.start.max(from), piece.span.end.min(to));
        if start >= end {
            continue;
        }
        let range = (start - piece.span.start) as usize..(end - piece.span.start) as usize;
        match piece.bytes.and_then(|bytes| bytes.get(range)) {
            Some(bytes) => out.extend_from_slice(bytes),
            None => {
                return Err(Fault::new(
                    "splice.hole",
                    "a frame cannot be sent without a call that was withheld",
                ));
            }
        }
    }
    Ok(())
}

/// The edits that remove the elements of a list for which `gone` holds, with the commas between.
#[must_use]
pub fn remove_elements(spans: &[Span], gone: impl Fn(usize) -> bool) -> Vec<Edit> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Vec::new() };
    if (0..spans.len()).all(&gone) {
        return vec![Edit::remove(Span::new(first.start, last.end))];
    }
    let mut edits = Vec::new();
    let mut kept = None;
    for (index, span) in spans.iter().enumerate() {
        if !gone(index) {
            kept = Some(index);
            continue;
        }
        let before = index.checked_sub(1).and_then(|before| spans.get(before));
        match (kept, before, spans.get(index + 1)) {
            (Some(_), Some(before), _) => edits.push(Edit::remove(Span::new(before.end, span.end))),
            (_, _, Some(after)) => edits.push(Edit::remove(Span::new(span.start, after.start))),
            _ => {}
        }
    }
    edits
}

/// The edits that remove member `key` of `object`.
#[must_use]
pub fn remove_member(object: &Node, key: &str) -> Vec<Edit> {
    let spans: Vec<Span> = object.members().iter().map(Member::span).collect();
    remove_elements(&spans, |index| object.members().get(index).is_some_and(|member| &*member.key == key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::json;
    use proptest::prelude::*;

    fn whole(source: &[u8]) -> Vec<Piece<'_>> {
        vec![Piece { span: Span::new(0, u32::try_from(source.len()).unwrap()), bytes: Some(source) }]
    }

    proptest! {
        /// Whatever is removed, what is left is the JSON without it.
        #[test]
        fn removing_elements_leaves_valid_json(gone in proptest::collection::vec(any::<bool>(), 0..7)) {
            let source = format!("[{}]", (0..gone.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(" , "));
            let node = json::parse(source.as_bytes()).unwrap();
            let spans: Vec<Span> = node.elements().iter().map(|n| n.span).collect();
            let out = splice(&whole(source.as_bytes()), remove_elements(&spans, |i| gone[i])).unwrap();
            let left: Vec<u64> = json::parse(&out).unwrap().elements().iter().map(|n| n.as_u64().unwrap()).collect();
            let want: Vec<u64> = (0..gone.len()).filter(|i| !gone[*i]).map(|i| i as u64).collect();
            prop_assert_eq!(left, want);
        }
    }

    #[test]
    fn a_hole_can_only_be_covered() {
        let pieces = [
            Piece { span: Span::new(0, 3), bytes: Some(b"abc") },
            Piece { span: Span::new(3, 6), bytes: None },
            Piece { span: Span::new(6, 9), bytes: Some(b"ghi") },
        ];
        assert_eq!(splice(&pieces, vec![]).expect_err("hole").code, "splice.hole");
        assert_eq!(
            splice(&pieces, vec![Edit::remove(Span::new(4, 6))]).expect_err("hole").code,
            "splice.hole"
        );
        assert_eq!(&splice(&pieces, vec![Edit::replace(Span::new(2, 7), "-")]).unwrap()[..], b"ab-hi");
        let overlap = vec![Edit::remove(Span::new(2, 7)), Edit::remove(Span::new(6, 8))];
        assert_eq!(splice(&pieces, overlap).expect_err("overlap").code, "splice.overlap");
    }
}
