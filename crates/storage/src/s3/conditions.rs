//! Conditional requests and ranges, as far as S3 has its own.

use std::ops::Range;

use http::{HeaderMap, HeaderName, header};

use super::error::{S3Error, S3Result};

/// The conditions on a copy's source, as those of a request.
pub(super) fn of_copy_source(headers: &HeaderMap) -> HeaderMap {
    const NAMES: [(&str, HeaderName); 4] = [
        ("x-amz-copy-source-if-match", header::IF_MATCH),
        ("x-amz-copy-source-if-none-match", header::IF_NONE_MATCH),
        ("x-amz-copy-source-if-modified-since", header::IF_MODIFIED_SINCE),
        ("x-amz-copy-source-if-unmodified-since", header::IF_UNMODIFIED_SINCE),
    ];
    let pairs = NAMES.into_iter().filter_map(|(name, standard)| Some((standard, headers.get(name)?.clone())));
    pairs.collect()
}

/// `x-amz-copy-source-range`: `bytes=a-b`, both given, within the source.
pub(super) fn copy_range(text: &str, size: u64) -> S3Result<Range<u64>> {
    let malformed = || {
        S3Error::invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )
    };
    let (first, last) =
        text.trim().strip_prefix("bytes=").and_then(|rest| rest.split_once('-')).ok_or_else(malformed)?;
    let digits = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None }
    };
    let (first, last) = (digits(first).ok_or_else(malformed)?, digits(last).ok_or_else(malformed)?);
    if last < first {
        return Err(malformed());
    }
    if last >= size {
        return Err(S3Error {
            size: Some(size),
            ..S3Error::new(
                "InvalidRange",
                416,
                format!("Range specified is not valid for source object of size: {size}"),
            )
        });
    }
    Ok(first..last + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn copied_ranges_lie_within_the_source() {
        assert_eq!(copy_range("bytes=0-9", 10), Ok(0..10));
        let code = |text| copy_range(text, 10).unwrap_err().code;
        assert_eq!(code("bytes=0-10"), "InvalidRange");
        for malformed in
            ["0-1", "bytes=0", "bytes=-1", "bytes=1-", "bytes=2-1", "bytes=0-1,2-3", "bytes=+0-1"]
        {
            assert_eq!(code(malformed), "InvalidArgument", "{malformed}");
        }
    }
}
