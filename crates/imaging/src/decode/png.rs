use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, Transformations};

use super::{Decoded, memory};
use crate::{Error, Header, Picture};

/// Where XMP is kept.
const XMP_KEYWORD: &str = "XML:com.adobe.xmp";

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Decoded, Error> {
    let damaged = |error: DecodingError| Error::damaged(header.format, error);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: memory(header) });
    // Palettes and small depths to eight bits, sixteen to eight, transparency to a channel.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or_else(|| Error::damaged(header.format, "too large"))?;
    let mut pixels = vec![0; size];
    let (width, height) = reader.info().size();
    if (width, height) != (header.width, header.height) {
        return Err(Error::damaged(header.format, "two sizes"));
    }
    match reader.next_frame(&mut pixels) {
        Ok(shape) => pixels.truncate(shape.buffer_size()),
        // A cut upload shows its upper part, if there is one.
        Err(DecodingError::IoError(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof
                && pixels.iter().any(|sample| *sample != 0) => {}
        Err(error) => return Err(damaged(error)),
    }
    let (alpha, pixels) = match reader.output_color_type().0 {
        ColorType::Rgba => (true, pixels),
        ColorType::Rgb => (false, spread::<3>(&pixels, |&[red, green, blue]| [red, green, blue, 255])),
        ColorType::GrayscaleAlpha => (true, spread::<2>(&pixels, |&[grey, alpha]| [grey, grey, grey, alpha])),
        ColorType::Grayscale | ColorType::Indexed => {
            (false, spread::<1>(&pixels, |&[grey]| [grey, grey, grey, 255]))
        }
    };
    let picture = Picture::from_rgba(width, height, alpha, pixels)
        .ok_or_else(|| Error::damaged(header.format, "no pixels"))?;
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
