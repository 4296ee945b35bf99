//! The headers of images, and the text of drawings.
#![no_main]

use imaging::{Header, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(header) = Header::read(bytes, &limits) {
        assert!(header.width > 0 && header.height > 0 && header.frames > 0);
        let _ = limits.check(&header, header.frames);
    }
    // What was made harmless stays as it is.
    let clean = imaging::sanitize_svg(bytes);
    assert!(clean.len() <= bytes.len());
    assert_eq!(imaging::sanitize_svg(&clean), clean);
});
