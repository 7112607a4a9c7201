//! Canonical JSON, receipts, notes and keys: what is written and what is refused.

use crate::support::*;
use doorward_ledger::canonical::{Int, MAX_DEPTH, MAX_INT, Object, Value, parse_canonical, parse_relaxed};
use doorward_ledger::receipt::{
    ActionRecord, ChargeRecord, DecisionRecord, EffectRecord, MAX_EFFECTS, MAX_ENTRY_BYTES, MAX_REASONS,
    PartRecord, ReasonRecord,
};
use doorward_ledger::tiles::{TileKind, index_path, tile_path, tile_width};
use doorward_ledger::{
    Draft, DraftError, Kind, Log, LogOptions, NoteError, Receipt, SignedCheckpoint, SigningKey, VerifyingKey,
};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[\u{0}-\u{20}\"\\\\\u{7f}-\u{ff}\u{e000}\u{10000}]{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-MAX_INT..=MAX_INT).prop_map(|n| Value::Int(Int::new(n).unwrap())),
        text.clone().prop_map(Value::Str),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text.clone(), inner), 0..6).prop_map(|members| {
                let mut object = Object::new();
                members.into_iter().for_each(|(key, value)| object.set(key, value));
                Value::Object(object)
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_canonical_and_read_back(value in value()) {
        let bytes = value.to_canonical();
        prop_assert_eq!(&parse_canonical(&bytes), &Ok(value.clone()));
        prop_assert_eq!(&parse_relaxed(&bytes), &Ok(value));
        // An independent implementation of RFC 8785 agrees.
        let oracle: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&serde_json_canonicalizer::to_vec(&oracle).unwrap(), &bytes);
        let pretty = serde_json::to_vec_pretty(&oracle).unwrap();
        prop_assert_eq!(parse_relaxed(&pretty).unwrap().to_canonical(), bytes);
    }

    #[test]
    fn only_canonical_bytes_are_read_as_canonical(value in value(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = value.to_canonical();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = parse_canonical(&bytes) {
            prop_assert_eq!(read.to_canonical(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), text in ".{0,64}") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            let _ = (parse_canonical(input), parse_relaxed(input), Receipt::parse(input));
            let _ = doorward_ledger::verify_bundle(input, key().public());
        }
        let _ = (SignedCheckpoint::verify(&text, key().public()), VerifyingKey::parse(&text));
    }

    #[test]
    fn no_segment_makes_the_log_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let dir = Dir::new();
        std::fs::create_dir(dir.path().join("segments")).unwrap();
        let mut segment = if magic { b"doorward-segment v1\n\0\0\0\0\0\0\0\0".to_vec() } else { vec![] };
        segment.extend(bytes);
        std::fs::write(dir.path().join("segments/00000000000000000000.seg"), segment).unwrap();
        let report = doorward_ledger::verify_log(dir.path(), key().public(), None);
        let opened = Log::open_with(dir.path(), key(), LogOptions::default());
        prop_assert_eq!(opened.is_ok(), report.is_ok(), "{}", report);
    }
}

#[test]
fn deviations_from_the_canonical_form_are_refused_with_their_place() {
    let cases: [(&str, usize, &str); 16] = [
        (" {}", 0, "white space"),
        ("{} ", 2, "after the end"),
        ("{\"a\": 1}", 5, "white space"),
        ("{\"b\":1,\"a\":2}", 7, "canonical order"),
        ("{\"a\":1,\"a\":1}", 7, "twice"),
        ("01", 0, "leading zero"),
        ("-0", 0, "minus zero"),
        ("1.5", 0, "not an integer"),
        ("1e3", 0, "not an integer"),
        ("9007199254740992", 0, "2^53"),
        ("\"\\/\"", 1, "escape"),
        ("\"\\u0041\"", 1, "longer"),
        ("\"\\u000a\"", 1, "longer"),
        ("\"\\u001F\"", 3, "hexadecimal"),
        ("\"a", 2, "closing quote"),
        ("\"\n\"", 1, "control character"),
    ];
    for (text, offset, what) in cases {
        let error = parse_canonical(text.as_bytes()).unwrap_err();
        assert_eq!(error.offset, offset, "{text}: {error}");
        assert!(error.what.contains(what), "{text}: {error}");
    }
    assert!(parse_canonical(b"\"\xff\"").is_err());
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(parse_canonical(deep(MAX_DEPTH).as_bytes()).is_ok());
    assert!(parse_canonical(deep(MAX_DEPTH + 1).as_bytes()).is_err());
    assert!(parse_canonical(deep(1_000_000).as_bytes()).is_err());
    assert!(parse_relaxed(b"{\"a\":1,\"b\":2,\"a\":3}").is_err());
    assert!(parse_relaxed(b"\"\\ud800\"").is_err());
}

