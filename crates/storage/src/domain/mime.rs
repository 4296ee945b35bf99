//! Content types and the rules of buckets about them.

/// One entry of a bucket's `allowed_mime_types`: `type/subtype`, with parameters or not, or ending in `*`; `*` and `*/*` are
/// any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimeRule<'a>(&'a str);

impl<'a> MimeRule<'a> {
    /// An entry, `None` when it is none: at most 1000 characters, `type/subtype` of token characters.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (essence, _) = split(text);
        if essence == "*" {
            return Some(Self(text));
        }
        let (kind, subtype) = essence.split_once('/')?;
        let token = |part: &str| !part.is_empty() && part.bytes().all(is_token);
        (text.len() <= 1000 && token(kind) && token(subtype)).then_some(Self(text))
    }

    /// Whether a content type falls under it. Parameters do not matter.
    #[must_use]
    pub fn allows(&self, content_type: &str) -> bool {
        let (rule, _) = split(self.0);
        let (given, _) = split(content_type);
        match rule.strip_suffix('*') {
            Some("" | "*/") => true,
            Some(start) => given.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
            None => rule.eq_ignore_ascii_case(given),
        }
    }
}

/// Whether a bucket with these entries takes the type. No entry means any type.
#[must_use]
pub fn content_type_fits(allowed: &[String], content_type: &str) -> bool {
    allowed.is_empty()
        || allowed.iter().any(|entry| MimeRule::parse(entry).is_some_and(|rule| rule.allows(content_type)))
}

/// `type/subtype` and the parameters.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(';') {
        Some((essence, parameters)) => (essence.trim(), Some(parameters)),
        None => (text.trim(), None),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(allowed: &[&str], given: &str) -> bool {
        content_type_fits(&allowed.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>(), given)
    }

    #[test]
    fn types_are_compared_without_parameters() {
        assert!(fits(&[], "anything/at-all"));
        assert!(fits(&["text/plain"], "text/plain;charset=utf-8"));
        assert!(fits(&["text/plain; charset=utf-8"], "Text/Plain"));
        assert!(fits(&["image/*"], "image/svg+xml"));
        assert!(fits(&["image/png", "*/*"], "text/html") && fits(&["*"], "text/html"));
        assert!(!fits(&["image/*"], "imagex/png"));
        assert!(!fits(&["image/png"], "image/png2"));
        assert!(!fits(&["image/png"], ""));
    }

    #[test]
    fn an_entry_is_a_type_and_a_subtype() {
        for good in ["image/png", "image/*", "text/plain; charset=utf-8", "application/vnd.api+json"] {
            assert!(MimeRule::parse(good).is_some(), "{good}");
        }
        for bad in ["", "image", "image/", "/png", "thisisnotarealmimetype", "a b/c", "a/b/c"] {
            assert!(MimeRule::parse(bad).is_none(), "{bad}");
        }
    }
}
