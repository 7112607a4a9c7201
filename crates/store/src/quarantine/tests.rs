use super::*;
use crate::Secret32;

struct Here(Home);

impl Here {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("doorward-held-{}-{n}", std::process::id()));
        Self(Home::open(root).unwrap())
    }

    fn open(&self) -> Quarantine {
        Quarantine::open(&self.0, Limits::default()).unwrap()
    }

    fn within(&self, total: u64) -> Quarantine {
        Quarantine::open(&self.0, Limits { total, ..Limits::default() }).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.root().join("quarantine"));
        let mut files: Vec<_> = entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.root());
    }
}

fn place(path: &str, time: Millis) -> Place {
    Place {
        path: path.into(),
        time,
        agent: "alice".into(),
        rule: "quarantine.native-binary".into(),
        ..Place::default()
    }
}

fn done(act: &str) -> Done {
    Done { act: act.into(), time: 9, by: "operator-token".into(), to: "/home/x".into() }
}

#[test]
fn what_is_kept_is_found_again_by_another_process_and_is_encrypted() {
    let here = Here::new();
    let first = here.open();
    assert!(here.files().is_empty());
    first.keep(b"\x7fELF the content", place("/tmp/x", 5)).unwrap();
    first.keep(b"\x7fELF the content", place("/tmp/y \"z\"\n", 6)).unwrap();
    let digest = first.list()[0].digest;
    first.decided(&digest, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let second = here.open();
    assert_eq!(second.list(), first.list());
    let name: String = first.list()[0].name().chars().take(8).collect();
    let item = second.find(&name).unwrap();
    assert_eq!(second.content(&item).unwrap().as_slice(), b"\x7fELF the content");
    assert_eq!((item.state, item.size, item.places.len()), (State::Held, 16, 2));
    assert_eq!(second.find("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap(), item);
    assert_eq!(second.held_paths(), ["/tmp/x", "/tmp/y \"z\"\n"]);
    for file in here.files() {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(4).any(|four| four == b"ELF " || four == b"/tmp"), "{}", file.display());
        #[cfg(unix)]
        assert_eq!(private::mode(&file), Some(0o600));
    }
    for unknown in ["", "x", "abc", "00000000", "../../etc/passwd", "01ARZ3NDEKTSV4RRFFQ69G5FAW"] {
        assert!(matches!(second.find(unknown), Err(NotDone::Unknown(_))), "{unknown}");
    }
}

#[test]
fn release_lifts_purge_destroys_and_clear_forgets() {
    let here = Here::new();
    let quarantine = here.open();
    for (at, path) in ["/tmp/a", "/tmp/b", "/tmp/c"].into_iter().enumerate() {
        quarantine.keep(path.as_bytes(), place(path, at as u64)).unwrap();
    }
    let [c, b, a] = quarantine.list().try_into().unwrap();
    let before = quarantine.revision();
    let released = quarantine.release(&a, done("release")).unwrap();
    assert_eq!((released.state, released.done.len()), (State::Released, 1));
    assert_eq!(quarantine.held_paths().len(), 2);
    assert!(quarantine.revision() > before);
    quarantine.purge(&b, done("purge")).unwrap();
    let purged = quarantine.find(&b.name()).unwrap();
    assert!(matches!(quarantine.content(&purged), Err(NotDone::Gone(..))));
    assert!(matches!(quarantine.release(&purged, done("release")), Err(NotDone::Gone(..))));
    assert_eq!(quarantine.held_paths(), here.open().held_paths());
    assert!(quarantine.held_paths().contains(&"/tmp/b".to_owned()));
    quarantine.clear(&c).unwrap();
    assert!(quarantine.find(&c.name()).is_err() && !quarantine.held_paths().contains(&"/tmp/c".to_owned()));
    assert_eq!(here.open().list(), quarantine.list());
    assert_eq!(here.files().len(), 3);
    // A content that comes again is held again, whatever was done about it.
    quarantine.keep(b"/tmp/a", place("/tmp/a", 20)).unwrap();
    quarantine.keep(b"/tmp/b", place("/tmp/b", 21)).unwrap();
    assert!(quarantine.list().iter().all(|item| item.state == State::Held && item.has_content()));
    assert_eq!(quarantine.content(&quarantine.find(&b.name()).unwrap()).unwrap().as_slice(), b"/tmp/b");
}

#[test]
fn a_full_quarantine_keeps_what_it_has_and_holds_the_path_all_the_same() {
    let here = Here::new();
    let quarantine = here.within(100);
    quarantine.keep(&[1; 60], place("/tmp/a", 1)).unwrap();
    assert_eq!(quarantine.keep(&[2; 60], place("/tmp/b", 2)), Err(NotKept::Full));
    assert_eq!(quarantine.held_paths(), ["/tmp/a", "/tmp/b"]);
    assert_eq!(quarantine.room(), (60, 100));
    let lost = quarantine.list().into_iter().find(|item| item.state == State::NotKept).unwrap();
    assert!(matches!(quarantine.content(&lost), Err(NotDone::Gone(..))));
    assert_eq!(here.within(100).held_paths(), quarantine.held_paths());
    // With room it is kept the next time.
    let held = quarantine.list().into_iter().find(|item| item.state == State::Held).unwrap();
    quarantine.purge(&held, done("purge")).unwrap();
    quarantine.keep(&[2; 60], place("/tmp/b", 3)).unwrap();
    assert_eq!(
        quarantine.keep(&vec![3; MAX_ITEM + 1], place("/tmp/c", 4)),
        Err(NotKept::TooLarge(MAX_ITEM + 1))
    );
    assert!(quarantine.held_paths().contains(&"/tmp/c".to_owned()));
}

#[test]
fn records_and_places_are_bounded_and_what_went_is_counted() {
    let here = Here::new();
    let quarantine = here.within(0);
    for at in 0..MOST_PLACES as u64 + 3 {
        let _ = quarantine.keep(b"x", place(&format!("/tmp/{at}"), at));
    }
    let item = &quarantine.list()[0];
    assert_eq!((item.places.len(), item.more), (MOST_PLACES, 3));
    assert_eq!(item.places[0].path, "/tmp/3");
}

#[test]
fn what_is_old_goes_whole() {
    let here = Here::new();
    let quarantine = here.open();
    let age = Limits::default().age;
    quarantine.keep(b"old", place("/tmp/old", 10)).unwrap();
    quarantine.keep(b"new", place("/tmp/new", 10)).unwrap();
    quarantine.keep(b"new", place("/tmp/new", 50)).unwrap();
    let holds = [Hold { until: Some(1 << 50), ..Hold::default() }];
    assert_eq!(quarantine.sweep(age + 11, &holds).unwrap(), 0);
    assert_eq!(quarantine.sweep(age + 11, &[]).unwrap(), 1);
    assert_eq!(quarantine.held_paths(), ["/tmp/new"]);
    assert_eq!(here.files().len(), 2);
}

#[test]
fn what_was_changed_on_disk_is_neither_released_nor_passed_over() {
    let here = Here::new();
    let quarantine = here.open();
    quarantine.keep(b"first", place("/tmp/a", 1)).unwrap();
    quarantine.keep(b"other", place("/tmp/b", 2)).unwrap();
    let [b, a] = quarantine.list().try_into().unwrap();
    let content = |item: &Item| here.0.root().join("quarantine").join(format!("{}.content", item.name()));
    // Another's content in its place does not open.
    std::fs::copy(content(&b), content(&a)).unwrap();
    assert!(matches!(
        quarantine.release(&a, done("release")),
        Err(NotDone::Store(StoreError::Damaged { .. }))
    ));
    assert_eq!(quarantine.find(&a.name()).unwrap().state, State::Held);
    // Nor does one that somebody with the key put there under a wrong name.
    let sealer = Sealer::new(&here.0.store_key().unwrap());
    std::fs::write(content(&a), sealer.seal(Column::Held, &a.name(), b"forged").unwrap()).unwrap();
    assert!(matches!(quarantine.content(&a), Err(NotDone::Store(StoreError::Damaged { .. }))));
    let record = here.0.root().join("quarantine").join(format!("{}.record", a.name()));
    let other = Sealer::new(&Secret32::new([1; 32]));
    std::fs::write(&record, other.seal(Column::HeldRecord, &a.name(), b"{}").unwrap()).unwrap();
    assert!(Quarantine::open(&here.0, Limits::default()).is_err());
}
