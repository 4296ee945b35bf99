//! Where in a token's claims the role is: `.role`, `."https://x/y".roles[0]`, `.roles[?(@ ^== "app_")]`.

use serde_json::{Map, Value};

/// A path into claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Filter(Comparison, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    StartsWith,
    EndsWith,
    Contains,
}

impl ClaimPath {
    /// `.role`
    pub fn role() -> Self {
        Self(vec![Step::Key("role".to_owned())])
    }

    /// Reads a path. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        // Later versions write paths as RFC 9535 does: `$.a['b'][0]`.
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        while !rest.is_empty() {
            if let Some((key, next)) = in_brackets(rest) {
                steps.push(Step::Key(key.to_owned()));
                rest = next;
            } else if let Some(filter) = rest.strip_prefix("[?(@") {
                let filter = filter.trim_start();
                let (comparison, filter) = [
                    ("==^", Comparison::EndsWith),
                    ("==", Comparison::Equal),
                    ("!=", Comparison::NotEqual),
                    ("^==", Comparison::StartsWith),
                    ("*==", Comparison::Contains),
                ]
                .iter()
                .find_map(|(word, comparison)| Some((*comparison, filter.strip_prefix(word)?)))?;
                let (value, end) = filter.trim_start().strip_prefix('"')?.split_once('"')?;
                if end != ")]" {
                    return None;
                }
                steps.push(Step::Filter(comparison, value.to_owned()));
                rest = "";
            } else if let Some(index) = rest.strip_prefix('[') {
                let (digits, next) = index.split_once(']')?;
                steps.push(Step::Index(digits.parse().ok()?));
                rest = next;
            } else {
                let key = rest.strip_prefix('.')?;
                if let Some(quoted) = key.strip_prefix('"') {
                    let (name, next) = quoted.split_once('"')?;
                    steps.push(Step::Key(name.to_owned()));
                    rest = next;
                } else {
                    let end = key
                        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '@')))
                        .unwrap_or(key.len());
                    if end == 0 {
                        return None;
                    }
                    steps.push(Step::Key(key[..end].to_owned()));
                    rest = &key[end..];
                }
            }
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// The path as it is written in full, with every key in quotes.
    pub fn written(&self) -> String {
        let step = |step: &Step| match step {
            Step::Key(key) => format!(".\"{key}\""),
            Step::Index(index) => format!("[{index}]"),
            Step::Filter(comparison, value) => {
                let operator = match comparison {
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                    Comparison::StartsWith => "^==",
                    Comparison::EndsWith => "==^",
                    Comparison::Contains => "*==",
                };
                format!("[?(@ {operator} \"{value}\")]")
            }
        };
        self.0.iter().map(step).collect()
    }

    /// The role that claims name; JSON text if it is no string.
    pub fn find(&self, claims: &Map<String, Value>) -> Option<String> {
        let mut steps = self.0.iter();
        let Some(Step::Key(first)) = steps.next() else { return None };
        let mut value = claims.get(first)?;
        for step in steps {
            value = match step {
                Step::Key(key) => value.as_object()?.get(key)?,
                Step::Index(index) => value.as_array()?.get(*index)?,
                Step::Filter(comparison, wanted) => value.as_array()?.iter().find(|item| {
                    item.as_str().is_some_and(|item| match comparison {
                        Comparison::Equal => item == wanted,
                        Comparison::NotEqual => item != wanted,
                        Comparison::StartsWith => item.starts_with(wanted.as_str()),
                        Comparison::EndsWith => item.ends_with(wanted.as_str()),
                        Comparison::Contains => item.contains(wanted.as_str()),
                    })
                })?,
            };
        }
        Some(match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// The key in `['key']` or `["key"]`, and what follows.
fn in_brackets(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (key, rest) = inside[1..].split_once(quote)?;
    Some((key, rest.strip_prefix(']')?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn find(path: &str, claims: Value) -> Option<String> {
        ClaimPath::parse(path).unwrap().find(claims.as_object().unwrap())
    }

    #[test]
    fn paths_lead_to_roles() {
        let claims = serde_json::json!({"a": {"b c": ["x", "app_y"]}, "n": 3});
        assert_eq!(find(".a.\"b c\"[1]", claims.clone()).as_deref(), Some("app_y"));
        assert_eq!(find(".a.\"b c\"[?(@ ^== \"app_\")]", claims.clone()).as_deref(), Some("app_y"));
        assert_eq!(find(".a.\"b c\"[?(@ ==^ \"z\")]", claims.clone()), None);
        assert_eq!(find("$.a['b c'][1]", claims.clone()).as_deref(), Some("app_y"));
        assert_eq!(find("$['a'][\"b c\"][0]", claims.clone()).as_deref(), Some("x"));
        assert_eq!(find(".n", claims).as_deref(), Some("3"));
    }

    #[test]
    fn other_texts_are_no_paths() {
        for text in ["role", "", ".", "$", "$role", "$['a]", ".role[", ".a[?(@ == \"x\")].b", ".a[x]"] {
            assert_eq!(ClaimPath::parse(text), None, "{text}");
        }
    }
}
