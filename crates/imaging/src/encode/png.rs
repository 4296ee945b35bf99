use std::borrow::Cow;

use png::{BitDepth, ColorType, Compression, Encoder, Filter, Info};

use super::palette;
use crate::{Error, Format, Metadata, Picture};

/// Where XMP is kept.
const XMP_KEYWORD: &str = "XML:com.adobe.xmp";

pub(super) fn encode(picture: &Picture, metadata: &Metadata, colours: Option<u16>) -> Result<Vec<u8>, Error> {
    let failed = |error: png::EncodingError| Error::encoder(Format::Png, error);
    let mut info = Info::with_size(picture.width(), picture.height());
    info.icc_profile = metadata.icc.clone().map(Cow::Owned);
    info.exif_metadata = metadata.exif.clone().map(Cow::Owned);
    // A picture that came with a palette goes with one.
    let colours = colours.or(metadata.palette.then_some(256));
    let pixels: Cow<'_, [u8]> = if let Some(colours) = colours {
        let indexed = palette::reduce(picture, colours);
        let bits = match indexed.colours.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        info.color_type = ColorType::Indexed;
        info.bit_depth = BitDepth::from_u8(bits).unwrap_or(BitDepth::Eight);
        info.palette = Some(indexed.colours.iter().flat_map(|colour| &colour[..3]).copied().collect());
        if picture.alpha() {
            info.trns = Some(indexed.colours.iter().map(|colour| colour[3]).collect());
        }
        Cow::Owned(packed(&indexed.indices, picture.width() as usize, usize::from(bits)))
    } else if picture.alpha() {
        info.color_type = ColorType::Rgba;
        Cow::Borrowed(picture.pixels())
    } else {
        info.color_type = ColorType::Rgb;
        Cow::Owned(
            picture
                .pixels()
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|&[red, green, blue, _]| [red, green, blue])
                .collect(),
        )
    };
    let indexed = info.color_type == ColorType::Indexed;
    let mut file = Vec::new();
    let mut encoder = Encoder::with_info(&mut file, info).map_err(failed)?;
    encoder.set_compression(Compression::Balanced);
    // Differences between numbers of colours mean nothing.
    encoder.set_filter(if indexed { Filter::NoFilter } else { Filter::Adaptive });
    if let Some(xmp) = metadata.xmp.as_ref().and_then(|xmp| String::from_utf8(xmp.clone()).ok()) {
        encoder.add_itxt_chunk(XMP_KEYWORD.to_owned(), xmp).map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

/// Several small numbers in a byte, the first in the highest bits; each row begins a byte.
fn packed(indices: &[u8], width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return indices.to_vec();
    }
    let per_byte = 8 / bits;
    let pack = |group: &[u8]| {
        group.iter().enumerate().fold(0, |byte, (number, index)| byte | (index << (8 - bits * (number + 1))))
    };
    indices.chunks(width).flat_map(|row| row.chunks(per_byte).map(pack)).collect()
}
