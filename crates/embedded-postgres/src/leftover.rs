//! What an earlier run may have left behind: a PostgreSQL that still shuts down, orphaned backends, a stale pid file.
//!
//! Everything is decided by which directory a process works in: PostgreSQL's processes all work in their data directory.
//! Process ids alone prove nothing, they are used again.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};

use crate::{Error, process};

/// How long a PostgreSQL that was told to end when its server died may take for its last checkpoint.
const SHUTDOWN: Duration = Duration::from_secs(15);
/// How long orphaned backends may take to end.
const ORPHANS: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);
/// How far PostgreSQL's start time, which it takes a moment after it is started, may be from the kernel's.
const CLOCK_SLACK: u64 = 5;

/// Waits until nobody works on the data any more. The caller holds the cluster's lock. On return a new PostgreSQL may
/// be started; no file other than a stale `postmaster.pid` was touched.
pub(crate) fn clear(data: &Path) -> Result<(), Error> {
    let pid_file = data.join("postmaster.pid");
    let content = match fs::read_to_string(&pid_file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("cannot read", pid_file, error)),
    };
    let mut lines = content.lines();
    let postmaster: i32 = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or_default();
    let started: u64 = lines.nth(1).and_then(|line| line.trim().parse().ok()).unwrap_or_default();

    if postmaster > 0 && works_on(data, postmaster, started) {
        tracing::info!(process = postmaster, "waiting for the PostgreSQL of an earlier run to end");
        if !wait(SHUTDOWN, || !works_on(data, postmaster, started)) {
            return Err(Error::StillRunning { folder: data.to_owned(), process: postmaster.unsigned_abs() });
        }
    }
    for signal in [Signal::SIGQUIT, Signal::SIGKILL] {
        let orphans = orphans(data);
        if orphans.is_empty() {
            break;
        }
        tracing::info!(count = orphans.len(), %signal, "ending processes that lost their PostgreSQL");
        orphans.iter().for_each(|orphan| process::send(*orphan, signal));
        wait(ORPHANS, || self::orphans(data).is_empty());
    }
    if let Some(orphan) = orphans(data).first() {
        return Err(Error::StillRunning { folder: data.to_owned(), process: orphan.as_raw().unsigned_abs() });
    }
    // PostgreSQL replaces the file of a process that is gone, and checks its shared memory first. It stops at one whose
    // number was given to another program since: that one we know not to be ours by now.
    if postmaster > 0 && alive(postmaster) && pid_file.exists() {
        tracing::info!(
            process = postmaster,
            "removing a stale postmaster.pid: that process is another program now"
        );
        fs::remove_file(&pid_file).map_err(|error| Error::io("cannot remove", &pid_file, error))?;
    }
    Ok(())
}

/// Whether the process is the one of the pid file, still working on the data.
fn works_on(data: &Path, process: i32, started: u64) -> bool {
    if zombie(process) {
        return false;
    }
    match works_in(process, data) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        // Root in a container may lack the right to look. Then name and start time must do.
        Err(_) => {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            name.trim() == "postgres"
                && start_time(process).is_some_and(|at| at.abs_diff(started) <= CLOCK_SLACK)
        }
    }
}

/// Whether the process works in the folder.
fn works_in(process: i32, folder: &Path) -> io::Result<bool> {
    let wanted = fs::metadata(folder)?;
    let found = fs::metadata(format!("/proc/{process}/cwd"))?;
    Ok((found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
}

/// All processes that work in the data directory and are named like PostgreSQL: a shell may stand there too.
fn orphans(data: &Path) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| works_in(*process, data).unwrap_or(false) && !zombie(*process))
        .filter(|process| {
            fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "postgres")
        })
        .map(Pid::from_raw)
        .collect()
}

fn alive(process: i32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// A process that ended and was not collected yet holds nothing any more.
fn zombie(process: i32) -> bool {
    stat(process).is_some_and(|fields| fields.first().is_some_and(|state| state == "Z" || state == "X"))
}

/// The fields of `/proc/PID/stat` from the third on: the second, the name, may contain anything.
fn stat(process: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// When the process was started, in seconds since the epoch.
fn start_time(process: i32) -> Option<u64> {
    // Field 22, in ticks since boot; the kernel's tick for user space is a hundredth of a second on Linux.
    let ticks: u64 = stat(process)?.get(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks / 100)
}

/// Whether the condition became true in time.
fn wait(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > limit {
            return false;
        }
        sleep(STEP);
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn our_own_start_time_is_known() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let started = start_time(std::process::id().cast_signed()).unwrap();
        assert!(started <= now + 1 && now - started < 3600, "{started} of {now}");
    }

    #[test]
    fn the_pid_file_of_another_program_is_stale() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("postmaster.pid");
        // Our own process id: alive, but not working in that folder.
        fs::write(&file, format!("{}\n{}\n1795316062\n", std::process::id(), data.path().display())).unwrap();
        clear(data.path()).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_pid_file_of_a_dead_process_is_left_to_postgresql() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("postmaster.pid");
        fs::write(&file, "2147483646\n/x\n1795316062\n").unwrap();
        clear(data.path()).unwrap();
        assert!(file.exists());
    }
}
