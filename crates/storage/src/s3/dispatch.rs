//! Which operation a request asks for: method, address and query decide, and nothing falls through.
//!
//! A sub-resource that is not served here is refused. Answering it as if it were not there would store an access list as
//! an object's bytes, or create a bucket from a policy.

use http::{HeaderMap, Method};

use super::error::{S3Error, S3Result};

/// What a request addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The bucket; none for the service itself.
    pub(crate) bucket: Option<String>,
    /// The key; none for the bucket itself.
    pub(crate) key: Option<String>,
}

impl Address {
    /// Reads the path below the door's root, percent-decoded once. A bucket may have one slash after it.
    pub(crate) fn parse(path: &str) -> S3Result<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match path.split_once('/') {
            Some((bucket, key)) => (bucket, key),
            None => (path, ""),
        };
        let decode = |part: &str| {
            crate::sigv4::decode_path(part)
                .map(|text| text.into_owned())
                .ok_or_else(|| S3Error::new("InvalidURI", 400, "Couldn't parse the specified URI."))
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        let (bucket, key) = (some(decode(bucket)?), some(decode(key)?));
        if bucket.is_none() && key.is_some() {
            return Err(S3Error::new("InvalidBucketName", 400, "The specified bucket is not valid."));
        }
        Ok(Self { bucket, key })
    }

    /// `bucket/key`, for error documents.
    pub(crate) fn resource(&self) -> String {
        match (&self.bucket, &self.key) {
            (Some(bucket), Some(key)) => format!("{bucket}/{key}"),
            (Some(bucket), None) => bucket.clone(),
            (None, _) => "/".to_owned(),
        }
    }
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Operation {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    GetBucketAcl,
    PutBucketAcl,
    GetObjectAcl,
    PutObjectAcl,
    GetObjectAttributes,
    GetBucketCors,
    PutBucketCors,
    DeleteBucketCors,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    PostObject,
    HeadObject,
    GetObject,
    PutObject,
    CopyObject,
    DeleteObject,
    GetObjectTagging,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
}

impl Operation {
    /// What policies read by `storage.operation()`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ListBuckets => "storage.s3.bucket.list",
            Self::CreateBucket => "storage.s3.bucket.create",
            Self::HeadBucket => "storage.s3.bucket.head",
            Self::DeleteBucket => "storage.s3.bucket.delete",
            Self::GetBucketLocation => "storage.s3.bucket.get_location",
            Self::GetBucketVersioning => "storage.s3.bucket.get_versioning",
            Self::GetBucketAcl => "storage.s3.bucket.get_acl",
            Self::PutBucketAcl => "storage.s3.bucket.put_acl",
            Self::GetObjectAcl => "storage.s3.object.get_acl",
            Self::PutObjectAcl => "storage.s3.object.put_acl",
            Self::GetObjectAttributes => "storage.s3.object.get_attributes",
            Self::GetBucketCors => "storage.s3.bucket.get_cors",
            Self::PutBucketCors => "storage.s3.bucket.put_cors",
            Self::DeleteBucketCors => "storage.s3.bucket.delete_cors",
            Self::ListObjects | Self::ListObjectsV2 | Self::ListObjectVersions => "storage.s3.object.list",
            Self::ListMultipartUploads => "storage.s3.upload.list_multipart",
            Self::DeleteObjects => "storage.s3.object.delete_many",
            Self::HeadObject => "storage.s3.object.info",
            Self::GetObject => "storage.s3.object.get",
            Self::PutObject | Self::PostObject => "storage.s3.upload",
            Self::CopyObject => "storage.s3.object.copy",
            Self::DeleteObject => "storage.s3.object.delete",
            Self::GetObjectTagging => "storage.s3.object.get_tagging",
            Self::CreateMultipartUpload => "storage.s3.upload.create_multipart",
            Self::UploadPart => "storage.s3.upload.part",
            Self::UploadPartCopy => "storage.s3.upload.part_copy",
            Self::CompleteMultipartUpload => "storage.s3.upload.complete_multipart",
            Self::AbortMultipartUpload => "storage.s3.upload.abort_multipart",
            Self::ListParts => "storage.s3.upload.list_parts",
        }
    }
}

/// Sub-resources of S3, served or not.
const SUB_RESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Parameters that refine an operation, or say nothing to the server.
const PARAMETERS: &[&str] = &[
    "prefix",
    "marker",
    "delimiter",
    "max-keys",
    "encoding-type",
    "list-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
    "key-marker",
    "upload-id-marker",
    "version-id-marker",
    "max-uploads",
    "max-parts",
    "max-buckets",
    "part-number-marker",
    "partNumber",
    "uploadId",
    "versionId",
    "x-id",
    "bucket-region",
    "allow-unordered",
];

