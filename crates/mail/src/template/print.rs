//! Values as Go's `fmt` prints them.

use std::fmt::Write as _;

use serde_json::Value;

/// `%v`.
pub(super) fn plain(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&self::number(number)),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push_str("map[");
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write(out, &fields[key]);
            }
            out.push(']');
        }
    }
}

/// Numbers of JSON are floats there: whole ones print without a point up to 1e21.
fn number(number: &serde_json::Number) -> String {
    if let Some(whole) = number.as_i64().filter(|whole| whole.unsigned_abs() < 1 << 53) {
        return whole.to_string();
    }
    float(number.as_f64().unwrap_or_default())
}

/// `%v` of a float: the shortest digits, with an exponent below 1e-4 and from 1e21 on.
pub(super) fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let Some((digits, exponent)) = text.split_once('e') else { return text };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}

/// `fmt.Sprint`: a space between two neighbours neither of which is a string.
pub(super) fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            out.push(' ');
        }
        write(&mut out, value);
    }
    out
}

/// `fmt.Sprintln`.
pub(super) fn println(values: &[Value]) -> String {
    let words: Vec<String> = values.iter().map(plain).collect();
    words.join(" ") + "\n"
}

/// Widest field of `printf`.
const MAX_WIDTH: usize = 1000;

/// `fmt.Sprintf` for the verbs that fit values of JSON.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.next_if(|char| matches!(char, '-' | '+' | '#' | ' ' | '0')) {
            match flag {
                '-' => flags.left = true,
                '+' => flags.plus = true,
                '0' => flags.zero = true,
                _ => {}
            }
        }
        flags.width = digits(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            flags.precision = Some(digits(&mut chars));
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(value) => flags.pad(&mut out, verb, value),
            None => {
                let _ = write!(out, "%!{verb}(MISSING)");
            }
        }
    }
    let extra: Vec<String> = values.map(|value| format!("{}={}", kind(value), plain(value))).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// Zero without digits.
fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut value = 0;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        value = (value * 10 + digit.to_digit(10).unwrap_or_default() as usize).min(MAX_WIDTH);
    }
    value
}

#[derive(Default)]
struct Flags {
    left: bool,
    plus: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Flags {
    fn pad(&self, out: &mut String, verb: char, value: &Value) {
        let text = self.render(verb, value);
        let missing = self.width.saturating_sub(text.chars().count());
        if self.left {
            out.push_str(&text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.zero && matches!(value, Value::Number(_)) {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&text);
        }
    }

    fn render(&self, verb: char, value: &Value) -> String {
        let signed =
            |text: String| if self.plus && !text.starts_with('-') { format!("+{text}") } else { text };
        let cut = |text: &str| match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        match (verb, value) {
            ('v', Value::String(text)) | ('s', Value::String(text)) => cut(text),
            ('v', _) => plain(value),
            ('s', Value::Array(_) | Value::Object(_)) => plain(value),
            ('q', Value::String(text)) => Value::String(text.clone()).to_string(),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ('t', Value::Bool(flag)) => flag.to_string(),
            ('d', Value::Number(number)) if number.is_i64() || number.is_u64() => signed(number.to_string()),
            ('x', Value::Number(number)) if number.is_i64() => {
                format!("{:x}", number.as_i64().unwrap_or_default())
            }
            ('f' | 'F', Value::Number(number)) => {
                let precision = self.precision.unwrap_or(6);
                signed(format!("{:.precision$}", number.as_f64().unwrap_or_default()))
            }
            ('g', Value::Number(number)) => signed(float(number.as_f64().unwrap_or_default())),
            ('e', Value::Number(number)) => float(number.as_f64().unwrap_or_default()),
            _ => format!("%!{verb}({}={})", kind(value), plain(value)),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
