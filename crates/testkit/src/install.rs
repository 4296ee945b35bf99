//! Which PostgreSQL installations there are to test on.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A kind of PostgreSQL to test on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// The engine that the product embeds.
    Embedded,
    /// Debian's PostgreSQL 15, the oldest supported version: as somebody's own server would be.
    Debian15,
}

/// Where one is installed.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) bin: PathBuf,
    /// Names its build: part of the key of everything cached.
    pub(crate) id: String,
}

/// The servers that a test shall run on: the embedded engine, and Debian's where it is installed.
///
/// A missing one is announced: a run without it proves less.
pub fn servers() -> Vec<Server> {
    let mut servers = vec![Server::Embedded];
    if Server::Debian15.installation().is_some() {
        servers.push(Server::Debian15);
    } else {
        announce_missing();
    }
    servers
}

#[expect(clippy::print_stderr, reason = "the reader of a test run has to see it")]
fn announce_missing() {
    eprintln!(
        "\n!!! PostgreSQL 15 is not installed ({}): NOT TESTED ON IT. `make test` installs it; MONOBASE_TEST_PG15_BIN names \
         its folder of programs.\n",
        debian15_folder().display()
    );
}

fn debian15_folder() -> PathBuf {
    env::var_os("MONOBASE_TEST_PG15_BIN").map_or_else(|| "/usr/lib/postgresql/15/bin".into(), PathBuf::from)
}

impl Server {
    /// For messages and the names of cached folders.
    pub fn name(self) -> &'static str {
        match self {
            Server::Embedded => "embedded",
            Server::Debian15 => "debian15",
        }
    }

    /// One of its programs (`psql`, `pg_dump` …).
    pub fn program(self, name: &str) -> PathBuf {
        self.require().bin.join(name)
    }

    /// Settings that this kind of server needs, beside those of every test server.
    pub(crate) fn settings(self) -> Vec<(String, String)> {
        match self {
            // As the product starts its own.
            Server::Embedded => {
                let cache = cache_folder();
                let path = std::fs::create_dir_all(&cache)
                    .and_then(|()| bootstrap::install_extensions(&cache))
                    .unwrap_or_else(|error| {
                        panic!("cannot write extensions to {}: {error}", cache.display())
                    });
                vec![("extension_control_path".into(), path)]
            }
            Server::Debian15 => Vec::new(),
        }
    }

    /// The folder of its programs and what it is, or `None` when it is not installed.
    pub(crate) fn installation(self) -> Option<&'static Installation> {
        static EMBEDDED: OnceLock<Option<Installation>> = OnceLock::new();
        static DEBIAN15: OnceLock<Option<Installation>> = OnceLock::new();
        match self {
            Server::Embedded => EMBEDDED.get_or_init(|| Some(installation(engine_folder().join("bin")))),
            Server::Debian15 => DEBIAN15.get_or_init(|| {
                let bin = debian15_folder();
                bin.join("postgres").exists().then(|| installation(bin))
            }),
        }
        .as_ref()
    }

    pub(crate) fn require(self) -> &'static Installation {
        self.installation().unwrap_or_else(|| panic!("{} is not installed", self.name()))
    }
}

fn installation(bin: PathBuf) -> Installation {
    let output = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .unwrap_or_else(|error| panic!("{}/postgres does not run: {error}", bin.display()));
    let version = String::from_utf8_lossy(&output.stdout);
    let id: String = version
        .trim()
        .trim_start_matches("postgres (PostgreSQL) ")
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || character == '.' { character } else { '-' })
        .collect();
    Installation { bin, id }
}

/// The development engine, assembled on first use.
fn engine_folder() -> PathBuf {
    // That of the crate under test, as it is now; what it was when this was compiled may be another checkout's.
    let tested =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let script = tested.join("../../scripts/engine");
    let output = Command::new(&script)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    assert!(output.status.success(), "{} failed", script.display());
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// The folder in which clusters are kept between runs.
pub(crate) fn cache_folder() -> PathBuf {
    let base = if let Some(folder) = env::var_os("MONOBASE_CACHE") {
        PathBuf::from(folder)
    } else if nix::unistd::geteuid().is_root() {
        // Root's home is often closed to the user that PostgreSQL runs as.
        PathBuf::from("/var/cache/monobase")
    } else if let Some(folder) = env::var_os("XDG_CACHE_HOME") {
        PathBuf::from(folder).join("monobase")
    } else {
        PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache/monobase")
    };
    base.join("testkit")
}
