//! Where pictures are made: threads of our own, since the work would hold up everything else on the async ones, and a line
//! of limited length before them.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};
use tokio::sync::oneshot;

use crate::{Error, Patience};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that make pictures, and the line before them. It ends, with its threads, when the last handle is dropped; work
/// that waits is then not begun.
#[derive(Debug)]
pub struct Workshop {
    line: Arc<Line>,
    threads: Vec<JoinHandle<()>>,
}

struct Line {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    most: usize,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("most", &self.most).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Line {
    /// No job runs under the lock, so that a panic leaves nothing half done behind it.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut waiting = self.lock();
            let job = loop {
                if waiting.closed {
                    return;
                }
                match waiting.jobs.pop_front() {
                    Some(job) => break job,
                    None => waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(waiting);
            // A decoder's bug must not cost a thread. Its sender is dropped, which the one who waits understands.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                tracing::error!("a panic while making a picture");
            }
        }
    }
}

/// Tells the worker when nobody waits any more.
struct Waiter(Patience);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Workshop {
    /// So many threads, and a line of so many waiting jobs.
    pub fn open(threads: usize, most_waiting: usize) -> std::io::Result<Self> {
        let line = Arc::new(Line { waiting: Mutex::default(), changed: Condvar::new(), most: most_waiting });
        let mut workshop = Self { line, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let line = workshop.line.clone();
            let thread = std::thread::Builder::new().name(format!("imaging-{number}"));
            workshop.threads.push(thread.spawn(move || line.work())?);
        }
        Ok(workshop)
    }

    /// Has the work done by one of the threads. Dropping the future cancels the patience, which ends the work at its next
    /// step, or before it has begun.
    pub async fn run<T: Send + 'static>(
        &self,
        patience: Patience,
        work: impl FnOnce(&Patience) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter(patience.clone());
        let job = move || {
            let outcome = patience.check().and_then(|()| work(&patience));
            // Nobody may be there to take it.
            let _ = sender.send(outcome);
        };
        {
            let mut waiting = self.line.lock();
            if waiting.jobs.len() >= self.line.most {
                return Err(Error::Busy);
            }
            waiting.jobs.push_back(Box::new(job));
        }
        self.line.changed.notify_one();
        let outcome = receiver.await.unwrap_or(Err(Error::Cancelled));
        drop(waiter);
        outcome
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let jobs = {
            let mut waiting = self.line.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        drop(jobs);
        self.line.changed.notify_all();
        // The threads end by themselves after what they are at: a picture is not worth a stop that hangs.
        self.threads.clear();
    }
}

/// Identical work under way at the same time is done once: the first who asks for a key starts it, the others wait for the
/// same result. It goes on as long as one of them waits.
#[derive(Debug)]
pub struct Once<K, V> {
    under_way: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K, V: Clone> Default for Once<K, V> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Send + Sync + 'static> Once<K, V> {
    /// The result for the key: of the work under way, else of new work.
    pub async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let shared: Shared<BoxFuture<'static, V>> = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            // What everybody has left is over.
            under_way.retain(|_, work| work.upgrade().is_some());
            match under_way.get(&key).and_then(WeakShared::upgrade) {
                Some(shared) => shared,
                None => {
                    let shared = work().boxed().shared();
                    if let Some(weak) = shared.downgrade() {
                        under_way.insert(key.clone(), weak);
                    }
                    shared
                }
            }
        };
        let value = shared.await;
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        value
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_full_line_refuses() {
        let workshop = Workshop::open(1, 1).unwrap();
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let first = workshop.run(Patience::default(), move |_| {
            began.send(()).unwrap();
            Ok(gate.recv().is_ok())
        });
        let mut first = std::pin::pin!(first);
        assert!(first.as_mut().now_or_never().is_none());
        begun.await.unwrap();
        let mut second = std::pin::pin!(workshop.run(Patience::default(), |_| Ok(2)));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(workshop.run(Patience::default(), |_| Ok(3)).await, Err(Error::Busy));
        go.send(()).unwrap();
        assert_eq!((first.await, second.await), (Ok(true), Ok(2)));
    }

    #[tokio::test]
    async fn time_covers_the_wait_and_a_panic_costs_nobody_else() {
        let workshop = Workshop::open(1, 9).unwrap();
        let over = Patience::until(Instant::now() - Duration::from_secs(1));
        assert_eq!(workshop.run(over, |_| Ok(1)).await, Err(Error::Timeout));
        let broken: Result<u8, _> = workshop.run(Patience::default(), |_| panic!("on purpose")).await;
        assert_eq!(broken, Err(Error::Cancelled));
        assert_eq!(workshop.run(Patience::default(), |_| Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn who_leaves_ends_the_work() {
        let workshop = Workshop::open(1, 9).unwrap();
        let (told, result) = std::sync::mpsc::channel();
        let (began, begun) = oneshot::channel();
        let mut work = Box::pin(workshop.run(Patience::default(), move |patience| {
            began.send(()).unwrap();
            while patience.check().is_ok() {
                std::thread::yield_now();
            }
            told.send(patience.check()).unwrap();
            Ok(())
        }));
        assert!(work.as_mut().now_or_never().is_none());
        begun.await.unwrap();
        drop(work);
        assert_eq!(result.recv().unwrap(), Err(Error::Cancelled));
    }

    #[tokio::test]
    async fn identical_work_is_done_once() {
        let once = Arc::new(Once::default());
        let count = Arc::new(AtomicUsize::new(0));
        let ask = |key: &'static str| {
            let (once, count) = (once.clone(), count.clone());
            async move {
                once.run(key, || async move {
                    tokio::task::yield_now().await;
                    count.fetch_add(1, Ordering::SeqCst)
                })
                .await
            }
        };
        let (one, two, other) = tokio::join!(ask("a"), ask("a"), ask("b"));
        assert_eq!((one, two, other), (0, 0, 1));
        assert_eq!(ask("a").await, 2);
    }
}
