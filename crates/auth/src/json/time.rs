//! Instants as Go writes them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postgres_types::{FromSql, ToSql, private::BytesMut};
use serde::{Serialize, Serializer};

/// A moment in UTC. On the wire: RFC 3339 with up to nine fractional digits, trailing zeros trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) DateTime<Utc>);

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self(Utc::now())
    }

    /// Now, to the microsecond the database keeps. The original's row timestamps carry no more, even
    /// before they are stored; its other instants do.
    pub(crate) fn now_stored() -> Self {
        let now = Utc::now();
        Self(DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now))
    }

    /// Whole seconds since 1970.
    pub(crate) fn unix(self) -> i64 {
        self.0.timestamp()
    }

    /// This moment and a while; a sum beyond the calendar stays where it is.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        chrono::Duration::from_std(duration)
            .ok()
            .and_then(|duration| self.0.checked_add_signed(duration))
            .map_or(self, Self)
    }

    pub(crate) fn plus_seconds(self, seconds: i64) -> Self {
        chrono::Duration::try_seconds(seconds)
            .and_then(|duration| self.0.checked_add_signed(duration))
            .map_or(self, Self)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%S"))?;
        let nanoseconds = self.0.timestamp_subsec_nanos();
        if nanoseconds > 0 {
            write!(f, ".{}", format!("{nanoseconds:09}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(
        ty: &postgres_types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        DateTime::<Utc>::from_sql(ty, raw).map(Self)
    }

    fn accepts(ty: &postgres_types::Type) -> bool {
        <DateTime<Utc> as FromSql<'_>>::accepts(ty)
    }
}

impl ToSql for Timestamp {
    fn to_sql(
        &self,
        ty: &postgres_types::Type,
        out: &mut BytesMut,
    ) -> Result<postgres_types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &postgres_types::Type) -> bool {
        <DateTime<Utc> as ToSql>::accepts(ty)
    }

    postgres_types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(text: &str) -> String {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().to_utc()).to_string()
    }

    #[test]
    fn fractions_lose_their_trailing_zeros() {
        assert_eq!(written("2026-01-02T03:04:05.120000Z"), "2026-01-02T03:04:05.12Z");
        assert_eq!(written("2026-01-02T03:04:05.000001Z"), "2026-01-02T03:04:05.000001Z");
        assert_eq!(written("2026-01-02T03:04:05.123456789Z"), "2026-01-02T03:04:05.123456789Z");
        assert_eq!(written("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
    }
}
