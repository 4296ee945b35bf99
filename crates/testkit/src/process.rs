//! One postmaster as a child that cannot outlive us.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, chown};
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// For tests only: nothing here survives a crash of the machine, and nothing has to.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
    ("jit", "off"),
    ("max_connections", "200"),
    ("shared_buffers", "32MB"),
    ("wal_level", "logical"),
    ("max_replication_slots", "20"),
    ("max_wal_senders", "10"),
    ("shared_preload_libraries", "pg_stat_statements,auto_explain"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("extra_float_digits", "0"),
    ("log_line_prefix", "%m [%p] %q%u@%d "),
];

/// A folder below the system's temporary one that is removed when it is dropped, and also when this process just dies.
pub(crate) struct Folder {
    path: TempDir,
    // The pipe's other end removes the folder once ours is closed, by whatever.
    _watch: ChildStdin,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let path = tempfile::Builder::new()
            .prefix("mbt-")
            .tempdir()
            .unwrap_or_else(|error| panic!("cannot make a temporary folder: {error}"));
        give_away(path.path());
        let mut watcher = Command::new("sh")
            // In the background of a shell that ends at once, so that nobody has to wait for it.
            .args(["-c", "exec 3<&0; (cat <&3; sleep 1; rm -rf -- \"$0\") &"])
            .arg(path.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal is not for it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run sh: {error}"));
        let watch = watcher.stdin.take().expect("stdin is piped");
        watcher.wait().unwrap_or_else(|error| panic!("cannot wait for sh: {error}"));
        Self { path, _watch: watch }
    }

    pub(crate) fn path(&self) -> &Path {
        self.path.path()
    }
}

/// The user that PostgreSQL runs as: never root.
pub(crate) fn run_as() -> Option<(Uid, Gid)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| (user.uid, user.gid))
}

/// Makes a folder PostgreSQL's own.
pub(crate) fn give_away(folder: &Path) {
    if let Some((uid, gid)) = run_as() {
        chown(folder, Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("cannot give {} away: {error}", folder.display()));
    }
}

/// A command that runs as PostgreSQL's user.
pub(crate) fn command(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = run_as() {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    // The caller's folder may be closed to that user.
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C").env("TZ", "UTC");
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A running postmaster.
pub(crate) struct Postmaster {
    child: Child,
    data: PathBuf,
}

impl Postmaster {
    /// Starts one on `data`, its socket in `socket_folder`, and waits until it takes connections.
    pub(crate) fn start(
        bin: &Path,
        data: &Path,
        socket_folder: &Path,
        settings: &[(String, String)],
    ) -> Self {
        // After a crash the killed server's last processes hold its shared memory for a moment.
        let mut failures = 0;
        loop {
            match Self::try_start(bin, data, socket_folder, settings) {
                Ok(postmaster) => return postmaster,
                Err(log) if failures < 20 && log.contains("pre-existing shared memory block") => {
                    failures += 1
                }
                Err(log) => panic!("PostgreSQL did not start:\n{log}"),
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The log is the error.
    fn try_start(
        bin: &Path,
        data: &Path,
        socket_folder: &Path,
        settings: &[(String, String)],
    ) -> Result<Self, String> {
        let mut command = command(bin.join("postgres"));
        command.arg("-D").arg(data).arg("-k").arg(socket_folder);
        for (name, value) in SETTINGS {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = socket_folder.join("postgres.log");
        let output = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let errors =
            output.try_clone().unwrap_or_else(|error| panic!("cannot share {}: {error}", log.display()));
        command.stdin(Stdio::null()).stdout(output).stderr(errors);

        let mut postmaster = Self {
            child: spawn_from_keeper(command)
                .unwrap_or_else(|error| panic!("cannot run PostgreSQL: {error}")),
            data: data.to_owned(),
        };
        let deadline = Instant::now() + START_LIMIT;
        while !postmaster.is_ready() {
            let ended = postmaster.child.try_wait().unwrap_or_else(|error| panic!("cannot wait: {error}"));
            if ended.is_some() || Instant::now() > deadline {
                return Err(fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(postmaster)
    }

    fn is_ready(&self) -> bool {
        // Process id in the first line (a crash leaves the old file behind), state in the eighth.
        fs::read_to_string(self.data.join("postmaster.pid")).is_ok_and(|text| {
            let mut lines = text.lines();
            lines.next() == Some(&self.pid().to_string())
                && lines.nth(6).is_some_and(|state| state.trim() == "ready")
        })
    }

    /// The process.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids fit into i32")
    }

    /// Ends it: `SIGINT` disconnects everyone and writes everything, `SIGQUIT` just stops, `SIGKILL` is a crash.
    pub(crate) fn stop(&mut self, signal: Signal) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // It may have ended in this very moment.
        let _ = kill(Pid::from_raw(self.pid()), signal);
        let deadline = Instant::now() + STOP_LIMIT;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(3));
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.stop(Signal::SIGQUIT);
    }
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// Spawns a child that dies with us, from a thread that lives as long as the process: the kernel signals a child when the *thread* that made it ends,
/// and tests run on threads that end early.
pub(crate) fn spawn_from_keeper(mut command: Command) -> std::io::Result<Child> {
    static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        thread::spawn(move || {
            while let Ok((mut command, reply)) = queue.recv() {
                // The asker waits for it.
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });

    let parent = nix::unistd::getpid();
    // SAFETY: prctl, getppid and _exit are async-signal-safe and touch no memory of the parent.
    #[allow(unsafe_code)]
    unsafe {
        // After the change of user, which would clear it.
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // We may have died in between; nobody would tell the child.
            if libc::getppid() != parent.as_raw() {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    let (reply, answer) = channel();
    keeper.send((command, reply)).expect("the keeper never ends");
    answer.recv().expect("the keeper answers every job")
}
