//! The query string: which parameter is what, and the order in which they are read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::ast::{Filter, Logic, OrderTerm, Path, SelectItem};
use super::range::{self, RowRange};
use super::scan::{Scan, Scanned};
use super::{filter, grammar, select};
use crate::error::Error;

/// A query string, read.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The parameters sorted by name, for `Content-Location`.
    pub canonical: String,
    /// What is selected; empty means every column.
    pub select: Vec<SelectItem>,
    /// The filters, in order, with the embed they apply to.
    pub filters: Vec<(Path, Filter)>,
    /// Arguments of a function that is called by GET.
    pub arguments: Vec<(String, String)>,
    /// `and` and `or`.
    pub logic: Vec<(Path, Logic)>,
    /// `order`.
    pub order: Vec<(Path, Vec<OrderTerm>)>,
    /// The root's `limit` and `offset`, if either was given.
    pub root_range: Option<RowRange>,
    /// `limit` and `offset` of embeds, by the embed's path.
    pub ranges: Vec<(Path, RowRange)>,
    /// `columns`.
    pub columns: Option<BTreeSet<String>>,
    /// `on_conflict`.
    pub on_conflict: Option<Vec<String>>,
    /// The names of all parameters that are filters.
    pub filter_keys: BTreeSet<String>,
}

/// One decoded `key=value`; a key without `=` has no value.
#[derive(Debug)]
struct Pair<'q> {
    kind: Kind,
    key: Cow<'q, str>,
    value: Option<Cow<'q, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Order,
    Limit,
    Offset,
    Logic,
    Reserved,
    Filter,
}

/// A `limit` or `offset`: whether it is there, and whether it is a number.
type Given = Option<Option<i128>>;

fn kind(key: &str) -> Kind {
    match key.rsplit('.').next().unwrap_or(key) {
        "order" => Kind::Order,
        "limit" => Kind::Limit,
        "offset" => Kind::Offset,
        "and" | "or" => Kind::Logic,
        _ if matches!(key, "select" | "columns" | "on_conflict") => Kind::Reserved,
        _ => Kind::Filter,
    }
}

impl Query {
    /// Reads a raw query string. `arguments` says that values which are no conditions are arguments of a function.
    pub fn parse(raw: &str, arguments: bool) -> Result<Self, Error> {
        let pairs = split(raw)?;
        let mut query = Self { canonical: canonical(raw), ..Self::default() };
        let of = |wanted: Kind| {
            pairs
                .iter()
                .filter(move |pair| pair.kind == wanted)
                .filter_map(|pair| Some((&*pair.key, pair.value.as_deref()?)))
        };
        let first =
            |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());

