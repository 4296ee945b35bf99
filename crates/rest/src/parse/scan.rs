//! A small backtracking scanner whose errors read like those of PostgREST's parser library.
//!
//! PostgREST parses the query string with Parsec, and the wording of its errors is part of the answer. What decides that
//! wording is small: every failed attempt leaves an error at a position; consuming a character forgets the errors before
//! it; of two errors the one further to the right wins and equals are joined; a label replaces what was expected by an
//! attempt that consumed nothing. [`Scan`] keeps exactly that state, without allocating while parsing succeeds.

use smallvec::SmallVec;

use super::haskell;

/// An attempt failed; what was expected is in [`Scan`].
#[derive(Debug)]
pub(crate) struct Failed;

/// The outcome of one parser.
pub(crate) type Scanned<T> = Result<T, Failed>;

/// What stood where a parser failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Character(char),
    End,
}

/// An error at one position. What was expected there is in [`Scan::labels`].
#[derive(Debug, Default)]
struct Expectation {
    position: usize,
    /// What a primitive stumbled on.
    found: Option<Found>,
    /// What a negative look-ahead refused. Shown instead of `found`.
    refused: SmallVec<[char; 1]>,
}

/// Where and why a text could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanError {
    /// One based.
    pub(crate) line: usize,
    /// One based, in characters.
    pub(crate) column: usize,
    /// `unexpected … expecting …`.
    pub(crate) report: String,
}

/// A position in a text together with what would have been accepted there.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    position: usize,
    expectation: Expectation,
    /// What would have been accepted: first what the errors say that are set aside in [`Scan::attempt`] and its kin, the
    /// outermost first, then from `floor` on what [`Self::expectation`] says. So to set an error aside moves nothing.
    labels: SmallVec<[&'static str; 24]>,
    floor: usize,
    /// Whether nobody will ask why this failed.
    silent: bool,
    depth: usize,
}

/// An error that is set aside while a parser runs.
struct Aside {
    expectation: Expectation,
    floor: usize,
}

