//! The one connection that a run works on.

use database::{ConnectConfig, Connection, ResultSet};

use crate::error::Error;

/// As whom a transaction runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunAs<'a> {
    /// `None` for the role that connected.
    pub(crate) role: Option<&'a str>,
    /// A superuser must not find anything in a schema where others may create functions.
    pub(crate) search_path: &'a str,
}

impl RunAs<'static> {
    /// The role that connected.
    pub(crate) const CONNECTED: Self = Self { role: None, search_path: "pg_catalog" };
    /// The owner of our own schema objects.
    pub(crate) const ADMIN: Self = Self { role: Some("supabase_admin"), search_path: "pg_catalog" };
}

pub(crate) struct Session {
    connection: Connection,
}

impl Session {
    pub(crate) async fn open(config: &ConnectConfig) -> Result<Self, Error> {
        let config = config.clone().with_application_name("monobase bootstrap");
        Ok(Self { connection: Connection::connect(&config).await? })
    }

    pub(crate) async fn close(self) {
        // Closing is a courtesy to the server; everything has been committed.
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing the bootstrap connection");
        }
    }

    /// Runs statements outside any transaction of ours.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<ResultSet>, Error> {
        Ok(self.connection.simple_query(sql).await?)
    }

    /// The rows of the only statement in `sql`.
    pub(crate) async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        let results = self.query(sql).await?;
        Ok(results.first().map(texts).unwrap_or_default())
    }

    /// The first column of the only statement in `sql`, without nulls.
    pub(crate) async fn column(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        Ok(self.rows(sql).await?.into_iter().filter_map(|mut row| row.swap_remove(0)).collect())
    }

    /// Runs statements that hold secrets in one transaction, as [`RunAs::ADMIN`], without leaving them in the server's log or
    /// in pg_stat_statements.
    ///
    /// The server logs a batch as a whole, by the settings before it and after it: three batches.
    pub(crate) async fn secret_transaction(&mut self, sql: &str) -> Result<(), database::Error> {
        const QUIET: &str = "begin; \
            set local session authorization supabase_admin; \
            set local search_path to pg_catalog; \
            set local log_statement to none; \
            set local log_min_duration_statement to -1; \
            set local log_min_duration_sample to -1; \
            set local log_transaction_sample_rate to 0; \
            set local log_min_error_statement to panic; \
            set local pg_stat_statements.track_utility to off";
        let result = async {
            self.connection.simple_query(QUIET).await?;
            self.connection.simple_query(sql).await?;
            self.connection.simple_query("commit").await
        };
        match result.await {
            Ok(_) => Ok(()),
            Err(error) => {
                // The connection may be gone; then the server rolls back by itself.
                let _ = self.connection.simple_query("rollback").await;
                Err(error)
            }
        }
    }

    /// Runs `sql` in one transaction, in one round trip unless it fails.
    ///
    /// The session user changes as well as the current user, so that what is created belongs to `run_as` and triggers see
    /// the same login as if the service had done it itself.
    pub(crate) async fn transaction(&mut self, run_as: RunAs<'_>, sql: &str) -> Result<(), database::Error> {
        let mut batch = String::with_capacity(sql.len() + 200);
        batch.push_str("begin;\n");
        if let Some(role) = run_as.role {
            batch.push_str(&format!(
                "set local session authorization {};\n",
                database::ident::quote_ident(role)
            ));
        }
        batch.push_str(&format!("set local search_path to {};\n", run_as.search_path));
        batch.push_str(sql);
        batch.push_str("\n;commit");
        match self.connection.simple_query(&batch).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // The connection may be gone; then the server rolls back by itself.
                let _ = self.connection.simple_query("rollback").await;
                Err(error)
            }
        }
    }
}

/// The rows of a result as text.
pub(crate) fn texts(result: &ResultSet) -> Vec<Vec<Option<String>>> {
    result
        .rows
        .iter()
        .map(|row| (0..row.len()).map(|index| row.text(index).map(str::to_owned)).collect())
        .collect()
}
