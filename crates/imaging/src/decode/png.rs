use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};

use super::{Decoded, memory};
use crate::{Error, Format, Header, Picture};

/// Where XMP is kept.
const XMP_KEYWORD: &str = "XML:com.adobe.xmp";

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Decoded, Error> {
    let damaged = |error: png::DecodingError| Error::damaged(Format::Png, error);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: memory(header) });
    // Palettes and small depths to eight bits, sixteen to eight, transparency to a channel.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or_else(|| Error::damaged(Format::Png, "too large"))?;
    let mut pixels = vec![0; size];
    let shape = reader.next_frame(&mut pixels).map_err(damaged)?;
    if (shape.width, shape.height) != (header.width, header.height) {
        return Err(Error::damaged(Format::Png, "two sizes"));
    }
    pixels.truncate(shape.buffer_size());
    let (alpha, pixels) = match shape.color_type {
        ColorType::Rgba => (true, pixels),
        ColorType::Rgb => (false, spread::<3>(&pixels, |&[red, green, blue]| [red, green, blue, 255])),
        ColorType::GrayscaleAlpha => (true, spread::<2>(&pixels, |&[grey, alpha]| [grey, grey, grey, alpha])),
        ColorType::Grayscale | ColorType::Indexed => {
            (false, spread::<1>(&pixels, |&[grey]| [grey, grey, grey, 255]))
        }
    };
    let picture = Picture::from_rgba(shape.width, shape.height, alpha, pixels)
        .ok_or_else(|| Error::damaged(Format::Png, "no pixels"))?;
    let mut decoded = Decoded::still(picture, header);
    let info = reader.info();
    decoded.metadata.icc = info.icc_profile.as_deref().map(<[u8]>::to_vec);
    decoded.metadata.xmp = info
        .utf8_text
        .iter()
        .find(|chunk| chunk.keyword == XMP_KEYWORD)
        .and_then(|chunk| chunk.get_text().ok())
        .map(String::into_bytes);
    Ok(decoded)
}

fn spread<const N: usize>(pixels: &[u8], to: impl Fn(&[u8; N]) -> [u8; 4]) -> Vec<u8> {
    pixels.as_chunks::<N>().0.iter().flat_map(to).collect()
}
