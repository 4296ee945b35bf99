//! Resumable uploads (TUS 1.0.0).
//!
//! What a PATCH brings becomes a part, a blob of its own, recorded at the offset it was sent for: every byte that was
//! recorded survives a restart, and an upload may go on at any node. When all parts are there they become one object.

mod address;
mod answer;
mod body;
mod create;
mod finish;
mod lock;
mod metadata;
mod resume;
mod store;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};

use self::answer::TusError;
pub(crate) use self::lock::Locks;
use crate::domain::{Domain, Mode, ObjectKey, UploadGrant};
use crate::http_parts::auth;
use crate::{Caller, Context, Error};

/// Reads `Upload-Metadata` and throws it away.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_metadata(header: &[u8]) {
    let _ = metadata::Metadata::parse(header);
}

/// A request on its way through the door.
struct Call {
    domain: Domain,
    locks: Arc<Locks>,
    parts: Parts,
    /// Whether it is authorised by an upload token instead of a user's.
    signed: bool,
    caller: Caller,
    grant: Option<UploadGrant>,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// The context of an operation, whose name ends in `_signed` under the signed route.
    fn context(&self, plain: &'static str, signed: &'static str) -> Context {
        Context::new(self.caller.clone(), if self.signed { signed } else { plain }, &self.parts)
    }

    /// Which policies the request needs: clients repeat `x-upsert` on each.
    fn mode(&self) -> Mode {
        let upsert = match &self.grant {
            Some(grant) => grant.upsert,
            None => self.header("x-upsert") == Some("true"),
        };
        if upsert { Mode::Upsert } else { Mode::Create }
    }

    /// Asks the policies.
    async fn may(&self, context: &Context, bucket: &str, key: &ObjectKey) -> Result<(), TusError> {
        Ok(self.domain.may_upload(context, bucket, key, self.mode()).await?)
    }

    /// Checks an upload token against the object that it must be for, and takes its owner and rights on.
    fn accept_grant(&mut self, bucket: &str, key: &str) -> Result<(), TusError> {
        if !self.signed {
            return Ok(());
        }
        let token = self.header("x-signature").filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| Error::new(crate::Code::InvalidSignature, "Missing x-signature header"))?;
        let grant = self.domain.signer().verify_upload(token, bucket, key)?;
        self.caller = Caller::service(&self.domain.config().service_role, grant.owner.as_deref());
        self.grant = Some(grant);
        Ok(())
    }
}

/// Answers a request whose path begins with `/upload/resumable`; `rest` is what follows.
pub(crate) async fn serve(
    domain: &Domain,
    locks: Arc<Locks>,
    rest: &str,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let origin = parts.headers.get(http::header::ORIGIN).cloned();
    let max = domain.config().file_size_limit;
    let asks = method(&parts) == Method::OPTIONS;
    let mut response =
        route(domain, locks, rest, parts, body).await.unwrap_or_else(|error| error.into_response());
    answer::complete(&mut response, origin, asks.then_some(max));
    response
}

/// The method, which clients behind narrow proxies put into a header.
fn method(parts: &Parts) -> Method {
    let named = parts
        .headers
        .get("x-http-method-override")
        .and_then(|value| Method::from_bytes(value.as_bytes()).ok());
    match named {
        Some(method) if parts.method == Method::POST => method,
        _ => parts.method.clone(),
    }
}

async fn route(
    domain: &Domain,
    locks: Arc<Locks>,
    rest: &str,
    parts: Parts,
    body: Body,
) -> Result<Response, TusError> {
    let method = method(&parts);
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let rest = rest.trim_matches('/');
    let (signed, id) = match rest.strip_prefix("sign") {
        Some("") => (true, ""),
        Some(id) if id.starts_with('/') => (true, id.trim_start_matches('/')),
        _ => (false, rest),
    };
    let caller = if signed {
        Caller::anonymous(&domain.config().anon_role)
    } else {
        auth::verified(domain, &parts).map_err(TusError::Json)?
    };
    let mut call = Call { domain: domain.clone(), locks, parts, signed, caller, grant: None };
    if call.header("tus-resumable") != Some("1.0.0") {
        return Err(TusError::text(412, "Tus-Resumable Required\n"));
    }
    check_numbers(&call.parts.headers)?;
    match (method.as_str(), id) {
        ("POST", "") => create::create(&mut call, body).await,
        ("HEAD", id) if !id.is_empty() => resume::head(&mut call, id).await,
        ("PATCH", id) if !id.is_empty() => resume::patch(&mut call, id, body).await,
        ("DELETE", id) if !id.is_empty() => resume::terminate(&mut call, id).await,
        _ => Err(TusError::text(404, "Not found\n")),
    }
}

/// Headers of the protocol that hold numbers must do so.
fn check_numbers(headers: &HeaderMap) -> Result<(), TusError> {
    for name in ["upload-offset", "upload-length"] {
        let Some(value) = headers.get(name) else { continue };
        let text = value.to_str().unwrap_or_default().trim();
        let is_number = !text.is_empty() && text.len() < 19 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(TusError::text(400, format!("Invalid {name}\n")));
        }
    }
    match headers.get("upload-defer-length") {
        Some(value) if value.as_bytes() != b"1" => Err(TusError::text(400, "Invalid upload-defer-length\n")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_numbers() {
        let check = |name: &'static str, value: &'static str| {
            check_numbers(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])).is_ok()
        };
        assert!(check("upload-offset", "0") && check("upload-length", "999999999999999999"));
        for bad in ["", "-1", "1.5", "abc", "9999999999999999999"] {
            assert!(!check("upload-offset", bad), "{bad}");
        }
        assert!(check("upload-defer-length", "1") && !check("upload-defer-length", "2"));
    }
}
