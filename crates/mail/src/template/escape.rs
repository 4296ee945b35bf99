//! Escapers, one for each kind of place in HTML. They do what those of Go's `html/template` do.

use std::fmt::Write as _;

use serde_json::Value;

/// What stands where a value would have been dangerous.
pub(super) const REFUSED: &str = "ZgotmplZ";

/// Text between tags, and in a quoted attribute.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '+' => out.push_str("&#43;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// An attribute without quotes.
pub(super) fn bare_attribute(text: &str) -> String {
    if text.is_empty() {
        return REFUSED.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\0' => out.push_str("&#xfffd;"),
            '\t'..='\r' | ' ' | '"' | '\'' | '+' | '=' | '`' => {
                let _ = write!(out, "&#{};", u32::from(char));
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// The name of an attribute: only letters and digits, and none that gives its value a meaning.
pub(super) fn name(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let plain = !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let harmless = !lower.starts_with("on")
        && !matches!(
            lower.as_str(),
            "style"
                | "srcset"
                | "srcdoc"
                | "action"
                | "background"
                | "data"
                | "href"
                | "poster"
                | "xmlns"
                | "type"
                | "charset"
                | "content"
        )
        && !["src", "uri", "url"].iter().any(|part| lower.contains(part));
    if plain && harmless { lower } else { REFUSED.to_owned() }
}

/// The URL, unless its scheme could run something.
pub(super) fn safe_url(url: &str) -> &str {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            let known = ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
            if known { url } else { "#ZgotmplZ" }
        }
        _ => url,
    }
}

/// A URL or a part of it before its query: what has a meaning keeps it.
pub(super) fn normalize(url: &str) -> String {
    percent(url, true)
}

/// A part of a query: nothing in it has a meaning.
pub(super) fn query(text: &str) -> String {
    percent(text, false)
}

fn percent(text: &str, keep_reserved: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().copied().enumerate() {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let kept = match byte {
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@'
            | b'[' | b']' => keep_reserved,
            b'-' | b'.' | b'_' | b'~' => true,
            b'%' => keep_reserved && hex(at + 1) && hex(at + 2),
            other => other.is_ascii_alphanumeric(),
        };
        if kept {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

/// URLs with sizes, separated by commas.
pub(super) fn url_list(text: &str) -> String {
    let entry = |entry: &str| {
        let plain = entry.trim();
        let (url, size) = plain.split_once([' ', '\t', '\n', '\r']).unwrap_or((plain, ""));
        let harmless = size
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b'\t' | b'\n' | b'\r'));
        if url.is_empty() || safe_url(url) != url || !harmless {
            return format!("#{REFUSED}");
        }
        let size = if size.is_empty() { String::new() } else { format!(" {}", size.trim()) };
        normalize(url).replace(',', "%2c") + &size
    };
    text.split(',').map(entry).collect::<Vec<_>>().join(", ")
}

/// A value in a script.
pub(super) fn js_value(value: &Value) -> String {
    let mut json = String::new();
    for char in value.to_string().chars() {
        match char {
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(char));
            }
            other => json.push(other),
        }
    }
    // A word must not grow together with the one beside it.
    if matches!(value, Value::Bool(_) | Value::Number(_) | Value::Null) { format!(" {json} ") } else { json }
}

/// Text within a string of a script.
pub(super) fn js_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '/' => out.push_str("\\/"),
            '"' | '\'' | '`' | '&' | '<' | '>' | '=' | '+' | '$' | '{' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char if char.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            other => out.push(other),
        }
    }
    out
}

/// A value in a style sheet: words, numbers, colours.
pub(super) fn css_value(text: &str) -> &str {
    let dangerous = |char: char| {
        matches!(
            char,
            '\0' | '"' | '\'' | '(' | ')' | '/' | ';' | '@' | '[' | '\\' | ']' | '`' | '{' | '}' | '<' | '>'
        )
    };
    let word: String =
        text.chars().filter(|char| char.is_ascii_alphanumeric()).collect::<String>().to_lowercase();
    let harmless = !text.contains(dangerous)
        && !text.contains("--")
        && !word.contains("expression")
        && !word.contains("mozbinding");
    if harmless { text } else { REFUSED }
}

/// Text within a string of a style sheet.
pub(super) fn css_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii_alphanumeric() || !char.is_ascii() || matches!(char, ' ' | '-' | '_' | '.' | ',') {
            out.push(char);
        } else {
            let _ = write!(out, "\\{:x} ", u32::from(char));
        }
    }
    out
}
