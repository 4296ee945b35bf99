//! Paths at the door: normalised for routing, rewritten for the service behind it.
//!
//! Routing looks at one canonical spelling of a path, so that `/auth/v1/verify/../admin` and `/auth/v1/%61dmin` are
//! judged as what they mean. The canonical spelling is Kong's: percent triplets of unreserved bytes are decoded,
//! everything else stays encoded with upper-case hex digits, repeated slashes are merged and dot segments removed.

use std::borrow::Cow;

/// A path that nginx refuses before Kong sees it: a broken percent triplet, an encoded NUL, a climb above the root, or
/// a target that is no path at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed request path")]
pub(crate) struct Malformed;

/// The canonical spelling of `path`; borrowed when it already is canonical, which nearly every path is.
pub(crate) fn normalise(path: &str) -> Result<Cow<'_, str>, Malformed> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Malformed);
    }
    if is_canonical(bytes) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(bytes)?;
    remove_dots(&decoded).map(Cow::Owned)
}

/// True when there is nothing to decode, merge, remove or escape.
fn is_canonical(bytes: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in bytes {
        if !is_plain(byte) || (previous == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        previous = byte;
    }
    true
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Bytes that stand for themselves in a path: unreserved and reserved ones, without the percent sign.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'/'
                | b':'
                | b';'
                | b'='
                | b'@'
                | b'['
                | b']'
        )
}

/// Resolves percent triplets: unreserved bytes become themselves, all others get upper-case hex digits. Bytes that may
/// not stand in a path bare are escaped. The answer is ASCII.
fn decode_unreserved(bytes: &[u8]) -> Result<String, Malformed> {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let (byte, encoded) = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let value = (hex_digit(*high)? << 4) | hex_digit(*low)?;
                rest = &tail[2..];
                (value, true)
            }
            (b'%', _) => return Err(Malformed),
            _ => {
                rest = tail;
                (*first, false)
            }
        };
        if byte == 0 {
            return Err(Malformed);
        }
        if is_unreserved(byte) || (!encoded && is_plain(byte)) {
            out.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Ok(out)
}

fn hex_digit(byte: u8) -> Result<u8, Malformed> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(Malformed),
    }
}

/// Merges slashes and resolves `.` and `..`. A climb above the root is malformed, as it is to nginx.
fn remove_dots(path: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => {
                if last {
                    out.push('/');
                }
            }
            ".." => {
                let parent = out.rfind('/').ok_or(Malformed)?;
                out.truncate(parent);
                if last {
                    out.push('/');
                }
            }
            name => {
                out.push('/');
                out.push_str(name);
            }
        }
    }
    Ok(out)
}

/// The path a service sees: `base` is the service's own path, `rest` what followed the matched prefix, `whole` the
/// request path. This is Kong's `path_handling: v0` for routes that strip their prefix.
#[must_use]
pub(crate) fn upstream(base: &str, rest: &str, whole: &str) -> String {
    let mut out = String::with_capacity(base.len() + rest.len() + 1);
    if let Some(stem) = base.strip_suffix('/') {
        if rest.is_empty() {
            let keep_slash = base == "/" || whole.ends_with('/');
            out.push_str(if keep_slash { base } else { stem });
        } else {
            out.push_str(if rest.starts_with('/') { stem } else { base });
            out.push_str(rest);
        }
    } else {
        out.push_str(base);
        if rest.is_empty() {
            if whole.len() > 1 && whole.ends_with('/') {
                out.push('/');
            }
        } else {
            if !rest.starts_with('/') {
                out.push('/');
            }
            out.push_str(rest);
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_path_become_one() {
        for (given, expected) in [
            ("/", "/"),
            ("/rest/v1/todos", "/rest/v1/todos"),
            ("/rest//v1///todos", "/rest/v1/todos"),
            ("/rest/./v1/todos/.", "/rest/v1/todos/"),
            ("/auth/v1/verify/../admin/users", "/auth/v1/admin/users"),
            ("/auth/v1/verify/%2e%2E/admin", "/auth/v1/admin"),
            ("/a/..", "/"),
            ("/%61uth/v1/", "/auth/v1/"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b%c3%a4", "/a%20b%C3%A4"),
            ("/a%2541", "/a%2541"),
            ("/ä|", "/%C3%A4%7C"),
            ("/...", "/..."),
        ] {
            assert_eq!(normalise(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for given in ["", "*", "rest/v1/", "/%", "/%2", "/%zz", "/a%00b", "/..", "/a/../..", "/%2e%2e/etc"] {
            assert_eq!(normalise(given), Err(Malformed), "{given}");
        }
    }

    #[test]
    fn a_canonical_path_is_not_copied() {
        assert!(matches!(normalise("/rest/v1/todos"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn the_service_path_follows_path_handling_v0() {
        for (base, rest, whole, expected) in [
            ("/", "", "/rest/v1/", "/"),
            ("/", "todos", "/rest/v1/todos", "/todos"),
            ("/api/", "", "/x", "/api"),
            ("/api/", "", "/x/", "/api/"),
            ("/api/", "/y", "/x/y", "/api/y"),
            ("/verify", "", "/auth/v1/verify", "/verify"),
            ("/verify", "X", "/auth/v1/verifyX", "/verify/X"),
            ("/verify", "/", "/auth/v1/verify/", "/verify/"),
            ("/rpc/graphql", "", "/graphql/v1", "/rpc/graphql"),
            ("/socket", "websocket", "/realtime/v1/websocket", "/socket/websocket"),
            ("/socket", "", "/realtime/v1/", "/socket/"),
        ] {
            assert_eq!(upstream(base, rest, whole), expected, "{base} + {rest} of {whole}");
        }
    }

    proptest! {
        #[test]
        fn normalising_any_text_never_panics_and_is_idempotent(path in "\\PC{0,60}") {
            let path = format!("/{path}");
            if let Ok(once) = normalise(&path) {
                let twice = normalise(&once);
                prop_assert_eq!(twice.as_deref(), Ok(once.as_ref()));
            }
        }

        #[test]
        fn a_normal_path_has_no_dots_no_double_slash_and_is_ascii(path in "(/|\\.|%2[eEfF]|%[0-9a-f]{2}|[a-z]|ä){0,40}") {
            let path = format!("/{path}");
            if let Ok(normal) = normalise(&path) {
                prop_assert!(normal.starts_with('/'));
                prop_assert!(normal.is_ascii());
                prop_assert!(!normal.contains("//"));
                prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }

        #[test]
        fn the_service_path_is_absolute(base in "(/[a-z]{0,3}){1,2}/?", rest in "/?[a-z/]{0,8}") {
            let whole = format!("/prefix{rest}");
            prop_assert!(upstream(&base, &rest, &whole).starts_with('/'));
        }
    }
}
