//! Where pictures come from.

mod http;
mod local;
mod s3;

use ::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::{Bytes, BytesMut};

pub use self::s3::S3Config;
use crate::{Config, Error};

/// A pattern of allowed sources: the beginning of an address, in which a star stands for anything without a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Pattern {
    /// From a setting.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    /// Whether the address begins as the pattern says.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let [first, rest @ ..] = self.0.as_slice() else { return true };
        let Some(mut left) = address.strip_prefix(first.as_str()) else { return false };
        // For a prefix the earliest place of each part is as good as any later one, as long as no slash lies before it.
        for part in rest {
            let reach = left.find('/').unwrap_or(left.len());
            let Some(at) = left.find(part.as_str()).filter(|at| *at <= reach) else { return false };
            left = &left[at + part.len()..];
        }
        true
    }
}

/// An answer of a source: what the original passes around as an HTTP response, wherever it comes from.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// If known.
    pub(crate) length: Option<u64>,
    pub(crate) body: Body,
}

/// Its bytes.
pub(crate) enum Body {
    Whole(Bytes),
    Response(reqwest::Response),
    File(tokio::io::Take<tokio::fs::File>),
}

/// A downloaded source.
#[derive(Clone, Debug)]
pub(crate) struct Downloaded {
    pub(crate) bytes: Bytes,
    /// `Cache-Control`, `Expires`, `ETag`.
    pub(crate) headers: HeaderMap,
    /// Whether it is not the source but what is shown instead of it.
    pub(crate) fallback: bool,
}

/// What came of a download.
pub(crate) enum Outcome {
    Loaded(Downloaded),
    /// The source is what it was.
    NotModified(HeaderMap),
}

/// All sources together.
pub(crate) struct Sources {
    http: http::Http,
    local: Option<local::Local>,
    s3: Option<s3::S3>,
    most_bytes: usize,
    timeout: std::time::Duration,
}

/// The headers of a source that answers go by.
const KEPT: [HeaderName; 3] = [header::CACHE_CONTROL, header::EXPIRES, header::ETAG];

impl Sources {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let http = http::Http::new(config)?;
        let s3 = config.s3.clone().map(|s3| s3::S3::new(s3, http.clone()));
        Ok(Self {
            http,
            local: config.local_root.clone().map(|root| local::Local::new(root, config.etag)),
            s3,
            most_bytes: config.limits.bytes,
            timeout: config.download_timeout,
        })
    }

    /// Asks for a source. `headers` are passed on.
    pub(crate) async fn ask(&self, address: &str, headers: HeaderMap) -> Result<Answer, Error> {
        let (scheme, _) = address.split_once("://").unwrap_or_default();
        let answer = async {
            match (scheme.to_ascii_lowercase().as_str(), &self.local, &self.s3) {
                ("http" | "https", _, _) => self.http.ask(address, headers).await,
                ("local", Some(local), _) => local.ask(address, &headers).await,
                ("s3", _, Some(s3)) => s3.ask(address, headers).await,
                (unknown, _, _) => Err(Error::unreachable(format!("Unknown sheme: {unknown}"))),
            }
        };
        let late = || Error::failing("the source did not answer in time");
        tokio::time::timeout(self.timeout, answer).await.map_err(|_| late())?
    }

    /// Loads a source whole, as far as its size is allowed.
    pub(crate) async fn load(&self, address: &str, headers: HeaderMap) -> Result<Outcome, Error> {
        let work = async {
            let answer = self.ask(address, headers).await?;
            let mut kept = HeaderMap::new();
            for name in KEPT {
                if let Some(value) = answer.headers.get(&name) {
                    kept.insert(name, value.clone());
                }
            }
            match answer.status {
                StatusCode::NOT_MODIFIED => Ok(Outcome::NotModified(kept)),
                StatusCode::OK => {
                    let bytes = self.whole(answer).await?;
                    Ok(Outcome::Loaded(Downloaded { bytes, headers: kept, fallback: false }))
                }
                status if status.is_server_error() => Err(Error::failing(format!("Status: {status}"))),
                status => Err(Error::unreachable(format!("Status: {status}"))),
            }
        };
        let late = || Error::failing("the source did not arrive in time");
        tokio::time::timeout(self.timeout, work).await.map_err(|_| late())?
    }

    async fn whole(&self, answer: Answer) -> Result<Bytes, Error> {
        let most = if self.most_bytes == 0 { usize::MAX } else { self.most_bytes };
        let too_big = || Error::invalid_image("Source image file is too big");
        if answer.length.is_some_and(|length| length > most as u64) {
            return Err(too_big());
        }
        let mut body = answer.body;
        // A promised length is not believed beyond this.
        let room = answer.length.unwrap_or_default().min(64 << 20) as usize;
        let mut bytes = BytesMut::with_capacity(room);
        while let Some(part) = body.next().await? {
            if bytes.len() + part.len() > most {
                return Err(too_big());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }
}

impl Body {
    /// The next part.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => Ok(None),
            Self::Whole(bytes) => Ok(Some(std::mem::take(bytes))),
            Self::Response(response) => {
                response.chunk().await.map_err(|error| Error::failing(error.without_url().to_string()))
            }
            Self::File(file) => {
                use tokio::io::AsyncReadExt as _;
                let mut part = BytesMut::with_capacity(64 << 10);
                let read = file.read_buf(&mut part).await;
                match read.map_err(|error| Error::failing(error.to_string()))? {
                    0 => Ok(None),
                    _ => Ok(Some(part.freeze())),
                }
            }
        }
    }

    /// As the body of an answer.
    pub(crate) fn stream(self) -> axum::body::Body {
        let parts = futures_util::stream::try_unfold(self, |mut body| async move {
            Ok::<_, Error>(body.next().await?.map(|part| (part, body)))
        });
        axum::body::Body::from_stream(parts)
    }
}

/// The path of an address, decoded: `scheme://host/path?query`.
pub(crate) fn path_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    let end = path.find(['?', '#']).unwrap_or(path.len());
    percent_encoding::percent_decode_str(&path[..end]).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_beginning() {
        let fits = |pattern, address| Pattern::new(pattern).matches(address);
        assert!(fits("http://a.org/", "http://a.org/b.jpg"));
        assert!(!fits("http://a.org/", "http://a.organ/b.jpg"));
        assert!(fits("https://*.a.org/", "https://x.a.org/b"));
        assert!(!fits("https://*.a.org/", "https://evil.com/x.a.org/"));
        assert!(fits("s3://b/*/c", "s3://b/x/c/d"));
        assert!(!fits("s3://b/*/c", "s3://b/x/y/c"));
        assert!(fits("", "anything"));
    }

    #[test]
    fn the_path_is_decoded() {
        assert_eq!(path_of("local:///a%20b/c.jpg?x#y"), "/a b/c.jpg");
        assert_eq!(path_of("http://host"), "");
        assert_eq!(path_of("s3://bucket/key"), "/key");
    }
}
