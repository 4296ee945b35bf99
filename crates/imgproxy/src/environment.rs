//! imgproxy's own environment names. Numbers and truths that cannot be read keep their defaults without a word, as there.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use imaging::Format;

use crate::config::{Config, Fallback, Given};
use crate::options::{Presets, truth};
use crate::source::{Pattern, S3Config};

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

fn refused<T>(reason: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(reason.into()))
}

/// The service's settings and where it listens.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The service's.
    pub config: Config,
    /// `host:port`; without a host it is every address.
    pub bind: String,
    /// How many connections there may be at a time; 0 is no limit.
    pub max_clients: usize,
    /// How long a request may take to arrive.
    pub read_timeout: Duration,
    /// How long a connection may do nothing.
    pub keep_alive: Duration,
    /// Where Prometheus finds figures, if anywhere: like `bind`.
    pub metrics_bind: Option<String>,
}

/// Names that change nothing here. Whoever sets one is told why.
const WITHOUT_EFFECT: [(&str, &str); 15] = [
    ("USE_LINEAR_COLORSPACE", "pictures are resized in sRGB"),
    ("PNG_INTERLACED", "PNG is never written interlaced"),
    ("ENFORCE_THUMBNAIL", "embedded thumbnails are not read"),
    ("SO_REUSEPORT", "a port is served by one process"),
    ("DOWNLOAD_BUFFER_SIZE", "there is no pool of buffers"),
    ("BUFFER_POOL_CALIBRATION_THRESHOLD", "there is no pool of buffers"),
    ("FREE_MEMORY_INTERVAL", "memory is given back when a picture is done"),
    ("REPORT_DOWNLOADING_ERRORS", "errors are logged, and reported to nobody"),
    ("DATADOG_ENABLE", "there is no exporter for Datadog"),
    ("NEW_RELIC_KEY", "there is no exporter for New Relic"),
    ("OPEN_TELEMETRY_ENDPOINT", "there is no exporter for OpenTelemetry"),
    ("BUGSNAG_KEY", "errors are logged, and reported to nobody"),
    ("HONEYBADGER_KEY", "errors are logged, and reported to nobody"),
    ("SENTRY_DSN", "errors are logged, and reported to nobody"),
    ("AIRBRAKE_PROJECT_KEY", "errors are logged, and reported to nobody"),
];

struct Reader<F>(F);

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(&format!("IMGPROXY_{name}")).filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&self, name: &str, target: &mut T) {
        if let Some(value) = self.text(name).and_then(|value| value.parse().ok()) {
            *target = value;
        }
    }

    fn flag(&self, name: &str, target: &mut bool) {
        match self.text(name) {
            Some(value) if truth(&value) => *target = true,
            Some(value) if matches!(value.as_str(), "0" | "f" | "F" | "false" | "FALSE" | "False") => {
                *target = false
            }
            _ => {}
        }
    }

    /// A number within bounds, which are told when it is outside.
    fn within(
        &self,
        name: &str,
        default: i64,
        bounds: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, ConfigError> {
        let mut value = default;
        self.parsed(name, &mut value);
        if bounds.contains(&value) {
            return Ok(value);
        }
        refused(format!(
            "IMGPROXY_{name} should be between {} and {}, now {value}",
            bounds.start(),
            bounds.end()
        ))
    }

    fn seconds(&self, name: &str, default: i64, least: i64) -> Result<Duration, ConfigError> {
        let value = self.within(name, default, least..=86_400)?;
        Ok(Duration::from_secs(value.unsigned_abs()))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() {
            Vec::new()
        } else {
            text.split(',').map(|part| part.trim().to_owned()).collect()
        }
    }

    fn formats(&self, name: &str) -> Result<Option<Vec<Format>>, ConfigError> {
        let names = self.list(name);
        if names.is_empty() {
            return Ok(None);
        }
        let unknown = |name: &String| ConfigError(format!("Unknown image format: {name}"));
        names.iter().map(|name| name.parse().map_err(|_| unknown(name))).collect::<Result<_, _>>().map(Some)
    }

    fn hex(&self, name: &str) -> Result<Vec<Vec<u8>>, ConfigError> {
        let parts = self.list(name);
        let wrong = |_| ConfigError(format!("IMGPROXY_{name} expected to be hex-encoded strings"));
        parts.iter().map(|part| hex::decode(part).map_err(wrong)).collect()
    }

    fn given(&self, name: &str) -> Option<Given> {
        let text = |kind: &str| self.text(&format!("{name}_{kind}"));
        text("DATA")
            .map(Given::Data)
            .or_else(|| text("PATH").map(|path| Given::Path(PathBuf::from(path))))
            .or_else(|| text("URL").map(Given::Url))
    }
}

