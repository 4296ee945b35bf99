//! The secrets of an installation: how tokens are signed, which keys clients present.

use std::fmt;
use std::fs;
use std::path::Path;

use tokens::{ApiKeyRole, ApiKeys, KeySet, development, generate};

use crate::environment::Environment;
use crate::error::{ConfigError, Notice};
use crate::file::Auth;
use crate::secret::Secret;

/// The command that ends most errors of this module.
const MAKE_KEYS: &str = "`monobase keys generate` makes real secrets and writes them to .env";

/// The resolved secrets.
#[derive(Clone)]
pub struct Keys {
    /// Signs and verifies HS256 tokens.
    pub jwt_secret: Secret,
    /// A JSON array of private keys; one of them signs, before the secret.
    pub signing_keys: Option<Secret>,
    /// What clients present.
    pub api: ApiKeys,
    /// The S3 protocol's access key, its secret and its region.
    pub s3: S3Keys,
    /// Whether tokens of the published local signing key are accepted.
    development: bool,
}

/// The credentials of the S3 protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// The access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Secret,
    /// The region that clients sign for.
    pub region: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys { .. }")
    }
}

impl Keys {
    /// Whether these are the published local keys, which nothing beyond this machine is ever served with.
    #[must_use]
    pub fn are_local(&self) -> bool {
        self.development
    }

    /// The keys as the services use them.
    pub fn key_set(&self) -> Result<KeySet, ConfigError> {
        let unusable = |error: tokens::KeyError| {
            ConfigError::new(format!("the keys that sign tokens cannot be used: {error}")).hint(MAKE_KEYS)
        };
        let set = match &self.signing_keys {
            Some(json) => KeySet::from_signing_keys(json.expose()).map_err(unusable)?,
            None => KeySet::empty(),
        };
        let set = set.with_secret(self.jwt_secret.expose(), None).map_err(unusable)?;
        if !self.development {
            return Ok(set);
        }
        // Local tools sign with it, as they do against the CLI's stack.
        let local = tokens::Key::from_jwk(development::SIGNING_JWK).map_err(unusable)?;
        Ok(set.with_verifying_key(local))
    }

    /// What of these everyone knows, in the words of an error message.
    pub(crate) fn published(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut check = |secret: &str, name| {
            if development::is_published(secret) {
                found.push(name);
            }
        };
        check(self.jwt_secret.expose(), "JWT_SECRET");
        check(&self.api.anon_jwt, "ANON_KEY");
        check(&self.api.service_role_jwt, "SERVICE_ROLE_KEY");
        check(&self.api.publishable, "SUPABASE_PUBLISHABLE_KEY");
        check(&self.api.secret, "SUPABASE_SECRET_KEY");
        check(self.s3.secret_access_key.expose(), "S3_PROTOCOL_ACCESS_KEY_SECRET");
        let signs_with_local_key = self
            .signing_keys
            .as_ref()
            .is_some_and(|keys| keys.expose().contains(development::SIGNING_KEY_ID));
        if signs_with_local_key {
            found.push("the signing key");
        }
        found
    }
}

/// The names under which the services know the shared secret.
const SECRET_NAMES: [&str; 6] = [
    "SUPABASE_AUTH_JWT_SECRET",
    "JWT_SECRET",
    "GOTRUE_JWT_SECRET",
    "PGRST_JWT_SECRET",
    "AUTH_JWT_SECRET",
    "API_JWT_SECRET",
];

/// Services that verify with different secrets refuse each other's tokens, one request at a time.
fn refuse_differing_secrets(environment: &Environment) -> Result<(), ConfigError> {
    let set: Vec<(&str, &str)> = SECRET_NAMES
        .iter()
        .filter_map(|name| Some((*name, environment.get(name)?)))
        // PostgREST's may be a key set or a file's name.
        .filter(|(_, value)| !value.trim_start().starts_with(['{', '[', '@']))
        .collect();
    match set.iter().find(|(_, value)| *value != set[0].1) {
        None => Ok(()),
        Some((other, _)) => Err(ConfigError::new(format!(
            "{} and {other} differ: services would refuse each other's tokens",
            set[0].0
        ))
        .hint("set JWT_SECRET alone; every service under `monobase start` uses it")),
    }
}

