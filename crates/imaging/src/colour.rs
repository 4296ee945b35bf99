//! Other colours to sRGB, which is all that a browser is sure to show right.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::Picture;

/// Whether a profile is the usual sRGB one, which needs no conversion: by the fields of its header that say who made it.
fn is_srgb(icc: &[u8]) -> bool {
    let at = |start: usize, end: usize| icc.get(start..end).unwrap_or_default();
    at(48, 52) == b"IEC " && at(52, 56) == b"sRGB"
}

/// Converts the pixels from the profile to sRGB. A profile that cannot be used leaves them as they are.
pub(crate) fn to_srgb(picture: &mut Picture, icc: &[u8]) {
    if is_srgb(icc) {
        return;
    }
    let Ok(source) = ColorProfile::new_from_slice(icc) else { return };
    if source.color_space != DataColorSpace::Rgb {
        return;
    }
    let srgb = ColorProfile::new_srgb();
    let transform =
        source.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, TransformOptions::default());
    let Ok(transform) = transform else { return };
    let mut converted = vec![0; picture.pixels().len()];
    if transform.transform(picture.pixels(), &mut converted).is_ok() {
        picture.pixels_mut().copy_from_slice(&converted);
    }
}

/// Four inks to RGBA, in place. Adobe's programs store them inverted.
pub(crate) fn inks_to_srgb(pixels: &mut [u8], icc: Option<&[u8]>, inverted: bool) {
    // Profiles mean "much ink" by high numbers.
    if inverted {
        pixels.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    if icc.and_then(|icc| convert_inks(pixels, icc)).is_some() {
        return;
    }
    for inks in pixels.chunks_exact_mut(4) {
        let black = 255 - u32::from(inks[3]);
        for ink in &mut inks[..3] {
            *ink = ((255 - u32::from(*ink)) * black / 255) as u8;
        }
        inks[3] = 255;
    }
}

fn convert_inks(pixels: &mut [u8], icc: &[u8]) -> Option<()> {
    let source = ColorProfile::new_from_slice(icc).ok()?;
    if source.color_space != DataColorSpace::Cmyk {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    // Four inks have the layout of four channels.
    let transform =
        source.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, TransformOptions::default()).ok()?;
    let mut converted = vec![0; pixels.len()];
    transform.transform(pixels, &mut converted).ok()?;
    converted.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
    pixels.copy_from_slice(&converted);
    Some(())
}
