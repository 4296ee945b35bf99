//! `image-webp`: written in Rust, since what it reads comes from strangers. libwebp, which writes, is never shown a file.

use std::io::Cursor;

use image_webp::{LoopCount, WebPDecoder};

use super::{Decoded, memory};
use crate::{Error, Format, Frame, Header, Patience, Picture};

pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    frames: u32,
    patience: &Patience,
) -> Result<Decoded, Error> {
    let damaged = |error: image_webp::DecodingError| Error::damaged(Format::Webp, error);
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    decoder.set_memory_limit(memory(header));
    let (width, height) = decoder.dimensions();
    if (width, height) != (header.width, header.height) {
        return Err(Error::damaged(Format::Webp, "two sizes"));
    }
    let alpha = decoder.has_alpha();
    let size = decoder.output_buffer_size().ok_or_else(|| Error::damaged(Format::Webp, "too large"))?;
    let mut buffer = vec![0; size];
    let picture = |buffer: &[u8]| {
        let pixels = if alpha {
            buffer.to_vec()
        } else {
            buffer.as_chunks::<3>().0.iter().flat_map(|&[red, green, blue]| [red, green, blue, 255]).collect()
        };
        Picture::from_rgba(width, height, alpha, pixels)
            .ok_or_else(|| Error::damaged(Format::Webp, "no pixels"))
    };
    if !decoder.is_animated() {
        decoder.read_image(&mut buffer).map_err(damaged)?;
        return Ok(Decoded::still(picture(&buffer)?, header));
    }
    let loops = match decoder.loop_count() {
        LoopCount::Forever => 0,
        LoopCount::Times(times) => times.get(),
    };
    let mut decoded = Decoded { frames: Vec::new(), loops, metadata: header.metadata.clone() };
    for _ in 0..frames.min(decoder.num_frames()).max(1) {
        patience.check()?;
        match decoder.read_frame(&mut buffer) {
            Ok(delay) => decoded.frames.push(Frame { picture: picture(&buffer)?, delay }),
            // A cut animation is as long as it is.
            Err(_) if !decoded.frames.is_empty() => break,
            Err(error) => return Err(damaged(error)),
        }
    }
    Ok(decoded)
}
