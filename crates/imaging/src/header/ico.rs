use super::Header;
use super::bytes::{be32, le16, le32};
use crate::Format;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// One of the pictures in the file.
struct Entry {
    width: u32,
    height: u32,
    /// Where its bytes begin.
    start: usize,
    /// Whether they are a PNG, which says its true size itself, and not a bitmap.
    png: bool,
}

fn largest(bytes: &[u8]) -> Option<Entry> {
    let count = usize::from(le16(bytes, 4)?);
    let mut largest: Option<Entry> = None;
    for entry in (0..count).map(|number| 6 + number * 16) {
        let side = |at| bytes.get(at).map(|&side| if side == 0 { 256 } else { u32::from(side) });
        let start = le32(bytes, entry + 12)? as usize;
        let png = bytes.get(start..).is_some_and(|data| data.starts_with(PNG));
        let (width, height) = match png {
            true => (be32(bytes, start.checked_add(16)?)?, be32(bytes, start.checked_add(20)?)?),
            false => (side(entry)?, side(entry + 1)?),
        };
        let size = |width, height| u64::from(width) * u64::from(height);
        if largest.as_ref().is_none_or(|largest| size(width, height) > size(largest.width, largest.height)) {
            largest = Some(Entry { width, height, start, png });
        }
    }
    largest
}

/// The largest picture in the file.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let largest = largest(bytes)?;
    Some(Header { alpha: true, ..Header::plain(Format::Ico, largest.width, largest.height) })
}

/// The largest picture, if it is a PNG, and what follows it.
pub(crate) fn png(bytes: &[u8]) -> Option<&[u8]> {
    largest(bytes).filter(|largest| largest.png).and_then(|largest| bytes.get(largest.start..))
}
