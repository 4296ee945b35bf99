//! Splits a file into statements.
//!
//! The result is the Supabase CLI's for every file that the CLI can apply: a statement ends at a `;` that is not in a
//! comment, a string, a quoted identifier, parentheses or a `BEGIN ATOMIC` body, and comments belong to the statement after
//! them. Where the CLI would take a valid statement apart (nested parentheses around a `;`, `CASE … END` in an atomic body,
//! `E'\''`), this splitter does not.

use crate::lexer::{self, Token};

/// The statements of `sql`, without the `;` that ended them and without white space around them. Those with nothing in them
/// are left out. What stands after the last `;` is a statement too, even if it is only a comment.
pub fn split(sql: &str) -> Vec<&str> {
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    let mut statements = Vec::new();
    let mut start = 0;
    while start < sql.len() {
        let end = end_of_statement(sql.as_bytes(), start);
        // A statement ends behind a semicolon or with the text, so neither end is inside of a character.
        let statement = sql.get(start..end).unwrap_or_default().trim_end_matches(';').trim();
        if !statement.is_empty() {
            statements.push(statement);
        }
        start = end;
    }
    statements
}

/// Where the statement that starts at `start` ends, behind its `;`.
fn end_of_statement(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut parentheses = 0usize;
    // Open `BEGIN ATOMIC` and, inside of it, `CASE`: each is closed by an `END`.
    let mut blocks = 0usize;
    let mut after_begin = false;
    while at < bytes.len() {
        let (token, end) = lexer::token(bytes, at);
        match token {
            Token::Semicolon if parentheses == 0 && blocks == 0 => return end,
            Token::Open => parentheses += 1,
            Token::Close => parentheses = parentheses.saturating_sub(1),
            Token::Word => {
                let is = |keyword: &str| bytes[at..end].eq_ignore_ascii_case(keyword.as_bytes());
                if blocks > 0 && is("case") || after_begin && is("atomic") {
                    blocks += 1;
                } else if blocks > 0 && is("end") {
                    blocks -= 1;
                }
                after_begin = is("begin");
            }
            _ => {}
        }
        if !matches!(token, Token::Word | Token::Blank | Token::Comment) {
            after_begin = false;
        }
        at = end;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::split;

    #[test]
    fn statements_end_at_semicolons_and_lose_the_space_around_them() {
        assert_eq!(split("select 1;\n\n  select 2 ;;\n ; select 3"), ["select 1", "select 2", "select 3"]);
        assert_eq!(split(" \n;; \t"), [""; 0]);
        assert_eq!(split("\u{feff}select 1"), ["select 1"]);
    }

    #[test]
    fn comments_belong_to_the_statement_after_them() {
        assert_eq!(
            split("select 1; -- one; two\nselect 2; /* a; /* b; */ c; */ select 3;\n-- the end"),
            ["select 1", "-- one; two\nselect 2", "/* a; /* b; */ c; */ select 3", "-- the end"]
        );
        assert_eq!(
            split("select 1 - -1; select 4 / 2; select '/*'; select 2"),
            ["select 1 - -1", "select 4 / 2", "select '/*'", "select 2"]
        );
        assert_eq!(split("/*/ ; */ select 1; select 2"), ["/*/ ; */ select 1", "select 2"]);
    }

    #[test]
    fn quotes_hide_semicolons() {
        assert_eq!(
            split(r#"select 'a;''b;', "c;""d;"; select 1"#),
            [r#"select 'a;''b;', "c;""d;""#, "select 1"]
        );
        // A backslash closes nothing and escapes nothing in a plain string.
        assert_eq!(split(r"select 'a\'; select 'b'"), [r"select 'a\'", "select 'b'"]);
        assert_eq!(
            split(r"select E'it\'s; ok', e'\\'; select 'x'"),
            [r"select E'it\'s; ok', e'\\'", "select 'x'"]
        );
        assert_eq!(split(r"select name'a\'; select 1"), [r"select name'a\'", "select 1"]);
    }

    #[test]
    fn dollar_quotes_end_with_their_own_tag() {
        assert_eq!(
            split("do $$ a; $b$ ; $$; do $x_1$ ; $$ ; $x$ ; $x_1$; select 1"),
            ["do $$ a; $b$ ; $$", "do $x_1$ ; $$ ; $x$ ; $x_1$", "select 1"]
        );
        assert_eq!(
            split("select $1; select a$b$ from c; select 2"),
            ["select $1", "select a$b$ from c", "select 2"]
        );
        assert_eq!(split("do $é$ ; $é$; select 1"), ["do $é$ ; $é$", "select 1"]);
    }

    #[test]
    fn parentheses_hide_semicolons() {
        let rule =
            "create rule r as on insert to t do also (insert into u values (1); insert into v values (2))";
        assert_eq!(split(&format!("{rule}; select 1")), [rule, "select 1"]);
        assert_eq!(
            split("select 1); select ')' || (2); select 3"),
            ["select 1)", "select ')' || (2)", "select 3"]
        );
    }

    #[test]
    fn atomic_bodies_hide_semicolons() {
        let function = "create function f(x int) returns text begin\n ATOMIC\n select pending from t;\n \
             select case when x > 1 then 'end' else (case x when 1 then 'a' end) end;\nEND";
        assert_eq!(
            split(&format!("{function}; begin; select atomic; end; select 1")),
            [function, "begin", "select atomic", "end", "select 1"]
        );
        assert_eq!(
            split("select beginatomic, begin_ atomic; end"),
            ["select beginatomic, begin_ atomic", "end"]
        );
    }

    #[test]
    fn a_backslash_skips_one_character() {
        assert_eq!(split(r"select 1 \; select 2; select 3 \"), [r"select 1 \; select 2", r"select 3 \"]);
        assert_eq!(split("a \\é; b"), ["a \\é", "b"]);
    }

    #[test]
    fn text_that_is_not_closed_reaches_to_the_end() {
        for open in ["'", "\"", "$$", "$a$", "/*", "/*/", "(", "begin atomic "] {
            assert_eq!(split(&format!("select 1; {open}; select 2")).len(), 2, "{open}");
        }
    }

    #[test]
    fn a_file_is_split_in_linear_time() {
        for piece in [
            "(",
            ")",
            "$",
            "$a",
            "$a$",
            "/*",
            "/",
            "'",
            "\\",
            "begin atomic ",
            "case ",
            "-",
            "--",
            "é",
            ";",
            "a",
        ] {
            let sql = piece.repeat((4 << 20) / piece.len());
            let began = Instant::now();
            split(&sql);
            // Generous: the test runs without optimisation, beside others. Quadratic would take minutes.
            assert!(began.elapsed() < Duration::from_secs(20), "{piece:?} took {:?}", began.elapsed());
        }
    }

    /// What may stand between statements.
    fn is_between(character: char) -> bool {
        character.is_whitespace() || character == ';' || character == '\u{feff}'
    }

    /// Statements whose pieces are all closed.
    fn statement() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z_ ,=+*<>éß0-9]{1,12}",
            "'[^']{0,8}'".prop_map(|text| format!(" {text}")),
            "[^']{0,6}".prop_map(|text| format!(" '{}'", text.replace('\'', "''"))),
            "\"[^\"]{0,8}\"",
            "[^$]{0,12}".prop_map(|text| format!(" $tag${text}$tag$ ")),
            "[^$]{0,12}".prop_map(|text| format!(" $${text}$$ ")),
            "[^/*]{0,8}".prop_map(|text| format!("/*{text}/*;*/*/")),
            "[^\n]{0,8}".prop_map(|text| format!("--{text}\n")),
            "[a-z;]{0,8}".prop_map(|text| format!("({text}(;))")),
            Just(" begin atomic ; case ; end; end ".to_owned()),
        ];
        proptest::collection::vec(piece, 1..8).prop_map(|pieces| format!("x{} y", pieces.concat()))
    }

    proptest! {
        #[test]
        fn any_text_is_split_without_losing_anything(sql in "(?s)(.|[';$()\\\\/*-]|begin atomic|end){0,64}") {
            let mut rest = sql.as_str();
            for statement in split(&sql) {
                let at = rest.find(statement).unwrap();
                prop_assert!(rest[..at].chars().all(is_between));
                rest = &rest[at + statement.len()..];
            }
            prop_assert!(rest.chars().all(is_between));
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            split(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn statements_that_are_joined_come_apart_again(
            statements in proptest::collection::vec(statement(), 0..6)
        ) {
            let file: String = statements.iter().map(|statement| format!("{statement};\n")).collect();
            prop_assert_eq!(split(&file), statements);
        }
    }
}
