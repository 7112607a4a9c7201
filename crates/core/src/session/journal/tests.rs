//! Bounds of a session, and what it says of itself.

use super::*;

fn event(at: Millis, capability: Capability) -> Event {
    Event {
        at,
        seq: 1,
        capability,
        asset: AssetClass::Project,
        source: Source::Model,
        flags: Flags::default(),
        places: Classes::of(Class::Unknown),
        by: "sh".into(),
        call: 9,
        marks: vec![1, 2],
    }
}

#[test]
fn the_oldest_go_and_are_counted() {
    let mut journal = Journal::default();
    for n in 0..=MOST_EVENTS as u64 {
        journal.make(vec![Change::Event(event(1000 + n, Capability::ReadFile))]);
        journal.make(vec![Change::Digests(Set::Values, vec![n])]);
    }
    assert_eq!((journal.events().len(), journal.events()[0].at), (MOST_EVENTS, 1001));
    assert!(!journal.has(Set::Values, 0) && journal.has(Set::Values, 1024) && !journal.has(Set::Typed, 1024));
    assert_eq!(journal.dropped(), 1 + (MOST_EVENTS as u64 + 1 - 512));
    let again = Journal::decode(&journal.encode()).unwrap();
    assert_eq!((again.encode(), again.dropped()), (journal.encode(), journal.dropped()));
    assert_eq!(again.events(), journal.events());
}

#[test]
fn a_session_knows_what_its_first_day_had() {
    let mut journal = Journal::default();
    assert!(!journal.is_late(Capability::Execute, u64::MAX));
    journal.make(vec![Change::Event(event(1000, Capability::ReadFile))]);
    assert!(!journal.is_late(Capability::Execute, 999 + FIRST_DAY));
    assert!(journal.is_late(Capability::Execute, 1000 + FIRST_DAY));
    assert!(!journal.is_late(Capability::ReadFile, 1000 + FIRST_DAY));
    journal.make(vec![Change::Event(event(1000 + FIRST_DAY, Capability::Execute))]);
    assert!(journal.is_late(Capability::Execute, 2000 + FIRST_DAY));
}

#[test]
fn what_is_no_change_is_refused() {
    let good = {
        let mut journal = Journal::default();
        journal.make(vec![Change::Event(event(1000, Capability::ReadFile))])
    };
    assert!(Journal::decode(&good).is_ok());
    for cut in 3..good.len() {
        assert!(Journal::decode(&good[..cut]).is_err(), "{cut}");
    }
    assert!(Journal::decode(&[1, b's', 9]).is_err() && Journal::decode(&[1, b'w']).is_err());
    // More artefacts than an event has.
    let mut many = event(1, Capability::ReadFile);
    many.marks = vec![0; MOST_OF_EVENT + 1];
    let mut writer = Writer::new(KIND);
    Change::Event(many).write(&mut writer);
    assert!(Journal::decode(&writer.finish()).is_err());
}
