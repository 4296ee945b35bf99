//! Query strings and urlencoded forms, read and written as Go's `net/url` does.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but letters, digits and `-_.~`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Names with their values, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `a=1&b=2`. A pair that contains `;` or a broken escape is dropped, as Go drops it.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty() && !pair.contains(';'))
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((unescape(name)?, unescape(value)?))
                })
                .collect(),
        )
    }

    /// The first value of a name; empty when absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// Whether a name is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// All values of a name.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of each name.
    pub(crate) fn first_values(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = |at: usize, name: &str| self.0[..at].iter().all(|(earlier, _)| earlier != name);
        self.0
            .iter()
            .enumerate()
            .filter(move |(at, (name, _))| first(*at, name))
            .map(|(_, (name, value))| (name.as_str(), value.as_str()))
    }

    /// Replaces all values of a name by one.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(key, _)| key != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Keeps the names that `keep` wants.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Writes the form with its names sorted.
    pub(crate) fn encode(&self) -> String {
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}

/// Escapes a query component: a space is `+`.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace("%20", "+")
}

fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let broken = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_unescaped_and_broken_ones_dropped() {
        let form = Form::parse("a=1+2&b=%26&c&d=%zz&e=1;f=2&a=3");
        assert_eq!(form.get("a"), "1 2");
        assert_eq!(form.values("a").collect::<Vec<_>>(), ["1 2", "3"]);
        assert_eq!(form.get("b"), "&");
        assert!(form.has("c") && form.get("c").is_empty());
        assert!(!form.has("d") && !form.has("e"));
    }

    #[test]
    fn names_are_sorted_when_written() {
        let mut form = Form::parse("per_page=5&page=1&filter=a b~");
        form.set("page", "2");
        assert_eq!(form.encode(), "filter=a+b~&page=2&per_page=5");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(name in "[a-z]{1,5}", value in ".*") {
            let mut form = Form::default();
            form.set(&name, value);
            proptest::prop_assert_eq!(Form::parse(&form.encode()), form);
        }
    }
}
