//! The headers of answers.

use axum::body::Body;
use axum::response::Response;
use chrono::{Duration, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use imaging::Format;

use crate::Config;
use crate::options::Request;
use crate::process::Finished;
use crate::source::path_of;

/// Under which name a picture is saved.
pub(crate) struct Disposition<'a> {
    attachment: bool,
    name: String,
    extension: &'a str,
}

impl<'a> Disposition<'a> {
    fn of(request: &Request, format: Format) -> Self {
        let name =
            if request.filename.is_empty() { base_name(&request.source).0 } else { request.filename.clone() };
        Self { attachment: request.attachment, name, extension: format.extension() }
    }

    /// Of a source that is passed on: with its own ending, else one that fits its type.
    pub(crate) fn of_raw(request: &Request, content_type: Option<&HeaderValue>) -> Disposition<'static> {
        let (base, ending) = base_name(&request.source);
        let name = if request.filename.is_empty() { base } else { request.filename.clone() };
        let by_type = || {
            let mime = content_type?.to_str().ok()?;
            Format::ALL.into_iter().find(|format| format.mime() == mime).map(Format::extension)
        };
        let by_ending = Format::ALL.into_iter().map(Format::extension).find(|extension| *extension == ending);
        match by_ending {
            Some(extension) => Disposition { attachment: request.attachment, name, extension },
            None if ending.is_empty() => {
                Disposition { attachment: request.attachment, name, extension: by_type().unwrap_or_default() }
            }
            None => {
                Disposition { attachment: request.attachment, name: format!("{name}{ending}"), extension: "" }
            }
        }
    }

    pub(crate) fn value(&self) -> HeaderValue {
        let kind = if self.attachment { "attachment" } else { "inline" };
        // A name may be anything; what would break the header is left out.
        let name: String = self.name.chars().filter(|sign| !sign.is_control()).collect();
        let text = format!("{kind}; filename=\"{}{}\"", name.replace('"', "%22"), self.extension);
        HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("inline"))
    }
}

/// The last part of an address's path, and the ending that was cut off it.
fn base_name(source: &str) -> (String, String) {
    let path = path_of(source);
    let file = path.rsplit('/').next().unwrap_or_default();
    if file.is_empty() {
        return ("image".to_owned(), String::new());
    }
    let (base, ending) = file.rfind('.').map_or((file, ""), |at| file.split_at(at));
    (base.to_owned(), ending.to_owned())
}

/// What a source says about keeping it.
pub(crate) fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [header::CACHE_CONTROL, header::EXPIRES] {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

/// How long the answer may be kept.
pub(crate) fn cache(config: &Config, out: &mut HeaderMap, source: &HeaderMap, ttl: u64) {
    out.remove(header::CACHE_CONTROL);
    out.remove(header::EXPIRES);
    if config.cache_control_passthrough {
        let kept = kept(source);
        if !kept.is_empty() {
            out.extend(kept);
            return;
        }
    }
    if let Ok(value) = HeaderValue::try_from(format!("max-age={ttl}, public")) {
        out.insert(header::CACHE_CONTROL, value);
    }
    let end = Utc::now() + Duration::seconds(i64::try_from(ttl).unwrap_or(i64::MAX / 2000));
    if let Ok(value) = HeaderValue::try_from(end.format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        out.insert(header::EXPIRES, value);
    }
}

/// Names the source.
pub(crate) fn canonical(config: &Config, out: &mut HeaderMap, source: &str) {
    let web = source.starts_with("https://") || source.starts_with("http://");
    if config.canonical_header
        && web
        && let Ok(value) = HeaderValue::try_from(format!("<{source}>; rel=\"canonical\""))
    {
        out.insert(header::LINK, value);
    }
}

/// Which request headers the answer depends on.
fn vary(config: &Config) -> Option<HeaderValue> {
    let mut names = Vec::new();
    if config.detection.any() {
        names.push("Accept");
    }
    if config.client_hints {
        names.extend(["DPR", "Viewport-Width", "Width"]);
    }
    HeaderValue::try_from(names.join(", ")).ok().filter(|value| !value.is_empty())
}

/// The answer to a request for a picture.
pub(crate) fn answer(config: &Config, request: &Request, finished: &Finished) -> Response {
    let body =
        finished.picture.as_ref().map_or_else(Body::empty, |picture| Body::from(picture.bytes.clone()));
    let mut response = Response::new(body);
    *response.status_mut() = finished.status;
    let out = response.headers_mut();
    if let Some(value) = finished.etag.as_ref().and_then(|tag| HeaderValue::try_from(tag).ok()) {
        out.insert(header::ETAG, value);
    }
    let own =
        config.fallback.as_ref().map(|fallback| fallback.ttl).filter(|ttl| finished.fallback && *ttl > 0);
    cache(config, out, &finished.source_headers, own.unwrap_or(config.ttl));
    if let Some(value) = vary(config) {
        out.insert(header::VARY, value);
    }
    let Some(picture) = &finished.picture else { return response };
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(picture.format.mime()));
    out.insert(header::CONTENT_DISPOSITION, Disposition::of(request, picture.format).value());
    out.insert(header::CONTENT_LENGTH, picture.bytes.len().into());
    if picture.format == Format::Svg {
        // Whatever a sanitiser overlooks: nothing in it may run or be fetched.
        out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'none'; sandbox"));
    }
    let dpr = request.transform.dpr;
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            out.insert(HeaderName::from_static(name), value);
        }
    };
    if dpr != 1.0 {
        put("content-dpr", format!("{dpr:.2}"));
    }
    if config.debug_headers {
        put("x-origin-content-length", picture.source_bytes.to_string());
        if let Some([source_width, source_height, width, height]) = picture.sizes {
            put("x-origin-width", source_width.to_string());
            put("x-origin-height", source_height.to_string());
            put("x-result-width", width.to_string());
            put("x-result-height", height.to_string());
        }
    }
    canonical(config, out, &request.source);
    response
}
