//! What an entry of `postgres_changes` asks for.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::filter::{self, Filter};

/// Which kinds of change are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    All,
    Only(super::row::Action),
}

/// An entry, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) events: Events,
    /// A pattern: `%` and `_` have their meaning, and `*` alone is everything.
    pub(crate) schema: Box<str>,
    /// Likewise.
    pub(crate) table: Box<str>,
    pub(crate) filters: Vec<Filter>,
    /// The only columns wanted, beside the key's.
    pub(crate) select: Option<Vec<Box<str>>>,
    /// The entry as messages name it: `event: *, schema: public`.
    pub(crate) rendered: Box<str>,
}

impl Wish {
    /// Whether the table of this name is meant.
    pub(crate) fn means(&self, schema: &str, table: &str) -> bool {
        matches(&self.schema, schema) && matches(&self.table, table)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern == "*" || super::like::like(name, pattern, None)
}

/// Reads an entry; the error is the message for the client.
pub(crate) fn parse(params: &Map<String, Value>) -> Result<Wish, String> {
    let events = match params.get("event").and_then(Value::as_str).map(str::to_uppercase).as_deref() {
        Some("INSERT") => Events::Only(super::row::Action::Insert),
        Some("UPDATE") => Events::Only(super::row::Action::Update),
        Some("DELETE") => Events::Only(super::row::Action::Delete),
        _ => Events::All,
    };
    let select = match params.get("select") {
        Some(Value::Array(columns)) => {
            let names: Vec<Box<str>> = columns.iter().filter_map(Value::as_str).map(Into::into).collect();
            (!names.is_empty()).then_some(names)
        }
        Some(Value::String(_)) => {
            return Err("Error parsing `select` params: expected a list of column name strings, e.g. \
                        select: [\"col1\", \"col2\"]"
                .to_owned());
        }
        _ => None,
    };
    let (schema, table, filters) = match (params.get("schema"), params.get("table"), params.get("filter")) {
        (Some(Value::String(schema)), Some(Value::String(table)), Some(Value::String(text))) => {
            let filters =
                filter::parse(text).map_err(|error| format!("Error parsing `filter` params: {error}"))?;
            (schema.as_str(), table.as_str(), filters)
        }
        (Some(Value::String(schema)), Some(Value::String(table)), None | Some(Value::Null)) => {
            (schema.as_str(), table.as_str(), Vec::new())
        }
        (Some(Value::String(schema)), None, None) => (schema.as_str(), "*", Vec::new()),
        (None, Some(Value::String(table)), None) => ("public", table.as_str(), Vec::new()),
        _ => {
            let given = if params.contains_key("user_token") || params.contains_key("auth_token") {
                "<redacted>".to_owned()
            } else {
                inspected_map(params)
            };
            return Err(format!(
                "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: {given}"
            ));
        }
    };
    if select.is_some() && (schema == "*" || table == "*") {
        return Err(
            "Column selection is not supported for wildcard subscriptions. Provide an explicit schema \
                    and table name."
                .to_owned(),
        );
    }
    Ok(Wish {
        events,
        schema: schema.into(),
        table: table.into(),
        filters,
        select,
        rendered: rendered(params).into(),
    })
}

/// `key: value` pairs in the keys' order.
fn rendered(params: &Map<String, Value>) -> String {
    let mut keys: Vec<&String> = params.keys().collect();
    keys.sort();
    let mut text = String::new();
    for key in keys {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(key);
        text.push_str(": ");
        match &params[key] {
            Value::String(value) => text.push_str(value),
            other => inspect(other, &mut text),
        }
    }
    text
}

/// A text as Elixir shows it.
pub(crate) fn inspected(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '#' => out.push('#'),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\x{{{:X}}}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn inspected_map(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    inspect_map(map, &mut out);
    out
}

fn inspect_map(map: &Map<String, Value>, out: &mut String) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    out.push_str("%{");
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&inspected(key));
        out.push_str(" => ");
        inspect(&map[key], out);
    }
    out.push('}');
}

/// A JSON value as Elixir shows it.
fn inspect(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => out.push_str(&inspected(text)),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                inspect(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => inspect_map(map, out),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::changes::filter::Operator;
    use crate::changes::row::Action;

    fn read(value: Value) -> Result<Wish, String> {
        parse(value.as_object().unwrap())
    }

    #[test]
    fn an_entry_names_tables_events_and_filters() {
        let wish = read(json!({"event": "insert", "schema": "public", "table": "todo", "filter": "id=eq.1"}))
            .unwrap();
        assert_eq!(wish.events, Events::Only(Action::Insert));
        assert_eq!(wish.filters[0].operator, Operator::Eq);
        assert_eq!(&*wish.rendered, "event: insert, filter: id=eq.1, schema: public, table: todo");
        assert!(
            wish.means("public", "todo") && !wish.means("public", "todos") && !wish.means("other", "todo")
        );

        let wish = read(json!({"schema": "public"})).unwrap();
        assert!(wish.means("public", "anything") && !wish.means("auth", "anything"));
        let wish = read(json!({"table": "my_table", "event": "*"})).unwrap();
        // As in the original, names are patterns.
        assert!(wish.means("public", "my_table") && wish.means("public", "myXtable"));
    }

    #[test]
    fn an_entry_that_names_nothing_is_refused() {
        let asks = "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: ";
        assert_eq!(read(json!({})), Err(format!("{asks}%{{}}")));
        let given = json!({"event": "*", "n": [1, null, {"a": "b\"c"}]});
        assert_eq!(
            read(given),
            Err(format!(r#"{asks}%{{"event" => "*", "n" => [1, nil, %{{"a" => "b\"c"}}]}}"#))
        );
        assert_eq!(read(json!({"user_token": "secret"})), Err(format!("{asks}<redacted>")));
        assert_eq!(
            read(json!({"schema": "public", "table": "a", "select": "id"})),
            Err("Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", \"col2\"]".into())
        );
        assert_eq!(
            read(json!({"schema": "public", "table": "*", "select": ["id"]})),
            Err("Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.".into())
        );
        assert_eq!(
            read(json!({"schema": "public", "table": "a", "filter": "undefined"})),
            Err(r#"Error parsing `filter` params: ["undefined"]"#.into())
        );
    }
}
