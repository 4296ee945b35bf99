//! A Redis of one's own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::spawn_from_keeper;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A running Redis that nobody else uses: on a unix socket, without a file. Stopped when dropped, or with the test process.
pub struct Redis {
    // Dropped by hand before its folder.
    process: Child,
    folder: TempDir,
}

impl Redis {
    /// An empty one, once it answers. A test that needs it fails where it is not installed.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("cannot make a folder: {error}"));
        let redis = Self { process: Self::run(&folder), folder };
        redis.is_there().await;
        redis
    }

    /// Its address, as `REDIS_URL` has it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", socket(&self.folder).display())
    }

    /// Kills it. What it knew is lost.
    pub fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(socket(&self.folder));
    }

    /// Kills it, and starts an empty one at its address.
    pub async fn restart(&mut self) {
        self.stop();
        self.process = Self::run(&self.folder);
        self.is_there().await;
    }

    fn run(folder: &TempDir) -> Child {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(socket(folder))
            .current_dir(folder.path())
            .stdout(Stdio::null());
        spawn_from_keeper(command).unwrap_or_else(|error| {
            panic!("cannot run redis-server: {error} (scripts/setup-tests installs it)")
        })
    }

    async fn is_there(&self) {
        let deadline = Instant::now() + START_LIMIT;
        while tokio::net::UnixStream::connect(socket(&self.folder)).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("redis.sock")
}
