//! What an object's headers say, on the way in and on the way out.

use std::borrow::Cow;

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value, json};

use super::error::{S3Error, S3Result};
use super::set;
use crate::checksum::{Algorithm, Checksum};
use crate::domain::Object;
use crate::http_parts::http_date;

/// The most user metadata: S3's limit.
const MAX_METADATA: usize = 2 << 10;

/// Headers that are kept in `objects.metadata`, under these names.
const KEPT: [(HeaderName, &str); 4] = [
    (header::CONTENT_ENCODING, "contentEncoding"),
    (header::CONTENT_DISPOSITION, "contentDisposition"),
    (header::CONTENT_LANGUAGE, "contentLanguage"),
    (header::EXPIRES, "expires"),
];

/// What an upload's headers say of the object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) content_type: String,
    pub(super) cache_control: String,
    /// More members of `objects.metadata`.
    pub(super) extra: Map<String, Value>,
    pub(super) user_metadata: Value,
}

/// Reads the headers of a put, a copy with new metadata, or the start of an upload in parts.
pub(super) fn describe(headers: &HeaderMap) -> S3Result<Described> {
    refuse_unserved(headers)?;
    let text = |name: &HeaderName| headers.get(name).map(text_of).filter(|text| !text.is_empty());
    let mut extra = Map::new();
    for (name, member) in &KEPT {
        let Some(value) = text(name) else { continue };
        let value =
            if *name == header::CONTENT_ENCODING { without_framing(&value) } else { value.into_owned() };
        if !value.is_empty() {
            extra.insert((*member).to_owned(), value.into());
        }
    }
    Ok(Described {
        content_type: text(&header::CONTENT_TYPE)
            .map_or_else(|| "application/octet-stream".into(), Cow::into_owned),
        cache_control: text(&header::CACHE_CONTROL).map_or_else(|| "no-cache".into(), Cow::into_owned),
        extra,
        user_metadata: user_metadata(headers)?,
    })
}

/// What was asked for and would silently not happen.
fn refuse_unserved(headers: &HeaderMap) -> S3Result<()> {
    const UNSERVED: [&str; 8] = [
        "x-amz-tagging",
        "x-amz-website-redirect-location",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "x-amz-object-lock-legal-hold",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption",
        "x-amz-write-offset-bytes",
    ];
    match UNSERVED.iter().find(|name| headers.get(**name).is_some_and(|value| !value.is_empty())) {
        Some(name) => Err(S3Error::not_implemented(name)),
        None => Ok(()),
    }
}

/// A list of encodings without `aws-chunked`, which is a framing of the request and none of the object.
fn without_framing(value: &str) -> String {
    if !value.to_ascii_lowercase().contains("aws-chunked") {
        return value.to_owned();
    }
    let encodings = value.split(',').map(str::trim);
    encodings
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("aws-chunked"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A header's value: UTF-8, or else Latin-1.
pub(super) fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.trim().into(),
        Err(_) => value.as_bytes().iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// `x-amz-meta-*`, names in lower case.
fn user_metadata(headers: &HeaderMap) -> S3Result<Value> {
    let mut members = Map::new();
    let mut size = 0;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix("x-amz-meta-") else { continue };
        let values: Vec<Cow<'_, str>> = headers.get_all(name).iter().map(text_of).collect();
        let value = values.join(",");
        size += short.len() + value.len();
        members.insert(short.to_owned(), value.into());
    }
    if size > MAX_METADATA {
        return Err(S3Error::new(
            "MetadataTooLarge",
            400,
            "Your metadata headers exceed the maximum allowed metadata size",
        ));
    }
    Ok(Value::Object(members))
}

/// Takes over the headers that a presigned URL carries in its query, where JavaScript's SDK puts them: metadata, the source
/// of a copy and the like.
///
/// Not what is said of the body there: whoever signed it knew no body, and the SDK gives the checksum of an empty one.
pub(super) fn from_presigned(query: &[(String, String)], headers: &mut HeaderMap) {
    const OF_BODY: [&str; 6] = [
        "x-amz-sdk-checksum-algorithm",
        "x-amz-content-sha256",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
        "x-amz-date",
        "x-amz-security-token",
    ];
    if !query.iter().any(|(name, _)| name == "X-Amz-Signature") {
        return;
    }
    for (name, value) in query.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        if OF_BODY.contains(&name.as_str()) || Algorithm::of_header(name).is_some() {
            continue;
        }
        let name = HeaderName::try_from(name.to_ascii_lowercase());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.entry(name).or_insert(value);
        }
    }
}

