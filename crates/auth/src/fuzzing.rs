//! Entry points for fuzz targets: parsers that are private otherwise.

/// Reads a document as the routes of single sign-on do: as a provider's answer, its metadata, its certificate. What is
/// read and written in canonical form reads as the same.
pub fn saml(bytes: &[u8]) {
    crate::saml::fuzz(bytes);
}
