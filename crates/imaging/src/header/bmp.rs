use super::Header;
use super::bytes::{le16, le32};
use crate::Format;

pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    // The oldest header has 16-bit sizes; in the others a negative height means top-down rows.
    let (width, height) = match le32(bytes, 14)? {
        12 => (u32::from(le16(bytes, 18)?), u32::from(le16(bytes, 20)?)),
        40.. => (le32(bytes, 18)?, (le32(bytes, 22)? as i32).unsigned_abs()),
        _ => return None,
    };
    Some(Header { alpha: le16(bytes, 28) == Some(32), ..Header::plain(Format::Bmp, width, height) })
}
