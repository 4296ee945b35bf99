//! What the service can be told. Stable: a setting keeps its name and meaning.

mod environment;

use std::path::PathBuf;
use std::time::Duration;

pub use environment::{Backend, ConfigError, Environment, S3Backend};

/// The settings of a running service. [`Environment`] reads them from the original's environment names.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tenant's name, in the original's paths and in webhooks (`TENANT_ID`).
    pub tenant: String,
    /// Region, in webhooks and S3 (`SERVER_REGION`, `STORAGE_S3_REGION`).
    pub region: String,
    /// What `GET /version` answers.
    pub version: String,
    /// The role of requests without a token.
    pub anon_role: String,
    /// The role that no policy binds.
    pub service_role: String,
    /// `search_path` of statements under a client's role.
    pub search_path: String,
    /// Whether keys may hold any UTF-8 but control characters, rather than only what the original allows.
    pub unicode_keys: bool,
    /// The largest object, in bytes (`UPLOAD_FILE_SIZE_LIMIT`).
    pub file_size_limit: u64,
    /// The largest object by plain upload, in bytes; 0 for the same (`UPLOAD_FILE_SIZE_LIMIT_STANDARD`).
    pub file_size_limit_standard: u64,
    /// Lifetime of signed upload URLs (`UPLOAD_SIGNED_URL_EXPIRATION_TIME`).
    pub upload_url_lifetime: Duration,
    /// The key set's own signing key for URLs, as a JWK (`urlSigningKey` of `JWT_JWKS`).
    pub url_signing_key: Option<String>,
    /// The most objects that emptying a bucket takes on (`STORAGE_EMPTY_BUCKET_MAX`).
    pub empty_bucket_max: u64,
    /// Request headers that reveal a conditional request, in lower case (`REQUEST_ETAG_HEADERS`).
    pub etag_headers: Vec<String>,
    /// `s-maxage` of answers to conditional requests, in seconds; 0 for none (`RESPONSE_S_MAXAGE`).
    pub s_maxage: u64,
    /// The header that names a request in events (`REQUEST_TRACE_HEADER`), in lower case.
    pub request_id_header: String,
    /// Whether a request without `Authorization` counts as one with an empty token, as the original's gateway makes it,
    /// rather than as one that breaks the form: true behind our own front door.
    pub behind_gateway: bool,
    /// Whether the gateway's forwarding headers are believed for the public address: true behind our own front door.
    pub trust_forwarded: bool,
    /// The public address of what lies before [`Tus::url_path`], when it is known; else requests tell.
    pub public_url: Option<String>,
    /// Resumable uploads.
    pub tus: Tus,
    /// The S3 door.
    pub s3: S3,
    /// Image transformation on the way out.
    pub images: Images,
    /// Where events are posted.
    pub webhook: Webhook,
    /// The cache that `DELETE /cdn/…` purges.
    pub cdn: Cdn,
    /// Keys of the administrative port.
    pub admin_keys: Vec<String>,
    /// The suffix that names of ordinary buckets must not have (`ICEBERG_BUCKET_DETECTION_SUFFIX`).
    pub reserved_suffix: String,
    /// How much of small objects is kept in memory, in bytes; 0 for nothing (`STORAGE_MEMORY_CACHE`).
    pub memory_cache: usize,
    /// The sweeper.
    pub sweeper: Sweeper,
}

/// Resumable uploads.
#[derive(Debug, Clone)]
pub struct Tus {
    /// The public path of the upload collection (`TUS_URL_PATH`).
    pub url_path: String,
    /// How long an unfinished upload is kept (`TUS_URL_EXPIRY_MS`).
    pub expiry: Duration,
    /// The size of a part in the store, in MiB (`TUS_PART_SIZE`).
    pub part_size_mib: u64,
    /// How many requests may bring parts at a time; more wait (`TUS_MAX_CONCURRENT_UPLOADS`).
    pub max_concurrent: usize,
    /// Whether files of the original have `-$v-` before their version (`TUS_USE_FILE_VERSION_SEPARATOR`).
    pub version_separator: bool,
}

