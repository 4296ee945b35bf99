use super::Header;
use super::bytes::le16;
use crate::Format;

/// Walks all blocks, since frames and transparency are nowhere else.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let (width, height) = (u32::from(le16(bytes, 6)?), u32::from(le16(bytes, 8)?));
    let mut header = Header::plain(Format::Gif, width, height);
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + table(*bytes.get(10)?);
    let mut frames = 0u32;
    // A cut file has as many frames as begin in it.
    while let Some(kind) = bytes.get(at) {
        match kind {
            0x21 => {
                if bytes.get(at + 1) == Some(&0xf9) && bytes.get(at + 3).is_some_and(|flags| flags & 1 != 0) {
                    header.alpha = true;
                }
                at = after_blocks(bytes, at + 2);
            }
            0x2c => {
                frames = frames.saturating_add(1);
                let Some(flags) = bytes.get(at + 9) else { break };
                at = after_blocks(bytes, at + 11 + table(*flags));
            }
            _ => break,
        }
    }
    header.frames = frames.max(1);
    Some(header)
}

/// Behind a chain of length-prefixed blocks.
fn after_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&length) = bytes.get(at) {
        at += 1 + usize::from(length);
        if length == 0 {
            break;
        }
    }
    at
}
