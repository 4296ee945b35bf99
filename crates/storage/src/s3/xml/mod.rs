//! S3's documents: read into a small tree under limits, written element by element.

mod read;
mod write;

pub(crate) use read::{Element, Malformed, parse};
pub(crate) use write::Document;