/// Checksums as `objects.metadata` keeps them.
pub(super) fn checksum_members(checksum: &Checksum, extra: &mut Map<String, Value>) {
    extra.insert("checksums".into(), json!({ checksum.algorithm.name(): checksum.text() }));
    extra.insert("checksumType".into(), "FULL_OBJECT".into());
}

/// The kept checksums of an object, each with its algorithm.
pub(super) fn kept_checksums(members: &Map<String, Value>) -> impl Iterator<Item = (Algorithm, &str)> {
    let kept = members.get("checksums").and_then(Value::as_object);
    kept.into_iter().flatten().filter_map(|(name, value)| Some((Algorithm::named(name)?, value.as_str()?)))
}

/// Sets the headers that say what an object is. `response-*` parameters of a signed request outrank them.
pub(super) fn write(object: &Object, response: &mut Response, overrides: impl Fn(&str) -> Option<String>) {
    let nothing = Map::new();
    let members = object.row.metadata.as_ref().unwrap_or(&nothing);
    let kept = |member: &str| members.get(member).and_then(Value::as_str).map(str::to_owned);
    let content_type = overrides("response-content-type").unwrap_or_else(|| object.content_type().to_owned());
    set(response, "content-type", &content_type);
    let cache_control =
        overrides("response-cache-control").unwrap_or_else(|| object.cache_control().to_owned());
    set(response, "cache-control", &cache_control);
    for (parameter, header, member) in [
        ("response-content-encoding", "content-encoding", "contentEncoding"),
        ("response-content-disposition", "content-disposition", "contentDisposition"),
        ("response-content-language", "content-language", "contentLanguage"),
        ("response-expires", "expires", "expires"),
    ] {
        if let Some(value) = overrides(parameter).or_else(|| kept(member)) {
            set(response, header, &value);
        }
    }
    validators(object, response);
    set(response, "accept-ranges", "bytes");
    user_headers(object, response);
}

/// `ETag` and `Last-Modified`.
pub(super) fn validators(object: &Object, response: &mut Response) {
    set(response, "etag", object.etag().unwrap_or_default());
    if let Some(at) = object.last_modified() {
        set(response, "last-modified", &http_date(at));
    }
}

/// `x-amz-meta-*`; what cannot stand in a header is counted in `x-amz-missing-meta`.
fn user_headers(object: &Object, response: &mut Response) {
    let Some(Value::Object(members)) = &object.row.user_metadata else { return };
    let mut missing = 0;
    for (name, value) in members {
        let header = HeaderName::try_from(format!("x-amz-meta-{}", name.to_ascii_lowercase()));
        let value = value.as_str().map(|text| HeaderValue::from_bytes(text.as_bytes()));
        match (header, value) {
            (Ok(header), Some(Ok(value))) => {
                response.headers_mut().insert(header, value);
            }
            _ => missing += 1,
        }
    }
    if missing > 0 {
        response.headers_mut().insert("x-amz-missing-meta", HeaderValue::from(missing));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn framing_is_not_kept() {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("aws-chunked, gzip"))]);
        assert_eq!(describe(&headers).unwrap().extra["contentEncoding"], "gzip");
        let headers =
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("aws-chunked"))]);
        assert!(describe(&headers).unwrap().extra.is_empty());
    }

    #[test]
    fn a_presigned_url_may_carry_headers_but_for_those_of_a_body() {
        let query = "X-Amz-Signature=0&x-amz-meta-color=light%20blue&x-amz-meta-n=1&x-amz-checksum-crc32=AAAAAA%3D%3D\
                     &x-amz-sdk-checksum-algorithm=CRC32&x-amz-copy-source=b%2Fk";
        let query = crate::sigv4::decode_query(query);
        let mut headers =
            HeaderMap::from_iter([("x-amz-meta-n".parse().unwrap(), HeaderValue::from_static("2"))]);
        from_presigned(&query, &mut headers);
        assert_eq!(describe(&headers).unwrap().user_metadata, json!({ "color": "light blue", "n": "2" }));
        assert_eq!((headers.len(), &headers["x-amz-copy-source"]), (3, &HeaderValue::from_static("b/k")));
        let mut headers = HeaderMap::new();
        from_presigned(&query[1..], &mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn metadata_names_are_lower_case() {
        let headers =
            HeaderMap::from_iter([("X-Amz-Meta-Color".parse().unwrap(), HeaderValue::from_static("Blue"))]);
        assert_eq!(describe(&headers).unwrap().user_metadata, json!({ "color": "Blue" }));
    }
}
