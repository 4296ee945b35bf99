//! Text into pieces: literal text, and the words of actions.

use super::TemplateError;

/// Literal text, or an action's words.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Action { words: Vec<Word>, line: usize },
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// `.Name`, or a lone `.`, glued to what stood before it if that was no space.
    Field {
        name: String,
        glued: bool,
    },
    /// `$name`; `$` alone has an empty name.
    Variable(String),
    /// A function, a keyword, `true`, `false`, `nil`.
    Name(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Pipe,
    Comma,
    Open,
    /// A closing parenthesis.
    Close,
    Declare,
    Assign,
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template. Trim markers have done their work afterwards, comments are gone.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim = false;
    while !rest.is_empty() {
        let start = rest.find("{{");
        let mut literal = &rest[..start.unwrap_or(rest.len())];
        let newlines = literal.matches('\n').count();
        if trim {
            literal = literal.trim_start_matches(SPACE);
        }
        let Some(start) = start else {
            push_text(&mut pieces, literal);
            break;
        };
        line += newlines;
        let mut inside = &rest[start + 2..];
        if let Some(after) = inside.strip_prefix('-')
            && after.starts_with(SPACE)
        {
            literal = literal.trim_end_matches(SPACE);
            inside = after;
        }
        push_text(&mut pieces, literal);
        let mut action = Action { rest: inside, line, words: Vec::new() };
        trim = if inside.trim_start_matches(SPACE).starts_with("/*") {
            action.comment()?
        } else {
            action.words()?
        };
        let Action { rest: after, line: at, words } = action;
        if !words.is_empty() {
            pieces.push(Piece::Action { words, line });
        }
        (rest, line) = (after, at);
    }
    Ok(pieces)
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// An action while its words are read.
struct Action<'a> {
    rest: &'a str,
    line: usize,
    words: Vec<Word>,
}

