//! `[storage]` → Storage's settings, and where objects are kept.

use std::path::PathBuf;
use std::sync::Arc;

use config::Config;
use storage::blob::{LocalStore, Store};
use storage::config::Backend;
use storage::{ConfigError, Environment};

use crate::Error;

/// How many connections requests share. None is held while a body streams.
pub(crate) const POOL_SIZE: usize = 8;

/// The lifetime of upload URLs, in seconds, as the CLI sets it.
const UPLOAD_URL_LIFETIME: &str = "7200";

/// Names of the service's own that are heard in any case: none of them says where data lives, or who may reach it.
const HEARD: [&str; 15] = [
    "STORAGE_UNICODE_KEYS",
    "STORAGE_EMPTY_BUCKET_MAX",
    "UPLOAD_",
    "SIGNED_UPLOAD_URL_EXPIRATION_TIME",
    "REQUEST_ETAG_HEADERS",
    "RESPONSE_S_MAXAGE",
    "TUS_",
    "S3_ALLOW_FORWARDED_HEADER",
    "S3_PROTOCOL_ENFORCE_REGION",
    "S3_PROTOCOL_NON_CANONICAL_HOST_HEADER",
    "IMAGE_TRANSFORMATION_LIMIT_",
    "IMGPROXY_",
    "WEBHOOK_",
    "CDN_PURGE_ENDPOINT_",
    "DATABASE_SEARCH_PATH",
];

/// The limits of the service's pool.
#[must_use]
pub fn pool(config: &Config) -> database::PoolConfig {
    let wanted = config.environment.get("DATABASE_MAX_CONNECTIONS").and_then(|size| size.parse().ok());
    database::PoolConfig {
        name: "storage",
        max_size: wanted.filter(|size| *size > 0).unwrap_or(POOL_SIZE),
        ..database::PoolConfig::default()
    }
}

/// The settings of the storage service.
pub fn settings(config: &Config) -> Result<storage::Config, Error> {
    let section = &config.file.storage;
    let lookup = |name: &str| match name {
        "UPLOAD_FILE_SIZE_LIMIT" => Some(section.file_size_limit.0.to_string()),
        "UPLOAD_SIGNED_URL_EXPIRATION_TIME" => {
            config.environment.get(name).unwrap_or(UPLOAD_URL_LIFETIME).to_owned().into()
        }
        "TUS_URL_PATH" => Some("/storage/v1/upload/resumable".to_owned()),
        "S3_PROTOCOL_PREFIX" => Some("/storage/v1".to_owned()),
        "S3_PROTOCOL_ENABLED" => Some(section.s3_protocol.enabled.to_string()),
        "S3_PROTOCOL_ACCESS_KEY_ID" => non_empty(&config.keys.s3.access_key_id),
        "S3_PROTOCOL_ACCESS_KEY_SECRET" => non_empty(config.keys.s3.secret_access_key.expose()),
        "STORAGE_S3_REGION" => non_empty(&config.keys.s3.region),
        "IMAGE_TRANSFORMATION_ENABLED" => {
            Some((section.image_transformation.enabled != Some(false)).to_string())
        }
        "ANON_KEY" => Some(config.keys.api.anon_jwt.to_string()),
        "TENANT_ID" => config.environment.get(name).unwrap_or("stub").to_owned().into(),
        _ if HEARD.iter().any(|known| name.starts_with(known)) => {
            config.environment.get(name).map(str::to_owned)
        }
        _ => None,
    };
    let settings = Environment::settings(lookup).map_err(refused)?;
    Ok(storage::Config { trust_forwarded: true, version: env!("CARGO_PKG_VERSION").to_owned(), ..settings })
}

/// Where objects are kept under `start`: in the state folder, unless configuration names another place. In development
/// only names that begin with `MONOBASE_` do.
pub fn backend(config: &Config) -> Result<Backend, Error> {
    let lookup = |name: &str| {
        let ours = config.environment.get(&format!("MONOBASE_{name}"));
        let theirs = config.environment.get(name).filter(|_| config.production);
        ours.or(theirs).map(str::to_owned)
    };
    let files = || Backend::File { path: config.paths.state.join("storage"), bucket: None };
    match lookup("STORAGE_BACKEND").as_deref() {
        Some("s3") => match Environment::s3_store(lookup).map_err(refused)? {
            Some(store) => Ok(Backend::S3(store)),
            None => Err(Error::Settings {
                service: "storage",
                reason: "STORAGE_BACKEND is s3, and STORAGE_S3_BUCKET names no bucket".to_owned(),
            }),
        },
        _ => Ok(match lookup("STORAGE_FILE_BACKEND_PATH") {
            Some(path) => Backend::File { path: path.into(), bucket: lookup("STORAGE_S3_BUCKET") },
            None => files(),
        }),
    }
}

/// Opens the store, and says whether it may hold blobs of the original program.
pub(crate) fn open(backend: Backend) -> Result<(Arc<dyn Store>, bool), Error> {
    let failed = |reason: String| Error::Settings { service: "storage", reason };
    match backend {
        Backend::File { path, bucket } => {
            let upstream = storage::Config::upstream_root(&path, bucket.as_deref());
            let adopts = upstream.is_dir();
            // Beside the original's folders, whose names are a bucket's: theirs cannot begin with a dot.
            let own: PathBuf = path.join(".blobs");
            let store = LocalStore::open(own, adopts.then_some(upstream), true)
                .map_err(|error| failed(format!("{}: {error}", path.display())))?;
            Ok((Arc::new(store), adopts))
        }
        Backend::S3(_) => Err(failed("an S3-compatible store is not supported yet: use files".to_owned())),
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn refused(error: ConfigError) -> Error {
    Error::Settings { service: "storage", reason: error.to_string() }
}