/// Finds the operation. `query` is decoded.
pub(crate) fn dispatch(
    method: &Method,
    address: &Address,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> S3Result<Operation> {
    let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
    let changes = *method != Method::GET && *method != Method::HEAD;
    let mut sub = None;
    for (name, value) in query {
        let name = name.as_str();
        if SUB_RESOURCES.contains(&name) {
            if sub.replace(name).is_some_and(|other| other != name) {
                return Err(S3Error::invalid_argument("Conflicting query parameters"));
            }
        } else if changes
            && value.is_empty()
            && !PARAMETERS.contains(&name)
            && !["response-", "x-amz-"].iter().any(|start| name.starts_with(start))
        {
            // Shaped like a sub-resource, and not one that we know.
            return Err(S3Error::not_implemented(name));
        }
    }
    let is_copy = headers.contains_key("x-amz-copy-source");
    let found = match (&address.bucket, &address.key) {
        (None, _) => match (method, sub) {
            (&Method::GET | &Method::HEAD, None) => Operation::ListBuckets,
            (_, None) => return Err(S3Error::method_not_allowed()),
            (_, Some(sub)) => return Err(S3Error::not_implemented(sub)),
        },
        (Some(_), None) => match (method.as_str(), sub) {
            ("GET", None) if query.iter().any(|(name, value)| name == "list-type" && value == "2") => {
                Operation::ListObjectsV2
            }
            ("GET", None) => Operation::ListObjects,
            ("GET", Some("location")) => Operation::GetBucketLocation,
            ("GET", Some("versioning")) => Operation::GetBucketVersioning,
            ("GET", Some("versions")) => Operation::ListObjectVersions,
            ("GET", Some("uploads")) => Operation::ListMultipartUploads,
            ("GET", Some("acl")) => Operation::GetBucketAcl,
            ("PUT", Some("acl")) => Operation::PutBucketAcl,
            ("GET", Some("cors")) => Operation::GetBucketCors,
            ("PUT", Some("cors")) => Operation::PutBucketCors,
            ("DELETE", Some("cors")) => Operation::DeleteBucketCors,
            ("PUT", None) => Operation::CreateBucket,
            ("HEAD", None) => Operation::HeadBucket,
            ("DELETE", None) => Operation::DeleteBucket,
            ("POST", Some("delete")) => Operation::DeleteObjects,
            ("POST", None) => Operation::PostObject,
            (_, Some(sub)) => return Err(S3Error::not_implemented(sub)),
            (_, None) => return Err(S3Error::method_not_allowed()),
        },
        (Some(_), Some(_)) => match (method.as_str(), sub, has("uploadId")) {
            ("GET", None, true) => Operation::ListParts,
            ("PUT", None, true) if is_copy => Operation::UploadPartCopy,
            ("PUT", None, true) => Operation::UploadPart,
            ("POST", None, true) => Operation::CompleteMultipartUpload,
            ("DELETE", None, true) => Operation::AbortMultipartUpload,
            ("POST", Some("uploads"), false) => Operation::CreateMultipartUpload,
            ("GET", Some("acl"), false) => Operation::GetObjectAcl,
            ("PUT", Some("acl"), false) => Operation::PutObjectAcl,
            ("GET", Some("attributes"), false) => Operation::GetObjectAttributes,
            ("GET", Some("tagging"), false) => Operation::GetObjectTagging,
            ("HEAD", None, _) => Operation::HeadObject,
            ("GET", None, false) => Operation::GetObject,
            ("PUT", None, false) if has("partNumber") => {
                return Err(S3Error::invalid_argument("partNumber is given without uploadId"));
            }
            ("PUT", None, false) if is_copy => Operation::CopyObject,
            ("PUT", None, false) => Operation::PutObject,
            ("DELETE", None, false) => Operation::DeleteObject,
            (_, Some(sub), _) => return Err(S3Error::not_implemented(sub)),
            _ => return Err(S3Error::method_not_allowed()),
        },
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(method: &str, path: &str, query: &str) -> Result<Operation, String> {
        let address = Address::parse(path).unwrap();
        let query = crate::sigv4::decode_query(query);
        dispatch(&method.parse().unwrap(), &address, &query, &HeaderMap::new())
            .map_err(|error| error.code.into_owned())
    }

    #[test]
    fn sub_resources_never_fall_through() {
        for (method, path, query) in [
            ("PUT", "/b/k", "tagging"),
            ("PUT", "/b/k", "retention"),
            ("PUT", "/b", "policy"),
            ("GET", "/b", "policy"),
            ("PUT", "/b/k", "something-new"),
            ("DELETE", "/b/k", "tagging"),
            ("POST", "/b/k", "restore"),
            ("PUT", "/b", "versioning"),
        ] {
            assert_eq!(of(method, path, query), Err("NotImplemented".into()), "{method} {path}?{query}");
        }
    }

    #[test]
    fn what_sdks_add_says_nothing() {
        assert_eq!(of("GET", "/b/k", "x-id=GetObject"), Ok(Operation::GetObject));
        assert_eq!(of("PUT", "/b/k", "x-id=UploadPart&partNumber=1&uploadId=u"), Ok(Operation::UploadPart));
        assert_eq!(of("GET", "/b/", "list-type=2&prefix="), Ok(Operation::ListObjectsV2));
        assert_eq!(of("GET", "/", ""), Ok(Operation::ListBuckets));
        assert_eq!(of("POST", "/b/k", "uploads"), Ok(Operation::CreateMultipartUpload));
        assert_eq!(of("PUT", "/b/k", "acl"), Ok(Operation::PutObjectAcl));
        assert_eq!(of("PUT", "/b/k", "x-amz-meta-note="), Ok(Operation::PutObject));
        assert_eq!(of("PUT", "/b/k", "uploads"), Err("NotImplemented".into()));
        assert_eq!(of("POST", "/b/k", ""), Err("MethodNotAllowed".into()));
    }

    #[test]
    fn keys_keep_their_slashes_and_are_decoded_once() {
        let address = Address::parse("/b//a%2Fb%2520c/").unwrap();
        assert_eq!((address.bucket.as_deref(), address.key.as_deref()), (Some("b"), Some("/a/b%20c/")));
        assert_eq!(Address::parse("/b/").unwrap(), Address { bucket: Some("b".into()), key: None });
    }
}
