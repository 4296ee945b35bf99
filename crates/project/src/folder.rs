//! Which files of the folder are migrations.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Before this moment the first file of a project, when it was called `init`, held what the platform itself made.
const INIT_BEFORE: u64 = 20_211_209_000_000;

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The digits before the first underscore of its name.
    pub version: String,
    /// What comes after that underscore, without `.sql`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Migration {
    /// Its file name.
    pub fn file_name(&self) -> String {
        format!("{}_{}.sql", self.version, self.name)
    }
}

/// A file beside the migrations that is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its file name.
    pub file: String,
    /// Why it is not applied.
    pub reason: &'static str,
}

/// The migrations in `supabase/migrations`, in the order in which they are applied, and the files that were passed over.
/// `dir` is the folder `supabase`. Without a folder `migrations` there are none.
pub fn migrations(dir: &Path) -> Result<(Vec<Migration>, Vec<Skipped>), Error> {
    let folder = dir.join("migrations");
    let unreadable = |source| Error::Read { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        // A link to a file is a file.
        if fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    files.sort();

    let mut found = Vec::new();
    let mut skipped = Vec::new();
    for (index, (file, path)) in files.into_iter().enumerate() {
        match parse(&file) {
            Some((version, "init")) if index == 0 && is_old(version) => {
                skipped.push(Skipped {
                    file,
                    reason: "replace \"init\" with a different file name to apply this migration",
                });
            }
            Some((version, name)) => {
                let (version, name) = (version.to_owned(), name.to_owned());
                found.push(Migration { version, name, path });
            }
            None => {
                skipped
                    .push(Skipped { file, reason: "file name must match pattern \"<timestamp>_name.sql\"" });
            }
        }
    }
    Ok((found, skipped))
}

/// Version and name of `<digits>_<name>.sql`.
fn parse(file: &str) -> Option<(&str, &str)> {
    let (version, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let valid = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    valid.then_some((version, name))
}

fn is_old(version: &str) -> bool {
    version.len() == 14 && version.parse::<u64>().is_ok_and(|moment| moment < INIT_BEFORE)
}

/// The text of a file of SQL.
pub(crate) fn read_sql(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| Error::Encoding {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    match text.find('\0') {
        Some(offset) => Err(Error::Encoding { path: path.to_owned(), offset }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn migrations_are_found_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("migrations");
        fs::create_dir_all(folder.join("20240101000000_folder.sql")).unwrap();
        for file in [
            "20240102000000_b_c.sql",
            "1_add fn.sql",
            "20240101000000_a.sql",
            "notes.md",
            "x_1.sql",
            "20240103000000.sql",
            "9_.sql",
        ] {
            fs::write(folder.join(file), "").unwrap();
        }
        let (found, skipped) = migrations(dir.path()).unwrap();
        let found: Vec<_> = found.iter().map(|m| (m.version.as_str(), m.name.as_str())).collect();
        assert_eq!(found, [("1", "add fn"), ("20240101000000", "a"), ("20240102000000", "b_c"), ("9", "")]);
        let skipped: Vec<_> = skipped.iter().map(|s| s.file.as_str()).collect();
        assert_eq!(skipped, ["20240103000000.sql", "notes.md", "x_1.sql"]);
    }

    #[test]
    fn an_old_first_file_called_init_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("migrations");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("20211208000000_init.sql"), "").unwrap();
        fs::write(folder.join("20211208000001_init.sql"), "").unwrap();
        let (found, skipped) = migrations(dir.path()).unwrap();
        assert_eq!(found.iter().map(Migration::file_name).collect::<Vec<_>>(), ["20211208000001_init.sql"]);
        assert_eq!(skipped[0].file, "20211208000000_init.sql");
    }

    #[test]
    fn a_project_without_migrations_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(migrations(dir.path()).unwrap(), (Vec::new(), Vec::new()));
    }
}
