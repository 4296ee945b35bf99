use super::Header;
use super::bytes::{be32, slice};
use crate::{Format, Orientation};

/// Walks the chunks up to the first pixels.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let mut header = Header::plain(Format::Png, be32(bytes, 16)?, be32(bytes, 20)?);
    if bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    // Colour types 4 and 6 have a channel for it.
    header.alpha = bytes.get(25)? & 4 != 0;
    header.metadata.palette = bytes[25] == 3;
    let mut at = 8;
    while let Some(length) = be32(bytes, at) {
        let length = length as usize;
        let body = slice(bytes, at + 8, length);
        match bytes.get(at + 4..at + 8)? {
            b"IDAT" | b"IEND" => break,
            b"tRNS" => header.alpha = true,
            b"eXIf" => header.metadata.exif = body.map(<[u8]>::to_vec),
            _ => {}
        }
        at = at.checked_add(length)?.checked_add(12)?;
    }
    header.orientation = header.metadata.exif.as_deref().map_or(Orientation::UPRIGHT, Orientation::in_exif);
    Some(header)
}
