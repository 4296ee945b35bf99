//! Files of a configuration that are read anew when they change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// When to look and when to act.
pub(crate) struct Schedule {
    /// How often the files are looked at; never if none.
    pub(crate) look: Option<Duration>,
    /// A signal that asks for it.
    pub(crate) signal: Option<i32>,
    /// How long nothing must have changed before they are read: editors write in several steps.
    pub(crate) grace: Duration,
}

/// What tells that a file is another one, or none any more.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

/// Calls `reload` when one of the files that `list` names has changed, or comes, or goes. Never ends.
pub(crate) async fn watch<F: Future<Output = ()>>(
    schedule: Schedule,
    list: impl Fn() -> Vec<PathBuf> + Send + Sync + Clone + 'static,
    reload: impl Fn() -> F,
) {
    let mut known = look(list.clone()).await;
    let mut asked = schedule.signal.and_then(listen);
    let mut turns = interval(schedule.look.unwrap_or(Duration::from_secs(3600)));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = turns.tick(), if schedule.look.is_some() => {
                let now = look(list.clone()).await;
                if now != known {
                    known = now;
                    due = Some(Instant::now() + schedule.grace);
                }
            }
            () = received(&mut asked) => due = Some(Instant::now() + schedule.grace),
            () = at(due) => {
                due = None;
                reload().await;
            }
        }
    }
}

/// The files as they are. Off the threads that answer: a file system may be slow.
async fn look(list: impl FnOnce() -> Vec<PathBuf> + Send + 'static) -> Vec<(PathBuf, Option<Stamp>)> {
    let looked = tokio::task::spawn_blocking(move || {
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some(Stamp { modified: file.modified().ok(), length: file.len(), inode: file.ino() })
        };
        list().into_iter().map(|path| (path.clone(), stamp(&path))).collect()
    });
    looked.await.unwrap_or_default()
}

fn listen(number: i32) -> Option<Signal> {
    match signal(SignalKind::from_raw(number)) {
        Ok(signal) => Some(signal),
        Err(error) => {
            tracing::error!(%error, number, "this signal cannot ask for a reload");
            None
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_burst_of_changes_is_one_reload() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.env");
        let count = Arc::new(AtomicUsize::new(0));
        let (watched, counted) = (file.clone(), count.clone());
        let schedule = Schedule {
            look: Some(Duration::from_millis(10)),
            signal: None,
            grace: Duration::from_millis(200),
        };
        let watching = tokio::spawn(watch(
            schedule,
            move || vec![watched.clone()],
            move || {
                let counted = counted.clone();
                async move {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            },
        ));
        tokio::time::sleep(Duration::from_millis(100)).await;
        for turn in 0..5 {
            std::fs::write(&file, "x".repeat(turn + 1)).unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
        std::fs::remove_file(&file).unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        watching.abort();
    }
}
