//! Parts that become an object.

use md5::{Digest, Md5};
use serde_json::{Map, Value};

use super::answer::TusError;
use super::metadata::Metadata;
use super::store::{self, Upload};
use crate::Context;
use crate::blob::{BlobName, Written};
use crate::domain::{
    Bucket, Condition, Domain, NewObject, ObjectKey, Part, UploadKind, etag_of, etag_of_parts,
};

/// How large an upload may be.
pub(super) fn limit(domain: &Domain, bucket: &Bucket, key: &ObjectKey) -> u64 {
    if key.is_folder_marker() { 0 } else { bucket.limit(domain.config().file_size_limit) }
}

/// Joins an upload's parts and commits them. What was committed before a crash is only noted.
pub(super) async fn finish(domain: &Domain, context: &Context, upload: &Upload) -> Result<(), TusError> {
    let parts = domain.parts(&upload.id.version).await?;
    let metadata = Metadata::parse(upload.header().as_bytes()).unwrap_or_default();
    let key = domain.key(&upload.id.key)?;
    let mut extra = Map::new();
    extra.insert("uploadId".into(), Value::from(upload.id.version.as_str()));
    let user_metadata = metadata.get("metadata").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let object = NewObject {
        bucket: upload.id.bucket.clone(),
        key: key.clone(),
        // Replaced by the joined one.
        blob: BlobName::fresh(),
        written: Written { size: 0, md5: [0; 16], leaves: None },
        etag: Some(etag(&parts)),
        condition: if upload.upsert { Condition::Any } else { Condition::Absent },
        content_type: metadata.get("contentType").unwrap_or("application/octet-stream").to_owned(),
        cache_control: cache_control(metadata.get("cacheControl")),
        extra,
        user_metadata,
        part_checksums: Vec::new(),
        kind: UploadKind::Resumable,
        event: None,
    };
    if let Err(error) = domain.complete_parts(context, &parts, object).await {
        let now = domain.find_signed(context, &upload.id.bucket, &key).await;
        let is_ours =
            now.is_ok_and(|object| object.metadata_text("uploadId") == Some(upload.id.version.as_str()));
        if !is_ours {
            return Err(error.into());
        }
    }
    store::set_complete(domain, &upload.id).await?;
    domain.drop_parts(&upload.id.version).await?;
    Ok(())
}

/// The tag of what came in one piece is its MD5; more pieces have a tag as S3's uploads in parts do.
fn etag(parts: &[Part]) -> String {
    match parts {
        [] => etag_of(&Md5::digest(b"").into()),
        [part] => part.etag.clone(),
        parts => etag_of_parts(parts),
    }
}

/// A number is an age in seconds; anything else means nothing.
fn cache_control(value: Option<&str>) -> String {
    match value.and_then(|value| value.trim().parse::<i64>().ok()) {
        Some(seconds) => format!("max-age={seconds}"),
        None => "no-cache".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_ages() {
        assert_eq!(cache_control(Some("3600")), "max-age=3600");
        assert_eq!(cache_control(Some("max-age=3600")), "no-cache");
        assert_eq!(cache_control(None), "no-cache");
    }
}
