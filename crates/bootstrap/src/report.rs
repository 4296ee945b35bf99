//! What was found and done.

use std::fmt;

use crate::options::Class;

/// The result of [`apply`](crate::apply), [`adopt`](crate::adopt) and [`check`](crate::check).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In one word.
    pub outcome: Outcome,
    /// Names the database for good; `None` where it is not ours, or a template.
    pub installation: Option<String>,
    /// Whose server it is.
    pub class: Class,
    /// `server_version_num`, for example 180004.
    pub server_version: u32,
    /// Steps and migrations that were applied, `core/010 roles` or `auth/20210710035447 alter_users`.
    pub applied: Vec<String>,
    /// Roles whose password was set.
    pub passwords: Vec<String>,
    /// Database settings that were written or removed.
    pub settings: Vec<String>,
    /// What differs from a Supabase database, where that was looked at.
    pub differences: Vec<Difference>,
    /// What could not be done, or deserves attention.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether nothing at all was written.
    pub fn changed_nothing(&self) -> bool {
        self.applied.is_empty() && self.passwords.is_empty() && self.settings.is_empty()
    }
}

/// How the database stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was there already.
    UpToDate,
    /// It was a plain PostgreSQL, or a template nobody had started, and is a Supabase database now.
    Created,
    /// It was ours and has been brought forward.
    Migrated,
    /// It was somebody else's Supabase database and is ours now.
    Adopted,
    /// It is somebody else's Supabase database. Nothing was changed; `differences` says what adopting would.
    Foreign,
    /// It is a plain PostgreSQL. Nothing was changed (only [`check`](crate::check) says so).
    Plain,
}

/// One thing that is not as in a Supabase database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `role`, `role setting`, `membership`, `schema`, `extension`, `event trigger`, `publication`, `migration`.
    pub kind: String,
    /// Which one.
    pub object: String,
    /// How it should be.
    pub expected: String,
    /// How it is; empty when it is missing.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            write!(f, "{} {} is missing (expected {})", self.kind, self.object, self.expected)
        } else {
            write!(f, "{} {}: expected {}, found {}", self.kind, self.object, self.expected, self.found)
        }
    }
}
