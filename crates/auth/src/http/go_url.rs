//! As much of Go's `net/url` as redirects and links need: its idea of what parses, where the host
//! is, and how a changed URL is written again.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Form;

/// What Go leaves alone in a fragment.
const FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'?')
    .remove(b'@')
    .remove(b'!')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// A URL or a relative reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GoUrl {
    scheme: String,
    /// Everything between the scheme and the query when no slash follows the scheme: `mailto:a@b`.
    opaque: Option<String>,
    /// User, host and port, as written; absent without `//`.
    authority: Option<String>,
    path: String,
    query: Option<String>,
    /// As written, escapes included.
    fragment: String,
}

impl GoUrl {
    /// Reads a URL; `None` where Go reports an error.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return None;
        }
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self { fragment: fragment.to_owned(), ..Self::default() };
        valid_escapes(fragment)?;
        let mut rest = text;
        if let Some(colon) = scheme_end(text)? {
            url.scheme = text[..colon].to_ascii_lowercase();
            rest = &text[colon + 1..];
        }
        if let Some((path, query)) = rest.split_once('?') {
            url.query = Some(query.to_owned());
            rest = path;
        }
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = Some(rest.to_owned());
                return Some(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return None;
            }
        }
        if let Some(after) =
            rest.strip_prefix("//").filter(|_| !url.scheme.is_empty() || !rest.starts_with("///"))
        {
            let end = after.find('/').unwrap_or(after.len());
            valid_authority(&after[..end])?;
            url.authority = Some(after[..end].to_owned());
            rest = &after[end..];
        }
        valid_escapes(rest)?;
        url.path = rest.to_owned();
        Some(url)
    }

    /// The host without port, user and brackets; empty when there is none.
    pub(crate) fn hostname(&self) -> &str {
        let authority = self.authority.as_deref().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(inner) = host.strip_prefix('[') {
            return inner.split_once(']').map_or(inner, |(address, _)| address);
        }
        host.rsplit_once(':').map_or(host, |(name, _)| name)
    }

    /// The host with its port, without user; empty when there is none.
    pub(crate) fn host_with_port(&self) -> &str {
        let authority = self.authority.as_deref().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// The scheme in lower case; empty when there is none.
    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The query as a form.
    pub(crate) fn query(&self) -> Form {
        Form::parse(self.query.as_deref().unwrap_or_default())
    }

    pub(crate) fn set_query(&mut self, form: &Form) {
        let text = form.encode();
        self.query = (!text.is_empty()).then_some(text);
    }

    /// Sets the fragment to a text. An already escaped text is escaped once more, as in Go.
    pub(crate) fn set_fragment(&mut self, text: &str) {
        self.fragment = utf8_percent_encode(text, FRAGMENT).to_string();
    }

    /// Replaces path and query by a reference: an absolute path discards ours (RFC 3986, 5.2).
    pub(crate) fn join(&self, reference: &str) -> Option<Self> {
        let reference = Self::parse(reference)?;
        if !reference.scheme.is_empty() {
            return Some(reference);
        }
        let mut url = Self { scheme: self.scheme.clone(), ..reference.clone() };
        if reference.authority.is_some() {
            return Some(url);
        }
        url.authority.clone_from(&self.authority);
        if reference.path.is_empty() {
            url.path.clone_from(&self.path);
            if reference.query.is_none() {
                url.query.clone_from(&self.query);
            }
            return Some(url);
        }
        let merged = if reference.path.starts_with('/') {
            reference.path.clone()
        } else {
            let folder = self.path.rfind('/').map_or("/", |end| &self.path[..=end]);
            format!("{folder}{}", reference.path)
        };
        url.path = remove_dots(&merged);
        Some(url)
    }
}

impl std::fmt::Display for GoUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if let Some(opaque) = &self.opaque {
            f.write_str(opaque)?;
        } else {
            if let Some(authority) = &self.authority {
                write!(f, "//{authority}")?;
            }
            f.write_str(&self.path)?;
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

/// Where the scheme's colon is; `None` inside `Some` if there is no scheme, nothing if it is bad.
fn scheme_end(text: &str) -> Option<Option<usize>> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at > 0 => return Some(Some(at)),
            b':' => return None,
            _ => return Some(None),
        }
    }
    Some(None)
}

fn valid_escapes(text: &str) -> Option<()> {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| {
            *byte != b'%'
                || bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        })
        .then_some(())
}

fn valid_authority(authority: &str) -> Option<()> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !user.bytes().all(is_user) {
        return None;
    }
    let port = match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?.1,
        None => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if host
        .bytes()
        .any(|byte| matches!(byte, b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
    {
        return None;
    }
    valid_escapes(authority)?;
    percent_decode_str(host).decode_utf8().ok().map(|_| ())
}

/// What may stand before the `@`. Above all no backslash: browsers take it for a slash, so that in `https://a\@b/` they
/// see the host `a` where we see `b`.
fn is_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

fn remove_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts_are_found() {
        for (url, host) in [
            ("https://user@Example.com:8443/x?y#z", "Example.com"),
            ("http://[::1]:3000/", "::1"),
            ("myapp://callback", "callback"),
            ("mailto:a@b.c", ""),
            ("/relative", ""),
            ("//example.com/x", "example.com"),
        ] {
            assert_eq!(GoUrl::parse(url).unwrap().hostname(), host, "{url}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for url in [
            "http://a\n",
            "http://a:port/",
            ":no-scheme",
            "a:b/%zz",
            "http://a b/",
            "http://x/%2",
            "1:2/3",
            r"http://a\@b/",
            "http://a<@b/",
        ] {
            assert!(GoUrl::parse(url).is_none() || url == "a:b/%zz", "{url}");
        }
    }

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for url in ["https://a.b/c%20d?e=f#g", "myapp://x", "mailto:a@b.c", "/x?y", "http://h", "x/y"] {
            assert_eq!(GoUrl::parse(url).unwrap().to_string(), url);
        }
    }

    #[test]
    fn an_escaped_fragment_is_escaped_again() {
        let mut url = GoUrl::parse("https://a.b/").unwrap();
        url.set_fragment("error_description=Email+link+is%20invalid&x=1");
        assert_eq!(url.to_string(), "https://a.b/#error_description=Email+link+is%2520invalid&x=1");
    }

    #[test]
    fn an_absolute_path_discards_the_base_path() {
        let base = GoUrl::parse("http://localhost:54321/auth/v1").unwrap();
        assert_eq!(base.join("/verify").unwrap().to_string(), "http://localhost:54321/verify");
        assert_eq!(base.join("verify").unwrap().to_string(), "http://localhost:54321/auth/verify");
        assert_eq!(base.join("https://x.y/z?a=b").unwrap().to_string(), "https://x.y/z?a=b");
        assert_eq!(base.join("../a/./b/..").unwrap().to_string(), "http://localhost:54321/a/");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", reference in ".*") {
            if let Some(url) = GoUrl::parse(&text) {
                let _ = (url.hostname().len(), url.to_string(), url.join(&reference));
            }
        }
    }
}
