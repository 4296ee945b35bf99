//! IPTC records inside Photoshop's resource blocks.

/// The resource that holds IPTC.
const RESOURCE: u16 = 0x0404;
/// By-line, credit, copyright notice, of record 2.
const KEPT: [u8; 3] = [80, 110, 116];

/// Resource blocks with nothing but by-line, credit and copyright, if there are any.
pub(crate) fn copyright_only(blocks: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    for (record, set, value) in records(resource(blocks)?) {
        if record == 2 && KEPT.contains(&set) {
            kept.extend_from_slice(&[0x1c, record, set]);
            kept.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
            kept.extend_from_slice(value);
        }
    }
    if kept.is_empty() {
        return None;
    }
    let mut out = b"8BIM".to_vec();
    out.extend_from_slice(&RESOURCE.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(kept.len() as u32).to_be_bytes());
    out.extend_from_slice(&kept);
    if kept.len() % 2 == 1 {
        out.push(0);
    }
    Some(out)
}

/// The IPTC resource among the blocks.
fn resource(mut blocks: &[u8]) -> Option<&[u8]> {
    while let Some(rest) = blocks.strip_prefix(b"8BIM") {
        let id = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
        // A name with its length, padded to an even size.
        let name = (usize::from(*rest.get(2)?) + 2) & !1;
        let at = 2 + name;
        let length = u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?) as usize;
        let data = rest.get(at + 4..(at + 4).checked_add(length)?)?;
        if id == RESOURCE {
            return Some(data);
        }
        blocks = rest.get(at + 4 + length + (length & 1)..).unwrap_or_default();
    }
    None
}

/// Record number, data set number, value.
fn records(mut data: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    std::iter::from_fn(move || {
        let [0x1c, record, set, high, low, rest @ ..] = data else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length)?;
        data = &rest[length..];
        Some((*record, *set, value))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_who_made_it_is_kept() {
        let set =
            |number: u8, text: &str| [&[0x1c, 2, number, 0, text.len() as u8], text.as_bytes()].concat();
        let data = [set(5, "title"), set(80, "Painter"), set(90, "Berlin"), set(116, "me")].concat();
        let block = |id: u16, data: &[u8]| {
            let mut block =
                [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &(data.len() as u32).to_be_bytes(), data].concat();
            block.resize(block.len().next_multiple_of(2), 0);
            block
        };
        let blocks = [block(0x3ed, b"odd"), block(RESOURCE, &data)].concat();
        let wanted = [set(80, "Painter"), set(116, "me")].concat();
        assert_eq!(copyright_only(&blocks), Some(block(RESOURCE, &wanted)));
        assert_eq!(copyright_only(&block(RESOURCE, &set(90, "Berlin"))), None);
        assert_eq!(copyright_only(b"8BI"), None);
    }
}
