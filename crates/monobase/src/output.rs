//! What goes to standard output: data.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};

use crate::cli::Format;
use crate::failure::Failure;

/// Prints data. A reader that left (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a JSON document.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    print(&format!("{text}\n"))
}

/// Names and values in one of the machine formats; none for the one that people read.
pub(crate) fn variables(
    variables: &BTreeMap<String, String>,
    format: Format,
) -> Result<Option<String>, Failure> {
    let lines = |line: &dyn Fn(&str, &str) -> String| -> String {
        variables.iter().map(|(name, value)| line(name, value)).collect()
    };
    let json_string = |value: &str| serde_json::Value::from(value).to_string();
    Ok(match format {
        Format::Text => None,
        Format::Env => Some(lines(&|name, value| format!("{name}=\"{}\"\n", for_shell(value)))),
        Format::Json => {
            let text = serde_json::to_string_pretty(variables).map_err(anyhow::Error::from)?;
            Some(format!("{text}\n"))
        }
        // Strings of JSON are strings of YAML and, as far as these values go, of TOML.
        Format::Yaml => Some(lines(&|name, value| format!("{name}: {}\n", json_string(value)))),
        Format::Toml => Some(lines(&|name, value| format!("{name} = {}\n", json_string(value)))),
    })
}

/// What stands between double quotes in a shell.
fn for_shell(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Addresses and keys as a person copies them.
pub(crate) fn block(variables: &BTreeMap<String, String>) -> String {
    const LABELS: [(&str, &str); 15] = [
        ("API URL", "API_URL"),
        ("GraphQL URL", "GRAPHQL_URL"),
        ("S3 Storage URL", "STORAGE_S3_URL"),
        ("MCP URL", "MCP_URL"),
        ("DB URL", "DB_URL"),
        ("Studio URL", "STUDIO_URL"),
        ("Mailpit URL", "MAILPIT_URL"),
        ("Publishable key", "PUBLISHABLE_KEY"),
        ("Secret key", "SECRET_KEY"),
        ("anon key", "ANON_KEY"),
        ("service_role key", "SERVICE_ROLE_KEY"),
        ("JWT secret", "JWT_SECRET"),
        ("S3 Access Key", "S3_PROTOCOL_ACCESS_KEY_ID"),
        ("S3 Secret Key", "S3_PROTOCOL_ACCESS_KEY_SECRET"),
        ("S3 Region", "S3_PROTOCOL_REGION"),
    ];
    LABELS
        .iter()
        .filter_map(|(label, name)| Some(format!("{label:>16}: {}\n", variables.get(*name)?)))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_expand_is_escaped() {
        let values = BTreeMap::from([("A".to_owned(), "a\"b\\c$d`e f'g".to_owned())]);
        assert_eq!(
            variables(&values, Format::Env).unwrap().as_deref(),
            Some("A=\"a\\\"b\\\\c\\$d\\`e f'g\"\n")
        );
    }

    #[test]
    fn the_block_has_only_what_is_there() {
        let values = BTreeMap::from([("API_URL".to_owned(), "http://x".to_owned())]);
        assert_eq!(block(&values), "         API URL: http://x\n");
    }
}
