//! Whole pictures through the pipeline.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::encode::{Encoding, encode};
use crate::{
    Accepts, Error, Format, Frame, Gravity, Header, Limits, Metadata, Padding, Patience, Picture, Place,
    Resize, Settings, Transform, Trim, Watermark,
};

/// A picture with a colour in each quarter, transparent at the lower right if asked.
fn quarters(width: u32, height: u32, alpha: bool) -> Picture {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            pixels.extend_from_slice(match (x < width / 2, y < height / 2) {
                (true, true) => &[220, 20, 20, 255],
                (false, true) => &[20, 200, 20, 255],
                (true, false) => &[20, 20, 220, 255],
                (false, false) if alpha => &[240, 240, 0, 0],
                (false, false) => &[240, 240, 0, 255],
            });
        }
    }
    Picture::from_rgba(width, height, alpha, pixels).unwrap()
}

fn file(format: Format, width: u32, height: u32, alpha: bool) -> Vec<u8> {
    let frame = Frame { picture: quarters(width, height, alpha), delay: 0 };
    encode(&[frame], 0, format, 90, &Metadata::default(), &Encoding::default()).unwrap()
}

/// Two frames: the quarters, and the quarters upside down.
fn animation(format: Format) -> Vec<u8> {
    let frame = |picture, delay| Frame { picture, delay };
    let second = quarters(40, 20, true).orient(crate::Orientation::from_exif(3));
    let frames = [frame(quarters(40, 20, true), 100), frame(second, 250)];
    encode(&frames, 3, format, 90, &Metadata::default(), &Encoding::default()).unwrap()
}

fn rendered(source: &[u8], transform: &Transform, limits: &Limits) -> Result<Rendered, Error> {
    let header = Header::read(source, limits)?;
    render(source, &header, transform, &Settings::default(), limits, &Patience::default())
}

/// Type and size of the result, checked against what its own header says.
fn result(source: &[u8], transform: &Transform) -> (Format, u32, u32) {
    let rendered = rendered(source, transform, &Limits::default()).unwrap();
    let header = Header::read(&rendered.bytes, &Limits::default()).unwrap();
    assert_eq!(
        (header.format, header.width, header.height),
        (rendered.format, rendered.width, rendered.height)
    );
    (rendered.format, rendered.width, rendered.height)
}

fn near(picture: &Picture, x: u32, y: u32, wanted: [u8; 4]) {
    let found = picture.pixel(x, y);
    let far = found.iter().zip(wanted).any(|(found, wanted)| found.abs_diff(wanted) > 24);
    assert!(!far, "at {x},{y}: {found:?}, not {wanted:?}");
}

#[test]
fn every_type_survives_a_round_trip() {
    for format in Format::ALL.into_iter().filter(|format| format.writable()) {
        let alpha = format.has_alpha();
        let bytes = file(format, 64, 48, alpha);
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        assert_eq!((header.format, header.width, header.height), (format, 64, 48), "{format}");
        let picture = crate::load(&bytes, &Limits::default()).unwrap();
        near(&picture, 10, 10, [220, 20, 20, 255]);
        near(&picture, 50, 10, [20, 200, 20, 255]);
        near(&picture, 10, 40, [20, 20, 220, 255]);
        if alpha {
            assert!(picture.pixel(50, 40)[3] < 16, "{format}");
        } else {
            near(&picture, 50, 40, [240, 240, 0, 255]);
        }
    }
}

#[test]
fn a_cut_upload_shows_its_upper_part() {
    for format in [Format::Jpeg, Format::Png] {
        // Noise, so that half of the file is half of the picture.
        let noise = |at: u32| (at.wrapping_add(1).wrapping_mul(2_654_435_761) >> 13) as u8;
        let pixels = (0..64 * 64 * 4).map(|at| if at % 4 == 3 { 255 } else { noise(at) }).collect();
        let picture = Picture::from_rgba(64, 64, false, pixels).unwrap();
        let frame = Frame { picture, delay: 0 };
        let whole = encode(&[frame], 0, format, 90, &Metadata::default(), &Encoding::default()).unwrap();
        let cut = crate::load(&whole[..whole.len() / 2], &Limits::default()).unwrap();
        let entire = crate::load(&whole, &Limits::default()).unwrap();
        assert_eq!(cut.pixels()[..64 * 8 * 4], entire.pixels()[..64 * 8 * 4], "{format}");
        let nothing = crate::load(&whole[..60], &Limits::default());
        assert!(nothing.is_err(), "{format}");
    }
}

