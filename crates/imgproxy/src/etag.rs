//! Answers change with the source and with the options, so their tags have a part for each: `"<options>/R<source's tag>"`,
//! or `"<options>/D<digest of the source>"` for sources without one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The part of a tag that tells the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Tag(String),
    Digest(String),
}

/// A tag of ours that a client has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) options: String,
    pub(crate) source: Source,
}

impl Known {
    /// From `If-None-Match`, of which the first tag counts, if it is one of ours.
    pub(crate) fn parse(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
        let first = text.split(',').next()?.trim();
        let inner = first.strip_prefix('"')?.strip_suffix('"')?;
        let (options, rest) = inner.split_once('/')?;
        let mark = rest.chars().next()?;
        let value = rest.get(1..).filter(|value| !value.is_empty())?;
        let source = match mark {
            // The original reads another alphabet than it writes; both are read here.
            'R' => {
                let bytes = URL_SAFE_NO_PAD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).ok()?;
                Source::Tag(String::from_utf8(bytes).ok()?)
            }
            'D' => Source::Digest(value.to_owned()),
            _ => return None,
        };
        Some(Self { options: options.to_owned(), source })
    }
}

pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// The whole tag.
pub(crate) fn tag(options: &str, source: &Source) -> String {
    match source {
        Source::Tag(tag) => format!("\"{options}/R{}\"", URL_SAFE_NO_PAD.encode(tag)),
        Source::Digest(digest) => format!("\"{options}/D{digest}\""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn known(text: &str) -> Option<Known> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, text.parse().unwrap());
        Known::parse(&headers)
    }

    #[test]
    fn a_tag_comes_back_as_it_was() {
        for source in [Source::Tag("\"?>~\"".to_owned()), Source::Digest("abc".to_owned())] {
            let text = tag("options", &source);
            assert_eq!(known(&text), Some(Known { options: "options".to_owned(), source }), "{text}");
        }
        assert_eq!(known("\"a/Db\", \"c/Dd\"").unwrap().options, "a");
    }

    #[test]
    fn tags_of_others_are_left_alone() {
        for text in ["", "*", "W/\"a/Db\"", "\"a\"", "\"a/\"", "\"a/D\"", "\"a/Xb\"", "\"a/R!\"", "\""] {
            assert_eq!(known(text), None, "{text}");
        }
    }
}
