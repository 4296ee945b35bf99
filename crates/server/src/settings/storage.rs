//! `[storage]` → Storage's settings, and where objects are kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use config::Config;
use storage::blob::{LocalStore, S3Store, Store};
use storage::config::Backend;
use storage::{ConfigError, Environment};

use crate::Error;

/// How many connections requests share. None is held while a body streams.
pub(crate) const POOL_SIZE: usize = 8;

/// The lifetime of upload URLs, in seconds, as the CLI sets it.
const UPLOAD_URL_LIFETIME: &str = "7200";

/// Names of the service's own that are heard in any case: none of them says where data lives, or who may reach it.
const HEARD: [&str; 19] = [
    "STORAGE_MEMORY_CACHE",
    "STORAGE_UNICODE_KEYS",
    "STORAGE_EMPTY_BUCKET_MAX",
    "UPLOAD_",
    "SIGNED_UPLOAD_URL_EXPIRATION_TIME",
    "REQUEST_ETAG_HEADERS",
    "REQUEST_TRACE_HEADER",
    "RESPONSE_S_MAXAGE",
    "TUS_",
    "S3_ALLOW_FORWARDED_HEADER",
    "S3_PROTOCOL_ENFORCE_REGION",
    "S3_PROTOCOL_NON_CANONICAL_HOST_HEADER",
    "IMAGE_TRANSFORMATION_LIMIT_",
    "IMGPROXY_",
    "RATE_LIMITER_",
    "ENABLE_RATE_LIMITER",
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
    Ok(storage::Config {
        behind_gateway: true,
        trust_forwarded: true,
        public_url: config.file.api.external_url.clone().filter(|url| !url.is_empty()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..settings
    })
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
        kind => {
            Ok(match (lookup("STORAGE_FILE_BACKEND_PATH"), Environment::r2_store(lookup).map_err(refused)?) {
                (Some(path), _) => Backend::File { path: path.into(), bucket: lookup("STORAGE_S3_BUCKET") },
                (None, Some(store)) if kind.is_none() => Backend::S3(store),
                (None, _) => files(),
            })
        }
    }
}

/// A listener of its own for a part of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What answers there.
    pub(crate) kind: DoorKind,
    /// The setting that asks for it.
    pub(crate) setting: &'static str,
}

/// What answers at a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DoorKind {
    /// The S3 protocol at the root path.
    S3,
    /// The objects of this public bucket.
    Public(String),
}

impl Door {
    pub(crate) fn router(&self, storage: &storage::Storage) -> axum::Router {
        match &self.kind {
            DoorKind::S3 => storage.s3_router(),
            DoorKind::Public(bucket) => storage.public_router(bucket),
        }
    }
}

/// The doors that the environment asks for: `STORAGE_S3_LISTEN` (`host:port`) for S3 at a root, and for the bucket
/// `R2_BUCKET_NAME` the address of `R2_PUBLIC_URL` when it is one of this machine, or `STORAGE_PUBLIC_LISTEN` when a proxy
/// stands before it.
pub(crate) fn doors(lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<Door>, Error> {
    let address = |name: &str, text: &str| {
        let text = text.replace("localhost", "127.0.0.1");
        text.parse::<SocketAddr>().map_err(|_| Error::Settings {
            service: "storage",
            reason: format!("{name}: {text:?} is no address of the form host:port"),
        })
    };
    let mut doors = Vec::new();
    if let Some(text) = lookup("STORAGE_S3_LISTEN") {
        let setting = "STORAGE_S3_LISTEN";
        doors.push(Door { address: address(setting, &text)?, kind: DoorKind::S3, setting });
    }
    let bucket = lookup("R2_BUCKET_NAME").or_else(|| lookup("R2_BUCKET"));
    let Some(bucket) = bucket.filter(|bucket| !bucket.is_empty()) else { return Ok(doors) };
    let local = lookup("R2_PUBLIC_URL").and_then(|url| {
        let host = url.strip_prefix("http://")?.trim_end_matches('/').replace("localhost", "127.0.0.1");
        host.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback())
    });
    let (setting, public) = match lookup("STORAGE_PUBLIC_LISTEN") {
        Some(text) => ("STORAGE_PUBLIC_LISTEN", Some(address("STORAGE_PUBLIC_LISTEN", &text)?)),
        None => ("R2_PUBLIC_URL", local),
    };
    doors.extend(public.map(|address| Door { address, kind: DoorKind::Public(bucket), setting }));
    Ok(doors)
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
        Backend::S3(backend) => {
            let http = crate::outgoing::client()
                .pool_max_idle_per_host(backend.max_sockets)
                .build()
                .map_err(|error| failed(error.to_string()))?;
            let store = S3Store::new(&backend, http).map_err(|error| failed(error.to_string()))?;
            Ok((Arc::new(store), true))
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn refused(error: ConfigError) -> Error {
    Error::Settings { service: "storage", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, DoorKind)> {
        let lookup =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        doors(lookup).unwrap().into_iter().map(|door| (door.address.to_string(), door.kind)).collect()
    }

    #[test]
    fn the_names_of_r2_choose_a_store() {
        let of = |pairs: &[(&str, &str)]| {
            let lookup =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Environment::r2_store(lookup).map_err(|error| error.to_string())
        };
        let keys = [("R2_ACCESS_KEY_ID", "id"), ("R2_SECRET_ACCESS_KEY", "secret")];
        let store =
            of(&[("R2_BUCKET", "photos"), ("R2_ACCOUNT_ID", "abc"), keys[0], keys[1]]).unwrap().unwrap();
        assert_eq!(store.endpoint.as_deref(), Some("https://abc.r2.cloudflarestorage.com"));
        assert_eq!(
            (store.bucket.as_str(), store.region.as_str(), store.force_path_style),
            ("photos", "auto", true)
        );
        assert_eq!(store.credentials, Some(("id".to_owned(), "secret".to_owned())));
        let at = ("R2_ENDPOINT", "http://127.0.0.1:9000");
        let store = of(&[("R2_BUCKET_NAME", "b"), at, keys[0], keys[1]]).unwrap().unwrap();
        assert_eq!(store.endpoint.as_deref(), Some(at.1));
        assert_eq!(of(&[("R2_BUCKET", "b"), keys[0], keys[1]]), Ok(None));
        assert_eq!(
            of(&[("R2_BUCKET", "b"), at, keys[0]]),
            Err("R2_SECRET_ACCESS_KEY: is not set".to_owned())
        );
    }

    #[test]
    fn doors_are_opened_where_they_are_asked_for() {
        let bucket = ("R2_BUCKET_NAME", "photos");
        let public = |address: &str| vec![(address.to_owned(), DoorKind::Public("photos".into()))];
        assert_eq!(
            of(&[("STORAGE_S3_LISTEN", "127.0.0.1:9000")]),
            [("127.0.0.1:9000".to_owned(), DoorKind::S3)]
        );
        assert_eq!(of(&[bucket, ("R2_PUBLIC_URL", "http://localhost:9001/")]), public("127.0.0.1:9001"));
        assert_eq!(of(&[("R2_PUBLIC_URL", "http://localhost:9001")]), []);
        // A published address is served by whoever stands before us.
        assert_eq!(of(&[bucket, ("R2_PUBLIC_URL", "https://pub-1.r2.dev")]), []);
        assert_eq!(
            of(&[
                bucket,
                ("R2_PUBLIC_URL", "https://cdn.example.com"),
                ("STORAGE_PUBLIC_LISTEN", "0.0.0.0:9001")
            ]),
            public("0.0.0.0:9001")
        );
    }
}
