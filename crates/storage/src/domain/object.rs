//! A row of `storage.objects`.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::blob::Written;

/// An object's row, with the times as they go over the wire (`2025-01-01T00:00:00.000Z`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ObjectRow {
    pub name: String,
    pub bucket_id: String,
    pub owner: Option<String>,
    pub owner_id: Option<String>,
    pub version: Option<String>,
    pub id: String,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub last_accessed_at: Option<String>,
    pub metadata: Option<Map<String, Value>>,
    pub user_metadata: Option<Value>,
}

/// An object that somebody may see.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its row, which those share who asked for it at the same moment.
    pub row: Arc<ObjectRow>,
}

/// When a row was made, changed and read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Times {
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub last_accessed_at: Option<String>,
}

impl Object {
    fn text(&self, name: &str) -> Option<&str> {
        self.row.metadata.as_ref()?.get(name)?.as_str()
    }

    /// A member of `metadata` that is a string: what S3 keeps there beside the usual.
    #[must_use]
    pub fn metadata_text(&self, name: &str) -> Option<&str> {
        self.text(name)
    }

    /// Its size in bytes, as far as the row tells.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let size = self.row.metadata.as_ref()?.get("size")?;
        size.as_u64().or_else(|| size.as_str()?.parse().ok())
    }

    /// Its content type; `application/octet-stream` when none is known.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.text("mimetype").filter(|mime| !mime.is_empty()).unwrap_or("application/octet-stream")
    }

    /// Its entity tag, quoted.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.text("eTag")
    }

    /// Its cache control, `no-cache` when none was given.
    #[must_use]
    pub fn cache_control(&self) -> &str {
        self.text("cacheControl").unwrap_or("no-cache")
    }

    /// When its content was written.
    #[must_use]
    pub fn last_modified(&self) -> Option<DateTime<Utc>> {
        let text = self.text("lastModified").or(self.row.updated_at.as_deref())?;
        DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
    }
}

/// The moment as `objects.metadata` and all answers have it.
#[must_use]
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(24);
    // A string takes whatever is written to it.
    let _ = write!(
        text,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.timestamp_subsec_millis()
    );
    text
}

/// A quoted entity tag of MD5.
#[must_use]
pub(crate) fn etag_of(md5: &[u8; 16]) -> String {
    format!("\"{}\"", hex::encode(md5))
}

/// `objects.metadata` of new content, with the members that policies, Studio and listings read.
#[must_use]
pub(crate) fn metadata(
    written: &Written,
    etag: Option<&str>,
    content_type: &str,
    cache_control: &str,
    extra: &Map<String, Value>,
) -> Map<String, Value> {
    let etag = etag.map_or_else(|| written.etag(), str::to_owned);
    let members = json!({
        "eTag": etag,
        "size": written.size,
        "mimetype": content_type,
        "cacheControl": cache_control,
        "lastModified": timestamp(Utc::now()),
        "contentLength": written.size,
        "httpStatusCode": 200,
    });
    let mut map = match members {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
    map
}
