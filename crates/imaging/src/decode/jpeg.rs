//! libjpeg-turbo. It decodes at a fraction of the size straight from the DCT, which is most of a thumbnail's speed.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use super::Decoded;
use crate::colour;
use crate::{Error, Format, Header, Picture};

/// A progressive file repeats its pixels in so many scans at most; real ones have about ten, and each costs as much as the
/// whole picture.
const MOST_SCANS: u32 = 100;

/// The decoder's complaints about damage that still leaves a picture. A cut upload shows its upper part.
const TOLERATED: [&str; 5] = [
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Unknown Adobe color transform",
    "Invalid SOS parameters for sequential JPEG",
];

pub(super) fn decode(bytes: &[u8], header: &Header, shrink: u32) -> Result<Decoded, Error> {
    let damaged = |error: turbojpeg::Error| Error::damaged(Format::Jpeg, error);
    let mut decoder = Decompressor::new().map_err(damaged)?;
    decoder.set_scan_limit(MOST_SCANS).map_err(damaged)?;
    let found = decoder.read_header(bytes).map_err(damaged)?;
    // Limits were checked on our own reading of the header.
    if (found.width, found.height) != (header.width as usize, header.height as usize) {
        return Err(Error::damaged(Format::Jpeg, "two sizes"));
    }
    let factor = match shrink {
        _ if found.is_lossless => ScalingFactor::ONE,
        8 => ScalingFactor::ONE_EIGHTH,
        4 => ScalingFactor::ONE_QUARTER,
        2 => ScalingFactor::ONE_HALF,
        _ => ScalingFactor::ONE,
    };
    decoder.set_scaling_factor(factor).map_err(damaged)?;
    let (width, height) = (factor.scale(found.width), factor.scale(found.height));
    let inks = matches!(found.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let format = if inks { PixelFormat::CMYK } else { PixelFormat::RGBA };
    let mut image = Image { pixels: vec![0; width * height * 4], width, pitch: width * 4, height, format };
    match decoder.decompress(bytes, image.as_deref_mut()) {
        Ok(()) => {}
        Err(error) => {
            let words = error.to_string();
            if !TOLERATED.iter().any(|tolerated| words.contains(tolerated)) {
                return Err(damaged(error));
            }
            // What was not reached has no opacity yet.
            if !inks {
                image.pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
            }
        }
    }
    let mut metadata = header.metadata.clone();
    if inks {
        colour::inks_to_srgb(&mut image.pixels, metadata.icc.take().as_deref(), metadata.adobe);
    }
    let picture = Picture::from_rgba(width as u32, height as u32, false, image.pixels)
        .ok_or_else(|| Error::damaged(Format::Jpeg, "no pixels"))?;
    Ok(Decoded { metadata, ..Decoded::still(picture, header) })
}
