//! Start-up: an empty folder to the first REST answer, and a restart to the first answer.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use database::{ConnectConfig, Connection};

use crate::Arguments;
use crate::backend::Backend;
use crate::process::{folder_of, postmaster};
use crate::table::{head, line, median, note};

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    // Once before, so that the engine is unpacked and the files are in the page cache.
    let warm = tempfile::tempdir()?;
    Backend::start(&arguments.binary, warm.path()).await?.stop()?;
    let (mut first, mut restart, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let folder = tempfile::tempdir()?;
        let backend = Backend::start(&arguments.binary, folder.path()).await?;
        first.push(millis(backend.first_answer));
        let engine = Engine::of(&backend).await?;
        backend.stop()?;
        let backend = Backend::start(&arguments.binary, folder.path()).await?;
        restart.push(millis(backend.first_answer));
        backend.stop()?;
        bare.push(millis(engine.start_alone().await?));
    }
    head("Start-up, beside PostgreSQL alone on the same data directory (milliseconds)");
    line("empty folder → first REST answer", median(&first), median(&bare), "ms", "<= 1000 ms");
    line("restart → first REST answer", median(&restart), median(&bare), "ms", "<= 400 ms");
    note("binary", std::fs::metadata(&arguments.binary)?.len() as f64 / 1e6, "MB (release: < 60 MB)");
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The PostgreSQL below a backend: its program and its data directory.
struct Engine {
    postgres: PathBuf,
    data: PathBuf,
}

impl Engine {
    async fn of(backend: &Backend) -> Result<Self> {
        let mut connection = backend.connect("postgres").await?;
        let row = connection.query_one("select current_setting('data_directory')", &[]).await?;
        let data: String = row.get(0)?;
        let pid = postmaster(backend.pid())?;
        let postgres = std::fs::read_link(format!("/proc/{pid}/exe"))?;
        Ok(Self { postgres, data: folder_of(pid, &data)? })
    }

    /// From the spawn of the bare engine to the first connection.
    async fn start_alone(&self) -> Result<Duration> {
        // A copy, because the folders above the original are closed to PostgreSQL's user.
        let folder = tempfile::tempdir_in("/tmp")?;
        let data = folder.path().join("data");
        let owner = std::fs::metadata(&self.data)?;
        std::os::unix::fs::chown(folder.path(), Some(owner.uid()), Some(owner.gid()))?;
        if !Command::new("cp").arg("-a").arg(&self.data).arg(&data).status()?.success() {
            bail!("the data directory could not be copied");
        }
        let began = Instant::now();
        let mut command = Command::new(&self.postgres);
        command.arg("-D").arg(&data).args(["-c", "listen_addresses="]).arg("-k").arg(folder.path());
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let config: ConnectConfig = connect_string(folder.path()).parse()?;
        let took = loop {
            match Connection::connect(&config).await {
                Ok(_) => break began.elapsed(),
                // Whoever refuses us is up; only "the database system is starting up" is not.
                Err(error) if error.sqlstate().is_some_and(|state| state.as_str() != "57P03") => {
                    break began.elapsed();
                }
                Err(error) if began.elapsed() > Duration::from_secs(20) => {
                    child.kill()?;
                    bail!("postgres alone does not answer: {error}");
                }
                Err(_) => {}
            }
            if let Some(status) = child.try_wait()? {
                bail!("postgres alone ended with {status}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(child.id() as i32),
            nix::sys::signal::Signal::SIGINT,
        )?;
        child.wait()?;
        Ok(took)
    }
}

fn connect_string(sockets: &Path) -> String {
    format!(
        "host={} port=5432 user=postgres password=postgres dbname=postgres sslmode=disable",
        sockets.display()
    )
}
