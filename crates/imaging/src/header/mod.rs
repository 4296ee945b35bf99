//! What a file says about itself, read without decoding anything: type, size, frames, orientation and metadata. Limits are
//! checked on this.

mod bmp;
mod bytes;
mod gif;
mod heif;
mod ico;
mod jpeg;
mod png;
mod svg;
mod tiff;
mod webp;

pub(crate) use heif::{Av1Item, Colour, HeifFile};
pub(crate) use ico::png as ico_png;
pub use svg::sanitize as sanitize_svg;

use crate::{Error, Format, Limits, Metadata, Orientation};

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// By the first bytes, never by a name.
    pub format: Format,
    /// Of the stored pixels, before they are turned upright. 1 for SVG, which has no pixels.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// At least 1.
    pub frames: u32,
    /// How to turn the stored pixels upright.
    pub orientation: Orientation,
    /// Whether there may be transparency.
    pub alpha: bool,
    /// What else is written in the file.
    pub metadata: Metadata,
}

impl Header {
    /// Reads the header. Looks at no more of the file than it must.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        match sniff(bytes, limits.svg_check_bytes).ok_or(Error::UnknownFormat)? {
            Format::Jpeg => jpeg::read(bytes),
            Format::Png => png::read(bytes),
            Format::Webp => webp::read(bytes),
            Format::Gif => gif::read(bytes),
            Format::Avif => heif::read(bytes),
            Format::Bmp => bmp::read(bytes),
            Format::Tiff => tiff::read(bytes),
            Format::Ico => ico::read(bytes),
            format @ (Format::Svg | Format::Heic) => Some(Self::plain(format, 1, 1)),
        }
        .filter(|header| header.width > 0 && header.height > 0)
        .ok_or(Error::UnknownFormat)
    }

    pub(crate) fn plain(format: Format, width: u32, height: u32) -> Self {
        Self {
            format,
            width,
            height,
            frames: 1,
            orientation: Orientation::UPRIGHT,
            alpha: false,
            metadata: Metadata::default(),
        }
    }

    /// Whether there is more than one frame.
    pub fn animated(&self) -> bool {
        self.frames > 1
    }

    /// Width and height as a viewer sees them.
    pub fn upright_size(&self) -> (u32, u32) {
        if self.orientation.sideways() { (self.height, self.width) } else { (self.width, self.height) }
    }
}

/// The type by the first bytes.
pub fn sniff(bytes: &[u8], svg_check_bytes: usize) -> Option<Format> {
    let at = |start: usize, end: usize| bytes.get(start..end).unwrap_or_default();
    match bytes {
        [0xff, 0xd8, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'R', b'I', b'F', b'F', ..] if at(8, 12) == b"WEBP" => Some(Format::Webp),
        [b'B', b'M', ..] => Some(Format::Bmp),
        [b'I', b'I', 0x2a, 0, ..] | [b'M', b'M', 0, 0x2a, ..] => Some(Format::Tiff),
        [0, 0, 1, 0, ..] => Some(Format::Ico),
        _ if at(4, 8) == b"ftyp" => heif::brand(bytes),
        _ => svg::looks_like(bytes, svg_check_bytes).then_some(Format::Svg),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
