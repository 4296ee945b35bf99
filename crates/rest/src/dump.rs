//! What the service would work with, for whoever wants to see it without serving.

use database::{ConnectConfig, Connection};

use crate::catalog::load::{self, LoadError};
use crate::catalog::{self, settings};
use crate::config::Config;

/// The configuration as a file, with what the database says where that is asked for. A database that is away is told of in
/// the log, and the rest is shown.
pub async fn config(config: Config) -> String {
    if !config.db_config {
        return config.dump();
    }
    let told = async {
        let mut connection = Connection::connect(&config.connect().map_err(|error| error.to_string())?)
            .await
            .map_err(|error| error.to_string())?;
        settings::load(&mut connection, &config).await.map_err(|error| error.to_string())
    };
    match told.await {
        Ok(config) => config.dump(),
        Err(error) => {
            tracing::error!(error, "the database was not asked for its part of the configuration");
            config.dump()
        }
    }
}

/// The catalogue as JSON.
pub async fn catalogue(config: Config, login: &ConnectConfig) -> Result<String, LoadError> {
    let mut connection = Connection::connect(login).await?;
    let config = settings::load(&mut connection, &config).await?;
    let catalog = load::load(&mut connection, &config, None).await?;
    Ok(catalog::json(&catalog).to_string())
}
