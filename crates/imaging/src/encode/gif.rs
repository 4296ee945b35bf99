use std::borrow::Cow;

use gif::{DisposalMethod, Encoder, Repeat};

use super::palette;
use crate::{Error, Format, Frame, Picture};

/// Below it a pixel is invisible; GIF knows nothing between.
const VISIBLE: u8 = 128;

pub(super) fn encode(frames: &[Frame], loops: u16) -> Result<Vec<u8>, Error> {
    let failed = |error: gif::EncodingError| Error::encoder(Format::Gif, error);
    let first = &frames[0].picture;
    let side = |side: u32| u16::try_from(side).map_err(|_| Error::encoder(Format::Gif, "too large"));
    let (width, height) = (side(first.width())?, side(first.height())?);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height, &[]).map_err(failed)?;
    if frames.len() > 1 {
        let repeat = match loops {
            0 => Repeat::Infinite,
            times => Repeat::Finite(times - 1),
        };
        // Played once is what a GIF without the block means.
        if repeat != Repeat::Finite(0) {
            encoder.set_repeat(repeat).map_err(failed)?;
        }
    }
    let mut shown: Option<Picture> = None;
    for (number, frame) in frames.iter().enumerate() {
        let picture = clipped(&frame.picture);
        let next = frames.get(number + 1).map(|next| clipped(&next.picture));
        // Colours can only be put over what is there; to take some away, all has to go.
        let clear = next.is_some_and(|next| uncovers(&picture, &next));
        let (left, top, part) = match shown.take() {
            Some(before) if !clear => changed(&before, &picture),
            _ => (0, 0, picture.clone()),
        };
        let indexed = palette::reduce(&part, 256);
        let transparent = indexed.colours.iter().position(|colour| colour[3] < VISIBLE);
        let frame = gif::Frame {
            delay: u16::try_from((frame.delay + 5) / 10).unwrap_or(u16::MAX),
            dispose: if clear { DisposalMethod::Background } else { DisposalMethod::Keep },
            transparent: transparent.map(|index| index as u8),
            needs_user_input: false,
            top: side(top)?,
            left: side(left)?,
            width: side(part.width())?,
            height: side(part.height())?,
            interlaced: false,
            palette: Some(indexed.colours.iter().flat_map(|colour| &colour[..3]).copied().collect()),
            buffer: Cow::Owned(indexed.indices),
        };
        encoder.write_frame(&frame).map_err(failed)?;
        if !clear {
            shown = Some(picture);
        }
    }
    drop(encoder);
    Ok(file)
}

/// Each pixel either whole or not there.
fn clipped(picture: &Picture) -> Picture {
    let mut clipped = picture.clone();
    if picture.alpha() {
        for pixel in clipped.pixels_mut().chunks_exact_mut(4) {
            if pixel[3] < VISIBLE {
                pixel.fill(0);
            } else {
                pixel[3] = 255;
            }
        }
    }
    clipped
}

/// Whether anything visible before is invisible after.
fn uncovers(before: &Picture, after: &Picture) -> bool {
    after.alpha()
        && before
            .pixels()
            .chunks_exact(4)
            .zip(after.pixels().chunks_exact(4))
            .any(|(before, after)| before[3] != 0 && after[3] == 0)
}

/// The smallest rectangle that holds all that changed: left, top, pixels. At least one pixel, since a frame has some.
fn changed(before: &Picture, after: &Picture) -> (u32, u32, Picture) {
    let (mut left, mut top, mut right, mut bottom) = (after.width(), after.height(), 0, 0);
    for (y, (old, new)) in (0u32..).zip(before.rows().zip(after.rows())) {
        if old == new {
            continue;
        }
        (top, bottom) = (top.min(y), y + 1);
        for (x, (old, new)) in (0u32..).zip(old.chunks_exact(4).zip(new.chunks_exact(4))) {
            if old != new {
                (left, right) = (left.min(x), right.max(x + 1));
            }
        }
    }
    if right == 0 {
        return (0, 0, after.crop(0, 0, 1, 1));
    }
    (left, top, after.crop(left, top, right - left, bottom - top))
}
