//! Files to pixels. Limits have been checked on the header before anything here runs.

mod av1;
mod avif;
mod gif;
mod jpeg;
mod other;
mod png;
mod webp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Format, Frame, Header, Metadata, Patience, header};

/// What to decode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// So many frames at most; 1 is the first alone.
    pub(crate) frames: u32,
    /// A JPEG may be decoded at an eighth, a quarter or half of its size: 8, 4, 2 or 1.
    pub(crate) shrink: u32,
}

/// Pixels, not yet turned upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// At least one.
    pub(crate) frames: Vec<Frame>,
    /// How often an animation plays; 0 is for ever.
    pub(crate) loops: u16,
    /// The header's, and what only the decoder could read.
    pub(crate) metadata: Metadata,
}

impl Decoded {
    fn still(picture: crate::Picture, header: &Header) -> Self {
        Self { frames: vec![Frame { picture, delay: 0 }], loops: 0, metadata: header.metadata.clone() }
    }
}

/// Decodes.
pub(crate) fn decode(
    bytes: &[u8],
    header: &Header,
    wanted: Wanted,
    patience: &Patience,
) -> Result<Decoded, Error> {
    patience.check()?;
    // What they read comes from strangers. `image-webp` 0.2.4 panics where a frame says another size than
    // the animation, and it may not be the last one that does.
    let decoded = catch_unwind(AssertUnwindSafe(|| by_format(bytes, header, wanted, patience)));
    decoded.unwrap_or_else(|_| Err(Error::damaged(header.format, "its decoder gave up")))
}

fn by_format(bytes: &[u8], header: &Header, wanted: Wanted, patience: &Patience) -> Result<Decoded, Error> {
    match header.format {
        Format::Jpeg => jpeg::decode(bytes, header, wanted.shrink),
        Format::Png => png::decode(bytes, header),
        Format::Webp => webp::decode(bytes, header, wanted.frames, patience),
        Format::Gif => gif::decode(bytes, header, wanted.frames, patience),
        Format::Avif => avif::decode(bytes, header),
        Format::Ico => match header::ico_png(bytes) {
            // The `image` crate reads no PNGs in it but those with transparency.
            Some(bytes) => png::decode(bytes, header),
            None => other::decode(bytes, header),
        },
        Format::Bmp | Format::Tiff => other::decode(bytes, header),
        format @ (Format::Svg | Format::Heic) => Err(Error::CannotRead(format)),
    }
}

/// Room for what a decoder holds beside its output, in bytes: a few times the pixels that were allowed.
fn memory(header: &Header) -> usize {
    (header.width as usize).saturating_mul(header.height as usize).saturating_mul(16).saturating_add(16 << 20)
}
