//! SQL's `LIKE`.

/// Whether `text` matches the pattern, in which `%` stands for any text and `_` for one character. After `escape` a
/// character stands for itself.
pub(crate) fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = tokens(pattern, escape);
    // Where to go on after a mismatch: behind the last `%`, one character further into the text.
    let mut resume: Option<(usize, usize)> = None;
    let (mut t, mut p) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                resume = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(Token::One) => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            Some(Token::Same(character)) if *character == text[t] => {
                (t, p) = (t + 1, p + 1);
                continue;
            }
            _ => {}
        }
        let Some((behind, from)) = &mut resume else { return false };
        *from += 1;
        (t, p) = (*from, *behind);
    }
    pattern[p..].iter().all(|token| matches!(token, Token::Any))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Same(char),
}

fn tokens(pattern: &str, escape: Option<char>) -> Vec<Token> {
    let mut characters = pattern.chars();
    let mut tokens = Vec::with_capacity(pattern.len());
    while let Some(character) = characters.next() {
        tokens.push(match character {
            escaped if Some(escaped) == escape => Token::Same(characters.next().unwrap_or(escaped)),
            '%' => Token::Any,
            '_' => Token::One,
            other => Token::Same(other),
        });
    }
    tokens
}

/// Whether the pattern ends with a lone escape character, which the server refuses when it gets that far.
pub(crate) fn ends_in_escape(pattern: &str) -> bool {
    pattern.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_stand_for_text() {
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "_", false),
            ("", "%", true),
            ("", "_", false),
            ("aab", "%ab", true),
            ("mississippi", "m%iss%ip%i", true),
            ("mississippi", "m%iss%x%i", false),
            ("ééé", "_é_", true),
            ("a%c", r"a\%c", true),
            ("abc", r"a\%c", false),
        ] {
            assert_eq!(like(text, pattern, Some('\\')), expected, "{text} like {pattern}");
        }
        assert!(!like("a%c", r"a\%c", None));
        assert!(ends_in_escape(r"a\") && !ends_in_escape(r"a\\"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(text in "[ab]{0,8}", pattern in "[ab%_]{0,8}") {
            fn defined(text: &[u8], pattern: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'%', rest)) => (0..=text.len()).any(|cut| defined(&text[cut..], rest)),
                    Some((b'_', rest)) => !text.is_empty() && defined(&text[1..], rest),
                    Some((same, rest)) => text.first() == Some(same) && defined(&text[1..], rest),
                }
            }
            prop_assert_eq!(like(&text, &pattern, Some('\\')), defined(text.as_bytes(), pattern.as_bytes()));
        }
    }
}
