//! The original's environment names.

use std::path::PathBuf;
use std::time::Duration;

use super::Config;

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct ConfigError {
    /// The environment name.
    pub name: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// Everything that the original reads from its environment: the service's settings and its surroundings.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The service's own settings.
    pub config: Config,
    /// Host and port to listen at (`SERVER_HOST`, `SERVER_PORT`).
    pub listen: (String, u16),
    /// The port of the administrative router (`SERVER_ADMIN_PORT`).
    pub admin_port: u16,
    /// How long a connection without a request is kept (`SERVER_KEEP_ALIVE_TIMEOUT`).
    pub keep_alive: Duration,
    /// How long a request's head may take to arrive (`SERVER_HEADERS_TIMEOUT`).
    pub headers_timeout: Duration,
    /// `DATABASE_URL`, or the pooler's `DATABASE_POOL_URL`.
    pub database_url: String,
    /// A transaction pooler to work through (`DATABASE_POOL_URL`).
    pub pool_url: Option<String>,
    /// The most connections (`DATABASE_MAX_CONNECTIONS`).
    pub pool_size: usize,
    /// How long a request waits for one (`DATABASE_CONNECTION_TIMEOUT`).
    pub pool_timeout: Duration,
    /// `AUTH_JWT_SECRET` or `PGRST_JWT_SECRET`.
    pub jwt_secret: String,
    /// Whether tokens under that secret may be of HS384 and HS512 (`AUTH_JWT_ALGORITHM` other than `HS256`).
    pub any_hmac: bool,
    /// `JWT_JWKS`
    pub jwks: Option<String>,
    /// Where blobs are kept.
    pub backend: Backend,
}

/// Where blobs are kept (`STORAGE_BACKEND`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// In files.
    File {
        /// The volume.
        path: PathBuf,
        /// The folder in it that the original uses, from `STORAGE_S3_BUCKET`.
        bucket: Option<String>,
    },
    /// In an S3-compatible store.
    S3(S3Backend),
}

/// An S3-compatible store.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Backend {
    /// The bucket that holds everything.
    pub bucket: String,
    /// Its address; AWS's own without.
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path rather than of the host.
    pub force_path_style: bool,
    /// Its region.
    pub region: String,
    /// The most connections at a time.
    pub max_sockets: usize,
    /// How long a request may take; none without.
    pub timeout: Option<Duration>,
    /// Key id and secret, when they are set; else the SDK's usual places.
    pub credentials: Option<(String, String)>,
    /// The token that goes with temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Backend")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Names with their fallbacks, read through a look-up.
struct Names<F>(F);

