//! Sessions that are put away and used again, through the real pipeline and a real store.

use super::super::scene::Scene;
use super::*;

impl Scene {
    fn put_away(&self, name: &str) {
        let sessions = self.gateway.sessions();
        let known = lock(&sessions.known);
        sessions.put_away(&known.by_name[name]);
    }

    fn total(&self) -> usize {
        self.gateway.sessions().asleep.total.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_away_is_there_when_the_session_is_used_again() {
    let mut scene = Scene::fresh();
    scene.call("alice/a", "cat notes.txt").await;
    let before = scene.remembers("alice/a");
    assert!(!before.is_empty());
    // Who holds it keeps it awake.
    let held = scene.session("alice/a");
    scene.put_away("alice/a");
    assert!(!held.is_asleep());
    drop(held);
    scene.put_away("alice/a");
    assert!(
        scene.session("alice/a").is_asleep() && scene.remembers("alice/a").is_empty() && scene.total() == 0
    );
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(scene.remembers("alice/a"), before);
    // Asleep again and used, and so often that the whole is written in between.
    for _ in 0..READ_OFTEN {
        scene.put_away("alice/a");
        scene.call("alice/a", "cat notes.txt").await;
    }
    let events = lock(&scene.session("alice/a").state).value.journal().events().len();
    assert_eq!(events, 1 + READ_OFTEN);
    let after = scene.remembers("alice/a");
    // And another process reads it when it is used, not before.
    scene = scene.again().await;
    assert!(scene.session("alice/a").is_asleep());
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(scene.remembers("alice/a"), after);
}

/// More than are read when a session wakes.
const READ_OFTEN: usize = 70;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_put_away_the_session_used_longest_ago_first() {
    let scene = Scene::fresh();
    for name in ["alice/a", "alice/b", "alice/c"] {
        scene.call(name, "cat notes.txt").await;
    }
    let sessions = scene.gateway.sessions();
    for (used, name) in ["alice/b", "alice/a", "alice/c"].into_iter().enumerate() {
        scene.session(name).used.store(used as u64 + 10, Ordering::Relaxed);
    }
    sessions.rest();
    assert!(!scene.session("alice/b").is_asleep(), "there is room");
    // As if all the room but for two had been taken.
    let one = scene.session("alice/b").weight.load(Ordering::Relaxed);
    let taken = AWAKE / 4 * 3 - 2 * one;
    sessions.asleep.total.fetch_add(taken, Ordering::Relaxed);
    sessions.asleep.limit.store(AWAKE / 4 * 3, Ordering::Relaxed);
    sessions.rest();
    assert!(scene.session("alice/b").is_asleep() && !scene.session("alice/a").is_asleep());
    sessions.asleep.total.fetch_sub(taken, Ordering::Relaxed);
    assert_eq!(scene.total(), 2 * one);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_clears_is_cleared_asleep_or_not() {
    use crate::sessions::Act;
    let scene = Scene::fresh();
    scene.call("alice/a", "cat notes.txt").await;
    scene.put_away("alice/a");
    let name = doorward_store::SessionName::new("alice/a").unwrap();
    scene.gateway.sessions().act(&name, Act::Clear, 5).await.unwrap();
    let events = |scene: &Scene| lock(&scene.session("alice/a").state).value.journal().events().len();
    assert_eq!(events(&scene), 0);
    scene.put_away("alice/a");
    scene.gateway.sessions().wake(&scene.session("alice/a")).await.unwrap();
    assert_eq!(events(&scene), 0);
}
