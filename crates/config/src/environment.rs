//! The environment: variables of the process and of `.env` files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dotenv;
use crate::error::{ConfigError, Notice};

/// Where a variable was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariableSource {
    /// In the process.
    Process,
    /// In a file.
    File(PathBuf),
}

#[derive(Clone)]
struct Variable {
    value: String,
    source: VariableSource,
}

/// All variables: those of the process win over those of files, an earlier file over a later one.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
}

impl std::fmt::Debug for Environment {
    /// Names only: any value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// A `.env` file larger than this is none.
const LARGEST_FILE: u64 = 1 << 20;

impl Environment {
    /// The variables of the process. Those that are not UTF-8 are nobody's configuration.
    pub fn from_process(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
        let variables = variables.into_iter().filter_map(|(name, value)| {
            let variable = Variable { value: value.into_string().ok()?, source: VariableSource::Process };
            Some((name.into_string().ok()?, variable))
        });
        Environment { variables: variables.collect() }
    }

    /// A variable's value. An empty one counts as not set, as in compose files.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|variable| variable.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Where a variable is set.
    pub fn source(&self, name: &str) -> Option<&VariableSource> {
        self.variables.get(name).map(|variable| &variable.source)
    }

    /// Every variable that is not empty, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable.value.as_str()))
            .filter(|(_, value)| !value.is_empty())
    }

    /// Puts a file's variables above what is there, as services alone do with files that they are given. A line that is no
    /// assignment is an error. Returns whether the file exists.
    pub fn put_file(&mut self, path: &Path) -> Result<bool, ConfigError> {
        let mut of_file = Environment::default();
        let mut notices = Vec::new();
        if !of_file.add_file(path, path, &mut notices)? {
            return Ok(false);
        }
        if let Some(notice) = notices.into_iter().next() {
            return Err(ConfigError::new(notice.message));
        }
        self.variables.extend(of_file.variables);
        Ok(true)
    }

    /// Puts a file's variables below what is there. Returns whether the file exists.
    pub fn put_file_below(&mut self, path: &Path) -> Result<bool, ConfigError> {
        self.add_file(path, path, &mut Vec::new())
    }

    /// Adds a file's variables below what is there. Returns whether the file exists.
    pub(crate) fn add_file(
        &mut self,
        path: &Path,
        shown: &Path,
        notices: &mut Vec<Notice>,
    ) -> Result<bool, ConfigError> {
        let failed =
            |error: std::io::Error| ConfigError::new(format!("cannot read {}: {error}", shown.display()));
        let size = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            // A folder named .env is a Python environment.
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if size > LARGEST_FILE {
            return Err(ConfigError::new(format!(
                "{} is larger than 1 MiB, which no file of variables is",
                shown.display()
            )));
        }
        let text = match String::from_utf8(fs::read(path).map_err(failed)?) {
            Ok(text) => text,
            Err(error) => {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                return Err(ConfigError::new(format!("{}:{}: not UTF-8 text", shown.display(), line + 1))
                    .hint("save the file as UTF-8"));
            }
        };
        let parsed = dotenv::parse(&text, |name| self.get(name).map(str::to_owned));
        for line in parsed.bad_lines {
            notices.push(Notice::new(format!(
                "{}:{line} is not of the form NAME=value and was skipped",
                shown.display()
            )));
        }
        // Within a file the last assignment counts; between sources the first.
        let of_file: BTreeMap<String, String> = parsed.variables.into_iter().collect();
        for (name, value) in of_file {
            self.variables
                .entry(name)
                .or_insert_with(|| Variable { value, source: VariableSource::File(shown.to_owned()) });
        }
        Ok(true)
    }
}

/// The `.env` files of a project, most important first, as the Supabase CLI looks for them.
pub(crate) fn project_files(supabase_folder: &Path, root: &Path, name: &str) -> Vec<PathBuf> {
    let mut names = vec![format!(".env.{name}.local")];
    if name != "test" {
        names.push(".env.local".to_owned());
    }
    names.push(format!(".env.{name}"));
    names.push(".env".to_owned());
    [supabase_folder, root]
        .into_iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .collect()
}
