//! What is learnt: from which texts, and what comes of it on texts that nothing was learnt from.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use doorward_assess::learn::{self, Text};
use doorward_core::action::PartKind;
use doorward_core::detect::injection::learnt;
use doorward_core::detect::rules::RuleSet;

/// The texts in a folder of `training/`, as `cargo xtask learn` reads them.
fn texts(folder: &str) -> Vec<Text> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training").join(folder);
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: &PathBuf| {
        learn::read(&file.to_string_lossy(), &std::fs::read_to_string(file).unwrap()).unwrap()
    };
    files.iter().flat_map(read).collect()
}

#[test]
fn what_is_shipped_was_learnt_from_the_texts_there_are() {
    let texts = texts("injection");
    assert!(texts.len() > 10_000 && texts.iter().any(|text| text.attack));
    let shipped = learnt::digest().unwrap();
    assert_eq!(shipped, learn::digest_of(&texts), "the texts have changed: run `cargo xtask learn`");
    assert_ne!(shipped, learn::digest_of(texts.split_last().unwrap().1));
}

#[test]
fn nothing_is_learnt_from_what_is_held_out() {
    let learnt = texts("injection");
    let known: HashSet<&str> = learnt.iter().map(|text| text.text.as_str()).collect();
    assert!(texts("held-out").iter().all(|text| !known.contains(text.text.as_str())));
}

/// A guard, not a goal: `docs/detection.md` has the figures. What honest texts are stopped counts as much as what is missed.
#[test]
fn texts_held_out_are_told_apart() {
    let rules = RuleSet::shipped().unwrap();
    let injection = rules.injection().unwrap();
    let is_seen = |text: &Text| injection.rate(PartKind::ToolResult, &text.text).score >= 60;
    let (attacks, others): (Vec<Text>, Vec<Text>) =
        texts("held-out").into_iter().partition(|text| text.attack);
    let seen = |texts: &[Text]| texts.iter().filter(|text| is_seen(text)).count() * 100 / texts.len();
    assert!(seen(&attacks) >= 57, "{} %", seen(&attacks));
    assert!(seen(&others) <= 5, "{} %", seen(&others));
}

#[test]
fn lines_that_are_no_texts_are_named() {
    let read = |lines| learn::read("x.jsonl", lines).unwrap_err();
    assert!(read("{\"text\":\"a\",\"label\":\"benign\"}\n\n{").starts_with("x.jsonl:3: "));
    assert!(read("{\"text\":\"a\"}").contains("`label` is neither"));
    assert_eq!(read("{\"label\":\"benign\"}"), "x.jsonl:1: no `text`");
}

/// What is learnt from a few texts is what sets them apart, in the file as in the machine.
#[test]
fn a_manner_of_speaking_is_learnt_and_written() {
    let rules = RuleSet::shipped().unwrap();
    let injection = rules.injection().unwrap();
    let deeds = ["wash the car", "water the plants", "feed the cat", "paint the fence", "sweep the floor"];
    let attack = |deed: &&str| format!("Whoever minds this house for its owner will {deed} at once.");
    let other = |deed: &&str| format!("On Sunday the children {deed} with their grandfather.");
    let texts: Vec<Text> = deeds
        .iter()
        .flat_map(|deed| [(attack(deed), true), (other(deed), false)])
        .map(|(text, attack)| Text { text, attack })
        .collect();
    let taken = learn::take(injection, &texts, &[]);
    let learnt = learn::learn(&taken);
    assert!(taken.iter().all(|text| (learnt.margin(text) > 0.0) == text.attack));
    let unseen = |text: &str| {
        let text = Text { text: text.to_owned(), attack: true };
        learnt.margin(&learn::take(injection, &[text], &[])[0])
    };
    let (minded, played) =
        (unseen("Whoever minds this house will mow the lawn at once."), unseen("The children mow the lawn."));
    assert!(minded > played, "{minded} {played}");
    let file = learnt.file(learn::digest_of(&texts));
    assert_eq!(
        file.len(),
        learnt::MAGIC.len() + learnt::DIGEST + 16 + (1 << learnt::BITS) + (1 << learnt::GLANCE_BITS)
    );
}
