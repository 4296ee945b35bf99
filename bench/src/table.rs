//! The table that a measurement prints: ours, the limit, the ratio.

/// The middle value; of an even number the lower one of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the head of a table of measurements.
pub(crate) fn head(title: &str) {
    println!("\n{title}\n{:<52} {:>14} {:>14} {:>8}  target", "", "ours", "limit", "ratio");
}

/// Prints one line: a figure of ours beside its limit, and the ratio that was asked for.
pub(crate) fn line(name: &str, ours: f64, limit: f64, unit: &str, target: &str) {
    println!("{name:<52} {ours:>14.1} {limit:>14.1} {:>8.2}  {target} ({unit})", ours / limit);
}

/// Prints a figure that stands alone.
pub(crate) fn note(name: &str, value: f64, unit: &str) {
    println!("{name:<52} {value:>14.1}  {unit}");
}