#[test]
fn each_way_of_resizing_has_its_size() {
    let source = file(Format::Jpeg, 400, 200, false);
    let asked = |resize, width, height| {
        let (_, width, height) =
            result(&source, &Transform { resize, width, height, ..Transform::default() });
        (width, height)
    };
    assert_eq!(asked(Resize::Fill, 100, 100), (100, 100));
    assert_eq!(asked(Resize::Fill, 1000, 100), (400, 100));
    assert_eq!(asked(Resize::Fill, 1000, 1000), (400, 200));
    assert_eq!(asked(Resize::Fill, 100, 0), (100, 50));
    assert_eq!(asked(Resize::Fit, 100, 100), (100, 50));
    assert_eq!(asked(Resize::Fit, 1000, 1000), (400, 200));
    assert_eq!(asked(Resize::Force, 33, 77), (33, 77));
    assert_eq!(asked(Resize::Force, 800, 100), (400, 50));
    assert_eq!(asked(Resize::FillDown, 600, 600), (200, 200));
}

#[test]
fn gravity_says_what_stays() {
    let source = file(Format::Png, 200, 200, false);
    let corner = |place| {
        let gravity = Gravity { place, x: 0.0, y: 0.0 };
        let transform = Transform {
            crop: crate::Crop { width: 0.25, height: 0.25, gravity: None },
            gravity,
            ..Transform::default()
        };
        let rendered = rendered(&source, &transform, &Limits::default()).unwrap();
        assert_eq!((rendered.width, rendered.height), (50, 50));
        crate::load(&rendered.bytes, &Limits::default()).unwrap().pixel(25, 25)
    };
    assert_eq!(corner(Place::NorthWest), [220, 20, 20, 255]);
    assert_eq!(corner(Place::NorthEast), [20, 200, 20, 255]);
    assert_eq!(corner(Place::SouthWest), [20, 20, 220, 255]);
    assert_eq!(corner(Place::SouthEast), [240, 240, 0, 255]);
}

#[test]
fn the_orientation_counts_before_the_size() {
    for exif in 1..=8u32 {
        let metadata =
            Metadata { exif: Some(crate::exif::tests::sample(exif as u16)), ..Metadata::default() };
        let frame = Frame { picture: quarters(64, 32, false), delay: 0 };
        let source = encode(&[frame], 0, Format::Jpeg, 95, &metadata, &Encoding::default()).unwrap();
        let rendered =
            rendered(&source, &Transform { width: 16, ..Transform::default() }, &Limits::default()).unwrap();
        let sideways = exif > 4;
        assert_eq!((rendered.width, rendered.height), (16, if sideways { 32 } else { 8 }), "{exif}");
        let upright = crate::load(&rendered.bytes, &Limits::default()).unwrap();
        // Where the stored first pixel stands upright.
        let right = matches!(exif, 2 | 3 | 6 | 7);
        let bottom = matches!(exif, 3 | 4 | 7 | 8);
        let at = |far: bool, side: u32| if far { side - 3 } else { 2 };
        near(&upright, at(right, rendered.width), at(bottom, rendered.height), [220, 20, 20, 255]);
        // Who made it is kept, how it was held is not.
        let header = Header::read(&rendered.bytes, &Limits::default()).unwrap();
        assert_eq!(header.orientation, crate::Orientation::UPRIGHT);
        assert!(header.metadata.exif.unwrap().windows(7).any(|window| window == b"Painter"));
    }
}

