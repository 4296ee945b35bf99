//! Threads that serve connections, each with a scheduler and a reactor of its own.
//!
//! A request is short. To hand it from thread to thread, and to wake the other one each time, costs a good part of what
//! its work costs. So a connection stays with the thread it was given to, and so does what it waits for: a database
//! connection wakes the thread that opened it.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

static WORKERS: OnceLock<Vec<Worker>> = OnceLock::new();

struct Worker {
    runtime: Handle,
    /// Connections that it has.
    open: AtomicUsize,
}

/// Starts the threads, once in a process; they live as long as it does. Without them, connections are served by the
/// runtime that accepts them. `blocking` is how many threads each may have for work that blocks.
///
/// # Errors
/// When the system gives no thread or no reactor.
pub fn start(threads: usize, blocking: usize) -> io::Result<()> {
    let mut workers = Vec::with_capacity(threads);
    for _ in 0..threads {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(blocking.max(1))
            .thread_keep_alive(Duration::from_secs(5))
            .thread_name("monobase")
            .enable_all()
            .build()?;
        workers.push(Worker { runtime: runtime.handle().clone(), open: AtomicUsize::new(0) });
        std::thread::Builder::new()
            .name("monobase-door".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    }
    WORKERS.set(workers).map_err(|_| io::Error::other("the threads for connections were started twice"))
}

/// Up to so many connections are better off together: what they read from the database travels together, and one thread
/// does their work for less than two that wake each other's processors. Measured on two processors, one row by its key,
/// server and database together: with 8 connections 89 µs a request on one thread, 118 µs on two; with 16 connections
/// 80 µs and 102 µs; with 64 no difference.
const COMPANY: usize = 16;

/// A place for one connection: with the first thread that has little company, otherwise with the one that has the fewest.
/// `None` when there are no such threads.
pub(crate) fn place() -> Option<Place> {
    let open = |worker: &&Worker| worker.open.load(Ordering::Relaxed);
    let workers = WORKERS.get()?;
    let worker =
        workers.iter().find(|worker| open(worker) < COMPANY).or_else(|| workers.iter().min_by_key(open))?;
    worker.open.fetch_add(1, Ordering::Relaxed);
    Some(Place(worker))
}

/// Taken until it is dropped.
pub(crate) struct Place(&'static Worker);

impl Place {
    pub(crate) fn runtime(&self) -> &'static Handle {
        &self.0.runtime
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
