//! Writing the document.

use serde_json::{Map, Value, json};

use super::Visible;
use crate::catalog::Catalog;
use crate::config::Config;

/// The document for a schema.
pub(crate) fn document(_catalog: &Catalog, _config: &Config, _schema: &str, visible: &Visible) -> String {
    let _ = Map::<String, Value>::new();
    json!({"swagger": "2.0", "info": {"title": "PostgREST API", "description": visible.description}}).to_string()
}
