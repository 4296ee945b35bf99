//! The binary under measurement, started in a folder of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use database::{ConnectConfig, Connection};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::load::Http;

/// A running `monobase start` in the foreground; stopped when dropped.
pub(crate) struct Backend {
    child: Child,
    pub(crate) address: SocketAddr,
    binary: PathBuf,
    folder: PathBuf,
    pub(crate) first_answer: Duration,
}

/// A port below the range of outgoing connections, so that nothing else takes it meanwhile.
pub(crate) fn free_port() -> Result<u16> {
    let start = 20_000 + (std::process::id() % 5_000) as u16;
    (start..32_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free port below 32000")
}

impl Backend {
    /// Starts the binary in `folder` and waits for the first REST answer.
    pub(crate) async fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let database_port = port + 1;
        let key = development_key(binary)?;
        let request = format!("GET /rest/v1/ HTTP/1.1\r\nhost: {address}\r\napikey: {key}\r\n\r\n");
        let began = Instant::now();
        let mut child = Command::new(binary)
            .args(["start", "--port", &port.to_string()])
            .env("SUPABASE_DB_PORT", database_port.to_string())
            .env("SUPABASE_LOCAL_SMTP_PORT", (port + 2).to_string())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("stderr.log"))?)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let first_answer = loop {
            if let Ok(mut http) = Http::connect(address).await
                && let Ok(answer) = http.request(request.as_bytes()).await
                && answer.status == 200
            {
                break began.elapsed();
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(folder.join("stderr.log"))?;
                bail!("monobase ended with {status}:\n{log}");
            }
            if began.elapsed() > Duration::from_secs(60) {
                child.kill()?;
                bail!("no REST answer within 60 s");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        Ok(Self { child, address, binary: binary.to_owned(), folder: folder.to_owned(), first_answer })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The names of `status -o env`, as JSON.
    pub(crate) fn status(&self) -> Result<Value> {
        let output =
            Command::new(&self.binary).args(["status", "-o", "json"]).current_dir(&self.folder).output()?;
        if !output.status.success() {
            bail!("status: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// A connection of our own to the database, as `role`.
    pub(crate) async fn connect(&self, role: &str) -> Result<Connection> {
        self.connect_to(role, "postgres").await
    }

    /// The same, to another database of the same cluster.
    pub(crate) async fn connect_to(&self, role: &str, database: &str) -> Result<Connection> {
        let url = self.status()?["DB_URL"].as_str().context("DB_URL")?.to_owned();
        let (server, _) = url.rsplit_once('/').context("DB_URL names a database")?;
        let mut config: ConnectConfig = format!("{server}/{database}").parse()?;
        if role == "supabase_admin" {
            // The superuser has a password of its own.
            let file = self.folder.join(".monobase/postgres/superuser.password");
            config = config.with_password(Some(std::fs::read_to_string(file)?.trim()));
        }
        Ok(Connection::connect(&config.with_user(role)).await?)
    }

    /// Stops it and waits until it has ended.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // After `stop` the process is gone and this is a no-op on a reaped child.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

fn development_key(binary: &Path) -> Result<String> {
    let output = Command::new(binary).args(["keys", "show", "anon"]).current_dir("/tmp").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
