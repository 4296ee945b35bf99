//! Keeps one PostgreSQL running: starts it, restarts it when it dies, ends it.

use std::{
    fs, io,
    process::ExitStatus,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use tokio::sync::watch;

use crate::{
    Error,
    launch::Launch,
    leftover,
    log::{self, Record, Tail},
    process, socket,
};

/// The pause before a restart doubles from the first to the last of these, and begins anew after a good run.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const GOOD_RUN: Duration = Duration::from_secs(30);
/// How often the pid file is looked at while PostgreSQL starts, which takes 50 ms.
const LOOK: Duration = Duration::from_millis(1);

/// How PostgreSQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It accepts connections.
    Running,
    /// It died, or threw out all sessions because one of its processes died, and will be back.
    Restarting,
    /// It was stopped and will not come back.
    Stopped,
}

/// The thread that owns PostgreSQL, and the way to talk to it. A thread of its own, because the kernel ends PostgreSQL
/// when the thread that spawned it ends, and threads of an async runtime come and go.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    life: Mutex<Life>,
    /// Told when `life.stopping` becomes true.
    stop: Condvar,
    tail: Tail,
}

#[derive(Debug, Default)]
struct Life {
    /// Set while a process exists that was not collected: only then its id is safe to signal.
    process: Option<Pid>,
    stopping: bool,
}

impl Supervisor {
    /// Starts PostgreSQL and waits until it accepts connections. A failure of the first start is final. Blocks.
    pub(crate) fn start(launch: Launch) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::Restarting),
            life: Mutex::default(),
            stop: Condvar::new(),
            tail: Tail::default(),
        });
        let (started, outcome) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("postgres".into())
            .spawn({
                let shared = shared.clone();
                move || supervise(&launch, &shared, started)
            })
            .map_err(|error| Error::StartFailed(format!("no thread for it: {error}")))?;
        let supervisor = Self { shared, thread: Some(thread) };
        outcome.recv().unwrap_or_else(|_| Err(Error::StartFailed("its supervisor ended".into())))?;
        Ok(supervisor)
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// The postmaster's process id while there is one.
    pub(crate) fn process(&self) -> Option<u32> {
        self.shared.life().process.map(|process| process.as_raw().unsigned_abs())
    }

    /// Asks it to end and not to come back.
    pub(crate) fn end(&self, signal: Signal) {
        let mut life = self.shared.life();
        life.stopping = true;
        if let Some(process) = life.process {
            process::send(process, signal);
        }
        self.shared.stop.notify_all();
    }

    /// Ends it: politely, then firmly. Returns when it is gone. Blocks.
    pub(crate) fn stop(&mut self, patience: Duration) {
        for (signal, limit) in [(Signal::SIGINT, patience), (Signal::SIGQUIT, Duration::from_secs(5))] {
            self.end(signal);
            if self.gone(limit) {
                break;
            }
            tracing::warn!(%signal, "PostgreSQL does not stop");
        }
        if !self.gone(Duration::ZERO) {
            self.end(Signal::SIGKILL);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the supervisor of PostgreSQL panicked");
        }
    }

    fn gone(&self, limit: Duration) -> bool {
        let began = Instant::now();
        loop {
            if self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished) {
                return true;
            }
            if began.elapsed() >= limit {
                return false;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop(Duration::from_secs(5));
        }
    }
}

impl Shared {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.life().stopping
    }

    /// Sleeps, but not through a stop.
    fn pause(&self, length: Duration) {
        let life = self.life();
        drop(self.stop.wait_timeout_while(life, length, |life| !life.stopping));
    }

    fn set(&self, state: State) {
        self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
    }

    /// PostgreSQL recovers by itself when one of its backends dies; its log says so.
    fn notice(&self, record: &Record) {
        if record.severity != "LOG" || self.stopping() {
            return;
        }
        if record.message == "terminating any other active server processes" {
            tracing::warn!("a PostgreSQL backend died; all sessions are restarted");
            self.set(State::Restarting);
        } else if record.message == "database system is ready to accept connections"
            && self.life().process.is_some()
        {
            self.set(State::Running);
        }
    }
}

