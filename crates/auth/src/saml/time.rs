//! Instants and durations of XML Schema.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// `2024-01-31T12:00:00.123Z`; without a zone it is UTC.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|instant| instant.to_utc());
    zoned
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .ok()
}

/// An instant to the millisecond, as others can be trusted to read it (SAML core, 1.3.3).
pub(super) fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `P1Y2M3DT4H5M6.7S`, years of 365 and months of 30 days, to the second; a negative one is none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (date, time) =
        text.trim().strip_prefix('P')?.split_once('T').unwrap_or((text.trim().strip_prefix('P')?, ""));
    let mut seconds = 0_u64;
    let mut add = |mut part: &str, units: &[(char, u64)]| {
        for (unit, worth) in units {
            let Some((number, rest)) = part.split_once(*unit) else { continue };
            let whole = if *unit == 'S' { number.split('.').next().unwrap_or(number) } else { number };
            let number: u64 = whole.parse().ok()?;
            seconds = seconds.checked_add(number.checked_mul(*worth)?)?;
            part = rest;
        }
        part.is_empty().then_some(())
    };
    const DAY: u64 = 24 * 3600;
    add(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    add(time, &[('H', 3600), ('M', 60), ('S', 1)])?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn instants_have_a_zone_or_are_in_utc() {
        let at = |text: &str| instant(text).map(written);
        let noon = Some("2024-01-31T12:00:00.500Z".to_owned());
        assert_eq!(at("2024-01-31T12:00:00.5Z"), noon);
        assert_eq!(at("2024-01-31T14:00:00.5+02:00"), noon);
        assert_eq!(at(" 2024-01-31T12:00:00.5004 "), noon);
        for text in ["", "2024-01-31", "yesterday"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_added_up() {
        let of = |text: &str| duration(text).map(|duration| duration.as_secs());
        assert_eq!(of("PT6H"), Some(21_600));
        assert_eq!(of("P1DT1M1.9S"), Some(86_461));
        assert_eq!(of("P1Y1M"), Some(395 * 86_400));
        for text in ["", "1H", "P1H", "PT1D", "-PT1H", "PTxS", "P99999999999999999999D"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
