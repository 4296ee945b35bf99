//! A project is applied to a new database once; a mark keeps that in mind until it has succeeded.
//!
//! The mark is of one database. Were it not, an embedded first start that failed would have the project's migrations and
//! seeds applied to whatever outside database is named next.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;

/// The mark: there from the making of the database until the project's files are in it.
pub(crate) struct FirstStart {
    mark: PathBuf,
}

/// Which database a mark is of.
pub(crate) enum Place {
    /// The embedded one in the state folder.
    Embedded,
    /// An embedded one that is gone at the end.
    Ephemeral,
    /// An outside one, by its address.
    Outside(String),
}

impl FirstStart {
    pub(crate) fn of(state: &Path, place: &Place) -> Self {
        let name = match place {
            Place::Embedded => "first-start".to_owned(),
            Place::Ephemeral => "first-start.ephemeral".to_owned(),
            Place::Outside(address) => {
                let mut hasher = DefaultHasher::new();
                address.hash(&mut hasher);
                format!("first-start.{:016x}", hasher.finish())
            }
        };
        Self { mark: state.join(name) }
    }

    pub(crate) fn begin(&self) -> Result<(), Error> {
        File::create(&self.mark).and_then(|mark| mark.sync_all()).map_err(Error::file("write", &self.mark))
    }

    /// Whether an earlier start, or this one, made the database and did not get to the end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.mark.exists()
    }

    pub(crate) fn end(&self) -> Result<(), Error> {
        match fs::remove_file(&self.mark) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("remove", &self.mark)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_until_the_end() {
        let place = tempfile::tempdir().unwrap();
        let first = FirstStart::of(place.path(), &Place::Embedded);
        assert!(!first.is_unfinished());
        first.begin().unwrap();
        assert!(FirstStart::of(place.path(), &Place::Embedded).is_unfinished());
        first.end().unwrap();
        first.end().unwrap();
        assert!(!first.is_unfinished());
    }

    #[test]
    fn an_unfinished_first_start_is_no_other_databases_affair() {
        let folder = tempfile::tempdir().unwrap();
        let places = [
            Place::Embedded,
            Place::Ephemeral,
            Place::Outside("postgresql://a/x".into()),
            Place::Outside("postgresql://b/x".into()),
        ];
        for begun in 0..places.len() {
            let first = FirstStart::of(folder.path(), &places[begun]);
            first.begin().unwrap();
            for (at, place) in places.iter().enumerate() {
                assert_eq!(FirstStart::of(folder.path(), place).is_unfinished(), at == begun);
            }
            first.end().unwrap();
        }
    }
}
