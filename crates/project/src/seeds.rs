//! Which files are seeds, and which of them are to be run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;

/// A seed file that is to be run, or whose hash is to be updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seed {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What the history calls it: its path from the project's folder.
    pub(crate) name: String,
    /// SHA-256 of its content, in hex.
    pub(crate) hash: String,
    /// It was run with another content: only the hash is updated, because running it again would double its rows.
    pub(crate) changed: bool,
}

/// The files that `patterns` name, and the patterns that name none. Patterns are relative to `dir`, the folder `supabase`;
/// their order is kept, and the files of one pattern are sorted.
pub(crate) fn files(dir: &Path, patterns: &[String]) -> Result<(Vec<PathBuf>, Vec<String>), Error> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let mut files: Vec<PathBuf> = Vec::new();
    let mut without_files = Vec::new();
    for pattern in patterns {
        let invalid = |reason: String| Error::Pattern { pattern: pattern.clone(), reason };
        let relative = pattern.strip_prefix("./").unwrap_or(pattern);
        let full = if Path::new(pattern).is_absolute() {
            pattern.clone()
        } else {
            let folder =
                dir.to_str().ok_or_else(|| invalid("the path of the project is not UTF-8".into()))?;
            format!("{}/{relative}", glob::Pattern::escape(folder))
        };
        let matches = glob::glob_with(&full, options).map_err(|error| invalid(error.to_string()))?;
        let mut found = Vec::new();
        for entry in matches {
            let path =
                entry.map_err(|error| Error::Read { path: error.path().to_owned(), source: error.into() })?;
            if path.is_file() {
                found.push(path);
            }
        }
        if found.is_empty() {
            without_files.push(pattern.clone());
        }
        found.sort();
        for path in found {
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    Ok((files, without_files))
}

/// The seeds among `files` that the history does not have with their present content.
pub(crate) fn pending(
    dir: &Path,
    files: Vec<PathBuf>,
    run: &BTreeMap<String, String>,
) -> Result<Vec<Seed>, Error> {
    let mut pending = Vec::new();
    for path in files {
        let content = fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let name = name(dir, &path);
        let hash = hex::encode(Sha256::digest(&content));
        match run.get(&name) {
            Some(known) if *known == hash => {}
            known => pending.push(Seed { changed: known.is_some(), path, name, hash }),
        }
    }
    Ok(pending)
}

/// `supabase/seed.sql`, wherever the project is, so that both tools and every machine mean the same file.
fn name(dir: &Path, path: &Path) -> String {
    match path.strip_prefix(dir) {
        Ok(relative) => format!("supabase/{}", relative.display()),
        Err(_) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        // A name that would be a pattern.
        let dir = tempfile::Builder::new().prefix("pro[j]ect*").tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        dir
    }

    fn names(dir: &Path, patterns: &[&str]) -> (Vec<String>, Vec<String>) {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let (files, without) = files(dir, &patterns).unwrap();
        (files.iter().map(|path| name(dir, path)).collect(), without)
    }

    #[test]
    fn patterns_keep_their_order_and_their_files_are_sorted() {
        let dir = project(&["seed.sql", "seeds/b.sql", "seeds/a.sql", "seeds/a.txt", "seeds/deep/c.sql"]);
        assert_eq!(
            names(dir.path(), &["./seeds/*.sql", "./seed.sql", "seeds/a*"]),
            (
                ["supabase/seeds/a.sql", "supabase/seeds/b.sql", "supabase/seed.sql", "supabase/seeds/a.txt"]
                    .map(String::from)
                    .to_vec(),
                Vec::new()
            )
        );
    }

    #[test]
    fn a_pattern_without_files_is_reported() {
        let dir = project(&[]);
        assert_eq!(names(dir.path(), &["./seed.sql"]), (Vec::new(), vec!["./seed.sql".to_owned()]));
        assert!(matches!(files(dir.path(), &["a[".to_owned()]), Err(Error::Pattern { .. })));
    }

    #[test]
    fn a_seed_is_pending_until_its_hash_is_known() {
        let dir = project(&["seed.sql"]);
        let path = dir.path().join("seed.sql");
        let hash = "7cf0b3d5c6b6e0e0e4e2a7aa2f2d9f9b".to_owned();
        let fresh = pending(dir.path(), vec![path.clone()], &BTreeMap::new()).unwrap();
        assert_eq!((fresh.len(), fresh[0].changed, fresh[0].hash.len()), (1, false, 64));
        let other = BTreeMap::from([("supabase/seed.sql".to_owned(), hash)]);
        assert!(pending(dir.path(), vec![path.clone()], &other).unwrap()[0].changed);
        let same = BTreeMap::from([("supabase/seed.sql".to_owned(), fresh[0].hash.clone())]);
        assert_eq!(pending(dir.path(), vec![path], &same).unwrap(), []);
    }
}
