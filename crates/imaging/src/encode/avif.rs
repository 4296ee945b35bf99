use ravif::{AlphaColorMode, BitDepth, Encoder, Img, RGBA8};

use crate::{Error, Format, Metadata, Picture};

/// rav1e's speeds for imgproxy's 0 to 9. Its scale is libaom's; rav1e takes about as long two steps further.
const fn speed(wanted: u8) -> u8 {
    let speed = wanted + 3;
    if speed > 10 { 10 } else { speed }
}

pub(super) fn encode(
    picture: &Picture,
    quality: u8,
    metadata: &Metadata,
    wanted: u8,
) -> Result<Vec<u8>, Error> {
    let failed = |error: ravif::Error| Error::encoder(Format::Avif, error);
    let quality = f32::from(quality);
    let mut encoder = Encoder::new()
        .with_quality(quality)
        .with_alpha_quality(quality)
        .with_speed(speed(wanted))
        // Ten bits compress better, but cost twice the time and not every decoder has them.
        .with_bit_depth(BitDepth::Eight)
        .with_alpha_color_mode(AlphaColorMode::UnassociatedClean);
    if let Some(exif) = &metadata.exif {
        encoder = encoder.with_exif(exif.as_slice());
    }
    let pixels: Vec<RGBA8> = picture
        .pixels()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&[red, green, blue, alpha]| RGBA8::new(red, green, blue, alpha))
        .collect();
    let image = Img::new(pixels.as_slice(), picture.width() as usize, picture.height() as usize);
    Ok(encoder.encode_rgba(image).map_err(failed)?.avif_file)
}
