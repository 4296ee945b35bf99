//! The globs of redirect allow lists: gobwas' syntax with the separators `.` and `/`.
//!
//! `*` any but separators, `**` anything, `?` one but a separator, `[a-z]`, `[!a]`, `{a,b}`,
//! `\` takes the next character literally.

/// Whether a pattern matches the whole text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    expand(pattern).iter().any(|pattern| run(pattern, &text))
}

/// Alternatives multiply; a pattern that would become more than this matches nothing.
const MAX_ALTERNATIVES: usize = 1024;

#[derive(Clone, Debug)]
enum Token {
    Literal(char),
    Any,
    Super,
    One,
    Set { negated: bool, ranges: Vec<(char, char)> },
}

/// The pattern's tokens, once for each combination of its alternatives.
fn expand(pattern: &str) -> Vec<Vec<Token>> {
    let mut chars: Vec<char> = pattern.chars().collect();
    chars.reverse();
    alternatives(&mut chars, false).unwrap_or_default()
}

fn alternatives(rest: &mut Vec<char>, nested: bool) -> Option<Vec<Vec<Token>>> {
    let mut finished = Vec::new();
    let mut current: Vec<Vec<Token>> = vec![Vec::new()];
    while let Some(char) = rest.pop() {
        let token = match char {
            '\\' => Token::Literal(rest.pop()?),
            '*' if rest.last() == Some(&'*') => {
                rest.pop();
                Token::Super
            }
            '*' => Token::Any,
            '?' => Token::One,
            '[' => set(rest)?,
            '{' => {
                let inner = alternatives(rest, true)?;
                if current.len().saturating_mul(inner.len()) > MAX_ALTERNATIVES {
                    return None;
                }
                current = current
                    .iter()
                    .flat_map(|head| inner.iter().map(|tail| [head.as_slice(), tail.as_slice()].concat()))
                    .collect();
                continue;
            }
            ',' if nested => {
                finished.append(&mut current);
                current.push(Vec::new());
                continue;
            }
            '}' if nested => {
                finished.append(&mut current);
                return Some(finished);
            }
            literal => Token::Literal(literal),
        };
        for branch in &mut current {
            branch.push(token.clone());
        }
    }
    // An open brace is a broken pattern.
    (!nested).then_some(current)
}

fn set(rest: &mut Vec<char>) -> Option<Token> {
    let negated = rest.last() == Some(&'!');
    if negated {
        rest.pop();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match rest.pop()? {
            ']' => break,
            '\\' => rest.pop()?,
            char => char,
        };
        if rest.last() == Some(&'-') {
            rest.pop();
            ranges.push((low, rest.pop()?));
        } else {
            ranges.push((low, low));
        }
    }
    Some(Token::Set { negated, ranges })
}

fn is_separator(char: char) -> bool {
    char == '.' || char == '/'
}

/// Which positions of the text are reachable, token by token: linear in both, no backtracking.
fn run(pattern: &[Token], text: &[char]) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for token in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            match token {
                Token::Any | Token::Super => {
                    let crosses = |char: char| matches!(token, Token::Super) || !is_separator(char);
                    next[at] = reachable[at] || (at > 0 && next[at - 1] && crosses(text[at - 1]));
                }
                _ => next[at] = at > 0 && reachable[at - 1] && fits(token, text[at - 1]),
            }
        }
        reachable = next;
    }
    reachable[text.len()]
}

fn fits(token: &Token, char: char) -> bool {
    match token {
        Token::Literal(literal) => *literal == char,
        Token::One => !is_separator(char),
        Token::Set { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&char)) != *negated
        }
        Token::Any | Token::Super => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_separators_and_double_stars_do_not() {
        assert!(matches("http://localhost:3000/*", "http://localhost:3000/callback"));
        assert!(!matches("http://localhost:3000/*", "http://localhost:3000/a/b"));
        assert!(!matches("http://localhost:3000/*", "http://localhost:3000/a.b"));
        assert!(matches("http://localhost:3000/**", "http://localhost:3000/a/b.c?d=e#f"));
        assert!(matches("https://*.example.com/", "https://x.example.com/"));
        assert!(!matches("https://*.example.com/", "https://x.y.example.com/"));
    }

    #[test]
    fn sets_alternatives_and_escapes() {
        assert!(matches("a[b-d]e", "ace") && !matches("a[!b-d]e", "ace"));
        assert!(matches("{http,https}://x", "https://x") && !matches("{http,https}://x", "ftp://x"));
        assert!(matches("a{b,c{d,e}}f", "acef"));
        assert!(matches(r"a\*b", "a*b") && !matches(r"a\*b", "axb"));
        assert!(matches("?", "x") && !matches("?", "/") && !matches("?", ""));
    }

    #[test]
    fn a_broken_pattern_matches_nothing() {
        for pattern in ["{a", "[a", "a\\"] {
            assert!(!matches(pattern, "a"), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_without_special_characters_matches_only_itself(text in "[a-z:/.]{0,20}", other in "[a-z:/.]{0,20}") {
            proptest::prop_assert!(matches(&text, &text));
            proptest::prop_assert_eq!(matches(&text, &other), text == other);
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in ".*", text in ".*") {
            let _ = matches(&pattern, &text);
        }
    }
}
