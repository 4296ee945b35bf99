//! Where a picture is interesting: edges, skin and strong colours on a small copy, as libvips' "attention" looks for it.

use super::resample::smooth;
use crate::{Error, Picture};

/// The copy's sides.
const SIDE: u32 = 32;
/// The direction of skin in colour space, and how near a colour must be.
const SKIN: [f32; 3] = [0.78, 0.57, 0.44];
const SKIN_LEAST: f32 = 0.8;

/// The left upper corner of the best part of this size.
pub(super) fn best(picture: &Picture, width: u32, height: u32) -> Result<(u32, u32), Error> {
    let mut flat = picture.clone();
    flat.flatten([255, 255, 255]);
    let small = smooth(&flat, SIDE, SIDE)?;
    let side = SIDE as usize;
    let at = |x: usize, y: usize| {
        let [red, green, blue, _] = small.pixel(x as u32, y as u32).map(f32::from);
        [red, green, blue]
    };
    let light = |x: usize, y: usize| {
        let [red, green, blue] = at(x, y);
        0.3 * red + 0.59 * green + 0.11 * blue
    };
    let mut interest = vec![0.0f32; side * side];
    for y in 0..side {
        for x in 0..side {
            let inner = (1..side - 1).contains(&x) && (1..side - 1).contains(&y);
            let edge = if inner {
                (4.0 * light(x, y) - light(x - 1, y) - light(x + 1, y) - light(x, y - 1) - light(x, y + 1))
                    .abs()
                    / 5.0
            } else {
                0.0
            };
            let colour = at(x, y);
            let length = colour.iter().map(|value| value * value).sum::<f32>().sqrt().max(1.0);
            let distance = colour
                .iter()
                .zip(SKIN)
                .map(|(value, skin)| (value / length - skin).powi(2))
                .sum::<f32>()
                .sqrt();
            let likeness = 1.0 - distance;
            let skin = if likeness > SKIN_LEAST && light(x, y) > 20.0 {
                (likeness - SKIN_LEAST) * 500.0
            } else {
                0.0
            };
            let (most, least) =
                (colour[0].max(colour[1]).max(colour[2]), colour[0].min(colour[1]).min(colour[2]));
            let strong = (most - least) * 0.3;
            interest[y * side + x] = edge + skin + strong;
        }
    }
    // The part is centred on the point around which there is most, weighed by the part's size.
    let scale = |part: u32, whole: u32| part as f32 * SIDE as f32 / whole as f32;
    let (part_width, part_height) = (scale(width, picture.width()), scale(height, picture.height()));
    let sigma = (part_width.hypot(part_height) / 10.0).max(1.0);
    let around = |centre_x: usize, centre_y: usize| {
        let mut sum = 0.0;
        for y in 0..side {
            for x in 0..side {
                let distance = (x.abs_diff(centre_x).pow(2) + y.abs_diff(centre_y).pow(2)) as f32;
                sum += interest[y * side + x] * (-distance / (2.0 * sigma * sigma)).exp();
            }
        }
        sum
    };
    let mut best = (0.0, side / 2, side / 2);
    for y in 0..side {
        for x in 0..side {
            let here = around(x, y);
            if here > best.0 {
                best = (here, x, y);
            }
        }
    }
    let start = |centre: usize, part: u32, whole: u32| {
        let centre = (centre as u64 * u64::from(whole) + u64::from(whole) / 2) / u64::from(SIDE);
        (centre.saturating_sub(u64::from(part) / 2) as u32).min(whole - part)
    };
    Ok((start(best.1, width, picture.width()), start(best.2, height, picture.height())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_only_thing_in_the_picture_is_kept() {
        let mut picture = Picture::filled(400, 100, [240, 240, 240, 255]);
        picture.place(&Picture::filled(40, 40, [200, 30, 30, 255]), 320, 30);
        let (left, top) = best(&picture, 100, 100).unwrap();
        assert!((260..=320).contains(&left), "{left}");
        assert_eq!(top, 0);
    }
}
