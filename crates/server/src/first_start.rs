//! A project is applied to a new database once; a mark keeps that in mind until it has succeeded.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;

/// The mark: there from the making of the database until the project's files are in it.
pub(crate) struct FirstStart {
    mark: PathBuf,
}

impl FirstStart {
    pub(crate) fn of(state: &Path) -> Self {
        Self { mark: state.join("first-start") }
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
        let first = FirstStart::of(place.path());
        assert!(!first.is_unfinished());
        first.begin().unwrap();
        assert!(FirstStart::of(place.path()).is_unfinished());
        first.end().unwrap();
        first.end().unwrap();
        assert!(!first.is_unfinished());
    }
}
