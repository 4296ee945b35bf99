//! Threads for hashing alone, at the lowest priority that the system has.
//!
//! A hash takes tens of milliseconds of a core. On threads that yield to every other thread of the machine a storm of sign-ins
//! slows itself down and nobody else.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads. They end when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Threads(mpsc::Sender<Job>);

impl Threads {
    /// Starts `count` threads; their queue is as long as the callers let it become.
    pub(super) fn start(count: usize) -> Self {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..count.max(1) {
            let receiver = receiver.clone();
            let work = move || {
                yield_to_everybody();
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    // A job that panics takes its answer with it, not the thread.
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                        tracing::error!("hashing panicked");
                    }
                }
            };
            if let Err(error) = std::thread::Builder::new().name(format!("hashing {number}")).spawn(work) {
                tracing::error!(%error, "a thread for hashing cannot be started");
            }
        }
        Self(sender)
    }

    /// Runs a job on one of the threads; none if that failed.
    pub(super) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may have gone, while this waited or while it runs.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        self.0.send(job).ok()?;
        receiver.await.ok()
    }
}

/// Gives this thread the lowest priority, and tells the scheduler that it is never in a hurry: it then interrupts nobody when
/// it wakes, runs longer at a time, and does a tenth more. (`SCHED_IDLE` would be lower still, and give such a thread nothing at
/// all beside any other load on the machine: nobody could sign in.) On Linux both are a thread's own.
fn yield_to_everybody() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: as below; the structure is plain numbers, and zero is the priority that this policy wants.
        #[allow(unsafe_code)]
        let result = unsafe {
            let priority: libc::sched_param = std::mem::zeroed();
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority)
        };
        if result != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "hashing keeps its scheduling");
        }
        // SAFETY: the call takes numbers only and changes nothing but the scheduling of the calling thread (who 0 is the
        // caller, and Linux keeps nice values by thread).
        #[allow(unsafe_code)]
        let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
        if result != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "hashing keeps its priority");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_job_only() {
        let threads = Threads::start(1);
        assert_eq!(threads.run(|| -> u8 { panic!("on purpose") }).await, None);
        assert_eq!(threads.run(|| 7).await, Some(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_yield_to_others() {
        let nice = Threads::start(1)
            .run(|| std::fs::read_to_string("/proc/thread-self/stat").unwrap())
            .await
            .unwrap();
        let fields: Vec<_> = nice.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!(fields[16], "19", "{nice}");
        assert_eq!(fields[38], libc::SCHED_BATCH.to_string(), "{nice}");
    }
}
