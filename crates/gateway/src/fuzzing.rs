//! What the fuzz targets reach of the inside.

/// The canonical spelling of a request's path; none when the door refuses it.
pub fn canonical_path(path: &str) -> Option<String> {
    crate::path::normalise(path).ok().map(std::borrow::Cow::into_owned)
}
