//! Bounds of a workspace.

use super::*;

fn workspace() -> Workspace {
    Workspace::new(Key::new([1; 32]))
}

fn origin(id: u64) -> Change {
    let (by, place) = ("WebFetch".into(), "https://a.test".into());
    Change::Origin(Origin { id, source: Source::Web, by, place, at: 5, first: 1, parents: vec![7] })
}

fn mark(mark: Mark, at: Millis) -> Change {
    Change::Mark { mark, kind: Kind::Url, origin: 1, at, agent: 3 }
}

#[test]
fn those_seen_longest_ago_go_first() {
    let mut workspace = workspace();
    workspace.make(vec![origin(1)]);
    for n in 0..MOST_MARKS as u64 {
        workspace.make(vec![mark(n + 1, n + 1)]);
    }
    // The first is seen again, so the second is the oldest.
    workspace.make(vec![Change::Seen { mark: 1, at: 1 << 40, agent: 4 }, mark(1 << 50, 1 << 41)]);
    assert_eq!((workspace.len(), workspace.dropped()), (MOST_MARKS, 1));
    assert!(workspace.get(1).is_some_and(|known| known.agents == [3, 4] && known.first == 1));
    assert!(workspace.get(2).is_none());
    let again = Workspace::decode(Key::new([1; 32]), &workspace.encode()).unwrap();
    assert_eq!(again.encode(), workspace.encode());
    assert_eq!((again.len(), again.dropped(), again.next()), (MOST_MARKS, 1, workspace.next()));
}

#[test]
fn steps_end_where_they_began() {
    let mut workspace = workspace();
    // 7 was made of itself, which nothing that is written here says, and bytes may.
    workspace.make(vec![origin(1), mark(7, 10), mark(8, 11)]);
    assert_eq!(workspace.steps(8).len(), 2);
    assert!(workspace.steps(9).is_empty());
}

#[test]
fn an_origin_goes_with_its_last_artefact() {
    let mut workspace = workspace();
    workspace.make(vec![origin(1), mark(1, 10), mark(2, 20)]);
    assert_eq!(workspace.sweep(100, 85).0, 1);
    assert_eq!(workspace.origins.len(), 1);
    assert_eq!(workspace.sweep(100, 10).0, 1);
    assert!(workspace.origins.is_empty() && workspace.order.is_empty());
    // What refers to nothing is refused.
    let mut writer = Writer::new(KIND);
    mark(1, 10).write(&mut writer);
    assert!(workspace.replay(&writer.finish()).is_err());
}

#[test]
fn another_key_knows_nothing() {
    let (one, other) = (Key::new([1; 32]), Key::new([2; 32]));
    assert_ne!(one.mark(Kind::Url, "a.test/x"), other.mark(Kind::Url, "a.test/x"));
    assert_ne!(one.mark(Kind::Url, "a.test/x"), one.mark(Kind::Host, "a.test/x"));
    assert_eq!(format!("{one:?}"), "Key(..)");
    assert!(Kind::ALL.iter().all(|kind| Kind::parse(kind.as_str()) == Some(*kind)));
}
