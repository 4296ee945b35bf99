//! `POST /object/sign/…` and `/object/upload/sign/…`.

use std::collections::HashSet;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use serde_json::json;

use super::{Call, ok, upload};
use crate::domain::{Mode, Transformations, UploadGrant};
use crate::error::{Error, Result};
use crate::http_parts::fields::Fields;

pub(super) async fn one(call: &Call, bucket: &str, raw_key: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.object.sign")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let lifetime = Duration::from_secs(fields.required_integer("expiresIn", 1)?);
    let mut transformations = transformations(&fields)?;
    // Where nothing is transformed the URL is that of the object itself.
    if call.domain.renderer().is_none() || transformations.to_text() == "format:origin" {
        transformations = Transformations::default();
    }
    let key = call.key(raw_key)?;
    call.domain.find(&context, bucket, &key).await?;
    let token = call.domain.signer().sign_download(bucket, key.as_str(), &transformations, lifetime)?;
    let route = if transformations.to_text().is_empty() { "object" } else { "render/image" };
    // The key as it is: clients escape the whole.
    Ok(ok(json!({ "signedURL": format!("/{route}/sign/{bucket}/{key}?token={token}") })))
}

pub(super) async fn many(call: &Call, bucket: &str, body: Body) -> Result<Response> {
    let context = call.context("storage.object.sign_many")?;
    let fields = Fields::read(&call.parts.headers, body).await?;
    let lifetime = Duration::from_secs(fields.required_integer("expiresIn", 1)?);
    let paths = fields.required_texts("paths", 1)?;
    let visible: HashSet<String> =
        call.domain.visible_keys(&context, bucket, &paths).await?.into_iter().collect();
    let mut answers = Vec::with_capacity(paths.len());
    for path in paths {
        answers.push(if visible.contains(&path) {
            let token =
                call.domain.signer().sign_download(bucket, &path, &Transformations::default(), lifetime)?;
            json!({ "error": null, "path": path, "signedURL": format!("/object/sign/{bucket}/{path}?token={token}") })
        } else {
            let message = "Either the object does not exist or you do not have access to it";
            json!({ "error": message, "path": path, "signedURL": null })
        });
    }
    Ok(ok(answers.into()))
}

pub(super) async fn upload(call: &Call, bucket: &str, raw_key: &str) -> Result<Response> {
    let context = call.context("storage.object.sign_upload_url")?;
    let key = call.key(raw_key)?;
    let mode = upload::mode(call);
    call.domain.may_upload(&context, bucket, &key, mode).await.map_err(|error| {
        // The foreign key says it first.
        if error.status == 404 { Error::no_such_bucket() } else { error }
    })?;
    let grant = UploadGrant {
        owner: context.caller.subject.as_deref().map(str::to_owned),
        url: format!("{bucket}/{key}"),
        upsert: mode == Mode::Upsert,
    };
    let token = call.domain.signer().sign_upload(&grant, call.domain.config().upload_url_lifetime)?;
    let url = format!("/object/upload/sign/{bucket}/{key}?token={token}");
    Ok(ok(json!({ "url": url, "token": token })))
}

/// The member `transform` of a request to sign.
fn transformations(fields: &Fields) -> Result<Transformations> {
    let Some(given) = fields.object("transform")? else { return Ok(Transformations::default()) };
    let size = |name| -> Result<Option<u32>> {
        Ok(given.integer(name, 0)?.map(|size| u32::try_from(size).unwrap_or(u32::MAX)))
    };
    let word = |name: &str, words: &[&str]| match given.text(name)? {
        Some(word) if words.contains(&word.as_str()) => Ok(Some(word)),
        None => Ok(None),
        Some(_) => {
            let message = format!("body/transform/{name} must be equal to one of the allowed values");
            Err(Error::validation(message))
        }
    };
    let quality = given.integer("quality", 20)?;
    if quality.is_some_and(|quality| quality > 100) {
        return Err(Error::validation("body/transform/quality must be <= 100"));
    }
    Ok(Transformations {
        height: size("height")?,
        width: size("width")?,
        resize: word("resize", &["cover", "contain", "fill"])?,
        quality: quality.and_then(|quality| u32::try_from(quality).ok()),
        format: word("format", &["origin", "avif"])?,
    })
}
