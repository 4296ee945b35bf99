//! Where in HTML the next value lands: the state machine of Go's `html/template`.
//!
//! The original decides before execution and refuses templates whose branches end in different
//! places; this one follows what is really written, so that every value is escaped for its place.

use serde_json::Value;

use super::escape;
use super::functions::joined;

/// A place in HTML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    state: State,
    quote: Quote,
    url: UrlPart,
    attribute: Attribute,
    element: Element,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Tag,
    AttributeName,
    AfterName,
    BeforeValue,
    Comment,
    /// `<title>`, `<textarea>`: no tags in it.
    TitleText,
    /// A value without a meaning of its own.
    Plain,
    Url,
    UrlList,
    Script,
    /// A string in a script, with its quote.
    ScriptString(char),
    ScriptLine,
    ScriptBlock,
    Style,
    StyleString(char),
    /// `url(…)` in a style sheet, with its quote if there is one.
    StyleUrl(Option<char>),
    StyleBlock,
}

/// What ends an attribute's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quote {
    /// Not in a value.
    #[default]
    None,
    Double,
    Single,
    /// A space or the end of the tag.
    Bare,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UrlPart {
    #[default]
    Start,
    BeforeQuery,
    QueryOrFragment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Attribute {
    #[default]
    Plain,
    Script,
    Style,
    Url,
    UrlList,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Element {
    #[default]
    None,
    Script,
    Style,
    Textarea,
    Title,
}

impl Element {
    fn of(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "script" => Self::Script,
            "style" => Self::Style,
            "textarea" => Self::Textarea,
            "title" => Self::Title,
            _ => Self::None,
        }
    }

    const fn end_tag(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Script => "</script",
            Self::Style => "</style",
            Self::Textarea => "</textarea",
            Self::Title => "</title",
        }
    }

    const fn content(self) -> State {
        match self {
            Self::None => State::Text,
            Self::Script => State::Script,
            Self::Style => State::Style,
            Self::Textarea | Self::Title => State::TitleText,
        }
    }
}

const SPACE: [char; 5] = [' ', '\t', '\n', '\x0c', '\r'];

impl Attribute {
    fn of(name: &str) -> Self {
        let mut name = name.to_ascii_lowercase();
        if let Some(data) = name.strip_prefix("data-") {
            name = data.to_owned();
        } else if let Some((space, local)) = name.split_once(':') {
            if space == "xmlns" {
                return Self::Url;
            }
            name = local.to_owned();
        }
        match name.as_str() {
            "style" => Self::Style,
            "srcset" | "imagesrcset" => Self::UrlList,
            "srcdoc" => Self::Plain,
            "action" | "background" | "cite" | "classid" | "codebase" | "data" | "formaction" | "href"
            | "icon" | "longdesc" | "manifest" | "ping" | "poster" | "profile" | "src" | "usemap"
            | "xmlns" | "archive" => Self::Url,
            name if name.starts_with("on") => Self::Script,
            name if ["src", "uri", "url"].iter().any(|part| name.contains(part)) => Self::Url,
            _ => Self::Plain,
        }
    }

    const fn value(self) -> State {
        match self {
            Self::Plain => State::Plain,
            Self::Script => State::Script,
            Self::Style => State::Style,
            Self::Url => State::Url,
            Self::UrlList => State::UrlList,
        }
    }
}

