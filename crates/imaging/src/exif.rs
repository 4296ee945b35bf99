//! EXIF is a TIFF file without pixels: directories of tagged values.

const ORIENTATION: u16 = 0x112;
const ARTIST: u16 = 0x13b;
const COPYRIGHT: u16 = 0x8298;

/// The first directory of a TIFF structure.
pub(crate) struct Directory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    entries: usize,
    count: usize,
}

impl<'a> Directory<'a> {
    pub(crate) fn first(bytes: &'a [u8]) -> Option<Self> {
        let big_endian = match bytes.get(..4)? {
            b"II\x2a\0" => false,
            b"MM\0\x2a" => true,
            _ => return None,
        };
        let mut directory = Self { bytes, big_endian, entries: 0, count: 0 };
        let at = directory.u32(4)? as usize;
        directory.count = usize::from(directory.u16(at)?);
        directory.entries = at.checked_add(2)?;
        Some(directory)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let two = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let four = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    /// Where an entry begins.
    fn entry(&self, tag: u16) -> Option<usize> {
        (0..self.count).map(|number| self.entries + number * 12).find(|&at| self.u16(at) == Some(tag))
    }

    /// The first value of a SHORT or LONG entry.
    pub(crate) fn number(&self, tag: u16) -> Option<u32> {
        let at = self.entry(tag)?;
        match (self.u16(at + 2)?, self.u32(at + 4)?) {
            (3, 1 | 2) => Some(u32::from(self.u16(at + 8)?)),
            (4, 1) => self.u32(at + 8),
            (3, _) => Some(u32::from(self.u16(self.u32(at + 8)? as usize)?)),
            _ => None,
        }
    }

    /// An ASCII entry, without the zero at its end.
    fn text(&self, tag: u16) -> Option<&'a [u8]> {
        let at = self.entry(tag)?;
        let length = self.u32(at + 4)? as usize;
        if self.u16(at + 2)? != 2 || length == 0 {
            return None;
        }
        let start = if length <= 4 { at + 8 } else { self.u32(at + 8)? as usize };
        let text = self.bytes.get(start..start.checked_add(length)?)?;
        Some(text.split(|&byte| byte == 0).next().unwrap_or_default())
    }
}

/// A small EXIF with nothing but the artist and the copyright, if there are any.
pub(crate) fn copyright_only(exif: &[u8]) -> Option<Vec<u8>> {
    let directory = Directory::first(exif)?;
    let kept: Vec<(u16, &[u8])> = [ARTIST, COPYRIGHT]
        .into_iter()
        .filter_map(|tag| Some((tag, directory.text(tag).filter(|text| !text.is_empty())?)))
        .collect();
    if kept.is_empty() {
        return None;
    }
    let mut out = b"II\x2a\0\x08\0\0\0".to_vec();
    out.extend_from_slice(&(kept.len() as u16).to_le_bytes());
    let mut texts = Vec::new();
    let start = 8 + 2 + kept.len() * 12 + 4;
    for (tag, text) in kept {
        let mut value = text.to_vec();
        value.push(0);
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&2u16.to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        if value.len() <= 4 {
            value.resize(4, 0);
            out.extend_from_slice(&value);
        } else {
            out.extend_from_slice(&((start + texts.len()) as u32).to_le_bytes());
            texts.extend_from_slice(&value);
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&texts);
    Some(out)
}

/// Writes "upright" over the orientation, where there is one.
pub(crate) fn set_upright(exif: &mut [u8]) {
    let found = Directory::first(exif).and_then(|directory| {
        let at = directory.entry(ORIENTATION)?;
        Some((at + 8, directory.big_endian))
    });
    if let Some((at, big_endian)) = found
        && let Some(value) = exif.get_mut(at..at + 2)
    {
        value.copy_from_slice(&if big_endian { 1u16.to_be_bytes() } else { 1u16.to_le_bytes() });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An EXIF with an orientation, an artist, a copyright and a camera.
    pub(crate) fn sample(orientation: u16) -> Vec<u8> {
        let mut out = b"MM\0\x2a\0\0\0\x08\0\x04".to_vec();
        let entry = |out: &mut Vec<u8>, tag: u16, kind: u16, count: u32, value: [u8; 4]| {
            out.extend_from_slice(&tag.to_be_bytes());
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
            out.extend_from_slice(&value);
        };
        let text_at = 8 + 2 + 4 * 12 + 4u32;
        entry(&mut out, 0x110, 2, 4, *b"Cam\0");
        entry(&mut out, ORIENTATION, 3, 1, [0, orientation as u8, 0, 0]);
        entry(&mut out, ARTIST, 2, 8, text_at.to_be_bytes());
        entry(&mut out, COPYRIGHT, 2, 3, *b"me\0\0");
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(b"Painter\0");
        out
    }

    #[test]
    fn only_who_made_it_is_kept() {
        let kept = copyright_only(&sample(6)).unwrap();
        let directory = Directory::first(&kept).unwrap();
        assert_eq!(directory.text(ARTIST), Some(&b"Painter"[..]));
        assert_eq!(directory.text(COPYRIGHT), Some(&b"me"[..]));
        assert_eq!((directory.number(ORIENTATION), directory.text(0x110)), (None, None));
        assert_eq!(copyright_only(b"II\x2a\0\x08\0\0\0\0\0"), None);
        assert_eq!(copyright_only(b"nonsense"), None);
    }

    #[test]
    fn upright_pixels_say_so() {
        let mut exif = sample(8);
        assert_eq!(Directory::first(&exif).unwrap().number(ORIENTATION), Some(8));
        set_upright(&mut exif);
        assert_eq!(Directory::first(&exif).unwrap().number(ORIENTATION), Some(1));
    }
}
