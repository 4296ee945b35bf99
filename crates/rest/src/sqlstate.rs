//! What the database reports, as HTTP.

use database::DbError;
use serde_json::{Map, Value};

use crate::error::Parts;

/// The wire form of a database error.
pub(crate) fn parts(error: &database::Error, authenticated: bool) -> Parts {
    match error {
        // Nothing that a statement can cause: the server lets nobody in while it starts, stops or recovers.
        database::Error::Db(report) if matches!(report.code.as_str(), "57P02" | "57P03") => {
            Parts::new(503, "PGRST000", "Database connection error. Retrying the connection.")
                .details(report.message.as_str())
        }
        database::Error::Db(report) => reported(report, authenticated),
        database::Error::PoolTimeout { .. } => {
            Parts::new(504, "PGRST003", "Timed out acquiring connection from connection pool.")
        }
        database::Error::Io(_)
        | database::Error::Closed
        | database::Error::Timeout { .. }
        | database::Error::Protocol(_) => {
            Parts::new(503, "PGRST001", "Database client error. Retrying the connection.")
                .details(error.to_string())
        }
        database::Error::Connect(_)
        | database::Error::Tls(_)
        | database::Error::Authentication(_)
        | database::Error::Config(_)
        | database::Error::PoolClosed => {
            Parts::new(503, "PGRST000", "Database connection error. Retrying the connection.")
                .details(error.to_string())
        }
        other => Parts::new(500, "PGRSTX00", other.to_string()),
    }
}

fn reported(report: &DbError, authenticated: bool) -> Parts {
    if report.code == "PGRST" {
        return *raised(report).unwrap_or_else(|malformed| malformed);
    }
    let status = status(report.code.as_str(), &report.message, authenticated);
    let mut parts = Parts::new(status.unwrap_or(500), report.code.as_str(), report.message.as_str())
        .details(report.detail.clone())
        .hint(report.hint.clone());
    if report.code.as_str().starts_with("PT") && status.is_some() {
        parts.reason = Some(report.message.clone());
    }
    if parts.status == 401 {
        parts = parts.header("WWW-Authenticate", "Bearer");
    }
    parts
}

/// The status of a SQLSTATE. `None` for a `PT…` code that is no status.
fn status(code: &str, message: &str, authenticated: bool) -> Option<u16> {
    let class = code.get(..2).unwrap_or("");
    Some(match (code, class) {
        ("23503" | "23505", _) => 409,
        ("25006", _) => 405,
        // What pg-safeupdate raises is the client's doing; any other cardinality violation is a view's or function's.
        ("21000", _) if message.ends_with("requires a WHERE clause") => 400,
        ("21000", _) => 500,
        ("22023", _) if message.starts_with("role") && message.ends_with("does not exist") => 401,
        ("53400", _) => 500,
        ("57P01", _) => 503,
        ("P0001", _) => 400,
        ("42883", _) if message.starts_with("function xmlagg(") => 406,
        ("42883" | "42P01", _) => 404,
        ("42P17", _) => 500,
        ("42501", _) if authenticated => 403,
        ("42501", _) => 401,
        (_, "PT") => {
            return code.get(2..).and_then(|digits| digits.parse().ok()).filter(|n| (100..1000).contains(n));
        }
        (_, "08" | "53") => 503,
        (_, "0L" | "0P" | "28") => 403,
        (
            _,
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "54" | "55" | "57" | "58" | "F0" | "HV" | "P0"
            | "XX",
        ) => 500,
        _ => 400,
    })
}

/// `RAISE SQLSTATE 'PGRST'`: the message is the body, the detail is status and headers.
fn raised(report: &DbError) -> Result<Box<Parts>, Box<Parts>> {
    let malformed = |details: String, hint: &str| {
        let message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error";
        Box::new(Parts::new(500, "PGRST121", message).details(details).hint(hint))
    };
    const MESSAGE: &str = "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: \
                           'details', 'hint'.";
    const DETAIL: &str = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: \
                          'status_text'.";
    let bad_message = || malformed(format!("Invalid JSON value for MESSAGE: '{}'", report.message), MESSAGE);
    let message = object(&report.message).ok_or_else(bad_message)?;
    let code = text(&message, "code").flatten().ok_or_else(bad_message)?;
    let text_message = text(&message, "message").flatten().ok_or_else(bad_message)?;
    let details = text(&message, "details").ok_or_else(bad_message)?;
    let hint = text(&message, "hint").ok_or_else(bad_message)?;

    let detail = report
        .detail
        .as_ref()
        .ok_or_else(|| malformed("DETAIL is missing in the RAISE statement".to_owned(), DETAIL))?;
    let bad_detail = || malformed(format!("Invalid JSON value for DETAIL: '{detail}'"), DETAIL);
    let settings = object(detail).ok_or_else(bad_detail)?;
    let status = settings
        .get("status")
        .and_then(Value::as_u64)
        .and_then(|status| u16::try_from(status).ok())
        .ok_or_else(bad_detail)?;
    let headers = settings.get("headers").and_then(Value::as_object).ok_or_else(bad_detail)?;
    let mut parts = Parts::new(status, &code, text_message).details(details).hint(hint);
    parts.reason = text(&settings, "status_text").ok_or_else(bad_detail)?;
    for (name, value) in headers {
        parts = parts.header(name, value.as_str().ok_or_else(bad_detail)?);
    }
    Ok(Box::new(parts))
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// A string; `Some(None)` when absent or null, `None` when it is something else.
fn text(object: &Map<String, Value>, key: &str) -> Option<Option<String>> {
    match object.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.clone())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        assert_eq!(status("42501", "", true), Some(403));
        assert_eq!(status("42501", "", false), Some(401));
        assert_eq!(status("22023", "role \"x\" does not exist", true), Some(401));
        assert_eq!(status("22023", "other", true), Some(400));
        assert_eq!(status("21000", "DELETE requires a WHERE clause", true), Some(400));
        assert_eq!(status("PT402", "", true), Some(402));
        assert_eq!(status("PTxyz", "", true), None);
        assert_eq!(status("57014", "", true), Some(500));
        assert_eq!(status("53300", "", true), Some(503));
    }
}
