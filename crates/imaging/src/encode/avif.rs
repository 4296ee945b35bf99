use avif::Options;

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
    let options = Options { quality, speed: speed(wanted), exif: metadata.exif.as_deref() };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    avif::encode(picture.pixels(), width, height, options)
        .map_err(|error| Error::encoder(Format::Avif, error))
}
