//! nginx (Debian's package of that name) serving a folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::backend::free_port;
use crate::load::Http;

/// A running nginx; stopped when dropped.
pub(super) struct Nginx {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Nginx {
    /// Serves `files`. `folder` is for everything it wants to write.
    pub(super) async fn start(folder: &Path, files: &Path) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let place = folder.join("nginx");
        std::fs::create_dir(&place)?;
        let place = place.display();
        let settings = format!(
            "daemon off; worker_processes auto; pid {place}/pid; error_log stderr error;
             {user}
             events {{ worker_connections 1024; }}
             http {{
               access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
               keepalive_requests 1000000000; open_file_cache max=100;
               client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
               uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
               server {{ listen {address}; root {files}; }}
             }}",
            // Its workers would change to a user who may not see the folder.
            user = if nix::unistd::getuid().is_root() { "user root;" } else { "" },
            files = files.display(),
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, settings)?;
        let mut child = Command::new(program())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("nginx.log"))?)
            .spawn()
            .context("nginx was not found: install nginx")?;
        let until = Instant::now() + Duration::from_secs(10);
        while Http::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(folder.join("nginx.log"))?;
                bail!("nginx ended with {status}: {log}");
            }
            if Instant::now() > until {
                bail!("nginx does not answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { child, address })
    }

    /// The request for the file of that many bytes.
    pub(super) fn download(&self, bytes: usize) -> Vec<u8> {
        format!("GET /{bytes} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).into_bytes()
    }
}

/// Debian puts it where only root looks for programs.
fn program() -> PathBuf {
    let there = PathBuf::from("/usr/sbin/nginx");
    if there.exists() { there } else { PathBuf::from("nginx") }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
