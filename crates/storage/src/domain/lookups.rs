//! Public objects, looked up together.
//!
//! Everybody may ask for them, and all ask as the same role. So those who ask while a look-up is under way are answered by
//! the next one, together: each answer was read after its question came, and a crowd costs the database one statement
//! rather than one each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Domain, Object};
use crate::Result;
use crate::sql::objects;

/// None without such a public bucket, some none without such an object.
pub(crate) type Found = Option<Option<Object>>;

/// Where questions gather: one place for each thread as far as they go round, because whoever is answered by another thread
/// has to be woken by it.
const PLACES: usize = 16;

/// How many look-ups of one place may be under way at a time, and for how long the latest has to have been before another
/// one starts. A database on this machine would only take turns with them; one far away or one that stumbles is not
/// waited for.
const PARALLEL: usize = 4;
const LATE: Duration = Duration::from_millis(1);

/// How many questions one look-up takes on.
const BATCH: usize = 64;

/// What is asked: a bucket and a key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// The questions that wait.
#[derive(Clone, Default)]
pub(super) struct Lookups(Arc<[Place; PLACES]>);

#[derive(Default)]
struct Place(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Each with the place where its answer goes.
    questions: Vec<(Question, oneshot::Sender<Result<Found>>)>,
    under_way: usize,
    /// When the latest look-up started.
    since: Option<Instant>,
}

impl Lookups {
    /// Looks an object up, together with whatever else is asked for.
    pub(super) async fn find(&self, domain: &Domain, bucket: &str, key: &str) -> Result<Found> {
        let (answer, answered) = oneshot::channel();
        let question = Question { bucket: bucket.to_owned(), key: key.to_owned() };
        let at = database::this_thread() % PLACES;
        let starts = {
            let mut waiting = self.0[at].lock();
            waiting.questions.push((question, answer));
            let late = || waiting.since.is_none_or(|since| since.elapsed() > LATE);
            let starts = waiting.under_way == 0 || (waiting.under_way < PARALLEL && late());
            if starts {
                waiting.under_way += 1;
                waiting.since = Some(Instant::now());
            }
            starts
        };
        if starts {
            // On its own: whoever asked first may go away, and the others still want their answers.
            let (lookups, domain) = (self.clone(), domain.clone());
            tokio::spawn(async move {
                // Whatever else is ready asks before the first look.
                tokio::task::yield_now().await;
                lookups.0[at].work(&domain).await;
            });
        }
        match answered.await {
            Ok(found) => found,
            Err(_) => Err(crate::Error::internal("a look-up ended without an answer")),
        }
    }
}

impl Place {
    /// Answers until nobody waits.
    async fn work(&self, domain: &Domain) {
        let running = Running(self);
        loop {
            let batch: Vec<_> = {
                let mut waiting = self.lock();
                if waiting.questions.is_empty() {
                    running.end(&mut waiting);
                    return;
                }
                waiting.since = Some(Instant::now());
                let take = waiting.questions.len().min(BATCH);
                waiting.questions.drain(..take).collect()
            };
            // What several ask for is looked up once.
            let mut numbers = HashMap::with_capacity(batch.len());
            let mut questions = Vec::with_capacity(batch.len());
            let mut asking = Vec::with_capacity(batch.len());
            for (question, answer) in batch {
                let number = *numbers.entry(question.clone()).or_insert(questions.len());
                if number == questions.len() {
                    questions.push(question);
                }
                asking.push((number, answer));
            }
            let found = objects::find_public(domain, &questions).await;
            for (number, answer) in asking {
                // Who does not want to know any more is gone.
                let _ = answer.send(match &found {
                    Ok(found) => Ok(found.get(number).cloned().flatten()),
                    Err(error) => Err(error.clone()),
                });
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a worker out however it ends.
struct Running<'p>(&'p Place);

impl Running<'_> {
    /// In the same breath in which nobody was found waiting: else somebody could come between and wait for ever.
    fn end(self, waiting: &mut Waiting) {
        waiting.under_way -= 1;
        std::mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}
