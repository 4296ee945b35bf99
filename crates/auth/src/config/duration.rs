//! Durations as Go writes them: `1h30m`, `300ms`, `-1.5h`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads a Go duration that must not be negative. The error is Go's own text.
pub fn parse_go_duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = parse_signed(text)?;
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| format!("time: invalid duration {}", quote(text)))
}

/// Reads a Go duration of either sign, in nanoseconds.
pub(crate) fn parse_signed(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = &rest[..digits];
        if number.is_empty() || number == "." || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        let value: f64 = number.parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let (_, scale) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| format!("time: unknown unit {} in duration {}", quote(unit), quote(text)))?;
        total += value * scale;
        rest = &rest[end..];
    }
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok((sign * total) as i64)
}

/// Writes whole seconds the way Go prints a duration: `1h0m0s`, `5s`.
pub fn format_go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn quote(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_every_unit_and_their_sums() {
        assert_eq!(parse_go_duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_go_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_go_duration("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(parse_go_duration("2us").unwrap(), Duration::from_micros(2));
        assert_eq!(parse_go_duration("0").unwrap(), Duration::ZERO);
    }

    #[test]
    fn errors_read_like_the_originals() {
        assert_eq!(parse_go_duration("").unwrap_err(), "time: invalid duration \"\"");
        assert_eq!(parse_go_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(
            parse_go_duration("5 years").unwrap_err(),
            "time: unknown unit \" years\" in duration \"5 years\""
        );
        assert_eq!(parse_go_duration("soon").unwrap_err(), "time: invalid duration \"soon\"");
    }

    #[test]
    fn a_sign_is_kept_where_it_is_allowed() {
        assert_eq!(parse_signed("-1h").unwrap(), -3_600_000_000_000);
        assert!(parse_go_duration("-1h").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whole_seconds_survive_a_round_trip(seconds in 0u64..10_000_000) {
            let duration = Duration::from_secs(seconds);
            proptest::prop_assert_eq!(parse_go_duration(&format_go_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse_signed(&text);
        }
    }
}
