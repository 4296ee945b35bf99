//! Taking a URL's path apart.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::Error;

/// Without padding, and without minding what is in the unused bits, as Go reads it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// The word before a source that is not encoded.
const PLAIN: &str = "plain";

/// Signature, and the rest from its slash on.
pub(crate) fn split_signature(path: &str) -> Result<(&str, &str), Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.find('/') {
        Some(at) if at > 0 => Ok(path.split_at(at)),
        _ => Err(Error::invalid_url(format!("Invalid path: {path}"))),
    }
}

/// Proxies make one slash of two: gives a plain source's scheme its slashes back.
pub(crate) fn repaired(path: &str) -> String {
    let Some(start) = path.find("/plain/").map(|at| at + "/plain/".len()) else { return path.to_owned() };
    let source = &path[start..];
    // The last place that a scheme may end at, as a greedy search finds it.
    let collapsed = source.rmatch_indices(":/").find(|(at, _)| {
        let before = &source[..*at];
        let after = source[at + 2..].chars().next();
        !before.is_empty() && !before.contains(char::is_whitespace) && after.is_some_and(|next| next != '/')
    });
    match collapsed {
        Some((at, _)) => {
            let (scheme, rest) = (&source[..at], &source[at + 2..]);
            let slashes = if scheme == "local" { ":///" } else { "://" };
            format!("{}{scheme}{slashes}{rest}", &path[..start])
        }
        None => path.to_owned(),
    }
}

/// Segments of options (name and arguments), and what comes behind them.
pub(crate) fn split_options<'a>(segments: &'a [&'a str]) -> (Vec<(&'a str, Vec<&'a str>)>, &'a [&'a str]) {
    let count = segments.iter().position(|segment| !segment.contains(':')).unwrap_or(segments.len());
    let (options, rest) = segments.split_at(count);
    let parsed = options
        .iter()
        .map(|option| {
            let mut parts = option.split(':');
            (parts.next().unwrap_or_default(), parts.collect())
        })
        .collect();
    (parsed, rest)
}

/// A source and the type that is asked for behind it, if any.
pub(crate) fn source(segments: &[&str], base_url: &str) -> Result<(String, Option<String>), Error> {
    let (encoded, mark, plain) = match segments {
        [] => return Err(Error::invalid_url("Image URL is empty")),
        [first, rest @ ..] if *first == PLAIN && !rest.is_empty() => (rest.join("/"), '@', true),
        segments => (segments.concat(), '.', false),
    };
    let mut parts = encoded.split(mark);
    let source = parts.next().unwrap_or_default();
    let format = parts.next().filter(|format| !format.is_empty());
    if source.is_empty() {
        return Err(Error::invalid_url("Image URL is empty"));
    }
    if parts.next().is_some() {
        return Err(Error::invalid_url(format!("Multiple formats are specified: {encoded}")));
    }
    let decoded = if plain { unescaped(source) } else { BASE64.decode(source.trim_end_matches('=')).ok() };
    let decoded = decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Error::invalid_url(format!("Invalid url encoding: {encoded}")))?;
    if decoded.is_empty() {
        return Err(Error::invalid_url("Image URL is empty"));
    }
    let whole = if decoded.starts_with(base_url) { decoded } else { format!("{base_url}{decoded}") };
    Ok((whole, format.map(str::to_owned)))
}

/// Percent-decoded; `None` where a sign is not followed by two digits.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let complete = text.match_indices('%').all(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    complete.then(|| percent_decode_str(text).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(path: &str) -> Result<(String, Option<String>), &'static str> {
        let segments: Vec<&str> = path.split('/').collect();
        source(&segments, "").map_err(|error| error.public)
    }

    #[test]
    fn a_source_is_plain_or_base64() {
        let found = |source: &str, format: Option<&str>| Ok((source.to_owned(), format.map(str::to_owned)));
        assert_eq!(parsed("plain/http://a/b%20c.jpg@png"), found("http://a/b c.jpg", Some("png")));
        assert_eq!(parsed("plain/http://a/b.jpg"), found("http://a/b.jpg", None));
        assert_eq!(parsed("plain/http://a/b.jpg@"), found("http://a/b.jpg", None));
        assert_eq!(parsed("aHR0cDovL2EvYi5qcGc.png"), found("http://a/b.jpg", Some("png")));
        assert_eq!(parsed("aHR0cDov/L2EvYi/5qcGc"), found("http://a/b.jpg", None));
        assert_eq!(parsed("aHR0cDovL2EvYi5qcGc="), found("http://a/b.jpg", None));
        for wrong in ["plain/a@b@c", "plain/a%2", "plain/", "a.b.c", "=", "!", ""] {
            assert_eq!(parsed(wrong), Err("Invalid URL"), "{wrong}");
        }
    }

    #[test]
    fn a_base_url_goes_before_what_lacks_it() {
        let with_base = |text: &str| source(&["plain", text], "http://a/").unwrap().0;
        assert_eq!(with_base("b.jpg"), "http://a/b.jpg");
        assert_eq!(with_base("http://a/b.jpg"), "http://a/b.jpg");
    }

    #[test]
    fn lost_slashes_come_back() {
        assert_eq!(repaired("/x/plain/https:/a/b"), "/x/plain/https://a/b");
        assert_eq!(repaired("/x/plain/local:/a/b"), "/x/plain/local:///a/b");
        assert_eq!(repaired("/x/plain/https://a/b"), "/x/plain/https://a/b");
        assert_eq!(repaired("/rs:fit:1:1/aHR0cA"), "/rs:fit:1:1/aHR0cA");
    }

    #[test]
    fn options_end_at_the_first_segment_without_a_colon() {
        let segments = ["rs:fit:1:2", "q:3", "plain", "http:", "x"];
        let (options, rest) = split_options(&segments);
        assert_eq!(options, [("rs", vec!["fit", "1", "2"]), ("q", vec!["3"])]);
        assert_eq!(rest, ["plain", "http:", "x"]);
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "(/plain/)?[ -~é:/%@.]{0,60}") {
            let _ = split_signature(&path);
            let path = repaired(&path);
            let segments: Vec<&str> = path.split('/').collect();
            let (_, rest) = split_options(&segments);
            let _ = source(rest, "");
        }
    }
}
