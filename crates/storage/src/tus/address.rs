//! The URL of an upload.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;

use crate::config::Config;

/// What an upload's id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UploadId {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version: String,
}

impl UploadId {
    /// The last segment of the URL: `bucket/key/version` in Base64.
    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.bucket, self.key, self.version))
    }

    /// Reads [`UploadId::encode`].
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (bucket, rest) = text.split_once('/')?;
        let (key, version) = rest.rsplit_once('/')?;
        let whole = !bucket.is_empty() && !key.is_empty() && !version.is_empty();
        whole.then(|| Self { bucket: bucket.to_owned(), key: key.to_owned(), version: version.to_owned() })
    }
}

/// The absolute, public URL of an upload.
///
/// The configured address of the installation wins; else what a proxy says in `X-Forwarded-*` or `Forwarded`; else the
/// host that was asked.
pub(super) fn location(config: &Config, parts: &Parts, signed: bool, id: &UploadId) -> String {
    let sign = if signed { "/sign" } else { "" };
    let path = config.tus.url_path.trim_end_matches('/');
    let base = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{}{}", origin(parts), prefix(config, parts, path)),
    };
    format!("{base}{path}{sign}/{}", id.encode())
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let value = parts.headers.get(name)?.to_str().ok()?;
    Some(value.split(',').next().unwrap_or_default().trim()).filter(|text| !text.is_empty())
}

/// A parameter of the first hop in `Forwarded`.
fn forwarded<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    text(parts, "forwarded")?.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

fn origin(parts: &Parts) -> String {
    let scheme = text(parts, "x-forwarded-proto").or_else(|| forwarded(parts, "proto")).unwrap_or("http");
    let asked = text(parts, "host").or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    let host = match text(parts, "x-forwarded-host").or_else(|| forwarded(parts, "host")) {
        // The same host with its port, if the client named one.
        Some(host)
            if asked.is_some_and(|asked| asked.rsplit_once(':').is_some_and(|(name, _)| name == host)) =>
        {
            asked.unwrap_or(host).to_owned()
        }
        Some(host)
            if Some(host) == asked
                || host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) =>
        {
            host.to_owned()
        }
        Some(host) => match text(parts, "x-forwarded-port") {
            Some(port) if port != "80" && port != "443" => format!("{host}:{port}"),
            _ => host.to_owned(),
        },
        None => asked.unwrap_or("localhost").to_owned(),
    };
    format!("{scheme}://{host}")
}

fn prefix<'a>(config: &Config, parts: &'a Parts, path: &str) -> &'a str {
    let prefix = text(parts, "x-forwarded-prefix").filter(|_| config.trust_forwarded).unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    if path.starts_with(prefix) { "" } else { prefix }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(config: &Config, headers: &[(&str, &str)]) -> String {
        let mut request = http::Request::builder().uri("/upload/resumable");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let id = UploadId { bucket: "b".into(), key: "a/k".into(), version: "v".into() };
        location(config, &request.body(()).unwrap().into_parts().0, false, &id)
    }

    #[test]
    fn ids_name_bucket_key_and_version() {
        let id = UploadId { bucket: "b".into(), key: "a/b.txt".into(), version: "v1".into() };
        assert_eq!(UploadId::decode(&id.encode()), Some(id));
        for bad in ["", "YQ", "!!", "Yi9r"] {
            assert_eq!(UploadId::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_location_is_public() {
        let mut config = Config::default();
        let id = "Yi9hL2svdg";
        let host = ("host", "127.0.0.1:5000");
        assert_eq!(of(&config, &[host]), format!("http://127.0.0.1:5000/upload/resumable/{id}"));
        let proxy = [("x-forwarded-host", "files.example.com"), ("x-forwarded-proto", "https")];
        assert_eq!(
            of(&config, &[host, proxy[0], proxy[1], ("x-forwarded-port", "443")]),
            format!("https://files.example.com/upload/resumable/{id}")
        );
        assert_eq!(
            of(&config, &[host, proxy[0], ("x-forwarded-port", "8443")]),
            format!("http://files.example.com:8443/upload/resumable/{id}")
        );
        // A front door names its own port beside the host that the client asked.
        let door = ("x-forwarded-port", "54321");
        assert_eq!(
            of(&config, &[("host", "files.example.com"), proxy[0], proxy[1], door]),
            format!("https://files.example.com/upload/resumable/{id}")
        );
        assert_eq!(
            of(&config, &[("host", "localhost:54321"), ("x-forwarded-host", "localhost"), door]),
            format!("http://localhost:54321/upload/resumable/{id}")
        );
        assert_eq!(
            of(&config, &[host, ("forwarded", "for=1.2.3.4;proto=https;host=\"a.example\"")]),
            format!("https://a.example/upload/resumable/{id}")
        );
        config.trust_forwarded = true;
        config.tus.url_path = "/storage/v1/upload/resumable".into();
        assert_eq!(
            of(&config, &[host, ("x-forwarded-prefix", "/storage/v1/")]),
            format!("http://127.0.0.1:5000/storage/v1/upload/resumable/{id}")
        );
        config.public_url = Some("https://api.example.com/".into());
        assert_eq!(of(&config, &[host]), format!("https://api.example.com/storage/v1/upload/resumable/{id}"));
    }
}
