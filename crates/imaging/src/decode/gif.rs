use gif::{ColorOutput, DecodeOptions, DisposalMethod, MemoryLimit, Repeat};

use super::{Decoded, memory};
use crate::{Error, Format, Frame, Header, Patience, Picture};

pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    frames: u32,
    patience: &Patience,
) -> Result<Decoded, Error> {
    let damaged = |error: gif::DecodingError| Error::damaged(Format::Gif, error);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.set_memory_limit(MemoryLimit::Bytes(
        std::num::NonZeroU64::new(memory(header) as u64).unwrap_or(std::num::NonZeroU64::MIN),
    ));
    let mut decoder = options.read_info(bytes).map_err(damaged)?;
    let mut canvas = Picture::filled(header.width, header.height, [0, 0, 0, 0]);
    let mut decoded = Decoded { frames: Vec::new(), loops: 0, metadata: header.metadata.clone() };
    while (decoded.frames.len() as u32) < frames.max(1) {
        patience.check()?;
        let frame = match decoder.read_next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            // A cut animation is as long as it is.
            Err(_) if !decoded.frames.is_empty() => break,
            Err(error) => return Err(damaged(error)),
        };
        let before = (frame.dispose == DisposalMethod::Previous).then(|| canvas.clone());
        draw(&mut canvas, frame);
        let alpha = canvas.pixels().chunks_exact(4).any(|pixel| pixel[3] != 255);
        let shown = Picture::from_rgba(canvas.width(), canvas.height(), alpha, canvas.pixels().to_vec())
            .ok_or_else(|| Error::damaged(Format::Gif, "no pixels"))?;
        decoded.frames.push(Frame { picture: shown, delay: u32::from(frame.delay) * 10 });
        match (frame.dispose, before) {
            (DisposalMethod::Previous, Some(before)) => canvas = before,
            (DisposalMethod::Background, _) => clear(&mut canvas, frame),
            _ => {}
        }
    }
    if decoded.frames.is_empty() {
        return Err(Error::damaged(Format::Gif, "no frames"));
    }
    decoded.loops = match decoder.repeat() {
        Repeat::Infinite => 0,
        // The block counts repetitions, the result says how often it plays.
        Repeat::Finite(times) => times.saturating_add(1),
    };
    Ok(decoded)
}

/// The part of a frame that lies on the canvas: rows of the canvas, and where in them.
fn rows<'a>(canvas: &'a mut Picture, frame: &gif::Frame<'_>) -> impl Iterator<Item = &'a mut [u8]> + use<'a> {
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    let left = usize::from(frame.left).min(width);
    let right = (left + usize::from(frame.width)).min(width);
    let top = usize::from(frame.top).min(height);
    let count = usize::from(frame.height).min(height - top);
    canvas
        .pixels_mut()
        .chunks_exact_mut(width * 4)
        .skip(top)
        .take(count)
        .map(move |row| &mut row[left * 4..right * 4])
}

fn draw(canvas: &mut Picture, frame: &gif::Frame<'_>) {
    let source = frame.buffer.chunks_exact(usize::from(frame.width).max(1) * 4);
    for (row, source) in rows(canvas, frame).zip(source) {
        for (to, from) in row.chunks_exact_mut(4).zip(source.chunks_exact(4)) {
            if from[3] != 0 {
                to.copy_from_slice(from);
            }
        }
    }
}

fn clear(canvas: &mut Picture, frame: &gif::Frame<'_>) {
    for row in rows(canvas, frame) {
        row.fill(0);
    }
}
