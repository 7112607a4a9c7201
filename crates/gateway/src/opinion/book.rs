//! What was answered before, and how often may still be asked.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::word::Word;

/// The most answers that are remembered, and for how long.
const MOST: usize = 4096;
const AGE: Duration = Duration::from_secs(3600);

/// After so many questions in a row without an opinion nobody is asked for a while.
const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(60);

/// A day, in milliseconds.
const DAY: u64 = 24 * 3600 * 1000;

#[derive(Debug)]
pub struct Book {
    daily: u32,
    known: HashMap<String, (Word, Instant)>,
    /// In the order in which they came.
    order: VecDeque<String>,
    day: u64,
    asked: u32,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Book {
    pub fn new(daily: u32) -> Self {
        Self {
            daily,
            known: HashMap::new(),
            order: VecDeque::new(),
            day: 0,
            asked: 0,
            failures: 0,
            rests_until: None,
        }
    }

    /// What was said of this before.
    pub fn known(&self, digest: &str, now: Instant) -> Option<Word> {
        let (word, at) = self.known.get(digest)?;
        (now.saturating_duration_since(*at) < AGE).then_some(*word)
    }

    /// Counts a question, if there may be one more. `millis` is since the Unix epoch.
    ///
    /// # Errors
    /// Why there may not, in words.
    pub fn may_ask(&mut self, now: Instant, millis: u64) -> Result<(), &'static str> {
        if self.rests_until.is_some_and(|until| now < until) {
            return Err("it gave none several times, and rests for a minute");
        }
        self.rests_until = None;
        if millis / DAY != self.day {
            (self.day, self.asked) = (millis / DAY, 0);
        }
        if self.asked >= self.daily {
            return Err("as many were asked for today as may be");
        }
        self.asked += 1;
        Ok(())
    }

    /// Notes what came of a question.
    pub fn heard(&mut self, digest: String, word: &Result<Word, &'static str>, now: Instant) {
        let Ok(word) = word else {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= FAILURES && self.rests_until.is_none() {
                (self.failures, self.rests_until) = (0, Some(now + REST));
            }
            return;
        };
        self.failures = 0;
        if self.known.insert(digest.clone(), (*word, now)).is_none() {
            self.order.push_back(digest);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_counted_by_day() {
        let (mut book, now) = (Book::new(2), Instant::now());
        assert!(book.may_ask(now, 5).is_ok() && book.may_ask(now, 6).is_ok());
        assert!(book.may_ask(now, 7).is_err());
        assert!(book.may_ask(now, DAY + 1).is_ok());
        assert!(Book::new(0).may_ask(now, 1).is_err());
    }

    #[test]
    fn who_gives_no_opinion_several_times_rests() {
        let (mut book, now) = (Book::new(100), Instant::now());
        for _ in 0..FAILURES {
            assert!(book.may_ask(now, 1).is_ok());
            book.heard("a".into(), &Err("no"), now);
        }
        assert!(book.may_ask(now, 1).is_err());
        assert!(book.may_ask(now + REST, 1).is_ok());
    }

    #[test]
    fn answers_are_remembered_for_a_while_and_not_without_end() {
        let (mut book, now) = (Book::new(1), Instant::now());
        book.heard("a".into(), &Ok(Word::Benign), now);
        assert_eq!(book.known("a", now), Some(Word::Benign));
        assert_eq!(book.known("a", now + AGE), None);
        for n in 0..MOST {
            book.heard(n.to_string(), &Ok(Word::Unsure), now);
        }
        assert_eq!((book.known("a", now), book.known.len(), book.order.len()), (None, MOST, MOST));
        book.heard("b".into(), &Err("no"), now);
        assert_eq!(book.known("b", now), None);
    }
}