const MANY: i64 = i32::MAX as i64;

impl Environment {
    /// Reads everything.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let port = get("PORT").filter(|port| !port.is_empty());
        let aws = |name: &str| get(name).filter(|value| !value.is_empty());
        let s3_keys = (aws("AWS_ACCESS_KEY_ID"), aws("AWS_SECRET_ACCESS_KEY"), aws("AWS_SESSION_TOKEN"));
        let aws_region = aws("AWS_REGION").or_else(|| aws("AWS_DEFAULT_REGION"));
        let env = Reader(get);
        let mut config = Config::default();

        let bind =
            env.text("BIND").or(port.map(|port| format!(":{port}"))).unwrap_or_else(|| ":8080".to_owned());
        if env.text("NETWORK").is_some_and(|network| !network.starts_with("tcp")) {
            return refused("IMGPROXY_NETWORK: only tcp is served");
        }
        config.path_prefix = env.text("PATH_PREFIX").unwrap_or_default();
        config.health_check_path = env.text("HEALTH_CHECK_PATH");
        config.write_timeout = env.seconds("WRITE_TIMEOUT", 10, 1)?;
        config.download_timeout = env.seconds("DOWNLOAD_TIMEOUT", 5, 1)?;
        config.concurrency = env.within("CONCURRENCY", config.concurrency as i64, 1..=4096)? as usize;
        config.queue = env.within("REQUESTS_QUEUE_SIZE", 0, 0..=MANY)? as usize;
        config.ttl = env.within("TTL", 31_536_000, 1..=MANY)? as u64;
        env.flag("CACHE_CONTROL_PASSTHROUGH", &mut config.cache_control_passthrough);
        env.flag("SET_CANONICAL_HEADER", &mut config.canonical_header);

        let mut megapixels = 16.8f64;
        env.parsed("MAX_SRC_RESOLUTION", &mut megapixels);
        config.limits.pixels = (megapixels * 1e6) as u64;
        if config.limits.pixels == 0 {
            return refused(format!("Max src resolution should be greater than 0, now - {megapixels}"));
        }
        config.limits.bytes = env.within("MAX_SRC_FILE_SIZE", 0, 0..=MANY)? as usize;
        config.limits.frames = env.within("MAX_ANIMATION_FRAMES", 1, 1..=MANY)? as u32;
        config.limits.svg_check_bytes = env.within("MAX_SVG_CHECK_BYTES", 32 * 1024, 0..=MANY)? as usize;
        config.max_redirects = env.within("MAX_REDIRECTS", 10, 0..=1000)? as usize;
        config.allowed_sources = env.list("ALLOWED_SOURCES").iter().map(|text| Pattern::new(text)).collect();
        env.flag("ALLOW_LOOPBACK_SOURCE_ADDRESSES", &mut config.addresses.loopback);
        env.flag("ALLOW_LINK_LOCAL_SOURCE_ADDRESSES", &mut config.addresses.link_local);
        env.flag("ALLOW_PRIVATE_SOURCE_ADDRESSES", &mut config.addresses.private);
        env.flag("SANITIZE_SVG", &mut config.sanitize_svg);
        Self::pictures(&env, &mut config)?;
        Self::doors(&env, &mut config)?;

