//! Roles, then migrations, then seeds.

use std::path::PathBuf;

use database::{ConnectConfig, Connection, Param, Statement};
use tracing::{info, warn};

use crate::batch;
use crate::error::Error;
use crate::folder::{self, Skipped};
use crate::history;
use crate::seeds;
use crate::splitter::split;

/// Two starts at once apply a project one after the other.
const LOCK: &str = "select pg_catalog.pg_advisory_lock(pg_catalog.hashtext('monobase.project'))";

/// What to apply.
#[derive(Debug, Clone)]
pub struct ProjectOptions {
    /// The folder `supabase`.
    pub dir: PathBuf,
    /// Whether to apply migrations, `db.migrations.enabled`.
    pub migrations: bool,
    /// Whether to run seeds, `db.seed.enabled`.
    pub seed: bool,
    /// Which files are seeds, `db.seed.sql_paths`: patterns relative to `dir`.
    pub seed_paths: Vec<String>,
}

impl ProjectOptions {
    /// Everything in `dir`, with the CLI's defaults.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), migrations: true, seed: true, seed_paths: vec!["./seed.sql".to_owned()] }
    }
}

/// What was done. Files are named as messages name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether there was a `roles.sql`.
    pub roles: bool,
    /// File names of the migrations that were applied.
    pub applied: Vec<String>,
    /// How many migrations had been applied before.
    pub already_applied: usize,
    /// Files beside the migrations that were passed over.
    pub skipped: Vec<Skipped>,
    /// Seed files that were run.
    pub seeded: Vec<String>,
    /// Seed files that had been run with another content, and were not run again.
    pub changed_seeds: Vec<String>,
    /// Patterns of seeds that name no file.
    pub patterns_without_files: Vec<String>,
}

/// Applies what is pending of a project. `config` is the user `postgres`, who shall own what the files create.
///
/// Every file is one transaction with its entry in the history. The first failure ends it; what was applied before stays.
pub async fn apply(config: &ConnectConfig, options: &ProjectOptions) -> Result<Report, Error> {
    let mut connection = Connection::connect(config).await.map_err(Error::Connect)?;
    let result = apply_on(&mut connection, options).await;
    let closed = connection.close().await;
    let report = result?;
    if let Err(error) = closed {
        // Everything has been committed.
        warn!(%error, "the connection did not end well");
    }
    Ok(report)
}

async fn apply_on(connection: &mut Connection, options: &ProjectOptions) -> Result<Report, Error> {
    let mut report = Report::default();
    connection.run(&[Statement::new(LOCK, &[]).uncached()]).await.map_err(Error::History)?;

    let roles = options.dir.join("roles.sql");
    if roles.is_file() {
        info!(file = "roles.sql", "seeding globals");
        let sql = folder::read_sql(&roles)?;
        batch::run(connection, "roles.sql", &split(&sql), None).await?;
        report.roles = true;
    }
    if options.migrations {
        migrate(connection, options, &mut report).await?;
    }
    if options.seed {
        seed(connection, options, &mut report).await?;
    }
    Ok(report)
}

async fn migrate(
    connection: &mut Connection,
    options: &ProjectOptions,
    report: &mut Report,
) -> Result<(), Error> {
    let (local, skipped) = folder::migrations(&options.dir)?;
    for Skipped { file, reason } in &skipped {
        info!(file, "skipping migration: {reason}");
    }
    report.skipped = skipped;

    let applied = history::applied(connection).await?;
    let pending = history::pending(&local, &applied)?;
    report.already_applied = applied.len();
    if !pending.is_empty() {
        history::create_migrations(connection).await?;
    }
    for migration in pending {
        let file = migration.file_name();
        info!(file, "applying migration");
        let sql = folder::read_sql(&migration.path)?;
        let statements = split(&sql);
        let array = history::array(&statements);
        let params = history::migration_params(migration, &array);
        batch::run(connection, &file, &statements, Some((history::RECORD_MIGRATION, &params))).await?;
        report.applied.push(file);
    }
    Ok(())
}

async fn seed(
    connection: &mut Connection,
    options: &ProjectOptions,
    report: &mut Report,
) -> Result<(), Error> {
    let (files, without_files) = seeds::files(&options.dir, &options.seed_paths)?;
    for pattern in &without_files {
        info!(pattern, "no files matched pattern");
    }
    report.patterns_without_files = without_files;
    if files.is_empty() {
        return Ok(());
    }

    let pending = seeds::pending(&options.dir, files, &history::seeds(connection).await?)?;
    if !pending.is_empty() {
        history::create_seeds(connection).await?;
    }
    for seed in pending {
        let sql = if seed.changed { String::new() } else { folder::read_sql(&seed.path)? };
        if seed.changed {
            info!(file = seed.name, "updating seed hash");
        } else {
            info!(file = seed.name, "seeding data");
        }
        let record = [Param::Text(&seed.name), Param::Text(&seed.hash)];
        batch::run(connection, &seed.name, &split(&sql), Some((history::RECORD_SEED, &record))).await?;
        if seed.changed {
            report.changed_seeds.push(seed.name);
        } else {
            report.seeded.push(seed.name);
        }
    }
    Ok(())
}
