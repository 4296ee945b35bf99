use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use imaging::{Format, Settings};
use outgoing::Addresses;

use crate::options::Presets;
use crate::signature::Signing;
use crate::source::{Pattern, S3Config};

/// Everything that the service can be told. The defaults are imgproxy's.
#[derive(Clone, Debug)]
pub struct Config {
    /// Taken off the front of every path.
    pub path_prefix: String,
    /// A second address of the health check.
    pub health_check_path: Option<String>,
    /// For the whole of a request, waiting included.
    pub write_timeout: Duration,
    /// For the source.
    pub download_timeout: Duration,
    /// Requests that load and transform at a time.
    pub concurrency: usize,
    /// Requests that may wait beyond those; 0 is no limit but the number of connections.
    pub queue: usize,
    /// How long results may be kept, in seconds.
    pub ttl: u64,
    /// Whether the source says how long instead.
    pub cache_control_passthrough: bool,
    /// Whether a `Link` names the source.
    pub canonical_header: bool,
    /// Sizes of sources.
    pub limits: imaging::Limits,
    /// Steps from one address of a source to the next.
    pub max_redirects: usize,
    /// Types, encoders, watermark.
    pub imaging: Settings,
    /// What a URL without options means.
    pub defaults: Defaults,
    /// What to do with the `Accept` header.
    pub detection: Detection,
    /// Whether `DPR`, `Viewport-Width` and `Width` count.
    pub client_hints: bool,
    /// Keys of URLs.
    pub signing: Signing,
    /// Expected as a bearer token.
    pub secret: Option<String>,
    /// Answered to browsers of other origins.
    pub allow_origin: Option<String>,
    /// Sources; empty allows all.
    pub allowed_sources: Vec<Pattern>,
    /// Which addresses a source's name may have. Later versions of imgproxy have the same settings with the same defaults;
    /// the one that is replaced here has none.
    pub addresses: Addresses,
    /// How we call ourselves to sources.
    pub user_agent: String,
    /// Whether any certificate of a source will do.
    pub ignore_ssl_verification: bool,
    /// Whether errors say what happened.
    pub development_errors: bool,
    /// Whether a source gets the request's cookies.
    pub cookie_passthrough: bool,
    /// Which sources get them; those on the request's own host if not given.
    pub cookie_base_url: Option<String>,
    /// Put before sources that do not begin with it.
    pub base_url: String,
    /// Where `local://` begins.
    pub local_root: Option<PathBuf>,
    /// Where `s3://` is.
    pub s3: Option<S3Config>,
    /// Whether answers have an `ETag`.
    pub etag: bool,
    /// Makes all of them new.
    pub etag_buster: String,
    /// Named options.
    pub presets: Presets,
    /// Whether URLs have nothing but names of presets.
    pub only_presets: bool,
    /// Whether scripts are taken out of SVG.
    pub sanitize_svg: bool,
    /// Put on other pictures, and its opacity.
    pub watermark: Option<(Given, f64)>,
    /// Shown instead of a source that cannot be had.
    pub fallback: Option<Fallback>,
    /// Whether answers tell sizes.
    pub debug_headers: bool,
    /// What the names of figures for Prometheus begin with, if figures are taken.
    pub metrics_namespace: Option<String>,
}

/// Options that URLs change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For types that are not in `format_quality`.
    pub quality: u8,
    /// By type.
    pub format_quality: BTreeMap<Format, u8>,
    /// Drop metadata.
    pub strip_metadata: bool,
    /// But not who made it.
    pub keep_copyright: bool,
    /// Convert to sRGB.
    pub strip_profile: bool,
    /// Turn upright.
    pub auto_rotate: bool,
    /// Offer for saving instead of showing.
    pub return_attachment: bool,
    /// Types that are passed on as they are.
    pub skip_processing: Vec<Format>,
}

/// What is made of an `Accept` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// WebP for those who take it, when nothing was asked for.
    pub webp: bool,
    /// WebP for those who take it, whatever was asked for.
    pub enforce_webp: bool,
    /// AVIF, likewise.
    pub avif: bool,
    /// AVIF, likewise.
    pub enforce_avif: bool,
}

impl Detection {
    /// Whether answers depend on the header.
    pub(crate) fn any(self) -> bool {
        self.webp || self.enforce_webp || self.avif || self.enforce_avif
    }
}

/// A picture of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Base64.
    Data(String),
    /// A file.
    Path(PathBuf),
    /// An address.
    Url(String),
}

/// See [`Config::fallback`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The picture.
    pub image: Given,
    /// The answer's status; 0 is the error's own.
    pub status: u16,
    /// How long it may be kept, in seconds; 0 as others.
    pub ttl: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path_prefix: String::new(),
            health_check_path: None,
            write_timeout: Duration::from_secs(10),
            download_timeout: Duration::from_secs(5),
            concurrency: std::thread::available_parallelism().map_or(2, usize::from) * 2,
            queue: 0,
            ttl: 31_536_000,
            cache_control_passthrough: false,
            canonical_header: false,
            limits: imaging::Limits::default(),
            max_redirects: 10,
            imaging: Settings::default(),
            defaults: Defaults {
                quality: 80,
                format_quality: BTreeMap::from([(Format::Avif, 50)]),
                strip_metadata: true,
                keep_copyright: true,
                strip_profile: true,
                auto_rotate: true,
                return_attachment: false,
                skip_processing: Vec::new(),
            },
            detection: Detection::default(),
            client_hints: false,
            signing: Signing::default(),
            secret: None,
            allow_origin: None,
            allowed_sources: Vec::new(),
            addresses: Addresses { private: true, ..Addresses::PUBLIC },
            user_agent: "imgproxy/3.8.0".to_owned(),
            ignore_ssl_verification: false,
            development_errors: false,
            cookie_passthrough: false,
            cookie_base_url: None,
            base_url: String::new(),
            local_root: None,
            s3: None,
            etag: false,
            etag_buster: String::new(),
            presets: Presets::default(),
            only_presets: false,
            sanitize_svg: true,
            watermark: None,
            fallback: None,
            debug_headers: false,
            metrics_namespace: None,
        }
    }
}
