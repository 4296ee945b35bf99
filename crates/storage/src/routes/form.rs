//! Uploads in a form (`multipart/form-data`): some fields, then the file.

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Call;
use super::upload::{Content, store};
use crate::blob::BodyError;
use crate::context::Context;
use crate::domain::{Bucket, Mode, ObjectKey, Stored};
use crate::error::{Code, Error, Result};
use crate::http_parts::inflow;

/// How many fields may come before the file, and how long each may be: the original's limits.
const MAX_FIELDS: usize = 10;
const MAX_FIELD: usize = 1 << 20;

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"))
}

/// Reads fields up to the first file, whatever that is called, and stores it. What comes after it is not looked at.
pub(super) async fn upload(
    call: &Call,
    context: &Context,
    bucket: Bucket,
    key: ObjectKey,
    mode: Mode,
    body: Body,
) -> Result<Stored> {
    let kind = call.parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|error| Error::invalid_request(error.to_string()))?;
    let mut form = Multipart::new(body.into_data_stream(), boundary);
    let mut fields: Vec<(String, String)> = Vec::new();
    let outcome = loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => break Err(Error::invalid_request("No content provided")),
            Err(error) => break Err(broken(error)),
        };
        if !is_file(&field) {
            if fields.len() == MAX_FIELDS {
                break Err(Error::invalid_request("reach fields limit"));
            }
            match text(field).await {
                Ok(field) => fields.push(field),
                Err(error) => break Err(error),
            }
            continue;
        }
        let content = match content(&fields, &field) {
            Ok(content) => content,
            Err(error) => break Err(error),
        };
        let checked =
            if key.is_folder_marker() { Ok(()) } else { bucket.check_content_type(&content.content_type) };
        if let Err(error) = checked {
            break Err(error);
        }
        break file(call, context, bucket, key, mode, content, field).await;
    };
    rest(form).await;
    outcome
}

/// Stores the file while it arrives.
async fn file(
    call: &Call,
    context: &Context,
    bucket: Bucket,
    key: ObjectKey,
    mode: Mode,
    content: Content,
    mut field: Field<'static>,
) -> Result<Stored> {
    // The form lends the field out; the store wants a body of its own.
    let (sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(4);
    let storing = store(call, context, bucket, key, mode, content, inflow::of_channel(receiver));
    let reading = async move {
        loop {
            let chunk = match field.chunk().await {
                Ok(Some(chunk)) => Ok(chunk),
                Ok(None) => return,
                Err(error) => Err(BodyError::Incomplete(error.to_string())),
            };
            let ends = chunk.is_err();
            // Nobody listens when the upload was refused.
            if sender.send(chunk).await.is_err() || ends {
                return;
            }
        }
    };
    let (stored, ()) = tokio::join!(storing, reading);
    stored
}

/// Whether a part is the file: it has a file name, or is bytes of no particular type.
fn is_file(field: &Field<'_>) -> bool {
    field.file_name().is_some()
        || field.content_type().is_some_and(|kind| kind.essence_str() == "application/octet-stream")
}

fn content(fields: &[(String, String)], file: &Field<'_>) -> Result<Content> {
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let metadata = value("metadata").or_else(|| value("userMetadata"));
    if metadata.is_some_and(|metadata| metadata.len() >= MAX_FIELD) {
        let message = "The user_metadata exceeded the maximum allowed size";
        return Err(Error::new(Code::EntityTooLarge, message));
    }
    let content_type = value("contentType").filter(|kind| !kind.is_empty()).map(str::to_owned);
    Ok(Content {
        content_type: content_type
            .or_else(|| file.content_type().map(ToString::to_string))
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        cache_control: value("cacheControl")
            .filter(|value| !value.is_empty())
            .map_or_else(|| "no-cache".to_owned(), |value| format!("max-age={value}")),
        user_metadata: metadata.and_then(|json| serde_json::from_str(json).ok()).filter(Value::is_object),
        size: None,
    })
}

/// A field's name and text, cut at the limit.
async fn text(mut field: Field<'static>) -> Result<(String, String)> {
    let name = field.name().unwrap_or_default().to_owned();
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        let room = MAX_FIELD - text.len();
        text.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok((name, String::from_utf8_lossy(&text).into_owned()))
}

fn broken(error: multer::Error) -> Error {
    Error::invalid_request(error.to_string())
}

/// Reads what is left of a small form, so that the client sees the answer.
async fn rest(mut form: Multipart<'static>) {
    let read = async {
        let mut read = 0;
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Some(Ok(chunk)) = field.next().await {
                read += chunk.len();
                if read > 8 << 20 {
                    return;
                }
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
}
