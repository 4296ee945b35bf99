//! What a browser posts for an identity provider, and what administrators paste: XML and certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    auth::fuzzing::saml(bytes);
});
