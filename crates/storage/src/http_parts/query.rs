//! Query strings.

use std::borrow::Cow;

use serde_json::Value;

use crate::error::{Error, Result};

/// The parameters of a query string, decoded, in order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// The first parameter of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn integer(&self, name: &str, least: i64) -> Result<Option<u64>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        super::fields::integer(&Value::from(text), &format!("querystring/{name}"), least).map(Some)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str> {
        self.get(name)
            .ok_or_else(|| Error::validation(format!("querystring must have required property '{name}'")))
    }

    /// One of fixed words.
    pub(crate) fn choice<'w>(&self, name: &str, words: &[&'w str]) -> Result<Option<&'w str>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|word| **word == text);
        let refused =
            || Error::validation(format!("querystring/{name} must be equal to one of the allowed values"));
        found.copied().map(Some).ok_or_else(refused)
    }
}

fn decode(text: &str) -> String {
    let text: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
