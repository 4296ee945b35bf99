//! Public objects, looked up together.
//!
//! Everybody may ask for them, and all ask as the same role. So those who ask while a look-up is under way are answered by
//! the next one, together: each answer was read after its question came, and a crowd costs the database one statement
//! rather than one each.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Domain, Object};
use crate::Result;
use crate::sql::objects;

/// None without such a public bucket, some none without such an object.
pub(crate) type Found = Option<Option<Object>>;

/// How many look-ups are under way at a time, and how many questions one of them takes on.
const PARALLEL: usize = 2;
const BATCH: usize = 64;

/// A question and where its answer goes.
pub(crate) struct Question {
    pub(crate) bucket: String,
    pub(crate) key: String,
    answer: oneshot::Sender<Result<Found>>,
}

/// The questions that wait.
#[derive(Clone, Default)]
pub(super) struct Lookups(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    questions: Vec<Question>,
    under_way: usize,
}

impl Lookups {
    /// Looks an object up, together with whatever else is asked for.
    pub(super) async fn find(&self, domain: &Domain, bucket: &str, key: &str) -> Result<Found> {
        let (answer, answered) = oneshot::channel();
        let question = Question { bucket: bucket.to_owned(), key: key.to_owned(), answer };
        let starts = {
            let mut waiting = self.lock();
            waiting.questions.push(question);
            let starts = waiting.under_way < PARALLEL;
            waiting.under_way += usize::from(starts);
            starts
        };
        if starts {
            // On its own: whoever asked first may go away, and the others still want their answers.
            let (lookups, domain) = (self.clone(), domain.clone());
            tokio::spawn(async move { lookups.work(&domain).await });
        }
        match answered.await {
            Ok(found) => found,
            Err(_) => Err(crate::Error::internal("a look-up ended without an answer")),
        }
    }

    /// Answers until nobody waits.
    async fn work(self, domain: &Domain) {
        let running = Running(&self);
        loop {
            let batch: Vec<Question> = {
                let mut waiting = self.lock();
                if waiting.questions.is_empty() {
                    running.end(&mut waiting);
                    return;
                }
                let take = waiting.questions.len().min(BATCH);
                waiting.questions.drain(..take).collect()
            };
            match objects::find_public(domain, &batch).await {
                Ok(found) => {
                    for (question, found) in batch.into_iter().zip(found) {
                        // Who does not want to know any more is gone.
                        let _ = question.answer.send(Ok(found));
                    }
                }
                Err(error) => {
                    for question in batch {
                        let _ = question.answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a worker out however it ends.
struct Running<'l>(&'l Lookups);

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
