//! An authenticator app.

use aws_lc_rs::hmac;

/// The code of a secret at this moment.
pub(crate) fn now(secret: &str) -> String {
    code(secret, chrono::Utc::now().timestamp())
}

/// The code of a secret at a moment, in Unix seconds.
pub(crate) fn code(secret: &str, at: i64) -> String {
    let mut bits = 0_u64;
    let mut held = 0;
    let mut key = Vec::new();
    for char in secret.bytes() {
        let digit = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == char).unwrap();
        bits = (bits << 5) | digit as u64;
        held += 5;
        if held >= 8 {
            held -= 8;
            key.push((bits >> held) as u8);
        }
    }
    let step = at.unsigned_abs() / 30;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), &step.to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let word = u32::from_be_bytes(tag.as_ref()[offset..offset + 4].try_into().unwrap());
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}
