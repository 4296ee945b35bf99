#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Header, Error> {
    Header::read(bytes, &Limits::default())
}

#[test]
fn types_are_told_by_their_first_bytes() {
    let kind = |bytes: &[u8]| sniff(bytes, 100);
    assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some(Format::Jpeg));
    assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), Some(Format::Png));
    assert_eq!(kind(b"GIF89a"), Some(Format::Gif));
    assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), Some(Format::Webp));
    assert_eq!(kind(b"BM"), Some(Format::Bmp));
    assert_eq!(kind(b"II\x2a\0"), Some(Format::Tiff));
    assert_eq!(kind(b"\0\0\x01\0"), Some(Format::Ico));
    assert_eq!(kind(b"\0\0\0\x14ftypavif\0\0\0\0mif1"), Some(Format::Avif));
    assert_eq!(kind(b"\0\0\0\x14ftypheic\0\0\0\0mif1"), Some(Format::Heic));
    assert_eq!(kind(b"<svg/>"), Some(Format::Svg));
    assert_eq!(kind(b"hello"), None);
    assert_eq!(kind(b""), None);
}

#[test]
fn a_png_says_its_size_before_its_pixels() {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\x06\0\0\0".to_vec();
    bytes.extend_from_slice(&[0; 4]);
    let header = read(&bytes).unwrap();
    assert_eq!((header.width, header.height, header.alpha), (20_000, 20_000, true));
    let refused = Limits::default().check(&header, 1);
    assert_eq!(refused, Err(Error::TooManyPixels { pixels: 400_000_000, limit: 16_800_000 }));
}

#[test]
fn a_jpeg_brings_orientation_and_metadata() {
    let exif = [b"Exif\0\0", crate::exif::tests::sample(6).as_slice()].concat();
    let mut bytes = vec![0xff, 0xd8];
    let segment = |bytes: &mut Vec<u8>, marker: u8, body: &[u8]| {
        bytes.extend_from_slice(&[0xff, marker]);
        bytes.extend_from_slice(&(body.len() as u16 + 2).to_be_bytes());
        bytes.extend_from_slice(body);
    };
    segment(&mut bytes, 0xe1, &exif);
    // The parts of a profile may come in any order.
    segment(&mut bytes, 0xe2, b"ICC_PROFILE\0\x02\x02world");
    segment(&mut bytes, 0xe2, b"ICC_PROFILE\0\x01\x02hello ");
    segment(&mut bytes, 0xc2, &[8, 0, 50, 0, 100, 3]);
    bytes.extend_from_slice(&[0xff, 0xda]);
    let header = read(&bytes).unwrap();
    assert_eq!((header.width, header.height), (100, 50));
    assert_eq!(header.upright_size(), (50, 100));
    assert_eq!(header.orientation, Orientation::from_exif(6));
    assert_eq!(header.metadata.icc.as_deref(), Some(&b"hello world"[..]));
}

#[test]
fn a_gif_counts_its_frames() {
    let mut bytes = b"GIF89a\x0a\0\x05\0\0\0\0".to_vec();
    for _ in 0..3 {
        bytes.extend_from_slice(b"\x21\xf9\x04\x01\0\0\0\0\x2c\0\0\0\0\x0a\0\x05\0\0\x02\x01x\0");
    }
    bytes.push(0x3b);
    let header = read(&bytes).unwrap();
    assert_eq!((header.width, header.height, header.frames, header.alpha), (10, 5, 3, true));
}

#[test]
fn nothing_without_a_size_is_a_picture() {
    for bytes in
        [&b"\xff\xd8\xff\xda"[..], b"GIF89a\0\0\0\0\0\0\0", b"\0\0\x01\0\0\0", b"BM", b"II\x2a\0\x08\0\0\0"]
    {
        assert_eq!(read(bytes), Err(Error::UnknownFormat), "{bytes:?}");
    }
}

/// Each type's first bytes.
const BEGINNINGS: [&[u8]; 9] = [
    b"\xff\xd8",
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    b"GIF89a",
    b"RIFF\xff\0\0\0WEBP",
    b"BM",
    b"II\x2a\0\x08\0\0\0",
    b"\0\0\x01\0",
    b"\0\0\0\x14ftypavif\0\0\0\0avif",
    b"<svg ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_it_panic(beginning in 0..BEGINNINGS.len(), rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [BEGINNINGS[beginning], &rest].concat();
        let _ = read(&bytes);
        let _ = sanitize_svg(&bytes);
    }

    #[test]
    fn no_boxes_make_it_panic(kinds in prop::collection::vec((0..8usize, prop::collection::vec(any::<u8>(), 0..40)), 0..12)) {
        let names: [&[u8]; 8] = [b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"ipco", b"ipma"];
        let boxed = |kind: &[u8], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
        let inner: Vec<u8> = kinds.iter().flat_map(|(kind, body)| boxed(names[*kind], body)).collect();
        let meta = boxed(b"meta", &[&[0; 4][..], &inner].concat());
        let bytes = [&b"\0\0\0\x10ftypavif\0\0\0\0"[..], &meta].concat();
        let _ = read(&bytes);
        if let Some(file) = HeifFile::parse(&bytes) {
            let _ = (file.picture(), file.transparency(), file.colour());
        }
    }
}
