//! Blur, sharpen, pixelate.

use super::resample::smooth;
use crate::{Error, Picture};

/// A kernel ends where it falls below this part of its middle, as libvips cuts it.
const BLUR_CUT: f32 = 0.2;
const SHARPEN_CUT: f32 = 0.1;
/// Wider blurs are made on a smaller picture, so that no parameter makes the work grow.
const WIDEST: f32 = 12.0;

/// One half of a Gaussian, the middle first; both halves sum to 1.
fn kernel(sigma: f32, cut: f32) -> Vec<f32> {
    let mut half: Vec<f32> = (0u16..)
        .map(|x| (-(f32::from(x).powi(2)) / (2.0 * sigma * sigma)).exp())
        .take_while(|&value| value >= cut)
        .collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f32>();
    half.iter_mut().for_each(|value| *value /= sum);
    half
}

/// Along rows of `width` values, each of `N` channels. At the edges the last value goes on.
fn along<const N: usize>(values: &[[f32; N]], width: usize, kernel: &[f32]) -> Vec<[f32; N]> {
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        for x in 0..width {
            let mut sum = row[x].map(|value| value * kernel[0]);
            for (distance, weight) in kernel.iter().enumerate().skip(1) {
                let before = row[x.saturating_sub(distance)];
                let after = row[(x + distance).min(width - 1)];
                for channel in 0..N {
                    sum[channel] += (before[channel] + after[channel]) * weight;
                }
            }
            out.push(sum);
        }
    }
    out
}

fn transposed<const N: usize>(values: &[[f32; N]], width: usize) -> Vec<[f32; N]> {
    (0..width).flat_map(|x| values.iter().skip(x).step_by(width).copied()).collect()
}

fn gaussian<const N: usize>(values: &[[f32; N]], width: usize, kernel: &[f32]) -> Vec<[f32; N]> {
    let height = values.len() / width;
    let rows = along(values, width, kernel);
    transposed(&along(&transposed(&rows, width), height, kernel), height)
}

/// A Gaussian blur with this standard deviation.
pub(super) fn blur(picture: Picture, sigma: f32) -> Result<Picture, Error> {
    if sigma > WIDEST {
        let factor = f64::from(sigma / WIDEST);
        let side = |side: u32| ((f64::from(side) / factor).round() as u32).max(1);
        let (width, height) = (picture.width(), picture.height());
        let small = smooth(&picture, side(width), side(height))?;
        return smooth(&blur(small, WIDEST)?, width, height);
    }
    let kernel = kernel(sigma, BLUR_CUT);
    if kernel.len() < 2 {
        return Ok(picture);
    }
    let width = picture.width() as usize;
    let mut picture = picture;
    // Colours count as much as they are visible.
    let values: Vec<[f32; 4]> = picture
        .pixels()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&pixel| {
            let [red, green, blue, alpha] = pixel.map(f32::from);
            let visible = alpha / 255.0;
            [red * visible, green * visible, blue * visible, alpha]
        })
        .collect();
    let blurred = gaussian(&values, width, &kernel);
    for (pixel, [red, green, blue, alpha]) in picture.pixels_mut().chunks_exact_mut(4).zip(blurred) {
        let visible = (alpha / 255.0).max(1e-6);
        for (channel, value) in pixel.iter_mut().zip([red / visible, green / visible, blue / visible, alpha])
        {
            *channel = byte(value);
        }
    }
    Ok(picture)
}

fn byte(value: f32) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

