//! `page` and `per_page`, and the headers that tell what else there is.

use http::{HeaderMap, HeaderValue};

use super::{Form, RequestContext};
use crate::error::{Error, Result};

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) number: u64,
    pub(crate) size: u64,
}

impl Page {
    pub(crate) fn from_query(query: &Form) -> Result<Self> {
        let number = unsigned(query.get("page"), 1)?;
        let size = unsigned(query.get("per_page"), 50)?;
        Ok(Self { number, size })
    }

    /// Rows to skip; page 0 is page 1.
    pub(crate) fn offset(self) -> i64 {
        i64::try_from(self.number.saturating_sub(1).saturating_mul(self.size)).unwrap_or(i64::MAX)
    }

    /// Rows to return. A size of zero, which crashes the original, is a mistake of the caller.
    pub(crate) fn limit(self) -> Result<i64> {
        match i64::try_from(self.size) {
            Ok(0) => Err(Error::invalid("Bad Pagination Parameters: per_page must be positive")),
            Ok(size) => Ok(size),
            Err(_) => Ok(i64::MAX),
        }
    }

    /// `X-Total-Count` and `Link`. Official clients read the page from the first digit after the
    /// first `=`, so names are sorted and `page` stays in front of `per_page`.
    pub(crate) fn mark(self, headers: &mut HeaderMap, request: &RequestContext, total: u64) {
        let last = total.div_ceil(self.size.max(1));
        let mut query = request.query.clone();
        let mut link = String::new();
        if last > self.number {
            query.set("page", (self.number + 1).to_string());
            link = format!("<{}?{}>; rel=\"next\", ", request.path, query.encode());
        }
        query.set("page", last.to_string());
        link += &format!("<{}?{}>; rel=\"last\"", request.path, query.encode());
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.insert(http::header::LINK, link);
        }
        headers.insert("x-total-count", HeaderValue::from(total));
    }
}

fn unsigned(text: &str, default: u64) -> Result<u64> {
    if text.is_empty() {
        return Ok(default);
    }
    let syntax = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| syntax).ok_or_else(|| {
        let reason = if syntax { "value out of range" } else { "invalid syntax" };
        Error::invalid(format!("Bad Pagination Parameters: strconv.ParseUint: parsing {text:?}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;

    fn links(uri: &str, total: u64) -> (String, String) {
        let request = http::Request::get(uri).body(()).unwrap();
        let request = RequestContext::new(&request, &Config::default());
        let mut headers = HeaderMap::new();
        Page::from_query(&request.query).unwrap().mark(&mut headers, &request, total);
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        (text("link"), text("x-total-count"))
    }

    #[test]
    fn the_next_page_is_named_while_there_is_one() {
        let (link, total) = links("/admin/users?per_page=2&page=1", 5);
        assert_eq!(
            link,
            "</admin/users?page=2&per_page=2>; rel=\"next\", </admin/users?page=3&per_page=2>; rel=\"last\""
        );
        assert_eq!(total, "5");
        assert_eq!(
            links("/admin/users?page=3&per_page=2", 5).0,
            "</admin/users?page=3&per_page=2>; rel=\"last\""
        );
        assert_eq!(links("/admin/users", 0).0, "</admin/users?page=0>; rel=\"last\"");
    }

    #[test]
    fn texts_that_are_no_numbers_are_named() {
        let error = Page::from_query(&Form::parse("page=x")).unwrap_err().to_string();
        assert_eq!(error, "400: Bad Pagination Parameters: strconv.ParseUint: parsing \"x\": invalid syntax");
    }
}
