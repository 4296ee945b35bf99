//! Durations and sizes as the Supabase CLI's file writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration in Go's notation: `1s`, `2m`, `1h30m`, `1.5h`, `300ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

/// The text is no duration, or one longer than centuries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration")]
pub struct NotADuration;

impl FromStr for GoDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" {
            return Ok(GoDuration::default());
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.is_empty() {
            return Err(NotADuration);
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(NotADuration)?;
            let number: f64 = rest[..number_end].parse().map_err(|_| NotADuration)?;
            rest = &rest[number_end..];
            let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            let seconds = match &rest[..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(NotADuration),
            };
            rest = &rest[unit_end..];
            let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| NotADuration)?;
            total = total.checked_add(part).ok_or(NotADuration)?;
        }
        Ok(GoDuration(total))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let fraction = self.0.subsec_nanos();
        if seconds == 0 && fraction > 0 {
            return if fraction.is_multiple_of(1_000_000) {
                write!(f, "{}ms", fraction / 1_000_000)
            } else if fraction.is_multiple_of(1_000) {
                write!(f, "{}us", fraction / 1_000)
            } else {
                write!(f, "{fraction}ns")
            };
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if fraction > 0 {
            let digits = format!("{fraction:09}");
            write!(f, "{seconds}.{}s", digits.trim_end_matches('0'))
        } else if seconds > 0 || (hours == 0 && minutes == 0) {
            write!(f, "{seconds}s")
        } else {
            Ok(())
        }
    }
}

/// A number of bytes: `50MiB`, `5MB`, `500KB`, `1024`. Every unit is a power of 1024, whether it is
/// written with an `i` or not, as the CLI reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// The text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size")]
pub struct NotASize;

const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let number: f64 = text[..number_end].parse().map_err(|_| NotASize)?;
        let unit = text[number_end..].trim_start().to_ascii_uppercase();
        let unit = unit.strip_suffix('B').unwrap_or(&unit);
        let unit = unit.strip_suffix('I').unwrap_or(unit);
        let power = UNITS.iter().position(|known| *known == unit).ok_or(NotASize)?;
        let bytes = number * 1024f64.powi(i32::try_from(power).unwrap_or(0));
        if bytes.is_finite() && bytes < u64::MAX as f64 { Ok(ByteSize(bytes as u64)) } else { Err(NotASize) }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        let mut power = 0;
        while value > 0 && value.is_multiple_of(1024) && power + 1 < UNITS.len() {
            value /= 1024;
            power += 1;
        }
        match power {
            0 => write!(f, "{value}"),
            _ => write!(f, "{value}{}iB", UNITS[power]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let seconds = |text: &str| text.parse::<GoDuration>().map(|d| d.0.as_secs_f64());
        assert_eq!(seconds("1s"), Ok(1.0));
        assert_eq!(seconds("2m"), Ok(120.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        assert_eq!(seconds("300ms"), Ok(0.3));
        assert_eq!(seconds("0"), Ok(0.0));
        for wrong in ["", "1", "s", "1 s", "-1s", "1d", "1e3s", "9999999999999999999h", "1..5s"] {
            assert_eq!(seconds(wrong), Err(NotADuration), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_however_they_are_written() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(bytes("50MiB"), Ok(50 << 20));
        assert_eq!(bytes("5MB"), Ok(5 << 20));
        assert_eq!(bytes("500 kb"), Ok(500 << 10));
        assert_eq!(bytes("1.5g"), Ok(3 << 29));
        assert_eq!(bytes("1024"), Ok(1024));
        for wrong in ["", "MB", "1XB", "-1", "1e99PB", "99999999999P"] {
            assert_eq!(bytes(wrong), Err(NotASize), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanos in 0u64..1 << 60, bytes in any::<u64>()) {
            let duration = GoDuration(Duration::from_nanos(nanos));
            let read = duration.to_string().parse::<GoDuration>().unwrap();
            // Seconds and their fraction go through f64: equal to the microsecond.
            let difference = read.0.abs_diff(duration.0);
            prop_assert!(difference < Duration::from_micros(1), "{duration} {read:?}");
            let size = ByteSize(bytes >> 12);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<GoDuration>();
            let _ = text.parse::<ByteSize>();
        }
    }
}
