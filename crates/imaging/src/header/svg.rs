//! SVG is text: it is recognised by its first tags, and made harmless by leaving out what would run.

/// Whether an `<svg` tag comes within the first `most` bytes, outside comments, declarations and quotes.
pub(super) fn looks_like(bytes: &[u8], most: usize) -> bool {
    let text = &bytes[..bytes.len().min(most)];
    let mut at = 0;
    while let Some(start) = find(text, at, b"<") {
        let rest = &text[start..];
        at = if rest.starts_with(b"<!--") {
            match find(text, start + 4, b"-->") {
                Some(end) => end + 3,
                None => return false,
            }
        } else if rest.starts_with(b"<![CDATA[") {
            match find(text, start + 9, b"]]>") {
                Some(end) => end + 3,
                None => return false,
            }
        } else if is_tag(rest, b"svg") {
            return true;
        } else {
            start + 1
        };
    }
    false
}

/// Takes out `<script>` elements and `onload` attributes, as imgproxy's `SANITIZE_SVG` does, and beyond it what runs just as
/// well: every other `on…` attribute, `javascript:` addresses, and the declarations and style sheets that bring either in.
///
/// What comes out is cut into the same pieces when it is read again, and nothing more is taken out of it: so nothing can hide
/// behind what is removed. Where it is well-formed, a browser cuts it like this too; where it is not, a browser stops.
pub fn sanitize(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(start) = find(bytes, at, b"<") {
        clean.extend_from_slice(&bytes[at..start]);
        let rest = &bytes[start..];
        let end_of =
            |from: usize, end: &[u8]| find(bytes, from, end).map_or(bytes.len(), |found| found + end.len());
        let (end, stays) = if rest.starts_with(b"<!--") {
            (end_of(start + 4, b"-->"), true)
        } else if rest.starts_with(b"<![CDATA[") {
            (end_of(start + 9, b"]]>"), true)
        } else if rest.starts_with(b"<?") {
            (end_of(start + 2, b"?>"), !is_tag(&rest[1..], b"xml-stylesheet"))
        } else if rest.starts_with(b"<!") {
            let end = after_declaration(bytes, start);
            (end, !declares_code(&bytes[start..end]))
        } else if is_tag(rest, b"script") {
            (after_element(bytes, start, b"script"), false)
        } else if rest.starts_with(b"</") {
            (after_tag(bytes, start), true)
        } else if rest.get(1).is_none_or(|&byte| begins_name(byte)) {
            at = clean_tag(bytes, start, &mut clean);
            continue;
        } else {
            // It opens nothing, and must not come before anything that it would open.
            (start + 1, false)
        };
        if stays {
            clean.extend_from_slice(&bytes[start..end]);
        }
        at = end;
    }
    clean.extend_from_slice(&bytes[at..]);
    clean
}

/// Copies the opening tag at `start` without the attributes that run. Says where it ends.
fn clean_tag(bytes: &[u8], start: usize, clean: &mut Vec<u8>) -> usize {
    let mut at = after_name(bytes, start);
    clean.extend_from_slice(&bytes[start..at]);
    while let Some(attribute) = Attribute::next(bytes, at) {
        if !attribute.runs() {
            clean.extend_from_slice(&bytes[at..attribute.end]);
        } else if bytes.get(attribute.end).is_some_and(|&byte| !is_space(byte) && byte != b'>') {
            // What follows must not become a part of what stands before.
            clean.push(b' ');
        }
        at = attribute.end;
    }
    let end = after_tag(bytes, start);
    clean.extend_from_slice(&bytes[at..end]);
    end
}

/// An attribute as HTML cuts it, which is XML's way where a tag is well-formed.
struct Attribute<'a> {
    name: &'a [u8],
    /// With its quotes.
    value: &'a [u8],
    /// Where it ends.
    end: usize,
}

impl<'a> Attribute<'a> {
    /// The first one from `at` on; none at the end of the tag.
    fn next(bytes: &'a [u8], at: usize) -> Option<Self> {
        let name = past(bytes, at, |byte| is_space(byte) || byte == b'/');
        if matches!(bytes.get(name), None | Some(b'>')) {
            return None;
        }
        let end = past(bytes, name + 1, |byte| !is_space(byte) && !matches!(byte, b'=' | b'>' | b'/'));
        let name = &bytes[name..end];
        let sign = past(bytes, end, is_space);
        if bytes.get(sign) != Some(&b'=') {
            return Some(Self { name, value: b"", end });
        }
        let value = past(bytes, sign + 1, is_space);
        let end = match bytes.get(value) {
            Some(quote @ (b'"' | b'\'')) => {
                find(bytes, value + 1, std::slice::from_ref(quote)).map_or(bytes.len(), |end| end + 1)
            }
            _ => past(bytes, value, |byte| !is_space(byte) && byte != b'>'),
        };
        Some(Self { name, value: &bytes[value..end], end })
    }

