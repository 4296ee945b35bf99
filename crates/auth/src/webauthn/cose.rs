//! Public keys of authenticators (RFC 9053) and the signatures they check.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::cbor::Cbor;

/// The algorithms that are asked for, in order of preference: COSE's numbers.
pub(super) const ALGORITHMS: [i64; 10] = [-7, -35, -36, -257, -258, -259, -37, -38, -39, -8];

/// A key and the algorithm it is for.
#[derive(Debug)]
pub(super) struct CoseKey {
    pub(super) algorithm: i64,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// An uncompressed point.
    Ec(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Ed25519(Vec<u8>),
}

impl CoseKey {
    /// Reads a key; `None` for anything that cannot check a signature we asked for.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (map, taken) = Cbor::read(bytes)?;
        (taken == bytes.len()).then_some(())?;
        let algorithm = i64::try_from(map.numbered(3)?.as_int()?).ok()?;
        let number = |name| map.numbered(name).and_then(Cbor::as_int);
        let text = |name| map.numbered(name).and_then(Cbor::as_bytes).map(<[u8]>::to_vec);
        let material = match (number(1)?, algorithm) {
            (1, -8) if number(-1)? == 6 => Material::Ed25519(text(-2)?),
            (2, -7 | -35 | -36) => {
                let (curve, length) = match algorithm {
                    -7 => (1, 32),
                    -35 => (2, 48),
                    _ => (3, 66),
                };
                let (x, y) = (text(-2)?, text(-3)?);
                (number(-1)? == curve && x.len() == length && y.len() == length).then_some(())?;
                Material::Ec([&[4][..], &x, &y].concat())
            }
            (3, -257 | -258 | -259 | -37 | -38 | -39) => {
                Material::Rsa { modulus: text(-1)?, exponent: text(-2)? }
            }
            _ => return None,
        };
        Some(Self { algorithm, material })
    }

    /// Whether a signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signed: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(point) => {
                UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signed).is_ok()
            }
            Material::Ec(point) => {
                let scheme: &'static dyn VerificationAlgorithm = match self.algorithm {
                    -7 => &signature::ECDSA_P256_SHA256_ASN1,
                    -35 => &signature::ECDSA_P384_SHA384_ASN1,
                    _ => &signature::ECDSA_P521_SHA512_ASN1,
                };
                UnparsedPublicKey::new(scheme, point).verify(message, signed).is_ok()
            }
            Material::Rsa { modulus, exponent } => {
                let scheme = match self.algorithm {
                    -257 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    -258 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    -259 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    -37 => &signature::RSA_PSS_2048_8192_SHA256,
                    -38 => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => &signature::RSA_PSS_2048_8192_SHA512,
                };
                signature::RsaPublicKeyComponents { n: modulus.as_slice(), e: exponent.as_slice() }
                    .verify(scheme, message, signed)
                    .is_ok()
            }
        }
    }
}
