//! `monobase status`: addresses and keys of what runs, for people and for scripts.

use std::collections::BTreeMap;

use server::control::{self, Status};

use crate::cli::{Global, StatusArguments};
use crate::failure::{Code, Failure};
use crate::{output, settings};

/// The keys of `--override-name`, as the Supabase CLI has them.
const OVERRIDES: [(&str, &str); 18] = [
    ("api.functions_url", "FUNCTIONS_URL"),
    ("api.graphql_url", "GRAPHQL_URL"),
    ("api.mcp_url", "MCP_URL"),
    ("api.rest_url", "REST_URL"),
    ("api.storage_s3_url", "STORAGE_S3_URL"),
    ("api.url", "API_URL"),
    ("auth.anon_key", "ANON_KEY"),
    ("auth.jwt_secret", "JWT_SECRET"),
    ("auth.publishable_key", "PUBLISHABLE_KEY"),
    ("auth.secret_key", "SECRET_KEY"),
    ("auth.service_role_key", "SERVICE_ROLE_KEY"),
    ("db.url", "DB_URL"),
    ("inbucket.url", "INBUCKET_URL"),
    ("mailpit.url", "MAILPIT_URL"),
    ("storage.s3_access_key_id", "S3_PROTOCOL_ACCESS_KEY_ID"),
    ("storage.s3_region", "S3_PROTOCOL_REGION"),
    ("storage.s3_secret_access_key", "S3_PROTOCOL_ACCESS_KEY_SECRET"),
    ("studio.url", "STUDIO_URL"),
];

pub(crate) fn run(global: &Global, arguments: &StatusArguments) -> Result<(), Failure> {
    let overrides = parse_overrides(&arguments.override_name)?;
    let socket = settings::place(global, &arguments.place)?.control_socket();
    let info = match settings::block_on_here(async { Ok(control::status(&socket).await?) })? {
        Status::Up(info) => info,
        Status::Starting => return Err(Failure::new("monobase is still starting").code(Code::Precondition)),
        Status::Down => {
            return Err(Failure::new("monobase is not running here")
                .code(Code::Precondition)
                .hint("start it with `monobase start`"));
        }
    };
    match output::variables(&rename(info.variables.clone(), &overrides), global.output)? {
        Some(text) => output::print(&text),
        None => output::print(&output::block(&info.variables)),
    }
}

/// From our name to the user's.
fn parse_overrides(given: &[String]) -> Result<BTreeMap<&'static str, String>, Failure> {
    let mut overrides = BTreeMap::new();
    for pair in given.iter().flat_map(|list| list.split(',')) {
        let usage = |message: String| {
            let keys: Vec<&str> = OVERRIDES.iter().map(|(key, _)| *key).collect();
            Failure::new(message).code(Code::Usage).hint(format!("the keys are {}", keys.join(", ")))
        };
        let Some((key, name)) = pair.split_once('=') else {
            return Err(usage(format!("--override-name {pair} is not of the form key=NAME")));
        };
        let Some((_, ours)) = OVERRIDES.iter().find(|(known, _)| *known == key.trim()) else {
            return Err(usage(format!("--override-name does not know the key {key}")));
        };
        overrides.insert(*ours, name.trim().to_owned());
    }
    Ok(overrides)
}

fn rename(
    variables: BTreeMap<String, String>,
    overrides: &BTreeMap<&'static str, String>,
) -> BTreeMap<String, String> {
    variables
        .into_iter()
        .map(|(name, value)| (overrides.get(name.as_str()).cloned().unwrap_or(name), value))
        .collect()
}
