use super::geometry::{position, scaled};
use super::options::Watermark;
use super::resample::resample;
use crate::{Error, Picture};

/// A layer of the picture's size with the watermark on it.
pub(super) fn layer(mark: &Picture, options: &Watermark, width: u32, height: u32) -> Result<Picture, Error> {
    let mut mark = mark.clone();
    if options.scale > 0.0 {
        // To fit into that part of the picture, even if it must grow for it.
        let part = |side: u32| f64::from(scaled(side, options.scale).max(1));
        let factor = (part(width) / f64::from(mark.width())).min(part(height) / f64::from(mark.height()));
        // What lies outside of the picture is of no use.
        let side = |side: u32, most: u32| scaled(side, factor).clamp(1, most.max(1));
        mark = resample(&mark, side(mark.width(), width), side(mark.height(), height))?;
    }
    if !options.replicate {
        let (left, top) = position((width, height), (mark.width(), mark.height()), &options.gravity, true);
        return Ok(mark.embed(width, height, left, top));
    }
    let gap = |offset: f64| (offset.max(0.0) as u32).min(width.max(height));
    let (gap_x, gap_y) = (gap(options.gravity.x), gap(options.gravity.y));
    let (step_x, step_y) = (mark.width() + gap_x, mark.height() + gap_y);
    let mut layer = Picture::filled(width, height, [0, 0, 0, 0]);
    for top in (i64::from(gap_y / 2)..i64::from(height)).step_by(step_y as usize) {
        for left in (i64::from(gap_x / 2)..i64::from(width)).step_by(step_x as usize) {
            layer.place(&mark, left, top);
        }
    }
    Ok(layer)
}

/// Puts a layer over the picture.
pub(super) fn put(picture: &mut Picture, layer: &Picture, opacity: f64) {
    let opacity = opacity.clamp(0.0, 1.0) as f32;
    for (below, above) in picture.pixels_mut().chunks_exact_mut(4).zip(layer.pixels().chunks_exact(4)) {
        let over = f32::from(above[3]) / 255.0 * opacity;
        if over == 0.0 {
            continue;
        }
        let under = f32::from(below[3]) / 255.0 * (1.0 - over);
        let sum = over + under;
        for (below, above) in below.iter_mut().zip(above).take(3) {
            *below = ((f32::from(*above) * over + f32::from(*below) * under) / sum + 0.5) as u8;
        }
        below[3] = (sum * 255.0 + 0.5) as u8;
    }
}
