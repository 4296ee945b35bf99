//! Where a project's files are.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::ConfigError;
use crate::load::{Config, Flags};

/// A socket's path longer than this cannot be bound (`sun_path` has 108 bytes, one of them the end).
const LONGEST_SOCKET: usize = 107;

/// The folders of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The folder that holds `supabase/`.
    pub root: PathBuf,
    /// `supabase/`; need not exist.
    pub supabase: PathBuf,
    /// The configuration that was read.
    pub config_file: Option<PathBuf>,
    /// `.monobase/`: everything that lasts.
    pub state: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: PathBuf, config_file: Option<PathBuf>, state: PathBuf) -> Paths {
        Paths { supabase: root.join("supabase"), root, config_file, state }
    }

    /// Where an installation is, though its configuration may be broken meanwhile: who wants to stop a server must not
    /// have to mend a file first.
    pub fn locate(flags: &Flags, process: Environment, cwd: &Path) -> Result<Paths, ConfigError> {
        let root = Config::find_root(flags, &process, cwd)?;
        let named = process.get("MONOBASE_DATA_DIR").map(str::to_owned);
        if let Ok(config) = Config::load(flags, process, cwd) {
            return Ok(config.paths);
        }
        let state = Paths::state(flags.data_dir.as_deref(), named.as_deref(), &root, cwd);
        Ok(Paths::new(root, None, state))
    }

    /// The flag, relative to where the command was called, before the setting, relative to the project.
    pub(crate) fn state(flag: Option<&Path>, setting: Option<&str>, root: &Path, cwd: &Path) -> PathBuf {
        match (flag, setting.filter(|folder| !folder.is_empty())) {
            (Some(folder), _) => cwd.join(folder),
            (None, Some(folder)) => root.join(folder),
            (None, None) => root.join(".monobase"),
        }
    }

    /// The given folder, or the nearest above `cwd` with a `supabase/config.toml`, or `cwd`.
    pub(crate) fn find_root(workdir: Option<&Path>, cwd: &Path) -> Result<PathBuf, ConfigError> {
        if let Some(workdir) = workdir {
            let root = cwd.join(workdir);
            if !root.is_dir() {
                return Err(ConfigError::new(format!("there is no folder {}", root.display()))
                    .hint("check --workdir and SUPABASE_WORKDIR"));
            }
            return Ok(root);
        }
        let has_config = |folder: &&Path| folder.join("supabase/config.toml").is_file();
        Ok(cwd.ancestors().find(has_config).unwrap_or(cwd).to_owned())
    }

    /// The socket on which a running server is spoken to.
    pub fn control_socket(&self) -> PathBuf {
        let path = self.state.join("control.sock");
        if path.as_os_str().len() <= LONGEST_SOCKET {
            return path;
        }
        // Deep folders: a short name that the same folder always gives.
        let mut hash = DefaultHasher::new();
        self.state.hash(&mut hash);
        std::env::temp_dir().join(format!("monobase-{:016x}.sock", hash.finish()))
    }

    /// The log of a server in the background.
    pub fn log_file(&self) -> PathBuf {
        self.state.join("monobase.log")
    }
}
