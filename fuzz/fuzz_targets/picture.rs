//! Images through decoder, pipeline and encoder. Begin with a corpus of small files of each type.
#![no_main]

use imaging::{Format, Header, Limits, Patience, Settings, Transform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Small ones: a header costs as much as it claims, and few of them are tried in the time of a large one.
    let limits = Limits { pixels: 1 << 16, frames: 4, ..Limits::default() };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    let transform = Transform { width: 16, height: 16, format: Some(Format::Png), ..Transform::default() };
    let _ = imaging::render(bytes, &header, &transform, &Settings::default(), &limits, &Patience::default());
});
