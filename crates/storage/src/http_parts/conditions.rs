//! Conditional requests (RFC 9110, section 13).

use chrono::{DateTime, NaiveDateTime, Utc};
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};

/// What the conditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client takes it for.
    Failed,
}

/// Judges a read of something with this entity tag (quoted) and time.
pub(crate) fn judge(headers: &HeaderMap, etag: Option<&str>, modified: Option<DateTime<Utc>>) -> Verdict {
    if let Some(list) = text(headers, &IF_MATCH) {
        if !matches(&list, etag, false) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(at)) = (date(headers, &IF_UNMODIFIED_SINCE), modified)
        && at.timestamp() > since.timestamp()
    {
        return Verdict::Failed;
    }
    if let Some(list) = text(headers, &IF_NONE_MATCH) {
        if matches(&list, etag, true) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(at)) = (date(headers, &IF_MODIFIED_SINCE), modified)
        && at.timestamp() <= since.timestamp()
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether a range still counts: `If-Range` absent, the same strong tag, or the exact time.
pub(crate) fn range_counts(headers: &HeaderMap, etag: Option<&str>, modified: Option<DateTime<Utc>>) -> bool {
    match text(headers, &IF_RANGE) {
        None => true,
        Some(value) if value.starts_with('"') => etag == Some(value.as_str()),
        Some(value) => match (parse_date(&value), modified) {
            (Some(since), Some(at)) => since.timestamp() == at.timestamp(),
            _ => false,
        },
    }
}

/// Whether a list of entity tags has this one. Without `weak`, weak tags match nothing.
pub(crate) fn matches(list: &str, etag: Option<&str>, weak: bool) -> bool {
    let Some(etag) = etag else { return false };
    let strong = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned();
    let wanted = strong(etag);
    list.split(',').map(str::trim).any(|tag| {
        tag == "*" || ((weak || !(tag.starts_with("W/") || etag.starts_with("W/"))) && strong(tag) == wanted)
    })
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
    values.peek()?;
    Some(values.collect::<Vec<_>>().join(","))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<DateTime<Utc>> {
    parse_date(headers.get(name)?.to_str().ok()?)
}

/// Any of the three forms of dates that HTTP knows.
pub(crate) fn parse_date(value: &str) -> Option<DateTime<Utc>> {
    let value = value.trim();
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let naive = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok());
    naive.map(|at| at.and_utc()).or_else(|| DateTime::parse_from_rfc2822(value).ok().map(|at| at.to_utc()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TAG: &str = "\"abc\"";

    #[rstest]
    #[case("if-none-match", "\"abc\"", Verdict::NotModified)]
    #[case("if-none-match", "\"x\", W/\"abc\"", Verdict::NotModified)]
    #[case("if-none-match", "*", Verdict::NotModified)]
    #[case("if-none-match", "\"x\"", Verdict::Proceed)]
    #[case("if-match", "\"abc\"", Verdict::Proceed)]
    #[case("if-match", "W/\"abc\"", Verdict::Failed)]
    #[case("if-match", "\"x\"", Verdict::Failed)]
    #[case("if-modified-since", "Wed, 01 Jan 2025 00:00:00 GMT", Verdict::NotModified)]
    #[case("if-modified-since", "Tue, 31 Dec 2024 23:59:59 GMT", Verdict::Proceed)]
    #[case("if-unmodified-since", "Tue, 31 Dec 2024 23:59:59 GMT", Verdict::Failed)]
    #[case("if-unmodified-since", "Wednesday, 01-Jan-25 00:00:00 GMT", Verdict::Proceed)]
    #[case("if-modified-since", "nonsense", Verdict::Proceed)]
    fn conditions(#[case] name: &'static str, #[case] value: &str, #[case] expected: Verdict) {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let modified = DateTime::parse_from_rfc3339("2025-01-01T00:00:00.900Z").unwrap().to_utc();
        assert_eq!(judge(&headers, Some(TAG), Some(modified)), expected);
    }
}