        for (key, value) in of(Kind::Order) {
            let (path, _) = tree_path(key)?;
            query.order.push((path, run(value, "order", value, filter::order)?));
        }
        for (key, value) in of(Kind::Logic) {
            let (path, operator) = run(key, "logic path", key, filter::logic_path)?;
            let tree = format!("{operator}{value}");
            query.logic.push((path, run(&tree, "logic tree", value, filter::logic)?));
        }
        if let Some(value) = first("columns") {
            query.columns =
                Some(run(value, "columns parameter", value, grammar::names)?.into_iter().collect());
        }
        query.select = match first("select") {
            Some(value) => run(value, "select parameter", value, select::items)?,
            None => vec![SelectItem::Field(select::every_column())],
        };
        for (key, value) in of(Kind::Filter) {
            query.filter_keys.insert(key.to_owned());
            let (path, field) = tree_path(key)?;
            match run(value, "filter", value, |s| filter::condition(s, filter::verbatim)) {
                Ok(condition) => query.filters.push((path, Filter { field, condition })),
                Err(_) if arguments && !looks_like_condition(value) => {
                    query.arguments.push((field.name, value.to_owned()));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(value) = first("on_conflict") {
            query.on_conflict = Some(run(value, "on_conflict parameter", value, grammar::names)?);
        }
        if pairs.iter().any(|pair| matches!(pair.kind, Kind::Limit | Kind::Offset)) {
            query.read_ranges(of(Kind::Limit).collect(), of(Kind::Offset).collect())?;
        }
        Ok(query)
    }

    /// Filters on the root.
    pub fn root_filters(&self) -> impl DoubleEndedIterator<Item = &Filter> {
        self.filters.iter().filter(|(path, _)| path.is_empty()).map(|(_, filter)| filter)
    }

    fn read_ranges<'q>(
        &mut self,
        limits: Vec<(&'q str, &'q str)>,
        offsets: Vec<(&'q str, &'q str)>,
    ) -> Result<(), Error> {
        let stem = |key: &'q str| key.rsplit_once('.').map_or("", |(stem, _)| stem);
        // Of repeated keys the last wins, and `a.offset` belongs to `a.limit`.
        let mut windows: Vec<(&'q str, Given, Given)> = Vec::new();
        let mut places: HashMap<&'q str, usize> = HashMap::new();
        let mut place = |windows: &mut Vec<(&'q str, Given, Given)>, key: &'q str| {
            *places.entry(stem(key)).or_insert_with(|| {
                windows.push((stem(key), None, None));
                windows.len() - 1
            })
        };
        for (key, value) in limits {
            let at = place(&mut windows, key);
            windows[at].1 = Some(range::integer(value));
        }
        for (key, value) in offsets {
            let at = place(&mut windows, key);
            windows[at].2 = Some(range::integer(value));
        }
        for (name, limit, offset) in windows {
            let from = offset.map(|offset| offset.map_or(RowRange::ALL, RowRange::from_offset));
            let range = match (limit, from) {
                // Beside an offset, a limit that is no number counts as zero.
                (Some(limit), Some(from)) => RowRange::with_limit(from.lower, limit.unwrap_or(0)),
                (Some(Some(limit)), None) => RowRange::with_limit(0, limit),
                (Some(None), None) => RowRange::ALL,
                (None, Some(from)) => from,
                (None, None) => continue,
            };
            if name.is_empty() {
                self.root_range = Some(range);
            } else {
                let (mut path, last) = tree_path(name)?;
                path.push(last.name);
                self.ranges.push((path, range));
            }
        }
        Ok(())
    }
}

/// Whether a value that could not be read as a condition nevertheless began as one, so that it is an error, not an argument.
fn looks_like_condition(value: &str) -> bool {
    ["not.", "in.", "is.", "isdistinct."].iter().any(|head| value.starts_with(head))
}

fn tree_path(key: &str) -> Result<(Path, super::ast::Field), Error> {
    run(key, "tree path", key, grammar::tree_path)
}

/// Parses `text`; an error shows `shown`, which may be only a part of it.
fn run<T>(
    text: &str,
    what: &'static str,
    shown: &str,
    parser: impl Fn(&mut Scan<'_>) -> Scanned<T>,
) -> Result<T, Error> {
    if let Ok(value) = parser(&mut Scan::silent(text)) {
        return Ok(value);
    }
    let mut scan = Scan::new(text);
    parser(&mut scan).map_err(|_| {
        let error = scan.error();
        Error::QuerySyntax {
            message: format!(
                "\"failed to parse {what} ({shown})\" (line {}, column {})",
                error.line, error.column
            ),
            details: error.report,
        }
    })
}

/// The pairs of a raw query string: each ends at `&`, at `;` or with the string. Nothing follows the last end.
pub(super) fn raw_pairs(raw: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    raw.split_terminator(['&', ';']).map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

fn split(raw: &str) -> Result<Vec<Pair<'_>>, Error> {
    let pair = |(key, value): (_, Option<_>)| {
        let key = text(key)?;
        Ok(Pair { kind: kind(&key), key, value: value.map(text).transpose()? })
    };
    raw_pairs(raw).map(pair).collect()
}

fn is_encoded(text: &str) -> bool {
    text.as_bytes().iter().any(|b| matches!(b, b'+' | b'%'))
}

/// What is left of a text when its escapes are taken back.
type Bytes<'t> = Cow<'t, [u8]>;

fn decode_bytes(text: &str) -> Bytes<'_> {
    if !is_encoded(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).collect::<Vec<u8>>().into()
}

/// `+` to space, percent-decoded, UTF-8.
pub(crate) fn decode(encoded: &str) -> Result<String, Error> {
    text(encoded).map(Cow::into_owned)
}

fn text(encoded: &str) -> Result<Cow<'_, str>, Error> {
    if !is_encoded(encoded) {
        return Ok(Cow::Borrowed(encoded));
    }
    let decoded = String::from_utf8(decode_bytes(encoded).into_owned());
    decoded.map(Cow::Owned).map_err(|_| Error::QuerySyntax {
        message: "The query string is not valid UTF-8".to_owned(),
        details: format!("Invalid UTF-8 in '{encoded}'"),
    })
}

/// Parameters sorted by key, repeated keys merged with a comma, everything but the unreserved characters encoded.
///
/// A byte beyond ASCII is encoded as if it were a Latin-1 character, which encodes UTF-8 twice: PostgREST's answers do so.
fn canonical(raw: &str) -> String {
    let mut pairs: Vec<(Bytes<'_>, Bytes<'_>)> = raw_pairs(raw)
        .map(|(key, value)| (decode_bytes(key), value.map(decode_bytes).unwrap_or_default()))
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::with_capacity(raw.len());
    let mut previous: Option<&[u8]> = None;
    for (key, value) in &pairs {
        if previous == Some(key) {
            text.push(',');
        } else {
            if previous.is_some() {
                text.push('&');
            }
            encode_into(key, &mut text);
            text.push('=');
        }
        encode_into(value, &mut text);
        previous = Some(key);
    }
    text
}

/// What stands for itself in a query string.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_' | b'.' | b'~');
        byte += 1;
    }
    table
};

