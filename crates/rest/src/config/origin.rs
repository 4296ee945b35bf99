//! Where a configuration comes from, so that it can be read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::file::{self, Value};
use super::source::Source;
use super::{Config, ConfigError, problem};

/// The `PGRST_*` of an environment over a file. What the environment sets to nothing is not taken from the file either.
#[derive(Debug)]
pub struct Origin {
    variables: Vec<(String, String)>,
    file: Option<PathBuf>,
    /// What was read from pipes, which can be read only once.
    pipes: Mutex<BTreeMap<String, Vec<u8>>>,
}

const APP_SETTINGS: &str = "app.settings.";

impl Origin {
    /// The environment's variables and the path of the file, if there is one.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, file: Option<PathBuf>) -> Self {
        Self { variables: variables.into_iter().collect(), file, pipes: Mutex::default() }
    }

    /// Reads all of it, files that values name included.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut values = BTreeMap::new();
        let mut app_settings = BTreeMap::new();
        for (key, value) in self.of_file()? {
            if key.starts_with(APP_SETTINGS) {
                app_settings.insert(key, value.shown());
            } else {
                values.insert(key.replace('-', "_"), value.text());
            }
        }
        for (name, value) in &self.variables {
            if let Some(name) = name.strip_prefix("PGRST_APP_SETTINGS_") {
                app_settings.insert(format!("{APP_SETTINGS}{name}"), value.clone());
            } else if let Some(name) = name.strip_prefix("PGRST_") {
                values.insert(name.to_ascii_lowercase(), value.clone());
            }
        }
        let base = Config { app_settings: app_settings.into_iter().collect(), ..Config::default() };
        Source::new(values, &|path| self.named(path)).over(&base)
    }

    fn of_file(&self) -> Result<BTreeMap<String, Value>, ConfigError> {
        let Some(path) = &self.file else { return Ok(BTreeMap::new()) };
        let invalid = |reason: String| problem(&path.display().to_string(), reason);
        let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        let variable = |name: &str| {
            self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        file::parse(&text, &variable).map_err(invalid)
    }

    /// What is in a file that a value names.
    fn named(&self, path: &str) -> std::io::Result<Vec<u8>> {
        if Path::new(path).is_file() {
            return std::fs::read(path);
        }
        let mut pipes = self.pipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bytes) = pipes.get(path) {
            return Ok(bytes.clone());
        }
        let bytes = std::fs::read(path)?;
        pipes.insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }
}
