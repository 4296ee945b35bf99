//! The keyword form: `host=localhost port=5432 password='with spaces'`.

use super::ConfigError;
use super::parameters::Parameters;

pub(super) fn parse(text: &str) -> Result<Parameters, ConfigError> {
    let mut parameters = Parameters::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some(equals) = rest.find('=') else {
            let word = rest.split_whitespace().next().unwrap_or(rest);
            return Err(ConfigError(format!("missing \"=\" after \"{word}\" in the connection string")));
        };
        let name = rest[..equals].trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            let word = name.split_whitespace().next().unwrap_or("");
            return Err(ConfigError(format!("missing \"=\" after \"{word}\" in the connection string")));
        }
        let (value, after) = value(rest[equals + 1..].trim_start())?;
        parameters.set(name, value)?;
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// Reads one value, in single quotes or up to white space, with backslash before any character.
fn value(text: &str) -> Result<(String, &str), ConfigError> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &body[at..])),
            other => value.push(other),
        }
    }
    if quoted {
        return Err(ConfigError("unterminated quoted string in the connection string".into()));
    }
    Ok((value, ""))
}
