//! The boxes of an AVIF file (ISO/IEC 14496-12 and 23008-12): which items there are, where their bytes lie, what belongs
//! to what.

use std::collections::BTreeMap;

use super::Header;
use super::bytes::{be16, be32, slice};
use crate::{Format, Metadata, Orientation};

/// Most boxes in one that are looked at, and most items and most references of a file, whose boxes may come again and again.
const MOST_ITEMS: usize = 4096;
/// Most extents and properties of all items together; an extent need not take a byte of the file.
const MOST_ENTRIES: usize = 8 * MOST_ITEMS;

/// How the samples mean colours, from an `nclx` box (ITU-T H.273 codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    pub(crate) matrix: u16,
    pub(crate) full_range: bool,
}

/// A coded picture: one AV1 stream, or a grid of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Av1Item {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// How many tiles lie beside each other; 1 without a grid.
    pub(crate) columns: u32,
    /// Row by row. One without a grid.
    pub(crate) tiles: Vec<Vec<u8>>,
}

/// What we use of the file.
#[derive(Clone, Debug)]
pub(crate) struct HeifFile<'a> {
    bytes: &'a [u8],
    primary: u32,
    items: BTreeMap<u32, Item>,
    properties: Vec<(&'a [u8], &'a [u8])>,
    references: Vec<(&'a [u8], u32, Vec<u32>)>,
    inline: &'a [u8],
    /// How many extents and properties the items have.
    entries: usize,
}

#[derive(Clone, Debug, Default)]
struct Item {
    kind: [u8; 4],
    /// Whether the bytes lie in the `idat` box.
    inline: bool,
    extents: Vec<(u64, u64)>,
    /// Indices into the properties, from 1.
    properties: Vec<usize>,
}

/// AVIF or HEIC, by the brands of the `ftyp` box.
pub(super) fn brand(bytes: &[u8]) -> Option<Format> {
    let length = (be32(bytes, 0)? as usize).min(bytes.len()).min(256);
    let brands = || bytes.get(8..length).unwrap_or_default().chunks_exact(4);
    if brands().any(|brand| matches!(brand, b"avif" | b"avis")) {
        return Some(Format::Avif);
    }
    let heic = |brand: &[u8]| {
        matches!(brand, b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1")
    };
    brands().any(heic).then_some(Format::Heic)
}

pub(super) fn read(bytes: &[u8]) -> Option<Header> {
    let file = HeifFile::parse(bytes)?;
    let (width, height) = file.size_of(file.primary)?;
    let mut header = Header::plain(Format::Avif, width, height);
    header.alpha = file.alpha().is_some();
    header.orientation = file.orientation();
    header.metadata = Metadata {
        icc: file.profile(),
        exif: file.described(b"Exif").and_then(|data| {
            // The payload starts with the offset of the TIFF header behind it.
            let skip = be32(&data, 0)? as usize;
            data.get(4usize.checked_add(skip)?..).map(<[u8]>::to_vec)
        }),
        xmp: file.described(b"mime"),
        ..Metadata::default()
    };
    Some(header)
}

/// The boxes in a byte range: kind and body.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let short = be32(bytes, at)?;
        let kind = slice(bytes, at + 4, 4)?;
        let (head, length) = match short {
            0 => (8, bytes.len() - at),
            1 => {
                let long = (u64::from(be32(bytes, at + 8)?) << 32) | u64::from(be32(bytes, at + 12)?);
                (16, usize::try_from(long).ok()?)
            }
            short => (8, short as usize),
        };
        // The last box of a cut file ends where the file ends.
        let end = at.checked_add(length)?.min(bytes.len());
        let body = bytes.get(at + head..end)?;
        at = at.checked_add(length.max(head))?;
        Some((kind, body))
    })
}

