//! Windows of rows: `limit`, `offset` and the `Range` header.

/// A window of rows. Bounds are inclusive; a window without an upper bound is open.
#[derive(Clone, Copy, Debug)]
pub struct RowRange {
    /// The first row, counted from zero. Negative only through a negative `offset`.
    pub lower: i128,
    /// The last row.
    pub upper: Option<i128>,
}

impl PartialEq for RowRange {
    /// All empty windows are alike.
    fn eq(&self, other: &Self) -> bool {
        (self.is_empty() && other.is_empty()) || (self.lower == other.lower && self.upper == other.upper)
    }
}

impl Eq for RowRange {}

impl RowRange {
    /// Every row.
    pub const ALL: Self = Self { lower: 0, upper: None };
    /// `limit=0`: the one empty window that may be asked for.
    pub const LIMIT_ZERO: Self = Self { lower: 0, upper: Some(-1) };

    /// A window that starts at a row and has no end.
    pub fn from_offset(lower: i128) -> Self {
        Self { lower, upper: None }
    }

    /// A window of so many rows.
    pub fn with_limit(lower: i128, limit: i128) -> Self {
        Self { lower, upper: Some(lower.saturating_add(limit).saturating_sub(1)) }
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.upper.is_some_and(|upper| upper < self.lower)
    }

    /// How many rows, if it has an end.
    pub fn limit(&self) -> Option<i128> {
        self.upper.map(|upper| 1 + upper - self.lower)
    }

    /// Whether it came from `limit=0`.
    pub fn has_limit_zero(&self) -> bool {
        self.upper == Some(-1)
    }

    /// The rows in both.
    pub fn intersect(self, other: Self) -> Self {
        let upper = match (self.upper, other.upper) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { lower: self.lower.max(other.lower), upper }
    }

    /// At most so many rows of it.
    pub fn restrict(self, max: i128) -> Self {
        if self.has_limit_zero() || self.is_empty() {
            return self;
        }
        let cap = self.lower.saturating_add(max).saturating_sub(1);
        Self { lower: self.lower, upper: Some(self.upper.map_or(cap, |upper| upper.min(cap))) }
    }
}

/// Reads an integer as Haskell's `read` does for our purposes: an optional `-` and digits, blanks around.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Anything larger is beyond what PostgreSQL counts, and sums of it must not overflow.
    let number = text.parse().unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX });
    Some(number.clamp(i128::MIN / 4, i128::MAX / 4))
}

/// The `Range` header: `first-last` or `first-`. Anything else means every row.
pub(crate) fn from_header(value: &str) -> RowRange {
    let Some((first, last)) = value.split_once('-') else { return RowRange::ALL };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if first.is_empty() || !digits(first) || !digits(last) {
        return RowRange::ALL;
    }
    RowRange { lower: integer(first).unwrap_or(0), upper: integer(last) }
}

/// The `Content-Range` of rows `lower` to `upper`.
pub(crate) fn content_range(lower: i128, upper: i128, total: Option<i64>) -> String {
    let total_text = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    if lower <= upper && total != Some(0) {
        format!("{lower}-{upper}/{total_text}")
    } else {
        format!("*/{total_text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_forms() {
        assert_eq!(from_header("0-9"), RowRange { lower: 0, upper: Some(9) });
        assert_eq!(from_header("5-"), RowRange { lower: 5, upper: None });
        assert_eq!(from_header("items=0-9"), RowRange::ALL);
        assert!(from_header("2-1").is_empty());
    }

    #[test]
    fn no_number_is_too_large_to_count_with() {
        for text in [i128::MAX.to_string(), i128::MIN.to_string(), "9".repeat(60)] {
            let number = integer(&text);
            assert!(number.is_some());
            let range = RowRange { lower: 0, upper: number };
            assert_eq!(range.limit(), number.map(|upper| upper + 1));
            let range = RowRange::with_limit(number.unwrap_or(0), number.unwrap_or(0));
            assert_eq!(range.limit(), number);
        }
    }

    #[test]
    fn content_ranges() {
        assert_eq!(content_range(0, 9, None), "0-9/*");
        assert_eq!(content_range(0, -1, Some(0)), "*/0");
        assert_eq!(content_range(5, 4, Some(5)), "*/5");
    }
}
