use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Error, Format, Picture};

/// To another size: Lanczos with three lobes, on premultiplied colours where there is transparency.
pub(crate) fn resample(picture: &Picture, width: u32, height: u32) -> Result<Picture, Error> {
    with(picture, width, height, FilterType::Lanczos3)
}

/// Rough and quick, for what is looked at by nobody.
pub(super) fn smooth(picture: &Picture, width: u32, height: u32) -> Result<Picture, Error> {
    with(picture, width, height, FilterType::Bilinear)
}

fn with(picture: &Picture, width: u32, height: u32, filter: FilterType) -> Result<Picture, Error> {
    // The sizes are our own and the buffers fit them, so that nothing is left to go wrong but memory.
    let failed = |reason: String| Error::encoder(Format::Bmp, reason);
    let source = ImageRef::new(picture.width(), picture.height(), picture.pixels(), PixelType::U8x4)
        .map_err(|error| failed(error.to_string()))?;
    let mut target = Image::new(width.max(1), height.max(1), PixelType::U8x4);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(picture.alpha());
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(error.to_string()))?;
    Picture::from_rgba(width.max(1), height.max(1), picture.alpha(), target.into_vec())
        .ok_or_else(|| failed("no pixels".to_owned()))
}