impl<F: Fn(&str) -> Option<String>> Names<F> {
    fn text(&self, names: &[&'static str]) -> Option<String> {
        names.iter().find_map(|name| (self.0)(name).filter(|value| !value.is_empty()))
    }

    fn required(&self, names: &[&'static str]) -> Result<String, ConfigError> {
        self.text(names).ok_or_else(|| ConfigError { name: names[0], reason: "is not set".into() })
    }

    fn number<T: std::str::FromStr>(&self, names: &[&'static str], default: T) -> Result<T, ConfigError> {
        let Some(text) = self.text(names) else { return Ok(default) };
        text.trim()
            .parse()
            .map_err(|_| ConfigError { name: names[0], reason: format!("{text:?} is no number") })
    }

    /// The original's booleans: the text `true`.
    fn on(&self, names: &[&'static str]) -> bool {
        self.text(names).is_some_and(|text| text == "true")
    }

    /// On unless the text is `false`.
    fn on_by_default(&self, names: &[&'static str]) -> bool {
        self.text(names).is_none_or(|text| text != "false")
    }

    fn list(&self, names: &[&'static str]) -> Vec<String> {
        let text = self.text(names).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

impl Environment {
    /// Reads the names through `lookup`. Those that the original requires are required.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let names = Names(lookup);
        if names.on(&["MULTI_TENANT", "IS_MULTITENANT"]) {
            let reason = "one process serves one project".to_owned();
            return Err(ConfigError { name: "MULTI_TENANT", reason });
        }
        let bucket = names.text(&["STORAGE_S3_BUCKET", "GLOBAL_S3_BUCKET"]);
        let backend = match names.required(&["STORAGE_BACKEND"])?.as_str() {
            "file" => Backend::File {
                path: names.required(&["STORAGE_FILE_BACKEND_PATH", "FILE_STORAGE_BACKEND_PATH"])?.into(),
                bucket,
            },
            "s3" => Backend::S3(names.s3_backend(bucket)?),
            other => {
                return Err(ConfigError {
                    name: "STORAGE_BACKEND",
                    reason: format!("{other:?} is neither \"file\" nor \"s3\""),
                });
            }
        };
        Ok(Self {
            listen: (
                names.text(&["SERVER_HOST", "HOST"]).unwrap_or_else(|| "0.0.0.0".into()),
                names.number(&["SERVER_PORT", "PORT"], 5000)?,
            ),
            admin_port: names.number(&["SERVER_ADMIN_PORT", "ADMIN_PORT"], 5001)?,
            keep_alive: Duration::from_secs(names.number(&["SERVER_KEEP_ALIVE_TIMEOUT"], 61)?),
            headers_timeout: Duration::from_secs(names.number(&["SERVER_HEADERS_TIMEOUT"], 65)?),
            database_url: names.required(&["DATABASE_URL"])?,
            pool_url: names.text(&["DATABASE_POOL_URL"]),
            pool_size: names.number(&["DATABASE_MAX_CONNECTIONS"], 20_usize)?.max(1),
            pool_timeout: Duration::from_millis(names.number(&["DATABASE_CONNECTION_TIMEOUT"], 3000)?),
            jwt_secret: names.required(&["AUTH_JWT_SECRET", "PGRST_JWT_SECRET"])?,
            any_hmac: names
                .text(&["AUTH_JWT_ALGORITHM", "PGRST_JWT_ALGORITHM"])
                .is_some_and(|name| name != "HS256"),
            jwks: names.text(&["JWT_JWKS"]),
            config: names.config()?,
            backend,
        })
    }

    /// Reads the service's own settings only: where it stands in a larger whole, the rest is given to it.
    pub fn settings(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Names(lookup).config()
    }

    /// Reads the S3-compatible store, when `STORAGE_S3_BUCKET` names a bucket.
    pub fn s3_store(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<S3Backend>, ConfigError> {
        let names = Names(lookup);
        let bucket = names.text(&["STORAGE_S3_BUCKET", "GLOBAL_S3_BUCKET"]);
        bucket.map(|bucket| names.s3_backend(Some(bucket))).transpose()
    }

    /// Reads the store that R2's usual names describe: `R2_BUCKET` (or `R2_BUCKET_NAME`), `R2_ACCOUNT_ID` (or
    /// `R2_ENDPOINT`), `R2_ACCESS_KEY_ID`, `R2_SECRET_ACCESS_KEY`. None without a bucket and an address.
    pub fn r2_store(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<S3Backend>, ConfigError> {
        let names = Names(lookup);
        let account = names.text(&["R2_ACCOUNT_ID"]);
        let of_account = || account.map(|account| format!("https://{account}.r2.cloudflarestorage.com"));
        let endpoint = names.text(&["R2_ENDPOINT", "R2_ENDPOINT_URL"]).or_else(of_account);
        let Some((bucket, endpoint)) = names.text(&["R2_BUCKET", "R2_BUCKET_NAME"]).zip(endpoint) else {
            return Ok(None);
        };
        let key = (names.required(&["R2_ACCESS_KEY_ID"])?, names.required(&["R2_SECRET_ACCESS_KEY"])?);
        Ok(Some(S3Backend {
            endpoint: Some(endpoint),
            force_path_style: true,
            region: "auto".into(),
            credentials: Some(key),
            session_token: names.text(&["R2_SESSION_TOKEN"]),
            ..names.s3_backend(Some(bucket))?
        }))
    }
}

impl<F: Fn(&str) -> Option<String>> Names<F> {
    fn s3_backend(&self, bucket: Option<String>) -> Result<S3Backend, ConfigError> {
        let timeout: u64 = self.number(&["STORAGE_S3_CLIENT_TIMEOUT"], 0)?;
        Ok(S3Backend {
            bucket: bucket
                .ok_or_else(|| ConfigError { name: "STORAGE_S3_BUCKET", reason: "is not set".into() })?,
            endpoint: self.text(&["STORAGE_S3_ENDPOINT", "GLOBAL_S3_ENDPOINT"]),
            force_path_style: self.on(&["STORAGE_S3_FORCE_PATH_STYLE", "GLOBAL_S3_FORCE_PATH_STYLE"]),
            region: self.text(&["STORAGE_S3_REGION", "REGION"]).unwrap_or_else(|| "us-east-1".into()),
            max_sockets: self.number(&["STORAGE_S3_MAX_SOCKETS", "GLOBAL_S3_MAX_SOCKETS"], 200)?,
            timeout: (timeout > 0).then(|| Duration::from_millis(timeout)),
            credentials: self.text(&["AWS_ACCESS_KEY_ID"]).zip(self.text(&["AWS_SECRET_ACCESS_KEY"])),
            session_token: self.text(&["AWS_SESSION_TOKEN"]),
        })
    }

    fn config(&self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let mut search_path = default.search_path.clone();
        for schema in self.list(&["DATABASE_SEARCH_PATH", "DB_SEARCH_PATH"]) {
            search_path.push_str(", ");
            search_path.push_str(&database::ident::quote_ident(&schema));
        }
        let region = self.text(&["STORAGE_S3_REGION", "REGION"]).unwrap_or_else(|| default.s3.region.clone());
        let seconds =
            |names, default: Duration| self.number(names, default.as_secs()).map(Duration::from_secs);
        Ok(Config {
            tenant: self.text(&["PROJECT_REF", "TENANT_ID"]).unwrap_or(default.tenant),
            region: self.text(&["SERVER_REGION", "REGION"]).unwrap_or(default.region),
            version: self.text(&["VERSION"]).unwrap_or(default.version),
            anon_role: self.text(&["DB_ANON_ROLE"]).unwrap_or(default.anon_role),
            service_role: self.text(&["DB_SERVICE_ROLE"]).unwrap_or(default.service_role),
            search_path,
            unicode_keys: self.on(&["STORAGE_UNICODE_KEYS"]),
            file_size_limit: self
                .number(&["UPLOAD_FILE_SIZE_LIMIT", "FILE_SIZE_LIMIT"], default.file_size_limit)?,
            file_size_limit_standard: self.number(
                &["UPLOAD_FILE_SIZE_LIMIT_STANDARD", "FILE_SIZE_LIMIT_STANDARD_UPLOAD"],
                default.file_size_limit_standard,
            )?,
            upload_url_lifetime: seconds(
                &["UPLOAD_SIGNED_URL_EXPIRATION_TIME", "SIGNED_UPLOAD_URL_EXPIRATION_TIME"],
                default.upload_url_lifetime,
            )?,
            url_signing_key: self.text(&["JWT_JWKS"]).and_then(|text| url_signing_key(&text)),
            empty_bucket_max: self.number(&["STORAGE_EMPTY_BUCKET_MAX"], default.empty_bucket_max)?,
            etag_headers: match self.list(&["REQUEST_ETAG_HEADERS"]) {
                list if list.is_empty() => default.etag_headers,
                list => list.iter().map(|name| name.to_ascii_lowercase()).collect(),
            },
            s_maxage: self.number(&["RESPONSE_S_MAXAGE"], default.s_maxage)?,
            request_id_header: self
                .text(&["REQUEST_TRACE_HEADER", "REQUEST_ID_HEADER"])
                .map_or(default.request_id_header, |name| name.to_ascii_lowercase()),
            public_url: None,
            behind_gateway: false,
            trust_forwarded: self.on(&["REQUEST_ALLOW_X_FORWARDED_PATH"]),
            tus: super::Tus {
                url_path: self.text(&["TUS_URL_PATH"]).unwrap_or(default.tus.url_path),
                expiry: Duration::from_millis(self.number(&["TUS_URL_EXPIRY_MS"], 3_600_000)?),
                part_size_mib: self.number(&["TUS_PART_SIZE"], default.tus.part_size_mib)?,
                max_concurrent: self.number(&["TUS_MAX_CONCURRENT_UPLOADS"], default.tus.max_concurrent)?,
                version_separator: self.on(&["TUS_USE_FILE_VERSION_SEPARATOR"]),
            },
            s3: super::S3 {
                enabled: self.on_by_default(&["S3_PROTOCOL_ENABLED"]),
                prefix: self.text(&["S3_PROTOCOL_PREFIX"]).unwrap_or_default(),
                allow_forwarded: self.on(&["S3_ALLOW_FORWARDED_HEADER"]),
                enforce_region: self.on(&["S3_PROTOCOL_ENFORCE_REGION"]).then(|| region.clone()),
                region,
                access_key: self
                    .text(&["S3_PROTOCOL_ACCESS_KEY_ID"])
                    .zip(self.text(&["S3_PROTOCOL_ACCESS_KEY_SECRET"])),
                host_header: self.text(&["S3_PROTOCOL_NON_CANONICAL_HOST_HEADER"]),
                anon_key: self.text(&["ANON_KEY"]),
                encryption_key: self.text(&["AUTH_ENCRYPTION_KEY", "ENCRYPTION_KEY"]).unwrap_or_default(),
            },
            images: super::Images {
                enabled: self.on(&["IMAGE_TRANSFORMATION_ENABLED", "ENABLE_IMAGE_TRANSFORMATION"]),
                min_size: self.number(
                    &["IMAGE_TRANSFORMATION_LIMIT_MIN_SIZE", "IMG_LIMITS_MIN_SIZE"],
                    default.images.min_size,
                )?,
                max_size: self.number(
                    &["IMAGE_TRANSFORMATION_LIMIT_MAX_SIZE", "IMG_LIMITS_MAX_SIZE"],
                    default.images.max_size,
                )?,
                imgproxy_url: self.text(&["IMGPROXY_URL"]),
                timeout: seconds(&["IMGPROXY_REQUEST_TIMEOUT"], default.images.timeout)?,
                max_per_second: match self.on(&["RATE_LIMITER_ENABLED", "ENABLE_RATE_LIMITER"]) {
                    true => Some(self.number(&["RATE_LIMITER_RENDER_PATH_MAX_REQ_SEC"], 5)?),
                    false => None,
                },
            },
            webhook: super::Webhook {
                url: self.text(&["WEBHOOK_URL"]),
                api_key: self.text(&["WEBHOOK_API_KEY"]),
            },
            cdn: super::Cdn {
                purge_url: self.text(&["CDN_PURGE_ENDPOINT_URL"]),
                purge_key: self.text(&["CDN_PURGE_ENDPOINT_KEY"]),
            },
            admin_keys: self.list(&["SERVER_ADMIN_API_KEYS", "ADMIN_API_KEYS"]),
            reserved_suffix: self
                .text(&["ICEBERG_BUCKET_DETECTION_SUFFIX"])
                .unwrap_or(default.reserved_suffix),
            memory_cache: self.number(&["STORAGE_MEMORY_CACHE"], default.memory_cache)?,
            sweeper: default.sweeper,
        })
    }
}

/// The key beside the key set that signs URLs.
fn url_signing_key(jwks: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(jwks).ok()?;
    document.get("urlSigningKey").filter(|key| key.is_object()).map(ToString::to_string)
}