        config.local_root = env.text("LOCAL_FILESYSTEM_ROOT").map(PathBuf::from);
        if let Some(root) = &config.local_root
            && !root.is_dir()
        {
            return refused("Cannot use local directory: not a directory");
        }
        let mut s3 = false;
        env.flag("USE_S3", &mut s3);
        if s3 {
            config.s3 = Some(S3Config {
                endpoint: env.text("S3_ENDPOINT"),
                region: env.text("S3_REGION").or(aws_region).unwrap_or_else(|| "us-west-1".to_owned()),
                access_key: s3_keys.0,
                secret_key: s3_keys.1.unwrap_or_default(),
                session_token: s3_keys.2,
            });
        }
        for name in ["USE_GCS", "USE_ABS", "USE_SWIFT"] {
            let mut wanted = false;
            env.flag(name, &mut wanted);
            if wanted {
                return refused(format!(
                    "IMGPROXY_{name}: this store is not supported; http, local and s3 are"
                ));
            }
        }
        for (name, why) in WITHOUT_EFFECT {
            if env.text(name).is_some_and(|value| value != "false" && value != "0") {
                tracing::warn!("IMGPROXY_{name} has no effect: {why}");
            }
        }
        let metrics_bind = env.text("PROMETHEUS_BIND");
        if metrics_bind.as_ref() == Some(&bind) {
            return refused("Can't use the same binding for the main server and Prometheus");
        }
        config.metrics_namespace =
            metrics_bind.is_some().then(|| env.text("PROMETHEUS_NAMESPACE").unwrap_or_default());
        Ok(Self {
            config,
            bind,
            metrics_bind,
            max_clients: env.within("MAX_CLIENTS", 2048, 0..=MANY)? as usize,
            read_timeout: env.seconds("READ_TIMEOUT", 10, 1)?,
            keep_alive: env.seconds("KEEP_ALIVE_TIMEOUT", 10, 0)?,
        })
    }

    /// What results look like.
    fn pictures<F: Fn(&str) -> Option<String>>(
        env: &Reader<F>,
        config: &mut Config,
    ) -> Result<(), ConfigError> {
        let encoding = &mut config.imaging.encoding;
        env.flag("JPEG_PROGRESSIVE", &mut encoding.jpeg_progressive);
        env.flag("PNG_INTERLACED", &mut encoding.png_interlaced);
        let mut quantize = false;
        env.flag("PNG_QUANTIZE", &mut quantize);
        let colours = env.within("PNG_QUANTIZATION_COLORS", 256, 2..=256)? as u16;
        encoding.png_colours = quantize.then_some(colours);
        encoding.avif_speed = env.within("AVIF_SPEED", 5, 0..=8)? as u8;
        let mut shrink_never = false;
        env.flag("DISABLE_SHRINK_ON_LOAD", &mut shrink_never);
        config.imaging.shrink_on_load = !shrink_never;
        let defaults = &mut config.defaults;
        defaults.quality = env.within("QUALITY", 80, 1..=100)? as u8;
        for pair in env.list("FORMAT_QUALITY") {
            let wrong = || ConfigError(format!("Invalid format quality string: {pair}"));
            let (format, quality) = pair.split_once('=').ok_or_else(wrong)?;
            let format: Format = format.trim().parse().map_err(|_| wrong())?;
            let quality: u8 = quality
                .trim()
                .parse()
                .ok()
                .filter(|quality| (1..=100).contains(quality))
                .ok_or_else(wrong)?;
            defaults.format_quality.insert(format, quality);
        }
        env.flag("STRIP_METADATA", &mut defaults.strip_metadata);
        env.flag("KEEP_COPYRIGHT", &mut defaults.keep_copyright);
        env.flag("STRIP_COLOR_PROFILE", &mut defaults.strip_profile);
        env.flag("AUTO_ROTATE", &mut defaults.auto_rotate);
        env.flag("RETURN_ATTACHMENT", &mut defaults.return_attachment);
        if let Some(formats) = env.formats("SKIP_PROCESSING_FORMATS")? {
            defaults.skip_processing = formats;
        }
        if let Some(formats) = env.formats("PREFERRED_FORMATS")? {
            config.imaging.preferred = formats.into_iter().filter(|format| format.writable()).collect();
            if config.imaging.preferred.is_empty() {
                return refused("No supported preferred formats specified");
            }
        }
        let detection = &mut config.detection;
        env.flag("ENABLE_WEBP_DETECTION", &mut detection.webp);
        env.flag("ENFORCE_WEBP", &mut detection.enforce_webp);
        env.flag("ENABLE_AVIF_DETECTION", &mut detection.avif);
        env.flag("ENFORCE_AVIF", &mut detection.enforce_avif);
        env.flag("ENABLE_CLIENT_HINTS", &mut config.client_hints);
        let mut opacity = 1.0f64;
        env.parsed("WATERMARK_OPACITY", &mut opacity);
        if !(opacity > 0.0 && opacity <= 1.0) {
            return refused("Watermark opacity should be greater than 0 and less than or equal to 1");
        }
        config.watermark = env.given("WATERMARK").map(|given| (given, opacity));
        let status = env.within("FALLBACK_IMAGE_HTTP_CODE", 200, 0..=599)? as u16;
        if (1..100).contains(&status) {
            return refused("Fallback image HTTP code should be between 100 and 599");
        }
        let ttl = env.within("FALLBACK_IMAGE_TTL", 0, 0..=MANY)? as u64;
        config.fallback = env.given("FALLBACK_IMAGE").map(|image| Fallback { image, status, ttl });
        Ok(())
    }

    /// Who may ask for what.
    fn doors<F: Fn(&str) -> Option<String>>(env: &Reader<F>, config: &mut Config) -> Result<(), ConfigError> {
        let (keys, salts) = (env.hex("KEY")?, env.hex("SALT")?);
        if keys.len() != salts.len() {
            return refused(format!(
                "Number of keys and number of salts should be equal. Keys: {}, salts: {}",
                keys.len(),
                salts.len()
            ));
        }
        config.signing.pairs = keys.into_iter().zip(salts).collect();
        config.signing.size = env.within("SIGNATURE_SIZE", 32, 1..=32)? as usize;
        config.secret = env.text("SECRET");
        config.allow_origin = env.text("ALLOW_ORIGIN");
        if let Some(agent) = env.text("USER_AGENT") {
            config.user_agent = agent;
        }
        env.flag("IGNORE_SSL_VERIFICATION", &mut config.ignore_ssl_verification);
        env.flag("DEVELOPMENT_ERRORS_MODE", &mut config.development_errors);
        env.flag("COOKIE_PASSTHROUGH", &mut config.cookie_passthrough);
        config.cookie_base_url = env.text("COOKIE_BASE_URL");
        config.base_url = env.text("BASE_URL").unwrap_or_default();
        env.flag("USE_ETAG", &mut config.etag);
        config.etag_buster = env.text("ETAG_BUSTER").unwrap_or_default();
        let presets = env.list("PRESETS");
        config.presets = Presets::parse(presets.iter().map(String::as_str)).map_err(ConfigError)?;
        env.flag("ONLY_PRESETS", &mut config.only_presets);
        Presets::check(config).map_err(ConfigError)?;
        env.flag("ENABLE_DEBUG_HEADERS", &mut config.debug_headers);
        Ok(())
    }
}

