//! `monobase config show`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::Config;

impl Config {
    /// Every value as text: `key = value  # origin`, aligned. Keys without a value are left out,
    /// unless something set them.
    pub fn show_text(&self, with_defaults: bool) -> String {
        let entries: Vec<(&str, &str, String)> = self
            .entries
            .iter()
            .filter(|entry| with_defaults || entry.origin != crate::Origin::Default)
            .filter_map(|entry| {
                Some((entry.path.as_str(), entry.shown.as_deref()?, entry.origin.to_string()))
            })
            .collect();
        let length = |text: &str| text.chars().count();
        let name_width = entries.iter().map(|(path, ..)| length(path)).max().unwrap_or(0);
        // One long value must not push every comment off the screen.
        let value_width =
            entries.iter().map(|(_, value, _)| length(value)).filter(|n| *n <= 40).max().unwrap_or(0);
        let mut out = String::new();
        for (path, value, origin) in entries {
            let _ = writeln!(out, "{path:name_width$} = {value:value_width$}  # {origin}");
        }
        out
    }

    /// Every value as JSON: a list of `key`, `value` (TOML notation or null) and `origin`.
    pub fn show_json(&self) -> Value {
        self.entries
            .iter()
            .map(|entry| {
                json!({ "key": entry.path, "value": entry.shown, "origin": entry.origin.to_string() })
            })
            .collect()
    }
}