#[test]
fn transparency_goes_where_it_can() {
    let source = file(Format::Png, 64, 64, true);
    let white = Transform { format: Some(Format::Jpeg), ..Transform::default() };
    let picture =
        crate::load(&rendered(&source, &white, &Limits::default()).unwrap().bytes, &Limits::default())
            .unwrap();
    near(&picture, 55, 55, [255, 255, 255, 255]);
    let green = Transform { background: Some([0, 255, 0]), ..Transform::default() };
    let picture =
        crate::load(&rendered(&source, &green, &Limits::default()).unwrap().bytes, &Limits::default())
            .unwrap();
    near(&picture, 55, 55, [0, 255, 0, 255]);
    // No dark fringe: the colour of what is invisible does not count.
    let small = Transform { width: 7, ..Transform::default() };
    let picture =
        crate::load(&rendered(&source, &small, &Limits::default()).unwrap().bytes, &Limits::default())
            .unwrap();
    for pixel in picture.pixels().chunks_exact(4).filter(|pixel| pixel[3] > 8) {
        assert!(!(pixel[0] > 120 && pixel[1] > 120), "yellow shines through: {pixel:?}");
    }
}

#[test]
fn the_result_type_follows_the_rules() {
    let kind = |source: &[u8], transform: &Transform| result(source, transform).0;
    let accepts = |webp, avif| Accepts { prefer_webp: webp, prefer_avif: avif, ..Accepts::default() };
    let png = file(Format::Png, 64, 64, true);
    assert_eq!(kind(&png, &Transform::default()), Format::Png);
    assert_eq!(
        kind(&png, &Transform { accepts: accepts(true, false), ..Transform::default() }),
        Format::Webp
    );
    assert_eq!(kind(&png, &Transform { accepts: accepts(true, true), ..Transform::default() }), Format::Avif);
    let explicit =
        Transform { accepts: accepts(true, true), format: Some(Format::Gif), ..Transform::default() };
    assert_eq!(kind(&png, &explicit), Format::Gif);
    let enforced = Accepts { prefer_webp: true, enforce_webp: true, ..Accepts::default() };
    assert_eq!(kind(&png, &Transform { accepts: enforced, ..explicit.clone() }), Format::Webp);
    // Not among the preferred: the first that can hold it.
    assert_eq!(kind(&file(Format::Bmp, 20, 20, false), &Transform::default()), Format::Jpeg);
    assert_eq!(kind(&file(Format::Tiff, 20, 20, true), &Transform::default()), Format::Png);
    // Too small for AVIF.
    let small = Transform { width: 15, format: Some(Format::Avif), ..Transform::default() };
    assert_eq!(kind(&png, &small), Format::Png);
    assert_eq!(kind(&file(Format::Jpeg, 64, 64, false), &small), Format::Jpeg);
}

