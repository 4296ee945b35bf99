//! RGB to light and colour differences (BT.601, all 256 values), and transparency apart.

/// Samples, rows without gaps.
pub(crate) struct Plane {
    pub(crate) width: usize,
    pub(crate) samples: Vec<u8>,
}

pub(crate) struct Planes {
    pub(crate) light: Plane,
    pub(crate) cb: Plane,
    pub(crate) cr: Plane,
    /// If anything is transparent.
    pub(crate) alpha: Option<Plane>,
}

/// 2^16 stands for 1; a half is added before the lower bits are cut off.
const HALF: i32 = 1 << 15;

fn light([red, green, blue]: [i32; 3]) -> u8 {
    ((19_595 * red + 38_470 * green + 7_471 * blue + HALF) >> 16) as u8
}

fn differences([red, green, blue]: [i32; 3]) -> (u8, u8) {
    let shifted = |sum: i32| (((sum + HALF) >> 16) + 128).clamp(0, 255) as u8;
    (
        shifted(-11_059 * red - 21_709 * green + 32_768 * blue),
        shifted(32_768 * red - 27_439 * green - 5_329 * blue),
    )
}

impl Planes {
    /// `halved` colours are means of four pixels.
    pub(crate) fn new(rgba: &[u8], width: usize, height: usize, halved: bool) -> Self {
        let pixels = rgba.as_chunks::<4>().0;
        let unseen = unseen(pixels);
        let colour = |&[red, green, blue, alpha]: &[u8; 4]| match alpha {
            0 => unseen,
            _ => [red, green, blue].map(i32::from),
        };
        let light = pixels.iter().map(|pixel| light(colour(pixel))).collect();
        let (mut cb, mut cr) = (Vec::new(), Vec::new());
        let step = if halved { 2 } else { 1 };
        for y in (0..height).step_by(step) {
            for x in (0..width).step_by(step) {
                let mut sums = [0; 3];
                // At an odd edge the last row or column stands for the next one, too.
                for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let (x, y) = (x + right.min(step - 1), y + down.min(step - 1));
                    let colour = colour(&pixels[y.min(height - 1) * width + x.min(width - 1)]);
                    sums = [sums[0] + colour[0], sums[1] + colour[1], sums[2] + colour[2]];
                }
                let (blue, red) = differences(sums.map(|sum| (sum + 2) / 4));
                cb.push(blue);
                cr.push(red);
            }
        }
        let transparent = pixels.iter().any(|pixel| pixel[3] != 255);
        let alpha = transparent.then(|| pixels.iter().map(|pixel| pixel[3]).collect());
        let chroma = width.div_ceil(step);
        Self {
            light: Plane { width, samples: light },
            cb: Plane { width: chroma, samples: cb },
            cr: Plane { width: chroma, samples: cr },
            alpha: alpha.map(|samples| Plane { width, samples }),
        }
    }
}

/// The colour of what nobody sees: the mean of the rest, so that it costs few bits and does not bleed at the edges.
fn unseen(pixels: &[[u8; 4]]) -> [i32; 3] {
    let (mut sums, mut weight) = ([0u64; 3], 0u64);
    for &[red, green, blue, alpha] in pixels {
        let alpha = u64::from(alpha);
        weight += alpha;
        for (sum, channel) in sums.iter_mut().zip([red, green, blue]) {
            *sum += u64::from(channel) * alpha;
        }
    }
    sums.map(|sum| i32::try_from(sum / weight.max(1)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_has_no_colour_and_edges_repeat() {
        let rgba = [[0, 0, 0, 255], [255, 255, 255, 255], [90, 90, 90, 255]].concat();
        let planes = Planes::new(&rgba, 3, 1, true);
        assert_eq!(planes.light.samples, [0, 255, 90]);
        assert_eq!((planes.cb.width, planes.cb.samples, planes.cr.samples), (2, vec![128; 2], vec![128; 2]));
        assert!(planes.alpha.is_none());
    }

    #[test]
    fn primary_colours_are_bt601s() {
        let rgba = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]].concat();
        let planes = Planes::new(&rgba, 3, 1, false);
        assert_eq!(planes.light.samples, [76, 150, 29]);
        assert_eq!(planes.cb.samples, [85, 44, 255]);
        assert_eq!(planes.cr.samples, [255, 21, 107]);
    }

    #[test]
    fn what_is_not_seen_looks_like_the_rest() {
        let rgba = [[10, 20, 30, 255], [200, 0, 0, 0], [30, 40, 50, 255]].concat();
        let planes = Planes::new(&rgba, 3, 1, false);
        let seen = Planes::new(&[20, 30, 40, 255], 1, 1, false);
        assert_eq!(planes.light.samples[1], seen.light.samples[0]);
        assert_eq!(planes.alpha.map(|alpha| alpha.samples), Some(vec![255, 0, 255]));
    }
}