pub(crate) fn resolve(
    auth: &Auth,
    supabase_folder: &Path,
    production: bool,
    environment: &Environment,
    notices: &mut Vec<Notice>,
) -> Result<Keys, ConfigError> {
    refuse_differing_secrets(environment)?;
    let jwt_secret = auth.jwt_secret.non_empty().unwrap_or(development::JWT_SECRET);
    if jwt_secret.len() < 16 {
        return Err(ConfigError::new("the JWT secret is shorter than 16 characters").hint(MAKE_KEYS));
    }
    let derived = |key: &Secret, role| -> Result<Box<str>, ConfigError> {
        match key.non_empty() {
            Some(key) => Ok(key.into()),
            None => generate::derived_api_key(jwt_secret, role)
                .map(Into::into)
                .map_err(|error| ConfigError::new(format!("cannot sign the {} key: {error}", role.as_str()))),
        }
    };
    // Opaque keys cannot be derived. Where published ones are no good, there are none.
    let opaque = |key: &Secret, local: &str| -> Box<str> {
        key.non_empty().unwrap_or(if production { "" } else { local }).into()
    };
    let keys = Keys {
        signing_keys: signing_keys(auth, supabase_folder, environment)?,
        api: ApiKeys {
            anon_jwt: derived(&auth.anon_key, ApiKeyRole::Anon)?,
            service_role_jwt: derived(&auth.service_role_key, ApiKeyRole::ServiceRole)?,
            publishable: opaque(&auth.publishable_key, development::PUBLISHABLE_KEY),
            secret: opaque(&auth.secret_key, development::SECRET_KEY),
        },
        s3: s3_keys(production, environment),
        jwt_secret: Secret::new(jwt_secret),
        development: !production && jwt_secret == development::JWT_SECRET,
    };
    check_api_keys(&keys, production, notices)?;
    Ok(keys)
}

fn s3_keys(production: bool, environment: &Environment) -> S3Keys {
    let value = |name, local: &'static str| {
        environment.get(name).unwrap_or(if production { "" } else { local }).to_owned()
    };
    S3Keys {
        access_key_id: value("S3_PROTOCOL_ACCESS_KEY_ID", development::S3_ACCESS_KEY_ID),
        secret_access_key: Secret::new(value(
            "S3_PROTOCOL_ACCESS_KEY_SECRET",
            development::S3_SECRET_ACCESS_KEY,
        )),
        region: environment.get("S3_PROTOCOL_REGION").unwrap_or(development::S3_REGION).to_owned(),
    }
}

fn signing_keys(
    auth: &Auth,
    supabase_folder: &Path,
    environment: &Environment,
) -> Result<Option<Secret>, ConfigError> {
    for name in ["GOTRUE_JWT_KEYS", "JWT_KEYS"] {
        if let Some(json) = environment.get(name) {
            KeySet::from_signing_keys(json).map_err(|error| {
                ConfigError::new(format!("{name} cannot be used: {error}")).hint(MAKE_KEYS)
            })?;
            return Ok(Some(Secret::new(json)));
        }
    }
    let Some(path) = auth.signing_keys_path.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = supabase_folder.join(path);
    let shown = path.display();
    let json = fs::read_to_string(&path).map_err(|error| {
        ConfigError::new(format!("cannot read the signing keys in {shown}: {error}")).hint(MAKE_KEYS)
    })?;
    KeySet::from_signing_keys(&json)
        .map_err(|error| ConfigError::new(format!("{shown} cannot be used: {error}")).hint(MAKE_KEYS))?;
    Ok(Some(Secret::new(json)))
}

/// A key that its secret did not sign, or that is of another role, is the usual mistake after a
/// change of secrets: every request fails with it, or anyone's succeeds.
fn check_api_keys(keys: &Keys, production: bool, notices: &mut Vec<Notice>) -> Result<(), ConfigError> {
    let set = keys.key_set()?;
    for (name, role) in [("ANON_KEY", ApiKeyRole::Anon), ("SERVICE_ROLE_KEY", ApiKeyRole::ServiceRole)] {
        let fault = match set.verify_signature(keys.api.jwt(role)) {
            Err(error) => format!("{name} does not belong to the JWT secret: {error}"),
            Ok(verified) if verified.role() != Some(role.as_str()) => {
                let found: String = verified.role().unwrap_or("none").chars().take(64).collect();
                return Err(ConfigError::new(format!(
                    "{name} is a key of role {found:?}, not {:?}",
                    role.as_str()
                ))
                .hint("ANON_KEY is what browsers see: check that the two keys are not exchanged"));
            }
            Ok(_) => continue,
        };
        if production {
            return Err(ConfigError::new(fault).hint(MAKE_KEYS));
        }
        notices.push(Notice::new(fault).hint(MAKE_KEYS));
    }
    Ok(())
}
