//! Comma separated values as PostgREST's library reads them: what it lets pass, and how it words what it does not.
//!
//! A field is quoted or not; one that is not ends at a quote, too, which nothing can follow. A quoted field that does not end
//! loses its last character instead. The first line is the header, whatever it holds; after it blank lines count for nothing.

use super::haskell;

/// A header, and the records that follow it. Errors are whole messages.
pub(super) fn read(text: &str) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    let mut reader = Reader { rest: text };
    let header = reader.record()?;
    reader.line_end()?;
    let mut records = Vec::new();
    loop {
        let record = reader.record()?;
        if record.len() != 1 || !record[0].is_empty() {
            records.push(record);
        }
        if reader.rest.is_empty() {
            return Ok((header, records));
        }
        reader.line_end()?;
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest.strip_prefix(prefix);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// The message of a refusal, with what could not be read.
    fn refuse(&self, reason: &str) -> String {
        const SHOWN: usize = 100;
        let left = self.rest.as_bytes();
        let left = if left.len() > SHOWN {
            format!("{} (truncated)", String::from_utf8_lossy(&left[..SHOWN]))
        } else {
            haskell::text(left)
        };
        format!("parse error ({reason}) at {left}")
    }

    fn line_end(&mut self) -> Result<(), String> {
        if self.take("\n") || self.take("\r\n") || self.take("\r") {
            return Ok(());
        }
        let ends = self.rest.is_empty();
        Err(self.refuse(if ends { "not enough input" } else { "Failed reading: satisfy" }))
    }

    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut record = vec![self.field()?];
        while self.take(",") {
            record.push(self.field()?);
        }
        Ok(record)
    }

    fn field(&mut self) -> Result<String, String> {
        if !self.take("\"") {
            let end = self.rest.find(['"', ',', '\n', '\r']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(field.to_owned());
        }
        // The field ends before a quote that no other follows.
        let mut quoted = false;
        let end = self.rest.find(|c| {
            let ends = quoted && c != '"';
            quoted = c == '"' && !quoted;
            ends
        });
        let (mut field, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match field.char_indices().next_back() {
            Some((last, _)) => field = &field[..last],
            None => return Err(self.refuse("Failed reading: trailing double quote")),
        }
        if field.matches('"').count() % 2 == 1 {
            return Err(self.refuse("Failed reading: insufficient input"));
        }
        Ok(field.replace("\"\"", "\""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        read(text).err().unwrap_or_default()
    }

    #[test]
    fn refusals_are_worded_as_the_library_words_them() {
        assert_eq!(refusal(""), r#"parse error (not enough input) at """#);
        assert_eq!(refusal("a,b"), r#"parse error (not enough input) at """#);
        assert_eq!(refusal("a\"b,c\n"), r#"parse error (Failed reading: satisfy) at "\"b,c\n""#);
        assert_eq!(refusal("a,b\n1,x\"y\""), r#"parse error (Failed reading: satisfy) at "\"y\"""#);
        assert_eq!(refusal("a,b\n\"1\"x,2\n"), r#"parse error (Failed reading: satisfy) at "x,2\n""#);
        assert_eq!(refusal("a\n\""), r#"parse error (Failed reading: trailing double quote) at """#);
        assert_eq!(refusal("a\n\"1\"\""), r#"parse error (Failed reading: insufficient input) at """#);
        let long = format!("a\n1\"{}", "x".repeat(200));
        let shown = format!("parse error (Failed reading: satisfy) at \"{} (truncated)", "x".repeat(99));
        assert_eq!(refusal(&long), shown);
    }

    #[test]
    fn what_the_library_lets_pass_passes() {
        let rows = |text: &str| read(text).map(|(_, rows)| rows);
        assert_eq!(rows("a\n"), Ok(vec![]));
        assert_eq!(rows("a\r\n\r\n1\r\n\r2"), Ok(vec![vec!["1".to_owned()], vec!["2".to_owned()]]));
        // A quoted field that does not end.
        assert_eq!(rows("a\n\"xyz"), Ok(vec![vec!["xy".to_owned()]]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in proptest::collection::vec(proptest::collection::vec("[a\"\n\r, é]{0,5}", 2), 0..5),
        ) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quote).collect::<Vec<_>>().join(",");
            let text: Vec<String> = std::iter::once("a,b".to_owned()).chain(rows.iter().map(line)).collect();
            let read = read(&format!("{}\n", text.join("\n")));
            prop_assert_eq!(read, Ok((vec!["a".to_owned(), "b".to_owned()], rows)));
        }

        #[test]
        fn any_text_can_be_read(text in "[a\"\n\r,é]{0,20}") {
            let _ = read(&text);
        }
    }
}
