//! `monobase db adopt`: taking over a Supabase database that somebody else made.

use std::fmt::Write as _;

use bootstrap::Report;
use config::Config;

use crate::postgres::Postgres;
use crate::start::bootstrap_options;
use crate::{Error, Progress};

/// Compares the configured database with what ours look like, and with `apply` makes it ours: roles,
/// passwords, grants and migrations are brought to the documented state. Returns what was found and
/// done, a line each.
pub async fn adopt(config: &Config, apply: bool) -> Result<String, Error> {
    let postgres = Postgres::start(config, &Progress::default()).await?;
    let options = bootstrap_options(config, &postgres);
    let outcome = if apply {
        bootstrap::adopt(postgres.admin(), &options).await
    } else {
        bootstrap::check(postgres.admin(), &options).await
    };
    postgres.stop().await;
    Ok(describe(&outcome?))
}

fn describe(report: &Report) -> String {
    let mut out = format!("{:?}: PostgreSQL {}\n", report.outcome, version(report.server_version));
    let mut list = |title: &str, lines: Vec<String>| {
        for line in lines {
            let _ = writeln!(out, "{title}: {line}");
        }
    };
    list("applied", report.applied.clone());
    list("password set", report.passwords.clone());
    list("setting", report.settings.clone());
    list("differs", report.differences.iter().map(ToString::to_string).collect());
    list("warning", report.warnings.clone());
    out
}

/// 180004 is 18.4.
fn version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_version_is_read_as_people_write_it() {
        assert_eq!(version(180_004), "18.4");
        assert_eq!(version(150_013), "15.13");
    }
}
