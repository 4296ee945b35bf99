//! The few fields of an X.509 certificate that signing in needs and that the TLS library does not hand out.

use std::time::{Duration, SystemTime};

/// One DER element: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (digits, rest) = rest.split_at(count);
        (digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const CONTEXT_0: u8 = 0xa0;

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The digest that a certificate's signature is made with, for `tls-server-end-point` channel binding (RFC 5929).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureDigest {
    Sha256,
    Sha384,
    Sha512,
}

/// The digest to hash this certificate with; `None` where RFC 5929 defines none (Ed25519) or it is unknown.
pub(crate) fn signature_digest(certificate: &[u8]) -> Option<SignatureDigest> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (_, rest) = expect(certificate, SEQUENCE)?;
    let (algorithm, _) = expect(rest, SEQUENCE)?;
    let (identifier, parameters) = expect(algorithm, OBJECT_IDENTIFIER)?;
    use SignatureDigest::{Sha256, Sha384, Sha512};
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    if identifier == ECDSA_SHA1 {
        return Some(Sha256);
    }
    let (&last, prefix) = identifier.split_last()?;
    match (prefix, last) {
        // MD5 and SHA-1 are replaced by SHA-256.
        (RSA, 4 | 5 | 11) | (ECDSA_SHA2, 2) => Some(Sha256),
        (RSA, 12) | (ECDSA_SHA2, 3) => Some(Sha384),
        (RSA, 13) | (ECDSA_SHA2, 4) => Some(Sha512),
        (RSA, 10) => pss_digest(parameters),
        _ => None,
    }
}

/// RSASSA-PSS names its digest in the parameters: `[0] { hashAlgorithm }`, SHA-1 when absent.
fn pss_digest(parameters: &[u8]) -> Option<SignatureDigest> {
    let (parameters, _) = expect(parameters, SEQUENCE)?;
    let Some((hash, _)) = expect(parameters, CONTEXT_0) else { return Some(SignatureDigest::Sha256) };
    let (hash, _) = expect(hash, SEQUENCE)?;
    let (identifier, _) = expect(hash, OBJECT_IDENTIFIER)?;
    const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
    match identifier.split_last()? {
        (1, prefix) if prefix == SHA2 => Some(SignatureDigest::Sha256),
        (2, prefix) if prefix == SHA2 => Some(SignatureDigest::Sha384),
        (3, prefix) if prefix == SHA2 => Some(SignatureDigest::Sha512),
        _ => None,
    }
}

/// From when to when a certificate is valid.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut body, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, rest)) = expect(body, CONTEXT_0) {
        body = rest;
    }
    // serial number, signature algorithm, issuer
    for _ in 0..3 {
        (_, _, body) = element(body)?;
    }
    let (validity, _) = expect(body, SEQUENCE)?;
    let (tag, not_before, rest) = element(validity)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = element(rest)?;
    Some((not_before, time(tag, not_after)?))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: i64 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 of a Gregorian date, with the year beginning in March.
    let (shifted, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?;
    let offset = Duration::from_secs(seconds.unsigned_abs());
    if seconds >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(offset)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(offset)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn signed_with(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 9, 9);
        params.not_after = rcgen::date_time_ymd(2096, 2, 29);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    pub(crate) fn certificate() -> Vec<u8> {
        use std::sync::OnceLock;
        static CERTIFICATE: OnceLock<Vec<u8>> = OnceLock::new();
        CERTIFICATE.get_or_init(|| signed_with(&rcgen::PKCS_ECDSA_P256_SHA256)).clone()
    }

    #[test]
    fn the_digest_is_that_of_the_signature() {
        assert_eq!(signature_digest(&certificate()), Some(SignatureDigest::Sha256));
        assert_eq!(
            signature_digest(&signed_with(&rcgen::PKCS_ECDSA_P384_SHA384)),
            Some(SignatureDigest::Sha384)
        );
        assert_eq!(signature_digest(&signed_with(&rcgen::PKCS_ED25519)), None);
    }

    #[test]
    fn validity_is_read_in_both_forms_of_time() {
        // 2001-09-09 is written with two digits of the year, 2096-02-29 with four.
        let expected = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(validity(&certificate()), Some((expected(999_993_600), expected(3_981_312_000))));
    }
}
