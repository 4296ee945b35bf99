//! `[api]` → PostgREST's settings.

use config::Config;

use crate::Error;

/// Names that say where the database is and how tokens are verified: not the environment's to decide here.
const OURS: [&str; 5] = [
    "PGRST_DB_URI",
    "PGRST_JWT_SECRET",
    "PGRST_JWT_SECRET_IS_BASE64",
    "PGRST_SERVER_PORT",
    "PGRST_ADMIN_SERVER_PORT",
];

/// The settings of the rest service.
pub fn settings(config: &Config) -> Result<rest::Config, Error> {
    let settings = rest::Config::from_env(variables(config))
        .map_err(|error| Error::Settings { service: "rest", reason: error.to_string() })?;
    // The front door answers cross-origin requests. Supabase's databases load pg-safeupdate for this service.
    Ok(rest::Config { cors: false, require_where: true, ..settings })
}

fn variables(config: &Config) -> Vec<(String, String)> {
    let api = &config.file.api;
    let mut variables = vec![
        ("PGRST_DB_ANON_ROLE".to_owned(), "anon".to_owned()),
        ("PGRST_DB_POOL".to_owned(), POOL_SIZE.to_string()),
        ("PGRST_APP_SETTINGS_JWT_EXP".to_owned(), config.file.auth.jwt_expiry.to_string()),
        (
            "PGRST_OPENAPI_SERVER_PROXY_URI".to_owned(),
            format!("{}/rest/v1/", config.public_url(config.listen.api.port())),
        ),
    ];
    let own =
        config.environment.iter().filter(|(name, _)| name.starts_with("PGRST_") && !OURS.contains(name));
    variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // The environment's names for these have been heard already, in their place among the other sources.
    variables.extend([
        ("PGRST_DB_SCHEMAS".to_owned(), api.schemas.join(",")),
        ("PGRST_DB_EXTRA_SEARCH_PATH".to_owned(), api.extra_search_path.join(",")),
    ]);
    if api.max_rows > 0 {
        variables.push(("PGRST_DB_MAX_ROWS".to_owned(), api.max_rows.to_string()));
    }
    variables
}

/// How many connections requests share. With those of the other services it makes 40.
const POOL_SIZE: usize = 14;
