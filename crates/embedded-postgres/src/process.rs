//! Programs of the engine, run as the right user and bound to our own life.

use std::{
    fs::File,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::PermissionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::{prctl, signal::Signal},
    unistd::{Pid, getpid, getppid},
};

use crate::{Engine, Error, identity::Identity};

/// A folder as a child is told about it.
///
/// A child that runs as another user may be unable to walk to the folder, when a project lies in root's closed home.
/// It then inherits an open descriptor and the name `/proc/self/fd/N`, for which only the folder's own permissions
/// count. PostgreSQL works from inside of its data directory, so hardly any path is ever walked again.
#[derive(Debug)]
pub(crate) struct Folder {
    name: PathBuf,
    inherited: Option<OwnedFd>,
}

impl Folder {
    pub(crate) fn new(path: &Path, identity: &Identity) -> Result<Self, Error> {
        let open = |source| Error::io("cannot open", path, source);
        if !identity.switched() {
            return Ok(Self { name: std::path::absolute(path).map_err(open)?, inherited: None });
        }
        let descriptor = OwnedFd::from(File::open(path).map_err(open)?);
        Ok(Self {
            name: format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into(),
            inherited: Some(descriptor),
        })
    }

    /// What to call the folder in the child's arguments and settings.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }
}

/// A command that runs one of the engine's programs:
/// as `identity`, in a process group of its own (Ctrl-C in a terminal is for us to handle), with an empty environment
/// (ours holds secrets), unable to gain privileges, and told to shut down when the *thread* that spawns it ends.
/// The caller therefore spawns from a thread that lives as long as the child may.
pub(crate) fn command(engine: &Engine, program: &str, identity: &Identity, folders: &[&Folder]) -> Command {
    let mut command = Command::new(engine.program(program));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).process_group(0);
    if identity.switched() {
        // Supplementary groups are dropped along with root.
        command.uid(identity.uid()).gid(identity.gid());
    }
    let inherited: Vec<_> =
        folders.iter().filter_map(|folder| folder.inherited.as_ref().map(AsRawFd::as_raw_fd)).collect();
    let parent = getpid();
    let prepare = move || {
        // After the change of user: that clears the setting. SIGINT is PostgreSQL's fast shutdown.
        prctl::set_pdeathsig(Signal::SIGINT)?;
        prctl::set_no_new_privs()?;
        if getppid() != parent {
            // We died in between; nobody would ever send the signal.
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        for descriptor in &inherited {
            keep_open(*descriptor)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made (prctl, getppid, fcntl), which are async-signal-safe;
    // nothing is allocated and no lock is taken.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(prepare);
    }
    command
}

/// Clears the descriptor's close-on-exec flag.
fn keep_open(descriptor: std::os::fd::RawFd) -> std::io::Result<()> {
    // SAFETY: `fcntl` with F_SETFD touches no memory. The descriptor is open: its `Folder` outlives the spawn.
    #[allow(unsafe_code)]
    let result = unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Tells why a program could not be spawned.
pub(crate) fn spawn_error(
    engine: &Engine,
    program: &str,
    identity: &Identity,
    source: std::io::Error,
) -> Error {
    let path = engine.program(program);
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return Error::io("cannot run", path, source);
    }
    let executable = path.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    if executable && path.ancestors().skip(1).all(open_to_all) {
        if identity.switched() && source.raw_os_error() == Some(libc::EPERM) {
            let reason = "this process lacks the right to change its user".to_owned();
            return Error::User { user: identity.uid().to_string(), reason };
        }
        return Error::NotExecutable(engine.folder().to_owned());
    }
    Error::io("cannot run", path, source)
}

fn open_to_all(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
}

/// Sends a signal to a process; one that is gone already is no error.
pub(crate) fn send(process: Pid, signal: Signal) {
    if let Err(error) = nix::sys::signal::kill(process, signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(%process, %signal, %error, "cannot signal PostgreSQL");
    }
}
