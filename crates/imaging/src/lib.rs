//! Pictures: what they are, what becomes of them, how they are written. A pure library without HTTP, files or settings.
//!
//! [`Header::read`] tells from a few bytes what a file is and how large; [`render`] checks it against [`Limits`], decodes,
//! transforms and encodes. [`Workshop`] is where a service has that done, [`Once`] how it has the same done once.
//!
//! The pipeline is imgproxy's, so that sizes, places and types of the results are its, too. Every picture is 8-bit sRGB
//! inside. ARCHITECTURE.md says why each codec was chosen.

mod colour;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod header;
mod iptc;
mod limits;
mod metadata;
mod picture;
mod transform;
mod workshop;

pub use encode::Encoding;
pub use error::Error;
pub use format::{Format, UnknownName};
pub use header::{Header, sanitize_svg, sniff};
pub use limits::{Limits, Patience};
pub use metadata::{Metadata, Orientation};
pub use picture::{Frame, Picture, Rgba};
pub use transform::options::{
    Accepts, Crop, Gravity, Padding, Place, Quality, Resize, Settings, Transform, Trim, Watermark,
};
pub use transform::{Rendered, render};
pub use workshop::{Once, Workshop};

/// Decodes the first frame, upright and in sRGB: for a watermark.
pub fn load(source: &[u8], limits: &Limits) -> Result<Picture, Error> {
    let header = Header::read(source, limits)?;
    limits.check_bytes(source.len())?;
    limits.check(&header, 1)?;
    let wanted = decode::Wanted { frames: 1, shrink: 1 };
    let mut decoded = decode::decode(source, &header, wanted, &Patience::default())?;
    let frame = decoded.frames.swap_remove(0);
    let mut picture = frame.picture.orient(header.orientation);
    if let Some(icc) = &decoded.metadata.icc {
        colour::to_srgb(&mut picture, icc);
    }
    Ok(picture)
}
