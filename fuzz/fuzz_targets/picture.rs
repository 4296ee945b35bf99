//! Images through decoder, pipeline and encoder. Begin with a corpus of small files of each type.
#![no_main]

use imaging::{Format, Header, Limits, Patience, Settings, Transform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { pixels: 1 << 20, frames: 8, ..Limits::default() };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    let transform = Transform { width: 16, height: 16, format: Some(Format::Png), ..Transform::default() };
    let _ = imaging::render(bytes, &header, &transform, &Settings::default(), &limits, &Patience::default());
});
