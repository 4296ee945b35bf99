//! The header `Range`.

use std::ops::Range;

/// Which part of a body a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several, or one that makes no sense.
    Whole,
    /// This part: 206.
    Part(Range<u64>),
    /// A part that does not exist: 416.
    Beyond,
}

/// Reads one range of bytes of something of this size.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|value| value.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for us lies beyond anything we have.
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first, last) {
        ("", "") => Wanted::Whole,
        ("", suffix) => match number(suffix) {
            None => Wanted::Whole,
            Some(0) => Wanted::Beyond,
            Some(_) if size == 0 => Wanted::Beyond,
            Some(suffix) => Wanted::Part(size.saturating_sub(suffix)..size),
        },
        (first, last) => {
            let Some(first) = number(first) else { return Wanted::Whole };
            let end = match last {
                "" => size,
                last => match number(last) {
                    Some(last) if last >= first => last.saturating_add(1).min(size),
                    _ => return Wanted::Whole,
                },
            };
            if first >= size { Wanted::Beyond } else { Wanted::Part(first..end) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bytes=0-4", Wanted::Part(0..5))]
    #[case("bytes=5-", Wanted::Part(5..10))]
    #[case("bytes=-3", Wanted::Part(7..10))]
    #[case("bytes=-99", Wanted::Part(0..10))]
    #[case("bytes=0-99999999999999999999", Wanted::Part(0..10))]
    #[case("bytes=10-", Wanted::Beyond)]
    #[case("bytes=99999999999999999999-", Wanted::Beyond)]
    #[case("bytes=-0", Wanted::Beyond)]
    #[case("bytes=4-2", Wanted::Whole)]
    #[case("bytes=0-1,4-5", Wanted::Whole)]
    #[case("bytes=a-b", Wanted::Whole)]
    #[case("bytes=-", Wanted::Whole)]
    #[case("items=0-1", Wanted::Whole)]
    fn ranges_of_ten_bytes(#[case] header: &str, #[case] expected: Wanted) {
        assert_eq!(wanted(Some(header), 10), expected);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Wanted::Part(part) = wanted(Some(&header), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
