//! Listings of objects.

use std::sync::Arc;

use super::error::{S3Error, S3Result};
use super::store::xml_time;
use super::xml::Document;
use super::{Call, buckets, headers, xml_response};
use crate::domain::{Entry, ListPage, Object, Order, Page};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The largest page.
const MAX_KEYS: u32 = 1000;

/// What `encoding-type=url` leaves as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The parameters that all listings share.
pub(super) struct Parameters<'a> {
    pub(super) prefix: &'a str,
    pub(super) delimiter: Option<&'a str>,
    pub(super) max: u32,
    encodes: bool,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(call: &'a Call, max_name: &str) -> S3Result<Self> {
        let encodes = match call.query("encoding-type") {
            None | Some("") => false,
            Some("url") => true,
            Some(_) => return Err(S3Error::invalid_argument("Invalid Encoding Method specified in Request")),
        };
        Ok(Self {
            prefix: call.query("prefix").unwrap_or_default(),
            delimiter: call.query("delimiter").filter(|delimiter| !delimiter.is_empty()),
            max: number(call.query(max_name), max_name, MAX_KEYS)?,
            encodes,
        })
    }

    pub(super) fn text<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.encodes { utf8_percent_encode(text, URL).into() } else { text.into() }
    }

    fn echo(&self, document: &mut Document) {
        document.value("MaxKeys", self.max);
        if let Some(delimiter) = self.delimiter {
            document.text("Delimiter", &self.text(delimiter));
        }
        if self.encodes {
            document.text("EncodingType", "url");
        }
    }
}

/// A number in the query, at most `max`, which is also the default.
pub(super) fn number(text: Option<&str>, name: &str, max: u32) -> S3Result<u32> {
    match text {
        None => Ok(max),
        Some(text) => match text.parse::<u32>() {
            Ok(number) if number <= i32::MAX.unsigned_abs() => Ok(number.min(max)),
            _ => Err(S3Error::invalid_argument(format!(
                "Argument {name} must be an integer between 0 and 2147483647"
            ))),
        },
    }
}

/// One page after a marker.
async fn fetch(call: &Call, parameters: &Parameters<'_>, marker: &str) -> S3Result<Page> {
    call.domain.find_bucket(call.bucket()).await?;
    let page = ListPage {
        prefix: parameters.prefix.to_owned(),
        delimiter: parameters.delimiter.map(str::to_owned),
        after: marker.to_owned(),
        limit: parameters.max.into(),
        order: Order::Ascending,
    };
    Ok(call.domain.list_page(&call.context, call.bucket(), &page).await?)
}

fn contents(
    call: &Call,
    document: &mut Document,
    element: &str,
    page: Page,
    parameters: &Parameters<'_>,
    has_owner: bool,
) {
    let mut prefixes = Vec::new();
    for listed in page.entries {
        let object = match listed {
            Entry::Object(row) => Object { row: Arc::from(row) },
            Entry::Prefix { name, .. } => {
                prefixes.push(name);
                continue;
            }
        };
        document.nest(element, |entry| {
            entry.text("Key", &parameters.text(&object.row.name));
            if element == "Version" {
                entry.text("VersionId", "null");
                entry.value("IsLatest", true);
            }
            entry.text("LastModified", &object.last_modified().map(xml_time).unwrap_or_default());
            entry.text("ETag", object.etag().unwrap_or_default());
            if let Some(members) = &object.row.metadata {
                for (algorithm, _) in headers::kept_checksums(members) {
                    entry.text("ChecksumAlgorithm", algorithm.name());
                }
            }
            entry.value("Size", object.size().unwrap_or_default());
            if has_owner {
                buckets::owner(entry, buckets::owner_id(call, object.row.owner_id.as_deref()));
            }
            entry.text("StorageClass", "STANDARD");
        });
    }
    for prefix in &prefixes {
        document.nest("CommonPrefixes", |entry| entry.text("Prefix", &parameters.text(prefix)));
    }
}

pub(super) async fn v1(call: &Call) -> S3Result<Response> {
    let parameters = Parameters::read(call, "max-keys")?;
    let marker = call.query("marker").unwrap_or_default();
    let page = fetch(call, &parameters, marker).await?;
    let mut document = Document::new("ListBucketResult");
    document.text("Name", call.bucket());
    document.text("Prefix", &parameters.text(parameters.prefix));
    document.text("Marker", &parameters.text(marker));
    if page.more
        && let Some(last) = page.entries.last()
    {
        document.text("NextMarker", &parameters.text(last.name()));
    }
    parameters.echo(&mut document);
    document.value("IsTruncated", page.more);
    contents(call, &mut document, "Contents", page, &parameters, true);
    Ok(xml_response(document.finish()))
}

pub(super) async fn v2(call: &Call) -> S3Result<Response> {
    let parameters = Parameters::read(call, "max-keys")?;
    let token = call.query("continuation-token");
    let start = call.query("start-after").filter(|start| !start.is_empty());
    let continued = match token {
        None | Some("") => None,
        Some(token) => Some(
            STANDARD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|name| !name.is_empty())
                .ok_or_else(|| S3Error::invalid_argument("The continuation token provided is incorrect"))?,
        ),
    };
    let marker = continued.as_deref().or(start).unwrap_or_default();
    let page = fetch(call, &parameters, marker).await?;
    let mut document = Document::new("ListBucketResult");
    document.text("Name", call.bucket());
    document.text("Prefix", &parameters.text(parameters.prefix));
    document.optional("ContinuationToken", token);
    if page.more
        && let Some(last) = page.entries.last()
    {
        document.text("NextContinuationToken", &STANDARD.encode(last.name()));
    }
    document.optional("StartAfter", start.map(|start| parameters.text(start)).as_deref());
    document.value("KeyCount", page.entries.len());
    parameters.echo(&mut document);
    document.value("IsTruncated", page.more);
    let has_owner = call.query("fetch-owner").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    contents(call, &mut document, "Contents", page, &parameters, has_owner);
    Ok(xml_response(document.finish()))
}

/// Every object has one version, the current one, whose id is `null`: clean-up scripts ask for versions.
pub(super) async fn versions(call: &Call) -> S3Result<Response> {
    let parameters = Parameters::read(call, "max-keys")?;
    let marker = call.query("key-marker").unwrap_or_default();
    let page = fetch(call, &parameters, marker).await?;
    let mut document = Document::new("ListVersionsResult");
    document.text("Name", call.bucket());
    document.text("Prefix", &parameters.text(parameters.prefix));
    document.text("KeyMarker", &parameters.text(marker));
    document.text("VersionIdMarker", call.query("version-id-marker").unwrap_or_default());
    if page.more
        && let Some(last) = page.entries.last()
    {
        document.text("NextKeyMarker", &parameters.text(last.name()));
        document.text("NextVersionIdMarker", "null");
    }
    parameters.echo(&mut document);
    document.value("IsTruncated", page.more);
    contents(call, &mut document, "Version", page, &parameters, true);
    Ok(xml_response(document.finish()))
}
