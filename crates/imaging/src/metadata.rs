//! What is written in a picture beside its pixels.

use crate::exif::{self, Directory};
use crate::iptc;

/// What a file says beside its pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The colour profile.
    pub icc: Option<Vec<u8>>,
    /// From the TIFF header on.
    pub exif: Option<Vec<u8>>,
    /// An XML packet.
    pub xmp: Option<Vec<u8>>,
    /// Photoshop's resource blocks, as a JPEG has them.
    pub iptc: Option<Vec<u8>>,
    /// Whether a JPEG says that Adobe wrote it, whose CMYK is inverted.
    pub adobe: bool,
    /// Whether a PNG has a palette.
    pub palette: bool,
}

impl Metadata {
    /// Keeps who made the picture and who owns it, drops the rest (places, times, devices). The profile stays.
    pub fn copyright_only(&self) -> Self {
        Self {
            icc: self.icc.clone(),
            exif: self.exif.as_deref().and_then(exif::copyright_only),
            iptc: self.iptc.as_deref().and_then(iptc::copyright_only),
            xmp: None,
            adobe: false,
            palette: self.palette,
        }
    }

    /// Drops all but the profile.
    pub fn stripped(&self) -> Self {
        Self { icc: self.icc.clone(), palette: self.palette, ..Self::default() }
    }

    /// As it is, but for the orientation, since the pixels are upright now.
    pub fn upright(mut self) -> Self {
        if let Some(exif) = &mut self.exif {
            exif::set_upright(exif);
        }
        self
    }
}

/// How to turn stored pixels upright: clockwise first, then mirrored left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Orientation {
    /// 0, 90, 180 or 270 degrees, clockwise.
    pub angle: u16,
    /// Whether to exchange left and right.
    pub flip: bool,
}

impl Orientation {
    /// Nothing to do.
    pub const UPRIGHT: Self = Self { angle: 0, flip: false };

    /// From the number that EXIF and TIFF use; others than 1 to 8 are upright.
    pub const fn from_exif(number: u32) -> Self {
        let angle = match number {
            3 | 4 => 180,
            5 | 6 => 90,
            7 | 8 => 270,
            _ => 0,
        };
        Self { angle, flip: matches!(number, 2 | 4 | 5 | 7) }
    }

    pub(crate) fn in_exif(exif: &[u8]) -> Self {
        Directory::first(exif)
            .and_then(|directory| directory.number(0x112))
            .map_or(Self::UPRIGHT, Self::from_exif)
    }

    /// Whether width and height change places.
    pub const fn sideways(self) -> bool {
        self.angle % 180 == 90
    }
}
