//! Buckets and objects over HTTP, resumable uploads and S3.