/// A panic within the decoder would end the process.
#[test]
fn damaged_frames_of_an_avif_are_refused() {
    let whole = file(Format::Avif, 96, 64, false);
    let data = whole.windows(4).position(|name| name == b"mdat").unwrap() + 4;
    let mut refused = 0;
    for at in data..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        match rendered(&bytes, &Transform { width: 8, ..Transform::default() }, &Limits::default()) {
            Ok(_) => {}
            Err(Error::Damaged { format: Format::Avif, .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 0);
}

/// The decoder panics over it.
#[test]
fn a_webp_whose_frames_have_two_sizes_is_refused() {
    let whole = animation(Format::Webp);
    let limits = Limits { frames: 10, ..Limits::default() };
    // The height as the first frame itself says it; the animation says it, too.
    let height = whole.windows(3).position(|start| start == [0x9d, 0x01, 0x2a]).unwrap() + 5;
    for other in [0, 1, 13, 21, 30] {
        let mut bytes = whole.clone();
        bytes[height] = other;
        let refused = rendered(&bytes, &Transform::default(), &limits).unwrap_err();
        assert!(matches!(refused, Error::Damaged { format: Format::Webp, .. }), "{other}: {refused:?}");
    }
}

#[test]
fn animations_move_if_they_may() {
    let moving = Limits { frames: 60, ..Limits::default() };
    for (from, to) in [
        (Format::Gif, Format::Webp),
        (Format::Webp, Format::Gif),
        (Format::Gif, Format::Gif),
        (Format::Webp, Format::Webp),
    ] {
        let source = animation(from);
        assert_eq!(Header::read(&source, &moving).unwrap().frames, 2, "{from}");
        let transform = Transform { width: 20, format: Some(to), ..Transform::default() };
        let rendered_moving = rendered(&source, &transform, &moving).unwrap();
        let header = Header::read(&rendered_moving.bytes, &moving).unwrap();
        assert_eq!((header.width, header.height, header.frames), (20, 10, 2), "{from} to {to}");
        let wanted = crate::decode::Wanted { frames: 9, shrink: 1 };
        let decoded =
            crate::decode::decode(&rendered_moving.bytes, &header, wanted, &Patience::default()).unwrap();
        let delays: Vec<u32> = decoded.frames.iter().map(|frame| frame.delay).collect();
        assert_eq!((decoded.loops, delays), (3, vec![100, 250]), "{from} to {to}");
        near(&decoded.frames[0].picture, 3, 2, [220, 20, 20, 255]);
        near(&decoded.frames[1].picture, 16, 7, [220, 20, 20, 255]);
        assert!(decoded.frames[1].picture.pixel(3, 2)[3] < 16, "{from} to {to}");

        let still = rendered(&source, &transform, &Limits::default()).unwrap();
        assert_eq!(Header::read(&still.bytes, &moving).unwrap().frames, 1);
    }
    let transform = Transform { format: Some(Format::Png), ..Transform::default() };
    assert_eq!(rendered(&animation(Format::Gif), &transform, &moving).unwrap().format, Format::Png);
    // All used frames count.
    let tight = Limits { pixels: 40 * 20 + 1, ..moving };
    let refused = rendered(&animation(Format::Gif), &Transform::default(), &tight);
    assert_eq!(refused, Err(Error::TooManyPixels { pixels: 1600, limit: 801 }));
}

#[test]
fn space_filters_and_marks_keep_their_sizes() {
    let source = file(Format::Png, 100, 60, false);
    let padding = Padding { top: 1, right: 2, bottom: 3, left: 4 };
    assert_eq!(
        result(&source, &Transform { padding, dpr: 2.0, ..Transform::default() }),
        (Format::Png, 112, 68)
    );
    let extend = Some(Gravity::default());
    assert_eq!(
        result(&source, &Transform { extend, width: 120, height: 120, ..Transform::default() }),
        (Format::Png, 120, 120)
    );
    let filters = Transform { blur: 2.0, sharpen: 1.0, pixelate: 7, ..Transform::default() };
    assert_eq!(result(&source, &filters), (Format::Png, 100, 60));
    assert_eq!(result(&source, &Transform { rotate: 270, ..Transform::default() }), (Format::Png, 60, 100));
    assert_eq!(
        result(&source, &Transform { min_width: 200, ..Transform::default() }),
        (Format::Png, 200, 120)
    );
    assert_eq!(
        result(&source, &Transform { zoom: (0.5, 0.25), ..Transform::default() }),
        (Format::Png, 50, 15)
    );
    let trim = Trim { threshold: 10.0, colour: None, equal_horizontally: false, equal_vertically: false };
    assert_eq!(
        result(&source, &Transform { trim: Some(trim), ..Transform::default() }),
        (Format::Png, 100, 60)
    );
}

#[test]
fn the_watermark_is_where_it_was_put() {
    let source = file(Format::Png, 100, 100, false);
    let mark = Picture::filled(10, 10, [0, 0, 0, 255]);
    let settings = Settings { watermark: Some((mark, 1.0)), ..Settings::default() };
    let gravity = Gravity { place: Place::SouthEast, x: 5.0, y: 5.0 };
    let watermark = Watermark { opacity: 0.5, replicate: false, gravity, scale: 0.0 };
    let transform = Transform { watermark: Some(watermark), ..Transform::default() };
    let limits = Limits::default();
    let header = Header::read(&source, &limits).unwrap();
    let rendered = render(&source, &header, &transform, &settings, &limits, &Patience::default()).unwrap();
    let picture = crate::load(&rendered.bytes, &limits).unwrap();
    near(&picture, 90, 90, [120, 120, 0, 255]);
    near(&picture, 97, 97, [240, 240, 0, 255]);
    near(&picture, 80, 80, [240, 240, 0, 255]);
}

#[test]
fn a_file_can_be_made_to_fit() {
    let source = file(Format::Jpeg, 300, 300, false);
    let free = rendered(&source, &Transform::default(), &Limits::default()).unwrap().bytes.len();
    let fitted =
        rendered(&source, &Transform { max_bytes: free - 200, ..Transform::default() }, &Limits::default())
            .unwrap();
    assert!(fitted.bytes.len() < free, "{} < {free}", fitted.bytes.len());
}

#[test]
fn limits_come_before_the_decoder() {
    let mut png = file(Format::Png, 64, 64, false);
    // 20000×20000, with pixels for 64×64.
    png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
    let refused = rendered(&png, &Transform::default(), &Limits::default());
    assert_eq!(refused, Err(Error::TooManyPixels { pixels: 400_000_000, limit: 16_800_000 }));
    let source = file(Format::Png, 64, 64, false);
    let small = Limits { bytes: 100, ..Limits::default() };
    assert_eq!(rendered(&source, &Transform::default(), &small), Err(Error::TooManyBytes(100)));
    let huge =
        Transform { width: 2_000_000_000, height: 2_000_000_000, enlarge: true, ..Transform::default() };
    assert!(matches!(rendered(&source, &huge, &Limits::default()), Err(Error::TooManyPixels { .. })));
    let patience = Patience::default();
    patience.cancel();
    let header = Header::read(&source, &Limits::default()).unwrap();
    let cancelled =
        render(&source, &header, &Transform::default(), &Settings::default(), &Limits::default(), &patience);
    assert_eq!(cancelled, Err(Error::Cancelled));
}

#[test]
fn a_cut_jpeg_shows_its_upper_part() {
    let source = file(Format::Jpeg, 400, 400, false);
    let cut = &source[..source.len() * 2 / 3];
    let rendered = rendered(cut, &Transform::default(), &Limits::default()).unwrap();
    near(&crate::load(&rendered.bytes, &Limits::default()).unwrap(), 20, 20, [220, 20, 20, 255]);
}

/// One small file of each type, damaged.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let formats: Vec<Format> = Format::ALL.into_iter().filter(|format| format.writable()).collect();
    let files: Vec<Vec<u8>> = formats
        .into_iter()
        .map(|format| file(format, 24, 24, format.has_alpha()))
        .chain([animation(Format::Gif), animation(Format::Webp)])
        .collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (prop::sample::select(files), damage, any::<prop::sample::Index>()).prop_map(|(mut file, damage, cut)| {
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(file.len() / 2 + cut.index(file.len() / 2 + 1));
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_it_panic(source in damaged()) {
        let limits = Limits { frames: 10, pixels: 1_000_000, ..Limits::default() };
        let _ = rendered(&source, &Transform { width: 10, format: Some(Format::Png), ..Transform::default() }, &limits);
    }

    #[test]
    fn any_size_gives_a_picture_of_at_most_that_size(
        width in 1..200u32, height in 1..200u32, source_width in 1..80u32, source_height in 1..80u32, kind in 0..5usize,
    ) {
        let resize = [Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Force, Resize::Auto][kind];
        let source = file(Format::Png, source_width, source_height, false);
        let rendered = rendered(&source, &Transform { resize, width, height, ..Transform::default() }, &Limits::default()).unwrap();
        prop_assert!(rendered.width <= width.min(source_width.max(1)).max(1));
        prop_assert!(rendered.height <= height.min(source_height.max(1)).max(1));
    }
}
