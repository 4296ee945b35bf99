//! At most 256 colours, for GIF and for PNG on request: exactly those of the picture if they are few, else NeuQuant's.

use std::collections::HashMap;

use color_quant::NeuQuant;

use crate::Picture;
use crate::picture::Rgba;

/// A picture as numbers of colours.
pub(super) struct Indexed {
    /// Not more than asked for.
    pub(super) colours: Vec<Rgba>,
    /// One for each pixel.
    pub(super) indices: Vec<u8>,
}

/// NeuQuant looks at every n-th pixel; from 1 (best) to 30.
const SAMPLING: i32 = 10;
/// It learns from pixels, and from fewer than this nothing good: a small picture is shown to it several times.
const LESSONS: usize = 1 << 16;

pub(super) fn reduce(picture: &Picture, most: u16) -> Indexed {
    let most = usize::from(most.clamp(2, 256));
    if let Some(indexed) = exact(picture, most) {
        return indexed;
    }
    // What is invisible has the first number to itself: left to the network it may come out as something visible.
    let (pixels, _) = picture.pixels().as_chunks::<4>();
    let seen: Vec<Rgba> = pixels.iter().filter(|pixel| pixel[3] != 0).copied().collect();
    let hole = usize::from(seen.len() < pixels.len());
    let lessons = seen.repeat((LESSONS / seen.len().max(1)).max(1));
    let network = NeuQuant::new(SAMPLING, most - hole, lessons.as_flattened());
    let map = network.color_map_rgba();
    let mut colours = vec![[0; 4]; hole];
    // Among opaque colours it leaves one of its own that is not.
    let opaque = seen.iter().all(|pixel| pixel[3] == 255);
    let whole = |&[red, green, blue, alpha]: &Rgba| [red, green, blue, if opaque { 255 } else { alpha }];
    colours.extend(map.as_chunks::<4>().0.iter().take(most - hole).map(whole));
    let number = |pixel: &Rgba| match pixel[3] {
        0 => 0,
        _ => (network.index_of(pixel) + hole) as u8,
    };
    Indexed { colours, indices: pixels.iter().map(number).collect() }
}

/// If the picture has no more colours than that. Whatever is invisible is one colour.
fn exact(picture: &Picture, most: usize) -> Option<Indexed> {
    let mut numbers: HashMap<Rgba, u8> = HashMap::with_capacity(most);
    let mut colours = Vec::new();
    let mut indices = Vec::with_capacity(picture.pixels().len() / 4);
    for &pixel in picture.pixels().as_chunks::<4>().0 {
        let pixel = if pixel[3] == 0 { [0; 4] } else { pixel };
        let number = match numbers.get(&pixel) {
            Some(&number) => number,
            None if colours.len() == most => return None,
            None => {
                let number = colours.len() as u8;
                numbers.insert(pixel, number);
                colours.push(pixel);
                number
            }
        };
        indices.push(number);
    }
    Some(Indexed { colours, indices })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A thousand colours and a hole on the left.
    fn many(hole: u32) -> Picture {
        let pixel = |x: u32, y: u32| match x {
            _ if x < hole => [0; 4],
            _ => [(x * 6) as u8, (y * 10) as u8, ((x + y) * 4) as u8, 255],
        };
        let pixels = (0..25).flat_map(|y| (0..40).flat_map(move |x| pixel(x, y))).collect();
        Picture::from_rgba(40, 25, hole > 0, pixels).unwrap()
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let indexed = reduce(&many(9), 256);
        assert_eq!((indexed.colours.len(), indexed.colours[0]), (256, [0; 4]));
        let holes = indexed.indices.iter().filter(|index| **index == 0).count();
        assert_eq!(holes, 9 * 25);
        assert!(indexed.colours[1..].iter().all(|colour| colour[3] == 255), "{:?}", indexed.colours);
    }

    #[test]
    fn a_small_picture_keeps_its_colours() {
        let picture = many(0);
        let indexed = reduce(&picture, 256);
        let pixels = picture.pixels().as_chunks::<4>().0;
        let far = |(pixel, index): (&Rgba, &u8)| {
            let colour = indexed.colours[usize::from(*index)];
            pixel.iter().zip(colour).map(|(one, other)| u32::from(one.abs_diff(other))).sum::<u32>()
        };
        let sum: u32 = pixels.iter().zip(&indexed.indices).map(far).sum();
        assert!(sum < 20 * 1000, "{} a pixel", sum / 1000);
    }
}
