//! Entry points for fuzz targets: parsers that are private otherwise.

/// Reads a document as the S3 door does.
pub fn xml(bytes: &[u8]) {
    let _ = crate::s3::xml::parse(bytes);
}

/// Reads `Upload-Metadata` as the TUS door does.
pub fn upload_metadata(header: &[u8]) {
    crate::tus::read_metadata(header);
}
