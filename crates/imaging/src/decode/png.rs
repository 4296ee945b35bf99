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
    // `png` 0.18.1 panics over a colour that is cut off.
    if reader.info().palette.as_ref().is_some_and(|palette| !palette.len().is_multiple_of(3)) {
        return Err(Error::damaged(header.format, "palette"));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Limits;

    #[test]
    fn a_palette_that_ends_within_a_colour_is_refused() {
        let chunk = |kind: &[u8; 4], body: &[u8]| {
            let checksum = [kind, body].concat().iter().fold(!0u32, |sum, &byte| {
                (0..8).fold(sum ^ u32::from(byte), |sum, _| {
                    (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
                })
            });
            [&(body.len() as u32).to_be_bytes()[..], kind, body, &(!checksum).to_be_bytes()].concat()
        };
        let file = |palette: &[u8]| {
            // One row of four pixels of four bits in a stored block: colours 0 to 3.
            let row = b"\x78\x01\x01\x03\x00\xfc\xff\x00\x01\x23\x00\x28\x00\x25";
            let head = chunk(b"IHDR", b"\0\0\0\x04\0\0\0\x01\x04\x03\0\0\0");
            let parts = [head, chunk(b"PLTE", palette), chunk(b"IDAT", row), chunk(b"IEND", b"")];
            [&b"\x89PNG\r\n\x1a\n"[..], &parts.concat()].concat()
        };
        let read = |palette: &[u8]| {
            let bytes = file(palette);
            decode(&bytes, &Header::read(&bytes, &Limits::default()).unwrap()).map(|_| ())
        };
        assert_eq!(read(&[7; 12]), Ok(()));
        let refused = read(&[7; 49]).unwrap_err().to_string();
        assert!(refused.contains("palette"), "{refused}");
    }
}
