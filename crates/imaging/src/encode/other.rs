//! BMP, TIFF and ICO.

use std::io::Cursor;

use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::bmp::BmpEncoder;
use image::codecs::tiff::TiffEncoder;

use super::png;
use crate::{Error, Format, Metadata, Picture};

/// The largest side that ICO has a number for.
const MOST_ICO: u32 = 256;

pub(super) fn bmp(picture: &Picture) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    BmpEncoder::new(&mut file)
        .write_image(&without_alpha(picture), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| Error::encoder(Format::Bmp, error))?;
    Ok(file)
}

pub(super) fn tiff(picture: &Picture) -> Result<Vec<u8>, Error> {
    let mut file = Cursor::new(Vec::new());
    let encoder = TiffEncoder::new(&mut file);
    let (width, height) = (picture.width(), picture.height());
    let written = if picture.alpha() {
        encoder.write_image(picture.pixels(), width, height, ExtendedColorType::Rgba8)
    } else {
        encoder.write_image(&without_alpha(picture), width, height, ExtendedColorType::Rgb8)
    };
    written.map_err(|error| Error::encoder(Format::Tiff, error))?;
    Ok(file.into_inner())
}

/// One PNG with a directory of one entry before it.
pub(super) fn ico(picture: &Picture, metadata: &Metadata) -> Result<Vec<u8>, Error> {
    if picture.width() > MOST_ICO || picture.height() > MOST_ICO {
        return Err(Error::encoder(Format::Ico, "larger than 256 pixels"));
    }
    let png = png::encode(picture, metadata, None)?;
    // 256 is written as 0.
    let side = |side: u32| (side % MOST_ICO) as u8;
    let mut file = vec![0, 0, 1, 0, 1, 0, side(picture.width()), side(picture.height()), 0, 0, 1, 0, 32, 0];
    file.extend_from_slice(&(png.len() as u32).to_le_bytes());
    file.extend_from_slice(&22u32.to_le_bytes());
    file.extend_from_slice(&png);
    Ok(file)
}

fn without_alpha(picture: &Picture) -> Vec<u8> {
    picture.pixels().as_chunks::<4>().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
}
