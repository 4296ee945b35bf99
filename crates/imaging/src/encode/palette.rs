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

pub(super) fn reduce(picture: &Picture, most: u16) -> Indexed {
    let most = usize::from(most.clamp(2, 256));
    if let Some(indexed) = exact(picture, most) {
        return indexed;
    }
    let network = NeuQuant::new(SAMPLING, most, picture.pixels());
    let map = network.color_map_rgba();
    let colours = map.as_chunks::<4>().0.iter().take(most).copied().collect();
    let indices = picture.pixels().chunks_exact(4).map(|pixel| network.index_of(pixel) as u8).collect();
    Indexed { colours, indices }
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
