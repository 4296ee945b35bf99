use super::Header;
use super::bytes::{be16, slice};
use crate::{Format, Metadata, Orientation};

/// Walks the segments up to the first scan.
pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let mut metadata = Metadata::default();
    let mut profile: Vec<(u8, &[u8])> = Vec::new();
    let mut size = None;
    let mut at = 2;
    loop {
        // Any number of 0xff may stand before a marker.
        while *bytes.get(at)? != 0xff {
            at += 1;
        }
        while *bytes.get(at)? == 0xff {
            at += 1;
        }
        let marker = bytes[at];
        at += 1;
        match marker {
            // Markers without a body.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            // The end, or the first scan.
            0xd9 | 0xda => break,
            _ => {}
        }
        let length = usize::from(be16(bytes, at)?);
        let Some(body) = slice(bytes, at + 2, length.checked_sub(2)?) else { break };
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                size = Some((u32::from(be16(body, 3)?), u32::from(be16(body, 1)?)));
            }
            0xe1 if body.starts_with(b"Exif\0\0") => {
                metadata.exif.get_or_insert_with(|| body[6..].to_vec());
            }
            0xe1 if body.starts_with(b"http://ns.adobe.com/xap/1.0/\0") => {
                metadata.xmp.get_or_insert_with(|| body[29..].to_vec());
            }
            0xe2 if body.starts_with(b"ICC_PROFILE\0") && body.len() > 14 => {
                profile.push((body[12], &body[14..]));
            }
            0xed if body.starts_with(b"Photoshop 3.0\0") => {
                metadata.iptc.get_or_insert_with(|| body[14..].to_vec());
            }
            0xee if body.starts_with(b"Adobe") => metadata.adobe = true,
            _ => {}
        }
        at += length;
    }
    let (width, height) = size?;
    profile.sort_by_key(|(number, _)| *number);
    let profile: Vec<u8> = profile.into_iter().flat_map(|(_, part)| part).copied().collect();
    metadata.icc = (!profile.is_empty()).then_some(profile);
    let orientation = metadata.exif.as_deref().map_or(Orientation::UPRIGHT, Orientation::in_exif);
    Some(Header { orientation, metadata, ..Header::plain(Format::Jpeg, width, height) })
}