/// How deep embeds and logic groups may nest. The parser is recursive; so are the planner and PostgreSQL.
const MAX_DEPTH: usize = 100;

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            expectation: Expectation::default(),
            labels: SmallVec::new(),
            floor: 0,
            silent: false,
            depth: 0,
        }
    }

    /// One that takes and refuses the same texts, but does not know why. Most texts parse; one that does not is read again.
    pub(crate) fn silent(text: &'a str) -> Self {
        Self { silent: true, ..Self::new(text) }
    }

    fn is_clear(&self) -> bool {
        self.expectation.found.is_none()
            && self.expectation.refused.is_empty()
            && self.labels.len() == self.floor
    }

    /// Forgets what could have followed. The library does so after each repetition of a parser but the first of a list.
    pub(crate) fn clear(&mut self) {
        if self.silent {
            return;
        }
        self.expectation.found = None;
        self.expectation.refused.clear();
        self.labels.truncate(self.floor);
    }

    /// Begins with no error, and keeps the one there is.
    fn set_aside(&mut self) -> Aside {
        let floor = std::mem::replace(&mut self.floor, self.labels.len());
        Aside { expectation: std::mem::take(&mut self.expectation), floor }
    }

    /// Goes back to the error that was set aside; what came later is forgotten.
    fn restore(&mut self, before: Aside) {
        self.labels.truncate(self.floor);
        self.expectation = before.expectation;
        self.floor = before.floor;
    }

    /// Forgets the error that was set aside.
    fn forget(&mut self, before: Aside) {
        self.labels.drain(before.floor..self.floor);
        self.floor = before.floor;
    }

    /// Joins the error there is into the one that was set aside: the further one wins, equals add up.
    fn join(&mut self, before: Aside) {
        let nothing_before = before.expectation.found.is_none()
            && before.expectation.refused.is_empty()
            && before.floor == self.floor;
        if self.is_clear() {
            self.restore(before);
        } else if nothing_before || self.expectation.position > before.expectation.position {
            self.forget(before);
        } else if self.expectation.position == before.expectation.position {
            let later = std::mem::replace(&mut self.expectation, before.expectation);
            self.expectation.found = self.expectation.found.or(later.found);
            self.expectation.refused.extend(later.refused);
            self.floor = before.floor;
        } else {
            self.restore(before);
        }
    }

    /// Notes an error beside the one there is: the further one wins, equals add up. Whether it was noted.
    fn note(&mut self, position: usize) -> bool {
        if self.silent {
            return false;
        }
        if self.is_clear() || position > self.expectation.position {
            self.clear();
            self.expectation.position = position;
        }
        position == self.expectation.position
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The text from an earlier position up to here.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.position]
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        if bytes > 0 {
            self.position += bytes;
            self.clear();
        }
    }

    fn fail_at(&mut self, position: usize, found: Option<char>, expected: Option<&'static str>) {
        if self.note(position) {
            let found = found.map_or(Found::End, Found::Character);
            self.expectation.found.get_or_insert(found);
            self.labels.extend(expected);
        }
    }

    fn refuse_at(&mut self, position: usize, refused: char, expected: Option<&'static str>) {
        if self.note(position) {
            self.expectation.refused.push(refused);
            self.labels.extend(expected);
        }
    }

    /// Takes the longest run of characters that satisfy `accept`, and notes `expected` as what could have followed.
    pub(crate) fn take_while(&mut self, expected: &[&'static str], accept: impl Fn(char) -> bool) -> &'a str {
        let start = self.position;
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.advance(end);
        if !self.silent {
            self.fail_at(self.position, self.peek(), None);
            for label in expected {
                self.expect(label);
            }
        }
        self.since(start)
    }

    /// Like [`Self::take_while`], but at least one character.
    pub(crate) fn take_while1(
        &mut self,
        expected: &[&'static str],
        accept: impl Fn(char) -> bool,
    ) -> Scanned<&'a str> {
        let taken = self.take_while(expected, accept);
        if taken.is_empty() { Err(Failed) } else { Ok(taken) }
    }

    /// Adds to what would have been accepted here.
    fn expect(&mut self, label: &'static str) {
        if self.expectation.position == self.position {
            self.labels.push(label);
        }
    }

    /// One given character. `shown` is how it reads in an error, with its quotes.
    pub(crate) fn character(&mut self, wanted: char, shown: &'static str) -> Scanned<()> {
        match self.peek() {
            Some(c) if c == wanted => {
                self.advance(c.len_utf8());
                Ok(())
            }
            found => {
                self.fail_at(self.position, found, Some(shown));
                Err(Failed)
            }
        }
    }

    /// Any one character.
    pub(crate) fn any(&mut self) -> Scanned<char> {
        match self.peek() {
            Some(c) => {
                self.advance(c.len_utf8());
                Ok(c)
            }
            None => {
                self.fail_at(self.position, None, None);
                Err(Failed)
            }
        }
    }

    /// The plain word (ASCII letters, digits, `_`, `$`) that stands here, if `ends` takes the byte behind it, or the end.
    /// A short cut for what most texts are made of, where nobody asks what else could have stood here: loud scans never
    /// take it.
    pub(crate) fn swift_word(&mut self, ends: impl FnOnce(Option<u8>) -> bool) -> Option<&'a str> {
        if !self.silent {
            return None;
        }
        let bytes = self.rest().as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = bytes.iter().position(|byte| !plain(byte)).unwrap_or(bytes.len());
        if length == 0 || !ends(bytes.get(length).copied()) {
            return None;
        }
        let start = self.position;
        self.position += length;
        Some(self.since(start))
    }

    /// A fixed word. When only its beginning matches, the error stands at that beginning but names the character that
    /// differed, and the beginning counts as consumed (so callers wrap it in [`Self::attempt`] to go on).
    pub(crate) fn word(&mut self, wanted: &'static str, shown: &'static str) -> Scanned<()> {
        let rest = self.rest();
        if rest.starts_with(wanted) {
            self.advance(wanted.len());
            return Ok(());
        }
        let start = self.position;
        let common: usize =
            rest.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let found = rest[common..].chars().next();
        if common > 0 {
            self.position += common;
            self.clear();
        }
        self.fail_at(start, found, Some(shown));
        Err(Failed)
    }

    /// The end of the text.
    pub(crate) fn end(&mut self) -> Scanned<()> {
        match self.peek() {
            None => {
                self.fail_at(self.position, None, Some("end of input"));
                Ok(())
            }
            Some(c) => {
                self.refuse_at(self.position, c, Some("end of input"));
                Err(Failed)
            }
        }
    }

    /// Refuses a character here, without consuming it. `shown` is how that one reads in an error: what is not there stays
    /// among what could have been.
    pub(crate) fn not_followed_by(
        &mut self,
        shown: Option<&'static str>,
        refuse: impl Fn(char) -> bool,
    ) -> Scanned<()> {
        match self.peek() {
            Some(c) if refuse(c) => {
                // The library reports the position behind the character it refused.
                self.refuse_at(self.position + c.len_utf8(), c, None);
                Err(Failed)
            }
            found => {
                self.fail_at(self.position, found, shown);
                Ok(())
            }
        }
    }

    /// Runs a parser; if it fails, nothing was consumed.
    pub(crate) fn attempt<T>(&mut self, parser: impl FnOnce(&mut Self) -> Scanned<T>) -> Scanned<T> {
        let start = self.position;
        if self.silent {
            let result = parser(self);
            if result.is_err() {
                self.position = start;
            }
            return result;
        }
        let before = self.set_aside();
        let result = parser(self);
        let consumed = self.position != start;
        if result.is_err() {
            self.position = start;
        }
        if result.is_err() || !consumed {
            self.join(before);
        } else {
            self.forget(before);
        }
        result
    }

    /// Runs a parser and goes back to where it began.
    pub(crate) fn look_ahead<T>(&mut self, parser: impl FnOnce(&mut Self) -> Scanned<T>) -> Scanned<T> {
        let start = self.position;
        if self.silent {
            let result = parser(self);
            self.position = start;
            return result;
        }
        let before = self.set_aside();
        match parser(self) {
            Ok(value) => {
                self.position = start;
                self.restore(before);
                Ok(value)
            }
            Err(Failed) => {
                self.join(before);
                self.position = start;
                Err(Failed)
            }
        }
    }

    /// Runs a parser that may be absent.
    pub(crate) fn optional<T>(&mut self, parser: impl FnOnce(&mut Self) -> Scanned<T>) -> Scanned<Option<T>> {
        let start = self.position;
        match parser(self) {
            Ok(value) => Ok(Some(value)),
            Err(Failed) if self.position == start => Ok(None),
            Err(Failed) => Err(Failed),
        }
    }

    /// Names what a parser expects, for when it fails (or ends) without consuming anything.
    pub(crate) fn labelled<T>(
        &mut self,
        label: &'static str,
        parser: impl FnOnce(&mut Self) -> Scanned<T>,
    ) -> Scanned<T> {
        if self.silent {
            return parser(self);
        }
        let start = self.position;
        let before = self.set_aside();
        let result = parser(self);
        if self.position == start {
            if result.is_err() || !self.is_clear() {
                self.labels.truncate(self.floor);
                self.labels.push(label);
            }
            self.join(before);
        } else {
            self.forget(before);
        }
        result
    }

    /// `item { separator item }`.
    pub(crate) fn separated<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Scanned<T>,
        mut separator: impl FnMut(&mut Self) -> Scanned<()>,
    ) -> Scanned<Vec<T>> {
        let mut items = vec![item(self)?];
        loop {
            let start = self.position;
            match separator(self).and_then(|()| item(self)) {
                Ok(value) if self.position != start => {
                    items.push(value);
                    self.clear();
                }
                Ok(_) => return Ok(items),
                Err(Failed) if self.position == start => return Ok(items),
                Err(Failed) => return Err(Failed),
            }
        }
    }

    /// Runs a parser one level deeper; refuses to nest without bound.
    pub(crate) fn nested<T>(&mut self, parser: impl FnOnce(&mut Self) -> Scanned<T>) -> Scanned<T> {
        if self.depth == MAX_DEPTH {
            self.fail_at(self.position, self.peek(), Some("fewer nested levels"));
            return Err(Failed);
        }
        self.depth += 1;
        let result = parser(self);
        self.depth -= 1;
        result
    }

    /// Fails without saying why.
    pub(crate) fn refuse<T>(&mut self) -> Scanned<T> {
        Err(Failed)
    }

    /// Fails on what stands so many bytes further on; a label says what was wanted.
    pub(crate) fn unexpected<T>(&mut self, ahead: usize) -> Scanned<T> {
        let found = self.rest().get(ahead..).and_then(|rest| rest.chars().next());
        self.fail_at(self.position + ahead, found, None);
        Err(Failed)
    }

    /// The error that the last failure amounts to.
    pub(crate) fn error(&self) -> ScanError {
        let end = self.expectation.position.min(self.text.len());
        let (mut line, mut column) = (1, 1);
        for c in self.text[..end].chars() {
            match c {
                '\n' => (line, column) = (line + 1, 1),
                '\t' => column += 8 - (column - 1) % 8,
                _ => column += 1,
            }
        }
        ScanError { line, column, report: self.report() }
    }

    fn report(&self) -> String {
        let error = &self.expectation;
        let mut report = String::new();
        if error.refused.is_empty() {
            match error.found {
                Some(Found::End) => report.push_str("unexpected end of input"),
                Some(Found::Character(c)) => report.push_str(&format!("unexpected {}", shown(c, '"'))),
                None => {}
            }
        } else {
            let mut seen: Vec<String> = Vec::new();
            for c in &error.refused {
                let text = shown(*c, '\'');
                if !seen.contains(&text) {
                    seen.push(text);
                }
            }
            report.push_str(&format!("unexpected {}", alternatives(&seen)));
        }
        let mut expected: Vec<&str> = Vec::new();
        for label in &self.labels[self.floor..] {
            if !expected.contains(label) {
                expected.push(label);
            }
        }
        if !expected.is_empty() {
            if !report.is_empty() {
                report.push(' ');
            }
            report.push_str(&format!("expecting {}", alternatives(&expected)));
        }
        if report.is_empty() {
            report.push_str("unknown parse error");
        }
        report
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [init @ .., last] => {
            let init: Vec<&str> = init.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", init.join(", "), last.as_ref())
        }
    }
}

/// A character between `quote`s.
fn shown(c: char, quote: char) -> String {
    format!("{quote}{}{quote}", haskell::shown(c, quote))
}
