//! BMP, TIFF and ICO, through the `image` crate.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::ico::IcoDecoder;
use image::codecs::tiff::TiffDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Limits};

use super::{Decoded, memory};
use crate::{Error, Format, Header, Picture};

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Decoded, Error> {
    let source = Cursor::new(bytes);
    let image = match header.format {
        Format::Bmp => BmpDecoder::new(source).and_then(|decoder| limited(decoder, header)),
        Format::Tiff => TiffDecoder::new(source).and_then(|decoder| limited(decoder, header)),
        _ => IcoDecoder::new(source).and_then(|decoder| limited(decoder, header)),
    };
    let (image, icc) = image.map_err(|error| Error::damaged(header.format, error))?;
    let alpha = image.color().has_alpha();
    let image = image.into_rgba8();
    let picture = Picture::from_rgba(image.width(), image.height(), alpha, image.into_raw())
        .ok_or_else(|| Error::damaged(header.format, "no pixels"))?;
    let mut decoded = Decoded::still(picture, header);
    decoded.metadata.icc = icc;
    Ok(decoded)
}

fn limited(
    mut decoder: impl ImageDecoder,
    header: &Header,
) -> Result<(DynamicImage, Option<Vec<u8>>), ImageError> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(memory(header) as u64);
    limits.max_image_width = Some(header.width);
    limits.max_image_height = Some(header.height);
    limits.check_dimensions(decoder.dimensions().0, decoder.dimensions().1)?;
    decoder.set_limits(limits)?;
    let icc = decoder.icc_profile()?;
    Ok((DynamicImage::from_decoder(decoder)?, icc))
}
