use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::{Error, Format, Metadata, Picture};

/// From here on colours are kept at full size, as libvips does.
const FULL_COLOUR: u8 = 90;
/// A segment's length counts itself and has 16 bits.
const MOST_IN_SEGMENT: usize = 65533;

pub(super) fn encode(
    picture: &Picture,
    quality: u8,
    metadata: &Metadata,
    progressive: bool,
) -> Result<Vec<u8>, Error> {
    let failed = |error: turbojpeg::Error| Error::encoder(Format::Jpeg, error);
    let mut encoder = Compressor::new().map_err(failed)?;
    encoder.set_quality(i32::from(quality)).map_err(failed)?;
    let colours = if quality >= FULL_COLOUR { Subsamp::None } else { Subsamp::Sub2x2 };
    encoder.set_subsamp(colours).map_err(failed)?;
    encoder.set_optimize(true).map_err(failed)?;
    encoder.set_progressive(progressive).map_err(failed)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let image =
        Image { pixels: picture.pixels(), width, pitch: width * 4, height, format: PixelFormat::RGBA };
    let plain = encoder.compress_to_vec(image).map_err(failed)?;
    Ok(with_segments(plain, metadata))
}

/// Puts the metadata behind the first segment, where readers look for it.
fn with_segments(plain: Vec<u8>, metadata: &Metadata) -> Vec<u8> {
    let mut segments = Vec::new();
    let mut add = |marker: u8, prefix: &[u8], body: &[u8]| {
        let length = prefix.len() + body.len() + 2;
        if let Ok(length) = u16::try_from(length) {
            segments.extend_from_slice(&[0xff, marker]);
            segments.extend_from_slice(&length.to_be_bytes());
            segments.extend_from_slice(prefix);
            segments.extend_from_slice(body);
        }
    };
    if let Some(exif) = &metadata.exif {
        add(0xe1, b"Exif\0\0", exif);
    }
    if let Some(xmp) = &metadata.xmp {
        add(0xe1, b"http://ns.adobe.com/xap/1.0/\0", xmp);
    }
    if let Some(icc) = &metadata.icc {
        let parts = icc.chunks(MOST_IN_SEGMENT - 14);
        if let Ok(count) = u8::try_from(parts.len()) {
            for (number, part) in (1..=count).zip(parts) {
                add(0xe2, &[b"ICC_PROFILE\0".as_slice(), &[number, count]].concat(), part);
            }
        }
    }
    if let Some(iptc) = &metadata.iptc {
        add(0xed, b"Photoshop 3.0\0", iptc);
    }
    if segments.is_empty() {
        return plain;
    }
    // Start of image, then JFIF's own segment of 16 bytes and its marker.
    let at = if plain.get(2..4) == Some(&[0xff, 0xe0]) {
        4 + usize::from(plain[4]) * 256 + usize::from(plain[5])
    } else {
        2
    };
    let at = at.min(plain.len());
    [&plain[..at], &segments, &plain[at..]].concat()
}