#[test]
fn the_worst_receipt_fits_and_what_is_left_out_is_counted() {
    let long = "\u{1}".repeat(5000);
    let text = long.as_str();
    let salt = salt(0);
    let digest = salt.digest("target", b"x");
    let reason =
        ReasonRecord { rule: text, layer: text, severity: 100, verdict: text, message: text, part: Some(9) };
    let action = ActionRecord {
        kind: text,
        tool: Some(text),
        source: text,
        destination: Some(text),
        effects: vec![EffectRecord { capability: text, asset: text, target: Some(digest) }; 1000],
        parts: vec![PartRecord { part: text, bytes: u64::MAX, digest }; 1000],
    };
    let decision = DecisionRecord {
        verdict: text,
        risk: 100,
        entropy: 0,
        mode: text,
        coverage: text,
        reasons: vec![reason; 1000],
        policy: text,
        duties: vec![text; 1000],
        charges: vec![ChargeRecord { account: text, unit: text, amount: u64::MAX }; 1000],
        ..Default::default()
    };
    let draft =
        Draft::new(Kind::Decision, &id(0), u64::MAX, text).agent(text).session(text).door(text).of(&id(1));
    let leaf = draft.action(&action, &salt).decision(&decision, &salt).seal().unwrap();
    assert!(leaf.bytes().len() <= MAX_ENTRY_BYTES, "{}", leaf.bytes().len());
    let receipt = Receipt::parse(leaf.bytes()).unwrap();
    let decision = receipt.body().get("decision").unwrap().as_object().unwrap();
    assert_eq!(decision.get("reasons").unwrap().as_array().unwrap().len(), MAX_REASONS);
    let more = decision.get("reasons_more").unwrap().as_object().unwrap();
    assert_eq!(more.get("count").unwrap().as_int(), Some(1000 - MAX_REASONS as i64));
    let effects = receipt.body().get("action").unwrap().as_object().unwrap().get("effects").unwrap();
    assert_eq!(effects.as_array().unwrap().len(), MAX_EFFECTS);
}

#[test]
fn long_texts_are_cut_at_a_character_and_show_it() {
    let name = "ä".repeat(400);
    let leaf = Draft::new(Kind::Decision, "a", 1, NODE).agent(&name).seal().unwrap();
    let receipt = Receipt::parse(leaf.bytes()).unwrap();
    let agent = receipt.agent().unwrap();
    assert!(agent.len() <= 256 && agent.ends_with("ä…"), "{agent}");
}

#[test]
fn drafts_that_cannot_be_receipts_are_refused() {
    let draft = |id: &str| Draft::new(Kind::Decision, id, 1, NODE);
    for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
        assert!(matches!(draft(bad).seal(), Err(DraftError::Id(_))));
    }
    assert!(matches!(draft("a").of("").seal(), Err(DraftError::Id(_))));
    assert_eq!(Draft::new(Kind::Outcome, "a", 1, NODE).seal(), Err(DraftError::OutcomeOfNothing));
    assert!(matches!(Draft::new(Kind::Other("".into()), "a", 1, NODE).seal(), Err(DraftError::Kind(_))));
    assert_eq!(draft("a").member("kind", "opened").seal(), Err(DraftError::Reserved("kind".into())));
    let long = draft("a").member("x", "y".repeat(70_000).as_str()).seal();
    assert!(matches!(long, Err(DraftError::TooLong(_))));
}

