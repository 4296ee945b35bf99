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

/// Takes out `<script>` elements and `onload` attributes, as imgproxy's `SANITIZE_SVG` does, and beyond it every other
/// `on…` attribute and `javascript:` address, which run just as well.
pub fn sanitize(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(start) = find(bytes, at, b"<") {
        clean.extend_from_slice(&bytes[at..start]);
        let rest = &bytes[start..];
        let end_of =
            |from: usize, end: &[u8]| find(bytes, from, end).map_or(bytes.len(), |found| found + end.len());
        if rest.starts_with(b"<!--") {
            at = end_of(start + 4, b"-->");
        } else if rest.starts_with(b"<![CDATA[") {
            at = end_of(start + 9, b"]]>");
        } else if rest.starts_with(b"<?") {
            at = end_of(start + 2, b"?>");
        } else if is_tag(rest, b"script") {
            at = after_element(bytes, start, b"script");
            continue;
        } else {
            at = after_tag(bytes, start);
            clean_tag(&bytes[start..at], &mut clean);
            continue;
        }
        clean.extend_from_slice(&bytes[start..at]);
    }
    clean.extend_from_slice(&bytes[at..]);
    clean
}

/// A tag without the attributes that run.
fn clean_tag(tag: &[u8], clean: &mut Vec<u8>) {
    let mut at =
        tag.iter().position(|&byte| is_space(byte) || byte == b'/' || byte == b'>').unwrap_or(tag.len());
    // A closing tag begins with the slash.
    if tag.get(1) == Some(&b'/') || tag.get(1) == Some(&b'!') {
        clean.extend_from_slice(tag);
        return;
    }
    clean.extend_from_slice(&tag[..at]);
    while at < tag.len() {
        let start = at;
        while at < tag.len() && (is_space(tag[at]) || tag[at] == b'/') {
            at += 1;
        }
        let name_start = at;
        while at < tag.len() && !is_space(tag[at]) && !matches!(tag[at], b'=' | b'>' | b'/') {
            at += 1;
        }
        let name = &tag[name_start..at];
        let mut value: &[u8] = b"";
        let mut after = at;
        while after < tag.len() && is_space(tag[after]) {
            after += 1;
        }
        if tag.get(after) == Some(&b'=') {
            after += 1;
            while after < tag.len() && is_space(tag[after]) {
                after += 1;
            }
            let value_start = after;
            match tag.get(after) {
                Some(&quote @ (b'"' | b'\'')) => {
                    after = find(tag, after + 1, &[quote]).map_or(tag.len(), |end| end + 1);
                }
                _ => {
                    while after < tag.len() && !is_space(tag[after]) && tag[after] != b'>' {
                        after += 1;
                    }
                }
            }
            value = &tag[value_start..after];
            at = after;
        }
        if name.is_empty() {
            // The end, or a byte that belongs to no attribute.
            at = at.max(start + 1).min(tag.len());
            if at < tag.len() && tag[at] == b'>' && at == name_start {
                at += 1;
            }
            clean.extend_from_slice(&tag[start..at]);
        } else if !runs(name, value) {
            clean.extend_from_slice(&tag[start..at]);
        }
    }
}

fn runs(name: &[u8], value: &[u8]) -> bool {
    let local = name.rsplit(|&byte| byte == b':').next().unwrap_or(name);
    if local.len() > 2 && local[..2].eq_ignore_ascii_case(b"on") {
        return true;
    }
    // White space, control characters and references are ignored or resolved in an address, so none may hide it.
    let address: Vec<u8> = value
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'&' | b'#' | b';'))
        .map(u8::to_ascii_lowercase)
        .collect();
    local.eq_ignore_ascii_case(b"href")
        && (address.starts_with(b"javascript:") || address.starts_with(b"&#") || contains(&address, b"&#"))
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

/// Behind the `>` of a tag, past quoted ones.
fn after_tag(bytes: &[u8], start: usize) -> usize {
    let mut quote = None;
    for (offset, &byte) in bytes[start..].iter().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => return start + offset + 1,
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    bytes.len()
}

/// Whether a tag of this name (with or without a prefix) opens here. `rest` starts with `<`, or with the slash of a
/// closing tag.
fn is_tag(rest: &[u8], name: &[u8]) -> bool {
    let word =
        rest[1..].split(|&byte| is_space(byte) || matches!(byte, b'>' | b'/')).next().unwrap_or_default();
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
    }

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
