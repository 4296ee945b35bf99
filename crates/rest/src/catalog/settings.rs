//! The configuration that lives in the database.

use std::collections::BTreeMap;

use database::{Connection, Param, Statement};

use crate::catalog::QualifiedName;
use crate::catalog::load::{LoadError, text_array};
use crate::config::{Config, RELOADABLE};

const SETTINGS: &str = include_str!("sql/settings.sql");
const LOGIN_SETTINGS: &str = include_str!("sql/login_settings.sql");
const ROLE_SETTINGS: &str = include_str!("sql/role_settings.sql");

/// Reads what the database says about the configuration, over what the environment said.
pub async fn load(connection: &mut Connection, base: &Config) -> Result<Config, LoadError> {
    let mut settings = BTreeMap::new();
    if base.db_config {
        if let Some(function) = &base.pre_config {
            settings.extend(pre_config(connection, function).await?);
        }
        let results = connection.run(&[Statement::new(SETTINGS, &[]).uncached()]).await?;
        for row in results.iter().flat_map(|result| &result.rows) {
            if let (Some(name), Some(value)) = (row.text(0), row.text(1)) {
                settings.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    let mut config = match base.with_database_settings(&settings) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("Failed reloading config: {error}");
            base.clone()
        }
    };
    config.role_settings.clear();
    if !base.db_config {
        return Ok(config);
    }
    let results = connection.run(&[Statement::new(ROLE_SETTINGS, &[]).uncached()]).await?;
    for row in results.iter().flat_map(|result| &result.rows) {
        if let (Some(role), Some(name), Some(value)) = (row.text(0), row.text(1), row.text(2)) {
            config
                .role_settings
                .entry(role.to_owned())
                .or_default()
                .push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(config)
}

/// What the server applies to a new connection of the login role, as a text to compare.
pub async fn of_login(connection: &mut Connection) -> Result<String, LoadError> {
    let results = connection.run(&[Statement::new(LOGIN_SETTINGS, &[]).uncached()]).await?;
    Ok(results.first().and_then(|result| result.scalar()).unwrap_or_default().to_owned())
}

/// What the configured function leaves as settings of its transaction.
async fn pre_config(
    connection: &mut Connection,
    function: &QualifiedName,
) -> Result<BTreeMap<String, String>, LoadError> {
    let call = format!("select {}()", quoted(function));
    let names = text_array(&RELOADABLE.map(str::to_owned));
    let read = "select name, current_setting('pgrst.' || name, true) from unnest($1::text[]) as name";
    let names = [Param::Text(&names)];
    let results = connection
        .run(&[Statement::new(&call, &[]).uncached(), Statement::new(read, &names).uncached()])
        .await?;
    Ok(results
        .get(1)
        .into_iter()
        .flat_map(|result| &result.rows)
        .filter_map(|row| Some((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect())
}

/// A function's name, quoted.
pub(crate) fn quoted(function: &QualifiedName) -> String {
    let name = database::ident::quote_ident(&function.name);
    if function.schema.is_empty() {
        name.to_string()
    } else {
        format!("{}.{name}", database::ident::quote_ident(&function.schema))
    }
}
