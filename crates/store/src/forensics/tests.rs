use super::*;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> (Self, Archive) {
        let root = std::env::temp_dir().join(format!("doorward-forensics-{name}-{}", std::process::id()));
        let home = Home::open(&root).unwrap();
        (Self(root), Archive::of(&home))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ALL: Limits = Limits { total: 1 << 30, age: 1 << 40 };

fn receipt(number: u32) -> String {
    format!("01M7ZN{number:020}")
}

fn with_key(archive: &Archive) -> Secret32 {
    let secret = Secret32::random().unwrap();
    archive.set_recipient(&Recipient { public: public(&secret), stretching: None }).unwrap();
    secret
}

#[test]
fn what_is_kept_can_be_read_with_the_key_and_only_so() {
    let (place, archive) = Place::new("kept");
    assert_eq!(archive.recipient().unwrap(), None);
    let forensics = Forensics::start(archive.clone(), ALL, Arc::default()).unwrap();
    assert!(!forensics.is_wanted());
    forensics.keep(&receipt(1), 1, "{}".into(), b"nobody wants it");
    let secret = with_key(&archive);
    assert!(forensics.is_wanted());
    forensics.keep(&receipt(2), 2, "{\"a\":1}".into(), b"first line\nsecond");
    forensics.keep(&receipt(3), 3, "{}".into(), &vec![b'x'; MAX_RECORD + 5]);
    drop(forensics);
    let all = archive.list().unwrap();
    let told: Vec<_> = all.iter().map(|one| (one.receipt.clone(), one.time, one.length)).collect();
    let long = MAX_RECORD as u64 + 5;
    let expected = vec![(receipt(2), 2, 17), (receipt(3), 3, long)];
    // Whether the first was written depends on when its thread came to it: there was nobody yet, or just so.
    assert!(told == expected || told[1..] == expected[..], "{told:?}");
    let opened = archive.open(&receipt(2), &secret).unwrap().unwrap();
    assert_eq!(
        (opened.about.as_str(), opened.content.as_slice()),
        ("{\"a\":1}", b"first line\nsecond".as_slice())
    );
    assert_eq!(archive.open(&receipt(3), &secret).unwrap().unwrap().content.len(), MAX_RECORD);
    assert!(archive.open(&receipt(4), &secret).unwrap().is_none());
    assert!(archive.open("../../etc/passwd", &secret).unwrap().is_none());
    assert!(archive.open(&receipt(2), &Secret32::random().unwrap()).is_err());
    // Neither can it be changed nor put in another's place.
    let (one, other) = (archive.file(&receipt(2)), archive.file(&receipt(3)));
    let bytes = std::fs::read(&one).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"second"));
    std::fs::write(&other, &bytes).unwrap();
    assert!(archive.open(&receipt(3), &secret).is_err());
    for at in [4, 20, HEADER - 1, HEADER + 3, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&one, &changed).unwrap();
        assert!(archive.open(&receipt(2), &secret).is_err(), "byte {at}");
    }
    drop(place);
}

#[test]
fn another_recipient_leaves_what_was_kept_to_the_first() {
    let (_place, archive) = Place::new("another");
    let stretching = Stretching { salt: [7; 16], memory: 32, passes: 1, lanes: 1 };
    let first = stretching.secret(b"a long passphrase").unwrap();
    let recipient = Recipient { public: public(&first), stretching: Some(stretching) };
    archive.set_recipient(&recipient).unwrap();
    assert_eq!(archive.recipient().unwrap(), Some(recipient.clone()));
    let forensics = Forensics::start(archive.clone(), ALL, Arc::default()).unwrap();
    forensics.keep(&receipt(1), 1, "{}".into(), b"one");
    drop(forensics);
    with_key(&archive);
    assert_ne!(archive.recipient().unwrap(), Some(recipient.clone()));
    let public = archive.list().unwrap()[0].recipient;
    let earlier = archive.earlier(&public).unwrap().unwrap();
    assert_eq!(earlier, recipient);
    let secret = earlier.stretching.unwrap().secret(b"a long passphrase").unwrap();
    assert_eq!(archive.open(&receipt(1), &secret).unwrap().unwrap().content.as_slice(), b"one");
    assert!(archive.retire().unwrap());
    assert!(!archive.retire().unwrap());
    std::fs::write(archive.recipient_file(), "{\"version\":1,\"public\":\"00\"}").unwrap();
    assert!(archive.recipient().is_err());
}

#[test]
fn there_is_never_too_much_and_nothing_too_old() {
    let (_place, archive) = Place::new("sweep");
    with_key(&archive);
    let size = 1000;
    let limits = Limits { total: 3500, age: 50 };
    let forensics = Forensics::start(archive.clone(), limits, Arc::default()).unwrap();
    for number in 1..=20 {
        forensics.keep(&receipt(number), u64::from(number), "{}".into(), &vec![1; size]);
        // None is to be lost to a full queue here.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    drop(forensics);
    let times = |archive: &Archive| archive.list().unwrap().iter().map(|one| one.time).collect::<Vec<_>>();
    assert_eq!(times(&archive), [18, 19, 20], "the newest stay");
    assert_eq!(archive.sweep(limits, 60, |_| false).unwrap(), 0);
    assert_eq!(archive.sweep(limits, 69, |_| true).unwrap(), 0, "a person holds it");
    assert_eq!(archive.sweep(limits, 69, |_| false).unwrap(), 1);
    assert_eq!(archive.sweep(Limits { total: 1500, age: 50 }, 69, |_| false).unwrap(), 1);
    assert_eq!(times(&archive), [20]);
    std::fs::write(archive.folder.join("notes.sealed"), "mine").unwrap();
    assert_eq!(archive.sweep(limits, 1 << 50, |_| false).unwrap(), 1);
    assert!(archive.folder.join("notes.sealed").exists(), "what is no record is left");
}
