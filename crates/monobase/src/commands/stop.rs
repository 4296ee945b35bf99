//! `monobase stop`.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;
use server::control::{self, Status};

use crate::cli::{Global, StopArguments};
use crate::failure::Failure;
use crate::{settings, terminal};

/// Requests in flight may take this long, and PostgreSQL writes its last checkpoint.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn run(global: &Global, arguments: &StopArguments) -> Result<(), Failure> {
    let paths = settings::place(global, &arguments.place)?;
    let socket = paths.control_socket();
    settings::block_on_here(async {
        let pid = match control::status(&socket).await? {
            Status::Up(info) => Some(info.pid),
            Status::Starting => None,
            Status::Down => {
                tell(global, "monobase is not running here");
                return Ok(());
            }
        };
        control::request_stop(&socket).await?;
        let asked = Instant::now();
        loop {
            let ended = match pid {
                Some(pid) => !is_alive(pid)?,
                None => control::status(&socket).await? == Status::Down,
            };
            if ended {
                tell(global, "stopped");
                return Ok(());
            }
            if asked.elapsed() > PATIENCE {
                return Err(Failure::new("monobase does not end")
                    .hint(format!("its log may tell why: {}", paths.log_file().display())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

fn is_alive(pid: u32) -> Result<bool, Failure> {
    let pid = i32::try_from(pid).map_err(anyhow::Error::from)?;
    match signal::kill(Pid::from_raw(pid), None) {
        Ok(()) | Err(Errno::EPERM) => Ok(!is_zombie(pid)),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(Failure::new(format!("process {pid} cannot be asked for: {error}"))),
    }
}

/// A process that has ended and whose parent has not looked yet.
fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
}

fn tell(global: &Global, text: &str) {
    if !global.quiet {
        terminal::tell(terminal::Style::Hint, "monobase", text);
    }
}
