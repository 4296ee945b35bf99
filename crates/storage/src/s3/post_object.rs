//! Uploads from a browser's form.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::body::{self, Incoming};
use super::error::{S3Error, S3Result};
use super::write::{self, Put};
use super::xml::Document;
use super::{Call, auth, empty, headers, key, set};
use crate::Context;
use crate::checksum::Algorithm;
use crate::domain::Condition;
use crate::sigv4::{FormUpload, SignatureError, verify_form};

/// The most that the fields before the file may hold together.
const MAX_FIELDS: usize = 128 << 10;
/// The most fields.
const MAX_COUNT: usize = 100;

/// Reads a form's fields up to its file.
async fn read_fields(
    form: &mut multer::Multipart<'static>,
) -> S3Result<(Vec<(String, String)>, multer::Field<'static>)> {
    let malformed = |error: multer::Error| {
        S3Error::new(
            "MalformedPOSTRequest",
            400,
            format!("The body of your POST request is not well-formed multipart/form-data: {error}"),
        )
    };
    let mut fields = Vec::new();
    let mut size = 0;
    loop {
        let Some(mut field) = form.next_field().await.map_err(malformed)? else {
            return Err(S3Error::invalid_argument("POST requires exactly one file upload per request."));
        };
        let name = field.name().unwrap_or_default().to_owned();
        if name.eq_ignore_ascii_case("file") {
            return Ok((fields, field));
        }
        let mut value = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(malformed)? {
            size += chunk.len();
            if size > MAX_FIELDS || fields.len() == MAX_COUNT {
                return Err(S3Error::new(
                    "MaxPostPreDataLengthExceeded",
                    400,
                    "Your POST request fields preceding the upload file were too large.",
                ));
            }
            value.extend_from_slice(&chunk);
        }
        let value =
            String::from_utf8(value).map_err(|_| S3Error::invalid_argument("A field is not UTF-8"))?;
        fields.push((name, value));
    }
}

/// The key may be made of the file's own name; what the policy says is said of the key that comes of it.
fn name_after_file(fields: &mut [(String, String)], filename: &str) {
    let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    for (_, value) in fields.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("key")) {
        *value = value.replace("${filename}", filename);
    }
}

/// The file's checksum among the fields, as the header that it would be.
fn checksum_of(fields: &[(String, String)]) -> HeaderMap {
    let pairs = fields.iter().filter_map(|(name, value)| {
        let algorithm = Algorithm::of_header(name)?;
        Some((HeaderName::from_static(algorithm.header()), HeaderValue::from_str(value).ok()?))
    });
    pairs.collect()
}

pub(super) async fn post(call: &Call, content: Body) -> S3Result<Response> {
    let boundary = call
        .header("content-type")
        .and_then(|value| multer::parse_boundary(value).ok())
        .ok_or_else(|| {
            S3Error::new(
                "PreconditionFailed",
                412,
                "Bucket POST must be of the enclosure-type multipart/form-data",
            )
        })?;
    let mut form = multer::Multipart::new(content.into_data_stream(), boundary);
    let (mut fields, file) = read_fields(&mut form).await?;
    name_after_file(&mut fields, file.file_name().unwrap_or_default());
    let field = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let signed = FormUpload::read(&fields)?;
    let (context, range) = match (&signed, &call.verified) {
        (Some(signed), _) => {
            let token = signed.session_token.as_deref();
            let secret = auth::secret(&call.domain, &signed.access_key, token)?;
            let range = verify_form(signed, &secret, call.bucket(), &fields, Utc::now())?;
            let caller = auth::caller(&call.domain, token)?;
            (Context { caller, ..call.context.clone() }, range)
        }
        // A form without a policy may be signed as any request is.
        (None, Some(_)) => (call.context.clone(), None),
        (None, None) => return Err(SignatureError::Missing.into()),
    };
    let name = field("key").filter(|name| !name.is_empty()).ok_or_else(|| {
        S3Error::invalid_argument("Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
    })?;
    let key = key(&call.domain, name)?;
    let described =
        headers::describe(&described_by(&fields, file.content_type().map(ToString::to_string).as_deref()))?;
    let body = Body::from_stream(file);
    let Incoming { inflow, outcome, .. } = body::incoming_of(&checksum_of(&fields), body, None, None, None)?;
    let call = call.acting_as(context);
    let stored = write::store(
        &call,
        Put { key: key.clone(), described, condition: Condition::Any, inflow, size: None, range, outcome },
    )
    .await
    .map_err(|error| if error.code == "EntityTooLarge" { S3Error { status: 400, ..error } } else { error })?;
    let mut response = answer(&call, &fields, key.as_str(), &stored.etag);
    set(&mut response, "etag", &stored.etag);
    Ok(response)
}

/// The form's fields as the headers of a put.
fn described_by(fields: &[(String, String)], file_type: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(Ok(value)) = file_type.map(HeaderValue::from_str) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        let is_described = name.starts_with("x-amz-meta-")
            || name.starts_with("x-amz-server-side")
            || [
                "cache-control",
                "content-type",
                "content-disposition",
                "content-encoding",
                "expires",
                "tagging",
            ]
            .contains(&name.as_str());
        let name = if name == "tagging" { "x-amz-tagging".to_owned() } else { name };
        if let (true, Ok(name), Ok(value)) =
            (is_described, HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// What the form asked for as an answer: a redirection, a document, or nothing.
fn answer(call: &Call, fields: &[(String, String)], key: &str, etag: &str) -> Response {
    let field = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let redirect = field("success_action_redirect").or_else(|| field("redirect"));
    if let Some(url) = redirect.filter(|url| url.starts_with("http://") || url.starts_with("https://")) {
        let mut response = StatusCode::SEE_OTHER.into_response();
        let join = if url.contains('?') { '&' } else { '?' };
        let encode = crate::sigv4::encode;
        let url =
            format!("{url}{join}bucket={}&key={}&etag={}", encode(call.bucket()), encode(key), encode(etag));
        set(&mut response, "location", &url);
        return response;
    }
    match field("success_action_status") {
        Some("200") => empty(StatusCode::OK),
        Some("201") => {
            let host = call.header("host").unwrap_or("localhost");
            let mut document = Document::bare("PostResponse");
            document.text("Location", &format!("http://{host}/{}/{key}", call.bucket()));
            document.text("Bucket", call.bucket());
            document.text("Key", key);
            document.text("ETag", etag);
            (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/xml")], document.finish())
                .into_response()
        }
        _ => empty(StatusCode::NO_CONTENT),
    }
}
