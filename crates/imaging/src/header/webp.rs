use super::Header;
use super::bytes::{le16, le24, le32, slice};
use crate::{Format, Orientation};

/// Walks all chunks: the number of frames is nowhere else.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let mut header = Header::plain(Format::Webp, 0, 0);
    let mut extended = false;
    let mut frames = 0u32;
    let mut at = 12;
    while let Some(length) = le32(bytes, at + 4) {
        let length = length as usize;
        let body = slice(bytes, at + 8, length).unwrap_or_else(|| bytes.get(at + 8..).unwrap_or_default());
        match bytes.get(at..at + 4)? {
            b"VP8X" => {
                extended = true;
                header.alpha = body.first()? & 0x10 != 0;
                (header.width, header.height) = (le24(body, 4)? + 1, le24(body, 7)? + 1);
            }
            b"VP8 " if !extended => {
                if body.get(3..6)? != [0x9d, 0x01, 0x2a] {
                    return None;
                }
                (header.width, header.height) =
                    (u32::from(le16(body, 6)? & 0x3fff), u32::from(le16(body, 8)? & 0x3fff));
            }
            b"VP8L" if !extended => {
                if *body.first()? != 0x2f {
                    return None;
                }
                let bits = le32(body, 1)?;
                (header.width, header.height) = ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1);
                header.alpha = bits & (1 << 28) != 0;
            }
            b"ANMF" => frames = frames.saturating_add(1),
            b"ICCP" => header.metadata.icc = Some(body.to_vec()),
            b"EXIF" => {
                // Some writers put JPEG's prefix in front.
                header.metadata.exif = Some(body.strip_prefix(b"Exif\0\0").unwrap_or(body).to_vec());
            }
            b"XMP " => header.metadata.xmp = Some(body.to_vec()),
            _ => {}
        }
        at = at.checked_add(length)?.checked_add(8 + (length & 1))?;
    }
    header.frames = frames.max(1);
    header.orientation = header.metadata.exif.as_deref().map_or(Orientation::UPRIGHT, Orientation::in_exif);
    Some(header)
}