impl Context {
    /// Writes literal text of the template, without its comments.
    pub(super) fn text(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            let (next, read) = self.after(rest);
            let piece = &rest[..read];
            rest = &rest[read..];
            let opens_comment = next.state == State::Comment && self.state != State::Comment;
            match self.state {
                State::Comment => {}
                State::Text | State::TitleText => {
                    let kept = if opens_comment { &piece[..read - "<!--".len()] } else { piece };
                    // Where the tag begins that changed the place; a `<` before it is text.
                    let tag = if next.state != self.state && !opens_comment { kept.rfind('<') } else { None };
                    escape_stray(&kept[..tag.unwrap_or(kept.len())], out);
                    out.push_str(&kept[tag.unwrap_or(kept.len())..]);
                }
                _ => out.push_str(piece),
            }
            *self = next;
        }
    }

    /// Writes a value. `last` is the function at the end of its pipeline: what `html` or `urlquery`
    /// did is not done again.
    pub(super) fn value(&mut self, value: &Value, last: &str, out: &mut String) {
        self.enter_value();
        let text = joined(std::slice::from_ref(value));
        let urls = |text: &str| match self.url {
            UrlPart::QueryOrFragment if last == "urlquery" => text.to_owned(),
            UrlPart::QueryOrFragment => escape::query(text),
            UrlPart::BeforeQuery => escape::normalize(text),
            UrlPart::Start => escape::normalize(escape::safe_url(text)),
        };
        let inner = match self.state {
            State::Comment | State::ScriptLine | State::ScriptBlock | State::StyleBlock => return,
            State::Text | State::TitleText => {
                out.push_str(&if last == "html" { text } else { escape::html(&text) });
                return;
            }
            State::Tag | State::AttributeName | State::AfterName | State::BeforeValue => {
                out.push_str(&escape::name(&text));
                return;
            }
            State::Plain => text,
            State::Url => urls(&text),
            State::UrlList => escape::url_list(&text),
            State::Script => escape::js_value(value),
            State::ScriptString(_) => escape::js_string(&text),
            State::Style => escape::css_value(&text).to_owned(),
            State::StyleString(_) => escape::css_string(&text),
            State::StyleUrl(_) => urls(&text),
        };
        match self.quote {
            Quote::None => out.push_str(&inner),
            Quote::Bare => out.push_str(&escape::bare_attribute(&inner)),
            Quote::Double | Quote::Single if last == "html" && self.state == State::Plain => {
                out.push_str(&inner)
            }
            Quote::Double | Quote::Single => out.push_str(&escape::html(&inner)),
        }
    }

    /// A value where nothing was written yet begins what can stand there.
    fn enter_value(&mut self) {
        match self.state {
            State::Tag | State::AfterName => {
                self.state = State::AttributeName;
                self.attribute = Attribute::Plain;
            }
            State::BeforeValue => {
                self.state = self.attribute.value();
                self.quote = Quote::Bare;
            }
            _ => {}
        }
    }

    /// The place after some of `text`, and how many bytes of it were read. Reads at least one, or
    /// changes the state in a way that the next call reads one.
    fn after(self, text: &str) -> (Self, usize) {
        if self.quote == Quote::None {
            return match find_ignoring_case(text, self.element.end_tag()) {
                // The tag that ends a script and its like is read as text.
                Some(0) if self.is_content() => Self::default().after(text),
                Some(end) if self.is_content() => self.within(&text[..end]),
                _ => self.within(text),
            };
        }
        let end = match self.quote {
            Quote::Double => text.find('"'),
            Quote::Single => text.find('\''),
            _ => text.find(|char| SPACE.contains(&char) || char == '>'),
        };
        let Some(end) = end else {
            let mut place = self;
            let plain = unescape(text);
            let mut rest = plain.as_str();
            while !rest.is_empty() {
                let (next, read) = place.within(rest);
                (place, rest) = (next, &rest[read..]);
            }
            return (place, text.len());
        };
        let end = if self.quote == Quote::Bare { end } else { end + 1 };
        let place = Self { state: State::Tag, element: self.element, ..Self::default() };
        if end == 0 { place.within(text) } else { (place, end) }
    }

    fn is_content(self) -> bool {
        self.element != Element::None
            && !matches!(
                self.state,
                State::Tag | State::AttributeName | State::AfterName | State::BeforeValue
            )
    }

    /// The same without regard to what ends the surrounding value or element.
    fn within(self, text: &str) -> (Self, usize) {
        let all = text.len();
        let to = |state| Self { state, ..self };
        match self.state {
            State::Text => after_text(text),
            State::TitleText | State::Plain | State::UrlList => (self, all),
            State::Comment => match text.find("-->") {
                Some(end) => (Self::default(), end + 3),
                None => (self, all),
            },
            State::Tag => self.after_tag(text),
            State::AttributeName => match attribute_name(text) {
                end if end == all => (self, all),
                0 => to(State::AfterName).within(text),
                end => (to(State::AfterName), end),
            },
            State::AfterName => {
                let space = text.len() - text.trim_start_matches(SPACE).len();
                match text[space..].chars().next() {
                    None => (self, all),
                    Some('=') => (to(State::BeforeValue), space + 1),
                    // A name without a value.
                    Some(_) if space > 0 => (Self { attribute: Attribute::Plain, ..to(State::Tag) }, space),
                    Some(_) => Self { attribute: Attribute::Plain, ..to(State::Tag) }.within(text),
                }
            }
            State::BeforeValue => {
                let space = text.len() - text.trim_start_matches(SPACE).len();
                let value = |quote| Self {
                    state: self.attribute.value(),
                    quote,
                    attribute: Attribute::Plain,
                    ..self
                };
                match text[space..].chars().next() {
                    None => (self, all),
                    Some('"') => (value(Quote::Double), space + 1),
                    Some('\'') => (value(Quote::Single), space + 1),
                    Some(_) if space > 0 => (value(Quote::Bare), space),
                    Some(_) => value(Quote::Bare).after(text),
                }
            }
            State::Url => (Self { url: self.url.after(text), ..self }, all),
            State::Script => match text.find(['"', '\'', '`', '/']) {
                None => (self, all),
                Some(at) if text[at..].starts_with("//") => (to(State::ScriptLine), at + 2),
                Some(at) if text[at..].starts_with("/*") => (to(State::ScriptBlock), at + 2),
                Some(at) if text[at..].starts_with('/') => (self, at + 1),
                Some(at) => {
                    let quote = text[at..].chars().next().unwrap_or('"');
                    (to(State::ScriptString(quote)), at + 1)
                }
            },
            State::ScriptString(quote) => {
                (to_if(self, State::Script, end_of_string(text, quote)), string_length(text, quote))
            }
            State::ScriptLine => match text.find('\n') {
                Some(end) => (to(State::Script), end + 1),
                None => (self, all),
            },
            State::ScriptBlock | State::StyleBlock => {
                let outside = if self.state == State::ScriptBlock { State::Script } else { State::Style };
                match text.find("*/") {
                    Some(end) => (to(outside), end + 2),
                    None => (self, all),
                }
            }
            State::Style => self.after_style(text),
            State::StyleString(quote) => {
                (to_if(self, State::Style, end_of_string(text, quote)), string_length(text, quote))
            }
            State::StyleUrl(Some(quote)) => {
                let ended = end_of_string(text, quote);
                let length = string_length(text, quote);
                let url = self.url.after(&text[..length]);
                if ended {
                    (Self { url: UrlPart::Start, ..to(State::Style) }, length)
                } else {
                    (Self { url, ..self }, all)
                }
            }
            State::StyleUrl(None) => match text.find(|char| SPACE.contains(&char) || char == ')') {
                Some(end) => (Self { url: UrlPart::Start, ..to(State::Style) }, end + 1),
                None => (Self { url: self.url.after(text), ..self }, all),
            },
        }
    }

    fn after_tag(self, text: &str) -> (Self, usize) {
        let space = text.len() - text.trim_start_matches(SPACE).len();
        let rest = &text[space..];
        if rest.is_empty() {
            return (self, text.len());
        }
        if rest.starts_with('>') {
            return (
                Self { state: self.element.content(), element: self.element, ..Self::default() },
                space + 1,
            );
        }
        let length = attribute_name(rest);
        if length == 0 {
            // A lone `=`; the original refuses the template.
            return (self, space + 1);
        }
        let attribute = Attribute::of(&rest[..length]);
        let ended = space + length < text.len();
        let state = if ended { State::AfterName } else { State::AttributeName };
        (Self { state, attribute, ..self }, space + length)
    }

    fn after_style(self, text: &str) -> (Self, usize) {
        let to = |state| Self { state, ..self };
        let Some(at) = text.find(['(', '"', '\'', '/']) else { return (self, text.len()) };
        let here = &text[at..];
        match here.as_bytes()[0] {
            b'(' => {
                let before = text[..at].trim_end_matches(SPACE);
                if !before.to_ascii_lowercase().ends_with("url") {
                    return (self, at + 1);
                }
                let space = here.len() - 1 - here[1..].trim_start_matches(SPACE).len();
                let start = at + 1 + space;
                match text[start..].chars().next() {
                    Some(quote @ ('"' | '\'')) => (to(State::StyleUrl(Some(quote))), start + 1),
                    _ => (to(State::StyleUrl(None)), start),
                }
            }
            b'/' if here.starts_with("/*") => (to(State::StyleBlock), at + 2),
            b'/' => (self, at + 1),
            _ => (to(State::StyleString(here.chars().next().unwrap_or('"'))), at + 1),
        }
    }
}