fn supervise(launch: &Launch, shared: &Arc<Shared>, started: mpsc::Sender<Result<(), Error>>) {
    let mut started = Some(started);
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let end = run(launch, shared, &mut || {
            shared.set(State::Running);
            if let Some(started) = started.take() {
                // Nobody listens when the start was given up; then a stop follows.
                let _ = started.send(Ok(()));
            }
        });
        if shared.stopping() {
            shared.set(State::Stopped);
            return;
        }
        let error = match end {
            Ok(status) => explain(launch, shared, status),
            Err(error) => error,
        };
        if let Some(started) = started.take() {
            shared.set(State::Stopped);
            let _ = started.send(Err(error));
            return;
        }
        if began.elapsed() > GOOD_RUN {
            pause = FIRST_PAUSE;
        }
        tracing::error!(%error, again_in = ?pause, "PostgreSQL ended unexpectedly");
        shared.pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        let cleared = leftover::clear(launch.data()).and_then(|()| socket::clear(launch.socket()));
        if let Err(error) = cleared {
            tracing::error!(%error, "PostgreSQL cannot be restarted yet");
        }
    }
}

/// One life of PostgreSQL, from start to end. `ready` is called when it accepts connections.
fn run(launch: &Launch, shared: &Arc<Shared>, ready: &mut dyn FnMut()) -> Result<ExitStatus, Error> {
    shared.tail.clear();
    let (mut child, process) = {
        // Held over the spawn: a stop comes before it, and nothing is started, or after it, and there is something to stop.
        let mut life = shared.life();
        if life.stopping {
            return Err(Error::StartFailed("it was stopped".into()));
        }
        let child = launch.spawn()?;
        let process = Pid::from_raw(child.id().cast_signed());
        life.process = Some(process);
        (child, process)
    };
    let reader = child.stderr.take().and_then(|errors| {
        let shared = shared.clone();
        let follow = move || log::follow(errors, &shared.tail, |record| shared.notice(record));
        thread::Builder::new().name("postgres-log".into()).spawn(follow).ok()
    });

    while !ended(process, WaitPidFlag::WNOHANG) {
        if accepts_connections(launch, process) {
            ready();
            break;
        }
        thread::sleep(LOOK);
    }
    while !ended(process, WaitPidFlag::empty()) {}

    // From here on the id may be given to another process.
    let mut life = shared.life();
    life.process = None;
    let status = child.wait();
    drop(life);
    shared.set(State::Restarting);
    // The rest of its log; orphaned backends may keep the pipe open longer.
    let began = Instant::now();
    while reader.as_ref().is_some_and(|reader| !reader.is_finished())
        && began.elapsed() < Duration::from_millis(300)
    {
        thread::sleep(LOOK);
    }
    status.map_err(|error| Error::io("cannot wait for", "postgres", error))
}

/// Whether the child has ended. It stays uncollected, so that its id stays its own.
fn ended(process: Pid, wait: WaitPidFlag) -> bool {
    match waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | wait) {
        Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => false,
        // No such child: it cannot be waited for any longer.
        Ok(_) | Err(_) => true,
    }
}

/// Whether the pid file is of this process and says `ready`, on its eighth line.
fn accepts_connections(launch: &Launch, process: Pid) -> bool {
    fs::read_to_string(launch.data().join("postmaster.pid")).is_ok_and(|content| {
        let mut lines = content.lines();
        lines.next().and_then(|line| line.trim().parse().ok()) == Some(process.as_raw())
            && lines.nth(6).is_some_and(|status| status.trim() == "ready")
    })
}

fn explain(launch: &Launch, shared: &Shared, status: ExitStatus) -> Error {
    let reason = shared.tail.reason();
    if log::tells_of_full_disk(&reason) {
        return Error::io("cannot write", launch.data(), io::ErrorKind::StorageFull.into());
    }
    Error::StartFailed(format!("{reason} ({status})"))
}
