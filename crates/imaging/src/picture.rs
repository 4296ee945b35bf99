use crate::Orientation;

/// Pixels: 8 bits a channel, RGBA, rows without gaps. One layout for everything: the decoders write it, the SIMD paths of
/// the resizer are made for it, and the encoders read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    /// Whether the fourth channel says anything; if not, it is 255 everywhere.
    alpha: bool,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{}, alpha: {})", self.width, self.height, self.alpha)
    }
}

/// One pixel.
pub type Rgba = [u8; 4];

impl Picture {
    /// From RGBA bytes. `None` if their number does not fit, or a side is zero.
    pub fn from_rgba(width: u32, height: u32, alpha: bool, pixels: Vec<u8>) -> Option<Self> {
        let bytes = (width as usize).checked_mul(height as usize)?.checked_mul(4)?;
        (bytes == pixels.len() && bytes > 0).then_some(Self { width, height, alpha, pixels })
    }

    /// One colour everywhere.
    pub fn filled(width: u32, height: u32, colour: Rgba) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let pixels = colour.repeat(width as usize * height as usize);
        Self { width, height, alpha: colour[3] != 255, pixels }
    }

    /// In pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether there is transparency to speak of.
    pub fn alpha(&self) -> bool {
        self.alpha
    }

    /// RGBA bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    pub(crate) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.pixels.chunks_exact(self.width as usize * 4)
    }

    pub(crate) fn pixel(&self, x: u32, y: u32) -> Rgba {
        let at = (y as usize * self.width as usize + x as usize) * 4;
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], self.pixels[at + 3]]
    }

    /// The part at (left, top), which is moved and cut to lie inside.
    pub fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Self {
        let (width, height) = (width.clamp(1, self.width), height.clamp(1, self.height));
        let (left, top) = (left.min(self.width - width), top.min(self.height - height));
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 4);
        let (from, to) = (left as usize * 4, (left + width) as usize * 4);
        for row in self.rows().skip(top as usize).take(height as usize) {
            pixels.extend_from_slice(&row[from..to]);
        }
        Self { width, height, alpha: self.alpha, pixels }
    }

    /// Placed on a transparent canvas. What lies outside is lost.
    pub fn embed(&self, width: u32, height: u32, left: i64, top: i64) -> Self {
        let mut canvas = Self::filled(width, height, [0, 0, 0, 0]);
        canvas.place(self, left, top);
        canvas
    }

    /// Copies another picture into this one, without blending.
    pub(crate) fn place(&mut self, other: &Self, left: i64, top: i64) {
        let from_x = (-left).clamp(0, i64::from(other.width)) as usize;
        let to_x = left.max(0) as usize;
        if to_x >= self.width as usize {
            return;
        }
        let count = (other.width as usize - from_x).min(self.width as usize - to_x);
        let stride = self.width as usize * 4;
        for (y, row) in other.rows().enumerate() {
            let Ok(to_y) = usize::try_from(top + y as i64) else { continue };
            if to_y >= self.height as usize {
                break;
            }
            let start = to_y * stride + to_x * 4;
            self.pixels[start..start + count * 4].copy_from_slice(&row[from_x * 4..(from_x + count) * 4]);
        }
    }

    /// On a colour, without transparency.
    pub fn flatten(&mut self, [red, green, blue]: [u8; 3]) {
        if !self.alpha {
            return;
        }
        for pixel in self.pixels.chunks_exact_mut(4) {
            let alpha = u32::from(pixel[3]);
            for (channel, below) in pixel.iter_mut().zip([red, green, blue]) {
                let sum = u32::from(*channel) * alpha + u32::from(below) * (255 - alpha);
                *channel = ((sum + 127) / 255) as u8;
            }
            pixel[3] = 255;
        }
        self.alpha = false;
    }

    /// Turned, then mirrored.
    pub fn orient(self, orientation: Orientation) -> Self {
        let turned = match orientation.angle {
            90 => self.turned(|x, y, _, height| (height - 1 - y, x)),
            180 => self.reversed(),
            270 => self.turned(|x, y, width, _| (y, width - 1 - x)),
            _ => self,
        };
        if orientation.flip { turned.mirrored() } else { turned }
    }

    /// By a quarter: `to` gives each pixel's new place from its old one and the old size.
    fn turned(self, to: impl Fn(usize, usize, usize, usize) -> (usize, usize)) -> Self {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut pixels = vec![0; self.pixels.len()];
        // Blocks that fit the cache, since one of the two sides is walked column by column.
        const BLOCK: usize = 32;
        for block_y in (0..height).step_by(BLOCK) {
            for block_x in (0..width).step_by(BLOCK) {
                for y in block_y..(block_y + BLOCK).min(height) {
                    for x in block_x..(block_x + BLOCK).min(width) {
                        let (to_x, to_y) = to(x, y, width, height);
                        let (from, at) = ((y * width + x) * 4, (to_y * height + to_x) * 4);
                        pixels[at..at + 4].copy_from_slice(&self.pixels[from..from + 4]);
                    }
                }
            }
        }
        Self { width: self.height, height: self.width, alpha: self.alpha, pixels }
    }

    fn reversed(mut self) -> Self {
        self.pixels.reverse();
        for pixel in self.pixels.chunks_exact_mut(4) {
            pixel.reverse();
        }
        self
    }

    fn mirrored(mut self) -> Self {
        for row in self.pixels.chunks_exact_mut(self.width as usize * 4) {
            row.reverse();
            for pixel in row.chunks_exact_mut(4) {
                pixel.reverse();
            }
        }
        self
    }
}