/// What the original's environment means.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, ConfigError> {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment::from_env(|name| pairs.get(name).cloned())
    }

    #[test]
    fn nothing_set_is_as_the_original_comes() {
        let environment = read(&[]).unwrap();
        assert_eq!((environment.bind.as_str(), environment.max_clients), (":8080", 2048));
        assert_eq!(environment.config.limits, imaging::Limits::default());
        assert_eq!(environment.config.defaults.format_quality, BTreeMap::from([(Format::Avif, 50)]));
    }

    #[test]
    fn the_settings_of_the_command_line_are_understood() {
        let environment = read(&[
            ("IMGPROXY_BIND", ":5001"),
            ("IMGPROXY_LOCAL_FILESYSTEM_ROOT", "/"),
            ("IMGPROXY_USE_ETAG", "/"),
            ("IMGPROXY_MAX_SRC_RESOLUTION", "50"),
            ("IMGPROXY_MAX_SRC_FILE_SIZE", "25000000"),
            ("IMGPROXY_MAX_ANIMATION_FRAMES", "60"),
            ("IMGPROXY_ENABLE_WEBP_DETECTION", "true"),
            ("IMGPROXY_PRESETS", "default=width:3000/height:8192"),
            ("IMGPROXY_FORMAT_QUALITY", "jpeg=80,avif=62,webp=80"),
        ])
        .unwrap();
        let config = environment.config;
        assert_eq!((environment.bind.as_str(), config.etag, config.detection.webp), (":5001", false, true));
        let limits =
            imaging::Limits { pixels: 50_000_000, bytes: 25_000_000, frames: 60, svg_check_bytes: 32 * 1024 };
        assert_eq!(config.limits, limits);
        assert_eq!(config.defaults.format_quality[&Format::Avif], 62);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let told = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().0;
        assert_eq!(
            told(&[("IMGPROXY_KEY", "aa")]),
            "Number of keys and number of salts should be equal. Keys: 1, salts: 0"
        );
        assert_eq!(told(&[("IMGPROXY_KEY", "xyz")]), "IMGPROXY_KEY expected to be hex-encoded strings");
        assert_eq!(told(&[("IMGPROXY_PREFERRED_FORMATS", "doc")]), "Unknown image format: doc");
        assert_eq!(told(&[("IMGPROXY_QUALITY", "0")]), "IMGPROXY_QUALITY should be between 1 and 100, now 0");
        assert_eq!(
            told(&[("IMGPROXY_PRESETS", "a=b:1")]),
            "Error in preset `a`: Unknown processing option: b"
        );
        assert_eq!(
            told(&[("IMGPROXY_LOCAL_FILESYSTEM_ROOT", "/nowhere")]),
            "Cannot use local directory: not a directory"
        );
        assert!(told(&[("IMGPROXY_USE_GCS", "1")]).starts_with("IMGPROXY_USE_GCS: "));
    }

    #[test]
    fn figures_are_taken_where_they_are_looked_at() {
        let environment = read(&[("IMGPROXY_PROMETHEUS_BIND", ":8081")]).unwrap();
        assert_eq!(environment.metrics_bind.as_deref(), Some(":8081"));
        assert_eq!(environment.config.metrics_namespace.as_deref(), Some(""));
        assert_eq!(read(&[("IMGPROXY_PROMETHEUS_NAMESPACE", "x")]).unwrap().config.metrics_namespace, None);
        let same = read(&[("IMGPROXY_PROMETHEUS_BIND", ":8080")]).unwrap_err().0;
        assert_eq!(same, "Can't use the same binding for the main server and Prometheus");
    }

    #[test]
    fn what_cannot_be_read_keeps_its_default() {
        let config = read(&[("IMGPROXY_TTL", "x"), ("IMGPROXY_AUTO_ROTATE", "maybe")]).unwrap().config;
        assert_eq!((config.ttl, config.defaults.auto_rotate), (31_536_000, true));
    }

    #[test]
    fn the_port_alone_will_do() {
        assert_eq!(read(&[("PORT", "9000")]).unwrap().bind, ":9000");
        assert_eq!(read(&[("PORT", "9000"), ("IMGPROXY_BIND", "1.2.3.4:80")]).unwrap().bind, "1.2.3.4:80");
    }
}
