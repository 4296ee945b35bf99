use super::Header;
use super::bytes::{be32, le16, le32};
use crate::Format;

/// The largest picture in the file. Inner PNGs say their true size themselves.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let count = usize::from(le16(bytes, 4)?);
    let mut largest = (0, 0);
    for entry in (0..count).map(|number| 6 + number * 16) {
        let side = |at| bytes.get(at).map(|&side| if side == 0 { 256 } else { u32::from(side) });
        let mut size = (side(entry)?, side(entry + 1)?);
        let data = le32(bytes, entry + 12)? as usize;
        if bytes.get(data..).is_some_and(|data| data.starts_with(b"\x89PNG\r\n\x1a\n")) {
            size = (be32(bytes, data.checked_add(16)?)?, be32(bytes, data.checked_add(20)?)?);
        }
        if u64::from(size.0) * u64::from(size.1) > u64::from(largest.0) * u64::from(largest.1) {
            largest = size;
        }
    }
    Some(Header { alpha: true, ..Header::plain(Format::Ico, largest.0, largest.1) })
}
