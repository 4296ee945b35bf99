//! Suggestions for misspelt names, found as PostgREST finds them.
//!
//! Names are compared by the letter groups they share (three letters at a time, then two), the best fifty of them again by
//! edit distance. Case does not matter, nor do characters other than letters, digits, blanks and commas.

use std::collections::{HashMap, HashSet};

const LEAST: f64 = 0.33;
const SHORT_LIST: usize = 50;
/// More names than this are not searched: a suggestion is a courtesy, not worth much time.
const MOST_NAMES: usize = 20_000;
/// Nor are names for longer ones than this, which nobody meant: a client may send megabytes.
const LONGEST_WANTED: usize = 1024;

/// The name that was most likely meant, of names in no order.
pub(crate) fn best<'n>(names: impl Iterator<Item = &'n str>, wanted: &str) -> Option<&'n str> {
    let mut names: Vec<&str> = names.take(MOST_NAMES).collect();
    names.sort_unstable();
    best_listed(names.into_iter(), wanted)
}

/// The name that was most likely meant. Of equally likely ones the last that is listed, mostly.
pub(crate) fn best_listed<'n>(
    names: impl DoubleEndedIterator<Item = &'n str>,
    wanted: &str,
) -> Option<&'n str> {
    search(names, wanted).into_iter().next().map(|(_, name)| name)
}

/// The same, except for a name that is exactly the one given.
pub(crate) fn best_inexact<'n>(
    names: impl DoubleEndedIterator<Item = &'n str>,
    wanted: &str,
) -> Option<&'n str> {
    search(names, wanted).into_iter().find(|(score, _)| *score < 1.0).map(|(_, name)| name)
}

fn grams(text: &str, size: usize) -> HashMap<Vec<char>, i32> {
    let mut letters: Vec<char> = vec!['-'];
    letters.extend(text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace() || *c == ','));
    letters.push('-');
    let mut grams = HashMap::new();
    for gram in letters.windows(size) {
        *grams.entry(gram.to_vec()).or_insert(0) += 1;
    }
    grams
}

fn norm(grams: &HashMap<Vec<char>, i32>) -> f64 {
    grams.values().map(|count| f64::from(*count).powi(2)).sum::<f64>().sqrt()
}

fn search<'n>(names: impl DoubleEndedIterator<Item = &'n str>, wanted: &str) -> Vec<(f64, &'n str)> {
    if wanted.len() > LONGEST_WANTED {
        return Vec::new();
    }
    let wanted = wanted.to_lowercase();
    // The library numbers the names from the last to the first, and lists them as a hash map of numbers does: by groups of
    // five bits, the lowest first. Of names that differ in case only the last counts.
    let mut seen = HashSet::new();
    let numbered =
        names.rev().map(|name| (name.to_lowercase(), name)).filter(|(lower, _)| seen.insert(lower.clone()));
    let mut names: Vec<(usize, (String, &'n str))> = numbered.take(MOST_NAMES).enumerate().collect();
    names.sort_by_key(|(number, _)| (number & 31, (number >> 5) & 31, (number >> 10) & 31, number >> 15));
    let names: Vec<(String, &'n str)> = names.into_iter().map(|(_, name)| name).collect();
    if let Some((_, name)) = names.iter().find(|(lower, _)| *lower == wanted) {
        return vec![(1.0, name)];
    }
    for size in [3, 2] {
        let wanted_grams = grams(&wanted, size);
        let wanted_norm = norm(&wanted_grams);
        let mut scored: Vec<(f64, &str, &'n str)> = names
            .iter()
            .filter_map(|(lower, name)| {
                let other = grams(lower, size);
                let dot: i32 = wanted_grams
                    .iter()
                    .filter_map(|(gram, count)| other.get(gram).map(|there| count * there))
                    .sum();
                (dot > 0).then(|| (f64::from(dot) / (wanted_norm * norm(&other)), lower.as_str(), *name))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut found: Vec<(f64, &'n str)> = scored
            .into_iter()
            .take(SHORT_LIST)
            .map(|(_, lower, name)| (similarity(&wanted, lower), name))
            .filter(|(score, _)| *score >= LEAST)
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn similarity(a: &str, b: &str) -> f64 {
    let longest = a.chars().count().max(b.chars().count()).max(1);
    #[allow(clippy::cast_precision_loss)]
    let ratio = distance(a, b) as f64 / longest as f64;
    1.0 - ratio
}

/// How many letters must be changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found() {
        let names = ["films", "directors", "roles", "actors"];
        assert_eq!(best(names.into_iter(), "film"), Some("films"));
        assert_eq!(best(names.into_iter(), "role"), Some("roles"));
        assert_eq!(best(names.into_iter(), "noclosealternative"), None);
        assert_eq!(best_inexact(names.into_iter(), "actors"), None);
    }

    #[test]
    fn of_equally_close_names_the_last_wins() {
        assert_eq!(best_listed(["(b, x)", "(a, x)"].into_iter(), "(x)"), Some("(a, x)"));
        assert_eq!(best(["items_b", "items_c", "items_a"].into_iter(), "items_"), Some("items_c"));
    }

    #[test]
    fn endless_names_are_not_searched_for() {
        assert_eq!(best(["films"].into_iter(), &"films".repeat(1 << 20)), None);
        assert_eq!(best(["films"].into_iter(), &"film ".repeat(200)), None);
    }
}