/// One picture of an animation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// All of the canvas, with what earlier frames left on it.
    pub picture: Picture,
    /// How long it is shown, in milliseconds.
    pub delay: u32,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 3×2, each pixel its own red value.
    fn numbered() -> Picture {
        let pixels = (0..6u8).flat_map(|number| [number, 0, 0, 255]).collect();
        Picture::from_rgba(3, 2, false, pixels).unwrap()
    }

    fn reds(picture: &Picture) -> Vec<u8> {
        picture.pixels().chunks_exact(4).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn every_exif_orientation_stands_upright() {
        let turned = |exif| {
            let picture = numbered().orient(Orientation::from_exif(exif));
            (picture.width(), picture.height(), reds(&picture))
        };
        assert_eq!(turned(1), (3, 2, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(turned(2), (3, 2, vec![2, 1, 0, 5, 4, 3]));
        assert_eq!(turned(3), (3, 2, vec![5, 4, 3, 2, 1, 0]));
        assert_eq!(turned(4), (3, 2, vec![3, 4, 5, 0, 1, 2]));
        assert_eq!(turned(5), (2, 3, vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(turned(6), (2, 3, vec![3, 0, 4, 1, 5, 2]));
        assert_eq!(turned(7), (2, 3, vec![5, 2, 4, 1, 3, 0]));
        assert_eq!(turned(8), (2, 3, vec![2, 5, 1, 4, 0, 3]));
    }

    #[test]
    fn a_crop_stays_inside() {
        assert_eq!(reds(&numbered().crop(1, 0, 2, 2)), [1, 2, 4, 5]);
        assert_eq!(reds(&numbered().crop(9, 9, 1, 1)), [5]);
        assert_eq!(reds(&numbered().crop(0, 0, 9, 9)).len(), 6);
    }

    #[test]
    fn what_is_embedded_outside_is_lost() {
        let canvas = numbered().embed(2, 2, -1, 1);
        assert_eq!(canvas.pixels(), [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 255, 2, 0, 0, 255]);
        assert_eq!(numbered().embed(2, 2, 5, -9).pixels(), [0; 16]);
    }

    #[test]
    fn transparency_shows_the_background() {
        let mut picture = Picture::from_rgba(2, 1, true, vec![10, 20, 30, 0, 200, 100, 0, 128]).unwrap();
        picture.flatten([255, 255, 255]);
        assert_eq!(picture.pixels(), [255, 255, 255, 255, 227, 177, 127, 255]);
        assert!(!picture.alpha());
    }
}