#[test]
fn checkpoints_are_read_strictly() {
    let dir = Dir::new();
    let checkpoint = open(&dir).append(&[small(0)]).unwrap();
    let text = checkpoint.text().to_owned();
    let verify = |text: &str| SignedCheckpoint::verify(text, key().public());
    assert_eq!(verify(&text), Ok(checkpoint));
    // A witness's line beside ours is as the format wants it.
    let witnessed = format!("{text}\u{2014} witness.example/w AAAAAAAAAAAA\n");
    assert!(verify(&witnessed).is_ok());
    let bad_forms = [
        text.replace("\n1\n", "\n01\n"),
        text.replace("\n1\n", "\n+1\n"),
        text.replace("\n1\n", "\n\n"),
        text.replace("\n1\n", "\n1\r\n"),
        text.trim_end().to_owned(),
        text.replace("\u{2014} ", "- "),
        text.replace("\n\n", "\n"),
        String::new(),
    ];
    for bad in bad_forms {
        let error = verify(&bad).unwrap_err();
        assert!(
            matches!(error, NoteError::Malformed(_) | NoteError::BadSignature { .. }),
            "{bad:?}: {error}"
        );
    }
    assert!(matches!(verify(&text.replace("\n1\n", "\n2\n")), Err(NoteError::BadSignature { .. })));
    let error = SignedCheckpoint::verify(&text, foreign_key().public()).unwrap_err();
    assert!(
        error.to_string().contains("signed by doorward/test, not by the trusted key doorward/other"),
        "{error}"
    );
}

#[test]
fn keys_travel_as_text_and_secrets_do_not() {
    let key = key();
    let vkey = key.public().vkey();
    assert_eq!(&VerifyingKey::parse(&format!(" {vkey}\n")).unwrap(), key.public());
    let renamed = vkey.replace("test", "text");
    assert!(VerifyingKey::parse(&renamed).unwrap_err().to_string().contains("altered"));
    for bad in ["", "a+b", "a+00000000+", "a+00000000+AAAA", "a b+00000000+AQAA", "+00000000+AQAA"] {
        assert!(VerifyingKey::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "a b", "a+b", "a\nb"] {
        assert!(SigningKey::from_seed(bad, &[0; 32]).is_err());
    }
    // Neither the seed nor any run of it appears, in hexadecimal or as a list of numbers.
    let seed: Vec<u8> = (100..132).collect();
    let secret = SigningKey::from_seed("n", seed.as_slice().try_into().unwrap()).unwrap();
    let salt = doorward_ledger::Salt::new(seed.as_slice().try_into().unwrap());
    for shown in [format!("{secret:?} {salt:?}"), format!("{secret:#?} {salt:#?}")] {
        assert!(!shown.contains("646566") && !shown.contains("100, 101"), "{shown}");
        assert!(shown.contains("withheld"));
    }
}

#[test]
fn tile_paths_are_those_of_the_specification() {
    assert_eq!(index_path(1234067), "x001/x234/067");
    assert_eq!(tile_path(TileKind::Hashes(0), 5, 256), "tile/0/005");
    assert_eq!(tile_path(TileKind::Hashes(1), 999, 1), "tile/1/999.p/1");
    assert_eq!(tile_path(TileKind::Entries, 1000, 12), "tile/entries/x001/000.p/12");
    // The specification's example: a tree of 70,000 leaves.
    let widths = [(0, 272, 256), (0, 273, 112), (0, 274, 0), (1, 0, 256), (1, 1, 17), (2, 0, 1), (3, 0, 0)];
    for (level, index, width) in widths {
        assert_eq!(tile_width(level, index, 70_000), width, "level {level} tile {index}");
    }
}
