//! Real servers for these tests: one throw-away cluster a process and version, on a unix socket and on TCP with TLS.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use database::{ConnectConfig, Connection};

pub struct Cluster {
    pub folder: PathBuf,
    pub port: u16,
    pub bin: PathBuf,
    child: Child,
    _keep: Option<tempfile::TempDir>,
}

pub const PASSWORD: &str = "pässword with 'quotes'";

fn as_postgres(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

pub fn free_port() -> u16 {
    // Below the range of outgoing connections, which others take at any moment.
    loop {
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let port = 20_000 + (random % 12_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Folder with the programs of Debian's PostgreSQL 15.
pub fn debian() -> Option<PathBuf> {
    let bin = PathBuf::from("/usr/lib/postgresql/15/bin");
    bin.join("postgres").exists().then_some(bin)
}

/// Folder with the programs of the embedded engine, where it has been assembled.
pub fn embedded() -> Option<PathBuf> {
    // Cargo runs tests in the folder of their crate.
    let script = std::fs::canonicalize("../../scripts/engine").ok()?;
    let out = Command::new(script).arg("--path").output().ok()?;
    let bin = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim()).join("bin");
    bin.join("postgres").exists().then_some(bin)
}

/// Runs each test against both servers.
#[macro_export]
macro_rules! each_server {
    ($($(#[$attribute:meta])* async fn $name:ident($cluster:ident) $body:block)*) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn behaviour($cluster: &'static $crate::support::Cluster) $body

            #[tokio::test]
            async fn on_postgres_15() {
                if let Some(cluster) = $crate::support::shared_debian() {
                    behaviour(cluster).await;
                }
            }

            #[tokio::test]
            async fn on_embedded() {
                if let Some(cluster) = $crate::support::shared_embedded() {
                    behaviour(cluster).await;
                }
            }
        }
    )* };
}

impl Cluster {
    pub fn start(bin: &Path, settings: &[&str], hba: &str) -> Cluster {
        let keep = tempfile::Builder::new().prefix("db").tempdir_in("/tmp").unwrap();
        let folder = keep.path().to_owned();
        open_folder(&folder);
        let data = folder.join("data");
        let password_file = folder.join("pw");
        std::fs::write(&password_file, PASSWORD).unwrap();
        open_file(&password_file);
        let made = as_postgres(&bin.join("initdb"))
            .args(["-U", "postgres", "-N", "-E", "UTF8", "--locale=C", "-A", "trust"])
            .arg("--pwfile")
            .arg(&password_file)
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        // Written by us, read by the server's user.
        let script = format!("cat > '{}'", data.join("pg_hba.conf").display());
        pipe_as_postgres(&script, hba.as_bytes());
        let port = free_port();
        let mut cluster = Cluster {
            child: spawn(bin, &data, &folder, port, settings),
            folder,
            port,
            bin: bin.into(),
            _keep: Some(keep),
        };
        cluster.wait_ready();
        cluster
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        let socket = self.folder.join(format!(".s.PGSQL.{}", self.port));
        while begun.elapsed() < Duration::from_secs(30) {
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() && self.answers() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!(
            "the server did not start: {}",
            std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
        );
    }

    fn answers(&self) -> bool {
        let config = self.config();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { Connection::connect(&config).await.is_ok() })
        })
        .join()
        .unwrap()
    }

    /// As superuser over the unix socket.
    pub fn config(&self) -> ConnectConfig {
        ConnectConfig::unix(&self.folder, self.port, "postgres")
    }

    pub fn tcp(&self, user: &str) -> ConnectConfig {
        ConnectConfig::tcp("localhost", self.port, user).with_database("postgres")
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&self.config()).await.unwrap()
    }

    /// Stops the server at once, as when power fails, and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        let data = self.folder.join("data");
        pipe_as_postgres(&format!("rm -f '{}'", data.join("postmaster.pid").display()), b"");
        self.child = spawn(&self.bin, &data, &self.folder, self.port, &[]);
        self.wait_ready();
    }

    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid"))
            .ok()
            .and_then(|text| text.lines().next().map(str::to_owned));
        if let Some(pid) = pid {
            // SIGQUIT: immediate shutdown, no checkpoint.
            Command::new("kill").args(["-QUIT", &pid]).status().unwrap();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(bin: &Path, data: &Path, folder: &Path, port: u16, settings: &[&str]) -> Child {
    let mut command = as_postgres(&bin.join("postgres"));
    command.arg("-D").arg(data).arg("-k").arg(folder).args(["-p", &port.to_string()]);
    for setting in [
        "fsync=off",
        "listen_addresses=127.0.0.1",
        "max_connections=60",
        "shared_buffers=16MB",
        "logging_collector=off",
    ] {
        command.args(["-c", setting]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    let log = std::fs::File::options().append(true).create(true).open(folder.join("log")).unwrap();
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

pub fn pipe_as_postgres(script: &str, input: &[u8]) {
    use std::io::Write;
    let mut child =
        as_postgres(Path::new("/bin/sh")).arg("-c").arg(script).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success());
}

fn open_folder(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn open_file(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

pub const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

/// The cluster on PostgreSQL 15 that the tests of one file share.
pub fn shared_debian() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| start_shared(debian())).as_ref()
}

/// The cluster on the embedded engine that the tests of one file share.
pub fn shared_embedded() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| start_shared(embedded())).as_ref()
}

fn start_shared(bin: Option<PathBuf>) -> Option<Cluster> {
    let Some(bin) = bin else {
        eprintln!("this server is not installed: its tests are left out");
        return None;
    };
    let cluster = Cluster::start(&bin, &[], TRUST);
    stop_at_exit(&cluster);
    Some(cluster)
}

/// Statics are not dropped: a small watcher stops the server when this process has ended.
#[allow(clippy::zombie_processes)] // It outlives this process, that is its purpose.
pub fn stop_at_exit(cluster: &Cluster) {
    let script = format!(
        "while kill -0 {} 2>/dev/null; do sleep 0.2; done; kill -QUIT $(head -1 '{}'); sleep 0.3; rm -rf '{}'",
        std::process::id(),
        cluster.folder.join("data/postmaster.pid").display(),
        cluster.folder.display(),
    );
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap();
}
