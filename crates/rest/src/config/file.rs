//! Configuration files: `key = value`, one a line. Values are texts in quotes, numbers, or `true` and `false`; `#` begins a
//! comment; `$(NAME)` in a text is a variable of the environment.

use std::collections::BTreeMap;

/// A value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(String),
    Bool(bool),
}

impl Value {
    /// As the environment would have it.
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Bool(value) => value.to_string(),
        }
    }

    /// Where a text is wanted. PostgREST shows other values the way Haskell does.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) if number.contains('.') => format!("Number {number}"),
            Self::Number(number) => format!("Number {number}.0"),
            Self::Bool(true) => "Bool True".to_owned(),
            Self::Bool(false) => "Bool False".to_owned(),
        }
    }
}

/// Reads a file. The error says in which line something cannot be read.
pub(super) fn parse(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |reason: &str| format!("line {}: {reason}", index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, rest) = line.split_once('=').ok_or_else(|| wrong("not of the form key = value"))?;
        let key = key.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if key.is_empty() || !key.chars().all(is_name) {
            return Err(wrong("not the name of a setting"));
        }
        let (value, rest) = value(rest.trim_start(), variable).map_err(|reason| wrong(&reason))?;
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(wrong("more than one value"));
        }
        values.insert(key.to_owned(), value);
    }
    Ok(values)
}

fn value<'t>(text: &'t str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(Value, &'t str), String> {
    if let Some(rest) = text.strip_prefix('"') {
        let (inside, rest) = quoted(rest)?;
        return Ok((Value::Text(interpolated(&inside, variable)?), rest));
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "true" | "on" => Value::Bool(true),
        "false" | "off" => Value::Bool(false),
        number if number.parse::<f64>().is_ok_and(f64::is_finite) => Value::Number(number.to_owned()),
        _ => return Err("a value is a text in quotes, a number, true or false".to_owned()),
    };
    Ok((value, rest))
}

/// A text up to its closing quote, with what was escaped marked by nothing: a `$` that is escaped comes out doubled.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut inside = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next().ok_or("a text does not end")? {
            '"' => return Ok((inside, rest.as_str())),
            '\\' => inside.push(match rest.next().ok_or("a text does not end")? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    code.ok_or("\\u needs four hexadecimal digits of a character")?
                }
                c @ ('"' | '\\' | '/') => c,
                _ => return Err("an escape that is none".to_owned()),
            }),
            c => inside.push(c),
        }
    }
}

/// `$(NAME)` replaced by the variable, `$$` by `$`.
fn interpolated(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
        } else if let Some((name, behind)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            out.push_str(&variable(name).ok_or_else(|| format!("there is no variable {name}"))?);
            rest = behind;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str) -> Option<String> {
        (name == "PORT").then(|| "80".to_owned())
    }

    #[test]
    fn settings_are_read() {
        let text = "# a comment\n\
                    db-schemas = \"a, b\" # more\n\
                    db-pool=5\n\
                    app.settings.x = false\n\
                    server-port = \"$(PORT)\"\n\
                    jwt-role-claim-key = \".a[?(@ == \\\"b\\\")]\"\n\
                    db-channel = \"a$$b$\"";
        let values = parse(text, &variable).unwrap();
        let expected = [
            ("app.settings.x", Value::Bool(false)),
            ("db-channel", Value::Text("a$b$".to_owned())),
            ("db-pool", Value::Number("5".to_owned())),
            ("db-schemas", Value::Text("a, b".to_owned())),
            ("jwt-role-claim-key", Value::Text(".a[?(@ == \"b\")]".to_owned())),
            ("server-port", Value::Text("80".to_owned())),
        ];
        assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value)).into());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, reason) in [
            ("\nyaml:\n  is: not", "line 2: not of the form key = value"),
            ("a = b", "line 1: a value is a text in quotes, a number, true or false"),
            ("a = \"b", "line 1: a text does not end"),
            ("a = 1 2", "line 1: more than one value"),
            ("a = \"$(NO)\"", "line 1: there is no variable NO"),
            ("a b = 1", "line 1: not the name of a setting"),
        ] {
            assert_eq!(parse(text, &variable), Err(reason.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            let _ = parse(&text, &variable);
        }

        #[test]
        fn texts_come_back(text in "[^$\\x00-\\x1f]{0,40}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let values = parse(&format!("a = \"{quoted}\""), &variable).unwrap();
            prop_assert_eq!(values.get("a"), Some(&Value::Text(text)));
        }
    }
}
