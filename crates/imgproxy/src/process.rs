//! One picture: from the path to the answer.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use imaging::{Format, Header, Patience, Rendered};

use crate::answer::{self, Disposition};
use crate::etag::{self, Known};
use crate::measures::Span;
use crate::options::Request;
use crate::service::Parts;
use crate::source::{Answer, Downloaded, Outcome};
use crate::{Error, path};

/// A result, shared by all who asked for it at the same time.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: StatusCode,
    /// Of the source: how long it may be kept.
    pub(crate) source_headers: HeaderMap,
    pub(crate) fallback: bool,
    pub(crate) etag: Option<String>,
    /// None if the client's copy is good.
    pub(crate) picture: Option<Picture>,
}

#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) format: Format,
    pub(crate) bytes: Bytes,
    pub(crate) source_bytes: usize,
    /// Of a transformed picture: source's width and height, its own.
    pub(crate) sizes: Option<[u32; 4]>,
}

/// What the source is asked with when it is passed on as it is.
const RAW_ASKED: [header::HeaderName; 3] = [header::IF_NONE_MATCH, header::ACCEPT_ENCODING, header::RANGE];
/// What of its answer is passed on.
const RAW_ANSWERED: [header::HeaderName; 7] = [
    header::CACHE_CONTROL,
    header::EXPIRES,
    header::ETAG,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
];

impl Parts {
    pub(crate) async fn process(self: Arc<Self>, path: &str, headers: &HeaderMap) -> Result<Response, Error> {
        let (signature, rest) = path::split_signature(path)?;
        let rest = path::repaired(rest);
        if !self.config.signing.verifies(signature, &rest) {
            return Err(Error::forbidden("Invalid signature"));
        }
        let request = Request::parse(&self.config, &rest, headers)?;
        let allowed = &self.config.allowed_sources;
        if !allowed.is_empty() && !allowed.iter().any(|pattern| pattern.matches(&request.source)) {
            return Err(Error::invalid_source(&request.source));
        }
        let cookie = self.cookie(&request.source, headers);
        if request.raw {
            return self.raw(&request, headers, cookie).await;
        }
        if let Some(format) =
            request.transform.format.filter(|format| !format.writable() && *format != Format::Svg)
        {
            return Err(Error::unsupported(format!("Resulting image format is not supported: {format}")));
        }
        let known = if self.config.etag { Known::parse(headers) } else { None };
        let key = format!("{:?}{known:?}{cookie:?}", (&request.source, &request.transform, &request.skip));
        let this = self.clone();
        let work = request.clone();
        let finished = self
            .once
            .run(key, move || async move { this.finish(work, known, cookie).await.map(Arc::new) })
            .await?;
        Ok(answer::answer(&self.config, &request, &finished))
    }

    /// The cookies that the source gets.
    fn cookie(&self, source: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        if !self.config.cookie_passthrough {
            return None;
        }
        let host = |url: &str| Some(reqwest::Url::parse(url).ok()?.host_str()?.to_ascii_lowercase());
        let own = match &self.config.cookie_base_url {
            Some(base) => host(base),
            None => {
                let named = headers.get("x-forwarded-host").or_else(|| headers.get(header::HOST))?;
                host(&format!("http://{}", named.to_str().ok()?))
            }
        };
        let same = own.is_some() && own == host(source);
        headers.get(header::COOKIE).filter(|_| same).cloned()
    }

