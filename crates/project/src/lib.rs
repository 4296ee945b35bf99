//! The folder `supabase/` of a project: its roles, migrations and seeds, and how they get into a database.
//!
//! Both ways of working on one project give the same database: files are split into statements, applied and recorded as the
//! Supabase CLI does it, in the same history tables.
//!
//! ```text
//! folder ──► splitter ──► batch ──► history
//!   files      statements   transactions   supabase_migrations.schema_migrations, .seed_files
//! ```

mod apply;
mod batch;
mod error;
mod folder;
mod history;
mod lexer;
mod seeds;
mod splitter;

pub use apply::{ProjectOptions, Report, apply};
pub use error::{Error, StatementError};
pub use folder::{Migration, Skipped, migrations};
pub use splitter::split;
