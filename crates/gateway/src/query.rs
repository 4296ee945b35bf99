//! The query string at the door: finding, removing and replacing `apikey` while every other byte stays as it came.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The parameter's values, decoded, in order. A name without `=` counts as an empty value.
pub(crate) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    pairs(query).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// The query without the parameter; `None` when it was not there.
pub(crate) fn without(query: &str, name: &str) -> Option<String> {
    rewrite(query, name, None)
}

/// The query with the parameter's value replaced; `None` when it was not there.
pub(crate) fn replaced(query: &str, name: &str, value: &str) -> Option<String> {
    rewrite(query, name, Some(value))
}

/// The query as it may be logged: the values of parameters that are credentials are left out.
pub(crate) fn redacted(query: &str) -> String {
    let secret = |name: &str| {
        matches!(
            name,
            "apikey"
                | "token"
                | "token_hash"
                | "access_token"
                | "refresh_token"
                | "code"
                | "jwt"
                | "X-Amz-Signature"
                | "X-Amz-Security-Token"
        )
    };
    let mut out = String::with_capacity(query.len());
    for pair in query.split('&') {
        if !out.is_empty() {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) if secret(&decode(key)) => {
                out.push_str(key);
                out.push('=');
            }
            _ => out.push_str(pair),
        }
    }
    out
}

fn rewrite(query: &str, name: &str, value: Option<&str>) -> Option<String> {
    // Most queries do not hold the name in any spelling.
    if !query.contains(name) && !query.contains('%') {
        return None;
    }
    let mut found = false;
    let mut out = String::with_capacity(query.len());
    for pair in query.split('&') {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        let is_it = decode(key) == name;
        found |= is_it;
        if is_it && value.is_none() {
            continue;
        }
        if !out.is_empty() {
            out.push('&');
        }
        match value {
            Some(value) if is_it => {
                out.push_str(name);
                out.push('=');
                out.push_str(value);
            }
            _ => out.push_str(pair),
        }
    }
    found.then_some(out)
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

/// Form decoding. Bytes that are no UTF-8 become replacement characters, which equal no key.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(query: &str) -> Vec<String> {
        values(query, "apikey").map(Cow::into_owned).collect()
    }

    #[test]
    fn values_are_found_in_every_spelling() {
        assert_eq!(found("apikey=a&b=c"), ["a"]);
        assert_eq!(found("b=c&apikey=a%2Bb+c"), ["a+b c"]);
        assert_eq!(found("api%6bey=a&apikey=b"), ["a", "b"]);
        assert_eq!(found("apikey"), [""]);
        assert_eq!(found("APIKEY=a&xapikey=b"), Vec::<String>::new());
        assert_eq!(found("apikey=%ff"), ["\u{fffd}"]);
    }

    #[test]
    fn removing_leaves_every_other_byte() {
        assert_eq!(
            without("select=a%20b&apikey=x&order=c.desc", "apikey").unwrap(),
            "select=a%20b&order=c.desc"
        );
        assert_eq!(without("apikey=x", "apikey").unwrap(), "");
        assert_eq!(without("a=1&api%6Bey=x&apikey=y&b", "apikey").unwrap(), "a=1&b");
        assert_eq!(without("select=*", "apikey"), None);
        assert_eq!(without("name=eq.apikey", "apikey"), None);
    }

    #[test]
    fn replacing_keeps_the_place() {
        assert_eq!(
            replaced("vsn=1.0.0&apikey=sb_x&log=1", "apikey", "jwt").unwrap(),
            "vsn=1.0.0&apikey=jwt&log=1"
        );
    }

    #[test]
    fn credentials_are_not_logged() {
        assert_eq!(redacted("select=*&apikey=x&%61pikey=y&token=z&a"), "select=*&apikey=&%61pikey=&token=&a");
    }

    proptest! {
        #[test]
        fn after_removal_there_is_nothing_to_find(query in "(apikey|api%6bey|a|=|&|%[0-9a-f]{2}|\\+|%){0,30}") {
            if let Some(rest) = without(&query, "apikey") {
                prop_assert_eq!(found(&rest), Vec::<String>::new());
            } else {
                prop_assert_eq!(found(&query), Vec::<String>::new());
            }
        }
    }
}