impl<'a> Action<'a> {
    fn error<T>(&self, reason: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { line: self.line, reason: reason.into() })
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
        skipped
    }

    /// The end of the action, if it is here; tells whether the space behind it goes.
    fn end(&mut self) -> Option<bool> {
        let space = self.rest.len() - self.rest.trim_start_matches(SPACE).len();
        let here = &self.rest[space..];
        if space > 0 && here.starts_with("-}}") {
            self.skip(space + 3);
            return Some(true);
        }
        if here.starts_with("}}") {
            self.skip(space + 2);
            return Some(false);
        }
        None
    }

    fn comment(&mut self) -> Result<bool, TemplateError> {
        let Some(end) = self.rest.find("*/") else { return self.error("unclosed comment") };
        self.skip(end + 2);
        match self.end() {
            Some(trim) => Ok(trim),
            None => self.error("comment ends before closing delimiter"),
        }
    }

    /// Reads up to the end of the action.
    fn words(&mut self) -> Result<bool, TemplateError> {
        let mut glued = false;
        loop {
            if let Some(trim) = self.end() {
                if self.words.is_empty() {
                    return self.error("missing value for command");
                }
                return Ok(trim);
            }
            let space = self.rest.len() - self.rest.trim_start_matches(SPACE).len();
            if space > 0 {
                self.skip(space);
                glued = false;
            }
            let Some(first) = self.rest.chars().next() else { return self.error("unclosed action") };
            let word = match first {
                '|' => self.single(Word::Pipe),
                ',' => self.single(Word::Comma),
                '(' => self.single(Word::Open),
                ')' => self.single(Word::Close),
                '=' => self.single(Word::Assign),
                ':' if self.rest.starts_with(":=") => {
                    self.skip(2);
                    Word::Declare
                }
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '.' if !self.rest[1..].starts_with(|char: char| char.is_ascii_digit()) => {
                    self.skip(1);
                    Word::Field { name: self.name(), glued }
                }
                '$' => {
                    self.skip(1);
                    Word::Variable(self.name())
                }
                '0'..='9' | '+' | '-' | '.' => self.number()?,
                char if char == '_' || char.is_alphabetic() => Word::Name(self.name()),
                other => return self.error(format!("unexpected {other:?} in action")),
            };
            glued = matches!(word, Word::Field { .. } | Word::Variable(_) | Word::Close);
            self.words.push(word);
        }
    }

    fn single(&mut self, word: Word) -> Word {
        self.skip(1);
        word
    }

    fn name(&mut self) -> String {
        let end =
            self.rest.find(|char: char| char != '_' && !char.is_alphanumeric()).unwrap_or(self.rest.len());
        self.skip(end).to_owned()
    }

    fn raw(&mut self) -> Result<Word, TemplateError> {
        match self.rest[1..].find('`') {
            Some(end) => {
                let text = self.skip(end + 2);
                Ok(Word::Text(text[1..end + 1].to_owned()))
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    fn quoted(&mut self) -> Result<Word, TemplateError> {
        let (text, length) = match unquote(&self.rest[1..], '"') {
            Some(read) => read,
            None => return self.error("unterminated quoted string"),
        };
        self.skip(1 + length);
        Ok(Word::Text(text))
    }

    fn character(&mut self) -> Result<Word, TemplateError> {
        let read = unquote(&self.rest[1..], '\'');
        let Some((text, length)) = read.filter(|(text, _)| text.chars().count() == 1) else {
            return self.error("unterminated character constant");
        };
        self.skip(1 + length);
        let char = text.chars().next().map_or(0, u32::from);
        Ok(Word::Integer(i64::from(char)))
    }

    fn number(&mut self) -> Result<Word, TemplateError> {
        let bytes = self.rest.as_bytes();
        let mut end = usize::from(matches!(bytes[0], b'+' | b'-'));
        let is_hex = self.rest[end..].starts_with("0x") || self.rest[end..].starts_with("0X");
        while let Some(byte) = bytes.get(end) {
            let sign = !is_hex && matches!(byte, b'+' | b'-') && matches!(bytes[end - 1], b'e' | b'E');
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || sign) {
                break;
            }
            end += 1;
        }
        let text = self.skip(end).replace('_', "");
        let digits = text.trim_start_matches(['+', '-']);
        let negative = text.starts_with('-');
        let radix = |prefixes: [&str; 2], radix| {
            let digits = prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix))?;
            i64::from_str_radix(digits, radix).ok()
        };
        let whole =
            radix(["0x", "0X"], 16).or_else(|| radix(["0o", "0O"], 8)).or_else(|| radix(["0b", "0B"], 2));
        let whole = match whole {
            Some(value) => Some(if negative { -value } else { value }),
            None => text.strip_prefix('+').unwrap_or(&text).parse().ok(),
        };
        match (whole, text.parse::<f64>()) {
            (Some(value), _) => Ok(Word::Integer(value)),
            (None, Ok(value)) if value.is_finite() => Ok(Word::Float(value)),
            _ => self.error(format!("bad number syntax: {text:?}")),
        }
    }
}

/// Reads a quoted text up to its closing quote; returns it and its length with the quote.
fn unquote(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\n' => return None,
            char if char == quote => return Some((out, at + 1)),
            '\\' => {
                let (_, escape) = chars.next()?;
                let code = |chars: &mut std::str::CharIndices<'_>, digits: usize, radix: u32, first: u32| {
                    let mut value = first;
                    for _ in 0..digits {
                        value = value.checked_mul(radix)? + chars.next()?.1.to_digit(radix)?;
                    }
                    char::from_u32(value)
                };
                out.push(match escape {
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\x0b',
                    'x' => code(&mut chars, 2, 16, 0)?,
                    'u' => code(&mut chars, 4, 16, 0)?,
                    'U' => code(&mut chars, 8, 16, 0)?,
                    '0'..='7' => code(&mut chars, 2, 8, escape.to_digit(8)?)?,
                    '\\' | '"' | '\'' => escape,
                    _ => return None,
                });
            }
            other => out.push(other),
        }
    }
    None
}
