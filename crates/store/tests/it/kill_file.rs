//! The file `kill`, with real events of the operating system.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::session::Kill;
use doorward_store::{Home, KillSet, KillWatch, Options, Scope, Signal, Signals, Stop};

use crate::place::Place;

/// Far beyond what is promised (100 ms), so that a busy machine does not fail the test; what was
/// measured is printed.
const GENEROUS: Duration = Duration::from_secs(2);

async fn becomes(signals: &Signals, what: &str, good: impl Fn(&KillSet) -> bool) {
    let start = Instant::now();
    let mut moved = signals.subscribe(Signal::Kill);
    while !good(&signals.kill_state()) {
        let left = GENEROUS.checked_sub(start.elapsed()).unwrap_or_else(|| panic!("{what}: not in time"));
        let _ = tokio::time::timeout(left, moved.changed()).await;
    }
    println!("{what}: after {:?}", start.elapsed());
}

fn watched(home: &Home) -> (Arc<Signals>, KillWatch) {
    let signals = Arc::new(Signals::default());
    let watch = KillWatch::start(home, Arc::clone(&signals)).unwrap();
    (signals, watch)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_stops_at_once_and_lets_go_at_once() {
    let place = Place::new();
    let home = place.home();
    let file = home.kill_file();
    let (signals, watch) = watched(&home);
    assert!(watch.events, "this system gave no file events");

    std::fs::write(&file, "").unwrap();
    becomes(&signals, "empty file", |set| set.for_agent("alice") == Kill::All).await;
    std::fs::write(&file, "alice # looped\n").unwrap();
    becomes(&signals, "one name", |set| !set.is_killed("bob") && set.is_killed("alice")).await;
    std::fs::remove_file(&file).unwrap();
    becomes(&signals, "removed", |set| !set.is_killed("alice")).await;

    let other = home.root().join("prepared");
    std::fs::write(&other, "bob\n").unwrap();
    std::fs::rename(&other, &file).unwrap();
    becomes(&signals, "renamed into place", |set| set.is_killed("bob")).await;
    std::fs::rename(&file, &other).unwrap();
    becomes(&signals, "renamed away", |set| !set.is_killed("bob")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_at_the_start_counts_from_the_start() {
    let place = Place::new();
    let home = place.home();
    std::fs::write(home.kill_file(), "").unwrap();
    let (signals, _watch) = watched(&home);
    assert!(signals.is_killed("alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_stops_everything() {
    let place = Place::new();
    let home = place.home();
    let file = home.kill_file();
    let (signals, _watch) = watched(&home);
    std::fs::create_dir(&file).unwrap();
    becomes(&signals, "a directory", |set| set.all().is_some()).await;
    std::fs::remove_dir(&file).unwrap();
    becomes(&signals, "removed", |set| set.all().is_none()).await;
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    becomes(&signals, "not text", |set| set.all().is_some()).await;
    std::fs::remove_file(&file).unwrap();
    becomes(&signals, "removed", |set| set.all().is_none()).await;
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        becomes(&signals, "a dangling link", |set| set.all().is_some()).await;
    }
}

/// `echo alice > kill` creates the file before it writes the name. The stop must not hit everybody in
/// between: their streams would be cut.
#[tokio::test(flavor = "multi_thread")]
async fn naming_one_agent_never_stops_the_others() {
    let place = Place::new();
    let home = place.home();
    let (signals, _watch) = watched(&home);
    for _ in 0..20 {
        let mut file = std::fs::File::create(home.kill_file()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        std::io::Write::write_all(&mut file, b"alice\n").unwrap();
        drop(file);
        let start = Instant::now();
        while !signals.is_killed("alice") {
            assert!(!signals.is_killed("bob"));
            assert!(start.elapsed() < GENEROUS);
            std::thread::yield_now();
        }
        assert!(!signals.is_killed("bob"));
        std::fs::remove_file(home.kill_file()).unwrap();
        becomes(&signals, "removed", |set| !set.is_killed("alice")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_and_file_do_not_undo_each_other() {
    let place = Place::new();
    let store = place.store(Options::default());
    let signals = Arc::clone(store.signals());
    let watch = KillWatch::start(store.home(), Arc::clone(&signals)).unwrap();
    std::fs::write(store.home().kill_file(), "alice").unwrap();
    becomes(&signals, "file", |set| set.is_killed("alice")).await;
    let stop = Stop { by: "operator-token".into(), reason: "r".into(), since: 1 };
    store.kill(Scope::All, stop).await.unwrap();
    let set = store.resume(Scope::All).await.unwrap();
    assert!(set.is_killed("alice") && !set.is_killed("bob"));
    drop(watch);
    std::fs::remove_file(store.home().kill_file()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(signals.is_killed("alice"), "a watch that was dropped still watches");
}

/// Looking at the file is itself an event; the watch must not chase its own tail.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_watch_costs_nothing() {
    let place = Place::new();
    let home = place.home();
    std::fs::write(home.kill_file(), "alice").unwrap();
    let (signals, _watch) = watched(&home);
    let revision = signals.kill_state().revision;
    let ticks = || {
        let mut total = 0_u64;
        for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if name.starts_with("doorward-kill") || name.starts_with("notify-rs") {
                let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                total += stat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Duration::from_nanos(total)
    };
    for _ in 0..50 {
        let _ = std::fs::read(home.kill_file());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = ticks();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let spent = ticks().saturating_sub(before);
    println!("one idle second: {spent:?}");
    // Chasing its own tail it would spend all of it; other tests' watches count along.
    assert!(spent < Duration::from_millis(300), "{spent:?}");
    assert_eq!(signals.kill_state().revision, revision);
}