    fn runs(&self) -> bool {
        // No name of XML; the sign of equality would give a value to the attribute before.
        if self.name.iter().any(|byte| matches!(byte, b'=' | b'<' | b'"' | b'\'')) {
            return true;
        }
        let local = self.name.rsplit(|&byte| byte == b':').next().unwrap_or(self.name);
        if local.len() > 2 && local[..2].eq_ignore_ascii_case(b"on") || local.eq_ignore_ascii_case(b"srcdoc")
        {
            return true;
        }
        // White space and control characters are ignored in an address, so none may hide it.
        let address: Vec<u8> = self
            .value
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'&' | b'#' | b';'))
            .map(u8::to_ascii_lowercase)
            .collect();
        contains(&address, b"javascript:")
            || ADDRESSES.iter().any(|name| local.eq_ignore_ascii_case(name)) && refers(&address)
    }
}

/// Attributes that are addresses, or become one by animation.
const ADDRESSES: [&[u8]; 9] =
    [b"href", b"src", b"data", b"action", b"formaction", b"from", b"to", b"by", b"values"];

/// Whether there is a reference that may stand for anything.
fn refers(value: &[u8]) -> bool {
    let plain: [&[u8]; 5] = [b"amp;", b"lt;", b"gt;", b"quot;", b"apos;"];
    value.split(|&byte| byte == b'&').skip(1).any(|rest| !plain.iter().any(|name| rest.starts_with(name)))
}

/// Behind a declaration. That of a document type ends where its own declarations begin.
fn after_declaration(bytes: &[u8], start: usize) -> usize {
    let mut quote = None;
    for (offset, &byte) in bytes[start..].iter().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>' | b'[') => return start + offset + 1,
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    bytes.len()
}

/// Whether a declaration gives attributes to elements, or names markup that a reference would bring in.
fn declares_code(declaration: &[u8]) -> bool {
    let entity = declaration.starts_with(b"<!ENTITY");
    declaration.starts_with(b"<!ATTLIST")
        || entity
            && (declaration[1..].iter().any(|byte| matches!(byte, b'<' | b'%'))
                || contains(declaration, b"&#"))
}

/// Behind the closing tag of an element that starts at `start`. Nested ones of the same name are counted.
fn after_element(bytes: &[u8], start: usize, name: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(tag) = find(bytes, at, b"<") {
        // What lies between is text, in which a smaller-than sign opens nothing.
        let mut next = tag + 1;
        if is_tag(&bytes[tag..], name) {
            let end = after_tag(bytes, tag);
            next = end.max(next);
            if bytes[..end].ends_with(b"/>") {
                if depth == 0 {
                    return end;
                }
            } else {
                depth += 1;
            }
        } else if bytes[tag..].starts_with(b"</") && is_tag(&bytes[tag + 1..], name) {
            let end = after_tag(bytes, tag);
            next = end.max(next);
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return end;
            }
        }
        at = next;
    }
    bytes.len()
}

/// Behind the name of the tag at `start`.
fn after_name(bytes: &[u8], start: usize) -> usize {
    past(bytes, start + 1, |byte| !is_space(byte) && !matches!(byte, b'>' | b'/'))
}

/// Behind the `>` of the tag at `start`, past those in values.
fn after_tag(bytes: &[u8], start: usize) -> usize {
    let mut at = after_name(bytes, start);
    while let Some(attribute) = Attribute::next(bytes, at) {
        at = attribute.end;
    }
    find(bytes, at, b">").map_or(bytes.len(), |end| end + 1)
}

/// Behind the bytes from `at` on that are such.
fn past(bytes: &[u8], at: usize, such: impl Fn(u8) -> bool) -> usize {
    bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|&byte| !such(byte)))
        .map_or(bytes.len(), |end| at + end)
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || !byte.is_ascii()
}

