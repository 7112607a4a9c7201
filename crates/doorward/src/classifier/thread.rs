//! A thread that rates texts, one after the other, and for which nobody waits long.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use doorward_core::detect::injection::classifier::Classifier;

/// How long a request waits for an opinion. A small model takes a few milliseconds for a stretch of 2 KiB.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many texts may wait.
const QUEUE: usize = 32;

/// One text, until when its answer is wanted, and by whom.
type Question = (String, Instant, SyncSender<Option<f32>>);

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Thread {
    questions: Mutex<SyncSender<Question>>,
}

/// What rates.
pub trait Rate {
    /// How likely `text` gives orders; `None` if it cannot be told.
    fn rate(&self, text: &str) -> Option<f32>;
}

impl Thread {
    /// Starts a thread with what `load` gives.
    ///
    /// # Errors
    /// What `load` says, or that it ended in the middle: whoever reads files of others in this process reads them
    /// on a thread that may end.
    pub fn start<R: Rate>(load: impl FnOnce() -> anyhow::Result<R> + Send + 'static) -> anyhow::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(QUEUE);
        let (loaded, wait) = sync_channel(1);
        let work = move || {
            let rater = match load() {
                Ok(rater) => rater,
                Err(error) => return drop(loaded.send(Err(error))),
            };
            drop(loaded.send(Ok(())));
            for (text, until, answer) in asked {
                if Instant::now() < until {
                    // Who asked may have gone.
                    let _ = answer.send(rater.rate(&text));
                }
            }
        };
        std::thread::Builder::new().name("doorward-classifier".into()).spawn(work)?;
        wait.recv().unwrap_or_else(|_| Err(anyhow::anyhow!("the classifier's file is damaged")))?;
        Ok(Self { questions: Mutex::new(questions) })
    }
}

impl Classifier for Thread {
    fn rate(&self, text: &str) -> Option<f32> {
        let (answer, wait) = sync_channel(1);
        let question = (text.to_owned(), Instant::now() + PATIENCE, answer);
        let questions = self.questions.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let rated = match questions.try_send(question) {
            Ok(()) => wait.recv_timeout(PATIENCE).ok(),
            Err(_) => None,
        };
        if rated.is_none() {
            tracing::warn!("the classifier did not answer in time; the other signals decide alone");
        }
        rated.flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Rates, but for one text not before it is told to.
    struct Slow(Receiver<()>);

    impl Rate for Slow {
        fn rate(&self, text: &str) -> Option<f32> {
            match text {
                "slow" => drop(self.0.recv()),
                "fatal" => panic!("as a damaged model may"),
                _ => {}
            }
            Some(0.75)
        }
    }

    fn slow() -> (Thread, Sender<()>) {
        let (go_on, told) = channel();
        (Thread::start(|| Ok(Slow(told))).unwrap(), go_on)
    }

    #[test]
    fn nobody_waits_for_what_does_not_come() {
        let (thread, go_on) = slow();
        // Under load even this may be late: it is asked again.
        assert!((0..100).any(|_| thread.rate("quick") == Some(0.75)));
        // It would never come: who asks goes on without it, and so does who stands behind.
        assert_eq!(thread.rate("slow"), None);
        assert_eq!(thread.rate("behind it"), None);
        go_on.send(()).unwrap();
        assert!((0..100).any(|_| thread.rate("quick") == Some(0.75)));
    }

    #[test]
    fn a_thread_that_ends_says_nothing_and_one_that_does_not_start_says_why() {
        let (thread, _go_on) = slow();
        assert_eq!(thread.rate("fatal"), None);
        assert_eq!(thread.rate("quick"), None);
        let refused = Thread::start::<Slow>(|| anyhow::bail!("not this one")).unwrap_err();
        assert_eq!(refused.to_string(), "not this one");
        assert!(Thread::start::<Slow>(|| panic!("while it is read")).is_err());
    }
}