/// An unsigned number of 0, 2, 4 or 8 bytes; moves on.
fn number(bytes: &[u8], at: &mut usize, size: usize) -> Option<u64> {
    let part = slice(bytes, *at, size)?;
    *at += size;
    Some(part.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
}

impl<'a> HeifFile<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let meta = boxes(bytes).find(|(kind, _)| kind == b"meta")?.1;
        let mut file = Self {
            bytes,
            primary: 0,
            items: BTreeMap::new(),
            properties: Vec::new(),
            references: Vec::new(),
            inline: &[],
            entries: 0,
        };
        // A full box: version and flags come first.
        for (kind, body) in boxes(meta.get(4..)?) {
            match kind {
                b"pitm" => {
                    let long = *body.first()? > 0;
                    file.primary = if long { be32(body, 4)? } else { u32::from(be16(body, 4)?) };
                }
                b"iinf" => file.item_infos(body)?,
                b"iloc" => file.locations(body)?,
                b"iprp" => file.item_properties(body)?,
                b"iref" => file.item_references(body)?,
                b"idat" => file.inline = body,
                _ => {}
            }
            if file.items.len() > MOST_ITEMS || file.references.len() > MOST_ITEMS {
                return None;
            }
        }
        Some(file)
    }

    fn item_infos(&mut self, body: &'a [u8]) -> Option<()> {
        let skip = if *body.first()? == 0 { 6 } else { 8 };
        for (kind, entry) in boxes(body.get(skip..)?).take(MOST_ITEMS) {
            if kind != b"infe" {
                continue;
            }
            // Only versions 2 and 3 have a type.
            let (id, at) = match *entry.first()? {
                2 => (u32::from(be16(entry, 4)?), 8),
                3 => (be32(entry, 4)?, 10),
                _ => continue,
            };
            self.items.entry(id).or_default().kind = slice(entry, at, 4)?.try_into().ok()?;
        }
        Some(())
    }

    fn locations(&mut self, body: &[u8]) -> Option<()> {
        let version = *body.first()?;
        let sizes = be16(body, 4)?;
        let nibble = |shift: u16| usize::from((sizes >> shift) & 15);
        let (offset_size, length_size, base_size) = (nibble(12), nibble(8), nibble(4));
        let index_size = if version > 0 { nibble(0) } else { 0 };
        let mut at = 6;
        let wide = if version < 2 { 2 } else { 4 };
        let count = number(body, &mut at, wide)?;
        for _ in 0..count.min(MOST_ITEMS as u64) {
            let id = number(body, &mut at, wide)? as u32;
            let method = if version > 0 { number(body, &mut at, 2)? & 15 } else { 0 };
            at += 2;
            let base = number(body, &mut at, base_size)?;
            let extents = number(body, &mut at, 2)?;
            self.items.entry(id).or_default().inline = method == 1;
            for _ in 0..extents {
                number(body, &mut at, index_size)?;
                let offset = number(body, &mut at, offset_size)?;
                let length = number(body, &mut at, length_size)?;
                self.counted(id)?.extents.push((base.checked_add(offset)?, length));
            }
        }
        Some(())
    }

    fn item_properties(&mut self, body: &'a [u8]) -> Option<()> {
        for (kind, inner) in boxes(body) {
            match kind {
                b"ipco" => self.properties = boxes(inner).take(MOST_ITEMS).collect(),
                b"ipma" => {
                    let (version, wide) = (*inner.first()?, inner.get(3)? & 1 != 0);
                    let mut at = 8;
                    for _ in 0..be32(inner, 4)?.min(MOST_ITEMS as u32) {
                        let id = number(inner, &mut at, if version < 1 { 2 } else { 4 })? as u32;
                        let count = number(inner, &mut at, 1)?;
                        for _ in 0..count {
                            let index = if wide {
                                number(inner, &mut at, 2)? & 0x7fff
                            } else {
                                number(inner, &mut at, 1)? & 0x7f
                            };
                            self.counted(id)?.properties.push(index as usize);
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn item_references(&mut self, body: &'a [u8]) -> Option<()> {
        let size = if *body.first()? == 0 { 2 } else { 4 };
        for (kind, inner) in boxes(body.get(4..)?).take(MOST_ITEMS) {
            let mut at = 0;
            let from = number(inner, &mut at, size)? as u32;
            let count = number(inner, &mut at, 2)?;
            let mut to = Vec::new();
            for _ in 0..count.min(MOST_ITEMS as u64) {
                to.push(number(inner, &mut at, size)? as u32);
            }
            self.references.push((kind, from, to));
        }
        Some(())
    }

    /// The item, to which an entry is added; none when there are too many.
    fn counted(&mut self, id: u32) -> Option<&mut Item> {
        self.entries += 1;
        (self.entries <= MOST_ENTRIES).then(|| self.items.entry(id).or_default())
    }

    fn property(&self, id: u32, kind: &[u8; 4]) -> Option<&'a [u8]> {
        let item = self.items.get(&id)?;
        item.properties.iter().find_map(|&index| {
            let (found, body) = *self.properties.get(index.checked_sub(1)?)?;
            (found == kind).then_some(body)
        })
    }

    fn size_of(&self, id: u32) -> Option<(u32, u32)> {
        let extents = self.property(id, b"ispe")?;
        Some((be32(extents, 4)?, be32(extents, 8)?))
    }

    /// The item's bytes, put together.
    fn data(&self, id: u32) -> Option<Vec<u8>> {
        let item = self.items.get(&id)?;
        let whole = if item.inline { self.inline } else { self.bytes };
        let mut data = Vec::new();
        for &(offset, length) in &item.extents {
            let offset = usize::try_from(offset).ok()?;
            let length = match length {
                0 => whole.len().checked_sub(offset)?,
                length => usize::try_from(length).ok()?,
            };
            data.extend_from_slice(slice(whole, offset, length)?);
            // Extents may overlap; no honest file is larger than its parts.
            if data.len() > self.bytes.len() {
                return None;
            }
        }
        Some(data)
    }

    fn referenced(&self, kind: &[u8], from: u32) -> Option<&[u32]> {
        self.references
            .iter()
            .find(|(found, source, _)| *found == kind && *source == from)
            .map(|(_, _, to)| to.as_slice())
    }

    /// The data of the item of this type that describes the primary one.
    fn described(&self, kind: &[u8; 4]) -> Option<Vec<u8>> {
        let describes = |id: u32| self.referenced(b"cdsc", id).is_some_and(|to| to.contains(&self.primary));
        let (&id, _) = self.items.iter().find(|(id, item)| item.kind == *kind && describes(**id))?;
        self.data(id)
    }

    /// The item that holds the primary one's transparency.
    fn alpha(&self) -> Option<u32> {
        self.references
            .iter()
            .filter(|(kind, _, to)| *kind == b"auxl" && to.contains(&self.primary))
            .map(|(_, from, _)| *from)
            .find(|&id| {
                let kind = self.property(id, b"auxC").and_then(|body| body.get(4..)).unwrap_or_default();
                kind.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
            })
    }

    fn orientation(&self) -> Orientation {
        let quarters =
            self.property(self.primary, b"irot").and_then(<[u8]>::first).map_or(0, |&angle| angle & 3);
        let turned = (4 - u16::from(quarters)) % 4 * 90;
        match self.property(self.primary, b"imir").and_then(<[u8]>::first).map(|&axis| axis & 1) {
            None => Orientation { angle: turned, flip: false },
            Some(1) => Orientation { angle: turned, flip: true },
            // Upside down is a half turn and a mirror.
            Some(_) => Orientation { angle: (turned + 180) % 360, flip: true },
        }
    }

    fn colours(&self) -> impl Iterator<Item = &'a [u8]> {
        let item = self.items.get(&self.primary);
        item.into_iter()
            .flat_map(|item| &item.properties)
            .filter_map(|&index| self.properties.get(index.checked_sub(1)?))
            .filter(|(kind, _)| kind == b"colr")
            .map(|(_, body)| *body)
    }

    fn profile(&self) -> Option<Vec<u8>> {
        self.colours()
            .find(|body| body.starts_with(b"prof") || body.starts_with(b"rICC"))
            .map(|body| body[4..].to_vec())
    }

    /// What the file says about the samples; the stream's own words count where it says nothing.
    pub(crate) fn colour(&self) -> Option<Colour> {
        let body = self.colours().find(|body| body.starts_with(b"nclx"))?;
        Some(Colour { matrix: be16(body, 8)?, full_range: body.get(10)? & 0x80 != 0 })
    }

    /// The picture itself.
    pub(crate) fn picture(&self) -> Option<Av1Item> {
        self.coded(self.primary)
    }

    /// Its transparency.
    pub(crate) fn transparency(&self) -> Option<Av1Item> {
        self.coded(self.alpha()?)
    }

    fn coded(&self, id: u32) -> Option<Av1Item> {
        let (width, height) = self.size_of(id)?;
        if self.items.get(&id)?.kind != *b"grid" {
            return Some(Av1Item { width, height, columns: 1, tiles: vec![self.data(id)?] });
        }
        let grid = self.data(id)?;
        let (rows, columns) = (u32::from(*grid.get(2)?) + 1, u32::from(*grid.get(3)?) + 1);
        let (width, height) = if grid.get(1)? & 1 == 0 {
            (u32::from(be16(&grid, 4)?), u32::from(be16(&grid, 6)?))
        } else {
            (be32(&grid, 4)?, be32(&grid, 8)?)
        };
        let parts = self.referenced(b"dimg", id)?;
        if parts.len() as u32 != rows * columns {
            return None;
        }
        let mut tiles = Vec::new();
        let mut left = self.bytes.len();
        for &part in parts {
            let tile = self.data(part)?;
            // Tiles may be the same item.
            left = left.checked_sub(tile.len())?;
            tiles.push(tile);
        }
        Some(Av1Item { width, height, columns, tiles })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    /// A file whose `meta` box holds these.
    fn file(inner: &[Vec<u8>]) -> Vec<u8> {
        let meta = boxed(b"meta", &[&[0; 4][..], &inner.concat()].concat());
        [boxed(b"ftyp", b"avif\0\0\0\0avif"), meta].concat()
    }

    #[test]
    fn extents_that_take_no_byte_are_counted() {
        // Items by version 0: a number, a data reference, and how many extents without offset and length.
        let locations = |items: u16, extents: u16| {
            let mut body = [&[0; 6][..], &items.to_be_bytes()].concat();
            for id in 0..items {
                body.extend([id.to_be_bytes(), [0; 2], extents.to_be_bytes()].concat());
            }
            boxed(b"iloc", &body)
        };
        assert!(HeifFile::parse(&file(&[locations(4096, 8)])).is_some());
        assert!(HeifFile::parse(&file(&[locations(4096, 4096)])).is_none());
        assert!(HeifFile::parse(&file(&vec![locations(1, 4096); 9])).is_none());
    }

    #[test]
    fn tiles_are_together_no_larger_than_the_file() {
        let grid = |side: u8| {
            let tiles = u16::from(side) * u16::from(side);
            // Item 1 is the grid, in `idat`; item 2 all of its tiles, the whole file.
            let name = |id: u16, kind: &[u8; 4]| {
                boxed(b"infe", &[&[2, 0, 0, 0][..], &id.to_be_bytes(), &[0; 2], kind, &[0]].concat())
            };
            let names = [&[0, 0, 0, 0, 0, 2][..], &name(1, b"grid"), &name(2, b"av01")].concat();
            let place = |id: u8, method: u8| [0, id, 0, method, 0, 0, 0, 1];
            let locations = [&[1, 0, 0, 0, 0, 0, 0, 2][..], &place(1, 1), &place(2, 0)].concat();
            let size = boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9]);
            let owned = boxed(b"ipma", &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1]);
            let parts = [&1u16.to_be_bytes()[..], &tiles.to_be_bytes(), &[0, 2].repeat(usize::from(tiles))];
            file(&[
                boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
                boxed(b"iinf", &names),
                boxed(b"iloc", &locations),
                boxed(b"iprp", &[boxed(b"ipco", &size), owned].concat()),
                boxed(b"iref", &[&[0; 4][..], &boxed(b"dimg", &parts.concat())].concat()),
                boxed(b"idat", &[0, 0, side - 1, side - 1, 0, 9, 0, 9]),
            ])
        };
        let one = grid(1);
        assert_eq!(HeifFile::parse(&one).unwrap().picture().unwrap().tiles, std::slice::from_ref(&one));
        assert_eq!(HeifFile::parse(&grid(2)).unwrap().picture(), None);
    }
}