/// Whether a tag of this name (with or without a prefix) opens here. `rest` starts with `<`, or with the slash of a
/// closing tag.
fn is_tag(rest: &[u8], name: &[u8]) -> bool {
    // No name goes past the next tag; looking further for each of many would take forever.
    let ends = |&byte: &u8| is_space(byte) || matches!(byte, b'>' | b'/' | b'<');
    let word = rest[1..].split(ends).next().unwrap_or_default();
    let local = word.rsplit(|&byte| byte == b':').next().unwrap_or(word);
    local.eq_ignore_ascii_case(name)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c)
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|found| from + found)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, 0, what).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(text: &str) -> String {
        String::from_utf8_lossy(&sanitize(text.as_bytes())).into_owned()
    }

    #[test]
    fn an_svg_tag_counts_only_outside_comments() {
        assert!(looks_like(b"<?xml version=\"1.0\"?><!-- x --><svg xmlns=\"\">", 1000));
        assert!(looks_like(b"<!DOCTYPE svg><s:SVG/>", 1000));
        assert!(!looks_like(b"<!-- <svg> --><html>", 1000));
        assert!(!looks_like(b"<html><body>no picture", 1000));
        assert!(!looks_like(b"                <svg>", 10));
    }

    #[test]
    fn what_would_run_is_taken_out() {
        assert_eq!(clean("<svg><script>a<b</script><g/></svg>"), "<svg><g/></svg>");
        assert_eq!(clean("<svg><script/><g/></svg>"), "<svg><g/></svg>");
        assert_eq!(clean("<svg onload=\"x()\" id='1'>"), "<svg id='1'>");
        assert_eq!(clean("<svg OnClick = 'a>b' id=1 />"), "<svg id=1 />");
        assert_eq!(clean("<a xlink:href=' java\nscript:x'>t</a>"), "<a>t</a>");
        assert_eq!(clean("<a href='&#106;avascript:x'>t</a>"), "<a>t</a>");
        assert_eq!(clean("<svg><x:script>1</x:script></svg>"), "<svg></svg>");
        assert_eq!(clean("<set to='x;javascript:y' attributeName='href'/>"), "<set attributeName='href'/>");
    }

    #[test]
    fn what_is_taken_out_uncovers_nothing() {
        assert_eq!(clean("<a onload=x\"y><script>z</script>\">"), "<a>\">");
        assert_eq!(clean("<s onload=\"x\"cript>y</script>"), "<s cript>y</script>");
        assert_eq!(clean("<a href onload='x' ='javascript:y'>"), "<a href>");
        assert_eq!(clean("<<script></script>script>x</script>"), "script>x</script>");
    }

    #[test]
    fn declarations_bring_no_code_in() {
        let named = "<!DOCTYPE svg [<!ENTITY ns \"http://a\"><!ENTITY x \"<script>y</script>\">]><svg xmlns='&ns;'>&x;</svg>";
        assert_eq!(clean(named), "<!DOCTYPE svg [<!ENTITY ns \"http://a\">]><svg xmlns='&ns;'>&x;</svg>");
        assert_eq!(
            clean("<!DOCTYPE svg [<!ATTLIST svg onload CDATA 'x'>]><svg/>"),
            "<!DOCTYPE svg []><svg/>"
        );
        assert_eq!(clean("<a href='&j;'/><a href='b?c&amp;d'/>"), "<a /><a href='b?c&amp;d'/>");
        assert_eq!(clean("<?xml-stylesheet href='#x'?><svg/>"), "<svg/>");
    }

    #[test]
    fn many_open_tags_are_read_once_each() {
        // Read again for each, they would take hours.
        let text = format!("<script>{}", "<".repeat(1 << 20));
        assert_eq!(clean(&text), "");
        assert!(!looks_like(&text.as_bytes()[8..], text.len()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_clean_stays_as_it_is(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16)) {
            let once = sanitize(pieces.concat().as_bytes());
            prop_assert_eq!(sanitize(&once), once);
        }
    }

    const PIECES: &[&str] = &[
        "<",
        ">",
        "/",
        "=",
        "\"",
        "'",
        " ",
        "&",
        ";",
        "[",
        "]",
        "a",
        "s",
        "cript",
        "script",
        "svg",
        "<script>",
        "</script>",
        "<a",
        " onload",
        "onload=",
        " href=",
        "java",
        "javascript:",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!",
        "<!DOCTYPE svg [",
        "<!ENTITY x ",
        "<!ATTLIST",
        "&#",
        "xml-stylesheet ",
    ];

    #[test]
    fn the_rest_stays_as_it_was() {
        for text in [
            "<?xml version=\"1.0\"?>\n<svg viewBox='0 0 1 1'><!-- <script> --><a href=\"#b\"/><![CDATA[<script>]]></svg>\n",
            "<svg",
            "<",
            "plain",
            "<svg a",
            "<svg a=",
            "<svg a='",
        ] {
            assert_eq!(clean(text), text);
        }
    }
}
