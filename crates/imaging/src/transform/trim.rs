use super::options::Trim;
use crate::Picture;

/// Behind transparency while looking for the border, as in imgproxy: a colour that is in no picture.
const BEHIND: [u8; 3] = [255, 0, 255];

/// Without its border. A picture that is nothing but border stays.
pub(super) fn trim(picture: Picture, options: &Trim) -> Picture {
    let mut flat = picture.clone();
    flat.flatten(BEHIND);
    let [red, green, blue, _] = flat.pixel(0, 0);
    let border = options.colour.unwrap_or([red, green, blue]);
    let differs = |pixel: &[u8]| {
        pixel
            .iter()
            .zip(border)
            .any(|(&channel, border)| f64::from(channel.abs_diff(border)) > options.threshold)
    };
    let width = flat.width() as usize;
    let mask: Vec<bool> = flat.pixels().chunks_exact(4).map(|pixel| differs(&pixel[..3])).collect();
    let height = mask.len() / width;
    // A lone speck is no content: libvips takes the median of nine first.
    let solid = |x: usize, y: usize| {
        let around = |at: usize, most: usize| [at.saturating_sub(1), at, (at + 1).min(most - 1)];
        let count = around(y, height)
            .into_iter()
            .flat_map(|y| around(x, width).map(|x| mask[y * width + x]))
            .filter(|&differs| differs)
            .count();
        count >= 5
    };
    let (mut left, mut top, mut right, mut bottom) = (width, height, 0, 0);
    for y in 0..height {
        for x in 0..width {
            if solid(x, y) {
                (left, right) = (left.min(x), right.max(x + 1));
                (top, bottom) = (top.min(y), y + 1);
            }
        }
    }
    if right == 0 {
        return picture;
    }
    if options.equal_horizontally {
        let least = left.min(width - right);
        (left, right) = (least, width - least);
    }
    if options.equal_vertically {
        let least = top.min(height - bottom);
        (top, bottom) = (least, height - least);
    }
    picture.crop(left as u32, top as u32, (right - left) as u32, (bottom - top) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(trim_options: &Trim) -> (u32, u32) {
        let mut picture = Picture::filled(40, 30, [250, 250, 250, 255]);
        picture.place(&Picture::filled(10, 10, [0, 0, 0, 255]), 5, 8);
        picture.place(&Picture::filled(1, 1, [0, 0, 0, 255]), 39, 29);
        let trimmed = trim(picture, trim_options);
        (trimmed.width(), trimmed.height())
    }

    #[test]
    fn a_border_goes_and_specks_with_it() {
        let options =
            Trim { threshold: 10.0, colour: None, equal_horizontally: false, equal_vertically: false };
        assert_eq!(sizes(&options), (10, 10));
        assert_eq!(sizes(&Trim { equal_horizontally: true, ..options }), (30, 10));
        assert_eq!(sizes(&Trim { equal_vertically: true, ..options }), (10, 14));
        assert_eq!(sizes(&Trim { colour: Some([0, 0, 0]), ..options }), (40, 30));
        assert_eq!(sizes(&Trim { threshold: 255.0, ..options }), (40, 30));
    }
}