/// The S3 door.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Whether there is one (`S3_PROTOCOL_ENABLED`).
    pub enabled: bool,
    /// What stands before `/s3` in the path that clients sign (`S3_PROTOCOL_PREFIX`).
    pub prefix: String,
    /// Whether the header `Forwarded` names the signed host (`S3_ALLOW_FORWARDED_HEADER`).
    pub allow_forwarded: bool,
    /// The region that buckets are said to be in (`STORAGE_S3_REGION`).
    pub region: String,
    /// The only region that is accepted, when set (`S3_PROTOCOL_ENFORCE_REGION` with the region).
    pub enforce_region: Option<String>,
    /// The key pair that acts as the service role.
    pub access_key: Option<(String, String)>,
    /// A header that names the signed host (`S3_PROTOCOL_NON_CANONICAL_HOST_HEADER`).
    pub host_header: Option<String>,
    /// The secret of session-token access: the anonymous API key (`ANON_KEY`).
    pub anon_key: Option<String>,
    /// `AUTH_ENCRYPTION_KEY`.
    pub encryption_key: String,
}

/// Image transformation.
#[derive(Debug, Clone)]
pub struct Images {
    /// Whether `/render/…` exists (`IMAGE_TRANSFORMATION_ENABLED`).
    pub enabled: bool,
    /// The smallest side, in pixels (`IMAGE_TRANSFORMATION_LIMIT_MIN_SIZE`).
    pub min_size: u32,
    /// The largest side, in pixels (`IMAGE_TRANSFORMATION_LIMIT_MAX_SIZE`).
    pub max_size: u32,
    /// Where the original has its imgproxy (`IMGPROXY_URL`). Heard and not used: pictures are made in this process.
    pub imgproxy_url: Option<String>,
    /// How long a transformation may take (`IMGPROXY_REQUEST_TIMEOUT`).
    pub timeout: Duration,
    /// How many requests a second one address may send for one picture (`RATE_LIMITER_RENDER_PATH_MAX_REQ_SEC`, if
    /// `RATE_LIMITER_ENABLED`). Counted in this process, over four seconds.
    pub max_per_second: Option<u32>,
}

/// Where events are posted.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    /// `WEBHOOK_URL`
    pub url: Option<String>,
    /// `WEBHOOK_API_KEY`
    pub api_key: Option<String>,
}

/// The cache before the service.
#[derive(Debug, Clone, Default)]
pub struct Cdn {
    /// `CDN_PURGE_ENDPOINT_URL`
    pub purge_url: Option<String>,
    /// `CDN_PURGE_ENDPOINT_KEY`
    pub purge_key: Option<String>,
}

/// The sweeper of blobs that nothing refers to.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// How often it looks; zero switches it off.
    pub interval: Duration,
    /// How old a blob must be before its being unknown means anything: longer than the longest upload takes.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: "storage-single-tenant".into(),
            region: "not-specified".into(),
            version: "0.0.0".into(),
            anon_role: "anon".into(),
            service_role: "service_role".into(),
            search_path: "storage, public, extensions".into(),
            unicode_keys: false,
            file_size_limit: 50 << 20,
            file_size_limit_standard: 0,
            upload_url_lifetime: Duration::from_secs(60),
            url_signing_key: None,
            empty_bucket_max: 200_000,
            etag_headers: vec!["if-none-match".into()],
            s_maxage: 0,
            request_id_header: "x-request-id".into(),
            behind_gateway: false,
            trust_forwarded: false,
            public_url: None,
            tus: Tus {
                url_path: "/upload/resumable".into(),
                expiry: Duration::from_secs(3600),
                part_size_mib: 50,
                max_concurrent: 500,
                version_separator: false,
            },
            s3: S3 {
                enabled: true,
                prefix: String::new(),
                allow_forwarded: false,
                region: "us-east-1".into(),
                enforce_region: None,
                access_key: None,
                host_header: None,
                anon_key: None,
                encryption_key: String::new(),
            },
            images: Images {
                enabled: false,
                min_size: 1,
                max_size: 2000,
                imgproxy_url: None,
                timeout: Duration::from_secs(15),
                max_per_second: None,
            },
            webhook: Webhook::default(),
            cdn: Cdn::default(),
            admin_keys: Vec::new(),
            reserved_suffix: "--table-s3".into(),
            memory_cache: 16 << 20,
            sweeper: Sweeper { interval: Duration::from_secs(3600), grace: Duration::from_secs(24 * 3600) },
        }
    }
}

impl Config {
    /// The limit of a plain upload, in bytes.
    #[must_use]
    pub fn standard_limit(&self) -> u64 {
        match self.file_size_limit_standard {
            0 => self.file_size_limit,
            limit => limit.min(self.file_size_limit),
        }
    }

    /// The folder of the original's volume in which tenants have theirs.
    #[must_use]
    pub fn upstream_root(volume: &std::path::Path, bucket: Option<&str>) -> PathBuf {
        volume.join(bucket.unwrap_or("undefined"))
    }
}
