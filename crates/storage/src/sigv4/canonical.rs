//! The canonical request: one spelling of method, path, query and headers that both sides hash.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, slashes left alone.
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// Percent-encodes everything outside RFC 3986's unreserved characters.
pub fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, STRICT).into()
}

/// A path, percent-encoded once, slashes kept.
pub(super) fn encode_path(path: &str) -> Cow<'_, str> {
    utf8_percent_encode(path, PATH).into()
}

/// Decodes a path once; `None` if it is not UTF-8.
#[must_use]
pub fn decode_path(path: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(path).decode_utf8().ok()
}

/// Names and values of a query, decoded, in the order sent. `+` is a space, as AWS reads it. Text that is not UTF-8 keeps
/// its shape with replacement characters: no parameter of S3 has such a value.
#[must_use]
pub fn decode_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_component(name), decode_component(value))
        })
        .collect()
}

fn decode_component(text: &str) -> String {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// The canonical query: decoded, strictly encoded again, sorted by name and value, without the signature itself.
pub(super) fn query(pairs: &[(String, String)]) -> String {
    let mut encoded: Vec<(Cow<'_, str>, Cow<'_, str>)> = pairs
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    encoded.sort();
    let mut out = String::new();
    for (name, value) in &encoded {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    out
}

/// The block of signed headers, one `name:value` line each. A signed header that is absent counts as empty.
pub(super) fn headers(signed: &[String], headers: &HeaderMap, host: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for name in signed {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if name == "host" {
            out.extend_from_slice(host.as_bytes());
        } else {
            for (at, value) in values(headers, name).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                trimmed(value, &mut out);
            }
        }
        out.push(b'\n');
    }
    out
}

/// A header's values as the client signed them: content networks rewrite `accept-encoding` and keep the original.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let name = if name == "accept-encoding" && headers.contains_key("x-original-accept-encoding") {
        "x-original-accept-encoding"
    } else {
        name
    };
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes)
}

/// A value without outer white space, inner runs of spaces made one.
fn trimmed(value: &[u8], out: &mut Vec<u8>) {
    let mut gap = false;
    let start = out.len();
    for &byte in value {
        if byte == b' ' || byte == b'\t' {
            gap = out.len() > start;
            continue;
        }
        if gap {
            out.push(b' ');
            gap = false;
        }
        out.push(byte);
    }
}

/// The whole canonical request.
pub(super) fn request(
    method: &str,
    path: &str,
    query: &str,
    header_lines: &[u8],
    signed: &[String],
    payload: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(method.len() + path.len() + query.len() + header_lines.len() + 160);
    for part in [method, path, query] {
        out.extend_from_slice(part.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(header_lines);
    out.push(b'\n');
    for (at, name) in signed.iter().enumerate() {
        if at > 0 {
            out.push(b';');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    out
}
