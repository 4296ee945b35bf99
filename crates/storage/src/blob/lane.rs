//! Work on the pieces of a body, in their order, on a thread that may block, beside whoever hands the pieces over.
//!
//! A body is received, hashed and written at the same time, because each of the three takes as long as a disk of today
//! does. A thread is taken only while there is something to do: slow clients hold none.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::StoreError;

/// How many bytes wait until whoever hands over more has to wait, too.
const AHEAD: usize = 256 << 10;

/// What is done with each piece.
pub(super) trait Work: Send + 'static {
    fn piece(&mut self, chunks: &[Bytes]) -> Result<(), StoreError>;
}

/// One kind of work on one body. Dropped, it ends after the piece that it is at, and so does the work.
pub(super) struct Lane<W: Work>(Arc<Shared<W>>);

struct Shared<W> {
    state: Mutex<State<W>>,
    /// There may be room, or an end. One waits at most: the holder of the lane.
    changed: Notify,
}

struct State<W> {
    /// Here while no thread has it.
    work: Option<W>,
    pieces: VecDeque<Vec<Bytes>>,
    /// Bytes that were handed over and are not done.
    open: usize,
    failed: Option<StoreError>,
}

impl<W: Work> Lane<W> {
    pub(super) fn new(work: W) -> Self {
        let state = State { work: Some(work), pieces: VecDeque::new(), open: 0, failed: None };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Hands a piece over, as soon as there is room for it. Fails when the work on an earlier one did.
    pub(super) async fn push(&self, chunks: Vec<Bytes>) -> Result<(), StoreError> {
        self.when(|state| (state.open < AHEAD).then_some(())).await?;
        let work = {
            let mut state = self.0.lock();
            state.open += length(&chunks);
            state.pieces.push_back(chunks);
            state.work.take()
        };
        if let Some(work) = work {
            let shared = self.0.clone();
            spawn_blocking(move || shared.run(work));
        }
        Ok(())
    }

    /// Waits until all is done.
    pub(super) async fn finish(self) -> Result<W, StoreError> {
        self.when(|state| state.work.take()).await
    }

    async fn when<T>(&self, ready: impl Fn(&mut State<W>) -> Option<T>) -> Result<T, StoreError> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                if let Some(found) = ready(&mut state) {
                    return Ok(found);
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl<W: Work> Drop for Lane<W> {
    fn drop(&mut self) {
        self.0.lock().pieces.clear();
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Shared<W> {
    /// Works until nothing waits.
    fn run(&self, work: W) {
        let mut running = Running { shared: self, work: Some(work) };
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.pieces.pop_front();
                if next.is_none() {
                    // Under the same lock: else a piece could come between that nobody takes.
                    state.work = running.work.take();
                }
                next
            };
            let (Some(chunks), Some(work)) = (next, &mut running.work) else {
                return self.changed.notify_one();
            };
            let done = length(&chunks);
            if let Err(error) = work.piece(&chunks) {
                running.work = None;
                return self.fail(error);
            }
            // Before there is said to be room for more.
            drop(chunks);
            let mut state = self.lock();
            let full = state.open >= AHEAD;
            state.open -= done;
            if full && state.open < AHEAD {
                self.changed.notify_one();
            }
        }
    }

    fn fail(&self, error: StoreError) {
        self.lock().failed = Some(error);
        self.changed.notify_one();
    }
}

/// Work that a thread has.
struct Running<'s, W: Work> {
    shared: &'s Shared<W>,
    work: Option<W>,
}

impl<W: Work> Drop for Running<'_, W> {
    fn drop(&mut self) {
        // A panic, of which the holder of the lane would never hear.
        if self.work.take().is_some() {
            self.shared.fail(StoreError::Failed("work on a body panicked".to_owned()));
        }
    }
}

fn length(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    /// Collects, slowly; fails at a piece that begins with a given byte, panics at another.
    struct Collected(Vec<u8>);

    impl Work for Collected {
        fn piece(&mut self, chunks: &[Bytes]) -> Result<(), StoreError> {
            std::thread::sleep(Duration::from_millis(1));
            for chunk in chunks {
                match chunk.first() {
                    Some(b'f') => return Err(StoreError::Full),
                    Some(b'p') => panic!("as asked"),
                    _ => self.0.extend_from_slice(chunk),
                }
            }
            Ok(())
        }
    }

    fn piece(byte: u8, length: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![byte; length / 2]), Bytes::from(vec![byte; length - length / 2])]
    }

    #[tokio::test]
    async fn pieces_are_done_in_order_and_few_wait() {
        let lane = Lane::new(Collected(Vec::new()));
        for byte in 0..20 {
            lane.push(piece(byte, AHEAD / 2)).await.unwrap();
            assert!(lane.0.lock().open <= AHEAD + AHEAD / 2);
            if byte == 10 {
                // Nothing to do: no thread has it, and it goes on all the same.
                tokio::time::sleep(Duration::from_millis(20)).await;
                assert!(lane.0.lock().work.is_some());
            }
        }
        let whole: Vec<u8> = (0..20).flat_map(|byte| vec![byte; AHEAD / 2]).collect();
        assert!(lane.finish().await.unwrap().0 == whole);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_whoever_hands_over_more_or_waits_for_the_end() {
        for byte in [b'f', b'p'] {
            let lane = Lane::new(Collected(Vec::new()));
            let mut told = false;
            for _ in 0..5 {
                told = told || lane.push(piece(byte, AHEAD)).await.is_err();
                if told {
                    break;
                }
            }
            assert!(told);
            let lane = Lane::new(Collected(Vec::new()));
            lane.push(piece(byte, 10)).await.unwrap();
            assert!(lane.finish().await.is_err());
        }
    }
}