fn encode_into(bytes: &[u8], text: &mut String) {
    let escape = |byte: u8, text: &mut String| {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        text.push('%');
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| UNRESERVED[usize::from(**byte)]).count();
        // All of them are ASCII.
        text.push_str(std::str::from_utf8(&rest[..plain]).unwrap_or_default());
        let Some((&byte, behind)) = rest[plain..].split_first() else { return };
        rest = behind;
        if byte.is_ascii() {
            escape(byte, text);
        } else {
            let mut buffer = [0; 2];
            for byte in char::from(byte).encode_utf8(&mut buffer).bytes() {
                escape(byte, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_windows_cost_no_more_than_their_number() {
        let raw: Vec<String> = (0..20_000).map(|at| format!("a{at}.limit={at}")).collect();
        let began = std::time::Instant::now();
        let query = Query::parse(&raw.join("&"), false);
        assert_eq!(query.map(|query| query.ranges.len()).unwrap_or_default(), 20_000);
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn a_query_that_ends_in_a_separator_has_no_further_parameter() {
        assert_eq!(canonical("b=1&a=2&"), "a=2&b=1");
        assert_eq!(canonical("a=1&&b"), "=&a=1&b=");
        assert_eq!(canonical(""), "");
    }

    #[test]
    fn of_repeated_windows_the_last_counts_and_the_first_names_the_place() {
        let query = Query::parse("b.limit=1&a.offset=3&b.limit=2&b.offset=7", false).unwrap_or_default();
        let of = |name: &str, range| (vec![name.to_owned()], range);
        let expected = [of("b", RowRange::with_limit(7, 2)), of("a", RowRange::from_offset(3))];
        assert_eq!(query.ranges, expected);
    }

    /// What the silent way reads, the loud one must read alike.
    fn alike<T: PartialEq + std::fmt::Debug>(text: &str, parser: impl Fn(&mut Scan<'_>) -> Scanned<T>) {
        if let Ok(silent) = parser(&mut Scan::silent(text)) {
            assert_eq!(parser(&mut Scan::new(text)).ok(), Some(silent), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn short_cuts_read_what_the_long_way_reads(
            words in proptest::collection::vec(
                proptest::sample::select(&[
                    "id", "count", "sum", "not", "eq", "gt", "gte", "neq", "in", "is", "like", "fts", "any", "null", "*", "$1",
                    "_x", "9", "é", " ", ",", ".", "(", ")", ":", "::", "-", "->", "->>", "!", "inner", "...", "\"", "{", "}",
                ][..]),
                0..9,
            ),
        ) {
            let text = words.concat();
            alike(&text, select::items);
            alike(&text, grammar::tree_path);
            alike(&text, filter::order);
            alike(&text, filter::logic);
            alike(&text, |scan| filter::condition(scan, filter::verbatim));
        }
    }
}
