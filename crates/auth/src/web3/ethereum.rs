//! Ethereum: the address is of the key that is recovered from the signature (EIP-191, `personal_sign`).

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

/// Whether the address's key signed the message. The signature is R, S and V, 65 bytes.
pub(super) fn verify(raw: &str, address: &str, signature: &[u8]) -> bool {
    recover(raw, signature).is_some_and(|recovered| recovered.eq_ignore_ascii_case(address))
}

fn recover(raw: &str, signature: &[u8]) -> Option<String> {
    let (v, rs) = signature.split_last()?;
    let id = RecoveryId::from_byte(if *v >= 27 { *v - 27 } else { *v })?;
    let signature = Signature::from_slice(rs).ok()?;
    let prefixed = format!("\x19Ethereum Signed Message:\n{}{raw}", raw.len());
    let hash = Keccak256::digest(prefixed.as_bytes());
    let key = VerifyingKey::recover_from_prehash(&hash, &signature, id).ok()?;
    let point = key.to_sec1_point(false);
    let hash = Keccak256::digest(point.as_bytes().get(1..)?);
    let hex: String = hash[12..].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("0x{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_recovers_nobody() {
        for signature in [&[][..], &[0; 65], &[255; 65], &[1; 64]] {
            assert_eq!(recover("message", signature), None);
        }
    }
}
