//! Certificates. SAML uses them as vessels of keys: nobody's name in them is looked at, only the key and when it holds.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use chrono::{DateTime, NaiveDateTime, Utc};

use super::der::{self, Reader};

pub(super) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0, 34];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0, 35];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const KEY_USAGE: &[u8] = &[0x55, 29, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];

/// A key of an identity provider.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    key: PublicKey,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

#[derive(Clone, Debug)]
enum PublicKey {
    Rsa(Vec<u8>),
    Ec(Curve, Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
    P521,
}

/// What a signature is computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// Only in signatures with RSA, where older providers still use it.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Certificate {
    /// Reads what is needed of a certificate; `None` if it is none, or its key is of a kind that signs nothing here.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut certificate = Reader::new(bytes).sequence()?;
        let mut fields = certificate.sequence()?;
        if fields.peek() == Some(0xa0) {
            fields.any()?;
        }
        fields.read(der::INTEGER)?;
        fields.sequence()?;
        fields.sequence()?;
        let mut validity = fields.sequence()?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        fields.sequence()?;
        let mut info = fields.sequence()?;
        let mut algorithm = info.sequence()?;
        let kind = algorithm.read(der::OID)?;
        // The first byte counts unused bits: none.
        let key = info.read(der::BIT_STRING)?.strip_prefix(&[0])?.to_vec();
        let key = match kind {
            RSA_ENCRYPTION => PublicKey::Rsa(key),
            EC_PUBLIC_KEY => match algorithm.read(der::OID)? {
                P256 => PublicKey::Ec(Curve::P256, key),
                P384 => PublicKey::Ec(Curve::P384, key),
                P521 => PublicKey::Ec(Curve::P521, key),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { key, not_before, not_after })
    }

    pub(super) fn holds_at(&self, now: DateTime<Utc>) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether this key made a signature of XML. One over an elliptic curve is the two numbers, one behind the other, or,
    /// as some libraries write it, in DER.
    pub(super) fn verifies(&self, is_rsa: bool, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], signature: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.key {
            PublicKey::Rsa(key) if is_rsa => {
                let algorithm: &'static dyn VerificationAlgorithm = match hash {
                    Hash::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                    Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                };
                verify(algorithm, key, signature)
            }
            PublicKey::Ec(curve, key) if !is_rsa => {
                let (algorithm, size): (&'static dyn VerificationAlgorithm, usize) = match (curve, hash) {
                    (Curve::P256, Hash::Sha256) => (&signature::ECDSA_P256_SHA256_ASN1, 32),
                    (Curve::P256, Hash::Sha384) => (&signature::ECDSA_P256_SHA384_ASN1, 32),
                    (Curve::P256, Hash::Sha512) => (&signature::ECDSA_P256_SHA512_ASN1, 32),
                    (Curve::P384, Hash::Sha256) => (&signature::ECDSA_P384_SHA256_ASN1, 48),
                    (Curve::P384, Hash::Sha384) => (&signature::ECDSA_P384_SHA384_ASN1, 48),
                    (Curve::P384, Hash::Sha512) => (&signature::ECDSA_P384_SHA512_ASN1, 48),
                    (Curve::P521, Hash::Sha256) => (&signature::ECDSA_P521_SHA256_ASN1, 66),
                    (Curve::P521, Hash::Sha384) => (&signature::ECDSA_P521_SHA384_ASN1, 66),
                    (Curve::P521, Hash::Sha512) => (&signature::ECDSA_P521_SHA512_ASN1, 66),
                    (_, Hash::Sha1) => return false,
                };
                if signature.len() == 2 * size {
                    let (r, s) = signature.split_at(size);
                    return verify(
                        algorithm,
                        key,
                        &der::of(der::SEQUENCE, &[der::unsigned(r), der::unsigned(s)]),
                    );
                }
                verify(algorithm, key, signature)
            }
            _ => false,
        }
    }
}

fn time(reader: &mut Reader<'_>) -> Option<DateTime<Utc>> {
    let (tag, content) = reader.any()?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // Two digits of a year mean 1950 to 2049 (RFC 5280, 4.1.2.5.1).
        der::UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        der::GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%S").ok().map(|time| time.and_utc())
}

/// Our own certificate, to the byte as GoTrue makes it of a key and a host: providers that were told one know the other.
pub(super) fn own(key: &KeyPair, host: &str, is_for_encryption: bool) -> Option<Vec<u8>> {
    use der::{of, value};
    let oid = |oid: &[u8]| value(der::OID, oid);
    let sha256_with_rsa = || of(der::SEQUENCE, &[oid(SHA256_WITH_RSA), value(der::NULL, &[])]);
    let common_name = format!("SAML 2.0 Certificate for {host}");
    let is_printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte);
    let kind = if common_name.bytes().all(is_printable) { der::PRINTABLE_STRING } else { der::UTF8_STRING };
    let attribute = of(der::SEQUENCE, &[oid(COMMON_NAME), value(kind, common_name.as_bytes())]);
    let name = || of(der::SEQUENCE, &[value(der::SET, &attribute)]);
    let public = signature::KeyPair::public_key(key);
    let info = of(
        der::SEQUENCE,
        &[
            of(der::SEQUENCE, &[oid(RSA_ENCRYPTION), value(der::NULL, &[])]),
            value(der::BIT_STRING, &[&[0], public.as_ref()].concat()),
        ],
    );
    // Bit 0 is digitalSignature, bit 3 dataEncipherment; the first byte counts unused bits.
    let usage: &[u8] = if is_for_encryption { &[4, 0x90] } else { &[7, 0x80] };
    let extension = |id: &[u8], is_critical: bool, content: Vec<u8>| {
        let mut parts = vec![oid(id)];
        if is_critical {
            parts.push(value(der::BOOLEAN, &[0xff]));
        }
        parts.push(value(der::OCTET_STRING, &content));
        of(der::SEQUENCE, &parts)
    };
    let extensions = of(
        der::SEQUENCE,
        &[
            extension(KEY_USAGE, true, value(der::BIT_STRING, usage)),
            extension(
                SUBJECT_ALT_NAME,
                false,
                of(der::SEQUENCE, &[value(0x82, format!("_samlsp.{host}").as_bytes())]),
            ),
        ],
    );
    let fields = of(
        der::SEQUENCE,
        &[
            value(0xa0, &value(der::INTEGER, &[2])),
            value(der::INTEGER, &[0]),
            sha256_with_rsa(),
            name(),
            of(
                der::SEQUENCE,
                &[value(der::UTC_TIME, b"700101000000Z"), value(der::GENERALIZED_TIME, b"21700101000000Z")],
            ),
            name(),
            info,
            value(0xa3, &extensions),
        ],
    );
    let mut signed = vec![0; key.public_modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), &fields, &mut signed).ok()?;
    Some(of(
        der::SEQUENCE,
        &[fields, sha256_with_rsa(), value(der::BIT_STRING, &[&[0], signed.as_slice()].concat())],
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Certificate::parse(&bytes);
        }
    }
}
