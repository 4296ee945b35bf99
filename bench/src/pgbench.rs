//! The limit: pgbench in pipeline mode, with literally our statements.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::record::Recorded;

/// A pgbench script made of recorded statements, and the values of its variables.
pub(crate) struct Script {
    file: PathBuf,
    variables: Vec<String>,
    _folder: tempfile::TempDir,
}

/// How pgbench reaches the server.
pub(crate) struct Target<'a> {
    pub(crate) socket_folder: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

impl Script {
    /// Statements in one pipeline under one Sync. A parameter whose value is `key` becomes a random key of 1 to `keys`.
    pub(crate) fn pipelined(statements: &[Recorded], key: &str, keys: u32) -> Result<Self> {
        let mut text = format!("\\set key random(1, {keys})\n\\startpipeline\n");
        let mut variables = Vec::new();
        for (number, statement) in statements.iter().enumerate() {
            let mut sql = statement.sql.trim_end().trim_end_matches(';').replace('\n', " ");
            // From the last parameter down, so that $1 is not found in $10.
            for (index, value) in statement.values.iter().enumerate().rev() {
                let placeholder = format!("${}", index + 1);
                if value.as_deref() == Some(key) {
                    sql = sql.replace(&placeholder, ":key");
                    continue;
                }
                let name = format!("v{number}_{index}");
                // pgbench states no types.
                let cast = match statement.types.get(index) {
                    None | Some(0) => "",
                    Some(114) => "::json",
                    Some(3802) => "::jsonb",
                    Some(other) => bail!("a parameter of type {other} cannot be given to pgbench"),
                };
                sql = sql.replace(&placeholder, &format!(":{name}{cast}"));
                variables.push(format!(
                    "{name}={}",
                    value.as_deref().context("a NULL parameter cannot be given to pgbench")?
                ));
            }
            text.push_str(&sql);
            text.push_str(";\n");
        }
        text.push_str("\\endpipeline\n");
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("script.sql");
        std::fs::write(&file, text)?;
        Ok(Self { file, variables, _folder: folder })
    }

    /// Transactions per second with `connections` connections for `seconds`.
    pub(crate) fn run(
        &self,
        pgbench: &Path,
        target: &Target<'_>,
        connections: usize,
        seconds: u64,
    ) -> Result<f64> {
        let mut command = Command::new(pgbench.join("pgbench"));
        command
            .args(["-n", "-M", "prepared", "-j", "2"])
            .args(["-c", &connections.to_string(), "-T", &seconds.to_string()])
            .args(["-h", target.socket_folder, "-p", &target.port.to_string(), "-U", target.user])
            .env("PGPASSWORD", target.password)
            .env("PGSSLMODE", "disable")
            .arg("-f")
            .arg(&self.file);
        for variable in &self.variables {
            command.args(["-D", variable]);
        }
        let output = command.arg("postgres").output().context("run pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("pgbench: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let line =
            text.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench printed no rate")?;
        Ok(line.split_whitespace().next().context("a rate")?.parse()?)
    }

    /// The best rate of 4, 8 and 16 connections.
    pub(crate) fn best(&self, pgbench: &Path, target: &Target<'_>, seconds: u64) -> Result<f64> {
        let mut best = 0.0_f64;
        for connections in [4, 8, 16] {
            best = best.max(self.run(pgbench, target, connections, seconds)?);
        }
        Ok(best)
    }
}
