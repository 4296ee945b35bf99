//! Codes of authenticator apps (RFC 6238): SHA-1, six digits, thirty seconds, one step of slack.

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcodegen::{QrCode, QrCodeEcc};
use rand::RngExt;
use subtle::ConstantTimeEq;

const PERIOD: i64 = 30;
const DIGITS: usize = 6;
/// Bytes of a new secret.
const SECRET_LENGTH: usize = 20;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What Go leaves alone in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
/// And in a whole path.
const PATH: &AsciiSet = &SEGMENT.remove(b'/').remove(b',').remove(b';');

/// A fresh secret, in base32 without padding.
pub(crate) fn secret() -> String {
    let bytes: [u8; SECRET_LENGTH] = rand::rng().random();
    base32(&bytes)
}

/// The address that authenticator apps read.
pub(crate) fn uri(issuer: &str, account: &str, secret: &str) -> String {
    let label = utf8_percent_encode(&format!("{issuer}:{account}"), PATH).to_string();
    let issuer = utf8_percent_encode(issuer, SEGMENT);
    format!(
        "otpauth://totp/{label}?algorithm=SHA1&digits={DIGITS}&issuer={issuer}&period={PERIOD}&secret={secret}"
    )
}

/// The address as an SVG document; `None` if it is too long for a QR code.
pub(crate) fn qr_code(uri: &str) -> Option<String> {
    /// Pixels of a module, and modules of the quiet zone.
    const MODULE: i32 = 3;
    const QUIET: i32 = 4;
    let code = QrCode::encode_text(uri, QrCodeEcc::High).ok()?;
    let width = (code.size() + 2 * QUIET) * MODULE;
    let mut dark = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let (left, top) = ((x + QUIET) * MODULE, (y + QUIET) * MODULE);
            dark.push_str(&format!("M{left} {top}h{MODULE}v{MODULE}h-{MODULE}z"));
        }
    }
    // Clients put this behind `data:image/svg+xml;utf-8,`, where a `#` would end it: colours have names.
    Some(format!(
        "<?xml version=\"1.0\"?>\n<svg width=\"{width}\" height=\"{width}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <rect width=\"{width}\" height=\"{width}\" style=\"fill:white;stroke:none\"/>\n\
         <path d=\"{dark}\" style=\"fill:black;stroke:none\"/>\n</svg>\n"
    ))
}

/// Whether a code is the secret's at this moment, in seconds since 1970.
pub(crate) fn is_valid(code: &str, secret: &str, now: i64) -> bool {
    let Some(key) = from_base32(secret) else { return false };
    let code = code.trim();
    let step = now.div_euclid(PERIOD);
    // All three are compared, so that time does not tell which one it was.
    [step - 1, step, step + 1]
        .into_iter()
        .filter_map(|step| u64::try_from(step).ok())
        .fold(false, |found, step| found | bool::from(at(&key, step).as_bytes().ct_eq(code.as_bytes())))
}

/// The code of one step (RFC 4226).
fn at(key: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0x0f);
    let word = tag[offset..offset + 4].iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0_u8; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        let digits = (chunk.len() * 8).div_ceil(5);
        text.extend((0..digits).map(|at| char::from(ALPHABET[(bits >> (35 - 5 * at) & 31) as usize])));
    }
    text
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for char in text.trim().trim_end_matches('=').bytes() {
        let digit = ALPHABET.iter().position(|known| *known == char.to_ascii_uppercase())?;
        bits = (bits << 5) | digit as u32;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let key = b"12345678901234567890";
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(at(key, time / 30), code);
        }
    }

    #[test]
    fn a_code_is_valid_for_its_step_and_its_neighbours() {
        let secret = base32(b"12345678901234567890");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let code = at(b"12345678901234567890", 1000);
        for (step, valid) in [(998, false), (999, true), (1000, true), (1001, true), (1002, false)] {
            assert_eq!(is_valid(&code, &secret, step * 30), valid, "{step}");
        }
        assert!(
            !is_valid("", &secret, 30_000) && !is_valid(&code, "", 30_000) && !is_valid(&code, "1", 30_000)
        );
    }

    #[test]
    fn the_address_is_what_apps_read() {
        assert_eq!(
            uri("localhost:3000", "a+b@example.com", "ABC"),
            "otpauth://totp/localhost:3000:a+b@example.com?algorithm=SHA1&digits=6&issuer=localhost:3000&period=30&secret=ABC"
        );
        assert!(uri("My App", "a@b.c", "ABC").starts_with("otpauth://totp/My%20App:a@b.c?"));
    }

    #[test]
    fn the_picture_fits_a_data_address() {
        let svg = qr_code(&uri("localhost:3000", "a@b.c", &secret())).unwrap();
        assert!(svg.contains("<svg ") && !svg.contains('#'));
    }

    proptest::proptest! {
        #[test]
        fn base32_reads_back(bytes in proptest::collection::vec(proptest::num::u8::ANY, 1..40)) {
            proptest::prop_assert_eq!(from_base32(&base32(&bytes)), Some(bytes));
        }
    }
}
