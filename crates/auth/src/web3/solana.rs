//! Solana: Ed25519, the address is the public key in base58.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Whether the address's key signed the message, as it is or in the envelope of hardware wallets.
pub(super) fn verify(raw: &str, domain: &str, address: &str, signature: &[u8]) -> bool {
    let Some(key) = from_base58(address) else { return false };
    let public = UnparsedPublicKey::new(&ED25519, &key);
    if public.verify(raw.as_bytes(), signature).is_ok() {
        return true;
    }
    envelope(raw, domain, &key).is_some_and(|envelope| public.verify(&envelope, signature).is_ok())
}

/// Solana's off-chain message, version 0, one signer, ASCII; none if the message is too long for it.
fn envelope(raw: &str, domain: &str, key: &[u8; 32]) -> Option<Vec<u8>> {
    let length = u16::try_from(raw.len()).ok()?;
    let mut application = [0_u8; 32];
    for (to, from) in application.iter_mut().zip(domain.bytes()) {
        *to = from;
    }
    let mut bytes = b"\xffsolana offchain\x00".to_vec();
    bytes.extend(application);
    bytes.extend([0, 1]);
    bytes.extend(key);
    bytes.extend(length.to_le_bytes());
    bytes.extend(raw.as_bytes());
    Some(bytes)
}

/// A key of 32 bytes.
fn from_base58(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    for char in text.bytes() {
        let mut carry = ALPHABET.iter().position(|known| *known == char)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    // Leading ones are leading zeros: another count of them is another text for the same number.
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    (text.bytes().take_while(|char| *char == b'1').count() == zeros).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_is_read_strictly() {
        assert_eq!(from_base58("11111111111111111111111111111111"), Some([0; 32]));
        assert_eq!(from_base58("1111111111111111111111111111111"), None);
        assert_eq!(from_base58("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG").map(|key| key[31]), Some(255));
        assert_eq!(from_base58("0OIl"), None);
    }
}