    async fn finish(
        &self,
        request: Request,
        known: Option<Known>,
        cookie: Option<HeaderValue>,
    ) -> Result<Finished, Error> {
        let patience = Patience::until(Instant::now() + self.config.write_timeout);
        let options = etag::digest(&[
            self.config.etag_buster.as_bytes(),
            format!("{:?}", (&request.transform, &request.skip)).as_bytes(),
        ]);
        let known = known.filter(|known| known.options == options);
        let mut headers = HeaderMap::new();
        if let Some(Known { source: etag::Source::Tag(tag), .. }) = &known
            && let Ok(tag) = HeaderValue::try_from(tag)
        {
            headers.insert(header::IF_NONE_MATCH, tag);
        }
        if let Some(cookie) = cookie {
            headers.insert(header::COOKIE, cookie);
        }
        let waiting = self.measures.span(Span::Queue);
        let _turn = self.turns.acquire().await.map_err(|_| Error::timeout())?;
        drop(waiting);
        let mut status = StatusCode::OK;
        let downloading = self.measures.span(Span::Downloading);
        let loaded = self.sources.load(&request.source, headers).await;
        drop(downloading);
        let loaded = match loaded {
            Ok(Outcome::Loaded(loaded)) => match self.look(&loaded) {
                Ok(header) => Ok((loaded, header)),
                Err(error) => Err(error),
            },
            Ok(Outcome::NotModified(source_headers)) => {
                let Some(known) = known else { return Err(Error::unreachable("Not Modified")) };
                let etag = Some(etag::tag(&known.options, &known.source));
                return Ok(Finished {
                    status: StatusCode::NOT_MODIFIED,
                    source_headers,
                    fallback: false,
                    etag,
                    picture: None,
                });
            }
            Err(error) => Err(error),
        };
        let (loaded, header) = match (loaded, &self.fallback, &self.config.fallback) {
            (Ok(found), _, _) => found,
            (Err(error), Some(fallback), Some(config)) => {
                tracing::warn!(%error, source = request.source, "showing the fallback image instead of the source");
                status = StatusCode::from_u16(config.status)
                    .ok()
                    .filter(|_| config.status > 0)
                    .unwrap_or(error.status);
                (fallback.clone(), self.look(fallback)?)
            }
            (Err(error), _, _) => return Err(error),
        };
        let mut tag = None;
        if self.config.etag && status == StatusCode::OK {
            let digest = etag::Source::Digest(etag::digest(&[&loaded.bytes]));
            let given = loaded
                .headers
                .get(header::ETAG)
                .and_then(|tag| tag.to_str().ok())
                .filter(|tag| !tag.is_empty());
            let actual = given.map(|tag| etag::Source::Tag(tag.to_owned()));
            let matches =
                known.is_some_and(|known| Some(&known.source) == actual.as_ref() || known.source == digest);
            tag = Some(etag::tag(&options, &actual.unwrap_or(digest)));
            if matches {
                let status = StatusCode::NOT_MODIFIED;
                return Ok(Finished {
                    status,
                    source_headers: loaded.headers,
                    fallback: false,
                    etag: tag,
                    picture: None,
                });
            }
        }
        patience.check()?;
        let source_bytes = loaded.bytes.len();
        let picture = match self.untouched(&request, &loaded, &header) {
            Some(bytes) => Picture { format: header.format, bytes, source_bytes, sizes: None },
            None => {
                let Rendered { format, bytes, width, height, source_width, source_height } =
                    self.render(&request, &loaded, header, patience).await?;
                Picture {
                    format,
                    bytes,
                    source_bytes,
                    sizes: Some([source_width, source_height, width, height]),
                }
            }
        };
        Ok(Finished {
            status,
            source_headers: loaded.headers,
            fallback: loaded.fallback,
            etag: tag,
            picture: Some(picture),
        })
    }

    /// Type and size, before anything is decoded.
    fn look(&self, loaded: &Downloaded) -> Result<Header, Error> {
        let header = Header::read(&loaded.bytes, &self.config.limits)?;
        self.config.limits.check(&header, 1)?;
        Ok(header)
    }

    /// The source itself, if it is what was asked for: SVG, and types that are to be left alone.
    fn untouched(&self, request: &Request, loaded: &Downloaded, header: &Header) -> Option<Bytes> {
        if request.transform.format.is_some_and(|format| format != header.format) {
            return None;
        }
        if header.format == Format::Svg {
            let clean = self.config.sanitize_svg.then(|| Bytes::from(imaging::sanitize_svg(&loaded.bytes)));
            return Some(clean.unwrap_or_else(|| loaded.bytes.clone()));
        }
        request.skip.contains(&header.format).then(|| loaded.bytes.clone())
    }

    async fn render(
        &self,
        request: &Request,
        loaded: &Downloaded,
        header: Header,
        patience: Patience,
    ) -> Result<Rendered, Error> {
        if request.transform.format == Some(Format::Svg) {
            return Err(Error::unsupported("Resulting image format is not supported: svg"));
        }
        let (transform, settings) = (request.transform.clone(), self.config.imaging.clone());
        let (limits, bytes) = (self.config.limits, loaded.bytes.clone());
        let work = move |patience: &Patience| {
            imaging::render(&bytes, &header, &transform, &settings, &limits, patience)
        };
        let _processing = self.measures.span(Span::Processing);
        Ok(self.workshop.run(patience, work).await?)
    }

    /// Passes the source on as it is.
    async fn raw(
        &self,
        request: &Request,
        headers: &HeaderMap,
        cookie: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let mut asked = HeaderMap::new();
        for name in RAW_ASKED {
            if let Some(value) = headers.get(&name) {
                asked.insert(name, value.clone());
            }
        }
        if let Some(cookie) = cookie {
            asked.insert(header::COOKIE, cookie);
        }
        let _streaming = self.measures.span(Span::Streaming);
        let Answer { status, headers: found, length, body } =
            self.sources.ask(&request.source, asked).await?;
        let mut response = Response::new(body.stream());
        *response.status_mut() = status;
        let out = response.headers_mut();
        for name in RAW_ANSWERED {
            if let Some(value) = found.get(&name) {
                out.insert(name, value.clone());
            }
        }
        if let Some(length) = length {
            out.insert(header::CONTENT_LENGTH, length.into());
        }
        if status.as_u16() < 300 {
            let disposition = Disposition::of_raw(request, out.get(header::CONTENT_TYPE));
            out.insert(header::CONTENT_DISPOSITION, disposition.value());
        }
        let kept = answer::kept(out);
        answer::cache(&self.config, out, &kept, self.config.ttl);
        answer::canonical(&self.config, out, &request.source);
        Ok(response)
    }
}