/// sRGB bytes to light.
fn to_light(byte: u8) -> f32 {
    let value = f32::from(byte) / 255.0;
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Lightness of CIELAB, 0 to 100, of a luminance from 0 to 1.
fn lightness(luminance: f32) -> f32 {
    if luminance > 0.008_856 { 116.0 * luminance.cbrt() - 16.0 } else { 903.3 * luminance }
}

fn luminance(lightness: f32) -> f32 {
    if lightness > 8.0 { ((lightness + 16.0) / 116.0).powi(3) } else { lightness / 903.3 }
}

/// How much a difference in lightness becomes: none below 2, three times what is above, at most 10 brighter and 20 darker
/// (libvips' defaults).
fn emphasis(difference: f32) -> f32 {
    let above = (difference.abs() - 2.0).max(0.0) * 3.0;
    if difference > 0.0 { above.min(10.0) } else { -above.min(20.0) }
}

/// Unsharp masking of the lightness.
pub(super) fn sharpen(mut picture: Picture, sigma: f32) -> Picture {
    let kernel = kernel(sigma.min(WIDEST), SHARPEN_CUT);
    if kernel.len() < 2 {
        return picture;
    }
    let light: Vec<f32> = (0..=255).map(to_light).collect();
    let width = picture.width() as usize;
    let values: Vec<[f32; 1]> = picture
        .pixels()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&[red, green, blue, _]| {
            let luminance = 0.2126 * light[usize::from(red)]
                + 0.7152 * light[usize::from(green)]
                + 0.0722 * light[usize::from(blue)];
            [lightness(luminance)]
        })
        .collect();
    let blurred = gaussian(&values, width, &kernel);
    for (pixel, ([value], [blurred])) in
        picture.pixels_mut().chunks_exact_mut(4).zip(values.into_iter().zip(blurred))
    {
        let change = emphasis(value - blurred);
        if change == 0.0 {
            continue;
        }
        // The same factor on all three lights changes the lightness and keeps the hue.
        let (before, after) = (luminance(value), luminance((value + change).clamp(0.0, 100.0)));
        let factor = if before > 1e-4 { after / before } else { 1.0 };
        for channel in &mut pixel[..3] {
            let wanted = light[usize::from(*channel)] * factor;
            let value =
                if wanted <= 0.003_130_8 { wanted * 12.92 } else { 1.055 * wanted.powf(1.0 / 2.4) - 0.055 };
            *channel = byte(value * 255.0);
        }
    }
    picture
}

/// Squares of their mean colour.
pub(super) fn pixelate(mut picture: Picture, side: u32) -> Picture {
    let side = side.min(picture.width().max(picture.height())) as usize;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if side < 2 {
        return picture;
    }
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            let (bottom, right) = ((top + side).min(height), (left + side).min(width));
            let mut sum = [0u64; 4];
            for y in top..bottom {
                let row = &picture.pixels()[(y * width + left) * 4..(y * width + right) * 4];
                for pixel in row.chunks_exact(4) {
                    for (sum, channel) in sum.iter_mut().zip(pixel) {
                        *sum += u64::from(*channel);
                    }
                }
            }
            let count = ((bottom - top) * (right - left)) as u64;
            let mean = sum.map(|sum| ((sum + count / 2) / count) as u8);
            for y in top..bottom {
                let row = &mut picture.pixels_mut()[(y * width + left) * 4..(y * width + right) * 4];
                row.chunks_exact_mut(4).for_each(|pixel| pixel.copy_from_slice(&mean));
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Black on the left, white on the right.
    fn edge() -> Picture {
        let row: Vec<u8> =
            (0..32u8).flat_map(|x| [if x < 16 { 50 } else { 200 }; 3].into_iter().chain([255])).collect();
        Picture::from_rgba(32, 8, false, row.repeat(8)).unwrap()
    }

    fn row(picture: &Picture) -> Vec<u8> {
        picture.pixels()[..128].chunks_exact(4).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn a_blur_makes_a_slope() {
        let blurred = row(&blur(edge(), 3.0).unwrap());
        assert_eq!((blurred[0], blurred[31]), (50, 200));
        assert!(blurred.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(blurred[14] > 60 && blurred[17] < 190, "{blurred:?}");
        let wide = row(&blur(edge(), 1000.0).unwrap());
        assert!(wide.iter().all(|&value| (100..150).contains(&value)), "{wide:?}");
    }

    #[test]
    fn sharpening_overshoots_at_edges_only() {
        let sharp = row(&sharpen(edge(), 1.5));
        assert_eq!((sharp[0], sharp[31]), (50, 200));
        assert!(sharp[15] < 50 && sharp[16] > 200, "{sharp:?}");
    }

    #[test]
    fn squares_have_their_mean() {
        assert_eq!(row(&pixelate(edge(), 32)), [125; 32]);
        assert_eq!(row(&pixelate(edge(), 8)), row(&edge()));
        assert_eq!(pixelate(edge(), 1), edge());
    }
}
