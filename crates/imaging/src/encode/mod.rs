//! Pixels to files.

mod avif;
mod gif;
mod jpeg;
mod other;
mod palette;
mod png;
mod webp;

use crate::{Error, Format, Frame, Metadata};

/// How to write, the same for all pictures of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Whether a JPEG shows up in steps.
    pub jpeg_progressive: bool,
    /// Whether a PNG shows up in steps. Our encoder writes none, so it has no effect.
    pub png_interlaced: bool,
    /// How many colours a PNG may have at most, 2 to 256; `None` for all.
    pub png_colours: Option<u16>,
    /// 0 (small) to 9 (quick).
    pub avif_speed: u8,
}

impl Default for Encoding {
    fn default() -> Self {
        Self { jpeg_progressive: false, png_interlaced: false, png_colours: None, avif_speed: 5 }
    }
}

/// Writes a picture, or an animation where the format can hold one. `quality` is 1 to 100.
pub(crate) fn encode(
    frames: &[Frame],
    loops: u16,
    format: Format,
    quality: u8,
    metadata: &Metadata,
    encoding: &Encoding,
) -> Result<Vec<u8>, Error> {
    let [first, ..] = frames else { return Err(Error::encoder(format, "no frames")) };
    let quality = quality.clamp(1, 100);
    let picture = &first.picture;
    match format {
        Format::Jpeg => jpeg::encode(picture, quality, metadata, encoding.jpeg_progressive),
        Format::Png => png::encode(picture, metadata, encoding.png_colours),
        Format::Webp if frames.len() > 1 => webp::encode_animation(frames, loops, quality, metadata),
        Format::Webp => webp::encode(picture, quality, metadata),
        Format::Gif => gif::encode(frames, loops),
        Format::Avif => avif::encode(picture, quality, metadata, encoding.avif_speed),
        Format::Bmp => other::bmp(picture),
        Format::Tiff => other::tiff(picture),
        Format::Ico => other::ico(picture, metadata),
        format @ (Format::Svg | Format::Heic) => Err(Error::CannotWrite(format)),
    }
}
