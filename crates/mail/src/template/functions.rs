//! The built-in functions.

use std::cmp::Ordering;

use serde_json::Value;

use super::escape;
use super::print;

const NAMES: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

/// Whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether a value counts as true: everything but the empty ones.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// About how many bytes a value takes.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<Value>(),
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + size(value)).sum(),
    }
}

/// Calls a function other than `and` and `or`, which do not look at all of their arguments.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let wrong =
        |wanted: &str| Err(format!("wrong number of args for {name}: want {wanted} got {}", arguments.len()));
    let text = |text: String| Ok(Value::String(text));
    match (name, arguments) {
        ("print", _) => text(print::print(arguments)),
        ("println", _) => text(print::println(arguments)),
        ("printf", [Value::String(format), values @ ..]) => text(print::printf(format, values)),
        ("printf", [_, ..]) => Err("printf needs a format that is a string".into()),
        ("html", _) => text(escape::html(&joined(arguments))),
        ("js", _) => text(escape::js_string(&joined(arguments))),
        ("urlquery", _) => text(escape::query(&joined(arguments))),
        ("not", [value]) => Ok(Value::Bool(!truth(value))),
        ("len", [value]) => length(value).map(Value::from),
        ("index", [value, keys @ ..]) => index(value, keys),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 3 => slice(value, bounds),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if equal(first, other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        ("ne", [a, b]) => Ok(Value::Bool(!equal(a, b)?)),
        ("lt", [a, b]) => Ok(Value::Bool(order(a, b)? == Ordering::Less)),
        ("le", [a, b]) => Ok(Value::Bool(order(a, b)? != Ordering::Greater)),
        ("gt", [a, b]) => Ok(Value::Bool(order(a, b)? == Ordering::Greater)),
        ("ge", [a, b]) => Ok(Value::Bool(order(a, b)? != Ordering::Less)),
        ("call", _) => Err("there is nothing to call".into()),
        ("not" | "len", _) => wrong("1"),
        ("ne" | "lt" | "le" | "gt" | "ge", _) => wrong("2"),
        _ => wrong("at least 1"),
    }
}

/// Arguments of an escaper as one text.
pub(super) fn joined(arguments: &[Value]) -> String {
    match arguments {
        [Value::String(text)] => text.clone(),
        [Value::Null] => String::new(),
        _ => {
            let known: Vec<Value> = arguments.iter().filter(|value| !value.is_null()).cloned().collect();
            print::print(&known)
        }
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(fields) => Ok(fields.len()),
        Value::Null => Err("len of nil pointer".into()),
        _ => Err("len of type that has none".into()),
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Object(fields), Value::String(key)) => fields.get(key).cloned().unwrap_or(Value::Null),
            (Value::Array(items), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                let item = at.and_then(|at| items.get(at));
                item.cloned().ok_or_else(|| "index out of range".to_owned())?
            }
            (Value::String(text), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                let byte = at.and_then(|at| text.as_bytes().get(at));
                Value::from(*byte.ok_or_else(|| "index out of range".to_owned())?)
            }
            (Value::Null, _) => return Err("index of untyped nil".into()),
            _ => return Err("can't index item of this type".into()),
        };
    }
    Ok(value)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        _ => return Err("can't slice item of this type".into()),
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(value) => value
            .as_u64()
            .and_then(|bound| usize::try_from(bound).ok())
            .filter(|bound| *bound <= length)
            .ok_or_else(|| "index out of range".to_owned()),
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    match value {
        // Bytes are cut there; half a character would not be text any more.
        Value::String(text) => match text.get(start..end) {
            Some(part) => Ok(Value::String(part.to_owned())),
            None => Err("slice within a character".into()),
        },
        Value::Array(items) => Ok(Value::Array(items[start..end].to_vec())),
        _ => Ok(Value::Null),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        // JSON's numbers are all floats to the original, which then refuses whole literals.
        (Value::Number(a), Value::Number(b)) => Ok(a.as_f64() == b.as_f64()),
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_)) => Ok(a == b),
        (Value::Null, _) | (_, Value::Null) => Ok(a == b),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            Err("non-comparable type".into())
        }
        _ => Err("incompatible types for comparison".into()),
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            a.partial_cmp(&b).ok_or_else(|| "invalid type for comparison".to_owned())
        }
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        _ => Err("invalid type for comparison".into()),
    }
}
