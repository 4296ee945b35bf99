//! Where a project's files are.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

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
