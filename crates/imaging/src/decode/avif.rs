//! AVIF: an AV1 key frame (or a grid of them), a second one for transparency, and colours to convert.

use super::Decoded;
use super::av1::{self, Layout, Planes};
use crate::header::{Av1Item, Colour, HeifFile};
use crate::{Error, Format, Header, Picture};

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Decoded, Error> {
    let damaged = |reason: &str| Error::damaged(Format::Avif, reason);
    let file = HeifFile::parse(bytes).ok_or_else(|| damaged("boxes"))?;
    let item = file.picture().ok_or_else(|| damaged("no picture"))?;
    if (item.width, item.height) != (header.width, header.height) {
        return Err(damaged("two sizes"));
    }
    let mut canvas = Picture::filled(item.width, item.height, [0, 0, 0, 255]);
    tiles(&item, |planes, left, top| {
        let colour = file.colour().unwrap_or(Colour { matrix: planes.matrix, full_range: planes.full_range });
        draw(&mut canvas, &planes, colour, left, top);
    })?;
    let mut alpha = false;
    if let Some(item) = file.transparency() {
        alpha = true;
        tiles(&item, |planes, left, top| draw_alpha(&mut canvas, &planes, left, top))?;
    }
    let picture = Picture::from_rgba(canvas.width(), canvas.height(), alpha, canvas.into_pixels())
        .ok_or_else(|| damaged("no pixels"))?;
    Ok(Decoded::still(picture, header))
}

/// Decodes each tile and tells where it belongs.
fn tiles(item: &Av1Item, mut each: impl FnMut(Planes, usize, usize)) -> Result<(), Error> {
    let columns = item.columns.max(1) as usize;
    let (mut left, mut top, mut height) = (0, 0, 0);
    for (number, tile) in item.tiles.iter().enumerate() {
        if number > 0 && number.is_multiple_of(columns) {
            (left, top) = (0, top + height);
        }
        let planes = av1::decode(tile, u64::from(item.width) * u64::from(item.height))?;
        let width = planes.width;
        height = planes.height;
        each(planes, left, top);
        left += width;
    }
    Ok(())
}

/// The samples of one row of a plane, as far as both reach, with where they go on the canvas.
fn rows<'a>(
    canvas: &'a mut Picture,
    planes: &Planes,
    left: usize,
    top: usize,
) -> impl Iterator<Item = (usize, &'a mut [u8])> + use<'a> {
    let (width, rows) = (canvas.width() as usize, planes.height);
    let right = (left + planes.width).min(width);
    let left = left.min(right);
    let stride = width * 4;
    canvas
        .pixels_mut()
        .chunks_exact_mut(stride)
        .skip(top)
        .take(rows)
        .enumerate()
        .map(move |(y, row)| (y, &mut row[left * 4..right * 4]))
}

fn draw_alpha(canvas: &mut Picture, planes: &Planes, left: usize, top: usize) {
    let most = f32::from((1u16 << planes.bits) - 1);
    let (floor, span) = if planes.full_range { (0.0, most) } else { range(planes.bits, 219.0) };
    for (y, row) in rows(canvas, planes, left, top) {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let value = (f32::from(planes.luma(x, y)) - floor) / span;
            pixel[3] = (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Floor and span of limited-range samples: 16 to 235 for light, 16 to 240 for colour, scaled to the depth.
fn range(bits: u8, span: f32) -> (f32, f32) {
    let scale = f32::from(1u16 << (bits - 8));
    (16.0 * scale, span * scale)
}

/// ITU-T H.273: luma coefficients of red and blue for a matrix. 2 is "unspecified", for which AVIF means BT.601.
fn coefficients(matrix: u16) -> (f32, f32) {
    match matrix {
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        7 => (0.212, 0.087),
        9 | 10 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    }
}

fn draw(canvas: &mut Picture, planes: &Planes, colour: Colour, left: usize, top: usize) {
    let most = f32::from((1u16 << planes.bits) - 1);
    let middle = f32::from(1u16 << (planes.bits - 1));
    let (floor, light, chroma) = if colour.full_range {
        (0.0, most, most)
    } else {
        let (floor, light) = range(planes.bits, 219.0);
        (floor, light, range(planes.bits, 224.0).1)
    };
    let (red, blue) = coefficients(colour.matrix);
    let green = 1.0 - red - blue;
    let to_red = 2.0 * (1.0 - red);
    let to_blue = 2.0 * (1.0 - blue);
    let byte = |value: f32| (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
    for (y, row) in rows(canvas, planes, left, top) {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let luma = (f32::from(planes.luma(x, y)) - floor) / light;
            let (first, second) = planes.chroma(x, y).unwrap_or((middle as u16, middle as u16));
            let rgb = match (colour.matrix, planes.layout) {
                // Green, blue and red as they are.
                (0, Layout::Full) => {
                    let plain = |sample: u16| (f32::from(sample) - floor) / light;
                    [plain(second), luma, plain(first)]
                }
                _ => {
                    let cb = (f32::from(first) - middle) / chroma;
                    let cr = (f32::from(second) - middle) / chroma;
                    let (r, b) = (luma + to_red * cr, luma + to_blue * cb);
                    [r, (luma - red * r - blue * b) / green, b]
                }
            };
            for (channel, value) in pixel.iter_mut().zip(rgb) {
                *channel = byte(value);
            }
        }
    }
}
