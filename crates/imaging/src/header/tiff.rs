use super::Header;
use crate::exif::Directory;
use crate::{Format, Orientation};

/// The first directory. EXIF is the same structure.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let directory = Directory::first(bytes)?;
    let mut header = Header::plain(Format::Tiff, directory.number(256)?, directory.number(257)?);
    header.orientation = directory.number(274).map_or(Orientation::UPRIGHT, Orientation::from_exif);
    // ExtraSamples says it, but not every writer writes it: one sample more than black and white, or red, green and blue.
    let extra = directory.number(338).is_some_and(|kind| kind > 0);
    header.alpha = extra
        || matches!(
            (directory.number(262), directory.number(277)),
            (Some(0 | 1), Some(2)) | (Some(2), Some(4))
        );
    Some(header)
}
