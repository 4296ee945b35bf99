use super::Header;
use crate::exif::Directory;
use crate::{Format, Orientation};

/// The first directory. EXIF is the same structure.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let directory = Directory::first(bytes)?;
    let mut header = Header::plain(Format::Tiff, directory.number(256)?, directory.number(257)?);
    header.orientation = directory.number(274).map_or(Orientation::UPRIGHT, Orientation::from_exif);
    // ExtraSamples.
    header.alpha = directory.number(338).is_some_and(|kind| kind > 0);
    Some(header)
}