impl UrlPart {
    fn after(self, text: &str) -> Self {
        if text.contains(['#', '?']) {
            Self::QueryOrFragment
        } else if self == Self::Start && !text.trim_start_matches(SPACE).is_empty() {
            Self::BeforeQuery
        } else {
            self
        }
    }
}

fn to_if(place: Context, state: State, ended: bool) -> Context {
    if ended { Context { state, ..place } } else { place }
}

/// Whether a string ends in `text`; a backslash hides the byte behind it.
fn end_of_string(text: &str, quote: char) -> bool {
    let mut hidden = false;
    for char in text.chars() {
        match char {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            char if char == quote => return true,
            _ => {}
        }
    }
    false
}

/// How much of `text` belongs to the string, its closing quote included.
fn string_length(text: &str, quote: char) -> usize {
    let mut hidden = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if hidden => hidden = false,
            '\\' => hidden = true,
            char if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Up to the first tag or comment.
fn after_text(text: &str) -> (Context, usize) {
    let mut from = 0;
    while let Some(at) = text[from..].find('<').map(|at| from + at) {
        let rest = &text[at + 1..];
        if rest.starts_with("!--") {
            return (Context { state: State::Comment, ..Context::default() }, at + 4);
        }
        let (closes, name) = match rest.strip_prefix('/') {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let length = tag_name(name);
        if length > 0 {
            let element = if closes { Element::None } else { Element::of(&name[..length]) };
            let read = at + 1 + usize::from(closes) + length;
            return (Context { state: State::Tag, element, ..Context::default() }, read);
        }
        from = at + 1;
    }
    (Context::default(), text.len())
}

fn tag_name(text: &str) -> usize {
    if !text.starts_with(|char: char| char.is_ascii_alphabetic()) {
        return 0;
    }
    let mut end = 1;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(end) {
        let joins = matches!(byte, b':' | b'-') && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
        if !byte.is_ascii_alphanumeric() && !joins {
            break;
        }
        end += 1;
    }
    end
}

fn attribute_name(text: &str) -> usize {
    text.find(|char| SPACE.contains(&char) || matches!(char, '=' | '>')).unwrap_or(text.len())
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    text.as_bytes().windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

/// A `<` that begins no tag is text; a document type stays.
fn escape_stray(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let doctype =
            rest.as_bytes()[at..].get(..9).is_some_and(|word| word.eq_ignore_ascii_case(b"<!doctype"));
        out.push_str(if doctype { "<" } else { "&lt;" });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// The few entities that matter to what an attribute's value means.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let entity = &rest[at + 1..];
        let end =
            entity.find(|char: char| !char.is_ascii_alphanumeric() && char != '#').unwrap_or(entity.len());
        let code = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let meant = match entity[..end].to_ascii_lowercase().as_str() {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "num" => Some('#'),
            "quest" => Some('?'),
            number => match (number.strip_prefix("#x"), number.strip_prefix('#')) {
                (Some(hex), _) => code(hex, 16),
                (None, Some(digits)) => code(digits, 10),
                _ => None,
            },
        };
        match meant {
            Some(char) => {
                out.push(char);
                rest = &entity[end..];
                rest = rest.strip_prefix(';').unwrap_or(rest);
            }
            None => {
                out.push('&');
                rest = entity;
            }
        }
    }
    out.push_str(rest);
    out
}
